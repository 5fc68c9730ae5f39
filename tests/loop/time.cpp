// The clock and the timers.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "rig/contract.hpp"

namespace wev::test {

TEST_P(Contract, NowIsReadOncePerTickAndByUpdateNow) {
  NEEDS(still_clock);
  const Instant before = loop().now();
  rig().busy(loop(), 2ms);
  EXPECT_EQ(loop().now(), before);
  loop().update_now();
  EXPECT_GE(loop().now(), before + 2ms);

  Probe& a = probe("a", [&](Probe&) {
    const Instant during = loop().now();
    rig().busy(loop(), 2ms);
    EXPECT_EQ(loop().now(), during);
    return Action::disarm;
  });
  timer(a, 1ms);
  run();
}

// Whatever the program has done since the loop last read the clock.
TEST_P(Contract, ADelayCountsFromWhenItIsGiven) {
  Probe& before = timer("before", 20ms);
  Probe& moved = timer("moved", 1h);
  const Instant first = before.completion.deadline();
  rig().busy(loop(), 5ms);
  Probe& after = timer("after", 20ms);
  EXPECT_GE(after.completion.deadline(), first + 5ms);
  if (traits().no_still_clock == nullptr) {
    EXPECT_EQ(after.completion.deadline(), loop().now() + 20ms);
  }
  rig().busy(loop(), 5ms);
  EXPECT_TRUE(reset(moved, 20ms));
  EXPECT_GE(moved.completion.deadline(), first + 10ms);
  run();
  EXPECT_EQ(log(), "before after moved");
}

// In one batch of callbacks, too.
TEST_P(Contract, ADelayThatIsGivenByABusyCallbackCountsFromThere) {
  std::vector<Instant> asked;
  std::vector<Instant> due;
  for (int i = 0; i < 3; ++i) {
    Probe& busy = probe("busy", [&](Probe&) {
      rig().busy(loop(), 3ms);
      asked.push_back(loop().backend().now());
      due.push_back(timer("timer", 1ms).completion.deadline());
      return Action::disarm;
    });
    add(busy, op::noop());
  }
  run();
  ASSERT_EQ(due.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_GE(due[i], asked[i] + 1ms);
}

TEST_P(Contract, TimersFireEarliestFirst) {
  timer("c", 30ms);
  timer("a", 10ms);
  timer("d", 40ms);
  timer("b", 20ms);
  run();
  EXPECT_EQ(log(), "a b c d");
}

// Programs lean on this, and a plain heap does not give it.
TEST_P(Contract, TimersWithEqualDeadlinesFireInSubmissionOrder) {
  const Instant sooner = loop().now() + 10ms;
  const Instant later = loop().now() + 20ms;
  start("a", op::timer_at(later));
  start("b", op::timer_at(later));
  start("x", op::timer_at(sooner));
  start("c", op::timer_at(later));
  start("y", op::timer_at(sooner));
  start("d", op::timer_at(later));
  run();
  EXPECT_EQ(log(), "x y a b c d");
}

TEST_P(Contract, ATimerNeverFiresEarly) {
  for (const Duration delay : {1ns, 999ns, 1'000ns, 333'333ns, 999'999ns, 1'000'000ns, 1'000'001ns,
                               1'500'000ns, 2'999'999ns, 10'000'001ns}) {
    Probe& p = probe({}, [this](Probe& self) {
      EXPECT_GE(loop().now(),
                self.completion.deadline() - self.completion.operation().timer.period);
      EXPECT_GE(loop().backend().now(),
                self.completion.deadline() - self.completion.operation().timer.period);
      return Action::disarm;
    });
    loop().update_now();
    const Instant deadline = loop().now() + delay;
    timer(p, delay);
    EXPECT_GE(p.completion.deadline(), deadline);
    if (traits().no_still_clock == nullptr) {
      EXPECT_EQ(p.completion.deadline(), loop().now() + delay);
    }
    run();
    EXPECT_END(p, Result(p.result().value_or(0)));
    EXPECT_GE(loop().backend().now(), deadline);
  }
}

TEST_P(Contract, AZeroOrNegativeDelayFiresInTheNextTick) {
  Probe& zero = timer("zero", 0ns);
  Probe& negative = timer("negative", -5s);
  Probe& least = timer("least", Duration::min());
  EXPECT_EQ(zero.calls() + negative.calls() + least.calls(), 0u);
  look();
  EXPECT_EQ(log(), "zero negative least");
}

TEST_P(Contract, ATimerAddedByATimersCallbackWaitsForTheNextTick) {
  Probe& inner = probe("inner");
  Probe& outer = probe("outer", [&](Probe&) {
    timer(inner, 0ns);
    return Action::disarm;
  });
  timer(outer, 0ns);
  look();
  EXPECT_EQ(log(), "outer");
  look();
  EXPECT_EQ(log(), "outer inner");
}

TEST_P(Contract, ARepeatingTimerDoesNotDrift) {
  Instant start_time;
  std::size_t periods = 0;
  Probe& beat = probe("beat", [&](Probe& self) {
    EXPECT_TRUE(self.result());
    periods += self.result().value_or(0);
    EXPECT_EQ(self.completion.deadline(), start_time + (periods + 1) * 4ms);
    EXPECT_GE(loop().now(), start_time + periods * 4ms);
    return periods < 6 ? Action::rearm : Action::disarm;
  });
  timer(beat, 4ms);
  start_time = beat.completion.deadline() - 4ms;
  run();
  EXPECT_GE(periods, 6u);
}

TEST_P(Contract, MissedPeriodsAreCountedNotReplayed) {
  Probe& beat =
      probe("beat", [](Probe& self) { return self.calls() < 2 ? Action::rearm : Action::disarm; });
  timer(beat, 50ms);
  look();
  rig().busy(loop(), 280ms);
  run();
  ASSERT_EQ(beat.calls(), 2u);
  EXPECT_GE(beat.results[0].value_or(0), 1u);
  EXPECT_GE(beat.results[1].value_or(0), 1u);
  EXPECT_GE(beat.results[0].value_or(0) + beat.results[1].value_or(0), 6u);
}

TEST_P(Contract, TheFirstDelayAndThePeriodMayDiffer) {
  const Instant start_time = loop().now();
  Probe& beat = probe("beat", [](Probe&) { return Action::disarm; });
  add(beat, op::timer(1ms, 30ms));
  const Instant first = beat.completion.deadline();
  EXPECT_GE(first, start_time + 1ms);
  if (traits().no_still_clock == nullptr) {
    EXPECT_EQ(first, loop().now() + 1ms);
  }
  run();
  const auto passed = static_cast<int>(beat.result().value_or(0));
  EXPECT_EQ(beat.completion.deadline(), first + passed * 30ms);
}

TEST_P(Contract, AnAbsoluteTimerFiresAtItsInstant) {
  const Instant at = loop().now() + 7ms;
  Probe& later = start("later", op::timer_at(at));
  Probe& past = start("past", op::timer_at(loop().now() - 1h));
  Probe& zero = start("zero", op::timer_at(Instant{}));
  run();
  EXPECT_TRUE(log().ends_with(" later")) << log();
  EXPECT_GE(loop().backend().now(), at);
  EXPECT_END(later, Result(1));
  EXPECT_END(past, Result(1));
  EXPECT_END(zero, Result(1));
}

TEST_P(Contract, AbsurdDurationsSaturate) {
  std::vector<Probe*> endless;
  const auto lend = [&](auto delay) {
    Probe& p = probe("endless");
    reset(p, saturate(delay));
    endless.push_back(&p);
  };
  lend(std::chrono::hours::max());
  lend(std::chrono::years(1'000'000));
  lend(Duration::max());
  lend(std::chrono::duration<double>(std::numeric_limits<double>::infinity()));
  lend(std::chrono::duration<double>(1e300));
  for (const Probe* p : endless) EXPECT_EQ(p->completion.deadline(), never);
  timer("short", 1ms);
  run(RunMode::once);
  EXPECT_EQ(log(), "short");
  for (Probe* p : endless) cancel(*p);
  run();
  for (const Probe* p : endless) EXPECT_END(*p, Errc::operation_canceled);

  Probe& p = probe("not a number");
  reset(p, saturate(std::chrono::duration<double>(std::nan(""))));
  look();
  EXPECT_END(p, Result(p.result().value_or(0)));
}

TEST_P(Contract, ManyTimersFireInOrderAndOnceEach) {
  struct State {
    Instant last{};
    std::size_t fired = 0;
    bool in_order = true;
  } state;
  const std::size_t count = traits().many_timers;
  const auto completions = std::make_unique<Completion[]>(count);
  std::uint32_t random = 1;
  for (std::size_t i = 0; i < count; ++i) {
    random = random * 1664525 + 1013904223;
    loop().add(completions[i], op::timer(std::chrono::microseconds(random >> 16), Duration(0)),
               &state, [](void* userdata, Loop& loop, Completion&, Result result) {
                 auto& s = *static_cast<State*>(userdata);
                 ++s.fired;
                 s.in_order = s.in_order && result.has_value() && s.last <= loop.now();
                 s.last = loop.now();
                 return Action::disarm;
               });
  }
  EXPECT_EQ(loop().active(), count);
  run();
  EXPECT_EQ(state.fired, count);
  EXPECT_TRUE(state.in_order);
  EXPECT_EQ(loop().active(), 0u);
}

// Reset, in every state a timer can be in -----------------------------------------

TEST_P(Contract, ResettingADeadTimerAddsIt) {
  Probe& p = probe("p");
  EXPECT_TRUE(reset(p, 1ms));
  EXPECT_EQ(p.state(), Completion::State::adding);
  run();
  EXPECT_EQ(log(), "p");
}

TEST_P(Contract, ResettingATimerBeforeItsFirstTickMovesIt) {
  Probe& p = timer("p", 1ms);
  EXPECT_TRUE(reset(p, 20ms));
  timer("q", 10ms);
  run();
  EXPECT_EQ(log(), "q p");
}

TEST_P(Contract, ResettingAnActiveTimerMovesItLaterOrEarlier) {
  Probe& late = timer("late", 200ms);
  Probe& early = timer("early", 1h);
  timer("middle", 240ms);
  look();
  EXPECT_EQ(late.state(), Completion::State::active);
  EXPECT_TRUE(reset(late, 260ms));
  EXPECT_TRUE(reset(early, 10ms));
  EXPECT_EQ(log(), "");
  run();
  EXPECT_EQ(log(), "early middle late");
}

TEST_P(Contract, ResettingTwiceTakesTheLast) {
  Probe& p = timer("p", 1h);
  look();
  EXPECT_TRUE(reset(p, 2h));
  EXPECT_TRUE(reset(p, 10ms));
  timer("q", 5ms);
  run();
  EXPECT_EQ(log(), "q p");
  EXPECT_EQ(p.calls(), 1u);
}

TEST_P(Contract, AResetTimerStandsBehindOthersOfTheSameDeadline) {
  NEEDS(still_clock);
  Probe& a = timer("a", 200ms);
  Probe& b = timer("b", 200ms);
  look();
  EXPECT_EQ(log(), "");
  EXPECT_TRUE(reset(a, b.completion.deadline() - loop().now()));
  run();
  EXPECT_EQ(log(), "b a");
}

TEST_P(Contract, ATimerCanResetItselfInItsCallback) {
  Probe& p = probe("p", [this](Probe& self) {
    if (self.calls() < 3) reset(self, 1ms);
    return Action::disarm;
  });
  timer(p, 1ms);
  run();
  EXPECT_EQ(p.calls(), 3u);
}

TEST_P(Contract, AResetPeriodIsThatOfTheReset) {
  Probe& p = timer("p", 1h);
  look();
  const Instant from = loop().now();
  reset(p, 3ms);
  EXPECT_GE(p.completion.deadline(), from + 3ms);
  EXPECT_LT(p.completion.deadline(), from + 1h);
  if (traits().no_still_clock == nullptr) {
    EXPECT_EQ(p.completion.deadline(), loop().now() + 3ms);
  }
  EXPECT_EQ(p.completion.operation().timer.period, 3ms);
  run();
}

TEST_P(Contract, ATimerThatIsBeingCancelledIsNotReset) {
  Probe& p = timer("p", 1h);
  look();
  cancel(p);
  EXPECT_FALSE(reset(p, 1ms));
  run();
  EXPECT_END(p, Errc::operation_canceled);
  EXPECT_EQ(p.calls(), 1u);
  EXPECT_TRUE(reset(p, 1ms));  // dead by now
  run();
  EXPECT_EQ(p.calls(), 2u);
}

TEST_P(Contract, ADueTimerCanBeMovedAwayByTheOneBefore) {
  Probe& second = probe("second");
  Probe& first = probe("first", [&](Probe&) {
    reset(second, 5ms);
    return Action::disarm;
  });
  timer(first, 0ns);
  timer(second, 0ns);
  look();
  EXPECT_EQ(log(), "first");
  run();
  EXPECT_EQ(log(), "first second");
  EXPECT_EQ(second.calls(), 1u);
}

// A deadline for any operation --------------------------------------------------------

TEST_P(Contract, AnAsyncWaitEndsAtItsDeadline) {
  Async& async = this->async();
  const Instant deadline = loop().now() + 5ms;
  Probe& p = start("p", op::async_wait(async), deadline);
  run();
  EXPECT_END(p, Errc::timed_out);
  EXPECT_EQ(p.result().error(), std::errc::timed_out);
  EXPECT_FALSE(p.result().error() == Error(std::errc::timed_out));  // not the kernel's
  EXPECT_GE(loop().backend().now(), deadline);
}

TEST_P(Contract, AReadEndsAtItsDeadlineAndCanBeGivenANewOne) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<16>();
  Probe& p = probe("p", [&](Probe& self) {
    self.completion.set_deadline(loop().now() + 3ms);
    return self.calls() < 3 ? Action::rearm : Action::disarm;
  });
  add(p, op::read(reader, buffer.bytes), loop().now() + 5ms);
  run();
  ASSERT_EQ(p.calls(), 3u);
  for (const Result& result : p.results) {
    EXPECT_EQ(result, Result(std::unexpected(Errc::timed_out)));
  }
}

TEST_P(Contract, AQueuedOperationHasItsDeadlineToo) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  auto& first = make_buffer<4>();
  auto& second = make_buffer<4>();
  Probe& a = start("a", op::read(reader, first.bytes));
  Probe& b = start("b", op::read(reader, second.bytes), loop().now() + 3ms);
  run_until([&] { return b.calls() > 0; });
  EXPECT_END(b, Errc::timed_out);
  EXPECT_EQ(a.calls(), 0u);
  EXPECT_EQ(rig().write(writer, "1234"), Result(4));
  run();
  EXPECT_EQ(first.text(a.result().value_or(0)),
            std::string("1234").substr(0, a.result().value_or(0)));
}

// The loop was busy past both. Bytes that come just after it are not lost.
TEST_P(Contract, WhatCameBeforeADeadlineWins) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<4>();
  loop().update_now();
  const Instant deadline = loop().now() + 50ms;
  Probe& p = start("p", op::read(reader, buffer.bytes), deadline);
  look();
  const bool in_time = loop().backend().now() + 1ms < deadline;
  (void)rig().write(writer, "abcd");
  rig().busy(loop(), 60ms);
  run();
  std::string received;
  if (p.result()) received = buffer.text(*p.result());
  EXPECT_TRUE(p.result() || (!in_time && p.result().error() == Errc::timed_out));
  EXPECT_EQ(received + rig().read_all(reader), "abcd");
}

TEST_P(Contract, ANotificationBeforeADeadlineWins) {
  Async& async = this->async();
  Probe& p = start("p", op::async_wait(async), loop().now() + 5ms);
  look();
  const bool waits = p.calls() == 0;
  notify(async);
  rig().busy(loop(), 10ms);
  run();
  EXPECT_END(p, waits ? Result(0) : Result(std::unexpected(Error(Errc::timed_out))));
}

// What can end at once does, though the deadline has passed when it is begun.
TEST_P(Contract, ADeadlineThatHasPassedLetsWhatIsThereEnd) {
  NEEDS(pipes);
  NEEDS(prompt_ends);
  const auto [reader, writer] = pipe();
  auto& first = make_buffer<4>();
  auto& second = make_buffer<4>();
  (void)rig().write(writer, "abcdefgh");
  Probe& a = start("a", op::read(reader, first.bytes), loop().now());
  Probe& behind = start("behind", op::read(reader, second.bytes), loop().now());
  run();
  EXPECT_GT(a.result().value_or(0), 0u);
  EXPECT_GT(behind.result().value_or(0), 0u);
  while (!rig().read_all(reader).empty()) {
  }
  Probe& nothing = start("nothing", op::read(reader, second.bytes), loop().now());
  run();
  EXPECT_END(nothing, Errc::timed_out);
}

TEST_P(Contract, ATimerEndsAtADeadlineThatIsSooner) {
  const Instant start = loop().now();
  Probe& cut = this->start("cut", op::timer(1h), start + 3ms);
  Probe& whole = this->start("whole", op::timer(1ms), start + 1h);
  Probe& at = this->start("at", op::timer_at(start + 1h), start + 4ms);
  Probe& beat =
      probe("beat", [](Probe& self) { return self.result() ? Action::rearm : Action::disarm; });
  add(beat, op::timer(2ms), start + 9ms);
  run();
  EXPECT_END(cut, Errc::timed_out);
  EXPECT_END(at, Errc::timed_out);
  EXPECT_TRUE(whole.result());
  EXPECT_FALSE(beat.result());
  EXPECT_EQ(beat.result().error(), Errc::timed_out);
  EXPECT_GE(loop().backend().now(), start + 9ms);
  // A reset takes the deadline away.
  Probe& moved = this->start("moved", op::timer(1h), loop().now() + 1h);
  EXPECT_TRUE(reset(moved, 1ms));
  run();
  EXPECT_TRUE(moved.result());
}

TEST_P(Contract, AFinishedOperationsDeadlineIsGone) {
  Async& async = this->async();
  Probe& p = start("p", op::async_wait(async), loop().now() + 200ms);
  look();
  notify(async);
  look();
  const bool stalled = p.results[0] == Result(std::unexpected(Error(Errc::timed_out)));
  EXPECT_END(p, stalled ? Result(std::unexpected(Error(Errc::timed_out))) : Result(0));
  timer("q", 210ms);
  run();
  EXPECT_EQ(p.calls(), 1u);
}

}  // namespace wev::test
