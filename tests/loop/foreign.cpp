// Operations of the program's own.
#include <algorithm>
#include <array>
#include <atomic>

#include "rig/contract.hpp"
#include "sim/random.hpp"
#include "support/allocations.hpp"
#include "support/threads.hpp"
#include "sys/thread.hpp"
#include "wev/task/awaiter.hpp"
#include "wev/task/run.hpp"
#include "wev/task/timeout.hpp"

namespace wev::test {

namespace {

// What it is asked the test answers. Cancelled, a question leaves.
struct Oracle {
  std::vector<Ticket> asked;
  std::vector<Ticket> cancels;
  std::function<void(Ticket)> on_ask;
  std::function<bool(Ticket)> on_cancel;

  Operation question() { return op::foreign(ask, cancel, this); }
  /// One that cannot be cancelled.
  Operation oath() { return op::foreign(ask, nullptr, this); }

 private:
  static void ask(void* self, Ticket ticket) noexcept {
    auto& oracle = *static_cast<Oracle*>(self);
    oracle.asked.push_back(ticket);
    if (oracle.on_ask) oracle.on_ask(ticket);
  }
  static bool cancel(void* self, Ticket ticket) noexcept {
    auto& oracle = *static_cast<Oracle*>(self);
    oracle.cancels.push_back(ticket);
    return !oracle.on_cancel || oracle.on_cancel(ticket);
  }
};

constexpr auto stays = [](Ticket) { return false; };

}  // namespace

// Completing -----------------------------------------------------------------------

TEST_P(Contract, AForeignOperationCanBeCompletedWhenItStarts) {
  Oracle oracle;
  oracle.on_ask = [&](Ticket ticket) { complete(ticket, 7); };
  Probe& p = start("p", oracle.question());
  EXPECT_EQ(oracle.asked.size(), 0u);  // not from inside add()
  look();
  EXPECT_EQ(oracle.asked.size(), 1u);
  EXPECT_END(p, Result(7));
}

TEST_P(Contract, AForeignOperationIsCompletedByACallback) {
  Oracle oracle;
  Probe& p = start("p", oracle.question());
  Probe& t = probe("t", [&](Probe&) {
    complete(oracle.asked[0], 7);
    return Action::disarm;
  });
  timer(t, 2ms);
  run();
  EXPECT_EQ(log(), "t p");
  EXPECT_END(p, Result(7));
}

TEST_P(Contract, AForeignOperationIsCompletedByAPost) {
  Oracle oracle;
  Probe& p = start("p", oracle.question());
  Probe& posted = probe("posted", [&](Probe&) {
    complete(oracle.asked[0], 7);
    return Action::disarm;
  });
  post(posted);
  run();
  EXPECT_EQ(log(), "posted p");
  EXPECT_END(p, Result(7));
}

TEST_P(Contract, AForeignOperationIsCompletedOutsideOfATick) {
  Oracle oracle;
  Probe& p = start("p", oracle.question());
  look();
  EXPECT_EQ(p.state(), Completion::State::active);
  complete(oracle.asked[0], 7);
  EXPECT_EQ(p.calls(), 0u);
  EXPECT_EQ(p.state(), Completion::State::active);
  look();
  EXPECT_END(p, Result(7));
}

TEST_P(Contract, AForeignOperationThatFailsSaysSo) {
  Oracle oracle;
  Probe& p = start("p", oracle.question());
  Probe& q = start("q", oracle.question());
  look();
  complete(oracle.asked[0], std::unexpected(std::errc::no_link));
  complete(oracle.asked[1], std::unexpected(Errc::operation_canceled));  // its own business
  run();
  EXPECT_END(p, std::errc::no_link);
  EXPECT_END(q, Errc::operation_canceled);
}

TEST_P(Contract, ForeignOperationsStartInTheirOrderAndEndInThatOfComplete) {
  Oracle oracle;
  std::vector<Probe*> probes;
  for (int i = 0; i < 5; ++i) {
    probes.push_back(&start(std::to_string(i), i % 2 == 0 ? oracle.question() : oracle.oath()));
  }
  look();
  ASSERT_EQ(oracle.asked.size(), 5u);
  for (const std::size_t i : {3u, 1u, 4u, 0u, 2u}) complete(oracle.asked[i], 10 + i);
  run();
  EXPECT_EQ(log(), "3 1 4 0 2");
  for (std::size_t i = 0; i < 5; ++i) EXPECT_END(*probes[i], Result(10 + i));
}

TEST_P(Contract, AForeignOperationHoldsTheLoopOpenUnlessItIsUnreferenced) {
  Oracle oracle;
  Probe& p = start("p", oracle.question());
  timer("t", 2ms);
  loop().unref(p.completion);
  EXPECT_EQ(loop().active(), 1u);
  run();
  EXPECT_EQ(log(), "t");
  loop().ref(p.completion);
  EXPECT_EQ(loop().active(), 1u);
  Probe& answers = probe("u", [&](Probe&) {
    complete(oracle.asked[0], 1);
    return Action::disarm;
  });
  timer(answers, 2ms);
  loop().unref(answers.completion);
  run();
  EXPECT_EQ(log(), "t u p");
  EXPECT_EQ(loop().active(), 0u);
}

TEST_P(Contract, ARearmedForeignOperationStartsAgainWithAnotherTicket) {
  Oracle oracle;
  Probe& p =
      probe("p", [](Probe& self) { return self.calls() < 4 ? Action::rearm : Action::disarm; });
  oracle.on_ask = [&](Ticket ticket) {
    if (oracle.asked.size() % 2 == 0) complete(ticket, oracle.asked.size());
  };
  add(p, oracle.question());
  for (std::size_t i = 1; i <= 4; ++i) {
    look();
    EXPECT_EQ(oracle.asked.size(), i);
    if (i % 2 == 1) complete(oracle.asked.back(), i);
    look();
  }
  run();
  EXPECT_EQ(p.results, (std::vector<Result>{1, 2, 3, 4}));
  for (std::size_t i = 1; i < 4; ++i) EXPECT_NE(oracle.asked[i], oracle.asked[i - 1]);
}

// An operation is a value: it can be added again while it is under way.
TEST_P(Contract, ACopyOfAForeignOperationIsAnotherOne) {
  Oracle oracle;
  Probe& p = start("p", oracle.question());
  look();
  Probe& copy = start("copy", p.completion.operation());
  cancel(copy);
  EXPECT_EQ(oracle.cancels.size(), 0u);
  Probe& other = start("other", p.completion.operation());
  look();
  EXPECT_END(copy, Errc::operation_canceled);
  ASSERT_EQ(oracle.asked.size(), 2u);
  complete(oracle.asked[0], 1);
  complete(oracle.asked[1], 2);
  run();
  EXPECT_END(p, Result(1));
  EXPECT_END(other, Result(2));
}

// Ending early ---------------------------------------------------------------------

TEST_P(Contract, AForeignOperationThatLeavesTimesOut) {
  Oracle oracle;
  const Instant deadline = loop().now() + 2ms;
  Probe& p = start("p", oracle.question(), deadline);
  Probe& at_once = start("at once", oracle.question(), loop().now());
  run();
  EXPECT_GE(loop().now(), deadline);
  EXPECT_END(p, Errc::timed_out);
  EXPECT_END(at_once, Errc::timed_out);
  EXPECT_EQ(oracle.asked.size(), 2u);
  EXPECT_EQ(oracle.cancels.size(), 2u);
}

TEST_P(Contract, AForeignOperationThatStaysEndsWhenItIsCompleted) {
  Oracle oracle;
  oracle.on_cancel = stays;
  Probe& real = start("real", oracle.question(), loop().now() + 1ms);
  Probe& ended = start("ended", oracle.question(), loop().now() + 1ms);
  Probe& failed = start("failed", oracle.question(), loop().now() + 1ms);
  Probe& oath = start("oath", oracle.oath(), loop().now() + 1ms);
  timer("t", 2ms);
  run_until([&] { return log() == "t"; });
  EXPECT_EQ(oracle.cancels.size(), 3u);
  EXPECT_EQ(oracle.cancels[0], oracle.asked[0]);
  complete(oracle.asked[0], 5);
  complete(oracle.asked[1], std::unexpected(std::errc::operation_canceled));
  complete(oracle.asked[2], std::unexpected(std::errc::no_link));
  complete(oracle.asked[3], 6);
  run();
  EXPECT_END(real, Result(5));
  EXPECT_END(ended, Errc::timed_out);
  EXPECT_END(failed, std::errc::no_link);
  EXPECT_END(oath, Result(6));
}

TEST_P(Contract, AForeignOperationIsNotStartedAfterItsCancel) {
  Oracle oracle;
  Probe& p = start("p", oracle.question());
  cancel(p);
  run();
  EXPECT_END(p, Errc::operation_canceled);
  EXPECT_EQ(oracle.asked.size(), 0u);
  EXPECT_EQ(oracle.cancels.size(), 0u);
  // And the same between two rounds.
  oracle.on_ask = [&](Ticket ticket) { complete(ticket, 1); };
  Probe& again = probe("again", [](Probe&) { return Action::rearm; });
  add(again, oracle.question());
  look();
  cancel(again);
  run();
  EXPECT_EQ(again.calls(), 2u);
  EXPECT_END(again, Errc::operation_canceled);
  EXPECT_EQ(oracle.asked.size(), 1u);
  EXPECT_EQ(oracle.cancels.size(), 0u);
}

TEST_P(Contract, ACancelledForeignOperationLeavesOrLastsUntilItIsCompleted) {
  Oracle oracle;
  Probe& leaves = start("leaves", oracle.question());
  Oracle stubborn;
  stubborn.on_cancel = stays;
  Probe& real = start("real", stubborn.question());
  Probe& ended = start("ended", stubborn.question());
  Probe& oath = start("oath", stubborn.oath());
  look();
  std::vector<Probe*> cancels;
  for (Probe* target : {&leaves, &real, &ended, &oath}) {
    cancels.push_back(&probe("c"));
    cancel(*cancels.back(), *target);
  }
  look();
  EXPECT_EQ(log(), "leaves");  // and its cancel, soon
  complete(stubborn.asked[0], 5);
  complete(stubborn.asked[1], std::unexpected(Errc::operation_canceled));
  complete(stubborn.asked[2], 6);
  run();
  EXPECT_END(leaves, Errc::operation_canceled);
  EXPECT_END(*cancels[0], Result(0));
  EXPECT_END(real, Result(5));
  EXPECT_END(*cancels[1], Errc::too_late);
  EXPECT_END(ended, Errc::operation_canceled);
  EXPECT_END(*cancels[2], Result(0));
  EXPECT_END(oath, Result(6));
  EXPECT_END(*cancels[3], Errc::too_late);
}

TEST_P(Contract, ACompletedForeignOperationIsTooLateToCancel) {
  Oracle oracle;
  Probe& p = start("p", oracle.question());
  look();
  complete(oracle.asked[0], 5);
  Probe& c = probe("c");
  cancel(c, p);
  run();
  EXPECT_END(p, Result(5));
  EXPECT_END(c, Errc::too_late);
  EXPECT_EQ(oracle.cancels.size(), 0u);
}

TEST_P(Contract, AForeignOperationThatWasCompletedDoesNotTimeOut) {
  Oracle oracle;
  Probe& t = probe("t", [&](Probe&) {
    complete(oracle.asked[0], 5);
    return Action::disarm;
  });
  // Due together, and what was added first is first.
  const Instant deadline = loop().now();
  add(t, op::timer_at(deadline));
  Probe& p = start("p", oracle.question(), deadline);
  run();
  EXPECT_EQ(log(), "t p");
  EXPECT_END(p, Result(5));
  EXPECT_EQ(oracle.cancels.size(), 0u);
}

TEST_P(Contract, AForeignOperationIsAskedToLeaveOnce) {
  Oracle oracle;
  oracle.on_cancel = stays;
  Probe& p = start("p", oracle.question());
  look();
  cancel(p);
  cancel(p);
  Probe& late = start("late", oracle.question(), loop().now() + 1ms);
  timer("t", 3ms);
  run_until([&] { return log() == "t"; });
  cancel(p);
  cancel(late);
  Probe& c = probe("c");
  cancel(c, late);
  EXPECT_EQ(oracle.cancels.size(), 2u);
  complete(oracle.asked[0], std::unexpected(Errc::operation_canceled));
  complete(oracle.asked[1], std::unexpected(Errc::operation_canceled));
  run();
  EXPECT_END(p, Errc::operation_canceled);
  EXPECT_END(late, Errc::timed_out);
  EXPECT_END(c, Errc::too_late);
}

TEST_P(Contract, ACancelFunctionThatCompletesHasTheResult) {
  for (const bool leaves : {false, true}) {
    Oracle oracle;
    oracle.on_cancel = [&](Ticket ticket) {
      complete(ticket, 5);
      return leaves;
    };
    Probe& canceled = start({}, oracle.question());
    Probe& expired = start({}, oracle.question(), loop().now());
    look();
    cancel(canceled);
    EXPECT_EQ(canceled.calls(), 0u);
    run();
    EXPECT_END(canceled, Result(5));
    EXPECT_END(expired, Result(5));
    EXPECT_EQ(oracle.cancels.size(), 2u);
  }
}

TEST_P(Contract, AForeignOperationCanBeCancelledWhileItStarts) {
  Oracle oracle;
  Probe& before = probe("before");
  Probe& p = probe("p");
  Probe& behind = probe("behind");
  oracle.on_ask = [&](Ticket) {
    if (oracle.asked.size() != 2) return;
    cancel(before);
    cancel(p);
    cancel(behind);
  };
  add(before, oracle.question());
  add(p, oracle.question());
  add(behind, oracle.question());
  run();
  EXPECT_EQ(oracle.asked.size(), 2u);
  EXPECT_EQ(oracle.cancels.size(), 2u);
  for (const Probe* probe : {&before, &p, &behind}) EXPECT_END(*probe, Errc::operation_canceled);
}

TEST_P(Contract, AStartAndACancelFunctionMayUseTheLoop) {
  Oracle oracle;
  Probe& t = probe("t");
  Probe& n = probe("n");
  oracle.on_ask = [&](Ticket) { timer(t, 1ms); };
  oracle.on_cancel = [&](Ticket) {
    cancel(t);
    add(n, op::noop());
    return true;
  };
  Probe& p = start("p", oracle.question());
  look();
  look();
  cancel(p);
  run();
  EXPECT_EQ(t.calls(), 1u);
  EXPECT_END(n, Result(0));
  EXPECT_END(p, Errc::operation_canceled);
}

// Of a question that consists of others, for example.
TEST_P(Contract, ACancelFunctionMayCancelOthers) {
  for (const bool expire : {false, true}) {
    Oracle oracle;
    std::vector<Probe*> probes;
    oracle.on_cancel = [&](Ticket) {
      for (Probe* probe : probes) cancel(*probe);
      return true;
    };
    const Instant deadline = expire ? loop().now() : never;
    for (int i = 0; i < 10; ++i) probes.push_back(&start({}, oracle.question(), deadline));
    look();
    if (!expire) cancel(*probes[4]);
    run();
    EXPECT_EQ(oracle.cancels.size(), 10u);
    int expired = 0;
    for (const Probe* probe : probes) {
      ASSERT_EQ(probe->calls(), 1u);
      if (probe->result() == Result(std::unexpected(Errc::timed_out))) {
        ++expired;
      } else {
        EXPECT_END(*probe, Errc::operation_canceled);
      }
    }
    EXPECT_EQ(expired, expire ? 1 : 0);
  }
}

TEST_P(Contract, ACancelFunctionMayCancelTheCancel) {
  Oracle oracle;
  Probe& p = start("p", oracle.question());
  look();
  Probe& c = probe("c");
  oracle.on_cancel = [&](Ticket) {
    cancel(c);
    return true;
  };
  cancel(c, p);
  run();
  EXPECT_END(p, Errc::operation_canceled);
  EXPECT_END(c, Errc::operation_canceled);
}

// Draining -------------------------------------------------------------------------

TEST_P(Contract, DrainEndsForeignOperationsThatLeave) {
  Oracle oracle;
  Probe& p = probe("p", [](Probe&) { return Action::rearm; });
  add(p, oracle.question());
  Probe& q = start("q", oracle.question(), loop().now() + 1h);
  Probe& r = start("r", oracle.question());
  loop().unref(r.completion);
  look();
  Probe& adding = start("adding", oracle.question());
  EXPECT_TRUE(loop().drain());
  for (const Probe* probe : {&p, &q, &r, &adding}) {
    EXPECT_EQ(probe->calls(), 1u);
    EXPECT_END(*probe, Errc::operation_canceled);
  }
  EXPECT_EQ(oracle.asked.size(), 3u);
  EXPECT_EQ(oracle.cancels.size(), 3u);
}

TEST_P(Contract, DrainWaitsForForeignOperationsThatStay) {
  Oracle oracle;
  Probe& oath = start("oath", oracle.oath());
  Probe& stubborn = start("stubborn", oracle.question());
  Oracle soft;
  Probe& leaves = probe("leaves", [&](Probe&) {
    complete(oracle.asked[0], 1);
    complete(oracle.asked[1], std::unexpected(Errc::operation_canceled));
    return Action::disarm;
  });
  oracle.on_cancel = stays;
  add(leaves, soft.question());
  look();
  EXPECT_TRUE(loop().drain());
  EXPECT_EQ(log(), "leaves oath stubborn");
  EXPECT_END(oath, Result(1));
  EXPECT_END(stubborn, Errc::operation_canceled);
  EXPECT_EQ(oracle.cancels.size(), 1u);
}

TEST_P(Contract, DrainGoesOnWhereACancelFunctionCancelsOrCompletesOthers) {
  for (const bool completes : {false, true}) {
    Oracle oracle;
    std::vector<Probe*> probes;
    Async& async = this->async();
    oracle.on_cancel = [&](Ticket) {
      for (std::size_t i = 0; i < probes.size(); ++i) {
        if (!completes) cancel(*probes[i]);
      }
      if (completes && oracle.cancels.size() == 1) {
        for (const Ticket& ticket : oracle.asked) complete(ticket, 1);
        Async other(loop());
        loop().detach(other);  // which also collects what was completed
      }
      return true;
    };
    for (int i = 0; i < 10; ++i) probes.push_back(&start({}, oracle.question()));
    Probe& waiting = start("waiting", op::async_wait(async));
    look();
    EXPECT_TRUE(loop().drain());
    EXPECT_END(waiting, Errc::operation_canceled);
    EXPECT_EQ(oracle.cancels.size(), completes ? 1u : 10u);
    for (const Probe* probe : probes) {
      EXPECT_EQ(probe->calls(), 1u);
      if (completes) {
        EXPECT_END(*probe, Result(1));
      } else {
        EXPECT_END(*probe, Errc::operation_canceled);
      }
    }
  }
}

// Driven from outside --------------------------------------------------------------

TEST_P(Contract, AForeignOperationThatEndsMakesATickDue) {
  int turns = 0;
  loop().set_driver(nullptr, nullptr);  // in place of the rig's own, if it has one
  loop().set_driver([](void* turns) noexcept { ++*static_cast<int*>(turns); }, &turns);
  Oracle oracle;
  oracle.on_cancel = stays;
  const Instant deadline = loop().now() + 1h;
  Probe& p = start("p", oracle.question(), deadline);
  Probe& q = start("q", oracle.question());
  look();
  EXPECT_EQ(loop().next_deadline(), deadline);
  cancel(p);  // who stays has no deadline any more
  EXPECT_EQ(loop().next_deadline(), never);
  turns = 0;
  complete(oracle.asked[0], 1);
  EXPECT_GE(turns, 1);
  EXPECT_LE(loop().next_deadline(), loop().now());
  look();
  EXPECT_END(p, Result(1));
  EXPECT_EQ(loop().next_deadline(), never);
  oracle.on_cancel = nullptr;
  turns = 0;
  cancel(q);
  EXPECT_GE(turns, 1);
  look();
  EXPECT_END(q, Errc::operation_canceled);
  loop().set_driver(nullptr, nullptr);
}

// Memory ---------------------------------------------------------------------------

namespace {

// Without books, which allocate. Every other round is completed a callback later.
struct Round {
  Completion completion;
  Ticket ticket;
  int left = 0;
  int failed = 0;
  int wrong = 0;

  Operation operation() { return op::foreign(begin, nullptr, this); }

  static void begin(void* self, Ticket ticket) noexcept {
    auto& round = *static_cast<Round*>(self);
    round.ticket = ticket;
    if (round.left % 2 == 0) ticket.complete(static_cast<std::size_t>(round.left));
  }
  static Action on_end(void* self, Loop&, Completion&, Result result) {
    auto& round = *static_cast<Round*>(self);
    if (result == Result(std::unexpected(Error(std::errc::not_enough_memory)))) {
      ++round.failed;
      return Action::disarm;
    }
    if (result != Result(static_cast<std::size_t>(round.left))) ++round.wrong;
    return --round.left > 0 ? Action::rearm : Action::disarm;
  }
};

}  // namespace

TEST_P(Contract, OnceWarmForeignOperationsAllocateNothing) {
  std::array<Round, 100> rounds;
  int wrong = 0;
  const auto go = [&](std::size_t operations) {
    for (Round& round : rounds) {
      round.left = static_cast<int>(operations / rounds.size());
      loop().add(round.completion, round.operation(), &round, Round::on_end);
    }
    while (loop().active() > 0) {
      EXPECT_TRUE(loop().tick(RunMode::no_wait));
      for (Round& round : rounds) {
        if (round.completion.state() == Completion::State::active) {
          round.ticket.complete(static_cast<std::size_t>(round.left));
        }
      }
    }
    for (const Round& round : rounds) wrong += round.wrong + round.failed;
  };
  go(1'000);
  const std::size_t before = allocations();
  go(std::min<std::size_t>(10 * traits().many_timers, 1'000'000));
  EXPECT_EQ(allocations(), before);
  EXPECT_EQ(wrong, 0);
}

TEST_P(Contract, AForeignOperationWithoutMemoryIsNotStarted) {
  std::deque<Round> rounds(5'000);  // more than all tests have left slots for
  for (Round& round : rounds) {
    round.left = 1;
    loop().add(round.completion, round.operation(), &round, Round::on_end);
  }
  {
    const NoMemory no_memory;
    EXPECT_TRUE(loop().tick(RunMode::no_wait));
  }
  int failed = 0;
  for (Round& round : rounds) {
    failed += round.failed;
    EXPECT_EQ(round.failed == 1, round.ticket == Ticket());
    if (round.failed == 0) round.ticket.complete(1);
  }
  EXPECT_GT(failed, 0);
  run();
  // And it goes on.
  Round& round = rounds[0];
  round.left = 1;
  loop().add(round.completion, round.operation(), &round, Round::on_end);
  look();
  round.ticket.complete(1);
  run();
  EXPECT_EQ(round.left, 0);
}

// Requests and tasks -----------------------------------------------------------------

TEST_P(Contract, ARequestBeginsAForeignOperation) {
  Oracle oracle;
  std::vector<Result> results;
  Request request;
  const auto begin = [&](Duration delay) {
    request.start(loop(), Awaitable<>(oracle.question()).within(delay),
                  [&](Result result) { results.push_back(result); });
  };
  begin(1h);
  look();
  complete(oracle.asked[0], 5);
  run();
  begin(1ms);
  run();
  begin(1h);
  look();
  request.cancel();
  run();
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[0], Result(5));
  EXPECT_EQ(results[1], Result(std::unexpected(Errc::timed_out)));
  EXPECT_EQ(results[2], Result(std::unexpected(Errc::operation_canceled)));
}

namespace {

Task<Result> ask(Oracle& oracle) { co_return co_await oracle.question(); }
Task<Result> ask_within(Oracle& oracle, Duration delay) {
  co_return co_await Awaitable<>(oracle.question()).within(delay);
}

}  // namespace

TEST_P(Contract, ATaskAwaitsAForeignOperation) {
  Oracle oracle;
  oracle.on_ask = [&](Ticket ticket) { complete(ticket, 5); };
  EXPECT_EQ(wev::run(loop(), ask(oracle)), Result(5));
  EXPECT_EQ(wev::run(loop(), ask_within(oracle, 1h)), Result(5));
  EXPECT_EQ(wev::run(loop(), timeout(1h, ask(oracle))), Result(5));
  oracle.on_ask = nullptr;
  const Result timed_out = std::unexpected(Errc::timed_out);
  EXPECT_EQ(wev::run(loop(), ask_within(oracle, 1ms)), timed_out);
  EXPECT_EQ(wev::run(loop(), timeout(1ms, ask(oracle))), timed_out);
  EXPECT_EQ(oracle.cancels.size(), 2u);
  EXPECT_EQ(loop().active(), 0u);
}

TEST_P(Contract, ATaskThatIsCancelledCancelsItsForeignOperation) {
  Oracle oracle;
  const Result canceled = std::unexpected(Errc::operation_canceled);
  {
    Root<Result> root(loop(), ask(oracle));
    root.cancel();
    run_until([&] { return root.done(); });
    EXPECT_EQ(root.take(), canceled);
  }
  EXPECT_EQ(oracle.asked.size(), 0u);
  {
    Root<Result> root(loop(), ask(oracle));
    while (oracle.asked.empty()) look();
    root.cancel();
    run_until([&] { return root.done(); });
    EXPECT_EQ(root.take(), canceled);
  }
  oracle.on_cancel = stays;
  {
    Root<Result> root(loop(), ask(oracle));
    while (oracle.asked.size() < 2) look();
    root.cancel();
    look();
    EXPECT_FALSE(root.done());
    complete(oracle.asked[1], 5);
    run_until([&] { return root.done(); });
    EXPECT_EQ(root.take(), Result(5));
  }
  EXPECT_EQ(oracle.cancels.size(), 2u);
}

// Other threads ----------------------------------------------------------------------

namespace {

// As std::mutex, which a WASI toolchain without threads does not have.
class Lock {
 public:
  explicit Lock(std::atomic<bool>& locked) : locked_(locked) {
    while (locked_.exchange(true)) sys::yield();
  }
  ~Lock() { locked_ = false; }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  std::atomic<bool>& locked_;
};

// Questions that workers answer, in the order in which they come.
class Pool {
 public:
  struct Job {
    Completion completion;
    Pool* pool = nullptr;
    Ticket ticket;
    std::size_t number = 0;
    bool lent = false;
    int answered = 0;
    int canceled = 0;
    int wrong = 0;

    Operation operation() { return op::foreign(begin, leave, this); }

   private:
    static void begin(void* self, Ticket ticket) noexcept {
      auto& job = *static_cast<Job*>(self);
      const Lock lock(job.pool->locked_);
      job.ticket = ticket;
      job.pool->waiting_.push_back(&job);
    }
    static bool leave(void* self, Ticket) noexcept {
      auto& job = *static_cast<Job*>(self);
      const Lock lock(job.pool->locked_);
      return std::erase(job.pool->waiting_, &job) > 0;
    }
  };

  explicit Pool(int threads) {
    for (int i = 0; i < threads; ++i) workers_.push_back(spawn([this] { work(); }));
  }
  ~Pool() {
    stop_ = true;
    for (const Joiner& join : workers_) join();
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

 private:
  void work() {
    while (!stop_) {
      Job* job = nullptr;
      {
        const Lock lock(locked_);
        if (!waiting_.empty()) {
          job = waiting_.front();
          waiting_.pop_front();
        }
      }
      if (job == nullptr) {
        sys::yield();
        continue;
      }
      const Ticket ticket = job->ticket;
      ticket.complete(3 * job->number);
    }
  }

  std::atomic<bool> locked_{false};
  std::deque<Job*> waiting_;
  std::atomic<bool> stop_{false};
  std::vector<Joiner> workers_;
};

Action on_answer(void* self, Loop&, Completion&, Result result) {
  auto& job = *static_cast<Pool::Job*>(self);
  job.lent = false;
  if (result == Result(3 * job.number)) {
    ++job.answered;
  } else if (!result &&
             (result.error() == Errc::operation_canceled || result.error() == Errc::timed_out)) {
    ++job.canceled;
  } else {
    ++job.wrong;
  }
  return Action::disarm;
}

}  // namespace

TEST_P(ContractWithThreads, ForeignOperationsAreCompletedByOtherThreadsOnceEach) {
  NEEDS(threads);
  constexpr int rounds = 20;
  std::deque<Pool::Job> jobs(300);
  Pool pool(4);
  for (int round = 1; round <= rounds; ++round) {
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      jobs[i].pool = &pool;
      jobs[i].number = i;
      loop().add(jobs[i].completion, jobs[i].operation(), &jobs[i], on_answer);
    }
    run();
    for (const Pool::Job& job : jobs) {
      ASSERT_EQ(job.answered, round);
      ASSERT_EQ(job.canceled + job.wrong, 0);
    }
  }
}

TEST_P(ContractWithThreads, ForeignOperationsThatAreCancelledMeanwhileLeaveOrAreAnswered) {
  NEEDS(threads);
  constexpr int rounds = 50;
  Random random(traits().seed);
  std::deque<Pool::Job> jobs(100);
  Pool pool(3);
  int added = 0;
  for (int round = 1; round <= rounds; ++round) {
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      if (jobs[i].lent) continue;
      jobs[i].pool = &pool;
      jobs[i].number = 1'000 * i;
      jobs[i].lent = true;
      ++added;
      const Instant deadline = random.below(3) == 0
                                   ? loop().now() + std::chrono::microseconds(random.below(100))
                                   : never;
      loop().add(jobs[i].completion, jobs[i].operation(), &jobs[i], on_answer, deadline);
    }
    for (auto ticks = random.below(4); ticks > 0; --ticks) look();
    for (Pool::Job& job : jobs) {
      if (random.below(3) == 0) loop().cancel(job.completion);
    }
  }
  EXPECT_TRUE(loop().drain());
  int answered = 0;
  int canceled = 0;
  for (const Pool::Job& job : jobs) {
    EXPECT_EQ(job.wrong, 0);
    answered += job.answered;
    canceled += job.canceled;
  }
  EXPECT_EQ(answered + canceled, added);
}

TEST_P(ContractWithThreads, DrainWaitsForTheThreadThatCompletes) {
  NEEDS(threads);
  Oracle oracle;
  std::atomic<bool> asked_to_leave{false};
  oracle.on_cancel = [&](Ticket) {
    asked_to_leave = true;
    return false;
  };
  Probe& p = start("p", oracle.question());
  Probe& oath = start("oath", oracle.oath());
  look();
  const Joiner join = spawn([&] {
    while (!asked_to_leave) sys::yield();
    oracle.asked[1].complete(5);
    for (int i = 0; i < 1'000; ++i) sys::yield();  // the loop falls asleep meanwhile
    oracle.asked[0].complete(std::unexpected(Errc::operation_canceled));
  });
  EXPECT_TRUE(loop().drain());
  join();
  EXPECT_END(p, Errc::operation_canceled);
  EXPECT_END(oath, Result(5));
}

// A driver that does not sleep on the loop is told by the thread that completes.
TEST_P(ContractWithThreads, ACompletionFromAnotherThreadTellsTheDriver) {
  NEEDS(threads);
  std::atomic<bool> told{false};
  loop().set_driver(nullptr, nullptr);  // in place of the rig's own, if it has one
  loop().set_driver([](void* told) noexcept { static_cast<std::atomic<bool>*>(told)->store(true); },
                    &told);
  Oracle oracle;
  Probe& p = start("p", oracle.question());
  look();
  told = false;
  const Joiner join = spawn([&] { oracle.asked[0].complete(5); });
  while (!told) sys::yield();
  EXPECT_LE(loop().next_deadline(), loop().now());
  look();
  EXPECT_END(p, Result(5));
  join();
  loop().set_driver(nullptr, nullptr);
}

TEST_P(ContractWithThreads, ALoopMayBeGoneBeforeTheThreadThatCompletedItsLastOperationReturns) {
  NEEDS(threads);
  struct Last {
    Completion completion;
    std::atomic<const Ticket*> ticket{nullptr};
    Ticket kept;
    Result result = 0;
  };
  for (int round = 0; round < 200; ++round) {
    std::unique_ptr<Loop> brief = rig().loop();
    Last last;
    const Joiner join = spawn([&] {
      const Ticket* ticket = nullptr;
      while ((ticket = last.ticket.load()) == nullptr) sys::yield();
      ticket->complete(7);
    });
    const auto begin = [](void* self, Ticket ticket) noexcept {
      auto& it = *static_cast<Last*>(self);
      it.kept = ticket;
      it.ticket.store(&it.kept);
    };
    brief->add(last.completion, op::foreign(begin, nullptr, &last), &last,
               [](void* self, Loop&, Completion&, Result result) {
                 static_cast<Last*>(self)->result = result;
                 return Action::disarm;
               });
    while (brief->active() > 0) EXPECT_TRUE(brief->tick(RunMode::no_wait));
    brief.reset();
    join();
    ASSERT_EQ(last.result, Result(7));
  }
}

}  // namespace wev::test
