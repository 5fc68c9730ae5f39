// Several tasks at the same time: when_all, when_any, timeout, with_group.
#include "task/tasks.hpp"

#include <array>
#include <functional>
#include <memory>
#include <random>
#include <tuple>
#include <vector>

#include "wev/io/stream.hpp"
#include "wev/task/sync.hpp"
#include "wev/task/task_group.hpp"
#include "wev/task/this_task.hpp"
#include "wev/task/timeout.hpp"
#include "wev/task/when.hpp"

namespace wev::test {

namespace {

Task<Expected<int>> value_after(Duration delay, int value) {
  co_await ok(sleep(delay));
  co_return value;
}

Task<Expected<int>> fails_after(Duration delay, Error error) {
  co_await ok(sleep(delay));
  co_return std::unexpected(error);
}

Task<int> at_once(int value) { co_return value; }

/// Does not heed its cancel.
Task<int> stubborn(Duration delay, int value) {
  (void)co_await shield(sleep(delay));
  co_return value;
}

}  // namespace

// when_all ------------------------------------------------------------------------------

TEST_P(Contract, WhenAllGivesAllResultsInTheirOrder) {
  std::string log;
  const auto named = [&log, start = loop().now()](char name, Duration delay) -> Task<char> {
    (void)co_await sleep_until(start + delay);
    log += name;
    co_return name;
  };
  const auto nothing = [&log]() -> Task<> {
    log += '.';
    co_return;
  };
  const auto task = [&]() -> Task<> {
    auto [a, none, b, operation, pointer] =
        co_await when_all(named('a', 3ms), nothing(), named('b', 1ms), op::noop(),
                          [](Task<int> task) -> Task<std::unique_ptr<int>> {
                            co_return std::make_unique<int>(co_await std::move(task));
                          }(at_once(5)));
    static_assert(std::is_same_v<decltype(none), std::monostate>);
    EXPECT_EQ(a, 'a');
    EXPECT_EQ(b, 'b');
    EXPECT_EQ(operation, Result(0));
    EXPECT_EQ(*pointer, 5);
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
  EXPECT_EQ(log, ".ba");
}

TEST_P(Contract, WhenAllBeginsAllInOrderAndWaitsForEveryOneThoughOneFails) {
  std::string log;
  const auto named = [&log, start = loop().now()](char name, Duration delay,
                                                  bool fails) -> Task<Expected<void>> {
    log += name;
    co_await ok(sleep_until(start + delay));
    log += name;
    if (fails) co_return std::unexpected(Errc::closed);
    co_return {};
  };
  const auto task = [&]() -> Task<> {
    const auto [a, b, c] =
        co_await when_all(named('a', 3ms, false), named('b', 1ms, true), named('c', 2ms, false));
    EXPECT_TRUE(a);
    EXPECT_FAILED(b, Errc::closed);
    EXPECT_TRUE(c);
    log += '.';
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
  EXPECT_EQ(log, "abcbca.");
}

TEST_P(Contract, WhenAllOfWhatEndsAtOnceGoesOn) {
  const auto task = [&]() -> Task<int> {
    int sum = 0;
    for (int i = 0; i < 1'000; ++i) {
      const auto [a, b] = co_await when_all(at_once(1), at_once(2));
      sum += a + b;
    }
    co_return sum;
  };
  EXPECT_EQ(run_task(rig(), loop(), task()), 3'000);
}

TEST_P(Contract, CancelingWhenAllCancelsAllOfThemAndWaits) {
  std::string log;
  const auto named = [&log](char name, Duration delay) -> Task<Expected<void>> {
    Expected<void> slept = co_await sleep(1h);
    (void)co_await shield(sleep(delay));
    log += name;
    co_return slept;
  };
  const auto task = [&]() -> Task<Expected<void>> {
    const auto [a, b] = co_await when_all(named('a', 2ms), named('b', 1ms));
    EXPECT_FAILED(a, Errc::operation_canceled);
    EXPECT_FAILED(b, Errc::operation_canceled);
    log += '.';
    co_return co_await sleep(1h);
  };
  Root<Expected<void>> root(loop(), task());
  look();
  root.cancel();
  run();
  ASSERT_TRUE(root.done());
  EXPECT_FAILED(root.take(), Errc::operation_canceled);
  EXPECT_EQ(log, "ba.");
}

TEST_P(Contract, WhatATaskHasThatEndsByOkIsGoneThoughOthersGoOn) {
  Mutex mutex;
  const auto fails = [&mutex]() -> Task<Expected<void>> {
    const auto lock = co_await ok(mutex.lock());
    co_await ok(yield());
    co_await ok(Expected<void>(std::unexpect, Errc::closed));
    co_return {};
  };
  const auto waits = [&mutex]() -> Task<Expected<void>> {
    const auto lock = co_await ok(mutex.lock());
    co_return {};
  };
  const auto all = [&]() -> Task<> {
    const auto [failed, waited] = co_await when_all(fails(), waits());
    EXPECT_FAILED(failed, Errc::closed);
    EXPECT_TRUE(waited) << "the lock is held by a task that has ended";
  };
  EXPECT_TRUE(run_task(rig(), loop(), all()));
  const auto any = [&]() -> Task<> {
    const auto first = co_await when_any(fails(), shield(waits()));
    EXPECT_EQ(first.index(), 0u);
  };
  std::string log;
  const auto traced = [&log]() -> Task<Expected<void>> {
    const Trace trace(log, 'a');
    co_await ok(yield());
    co_await ok(Expected<void>(std::unexpect, Errc::closed));
    co_return {};
  };
  const auto looks = [&log]() -> Task<Expected<void>> {
    for (int i = 0; i < 4; ++i) (void)co_await shield(yield());
    log += 'b';
    co_return {};
  };
  const auto looked_at = [&]() -> Task<> {
    (void)co_await when_any(traced(), looks());
    (void)co_await when_all(traced(), looks());
  };
  EXPECT_TRUE(run_task(rig(), loop(), looked_at()));
  EXPECT_EQ(log, "abab");
  // A lock that is never given back here would be waited for without end.
  if (!HasFailure()) {
    EXPECT_TRUE(run_task(rig(), loop(), any()));
  }
}

TEST_P(Contract, TasksWithoutMemoryEndAmongOthers) {
  Expected<int> without = 0;
  Expected<int> with = 0;
  std::size_t first = 9;
  const auto task = [&]() -> Task<> {
    Task<Expected<int>> made = value_after(1ms, 1);
    Task<Expected<int>> other = value_after(1ms, 2);
    Task<Expected<int>> none = [] {
      const NoFrames no_frames;
      return value_after(1ms, 3);
    }();
    std::tie(without, with) = co_await when_all(std::move(none), std::move(made));
    Task<Expected<int>> no_task;
    const auto any = co_await when_any(std::move(other), std::move(no_task));
    first = any.index();
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
  EXPECT_FAILED(without, std::errc::not_enough_memory);
  EXPECT_EQ(with, 1);
  EXPECT_EQ(first, 1u);
}

// when_any ------------------------------------------------------------------------------

TEST_P(Contract, WhenAnyGivesTheFirstAndCancelsTheOthers) {
  std::string log;
  const auto loser = [&log](char name) -> Task<Expected<int>> {
    const Expected<void> slept = co_await sleep(1h);
    EXPECT_FAILED(slept, Errc::operation_canceled);
    (void)co_await shield(sleep(1ms));
    log += name;
    co_return 99;
  };
  const auto task = [&]() -> Task<> {
    const Instant from = loop().now();
    const auto first = co_await when_any(loser('a'), value_after(2ms, 7), loser('b'));
    log += '.';
    EXPECT_EQ(first.index(), 1u);
    if (const auto* result = std::get_if<1>(&first)) {
      EXPECT_EQ(*result, 7);
    }
    EXPECT_LT(loop().now(), from + 1h);
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
  EXPECT_EQ(log.size(), 3u);
  EXPECT_EQ(log.back(), '.');
}

TEST_P(Contract, TheFirstToEndIsTheFirstBeItAnErrorOrAtOnce) {
  const auto task = [&]() -> Task<> {
    const auto error = co_await when_any(value_after(1h, 1), fails_after(1ms, Errc::closed));
    EXPECT_EQ(error.index(), 1u);
    if (const auto* result = std::get_if<1>(&error)) {
      EXPECT_FAILED(*result, Errc::closed);
    }
    const auto immediate = co_await when_any(sleep(1h), at_once(1), at_once(2));
    EXPECT_EQ(immediate.index(), 1u);
    const auto nothing = co_await when_any([]() -> Task<> { co_return; }(), sleep(1h));
    EXPECT_EQ(nothing.index(), 0u);
    const auto only = co_await when_any(op::noop());
    EXPECT_EQ(std::get<0>(only), Result(0));
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
}

TEST_P(Contract, AReadThatLosesTakesNoBytesAlong) {
  NEEDS(pipes);
  const auto ends = pipe();
  const Stream reader(loop(), ends.reader);
  std::array<std::byte, 8> buffer{};
  std::size_t lost = 0;
  const auto read = [&]() -> Task<Result> {
    Result size = co_await reader.read_some(buffer);
    lost += size.value_or(0);
    co_return size;
  };
  const auto task = [&]() -> Task<> {
    const auto first = co_await when_any(read(), sleep(2ms));
    EXPECT_EQ(first.index(), 1u);
    EXPECT_EQ(lost, 0u);
    EXPECT_EQ(rig().write(ends.writer, "abc"), Result(3));
    const auto second = co_await when_any(read(), sleep(1h));
    EXPECT_EQ(second.index(), 0u);
    EXPECT_GT(lost, 0u);
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
}

TEST_P(Contract, CancelingWhenAnyCancelsAllOfThem) {
  const auto task = [&]() -> Task<Expected<void>> {
    const auto first = co_await when_any(sleep(1h), value_after(2h, 1));
    if (first.index() == 0) co_return std::get<0>(first);
    co_await ok(std::get<1>(first));
    co_return {};
  };
  Root<Expected<void>> root(loop(), task());
  look();
  root.cancel();
  run();
  ASSERT_TRUE(root.done());
  EXPECT_FAILED(root.take(), Errc::operation_canceled);
}

// timeout --------------------------------------------------------------------------------

TEST_P(Contract, ATimeoutGivesTheResultThatComesInTime) {
  const auto nothing = []() -> Task<> { co_return; };
  const auto task = [&]() -> Task<Expected<int>> {
    const Instant from = loop().now();
    const int one = co_await ok(timeout(1h, value_after(1ms, 1)));
    const int two = co_await ok(timeout(std::chrono::hours::max(), at_once(2)));
    co_await ok(timeout(1h, nothing()));
    const std::size_t none = co_await ok(timeout(1h, op::noop()));
    const Expected<int> failed = co_await timeout(1h, fails_after(1ms, Errc::closed));
    EXPECT_FAILED(failed, Errc::closed);
    const int three = co_await ok(timeout(0ms, at_once(3)));
    EXPECT_LT(loop().now(), from + 1h);
    co_return one + two + three + static_cast<int>(none);
  };
  EXPECT_EQ(run_task(rig(), loop(), task()), 6);
}

TEST_P(Contract, ATimeoutIsNotEarlyAndSaysTimedOut) {
  Event never_set;
  bool canceled = false;
  const auto waits = [&]() -> Task<Expected<void>> {
    Expected<void> waited = co_await never_set.wait();
    canceled = co_await is_canceled();
    co_return waited;
  };
  const auto task = [&]() -> Task<> {
    Instant until = loop().now() + 3ms;
    const Expected<void> late = co_await timeout(3ms, waits());
    EXPECT_FAILED(late, Errc::timed_out);
    EXPECT_GE(loop().now(), until);
    EXPECT_TRUE(canceled);
    const bool self = co_await is_canceled();
    EXPECT_FALSE(self);
    until = loop().now() + 1ms;
    const Expected<void> operation = co_await timeout(1ms, sleep(1h));
    EXPECT_FAILED(operation, Errc::timed_out);
    EXPECT_GE(loop().now(), until);
    const Expected<int> at_all = co_await timeout(0ms, value_after(1h, 1));
    EXPECT_FAILED(at_all, Errc::timed_out);
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
}

TEST_P(Contract, WhatEndsAfterItsLimitWithARealResultHasThat) {
  const auto expected = []() -> Task<Expected<int>> {
    const int got = co_await stubborn(3ms, 5);
    co_return got;
  };
  const auto fails = []() -> Task<Expected<int>> {
    (void)co_await stubborn(3ms, 5);
    co_return std::unexpected(Errc::closed);
  };
  const auto nothing = []() -> Task<> { (void)co_await stubborn(3ms, 5); };
  const auto task = [&]() -> Task<> {
    const Expected<int> real = co_await timeout(1ms, expected());
    EXPECT_EQ(real, 5);
    const Expected<int> error = co_await timeout(1ms, fails());
    EXPECT_FAILED(error, Errc::closed);
    // These cannot say that they were cancelled.
    const Expected<int> plain = co_await timeout(1ms, stubborn(3ms, 5));
    EXPECT_FAILED(plain, Errc::timed_out);
    const Expected<void> none = co_await timeout(1ms, nothing());
    EXPECT_FAILED(none, Errc::timed_out);
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
}

TEST_P(Contract, ATimeoutThatIsCanceledFromOutsideIsNotTimedOut) {
  const auto task = []() -> Task<Expected<void>> { co_return co_await timeout(1h, sleep(2h)); };
  {
    Root<Expected<void>> root(loop(), task());
    look();
    root.cancel();
    run();
    ASSERT_TRUE(root.done());
    EXPECT_FAILED(root.take(), Errc::operation_canceled);
  }
  Root<Expected<void>> before(loop(), task());
  before.cancel();
  run();
  ASSERT_TRUE(before.done());
  EXPECT_FAILED(before.take(), Errc::operation_canceled);
}

TEST_P(Contract, ATimeoutThatPassesAfterTheCancelIsNotTimedOut) {
  const auto shielded = []() -> Task<Expected<void>> {
    (void)co_await shield(sleep(6ms));
    co_return co_await sleep(1h);
  };
  const auto stays = []() -> Task<Expected<void>> {
    Expected<void> slept = co_await sleep(1h);
    (void)co_await shield(sleep(6ms));
    co_return slept;
  };
  for (const bool shields_first : {true, false}) {
    const auto task = [&]() -> Task<Expected<void>> {
      if (shields_first) co_return co_await timeout(4ms, shielded());
      co_return co_await timeout(4ms, stays());
    };
    Root<Expected<void>> root(loop(), task());
    Probe& cancels = probe({}, [&root](Probe&) {
      root.cancel();
      return Action::disarm;
    });
    timer(cancels, 1ms);
    run();
    ASSERT_TRUE(root.done());
    EXPECT_FAILED(root.take(), Errc::operation_canceled) << shields_first;
  }
}

TEST_P(Contract, OfTimeoutsInsideOfEachOtherTheOneThatPassesSaysSo) {
  const auto task = []() -> Task<> {
    bool outer_canceled = false;
    const auto inner = [&outer_canceled]() -> Task<Expected<int>> {
      const Expected<void> late = co_await timeout(1ms, sleep(1h));
      EXPECT_FAILED(late, Errc::timed_out);
      outer_canceled = co_await is_canceled();
      co_return 1;
    };
    const Expected<int> inner_first = co_await timeout(1h, inner());
    EXPECT_EQ(inner_first, 1);
    EXPECT_FALSE(outer_canceled);
    const auto long_inner = []() -> Task<Expected<int>> {
      const Expected<void> canceled = co_await timeout(1h, sleep(2h));
      EXPECT_FAILED(canceled, Errc::operation_canceled);
      co_await ok(canceled);
      co_return 1;
    };
    const Expected<int> outer_first = co_await timeout(1ms, long_inner());
    EXPECT_FAILED(outer_first, Errc::timed_out);
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
}

// with_group -----------------------------------------------------------------------------

TEST_P(Contract, AGroupEndsAfterAllThatWereSpawned) {
  for (const GroupPolicy policy : {fail_fast, isolate}) {
    int alive = 0;
    std::string log;
    Event go;
    const Instant start = loop().now();
    const auto member = [&](char name, Duration delay) -> Task<Expected<void>> {
      const Counted counted(alive);
      co_await ok(go.wait());
      co_await ok(sleep_until(start + delay));
      log += name;
      co_return {};
    };
    const auto task = [&]() -> Task<Expected<int>> {
      co_return co_await with_group(policy, [&](TaskGroup& group) -> Task<Expected<int>> {
        EXPECT_EQ(group.size(), 1u);
        EXPECT_TRUE(group.spawn(member('b', 2ms)));
        EXPECT_TRUE(group.spawn(member('a', 1ms)));
        EXPECT_TRUE(group.spawn(at_once(1)));
        EXPECT_TRUE(group.spawn([]() -> Task<> { co_return; }()));
        EXPECT_EQ(group.size(), 5u);
        co_await ok(yield());
        EXPECT_EQ(group.size(), 3u);
        go.set();
        co_return 7;
      });
    };
    EXPECT_EQ(run_task(rig(), loop(), task()), 7);
    EXPECT_EQ(log, "ab");
    EXPECT_EQ(alive, 0);
  }
}

TEST_P(Contract, MembersSpawnOthersThoughTheGroupsOwnTaskHasEnded) {
  int ended = 0;
  const auto task = [&]() -> Task<Expected<void>> {
    std::function<Task<Expected<void>>(TaskGroup&, int)> member =
        [&](TaskGroup& group, int generation) -> Task<Expected<void>> {
      if (generation % 2 == 0) co_await ok(sleep(1ms));
      if (generation > 0) {
        group.spawn(member(group, generation - 1));
        group.spawn(member(group, generation - 1));
      }
      ++ended;
      co_return {};
    };
    co_return co_await with_group(fail_fast, [&](TaskGroup& group) -> Task<> {
      group.spawn(member(group, 6));
      co_return;
    });
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
  EXPECT_EQ(ended, 127);
}

TEST_P(Contract, TheFirstToFailCancelsItsGroupThatFailsFast) {
  int canceled = 0;
  const auto waits = [&canceled](Error after) -> Task<Expected<void>> {
    const Expected<void> slept = co_await sleep(1h);
    if (!slept && slept.error() == Errc::operation_canceled) ++canceled;
    co_return std::unexpected(after);  // too late to be the first
  };
  for (const int who : {0, 1, 2}) {
    canceled = 0;
    const auto task = [&]() -> Task<Expected<int>> {
      co_return co_await with_group(fail_fast, [&](TaskGroup& group) -> Task<Expected<int>> {
        group.spawn(waits(Errc::operation_canceled));
        if (who == 0) group.spawn(fails_after(1ms, Errc::closed));
        group.spawn(waits(Errc::too_late));
        if (who == 1) co_return std::unexpected(Errc::closed);
        if (who == 2) {  // one that ends by ok()
          group.spawn([]() -> Task<Expected<void>> {
            co_await ok(fails_after(1ms, Errc::closed));
            co_return {};
          }());
        }
        const Expected<void> slept = co_await sleep(2h);
        EXPECT_FAILED(slept, Errc::operation_canceled);
        co_return 1;
      });
    };
    EXPECT_FAILED(run_task(rig(), loop(), task()), Errc::closed) << who;
    EXPECT_EQ(canceled, 2) << who;
  }
}

TEST_P(Contract, WhatIsSpawnedInACanceledGroupIsCanceled) {
  std::string log;
  const auto member = [&log](char name) -> Task<Expected<void>> {
    const Expected<void> slept = co_await sleep(1h);
    EXPECT_FAILED(slept, Errc::operation_canceled);
    log += name;
    co_return {};
  };
  const auto task = [&]() -> Task<Expected<void>> {
    co_return co_await with_group(isolate, [&](TaskGroup& group) -> Task<> {
      group.spawn(member('a'));
      group.cancel();
      group.cancel();
      group.spawn(member('b'));
      const Expected<void> slept = co_await sleep(1h);
      EXPECT_FAILED(slept, Errc::operation_canceled);
      group.spawn(member('c'));
    });
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
  EXPECT_EQ(log, "abc");
}

TEST_P(Contract, MembersOfAnIsolatingGroupDoNotNoticeThatOthersFail) {
  std::string log;
  const auto member = [&log](char name, Instant time) -> Task<Expected<void>> {
    co_await ok(sleep_until(time));
    log += name;
    co_return std::unexpected(Errc::closed);
  };
  const auto task = [&](Expected<int> own) -> Task<Expected<int>> {
    const Instant start = loop().now();
    co_return co_await with_group(isolate, [&, own](TaskGroup& group) -> Task<Expected<int>> {
      group.spawn(member('a', start));
      group.spawn(member('c', start + 3ms));
      co_await ok(sleep_until(start + 1ms));
      log += 'b';
      co_return own;
    });
  };
  EXPECT_EQ(run_task(rig(), loop(), task(7)), 7);
  EXPECT_EQ(log, "abc");
  EXPECT_FAILED(run_task(rig(), loop(), task(std::unexpected(Errc::too_late))), Errc::too_late);
  EXPECT_EQ(log, "abcabc");
}

TEST_P(Contract, CancelingWhoWaitsForAGroupCancelsAllOfIt) {
  for (const GroupPolicy policy : {fail_fast, isolate}) {
    int canceled = 0;
    const auto member = [&canceled]() -> Task<Expected<void>> {
      Expected<void> slept = co_await sleep(1h);
      if (!slept) ++canceled;
      co_return slept;
    };
    const auto task = [&]() -> Task<Expected<void>> {
      co_return co_await with_group(policy, [&](TaskGroup& group) -> Task<Expected<void>> {
        group.spawn(member());
        group.spawn(member());
        co_return co_await member();
      });
    };
    Root<Expected<void>> root(loop(), task());
    look();
    look();
    root.cancel();
    run();
    ASSERT_TRUE(root.done());
    EXPECT_FAILED(root.take(), Errc::operation_canceled);
    EXPECT_EQ(canceled, 3);
  }
}

TEST_P(Contract, SpawningWithoutMemoryIsRefusedAndFailsAGroupThatFailsFast) {
  for (const GroupPolicy policy : {fail_fast, isolate}) {
    std::string log;
    bool with_frame = true;
    bool without = true;
    Expected<void> slept;
    const auto member = [&log](Trace) -> Task<> {
      log += '!';
      co_return;
    };
    const auto task = [&]() -> Task<Expected<int>> {
      co_return co_await with_group(policy, [&](TaskGroup& group) -> Task<Expected<int>> {
        Task<> made = member(Trace(log, 'a'));
        {
          const NoFrames no_frames;
          with_frame = group.spawn(std::move(made));
          without = group.spawn(at_once(1));
        }
        slept = co_await sleep(1ms);
        co_return 7;
      });
    };
    const Expected<int> result = run_task(rig(), loop(), task());
    EXPECT_FALSE(with_frame);
    EXPECT_FALSE(without);
    EXPECT_EQ(log, "a");
    if (policy == fail_fast) {
      EXPECT_FAILED(result, std::errc::not_enough_memory);
      EXPECT_FAILED(slept, Errc::operation_canceled);
    } else {
      EXPECT_EQ(result, 7);
      EXPECT_TRUE(slept);
    }
  }
}

TEST_P(Contract, AGroupWithoutMemoryForItsOwnTaskFails) {
  Expected<int> result = 0;
  const auto task = [&]() -> Task<> {
    const NoFrames no_frames;
    result = co_await with_group(isolate, [](TaskGroup&) -> Task<Expected<int>> { co_return 1; });
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
  EXPECT_FAILED(result, std::errc::not_enough_memory);
}

TEST_P(Contract, AGroupHasALotOfMembers) {
  for (const bool cancels : {false, true}) {
    Event go;
    int alive = 0;
    int went = 0;
    const auto member = [&]() -> Task<Expected<void>> {
      const Counted counted(alive);
      co_await ok(go.wait());
      ++went;
      co_return {};
    };
    const auto task = [&]() -> Task<Expected<void>> {
      co_return co_await with_group(isolate, [&](TaskGroup& group) -> Task<> {
        for (int i = 0; i < a_lot_of_tasks; ++i) group.spawn(member());
        while (alive < a_lot_of_tasks) (void)co_await yield();
        EXPECT_EQ(group.size(), std::size_t{a_lot_of_tasks} + 1);
        if (cancels) {
          group.cancel();
        } else {
          go.set();
        }
      });
    };
    EXPECT_TRUE(run_task(rig(), loop(), task()));
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(went, cancels ? 0 : a_lot_of_tasks);
  }
}

// All of them inside of each other -----------------------------------------------------------

namespace {

/// Tasks made at random. Each watches that what it has started has ended before it goes
/// on, and that it is not told to go on twice.
class Nest {
 public:
  explicit Nest(std::uint64_t seed) : random_(seed) {}

  [[nodiscard]] int alive() const { return alive_; }
  [[nodiscard]] int begun() const { return begun_; }

  Task<Expected<int>> node(int depth, int& siblings) {
    const Counted counted(alive_);
    const Counted sibling(siblings);
    ++begun_;
    int below = 0;
    Expected<int> result = 1;
    for (int steps = pick(2) + 1; steps > 0; --steps) {
      if (depth == 0) {
        co_await ok(leaf());
      } else {
        result = co_await branch(depth - 1, below);
        EXPECT_EQ(below, 0) << "a task has outlived what started it";
        if (!result && result.error() == Errc::operation_canceled) co_return result;
      }
    }
    co_return result;
  }

 private:
  int pick(int choices) { return static_cast<int>(random_() % static_cast<unsigned>(choices)); }
  Duration delay() { return pick(4) * 500us; }

  Task<Expected<void>> leaf() {
    const Counted counted(alive_);
    switch (pick(6)) {
      case 0: co_return {};
      case 1: co_return std::unexpected(Errc::closed);
      case 2: co_return co_await yield();
      case 3: co_return co_await sleep(delay());
      case 4: {
        const auto place = co_await ok(places_.acquire());
        co_return co_await sleep(delay());
      }
      default: {
        Event never_set;
        const Expected<void> late = co_await timeout(delay(), never_set.wait());
        if (!late && late.error() == Errc::timed_out) co_return {};
        co_return late;
      }
    }
  }

  Task<Expected<int>> branch(int depth, int& below) {
    const Counted counted(alive_);
    switch (pick(7)) {
      case 0: {
        const auto [a, b] = co_await when_all(node(depth, below), node(depth, below));
        co_return co_await ok(a) + co_await ok(b);
      }
      case 1: {
        const auto first = co_await when_any(node(depth, below), leaf());
        if (first.index() == 0) co_return std::get<0>(first);
        co_await ok(std::get<1>(first));
        co_return 1;
      }
      case 2: co_return co_await timeout(delay(), node(depth, below));
      case 3: co_return co_await shield(node(depth, below));
      case 4: co_return co_await ok(node(depth, below));
      default:
        co_return co_await with_group(pick(2) == 0 ? fail_fast : isolate,
                                      [&, depth](TaskGroup& group) -> Task<Expected<int>> {
                                        for (int i = pick(3); i >= 0; --i) {
                                          group.spawn(node(depth, below));
                                        }
                                        if (pick(8) == 0) group.cancel();
                                        co_await ok(leaf());
                                        co_return 1;
                                      });
    }
  }

  std::mt19937_64 random_;
  Semaphore places_{2};
  int alive_ = 0;
  int begun_ = 0;
};

}  // namespace

TEST_P(Contract, HoweverTasksAreNestedNoneOutlivesWhatStartedIt) {
  constexpr int nests = 30;
  int begun = 0;
  for (int i = 0; i < nests; ++i) {
    const std::uint64_t seed = traits().seed * nests + static_cast<std::uint64_t>(i);
    std::size_t suspensions = 0;
    // Once as it goes, then cancelled here and there.
    for (const std::size_t part : {0, 1, 2, 3}) {
      Nest nest(seed);
      int top = 0;
      Root<Expected<int>> root(loop(), nest.node(4, top));
      if (part > 0) root.cancel_at(suspensions * part / 4 + 1);
      run();
      ASSERT_TRUE(root.done()) << "seed " << seed;
      (void)root.take();
      ASSERT_EQ(nest.alive(), 0) << "seed " << seed;
      ASSERT_EQ(loop().active(), 0u) << "seed " << seed;
      if (part == 0) suspensions = root.suspensions();
      begun += nest.begun();
    }
  }
  EXPECT_GT(begun, 20 * nests);
}

TEST_P(Contract, DrainingEndsWhatATimeoutLimits) {
  Event never_set;
  Root<Expected<void>> root(loop(), as_task(timeout(1h, never_set.wait())));
  look();
  look();
  EXPECT_TRUE(loop().drain());
  ASSERT_TRUE(root.done());
  EXPECT_EQ(root.take(), Expected<void>(std::unexpected(Errc::operation_canceled)));
}

}  // namespace wev::test
