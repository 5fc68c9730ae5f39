// Threads that may be kept waiting.
#include "wev/backend/thread_pool.hpp"

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "support/system.hpp"
#include "wev/backend/backends.hpp"
#include "wev/loop/loop.hpp"

namespace wev::test {

namespace {

struct Count final : ThreadPool::Work {
  void run() noexcept override { ++runs; }
  std::atomic<int> runs{0};
};

// Work that goes on until it is let go.
class Gate final : public ThreadPool::Work {
 public:
  void run() noexcept override {
    std::unique_lock lock(mutex_);
    begun_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  void wait_until_begun() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return begun_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool begun_ = false;
  bool open_ = false;
};

}  // namespace

TEST(ThreadPool, NoThreadIsStartedBeforeThereIsWork) {
  ThreadPool pool({.threads = 3});
  EXPECT_EQ(pool.threads(), 0u);
  Count work;
  ASSERT_TRUE(pool.submit(work));
  EXPECT_EQ(pool.threads(), 1u);
  pool.join();
  EXPECT_EQ(work.runs, 1);
  EXPECT_EQ(pool.threads(), 0u);
}

TEST(ThreadPool, EachWorkRunsOnce) {
  ThreadPool pool;
  std::deque<Count> works(1'000);
  for (Count& work : works) ASSERT_TRUE(pool.submit(work));
  pool.join();
  for (const Count& work : works) EXPECT_EQ(work.runs, 1);
}

TEST(ThreadPool, ThereAreNeverMoreThreadsThanAsked) {
  ThreadPool pool({.threads = 2});
  Gate first;
  Gate second;
  Count third;
  ASSERT_TRUE(pool.submit(first));
  ASSERT_TRUE(pool.submit(second));
  first.wait_until_begun();
  second.wait_until_begun();
  ASSERT_TRUE(pool.submit(third));
  EXPECT_EQ(pool.threads(), 2u);
  EXPECT_EQ(third.runs, 0);
  first.open();
  second.open();
  pool.join();
  EXPECT_EQ(third.runs, 1);
}

TEST(ThreadPool, AtLeastOneThreadWorks) {
  ThreadPool pool({.threads = 0});
  Count work;
  ASSERT_TRUE(pool.submit(work));
  pool.join();
  EXPECT_EQ(work.runs, 1);
}

TEST(ThreadPool, WhatHasNotBegunIsTakenBack) {
  ThreadPool pool({.threads = 1});
  Gate gate;
  Count waiting;
  Count behind;
  ASSERT_TRUE(pool.submit(gate));
  gate.wait_until_begun();
  ASSERT_TRUE(pool.submit(waiting));
  ASSERT_TRUE(pool.submit(behind));
  EXPECT_TRUE(pool.withdraw(waiting));
  EXPECT_FALSE(pool.withdraw(waiting));
  EXPECT_FALSE(pool.withdraw(gate)) << "it has begun";
  gate.open();
  pool.join();
  EXPECT_EQ(waiting.runs, 0);
  EXPECT_EQ(behind.runs, 1);
}

TEST(ThreadPool, ItCanBeUsedAgainAfterJoining) {
  ThreadPool pool;
  Count work;
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(pool.submit(work));
    pool.join();
    EXPECT_EQ(work.runs, i);
  }
}

TEST(ThreadPool, TwoMayJoinAtOnce) {
  for (int i = 0; i < 200; ++i) {
    ThreadPool pool({.threads = 2});
    Count works[3];
    for (Count& work : works) ASSERT_TRUE(pool.submit(work));
    std::thread other([&pool] { pool.join(); });
    pool.join();
    other.join();
    for (const Count& work : works) EXPECT_EQ(work.runs, 1);
  }
}

TEST(ThreadPool, NoSignalIsDeliveredToItsThreads) {
  struct Masked final : ThreadPool::Work {
    void run() noexcept override {
      sigset_t mask;
      pthread_sigmask(SIG_BLOCK, nullptr, &mask);
      blocked = sigismember(&mask, SIGINT) == 1 && sigismember(&mask, SIGPIPE) == 1;
    }
    std::atomic<bool> blocked{false};
  } work;
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, nullptr, &before);
  ThreadPool pool;
  ASSERT_TRUE(pool.submit(work));
  pool.join();
  EXPECT_TRUE(work.blocked);
  sigset_t after;
  pthread_sigmask(SIG_BLOCK, nullptr, &after);
  EXPECT_EQ(sigismember(&after, SIGINT), sigismember(&before, SIGINT));
}

// With loops ------------------------------------------------------------------------------

namespace {

Result blocking_answer(void*) noexcept { return 42; }

struct Asked {
  Completion completion;
  Result result = 0;
  void ask(Loop& loop) {
    loop.add(completion, op::run_blocking(blocking_answer, nullptr), this,
             [](void* self, Loop&, Completion&, Result result) {
               static_cast<Asked*>(self)->result = result;
               return Action::disarm;
             });
  }
};

}  // namespace

// Between the end of the last thread and the end of join() there is nobody to do it, so
// it is for submit() to see to that.
TEST(ThreadPool, WhatIsSubmittedBesideAJoinIsDone) {
  ThreadPool pool({.threads = 1});
  std::atomic<bool> over{false};
  std::thread joiner([&] {
    while (!over) pool.join();
  });
  const auto patience = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  Count count;
  for (int round = 1; round <= 2'000 && !HasFailure(); ++round) {
    ASSERT_TRUE(pool.submit(count));
    while (count.runs < round) {
      if (std::chrono::steady_clock::now() > patience) break;
      std::this_thread::yield();
    }
    EXPECT_EQ(count.runs, round) << "it was taken and not done";
  }
  over = true;
  joiner.join();
  pool.join();
  (void)pool.withdraw(count);
}

TEST(ThreadPool, LoopsShareOne) {
  ThreadPool pool({.threads = 1});
  BackendOptions options;
  options.native.pool = &pool;
  auto first_backend = make_backend(options);
  auto second_backend = make_backend(options);
  ASSERT_TRUE(first_backend && second_backend);
  Loop first(std::move(*first_backend));
  Loop second(std::move(*second_backend));
  Asked one;
  Asked two;
  one.ask(first);
  two.ask(second);
  ASSERT_TRUE(first.run());
  ASSERT_TRUE(second.run());
  EXPECT_EQ(one.result, Result(42));
  EXPECT_EQ(two.result, Result(42));
  EXPECT_EQ(pool.threads(), 1u);
  ASSERT_TRUE(first.drain());
  EXPECT_EQ(pool.threads(), 1u) << "a shared pool is not the loop's to end";
}

// A thread of a shared pool takes its last steps after the operation was
// delivered; the loop waits for them.
TEST(ThreadPool, LoopsComeAndGoOnAShared) {
  ThreadPool pool({.threads = 2});
  BackendOptions options;
  options.kind = BackendKind::poll;
  options.native.pool = &pool;
  for (int i = 0; i < 300; ++i) {
    auto backend = make_backend(options);
    ASSERT_TRUE(backend);
    Loop loop(std::move(*backend));
    Asked asked;
    asked.ask(loop);
    ASSERT_TRUE(loop.run());
    EXPECT_EQ(asked.result, Result(42));
  }
}

// What a blocking function returns is its own business.
TEST(ThreadPool, AnyErrorOfABlockingFunctionIsDeliveredOnce) {
  for (const std::errc error : {std::errc::interrupted, std::errc::operation_canceled,
                                std::errc::resource_unavailable_try_again}) {
    struct Call {
      std::errc error;
      int calls = 0;
      Result result = 0;
    } call{error};
    Completion completion;
    Loop loop;
    loop.add(completion,
             op::run_blocking(
                 [](void* call) noexcept -> Result {
                   ++static_cast<Call*>(call)->calls;
                   return std::unexpected(static_cast<Call*>(call)->error);
                 },
                 &call),
             &call, [](void* call, Loop&, Completion&, Result result) {
               static_cast<Call*>(call)->result = result;
               return Action::disarm;
             });
    ASSERT_TRUE(loop.run());
    EXPECT_EQ(call.calls, 1);
    EXPECT_EQ(call.result, Result(std::unexpected(Error(error))));
  }
}

TEST(ThreadPool, ALoopsOwnIsJoinedByDraining) {
  const std::set<std::string> before = threads();
  BackendOptions options;
  options.kind = BackendKind::poll;
  auto backend = make_backend(options);
  ASSERT_TRUE(backend);
  Loop loop(std::move(*backend));
  EXPECT_TRUE(threads_since(before).empty());
  Asked asked;
  asked.ask(loop);
  ASSERT_TRUE(loop.run());
  EXPECT_EQ(asked.result, Result(42));
  EXPECT_EQ(threads_since(before).size(), 1u);
  ASSERT_TRUE(loop.drain());
  const auto patience = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!threads_since(before).empty() && std::chrono::steady_clock::now() < patience) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(threads_since(before).empty());
  asked.ask(loop);  // and goes on
  ASSERT_TRUE(loop.run());
  EXPECT_EQ(asked.result, Result(42));
}

}  // namespace wev::test
