// What the loop allocates, and what happens when it cannot.
#include <array>
#include <deque>

#include "rig/contract.hpp"
#include "support/allocations.hpp"

namespace wev::test {

namespace {

// Without the fixture's books, which allocate.
struct Counter {
  Completion completion;
  int left = 0;

  static Action again(void* userdata, Loop&, Completion&, Result) {
    return --static_cast<Counter*>(userdata)->left > 0 ? Action::rearm : Action::disarm;
  }
};

}  // namespace

TEST_P(Contract, OnceWarmNothingIsAllocated) {
  std::array<Counter, 40> timers;
  Counter posted;
  Counter waiting;
  Counter reading;
  Counter writing;
  Counter noop;
  Counter cancel;
  std::byte byte[1] = {};
  Async& async = this->async();
  Pair ends;
  if (traits().no_pipes == nullptr) ends = pipe();
  const auto round = [&] {
    for (std::size_t i = 0; i < timers.size(); ++i) {
      timers[i].left = 3;
      loop().timer(timers[i].completion, std::chrono::microseconds(i % 7), &timers[i],
                   Counter::again);
    }
    loop().post(posted.completion, &posted, Counter::again);
    loop().add(waiting.completion, op::async_wait(async), &waiting, Counter::again,
               loop().now() + 1h);
    async.notify();
    loop().add(noop.completion, op::noop(), &noop, Counter::again);
    loop().cancel(cancel.completion, timers[5].completion, &cancel, Counter::again);
    if (ends.reader >= 0) {
      reading.left = writing.left = 3;
      loop().add(writing.completion, op::write(ends.writer, byte), &writing, Counter::again);
      loop().add(reading.completion, op::read(ends.reader, byte), &reading, Counter::again);
    }
    EXPECT_TRUE(rig().run(loop()));
  };
  for (int i = 0; i < 3; ++i) round();
  if (ends.reader >= 0) {  // and once where it has to wait
    loop().add(reading.completion, op::read(ends.reader, byte), &reading, Counter::again,
               loop().now() + 1ms);
    EXPECT_TRUE(rig().run(loop()));
  }
  const std::size_t before = allocations();
  for (int i = 0; i < 10; ++i) round();
  EXPECT_EQ(allocations(), before);
}

TEST_P(Contract, GrowthThatFailsIsThatOperationsNotEnoughMemory) {
  // Enough that no array's first piece holds them.
  std::deque<Counter> counters(100);
  int failed = 0;
  int fired = 0;
  struct State {
    int& failed;
    int& fired;
  } state{failed, fired};
  for (Counter& counter : counters) {
    loop().add(counter.completion, op::timer(1ms), &state,
               [](void* userdata, Loop&, Completion&, Result result) {
                 auto& s = *static_cast<State*>(userdata);
                 if (result) ++s.fired;
                 if (!result && result.error() == std::errc::not_enough_memory) ++s.failed;
                 return Action::disarm;
               });
  }
  {
    const NoMemory no_memory;
    (void)loop().tick(RunMode::no_wait);
  }
  EXPECT_GT(failed, 0);
  run();
  EXPECT_EQ(failed + fired, 100);
  // And it goes on.
  timer("later", 1ms);
  run();
  EXPECT_EQ(log(), "later");
}

TEST_P(Contract, ADescriptorThatCannotBeKeptFailsItsOperation) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  struct State {
    Completion completion;
    std::byte byte[1] = {};
    Result result = 99;
    static Action end(void* userdata, Loop&, Completion&, Result result) {
      static_cast<State*>(userdata)->result = result;
      return Action::disarm;
    }
  } first;
  {
    const NoMemory no_memory;
    loop().add(first.completion, op::read(reader, first.byte), &first, State::end);
    (void)loop().tick(RunMode::no_wait);
  }
  EXPECT_EQ(first.result, Result(std::unexpected(Error(std::errc::not_enough_memory))));
  EXPECT_EQ(rig().write(writer, "x"), Result(1));
  loop().add(first.completion, op::read(reader, first.byte), &first, State::end);
  run();
  EXPECT_EQ(first.result, Result(1));
}

// Or the loop of a program that never waited fails where it first does.
TEST_P(Contract, WaitingNeedsNoMemory) {
  Counter timer;
  timer.left = 1;
  loop().timer(timer.completion, 20ms, &timer, Counter::again);
  EXPECT_TRUE(loop().tick(RunMode::no_wait));
  std::expected<void, Error> ended;
  {
    const NoMemory no_memory;
    ended = rig().run(loop());
  }
  EXPECT_TRUE(ended);
  EXPECT_EQ(timer.left, 0);
  run();
}

TEST_P(Contract, APostedFunctionWithoutMemoryIsRefused) {
  int calls = 0;
  {
    const NoMemory no_memory;
    EXPECT_FALSE(loop().post([&] { ++calls; }));
  }
  run();
  EXPECT_EQ(calls, 0);
}

}  // namespace wev::test
