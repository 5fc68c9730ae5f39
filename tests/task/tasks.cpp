// Tasks: what they are, what they wait for, how they are run and cancelled.
#include "task/tasks.hpp"

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "wev/io/file.hpp"
#include "wev/io/stream.hpp"
#include "wev/sim/sim.hpp"
#include "wev/task/sync.hpp"
#include "wev/task/this_task.hpp"
#include "wev/task/timeout.hpp"
#include "wev/task/when.hpp"

namespace wev::test {

namespace {

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Task<int> value(int value) { co_return value; }

Task<int> how_deep(int depth, bool waits) {
  if (depth == 0) {
    if (waits) (void)co_await yield();
    co_return 0;
  }
  co_return 1 + co_await how_deep(depth - 1, waits);
}

Task<Expected<int>> fails_deep(int depth, bool waits, int& alive) {
  const Counted counted(alive);
  if (depth == 0) {
    if (waits) (void)co_await yield();
    co_return std::unexpected(Errc::closed);
  }
  const int below = co_await ok(fails_deep(depth - 1, waits, alive));
  ADD_FAILURE() << "it goes on after an error";
  co_return below;
}

}  // namespace

// The task ----------------------------------------------------------------------------

TEST_P(Contract, ATaskBeginsWhenItIsAwaited) {
  std::string log;
  const auto child = [&log]() -> Task<> {
    log += 'b';
    co_return;
  };
  const auto parent = [&]() -> Task<> {
    Task<> task = child();
    EXPECT_TRUE(task.valid());
    log += 'a';
    co_await std::move(task);
    log += 'c';
  };
  EXPECT_TRUE(run_task(rig(), loop(), parent()));
  EXPECT_EQ(log, "abc");
}

TEST_P(Contract, ATaskThatNeverBeginsDestroysItsParameters) {
  std::string log;
  const auto task = [&log](Trace) -> Task<> {
    log += '!';
    co_return;
  };
  {
    const Task<> unused = task(Trace(log, 'a'));
    EXPECT_EQ(log, "");
  }
  EXPECT_EQ(log, "a");
  Task<> replaced = task(Trace(log, 'b'));
  replaced = task(Trace(log, 'c'));
  EXPECT_EQ(log, "ab");
  EXPECT_TRUE(run_task(rig(), loop(), std::move(replaced)));
  EXPECT_EQ(log, "ab!c");
}

TEST_P(Contract, ATaskGivesValuesReferencesWhatOnlyMovesAndNothing) {
  int there = 1;
  const auto reference = [&there]() -> Task<int&> { co_return there; };
  const auto only_moves = []() -> Task<std::unique_ptr<int>> {
    co_return std::make_unique<int>(2);
  };
  const auto nothing = [&there]() -> Task<> {
    ++there;
    co_return;
  };
  const auto all = [&]() -> Task<std::unique_ptr<int>> {
    int& same = co_await reference();
    EXPECT_EQ(&same, &there);
    std::unique_ptr<int> two = co_await only_moves();
    EXPECT_EQ(*two, 2);
    co_await nothing();
    const int three = co_await value(3);
    EXPECT_EQ(three, 3);
    co_return two;
  };
  const auto result = run_task(rig(), loop(), all());
  ASSERT_TRUE(result);
  EXPECT_EQ(**result, 2);
  EXPECT_EQ(there, 2);
}

TEST_P(Contract, AMillionTasksThatEndAtOnceTakeNoStack) {
  const int times = static_cast<int>(traits().many_timers);
  const auto sum = [times]() -> Task<Expected<std::int64_t>> {
    Event event;
    event.set();
    std::int64_t sum = 0;
    for (int i = 0; i < times; ++i) {
      sum += co_await value(i);
      co_await ok(event.wait());
    }
    co_return sum;
  };
  EXPECT_EQ(run_task(rig(), loop(), sum()), std::int64_t{times} * (times - 1) / 2);
}

TEST_P(Contract, TasksInsideOfEachOtherTakeMemoryButNoStack) {
  EXPECT_EQ(run_task(rig(), loop(), how_deep(a_lot_of_tasks, false)), a_lot_of_tasks);
  EXPECT_EQ(run_task(rig(), loop(), how_deep(a_lot_of_tasks, true)), a_lot_of_tasks);
}

TEST_P(Contract, AnErrorLeavesHoweverManyTasksWithoutStack) {
  int alive = 0;
  EXPECT_FAILED(run_task(rig(), loop(), fails_deep(a_lot_of_tasks, false, alive)), Errc::closed);
  EXPECT_EQ(alive, 0);
  EXPECT_FAILED(run_task(rig(), loop(), fails_deep(a_lot_of_tasks, true, alive)), Errc::closed);
  EXPECT_EQ(alive, 0);
}

TEST_P(Contract, TasksAreLeftFromTheInnermostOutAndTheirVariablesLastFirst) {
  for (const bool waits : {false, true}) {
    std::string log;
    const auto inner = [&](Trace) -> Task<int> {
      const Trace first(log, 'b');
      const Trace second(log, 'a');
      if (waits) (void)co_await yield();
      co_return 1;
    };
    const auto outer = [&]() -> Task<> {
      const Trace first(log, 'e');
      (void)co_await inner(Trace(log, 'c'));
      log += 'd';
      if (waits) (void)co_await yield();
    };
    EXPECT_TRUE(run_task(rig(), loop(), outer()));
    EXPECT_EQ(log, "abcde");
  }
}

// ok() ----------------------------------------------------------------------------------

TEST_P(Contract, OkGivesTheValue) {
  const auto only_moves = []() -> Task<Expected<std::unique_ptr<int>>> {
    (void)co_await yield();
    co_return std::make_unique<int>(1);
  };
  const auto nothing = []() -> Task<Expected<void>> { co_return {}; };
  const auto all = [&]() -> Task<Expected<int>> {
    const std::unique_ptr<int> one = co_await ok(only_moves());
    co_await ok(nothing());
    const int two = co_await ok(Expected<int>(2));
    Expected<int> kept = 4;
    const int four = co_await ok(kept);
    EXPECT_EQ(kept, 4);
    const std::size_t none = co_await ok(op::noop());
    co_await ok(yield());
    co_return *one + two + four + static_cast<int>(none);
  };
  EXPECT_EQ(run_task(rig(), loop(), all()), 7);
}

TEST_P(Contract, OkEndsTheTaskWithTheErrorAndSoAllThatPassItUp) {
  std::string log;
  std::vector<std::function<Task<Expected<int>>()>> failing;
  failing.emplace_back([]() -> Task<Expected<int>> { co_return std::unexpected(Errc::closed); });
  failing.emplace_back([]() -> Task<Expected<int>> {
    co_await ok(yield());
    co_return std::unexpected(Errc::closed);
  });
  failing.emplace_back([]() -> Task<Expected<int>> {
    co_return co_await ok(Expected<int>(std::unexpect, Errc::closed));
  });
  failing.emplace_back([]() -> Task<Expected<int>> {
    const std::expected<void, Errc> other(std::unexpect, Errc::closed);
    co_await ok(other);
    co_return 1;
  });
  for (const auto& fails : failing) {
    log.clear();
    const auto middle = [&](Trace) -> Task<Expected<std::string>> {
      const Trace first(log, 'b');
      const Trace second(log, 'a');
      const int got = co_await ok(fails());
      log += '!';
      co_return std::to_string(got);
    };
    const auto outer = [&]() -> Task<Expected<void>> {
      const Trace first(log, 'd');
      co_await ok(middle(Trace(log, 'c')));
      log += '!';
      co_return {};
    };
    const auto outermost = [&]() -> Task<Expected<void>> {
      Expected<void> result = co_await outer();
      log += 'e';
      co_return result;
    };
    EXPECT_FAILED(run_task(rig(), loop(), outermost()), Errc::closed);
    EXPECT_EQ(log, "abcde");
  }
}

TEST_P(Contract, OkTakesTheLoopsOperationsAndThoseOfHandles) {
  std::string log;
  std::array<std::byte, 4> buffer{};
  const auto by_operation = [&]() -> Task<Expected<void>> {
    const Trace trace(log, 'a');
    co_await ok(op::read(-1, buffer));
    log += '!';
    co_return {};
  };
  const auto by_handle = [&]() -> Task<Expected<void>> {
    const Trace trace(log, 'b');
    const Stream closed(loop(), -1);
    const std::size_t size = co_await ok(closed.read_some(buffer));
    log += '!' + std::to_string(size);
    co_return {};
  };
  EXPECT_FAILED(run_task(rig(), loop(), by_operation()), std::errc::bad_file_descriptor);
  EXPECT_FAILED(run_task(rig(), loop(), by_handle()), std::errc::bad_file_descriptor);
  EXPECT_EQ(log, "ab");
}

TEST_P(Contract, AnErrorBecomesTheTasksOwnKindOfError) {
  struct Mine {
    Error error;
    Mine(Error from) noexcept : error(from) {}  // NOLINT(google-explicit-constructor)
  };
  const auto task = []() -> Task<std::expected<int, Mine>> {
    co_await ok(Expected<void>(std::unexpect, Errc::closed));
    co_return 1;
  };
  const auto outer = [&]() -> Task<> {
    const std::expected<int, Mine> result = co_await task();
    EXPECT_FALSE(result);
    if (!result) {
      EXPECT_EQ(result.error().error, Errc::closed);
    }
  };
  EXPECT_TRUE(run_task(rig(), loop(), outer()));
}

// Memory ----------------------------------------------------------------------------------

TEST_P(Contract, ATaskWithoutMemoryEndsWithNotEnoughMemory) {
  int began = 0;
  const auto child = [&began]() -> Task<Expected<int>> {
    ++began;
    co_return 1;
  };
  Expected<int> awaited = 0;
  Expected<int> later = 0;
  bool valid = true;
  const auto parent = [&]() -> Task<Expected<int>> {
    {
      const NoFrames no_frames;
      Task<Expected<int>> task = child();
      valid = task.valid();
      awaited = co_await std::move(task);
    }
    later = co_await child();
    const NoFrames no_frames;
    co_return co_await ok(child());
  };
  EXPECT_FAILED(run_task(rig(), loop(), parent()), std::errc::not_enough_memory);
  EXPECT_FALSE(valid);
  EXPECT_FAILED(awaited, std::errc::not_enough_memory);
  EXPECT_EQ(later, 1);
  EXPECT_EQ(began, 1);
}

TEST_P(Contract, RunWithoutMemoryIsNotEnoughMemoryAndDoesNotBegin) {
  int began = 0;
  const auto task = [&began]() -> Task<Expected<int>> {
    ++began;
    co_return 1;
  };
  Task<Expected<int>> made = task();
  Expected<int> without_root = 0;
  Expected<int> without_task = 0;
  {
    const NoFrames no_frames;
    without_root = wev::run(loop(), std::move(made));
    without_task = wev::run(loop(), task());
  }
  EXPECT_FAILED(without_root, std::errc::not_enough_memory);
  EXPECT_FAILED(without_task, std::errc::not_enough_memory);
  EXPECT_FAILED(wev::run(loop(), Task<Expected<int>>()), std::errc::not_enough_memory);
  EXPECT_EQ(began, 0);
}

TEST_P(Contract, ARootWithoutATaskIsDoneAndSaysSo) {
  int done = 0;
  Root<Expected<int>> root(loop(), {});
  root.on_done([&done] { ++done; });
  run();
  EXPECT_TRUE(root.done());
  EXPECT_EQ(done, 1);
  EXPECT_FAILED(root.take(), std::errc::not_enough_memory);
}

// What is awaited ---------------------------------------------------------------------------

TEST_P(Contract, WhatTheLoopDoesIsAwaitedBare) {
  Async& async = this->async();
  std::array<std::byte, 4> buffer{};
  const auto task = [&]() -> Task<> {
    const Result nothing = co_await op::noop();
    EXPECT_EQ(nothing, Result(0));
    const Instant from = loop().now();
    const Result fired = co_await op::timer(2ms);
    EXPECT_TRUE(fired);
    EXPECT_GE(loop().now(), from + 2ms);
    async.notify();
    const Expected<void> notified = co_await async;
    EXPECT_TRUE(notified);
    async.notify();
    const Result waited = co_await op::async_wait(async);
    EXPECT_TRUE(waited);
    const Result failed = co_await op::read(-1, buffer);
    EXPECT_FAILED(failed, std::errc::bad_file_descriptor);
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
}

TEST_P(Contract, AnAsyncWakesTheTaskThatWaitsForIt) {
  Async& async = this->async();
  Probe& notifies = probe("notified", [&](Probe&) {
    async.notify();
    return Action::disarm;
  });
  timer(notifies, 2ms);
  const auto task = [&]() -> Task<Expected<void>> {
    const Expected<void> woken = co_await async;
    EXPECT_EQ(notifies.calls(), 1u);
    co_return woken;
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
}

TEST_P(Contract, TasksMoveBytesWholeThroughAPipe) {
  NEEDS(full_pipes);
  const auto ends = pipe();
  const Stream reader(loop(), ends.reader);
  Stream writer(loop(), ends.writer);
  std::string sent;
  for (int i = 0; sent.size() < 100'000; ++i) sent += std::to_string(i) + ",";
  std::vector<std::byte> received(sent.size());
  const auto write = [&]() -> Task<Expected<std::size_t>> {
    const std::size_t size = co_await ok(writer.write_all(bytes_of(sent)));
    co_await ok(writer.close());
    co_return size;
  };
  const auto read = [&]() -> Task<Expected<std::size_t>> {
    const std::size_t first = co_await ok(reader.read_some(received));
    const std::size_t rest = co_await ok(reader.read_exactly(std::span(received).subspan(first)));
    std::array<std::byte, 1> none{};
    const std::size_t end = co_await ok(reader.read_some(none));
    EXPECT_EQ(end, 0u);
    co_return first + rest;
  };
  const auto both = [&]() -> Task<> {
    const auto [written, read_size] = co_await when_all(write(), read());
    EXPECT_EQ(written, sent.size());
    EXPECT_EQ(read_size, sent.size());
  };
  EXPECT_TRUE(run_task(rig(), loop(), both()));
  EXPECT_TRUE(text_of(received) == sent);
}

TEST_P(Contract, ATaskReadsLinesAsTheyCome) {
  NEEDS(pipes);
  const auto ends = pipe();
  const Stream reader(loop(), ends.reader);
  Stream writer(loop(), ends.writer);
  std::string lines;
  const auto write = [&]() -> Task<Expected<void>> {
    for (const char* piece : {"on", "e\ntwo\n", "\nlast"}) {
      co_await ok(writer.write_all(bytes_of(piece)));
      co_await ok(sleep(1ms));
    }
    co_await ok(writer.close());
    co_return {};
  };
  const auto read = [&]() -> Task<Expected<void>> {
    std::array<std::byte, 16> storage{};
    ReadBuffer buffer(storage);
    for (;;) {
      const std::span<std::byte> line = co_await ok(reader.read_until(buffer, '\n'));
      if (line.empty()) co_return {};
      lines += "[" + text_of(line) + "]";
    }
  };
  const auto both = [&]() -> Task<> {
    const auto [written, done] = co_await when_all(write(), read());
    EXPECT_TRUE(written);
    EXPECT_TRUE(done);
  };
  EXPECT_TRUE(run_task(rig(), loop(), both()));
  EXPECT_EQ(lines, "[one\n][two\n][\n][last]");
}

// What cut it short, and how far it came.
TEST_P(Contract, AWholeReadThatIsCutShortIsAnError) {
  NEEDS(pipes);
  const auto [reader_fd, writer_fd] = pipe();
  const Stream reader(loop(), reader_fd);
  std::array<std::byte, 8> buffer{};
  const auto task = [&]() -> Task<> {
    const auto late = co_await reader.read_exactly(buffer).within(1ms);
    EXPECT_FALSE(late);
    EXPECT_EQ(late.error(), Errc::timed_out);
    EXPECT_EQ(late.error().moved, 0u);
    EXPECT_EQ(rig().write(writer_fd, "abc"), Result(3));
    const auto some = co_await timeout(20ms, reader.read_exactly(buffer));
    EXPECT_FALSE(some);
    EXPECT_EQ(some.error(), Errc::timed_out);
    std::size_t moved = some.error().moved;
    EXPECT_LE(moved, 3u);
    EXPECT_EQ(rig().write(writer_fd, "de"), Result(2));
    EXPECT_EQ(rig().close(writer_fd), Result(0));
    const auto ended = co_await reader.read_exactly(buffer);
    EXPECT_FALSE(ended);
    EXPECT_EQ(ended.error(), Errc::end_of_stream);
    moved += ended.error().moved;
    EXPECT_EQ(moved, 5u);
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
}

TEST_P(Contract, AnAwaitedReadHasItsDeadline) {
  NEEDS(pipes);
  const auto ends = pipe();
  const Stream reader(loop(), ends.reader);
  std::array<std::byte, 4> buffer{};
  const auto task = [&]() -> Task<> {
    Instant until = loop().now() + 3ms;
    const Result within = co_await reader.read_some(buffer).within(3ms);
    EXPECT_FAILED(within, Errc::timed_out);
    EXPECT_GE(loop().now(), until);
    until = loop().now() + 2ms;
    const Result deadline = co_await reader.read_exactly(buffer).deadline(until);
    EXPECT_FAILED(deadline, Errc::timed_out);
    EXPECT_GE(loop().now(), until);
    EXPECT_EQ(rig().write(ends.writer, "abcd"), Result(4));
    const Result in_time = co_await reader.read_exactly(buffer).within(1h);
    EXPECT_EQ(in_time, Result(4));
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
}

TEST_P(Contract, AReadOfAHandleThatAnotherTaskClosesEnds) {
  NEEDS(pipes);
  const auto ends = pipe();
  Stream reader(loop(), ends.reader);
  std::array<std::byte, 4> buffer{};
  const auto read = [&]() -> Task<Result> { co_return co_await reader.read_some(buffer); };
  const auto close = [&]() -> Task<Expected<void>> {
    co_await ok(yield());
    co_return co_await reader.close();
  };
  const auto both = [&]() -> Task<> {
    const auto [size, closed] = co_await when_all(read(), close());
    EXPECT_FAILED(size, Errc::operation_canceled);
    EXPECT_TRUE(closed);
  };
  EXPECT_TRUE(run_task(rig(), loop(), both()));
}

TEST_P(Contract, ATaskWritesAFileAndReadsItBack) {
  NEEDS(files);
  const auto task = [&]() -> Task<Expected<std::string>> {
    File file = co_await ok(
        File::open(loop(), "wev-test-task", open_read | open_write | open_create | open_truncate));
    co_await ok(file.write_all(bytes_of("hello world")));
    co_await ok(file.write_at(bytes_of("W"), 6));
    co_await ok(file.sync());
    const std::size_t size = co_await ok(file.size());
    EXPECT_EQ(size, 11u);
    std::array<std::byte, 32> buffer{};
    const std::size_t read = co_await ok(file.read_at(buffer, 6));
    co_await ok(file.close());
    co_return text_of(std::span(buffer).first(read));
  };
  EXPECT_EQ(run_task(rig(), loop(), task()), "World");
  const auto missing = [&]() -> Task<Expected<void>> {
    const File file = co_await ok(File::open(loop(), "wev-test-missing", open_read));
    ADD_FAILURE() << file.fd();
    co_return {};
  };
  EXPECT_FAILED(run_task(rig(), loop(), missing()), std::errc::no_such_file_or_directory);
}

TEST_P(Contract, NoSleepIsEarly) {
  const auto task = [&]() -> Task<Expected<void>> {
    for (const Duration delay : {Duration(0), Duration(1), Duration(1ms), Duration(3ms)}) {
      const Instant until = loop().now() + delay;
      co_await ok(sleep(delay));
      EXPECT_GE(loop().now(), until);
      EXPECT_GE(loop().backend().now(), until);
    }
    const Instant until = loop().now() + 2ms;
    co_await ok(sleep_until(until));
    EXPECT_GE(loop().now(), until);
    co_await ok(sleep_until(until - 1ms));  // over already
    co_await ok(sleep(-1h));
    co_return {};
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
}

TEST_P(Contract, SleepersWakeInTheOrderOfTheirTimes) {
  std::string log;
  const Instant start = loop().now();
  const auto sleeper = [&log, start](char name, Duration delay) -> Task<Expected<void>> {
    co_await ok(sleep_until(start + delay));
    log += name;
    co_return {};
  };
  const auto all = [&]() -> Task<> {
    co_await when_all(sleeper('c', 3ms), sleeper('a', 1ms), sleeper('d', 3ms), sleeper('b', 2ms));
  };
  EXPECT_TRUE(run_task(rig(), loop(), all()));
  EXPECT_EQ(log, "abcd");
}

TEST_P(Contract, YieldGivesOthersTheirTurn) {
  std::string log;
  const auto polite = [&log](char name) -> Task<Expected<void>> {
    for (int i = 0; i < 3; ++i) {
      log += name;
      co_await ok(yield());
    }
    co_return {};
  };
  timer("timer", 0ms);
  const auto all = [&]() -> Task<> {
    co_await when_all(polite('a'), polite('b'));
    EXPECT_EQ(Contract::log(), "timer");
  };
  EXPECT_TRUE(run_task(rig(), loop(), all()));
  EXPECT_EQ(log, "ababab");
}

TEST_P(Contract, AnIntervalCountsItsPeriodsAndIsNeverEarly) {
  const auto task = [&]() -> Task<Expected<void>> {
    Interval interval(loop(), 2ms);
    const Instant from = loop().now();
    std::size_t periods = 0;
    for (int i = 0; i < 5; ++i) {
      if (i == 2) rig().busy(loop(), 9ms);
      const std::size_t passed = co_await ok(interval.next());
      EXPECT_GE(passed, i == 2 ? 4u : 1u);
      periods += passed;
      EXPECT_GE(loop().now(), from + periods * 2ms);
      EXPECT_LT(loop().now(), from + (periods + 1) * 2ms);
    }
    co_return {};
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
}

// However deep they are: no stack for each.
TEST_P(Contract, ScopesInsideOfScopesAreCanceledOneAfterTheOther) {
  struct Nest {
    static Task<Expected<void>> of(int depth) {
      if (depth == 0) co_return co_await sleep(1h);
      co_return co_await timeout(1h, of(depth - 1));
    }
  };
  Root<Expected<void>> root(loop(), Nest::of(20'000));
  look();
  root.cancel();
  run();
  ASSERT_TRUE(root.done());
  EXPECT_FAILED(root.take(), Errc::operation_canceled);
}

TEST_P(Contract, TasksInsideOfTasksThatWereNeverBegunAreDropped) {
  const auto wrap = [](Task<> inner) -> Task<> { co_await std::move(inner); };
  Task<> chain;
  for (int i = 0; i < 200'000; ++i) chain = wrap(std::move(chain));
  EXPECT_TRUE(chain.valid());
  chain = {};
  EXPECT_FALSE(chain.valid());
}

TEST_P(Contract, ASleepHasADeadline) {
  const auto task = [&]() -> Task<> {
    EXPECT_FAILED(co_await sleep(1h).within(1ms), Errc::timed_out);
    EXPECT_TRUE(co_await sleep(1ms).within(1h));
    Interval hourly(loop(), 1h);
    EXPECT_FAILED(co_await hourly.next().within(1ms), Errc::timed_out);
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
}

TEST_P(Contract, SleepsAndTimeoutsCountFromWhenTheyBegin) {
  const auto task = [&]() -> Task<> {
    rig().busy(loop(), 5ms);
    const Instant start = loop().backend().now();
    EXPECT_TRUE(co_await sleep(2ms));
    EXPECT_GE(loop().backend().now(), start + 2ms);
    rig().busy(loop(), 5ms);
    EXPECT_TRUE(co_await timeout(1h, sleep(1ms)));
    EXPECT_TRUE(co_await sleep(1ms).within(1h));
    rig().busy(loop(), 5ms);
    Interval interval(loop(), 3ms);
    const Instant from = loop().now();
    EXPECT_GE(from, start + 10ms);
    EXPECT_TRUE(co_await interval.next());
    EXPECT_GE(loop().now(), from + 3ms);
  };
  EXPECT_TRUE(run_task(rig(), loop(), task()));
}

TEST_P(Contract, ATaskKnowsItsLoop) {
  const auto child = []() -> Task<Loop*> {
    Loop& loop = co_await this_loop();
    co_return &loop;
  };
  const auto parent = [&]() -> Task<bool> {
    Loop* in_child = co_await child();
    Loop& here = co_await this_loop();
    const auto [beside] = co_await when_all(child());
    co_return in_child == &here&& beside == &here && &here == &loop();
  };
  EXPECT_EQ(run_task(rig(), loop(), parent()), true);
}

// Running -------------------------------------------------------------------------------

TEST_P(Contract, RunGivesWhatTheTaskEndsWith) {
  const auto nothing = []() -> Task<> { co_return; };
  const auto waits = []() -> Task<int> {
    (void)co_await yield();
    co_return 2;
  };
  const auto fails = []() -> Task<Expected<int>> { co_return std::unexpected(Errc::closed); };
  const Expected<void> none = run_task(rig(), loop(), nothing());
  EXPECT_TRUE(none);
  EXPECT_EQ(run_task(rig(), loop(), value(1)), 1);
  EXPECT_EQ(run_task(rig(), loop(), waits()), 2);
  const Expected<int> flat = run_task(rig(), loop(), fails());
  EXPECT_FAILED(flat, Errc::closed);
}

TEST_P(Contract, RunInsideOfARunIsRefusedAndItsTaskDoesNotBegin) {
  std::string log;
  const auto inner = [&log](Trace) -> Task<int> {
    log += '!';
    co_return 1;
  };
  const auto outer = [&]() -> Task<> {
    EXPECT_FAILED(wev::run(loop(), inner(Trace(log, 'a'))), Errc::nested_run);
    (void)co_await yield();
    log += 'b';
  };
  EXPECT_TRUE(run_task(rig(), loop(), outer()));
  EXPECT_EQ(log, "ab");
  Probe& callback = probe({}, [&](Probe&) {
    EXPECT_FAILED(wev::run(loop(), inner(Trace(log, 'c'))), Errc::nested_run);
    return Action::disarm;
  });
  timer(callback, 0ms);
  run();
  EXPECT_EQ(log, "abc");
}

TEST_P(Contract, RunUnwindsATaskThatWaitsForWhatNeverComesAndSaysDeadlock) {
  Event never_set;
  std::string log;
  Expected<void> waited;
  const auto inner = [&]() -> Task<int> {
    const Trace trace(log, 'a');
    (void)co_await yield();
    waited = co_await never_set.wait();
    co_return 1;
  };
  const auto outer = [&]() -> Task<int> {
    const Trace trace(log, 'b');
    co_return co_await inner();
  };
  EXPECT_FAILED(run_task(rig(), loop(), outer()), Errc::deadlock);
  EXPECT_FAILED(waited, Errc::operation_canceled);
  EXPECT_EQ(log, "ab");
  EXPECT_EQ(run_task(rig(), loop(), value(1)), 1);  // and the loop goes on
}

TEST(TasksOnSim, RunSaysDeadlockWhereTheLoopDoes) {
  Sim sim({.moody = false});
  Loop loop(sim);
  Async async(loop);
  Expected<void> waited;
  const auto task = [&]() -> Task<Expected<int>> {
    waited = co_await async;
    co_return 1;
  };
  EXPECT_FAILED(wev::run(loop, task()), Errc::deadlock);
  EXPECT_FAILED(waited, Errc::operation_canceled);
  loop.detach(async);
}

TEST_P(Contract, StoppingTheLoopCancelsWhatRuns) {
  Probe& stops = probe({}, [&](Probe&) {
    loop().stop();
    return Action::disarm;
  });
  timer(stops, 1ms);
  const auto task = []() -> Task<Expected<void>> {
    Expected<void> slept = co_await sleep(1h);
    (void)co_await shield(sleep(1ms));  // and the loop goes on until it has ended
    co_return slept;
  };
  EXPECT_FAILED(run_task(rig(), loop(), task()), Errc::operation_canceled);
  loop().stop();
  EXPECT_FAILED(run_task(rig(), loop(), task()), Errc::operation_canceled);
  EXPECT_EQ(run_task(rig(), loop(), value(1)), 1);
}

// Though nothing else is active that could go on.
TEST_P(Contract, StoppingALoopWithNothingToDoIsNoDeadlock) {
  NEEDS(still_clock);
  Event never_set;
  const auto task = [&]() -> Task<Expected<void>> {
    loop().stop();
    co_return co_await never_set.wait();
  };
  EXPECT_FAILED(run_task(rig(), loop(), task()), Errc::operation_canceled);
}

TEST_P(Contract, ARootSaysOnceThatItIsDone) {
  const auto task = []() -> Task<std::unique_ptr<int>> {
    (void)co_await yield();
    co_return std::make_unique<int>(5);
  };
  Root<std::unique_ptr<int>> root(loop(), task());
  struct State {
    RootBase& root;
    int done = 0;
  } state{root};
  root.on_done([&state] {
    ++state.done;
    EXPECT_TRUE(state.root.done());
  });
  EXPECT_FALSE(root.done());
  run();
  EXPECT_TRUE(root.done());
  EXPECT_EQ(state.done, 1);
  EXPECT_EQ(*root.take(), 5);
}

TEST_P(Contract, ARootBeginsInTheNextTickAndRunsBesideCallbacks) {
  Event event;
  std::string log;
  const auto waits = [&]() -> Task<> {
    log += 'a';
    (void)co_await event.wait();
    log += 'a';
  };
  const auto sets = [&]() -> Task<> {
    log += 'b';
    event.set();
    (void)co_await yield();
    log += 'b';
  };
  std::optional<Root<void>> second;
  Probe& starts = probe({}, [&](Probe&) {
    second.emplace(loop(), sets());
    EXPECT_EQ(log, "a");
    return Action::disarm;
  });
  Root<void> first(loop(), waits());
  EXPECT_EQ(log, "");
  look();
  EXPECT_EQ(log, "a");
  timer(starts, 1ms);
  run();
  EXPECT_EQ(log, "abab");
  EXPECT_TRUE(first.done());
  EXPECT_TRUE(second->done());
}

TEST_P(Contract, ARootMayBeDestroyedWhenItIsDone) {
  struct State {
    std::unique_ptr<Root<void>> root;
    int done = 0;
  } state;
  Event event;
  // Ended by a callback of the loop, by another task, and at once.
  const std::array<std::function<Task<>()>, 3> tasks = {
      []() -> Task<> { (void)co_await sleep(1ms); },
      [&event]() -> Task<> { (void)co_await event.wait(); },
      []() -> Task<> { co_return; },
  };
  for (const auto& task : tasks) {
    event.reset();
    Probe& sets = probe({}, [&](Probe&) {
      event.set();
      return Action::disarm;
    });
    timer(sets, 1ms);
    state.root = std::make_unique<Root<void>>(loop(), task());
    state.root->on_done([&state] {
      ++state.done;
      state.root.reset();
    });
    run();
    EXPECT_EQ(state.root, nullptr);
  }
  EXPECT_EQ(state.done, 3);
}

TEST_P(Contract, WhatATaskHasThatEndsByOkIsGoneWhenItsRootIsDone) {
  std::string log;
  const auto task = [&log]() -> Task<Expected<void>> {
    const Trace trace(log, 'a');
    co_await ok(yield());
    co_await ok(Expected<void>(std::unexpect, Errc::closed));
    co_return {};
  };
  Root<Expected<void>> root(loop(), task());
  root.on_done([&log] { log += 'b'; });
  run();
  EXPECT_EQ(log, "ab");
  EXPECT_FAILED(root.take(), Errc::closed);
}

TEST_P(Contract, ATaskThatIsCanceledBeforeItBeginsEndsAtItsFirstWait) {
  std::string log;
  Event set;
  set.set();
  const auto task = [&]() -> Task<Expected<void>> {
    const Trace trace(log, 'c');
    log += 'a';
    co_await ok(set.wait());  // is there at once
    log += 'b';
    co_await ok(sleep(1h));
    log += '!';
    co_return {};
  };
  Root<Expected<void>> root(loop(), task());
  root.cancel();
  run();
  ASSERT_TRUE(root.done());
  EXPECT_FAILED(root.take(), Errc::operation_canceled);
  EXPECT_EQ(log, "abc");
}

TEST_P(Contract, CancelingTwiceIsAsOnceAndAfterTheEndNothing) {
  int ended = 0;
  const auto task = [&ended]() -> Task<Expected<void>> {
    Expected<void> slept = co_await sleep(1h);
    ++ended;
    co_return slept;
  };
  Root<Expected<void>> root(loop(), task());
  look();
  root.cancel();
  root.cancel();
  look();
  root.cancel();
  run();
  ASSERT_TRUE(root.done());
  root.cancel();
  run();
  EXPECT_EQ(ended, 1);
  EXPECT_FAILED(root.take(), Errc::operation_canceled);
}

TEST_P(Contract, ACancelWhileATaskFinishesChangesNothing) {
  RootBase* self = nullptr;
  const auto task = [&self]() -> Task<Expected<int>> {
    (void)co_await yield();
    self->cancel();
    co_return co_await value(7);
  };
  Root<Expected<int>> root(loop(), task());
  self = &root;
  run();
  ASSERT_TRUE(root.done());
  EXPECT_EQ(root.take(), 7);
}

TEST_P(Contract, WhatHasComeBeforeTheCancelIsHad) {
  Event event;
  Expected<void> first = std::unexpected(Errc::closed);
  const auto task = [&]() -> Task<Expected<void>> {
    first = co_await event.wait();
    co_return co_await sleep(1h);
  };
  Root<Expected<void>> root(loop(), task());
  look();
  event.set();
  root.cancel();
  run();
  ASSERT_TRUE(root.done());
  EXPECT_TRUE(first);
  EXPECT_FAILED(root.take(), Errc::operation_canceled);
}

TEST_P(Contract, CancelAtCancelsATaskAtThatWait) {
  int passed = 0;
  const auto waits = [&passed]() -> Task<Expected<void>> {
    co_await ok(yield());
    ++passed;
    co_return {};
  };
  const auto program = [&]() -> Task<Expected<void>> {
    co_await ok(waits());
    const auto [slept] = co_await when_all(waits());  // two: the child's, and for the child
    co_await ok(slept);
    co_await ok(waits());
    co_return {};
  };
  {
    Root<Expected<void>> root(loop(), program());
    run();
    EXPECT_EQ(root.suspensions(), 4u);
    EXPECT_TRUE(root.take());
  }
  constexpr std::array<int, 5> passed_by_then = {0, 1, 1, 2, 3};
  for (std::size_t i = 0; i < passed_by_then.size(); ++i) {
    passed = 0;
    Root<Expected<void>> root(loop(), program());
    root.cancel_at(i + 1);
    run();
    ASSERT_TRUE(root.done());
    EXPECT_EQ(passed, passed_by_then[i]) << "canceled at " << i + 1;
    const Expected<void> result = root.take();
    if (i < 4) {
      EXPECT_FAILED(result, Errc::operation_canceled);
    } else {
      EXPECT_TRUE(result);
    }
  }
}

// Cancel ------------------------------------------------------------------------------------

TEST_P(Contract, ACancelEndsTheWaitAndIsRemembered) {
  Event never_set;
  Semaphore taken(0);
  Async& async = this->async();
  std::vector<Expected<void>> ends;
  const auto task = [&]() -> Task<> {
    const bool before = co_await is_canceled();
    EXPECT_FALSE(before);
    ends.push_back(co_await sleep(1h));
    const bool after = co_await is_canceled();
    EXPECT_TRUE(after);
    ends.push_back(co_await sleep(1h));
    ends.push_back(co_await yield());
    ends.push_back(co_await async);
    ends.push_back(co_await never_set.wait());
    const auto place = co_await taken.acquire();
    EXPECT_FAILED(place, Errc::operation_canceled);
    const auto [child] = co_await when_all(sleep(1h));
    ends.push_back(child);
    ends.push_back(co_await timeout(1h, sleep(2h)));
    const Result timer = co_await op::timer(1h);
    EXPECT_FAILED(timer, Errc::operation_canceled);
    const int computed = co_await value(3);
    EXPECT_EQ(computed, 3);
  };
  Root<void> root(loop(), task());
  const Instant from = loop().now();
  look();
  root.cancel();
  run();
  EXPECT_TRUE(root.done());
  EXPECT_EQ(ends.size(), 7u);
  for (const Expected<void>& end : ends) EXPECT_FAILED(end, Errc::operation_canceled);
  EXPECT_LT(loop().now(), from + 1h);
}

TEST_P(Contract, ACancelReachesTheInnermostTaskAndComesBackThroughAll) {
  std::string log;
  std::function<Task<Expected<void>>(int)> level = [&](int depth) -> Task<Expected<void>> {
    const Trace trace(log, static_cast<char>('a' + depth));
    if (depth == 0) {
      co_await ok(sleep(1h));
    } else {
      co_await ok(level(depth - 1));
    }
    log += '!';
    co_return {};
  };
  Root<Expected<void>> root(loop(), level(4));
  look();
  EXPECT_EQ(log, "");
  root.cancel();
  run();
  ASSERT_TRUE(root.done());
  EXPECT_FAILED(root.take(), Errc::operation_canceled);
  EXPECT_EQ(log, "abcde");
}

TEST_P(Contract, ACloseIsCarriedOutThoughItsTaskIsCanceled) {
  NEEDS(pipes);
  const auto first = pipe();
  const auto second = pipe();
  RootBase* self = nullptr;
  Stream before(loop(), first.reader);
  Stream meanwhile(loop(), second.reader);
  Expected<void> closed_before = std::unexpected(Errc::closed);
  Expected<void> closed_meanwhile = closed_before;
  const auto task = [&]() -> Task<Expected<void>> {
    (void)co_await sleep(1h);
    closed_before = co_await before.close();
    co_return co_await sleep(1h);
  };
  const auto cancels_itself = [&]() -> Task<Expected<void>> {
    const auto cancel = [&]() -> Task<> {
      self->cancel();
      co_return;
    };
    const auto close = [&]() -> Task<> { closed_meanwhile = co_await meanwhile.close(); };
    co_await when_all(close(), cancel());
    co_return co_await sleep(1h);
  };
  Root<Expected<void>> root(loop(), task());
  look();
  root.cancel();
  run();
  ASSERT_TRUE(root.done());
  EXPECT_FAILED(root.take(), Errc::operation_canceled);
  EXPECT_TRUE(closed_before);
  Root<Expected<void>> other(loop(), cancels_itself());
  self = &other;
  run();
  ASSERT_TRUE(other.done());
  EXPECT_FAILED(other.take(), Errc::operation_canceled);
  EXPECT_TRUE(closed_meanwhile);
  const Result bad = std::unexpected(Error(std::errc::bad_file_descriptor));
  EXPECT_EQ(rig().close(first.reader), bad);
  EXPECT_EQ(rig().close(second.reader), bad);
}

TEST_P(Contract, BytesThatWereMovedWinOverTheCancel) {
  NEEDS(pipes);
  const auto ends = pipe();
  const Stream reader(loop(), ends.reader);
  for (int ticks = 0; ticks < 8; ++ticks) {
    EXPECT_EQ(rig().write(ends.writer, "abcde"), Result(5));
    std::array<std::byte, 10> buffer{};
    using Read = std::expected<std::size_t, TransferError>;
    const auto task = [&]() -> Task<Read> { co_return co_await reader.read_exactly(buffer); };
    Root<Read> root(loop(), task());
    for (int i = 0; i < ticks; ++i) look();
    root.cancel();
    run();
    ASSERT_TRUE(root.done());
    const Read read = root.take();
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error(), Errc::operation_canceled);
    const std::string got = text_of(std::span(buffer).first(read.error().moved));
    EXPECT_EQ(got + rig().read_all(ends.reader), "abcde");
  }
}

TEST_P(Contract, AShieldedTaskNoticesACancelOnlyAfterItsEnd) {
  std::string log;
  const auto shielded = [&log]() -> Task<Expected<int>> {
    co_await ok(sleep(2ms));
    const bool canceled = co_await is_canceled();
    EXPECT_FALSE(canceled);
    const auto [slept, inner] = co_await when_all(sleep(1ms), shield(sleep(1ms)));
    EXPECT_TRUE(slept);
    EXPECT_TRUE(inner);
    co_await ok(shield(sleep(1ms)));
    co_await ok(yield());
    log += 'a';
    co_return 1;
  };
  const auto fails = []() -> Task<Expected<int>> {
    co_await ok(yield());
    co_return std::unexpected(Errc::closed);
  };
  const auto task = [&]() -> Task<Expected<void>> {
    const int one = co_await ok(shield(shielded()));
    EXPECT_EQ(one, 1);
    const Expected<int> failed = co_await shield(fails());
    EXPECT_FAILED(failed, Errc::closed);
    log += 'b';
    co_return co_await sleep(1h);
  };
  const auto outer = [&]() -> Task<Expected<void>> { co_return co_await task(); };
  Root<Expected<void>> root(loop(), outer());
  look();
  root.cancel();
  run();
  ASSERT_TRUE(root.done());
  EXPECT_FAILED(root.take(), Errc::operation_canceled);
  EXPECT_EQ(log, "ab");
}

TEST_P(Contract, AShieldThatEndsByOkIsNoShieldAnyMore) {
  const auto fails = []() -> Task<Expected<void>> {
    co_await ok(sleep(1ms));
    co_return std::unexpected(Errc::closed);
  };
  const auto shields = [&]() -> Task<Expected<void>> {
    co_await ok(shield(fails()));
    ADD_FAILURE() << "it goes on after an error";
    co_return {};
  };
  const auto task = [&]() -> Task<Expected<void>> {
    const Expected<void> failed = co_await shields();
    EXPECT_FAILED(failed, Errc::closed);
    co_return co_await sleep(1h);
  };
  Root<Expected<void>> root(loop(), task());
  look();
  root.cancel();
  run();
  ASSERT_TRUE(root.done());
  EXPECT_FAILED(root.take(), Errc::operation_canceled);
}

TEST_P(Contract, ATaskThatDoesNotHeedItsCancelStarvesNobody) {
  constexpr int too_often = 1'000'000;
  Event never_set;
  const auto stubborn = [&](int how) -> Task<int> {
    const Probe& fires = timer({}, 0ms);
    int times = 0;
    while (fires.calls() == 0 && times < too_often) {
      ++times;
      if (how == 0) (void)co_await never_set.wait();
      if (how == 1) (void)co_await sleep(1h);
      if (how == 2) (void)co_await when_any(sleep(1h), never_set.wait());
    }
    co_return times;
  };
  for (int how = 0; how < 3; ++how) {
    Root<int> root(loop(), stubborn(how));
    root.cancel();
    run();
    ASSERT_TRUE(root.done());
    EXPECT_LT(root.take(), too_often);
  }
}

}  // namespace wev::test
