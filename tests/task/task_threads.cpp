// Tasks, and what happens on other threads.
#include <array>
#include <atomic>
#include <memory>

#include "rig/contract.hpp"
#include "support/threads.hpp"
#include "task/tasks.hpp"
#include "wev/task/channel.hpp"
#include "wev/task/ok.hpp"
#include "wev/task/run.hpp"
#include "wev/task/run_on.hpp"
#include "wev/task/timeout.hpp"

namespace wev::test {

namespace {

Task<Expected<int>> call(std::atomic<int>& calls) {
  co_return co_await run_blocking([&calls] { return ++calls; });
}

Task<Expected<void>> wait_for(Async& async) { co_return co_await async; }

}  // namespace

// Blocking functions -----------------------------------------------------------------------

TEST_P(ContractWithThreads, WhatABlockingFunctionReturnsIsWhatItsTaskGets) {
  bool called = false;
  const auto program = [&called]() -> Task<Expected<int>> {
    const Expected<int> number = co_await run_blocking([] { return 5; });
    EXPECT_EQ(number, 5);
    const Expected<void> nothing = co_await run_blocking([&called] { called = true; });
    EXPECT_TRUE(nothing);
    Expected<std::unique_ptr<int>> owner =
        co_await run_blocking([] { return std::make_unique<int>(6); });
    EXPECT_EQ(*owner.value(), 6);
    const auto error = co_await run_blocking(
        []() -> Expected<int> { return std::unexpected(std::errc::broken_pipe); });
    EXPECT_FALSE(error);
    EXPECT_EQ(error.error(), std::errc::broken_pipe);
    // By name: g++ 12 destroys a lambda that is made inside of a co_await twice.
    auto owns = [given = std::make_unique<int>(7)] { return *given; };
    co_return co_await run_blocking(std::move(owns));
  };
  EXPECT_EQ(run_by(rig(), loop(), program()), 7);
  EXPECT_TRUE(called);
}

TEST_P(ContractWithThreads, ABlockingFunctionIsCalledOnceAndItsResultIsKeptOrNotAtAll) {
  for (int round = 0; round < 200; ++round) {
    std::atomic<int> calls{0};
    Root<Expected<int>> root(loop(), call(calls));
    for (int ticks = 0; ticks < round % 5 && !root.done(); ++ticks) look();
    root.cancel();
    run_until([&root] { return root.done(); });
    const Expected<int> result = root.take();
    if (result) {
      EXPECT_EQ(result, 1);
      EXPECT_EQ(calls, 1);
    } else {
      EXPECT_EQ(result.error(), Errc::operation_canceled);
      EXPECT_EQ(calls, 0);
    }
  }
}

// Notifications ----------------------------------------------------------------------------

TEST_P(ContractWithThreads, NoNotifyIsLostForATaskThatGivesUpWaitingNowAndThen) {
  NEEDS(threads);
  constexpr int rounds = 2'000;
  Async& async = this->async();
  std::atomic<int> sent{0};
  const auto program = [&]() -> Task<Expected<int>> {
    for (int i = 0; i < 200; ++i) {
      const auto waited = co_await timeout(std::chrono::microseconds(i % 20), wait_for(async));
      EXPECT_TRUE(waited || waited.error() == Errc::timed_out);
    }
    // Ends only if the last one comes, or is remembered.
    while (sent.load(std::memory_order_relaxed) < rounds) co_await ok(wait_for(async));
    co_return sent.load(std::memory_order_relaxed);
  };
  const Joiner join = spawn([&] {
    for (int i = 0; i < rounds; ++i) {
      sent.fetch_add(1, std::memory_order_relaxed);
      async.notify();
    }
  });
  EXPECT_EQ(run_by(rig(), loop(), program()), rounds);
  join();
  look();
}

TEST_P(ContractWithThreads, WhatThreadsPostIntoAChannelIsReceivedOnceInEachThreadsOrder) {
  NEEDS(threads);
  constexpr int threads = 4;
  constexpr int rounds = 500;
  struct Message {
    int thread;
    int number;
  };
  Channel<Message> channel(threads * rounds);
  ASSERT_GT(channel.capacity(), 0u);
  Probe& held = start("held", op::async_wait(async()));
  const auto program = [&]() -> Task<Expected<int>> {
    std::array<int, threads> next{};
    for (int i = 0; i < threads * rounds; ++i) {
      const Message message = co_await ok(channel.receive());
      EXPECT_EQ(message.number, next[static_cast<std::size_t>(message.thread)]++);
    }
    co_return threads* rounds;
  };
  std::vector<Joiner> running;
  for (int t = 0; t < threads; ++t) {
    running.push_back(spawn([&, t] {
      for (int i = 0; i < rounds; ++i) {
        EXPECT_TRUE(loop().post([&channel, t, i] {
          Message message{t, i};
          EXPECT_TRUE(channel.try_send(message));
        }));
      }
    }));
  }
  EXPECT_EQ(run_by(rig(), loop(), program()), threads * rounds);
  for (const Joiner& join : running) join();
  EXPECT_EQ(held.calls(), 0u);
}

}  // namespace wev::test
