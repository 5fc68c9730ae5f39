// Tasks on the loop of another thread, and functions on the threads of a pool: natively,
// where a rig makes several loops.
#include <array>
#include <atomic>
#include <deque>
#include <latch>
#include <memory>
#include <optional>
#include <thread>

#include "rig/native.hpp"
#include "support/allocations.hpp"
#include "support/threads.hpp"
#include "task/tasks.hpp"
#include "wev/backend/thread_pool.hpp"
#include "wev/task/ok.hpp"
#include "wev/task/run.hpp"
#include "wev/task/run_on.hpp"
#include "wev/task/sleep.hpp"
#include "wev/task/sync.hpp"
#include "wev/task/task_group.hpp"
#include "wev/task/this_task.hpp"
#include "wev/task/timeout.hpp"
#include "wev/task/when.hpp"

namespace wev::test {

namespace {

// A loop that runs on a thread of its own, and ends there.
class Elsewhere {
 public:
  explicit Elsewhere(Rig& rig) : loop_(rig.loop()), stop_(*loop_) {
    loop_->add(held_, op::async_wait(stop_), nullptr,
               [](void*, Loop&, Completion&, Result) { return Action::disarm; });
    join_ = spawn([this, &rig] {
      EXPECT_TRUE(rig.run(*loop_));
      EXPECT_EQ(loop_->active(), 0u) << "a task left something behind";
      loop_->detach(stop_);
      loop_.reset();
    });
  }
  ~Elsewhere() {
    stop_.notify();
    join_();
  }
  Elsewhere(const Elsewhere&) = delete;
  Elsewhere& operator=(const Elsewhere&) = delete;

  [[nodiscard]] Loop& loop() { return *loop_; }

 private:
  std::unique_ptr<Loop> loop_;
  Async stop_;
  Completion held_;
  Joiner join_;
};

// Keeps a loop's thread waiting from its construction on.
class Kept {
 public:
  explicit Kept(Loop& loop) {
    EXPECT_TRUE(loop.post([this] {
      begun_.count_down();
      open_.wait();
      gone_.count_down();
    }));
    begun_.wait();
  }
  void let_go() {
    open_.count_down();
    gone_.wait();
  }

 private:
  std::latch begun_{1};
  std::latch open_{1};
  std::latch gone_{1};
};

template <class T>
Task<T> on(Loop& there, Task<T> task) {
  co_return co_await run_on(there, std::move(task));
}

Task<Expected<int>> quick(int value, int waits) {
  for (int i = 0; i < waits; ++i) co_await ok(yield());
  co_return value;
}

Task<Expected<void>> wait_long(std::latch& begun) {
  begun.count_down();
  co_return co_await sleep(1h);
}

}  // namespace

// run_on ---------------------------------------------------------------------------------

TEST_P(NativeContract, ATaskOnAnotherLoopRunsOnThatOnesThreadAndItsResultComesHome) {
  Elsewhere elsewhere(rig());
  const std::thread::id home = std::this_thread::get_id();
  const auto there = [&](int value) -> Task<std::unique_ptr<int>> {
    EXPECT_NE(std::this_thread::get_id(), home);
    EXPECT_EQ(&co_await this_loop(), &elsewhere.loop());
    EXPECT_TRUE(co_await sleep(10us));
    EXPECT_NE(std::this_thread::get_id(), home);
    co_return std::make_unique<int>(value);
  };
  int seen = 0;
  const auto nothing = [&seen]() -> Task<> {
    ++seen;
    co_return;
  };
  const auto fails = []() -> Task<Expected<int>> {
    co_await ok(yield());
    co_return std::unexpected(std::errc::broken_pipe);
  };
  const auto program = [&]() -> Task<Expected<int>> {
    const auto value = co_await ok(run_on(elsewhere.loop(), there(4)));
    EXPECT_EQ(std::this_thread::get_id(), home);
    EXPECT_EQ(&co_await this_loop(), &loop());
    EXPECT_TRUE(co_await run_on(elsewhere.loop(), nothing()));
    EXPECT_EQ(std::this_thread::get_id(), home);
    EXPECT_EQ(seen, 1);
    const auto failed = co_await run_on(elsewhere.loop(), fails());
    EXPECT_FALSE(failed);
    EXPECT_EQ(failed.error(), std::errc::broken_pipe);
    co_return *value;
  };
  EXPECT_EQ(run_by(rig(), loop(), program()), 4);
}

TEST_P(NativeContract, TasksGoBackAndForthBetweenTwoLoops) {
  Elsewhere elsewhere(rig());
  struct Program {
    Loop& here;
    Loop& there;
    Task<Expected<int>> depth(int left) {
      Loop& now = co_await this_loop();
      if (left == 0) co_return 0;
      Loop& next = &now == &here ? there : here;
      const int inner = co_await ok(run_on(next, depth(left - 1)));
      EXPECT_EQ(&co_await this_loop(), &now);
      co_return inner + 1;
    }
  } program{loop(), elsewhere.loop()};
  EXPECT_EQ(run_by(rig(), loop(), program.depth(20)), 20);
}

TEST_P(NativeContract, ManyTasksAreOnAnotherLoopAtTheSameTime) {
  Elsewhere elsewhere(rig());
  int sum = 0;
  const auto one = [&](int i) -> Task<Expected<void>> {
    sum += co_await ok(run_on(elsewhere.loop(), quick(i, i % 3)));
    co_return {};
  };
  const auto program = [&]() -> Task<Expected<void>> {
    co_return co_await with_group(fail_fast, [&](TaskGroup& group) -> Task<> {
      for (int i = 1; i <= 500; ++i) group.spawn(one(i));
      co_return;
    });
  };
  EXPECT_TRUE(run_by(rig(), loop(), program()));
  EXPECT_EQ(sum, 500 * 501 / 2);
}

TEST_P(NativeContract, ATaskThatIsCanceledBeforeItBeginsOnAnotherLoopEndsAtItsFirstWait) {
  Elsewhere elsewhere(rig());
  Kept kept(elsewhere.loop());
  std::latch begun(1);
  Root<Expected<void>> root(loop(), on(elsewhere.loop(), wait_long(begun)));
  look();
  look();
  root.cancel();
  look();
  EXPECT_FALSE(root.done()) << "the other loop still has it";
  kept.let_go();
  run_until([&root] { return root.done(); });
  EXPECT_TRUE(begun.try_wait());
  const auto result = root.take();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), Errc::operation_canceled);
}

TEST_P(NativeContract, ATaskThatIsCanceledBeforeItWasSentToAnotherLoopNeverBegins) {
  Elsewhere elsewhere(rig());
  std::latch begun(1);
  Root<Expected<void>> root(loop(), on(elsewhere.loop(), wait_long(begun)));
  root.cancel();
  run_until([&root] { return root.done(); });
  const auto result = root.take();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), Errc::operation_canceled);
  EXPECT_FALSE(begun.try_wait());
}

TEST_P(NativeContract, ATaskThatIsCanceledWhileAnotherLoopRunsItEndsWhatItWaitsForThere) {
  Elsewhere elsewhere(rig());
  for (int round = 0; round < 20; ++round) {
    std::latch begun(1);
    Root<Expected<void>> root(loop(), on(elsewhere.loop(), wait_long(begun)));
    while (!begun.try_wait()) look();
    EXPECT_FALSE(root.done());
    root.cancel();
    run_until([&root] { return root.done(); });
    const auto result = root.take();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error(), Errc::operation_canceled);
  }
}

TEST_P(NativeContract, ADrainSleepsUntilTheOtherLoopGivesItsTaskBack) {
  Elsewhere elsewhere(rig());
  Kept kept(elsewhere.loop());
  std::latch begun(1);
  const Root<Expected<void>> root(loop(), on(elsewhere.loop(), wait_long(begun)));
  look();
  look();
  // So long that a drain that turns in vain has given up.
  const Joiner join = spawn([&kept] {
    std::this_thread::sleep_for(50ms);
    kept.let_go();
  });
  EXPECT_TRUE(loop().drain());
  EXPECT_TRUE(root.done());
  join();
}

TEST_P(NativeContract, ATaskThatIsCanceledAsItEndsOnAnotherLoopEndsOnceOneWayOrTheOther) {
  Elsewhere elsewhere(rig());
  constexpr int rounds = 1'000;
  int came = 0;
  int gone = 0;
  const auto program = [&]() -> Task<Expected<void>> {
    for (int i = 0; i < rounds; ++i) {
      const auto result = co_await timeout(std::chrono::nanoseconds(i % 100 * 500),
                                           run_on(elsewhere.loop(), quick(i, i % 4)));
      if (result) {
        EXPECT_EQ(result, i);
        ++came;
      } else {
        EXPECT_EQ(result.error(), Errc::timed_out);
        ++gone;
      }
    }
    co_return {};
  };
  EXPECT_TRUE(run_by(rig(), loop(), program()));
  EXPECT_EQ(came + gone, rounds);
}

TEST_P(NativeContract, OfTwoLoopsThatRaceTheSlowerOnesTaskIsCanceled) {
  Elsewhere first(rig());
  Elsewhere second(rig());
  const auto program = [&]() -> Task<Expected<void>> {
    for (int i = 0; i < 300; ++i) {
      const auto winner = co_await when_any(run_on(first.loop(), quick(1, i % 3)),
                                            run_on(second.loop(), quick(2, (i + 1) % 3)));
      if (winner.index() == 0) {
        EXPECT_EQ(std::get<0>(winner), 1);
      } else {
        EXPECT_EQ(std::get<1>(winner), 2);
      }
    }
    co_return {};
  };
  EXPECT_TRUE(run_by(rig(), loop(), program()));
}

TEST_P(NativeContract, AShieldedTaskOnAnotherLoopIsNotCanceled) {
  Elsewhere elsewhere(rig());
  Kept kept(elsewhere.loop());
  const auto program = [&]() -> Task<Expected<int>> {
    co_return co_await shield(run_on(elsewhere.loop(), quick(8, 3)));
  };
  Root<Expected<int>> root(loop(), program());
  look();
  look();
  root.cancel();
  look();
  kept.let_go();
  run_until([&root] { return root.done(); });
  EXPECT_EQ(root.take(), 8);
}

TEST_P(NativeContract, AHomeLoopCanBeDestroyedAsSoonAsItsTaskIsBack) {
  Elsewhere elsewhere(rig());
  for (int i = 0; i < 200; ++i) {
    const auto home = rig().loop();
    EXPECT_EQ(run_by(rig(), *home, on(elsewhere.loop(), quick(i, i % 3))), i);
    EXPECT_EQ(home->active(), 0u);
  }
}

TEST_P(NativeContract, AHomeLoopCanBeDestroyedAsSoonAsItsCanceledTaskIsBack) {
  Elsewhere elsewhere(rig());
  for (int i = 0; i < 200; ++i) {
    const auto home = rig().loop();
    const auto program = [&]() -> Task<Expected<int>> {
      co_return co_await timeout(std::chrono::microseconds(i % 40),
                                 run_on(elsewhere.loop(), quick(i, i % 5)));
    };
    const auto result = run_by(rig(), *home, program());
    if (result) {
      EXPECT_EQ(result, i);
    } else {
      EXPECT_EQ(result.error(), Errc::timed_out);
    }
    EXPECT_EQ(home->active(), 0u);
  }
}

TEST_P(NativeContract, DrainingTheHomeLoopCancelsTheTaskOnTheOther) {
  Elsewhere elsewhere(rig());
  std::latch begun(1);
  Root<Expected<void>> root(loop(), on(elsewhere.loop(), wait_long(begun)));
  while (!begun.try_wait()) look();
  EXPECT_TRUE(loop().drain());
  ASSERT_TRUE(root.done());
  const auto result = root.take();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), Errc::operation_canceled);
}

TEST_P(NativeContract, WhatATaskWasGivenIsDestroyedOnTheThreadThatRanItBeforeItIsBack) {
  Elsewhere elsewhere(rig());
  struct Given {
    std::thread::id& destroyed;
    bool owner = true;
    explicit Given(std::thread::id& id) : destroyed(id) {}
    Given(Given&& other) noexcept
        : destroyed(other.destroyed), owner(std::exchange(other.owner, false)) {}
    Given& operator=(Given&&) = delete;
    ~Given() {
      if (owner) destroyed = std::this_thread::get_id();
    }
  };
  std::thread::id ran;
  std::thread::id destroyed;
  const auto there = [&ran](Given given) -> Task<Expected<void>> {
    EXPECT_TRUE(given.owner);
    ran = std::this_thread::get_id();
    co_return co_await yield();
  };
  EXPECT_TRUE(run_by(rig(), loop(), on(elsewhere.loop(), there(Given(destroyed)))));
  EXPECT_NE(ran, std::this_thread::get_id());
  EXPECT_EQ(destroyed, ran);
}

TEST_P(NativeContract, GoingToAnotherLoopAndBackAllocatesAFrameThatStaysThereAtMost) {
  Elsewhere elsewhere(rig());
  std::size_t warm = 0;
  const auto program = [&]() -> Task<Expected<void>> {
    for (int i = 0; i < 1'000; ++i) {
      if (i == 100) warm = allocations();
      co_await ok(run_on(elsewhere.loop(), quick(i, 1)));
    }
    co_return {};
  };
  EXPECT_TRUE(run_by(rig(), loop(), program()));
  EXPECT_LE(allocations() - warm, 900u);
}

// Tasks that were made on one thread and are destroyed on another, as the one that
// awaits run_on() does with what it was given.
TEST_P(NativeContract, TasksMadeThereAndAwaitedHereAreFreedHere) {
  Elsewhere elsewhere(rig());
  const auto make = [](int value) -> Task<std::unique_ptr<Task<Expected<int>>>> {
    co_return std::make_unique<Task<Expected<int>>>(quick(value, 1));
  };
  const auto program = [&]() -> Task<Expected<int>> {
    int sum = 0;
    for (int i = 0; i < 1'000; ++i) {
      const auto made = co_await ok(run_on(elsewhere.loop(), make(1)));
      if (i % 2 == 0) continue;  // never begun
      sum += co_await ok(std::move(*made));
    }
    co_return sum;
  };
  EXPECT_EQ(run_by(rig(), loop(), program()), 500);
}

// run_blocking ---------------------------------------------------------------------------

namespace {

// A blocking function that goes on until it is let go.
class Blocking {
 public:
  Task<Expected<int>> task(int value) {
    co_return co_await run_blocking([this, value] {
      thread_ = std::this_thread::get_id();
      begun_.count_down();
      open_.wait();
      return value;
    });
  }
  void wait_until_begun() { begun_.wait(); }
  void let_go() { open_.count_down(); }
  [[nodiscard]] std::thread::id thread() const { return thread_; }

 private:
  std::thread::id thread_;
  std::latch begun_{1};
  std::latch open_{1};
};

}  // namespace

TEST_P(NativeContract, ABlockingFunctionDoesNotKeepItsLoopWaiting) {
  Blocking blocking;
  const auto program = [&]() -> Task<Expected<int>> {
    const auto let_go = [&]() -> Task<Expected<void>> {
      co_await ok(yield());
      blocking.wait_until_begun();
      co_await ok(sleep(10us));
      blocking.let_go();
      co_return {};
    };
    const auto [value, let] = co_await when_all(blocking.task(3), let_go());
    co_await ok(let);
    co_return value;
  };
  EXPECT_EQ(run_by(rig(), loop(), program()), 3);
  EXPECT_NE(blocking.thread(), std::this_thread::get_id());
}

TEST_P(NativeContract, ABlockingFunctionThatWasCanceledWhileItRunsEndsLateWithItsRealResult) {
  Blocking blocking;
  Root<Expected<int>> root(loop(), blocking.task(42));
  look();
  look();
  blocking.wait_until_begun();
  root.cancel();
  for (int i = 0; i < 5; ++i) look();
  EXPECT_FALSE(root.done());
  blocking.let_go();
  run_until([&root] { return root.done(); });
  EXPECT_EQ(root.take(), 42);
}

TEST_P(NativeContract, ABlockingFunctionThatWasCanceledBeforeItBeganIsNeverCalled) {
  std::deque<Blocking> all(ThreadPool::Options{}.threads);
  std::deque<Root<Expected<int>>> roots;
  for (Blocking& blocking : all) roots.emplace_back(loop(), blocking.task(1));
  look();
  look();
  for (Blocking& blocking : all) blocking.wait_until_begun();
  // Now no thread is free.
  bool called = false;
  const auto behind = [&called]() -> Task<Expected<void>> {
    co_return co_await run_blocking([&called] { called = true; });
  };
  Root<Expected<void>> root(loop(), behind());
  look();
  look();
  root.cancel();
  run_until([&root] { return root.done(); });
  const auto result = root.take();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), Errc::operation_canceled);
  for (Blocking& blocking : all) blocking.let_go();
  for (auto& other : roots) {
    run_until([&other] { return other.done(); });
    EXPECT_EQ(other.take(), 1);
  }
  EXPECT_FALSE(called);
}

TEST_P(NativeContract, ABlockingFunctionOfAnotherLoopsTaskIsOnThatLoopsPool) {
  Elsewhere elsewhere(rig());
  const auto there = []() -> Task<Expected<int>> {
    const std::thread::id before = std::this_thread::get_id();
    const int value = co_await ok(run_blocking([before] {
      EXPECT_NE(std::this_thread::get_id(), before);
      return 9;
    }));
    EXPECT_EQ(std::this_thread::get_id(), before);
    co_return value;
  };
  EXPECT_EQ(run_by(rig(), loop(), on(elsewhere.loop(), there())), 9);
}

}  // namespace wev::test
