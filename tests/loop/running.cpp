// Running, stopping and draining.
#include "rig/contract.hpp"

namespace wev::test {

TEST_P(Contract, RunningWithNothingToDoReturns) {
  run();
  run(RunMode::once);
  run(RunMode::no_wait);
  EXPECT_EQ(rig().tick(loop()), (std::expected<std::size_t, Error>(0)));
}

TEST_P(Contract, ANoopEndsOnTheNextTickWithZero) {
  Probe& p = start("p", op::noop());
  EXPECT_EQ(p.state(), Completion::State::adding);
  EXPECT_EQ(p.calls(), 0u);
  EXPECT_EQ(loop().active(), 1u);
  look();
  EXPECT_END(p, Result(0));
  EXPECT_EQ(loop().active(), 0u);
}

TEST_P(Contract, NoWaitNeverSleeps) {
  timer("an hour", 1h);
  const Instant before = loop().backend().now();
  for (int i = 0; i < 3; ++i) run(RunMode::no_wait);
  EXPECT_LT(loop().backend().now(), before + 1min);
  EXPECT_EQ(log(), "");
}

TEST_P(Contract, OnceRunsUntilSomethingWasCalledBack) {
  timer("a", 5ms);
  Probe& b = timer("b", 1h);
  run(RunMode::once);
  EXPECT_EQ(log(), "a");
  reset(b, 5ms);
  run(RunMode::once);
  EXPECT_EQ(log(), "a b");
}

TEST_P(Contract, UntilDoneRunsUntilNothingIsActive) {
  Probe& p = probe("p", [this](Probe& self) {
    if (self.calls() < 4) timer(self, 1ms);
    return Action::disarm;
  });
  timer(p, 1ms);
  run();
  EXPECT_EQ(p.calls(), 4u);
}

TEST_P(Contract, NestedRunsAreRefused) {
  Probe& p = probe("p", [this](Probe&) {
    EXPECT_EQ(loop().run().error(), Errc::nested_run);
    EXPECT_EQ(loop().tick().error(), Errc::nested_run);
    EXPECT_EQ(loop().drain().error(), Errc::nested_run);
    return Action::disarm;
  });
  timer(p, 0ns);
  run();
  EXPECT_EQ(p.calls(), 1u);
}

TEST_P(Contract, StopEndsTheRunAtTheEndOfItsTickAndTheNextGoesOn) {
  Probe& a = probe("a", [this](Probe&) {
    loop().stop();
    return Action::disarm;
  });
  timer(a, 0ns);
  timer("b", 0ns);
  Probe& c = timer("c", 1h);
  run();
  EXPECT_EQ(log(), "a b");  // b was due in the same tick
  EXPECT_EQ(loop().active(), 1u);
  reset(c, 5ms);
  run();
  EXPECT_EQ(log(), "a b c");
}

TEST_P(Contract, AStopBeforeTheRunMakesItOneTickThatDoesNotSleep) {
  timer("later", 1h);
  timer("now", 0ns);
  loop().stop();
  const Instant before = loop().backend().now();
  run();
  EXPECT_LT(loop().backend().now(), before + 1min);
  EXPECT_EQ(log(), "now");
}

// One that always has something else to do.
TEST_P(Contract, ABusyLoopLooksAtItsDescriptors) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<8>();
  Probe& reading = start("reading", op::read(reader, buffer.bytes));
  look();
  Probe& busy = probe({}, [&](Probe& self) {
    if (self.calls() == 3) {
      EXPECT_EQ(rig().write(writer, "x"), Result(1));
    }
    // So that one that never looks ends here, too.
    return reading.calls() == 0 && self.calls() < 10'000'000 ? Action::rearm : Action::disarm;
  });
  add(busy, op::noop());
  run_until([&] { return busy.completion.state() == Completion::State::dead; });
  EXPECT_END(reading, Result(1));
}

TEST_P(Contract, ABusyLoopsClockGoesOn) {
  Probe& slept = timer("slept", 1ms);
  Probe& busy = probe({}, [&](Probe& self) {
    rig().busy(loop(), 10us);
    return slept.calls() == 0 && self.calls() < 10'000'000 ? Action::rearm : Action::disarm;
  });
  add(busy, op::noop());
  const Instant before = loop().now();
  run();
  EXPECT_EQ(slept.calls(), 1u);
  EXPECT_GE(loop().now(), before + 1ms);
}

TEST_P(Contract, WhatACallbackAddsWaitsForTheNextTick) {
  Probe& inner = probe("inner");
  Probe& outer = probe("outer", [&](Probe&) {
    add(inner, op::noop());
    return Action::disarm;
  });
  add(outer, op::noop());
  look();
  EXPECT_EQ(log(), "outer");
  look();
  EXPECT_EQ(log(), "outer inner");
}

// Post ------------------------------------------------------------------------------

TEST_P(Contract, PostsRunInOrder) {
  Probe& a = probe("a");
  Probe& b = probe("b");
  Probe& c = probe("c");
  post(a);
  post(b);
  post(c);
  EXPECT_EQ(log(), "");
  run();
  EXPECT_EQ(log(), "a b c");
  EXPECT_END(a, Result(0));
}

TEST_P(Contract, APostedFunctionRunsOnceOnTheLoopsThread) {
  int calls = 0;
  auto owned_by_function = std::make_unique<int>(7);
  EXPECT_TRUE(loop().post([&calls, owner = std::move(owned_by_function)] { calls += *owner; }));
  EXPECT_EQ(calls, 0);
  run();
  EXPECT_EQ(calls, 7);
  run();
  EXPECT_EQ(calls, 7);
}

TEST_P(Contract, APostFromACallbackIsNotLost) {
  Probe& posted = probe("posted");
  Probe& p = probe("p", [&](Probe&) {
    post(posted);
    return Action::disarm;
  });
  add(p, op::noop());
  run();
  EXPECT_EQ(log(), "p posted");
}

TEST_P(Contract, APostCanBeCancelled) {
  Probe& p = probe("p");
  post(p);
  cancel(p);
  run();
  EXPECT_END(p, Errc::operation_canceled);
}

// Unref -----------------------------------------------------------------------------

TEST_P(Contract, AnUnreferencedCompletionDoesNotHoldTheLoopOpen) {
  Probe& heartbeat = timer("heartbeat", 1h);
  loop().unref(heartbeat.completion);
  EXPECT_EQ(loop().active(), 0u);
  loop().unref(heartbeat.completion);  // harmless
  timer("work", 2ms);
  run();
  EXPECT_EQ(log(), "work");
  EXPECT_EQ(heartbeat.state(), Completion::State::active);

  loop().ref(heartbeat.completion);
  loop().ref(heartbeat.completion);
  EXPECT_EQ(loop().active(), 1u);
  cancel(heartbeat);
  run();
  EXPECT_END(heartbeat, Errc::operation_canceled);
}

TEST_P(Contract, RearmKeepsACompletionUnreferenced) {
  Probe& beat = probe("beat", [](Probe&) { return Action::rearm; });
  timer(beat, 1ms);
  loop().unref(beat.completion);
  timer("work", 10ms);
  run();
  EXPECT_GE(beat.calls(), 1u);
  EXPECT_EQ(loop().active(), 0u);
  EXPECT_NE(beat.state(), Completion::State::dead);
}

// Drain -----------------------------------------------------------------------------

TEST_P(Contract, DrainEndsEverythingOnce) {
  Async& async = this->async();
  std::vector<Probe*> all;
  all.push_back(&timer("t", 1h));
  all.push_back(&start("w", op::async_wait(async)));
  loop().unref(all.back()->completion);
  all.push_back(&start("n", op::noop()));
  auto& buffer = make_buffer<8>();
  if (traits().no_pipes == nullptr) {
    const auto [reader, writer] = pipe();
    all.push_back(&start("r", op::read(reader, buffer.bytes)));
    all.push_back(&start("q", op::read(reader, buffer.bytes)));
    all.push_back(&start("p", op::poll_readable(reader), loop().now() + 1h));
  }
  look();
  all.push_back(&timer("u", 2h));  // still adding
  Probe& posted = probe("posted");
  post(posted);
  all.push_back(&posted);
  const auto drained = loop().drain();
  EXPECT_TRUE(drained);
  for (const Probe* p : all) {
    EXPECT_EQ(p->calls(), 1u) << p->name;
    EXPECT_EQ(p->state(), Completion::State::dead) << p->name;
  }
  EXPECT_EQ(loop().active(), 0u);
}

TEST_P(Contract, DrainEndsWhatCallbacksAddMeanwhileAndIgnoresRearm) {
  Probe& added = probe("added");
  Probe& p = probe("p", [&](Probe& self) {
    if (self.calls() == 1) timer(added, 1h);
    return Action::rearm;
  });
  timer(p, 1h);
  look();
  EXPECT_TRUE(loop().drain());
  EXPECT_EQ(p.calls(), 1u);
  EXPECT_END(added, Errc::operation_canceled);
}

TEST_P(Contract, DrainCarriesClosesOut) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  Probe& closed = start("closed", op::close(writer));
  EXPECT_TRUE(loop().drain());
  EXPECT_END(closed, Result(0));
  auto& buffer = make_buffer<4>();
  EXPECT_EQ(rig().perform(op::read(reader, buffer.bytes)), Result(0));
}

TEST_P(Contract, ALoopCanBeUsedAfterDrain) {
  timer("a", 1h);
  EXPECT_TRUE(loop().drain());
  timer("b", 1ms);
  run();
  EXPECT_EQ(log(), "a b");
}

// Blocking functions -------------------------------------------------------------------

TEST_P(Contract, ABlockingFunctionsResultIsDelivered) {
  struct Work {
    int calls = 0;
  } works[3];
  std::vector<Probe*> probes;
  for (Work& work : works) {
    probes.push_back(&start("w", op::run_blocking(
                                     [](void* argument) noexcept -> Result {
                                       ++static_cast<Work*>(argument)->calls;
                                       return 42;
                                     },
                                     &work)));
  }
  Probe& failing = start(
      "f",
      op::run_blocking([](void*) noexcept -> Result { return std::unexpected(std::errc::no_link); },
                       nullptr));
  EXPECT_EQ(works[0].calls, 0);  // not from inside add()
  run();
  for (const Probe* p : probes) EXPECT_END(*p, Result(42));
  for (const Work& work : works) EXPECT_EQ(work.calls, 1);
  EXPECT_END(failing, std::errc::no_link);
}

TEST_P(Contract, ABlockingFunctionThatHasNotBegunCanBeCanceled) {
  int calls = 0;
  Probe& w = start("w", op::run_blocking(
                            [](void* calls) noexcept -> Result {
                              ++*static_cast<int*>(calls);
                              return 1;
                            },
                            &calls));
  cancel(w);
  run();
  EXPECT_END(w, Errc::operation_canceled);
  EXPECT_EQ(calls, 0);
}

}  // namespace wev::test
