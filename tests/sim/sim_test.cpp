// The simulated backend: its time, its world and its moods.
#include "wev/sim/sim.hpp"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "wev/io/process.hpp"
#include "wev/io/signal.hpp"
#include "wev/loop/loop.hpp"
#include "wev/task/ok.hpp"
#include "wev/task/run.hpp"
#include "wev/task/sleep.hpp"

namespace wev::test {

using namespace std::chrono_literals;

namespace {

constexpr Sim::Options calm = {.moody = false};

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// An operation, its buffer, and how it ended.
struct Op {
  Completion completion;
  std::byte buffer[64] = {};
  std::vector<Result> results;
  std::function<Action(Op&)> then;

  [[nodiscard]] bool ended() const { return !results.empty(); }
  [[nodiscard]] Result result() const { return results.back(); }
  [[nodiscard]] bool canceled() const {
    return !result() && result().error() == Errc::operation_canceled;
  }
  [[nodiscard]] std::string_view text() const {
    return {reinterpret_cast<const char*>(buffer), result().value_or(0)};
  }
  [[nodiscard]] std::span<std::byte> room(std::size_t size) { return std::span(buffer, size); }

  static Action end(void* userdata, Loop&, Completion&, Result result) {
    Op& op = *static_cast<Op*>(userdata);
    op.results.push_back(result);
    return op.then ? op.then(op) : Action::disarm;
  }
};

void add(Loop& loop, Op& op, const Operation& operation, Instant deadline = never) {
  loop.add(op.completion, operation, &op, Op::end, deadline);
}

Result error(Error code) { return std::unexpected(code); }

// Everything that a busy program is told, and when.
std::string history(const Sim::Options& options) {
  Sim sim(options);
  Loop loop(sim);
  std::string told;
  std::deque<Op> ops;
  const auto lend = [&](const char* name, const Operation& operation, int times = 1) -> Op& {
    Op& op = ops.emplace_back();
    op.then = [&, name, times](Op& self) {
      told += name;
      told += '=';
      told += self.result() ? std::to_string(*self.result())
                            : 'e' + std::to_string(self.result().error().code());
      told += '@' + std::to_string(loop.now().time_since_epoch().count()) + ' ';
      return static_cast<int>(self.results.size()) < times ? Action::rearm : Action::disarm;
    };
    add(loop, op, operation);
    return op;
  };
  const auto [reader, writer] = sim.pipe();
  const auto [first, second] = sim.socket_pair();
  const int listener = sim.listen();
  std::byte buffer[32] = {};
  Op& endless = lend("endless", op::read(first, buffer));
  lend("read", op::read(reader, buffer), 20);
  lend("write", op::write(writer, buffer), 10);
  lend("poll", op::poll_readable(reader), 3);
  lend("send", op::send(second, bytes_of("hello")));
  lend("beat", op::timer(30us), 10);
  lend("file", op::read(sim.file("0123456789abcdef"), buffer), 3);
  Op& accept = lend("accept", op::accept(listener));
  for (int tick = 0; tick < 40; ++tick) {
    if (tick == 10) {
      loop.cancel(endless.completion);
      loop.cancel(accept.completion);
    }
    if (tick == 20) lend("close", op::close(writer));
    EXPECT_TRUE(loop.tick());
  }
  EXPECT_TRUE(loop.drain());
  return told;
}

}  // namespace

// Seeds ----------------------------------------------------------------------------

TEST(Sim, TheSameSeedGivesTheSameHistory) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    EXPECT_EQ(history({.seed = seed}), history({.seed = seed})) << "seed " << seed;
  }
}

TEST(Sim, DifferentSeedsGiveDifferentHistories) {
  std::set<std::string> histories;
  for (std::uint64_t seed = 0; seed < 50; ++seed) histories.insert(history({.seed = seed}));
  EXPECT_GE(histories.size(), 49u);
}

TEST(Sim, WithoutMoodsTheSeedDecidesNothing) {
  const std::string expected = history(calm);
  for (std::uint64_t seed = 1; seed < 10; ++seed) {
    EXPECT_EQ(history({.seed = seed, .moody = false}), expected);
  }
}

// Signals --------------------------------------------------------------------------

TEST(Sim, ASignalComesWhenTheTestRaisesIt) {
  constexpr int terminate = 15;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Sim sim({.seed = seed});
    Loop loop(sim);
    EXPECT_FALSE(sim.raise(terminate));
    std::vector<unsigned> told;
    {
      auto signal = Signal::open(loop, terminate);
      auto other = Signal::open(loop, terminate);
      ASSERT_TRUE(signal && other);
      EXPECT_TRUE(sim.raise(terminate));
      EXPECT_TRUE(sim.raise(terminate));
      EXPECT_FALSE(sim.raise(terminate + 1));
      Request first;
      Request second;
      const auto note = [&](Expected<unsigned> times) { told.push_back(times.value_or(0)); };
      first.start(signal->wait(), note);
      second.start(other->wait(), note);
      EXPECT_TRUE(loop.run());
      EXPECT_EQ(told, (std::vector<unsigned>{2, 2}));
      // The next ones wait for another.
      first.start(signal->wait(), note);
      (void)loop.tick(RunMode::no_wait);
      EXPECT_EQ(told.size(), 2u);
      EXPECT_TRUE(sim.raise(terminate));
      EXPECT_TRUE(loop.run());
      EXPECT_EQ(told.back(), 1u);
    }
    EXPECT_TRUE(loop.run());
    EXPECT_FALSE(sim.raise(terminate));
    EXPECT_FALSE(Signal::open(loop, 9));
  }
}

// Processes ------------------------------------------------------------------------

namespace {

// Writes what it reads, in capitals, and ends with how many bytes that were.
Task<Expected<void>> capitals(Sim& sim, int pid, Stream in, Stream out) {
  std::size_t count = 0;
  std::array<char, 16> buffer{};
  for (;;) {
    const std::size_t size = co_await ok(in.read_some(buffer));
    if (size == 0) break;
    for (char& c : std::span(buffer).first(size)) c = static_cast<char>(c & ~0x20);
    co_await ok(out.write_all(std::string_view(buffer.data(), size)));
    count += size;
  }
  out = Stream();
  in = Stream();
  sim.exit(pid, static_cast<int>(count));
  co_return {};
}

}  // namespace

TEST(Sim, AChildIsATaskOfTheTests) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(seed);
    Sim sim({.seed = seed});
    Loop loop(sim);
    std::deque<Root<Expected<void>>> children;
    sim.on_spawn([&](const Sim::Child& child) -> Expected<void> {
      EXPECT_STREQ(child.asked.program, "capitals");
      EXPECT_STREQ(child.asked.arguments[1], "-v");
      EXPECT_EQ(child.stdio[2], -1);
      children.emplace_back(loop, capitals(sim, child.pid, Stream(loop, child.stdio[0]),
                                           Stream(loop, child.stdio[1])));
      return {};
    });
    std::string received;
    const auto program = [&]() -> Task<Expected<ExitStatus>> {
      const std::string_view arguments[] = {"-v"};
      auto process = co_await ok(Process::spawn(
          loop, {.program = "capitals",
                 .arguments = arguments,
                 .stdio = {ChildStdio::pipe(), ChildStdio::pipe(), ChildStdio::null()}}));
      EXPECT_GT(process.pid(), 0);
      Stream to = process.take_pipe(0);
      const Stream from = process.take_pipe(1);
      EXPECT_FALSE(process.take_pipe(2).is_open());
      co_await ok(to.write_all("hello"));
      to = Stream();
      std::array<char, 64> all{};
      for (;;) {
        const std::size_t size = co_await ok(from.read_some(all));
        if (size == 0) break;
        received.append(all.data(), size);
      }
      const ExitStatus first = co_await ok(process.wait());
      EXPECT_EQ(co_await process.wait(), first);
      EXPECT_TRUE(process.kill(15));  // it has ended
      co_return first;
    };
    EXPECT_EQ(wev::run(loop, program()), (ExitStatus{5, 0}));
    EXPECT_EQ(received, "HELLO");
    EXPECT_TRUE(loop.run());
    EXPECT_EQ(sim.open_descriptors(), 0u);
  }
}

TEST(Sim, AChildThatIgnoresASignalIsEndedByAnother) {
  constexpr int terminate = 15;
  constexpr int kill = 9;
  Sim sim;
  Loop loop(sim);
  std::vector<int> signals;
  int pid = 0;
  int own = -1;
  sim.on_spawn([&](const Sim::Child& child) -> Expected<void> {
    pid = child.pid;
    own = child.stdio[1];
    sim.on_kill(child.pid, [&](int signal) { signals.push_back(signal); });
    return {};
  });
  const auto program = [&]() -> Task<Expected<ExitStatus>> {
    auto process = co_await ok(Process::spawn(
        loop, {.program = "daemon",
               .stdio = {ChildStdio::null(), ChildStdio::pipe(), ChildStdio::inherit()}}));
    const Stream from = process.take_pipe(1);
    co_await ok(process.kill(0));
    EXPECT_FALSE(process.kill(-1));
    co_await ok(process.kill(terminate));
    const auto in_time = co_await process.wait().within(1s);
    EXPECT_EQ(in_time, Expected<ExitStatus>(std::unexpected(Errc::timed_out)));
    co_await ok(process.kill(kill));
    std::array<char, 4> buffer{};
    EXPECT_EQ(co_await from.read_some(buffer), 0u);  // its end is closed
    co_return co_await process.wait();
  };
  EXPECT_EQ(wev::run(loop, program()), (ExitStatus{-1, kill}));
  EXPECT_EQ(signals, std::vector{terminate});
  EXPECT_TRUE(loop.run());
  // Its number is the test's, and of no use.
  EXPECT_FALSE(sim.write(own, "x"));
  EXPECT_TRUE(sim.close(own));
  EXPECT_EQ(sim.open_descriptors(), 0u);
  EXPECT_FALSE(sim.runs(pid));
  EXPECT_FALSE(sim.exit(pid, 1));
  sim.kill(pid, terminate);  // nobody
}

TEST(Sim, AChildMayEndAtOnceOrNotBegin) {
  Sim sim;
  Loop loop(sim);
  EXPECT_EQ(Process::spawn(loop, {.program = "x"}).error(), std::errc::operation_not_supported);
  sim.on_spawn([&](const Sim::Child& child) -> Expected<void> {
    if (std::string_view(child.asked.program) != "true") {
      return std::unexpected(std::errc::no_such_file_or_directory);
    }
    for (const int fd : child.stdio) (void)sim.close(fd);
    EXPECT_TRUE(sim.runs(child.pid));
    sim.kill(child.pid, 0);
    EXPECT_TRUE(sim.exit(child.pid, 3));
    return {};
  });
  const auto pipes = std::array{ChildStdio::pipe(), ChildStdio::pipe(), ChildStdio::pipe()};
  EXPECT_EQ(Process::spawn(loop, {.program = "false", .stdio = pipes}).error(),
            std::errc::no_such_file_or_directory);
  EXPECT_EQ(sim.open_descriptors(), 0u);
  const auto not_open = std::array{ChildStdio::pipe(), ChildStdio::descriptor(77), ChildStdio{}};
  EXPECT_EQ(Process::spawn(loop, {.program = "true", .stdio = not_open}).error(),
            std::errc::bad_file_descriptor);
  EXPECT_EQ(sim.open_descriptors(), 0u);
  {
    const int log = sim.file();
    auto process = Process::spawn(
        loop, {.program = "true",
               .stdio = {ChildStdio::pipe(), ChildStdio::descriptor(log), ChildStdio::null()}});
    ASSERT_TRUE(process);
    EXPECT_EQ(wev::run(loop, process->wait()), (ExitStatus{3, 0}));
    // A Process that nobody waits for, whose child goes on.
    sim.on_spawn([](const Sim::Child&) -> Expected<void> { return {}; });
    EXPECT_TRUE(Process::spawn(loop, {.program = "sleep"}));
    EXPECT_TRUE(sim.close(log));
  }
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(sim.open_descriptors(), 0u);
}

// Its task still has them, and may learn of its end in vain.
TEST(Sim, AChildThatIsKilledKeepsItsNumbersUntilItsTaskLetsGo) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(seed);
    Sim sim({.seed = seed});
    Loop loop(sim);
    std::deque<Root<Expected<void>>> children;
    sim.on_spawn([&](const Sim::Child& child) -> Expected<void> {
      sim.on_spawn(nullptr);  // there are no more
      children.emplace_back(loop, capitals(sim, child.pid, Stream(loop, child.stdio[0]),
                                           Stream(loop, child.stdio[1])));
      return {};
    });
    const auto program = [&]() -> Task<Expected<ExitStatus>> {
      auto process = co_await ok(Process::spawn(
          loop, {.program = "capitals",
                 .stdio = {ChildStdio::pipe(), ChildStdio::pipe(), ChildStdio::null()}}));
      co_await ok(yield());
      co_await ok(process.kill(9));
      // The lowest numbers that are free.
      const auto [reader, writer] = sim.pipe();
      const Stream from(loop, reader);
      const Stream to(loop, writer);
      co_await ok(to.write_all("hello"));
      std::array<char, 5> all{};
      co_await ok(from.read_exactly(all));
      EXPECT_EQ(std::string_view(all.data(), 5), "hello");
      EXPECT_FALSE(Process::spawn(loop, {.program = "another"}));
      co_return co_await process.wait();
    };
    EXPECT_EQ(wev::run(loop, program()), (ExitStatus{-1, 9}));
    EXPECT_TRUE(loop.run());
    EXPECT_TRUE(children.front().done());
    EXPECT_FALSE(children.front().take());
    EXPECT_EQ(sim.open_descriptors(), 0u);
  }
}

TEST(Sim, AWaitForAChildEndsWithItsProcess) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(seed);
    Sim sim({.seed = seed});
    Loop loop(sim);
    int pid = 0;
    sim.on_spawn([&pid](const Sim::Child& child) -> Expected<void> {
      pid = child.pid;
      return {};
    });
    Request waiting;
    Expected<ExitStatus> ended;
    {
      auto process = Process::spawn(loop, {.program = "x"});
      ASSERT_TRUE(process);
      waiting.start(process->wait(), [&ended](Expected<ExitStatus> status) { ended = status; });
      (void)loop.tick(RunMode::no_wait);
    }
    sim.kill(pid, 15);
    EXPECT_TRUE(loop.run());
    EXPECT_EQ(ended, Expected<ExitStatus>(std::unexpected(Errc::operation_canceled)));
  }
}

// Time -----------------------------------------------------------------------------

TEST(Sim, TimeIsVirtual) {
  Sim sim(calm);
  Loop loop(sim);
  const Instant start = loop.now();
  Op timer;
  add(loop, timer, op::timer(24h * 365 * 100));
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(loop.now(), start + 24h * 365 * 100);
}

TEST(Sim, TimeStandsStillWhileTheProgramWorks) {
  Sim sim;
  Loop loop(sim);
  const Instant start = sim.now();
  Op noop;
  for (int i = 0; i < 20; ++i) {
    add(loop, noop, op::noop());
    EXPECT_TRUE(loop.run());
  }
  EXPECT_EQ(sim.now(), start);
}

// It waits for time to pass, as on a real system.
TEST(Sim, TimePassesForALoopThatNeverSleeps) {
  Sim sim(calm);
  Loop loop(sim);
  Op busy;
  Op timer;
  busy.then = [&](Op&) { return timer.ended() ? Action::disarm : Action::rearm; };
  add(loop, busy, op::noop());
  add(loop, timer, op::timer(100ms));
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(timer.result(), Result(1));
  EXPECT_LE(busy.results.size(), 200'000u);
}

TEST(Sim, AdvanceLetsTimePassAsIfTheProgramHadBeenBusy) {
  Sim sim(calm);
  Loop loop(sim);
  const Instant start = sim.now();
  Op beat;
  add(loop, beat, op::timer(10ms));
  EXPECT_TRUE(loop.tick(RunMode::no_wait));
  sim.advance(35ms);
  EXPECT_EQ(sim.now(), start + 35ms);
  EXPECT_EQ(loop.now(), start);  // until it looks
  EXPECT_FALSE(beat.ended());
  EXPECT_TRUE(loop.tick(RunMode::no_wait));
  ASSERT_TRUE(beat.ended());
  EXPECT_EQ(beat.result(), Result(3));
  sim.advance(-1h);
  EXPECT_EQ(sim.now(), start + 35ms);  // never back
}

TEST(Sim, ADeadlinePassesInVirtualTime) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Sim sim({.seed = seed, .moody = seed != 0});
    Loop loop(sim);
    const Instant start = loop.now();
    Op read;
    add(loop, read, op::read(sim.pipe().first, read.buffer), start + 2h);
    EXPECT_TRUE(loop.run());
    EXPECT_EQ(read.result(), error(Errc::timed_out));
    EXPECT_GE(loop.now(), start + 2h);
    EXPECT_LT(loop.now(), start + 2h + 1s);
  }
}

// Nothing left to happen -------------------------------------------------------------

TEST(Sim, WithoutThreadsAnEndlessWaitIsADeadlock) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Sim sim({.seed = seed, .moody = seed != 0});
    Loop loop(sim);
    const auto [reader, writer] = sim.pipe();
    Op read;
    Op timer;
    add(loop, read, op::read(reader, read.buffer));
    add(loop, timer, op::timer(1h));
    const auto outcome = loop.run();
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error(), Errc::deadlock);
    EXPECT_TRUE(timer.ended());  // what could happen did
    EXPECT_FALSE(read.ended());
    // And it may be run again.
    EXPECT_EQ(sim.write(writer, "x"), Result(1));
    EXPECT_TRUE(loop.run());
    EXPECT_EQ(read.result(), Result(1));
  }
}

TEST(Sim, WaitingForANotificationThatCannotComeIsADeadlock) {
  Sim sim(calm);
  Loop loop(sim);
  Async async(loop);
  Op wait;
  add(loop, wait, op::async_wait(async));
  EXPECT_EQ(loop.run().error(), Errc::deadlock);
  async.notify();
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(wait.result(), Result(0));
  loop.detach(async);
}

TEST(Sim, WithThreadsItWaitsForThem) {
  for (const bool moody : {false, true}) {
    Sim sim({.moody = moody, .threads = true});
    Loop loop(sim);
    Async async(loop);
    Op wait;
    add(loop, wait, op::async_wait(async));
    std::thread thread([&] { async.notify(); });
    EXPECT_TRUE(loop.run());
    thread.join();
    EXPECT_EQ(wait.result(), Result(0));
    loop.detach(async);
  }
}

// The world --------------------------------------------------------------------------

TEST(Sim, TheWorldOutsideActsAtOnce) {
  Sim sim(calm);
  const auto [reader, writer] = sim.pipe();
  std::byte buffer[8] = {};
  EXPECT_EQ(sim.read(reader, buffer), error(std::errc::resource_unavailable_try_again));
  EXPECT_EQ(sim.write(writer, "abc"), Result(3));
  EXPECT_EQ(sim.perform(op::poll_readable(reader)), Result(readable));
  EXPECT_EQ(sim.read(reader, buffer), Result(3));
  EXPECT_EQ(sim.close(writer), Result(0));
  EXPECT_EQ(sim.read(reader, buffer), Result(0));
  EXPECT_EQ(sim.close(writer), error(std::errc::bad_file_descriptor));
  EXPECT_EQ(sim.close(reader), Result(0));
}

TEST(Sim, AFileKeepsWhatIsWritten) {
  Sim sim(calm);
  const int fd = sim.file("hello");
  std::byte buffer[16] = {};
  EXPECT_EQ(sim.contents(fd), "hello");
  EXPECT_EQ(sim.write(fd, "J"), Result(1));
  EXPECT_EQ(sim.read(fd, buffer), Result(4));
  EXPECT_EQ(sim.read(fd, buffer), Result(0));
  EXPECT_EQ(sim.perform(op::pwrite(fd, bytes_of("!"), 7)), Result(1));
  EXPECT_EQ(sim.contents(fd), std::string("Jello\0\0!", 8));
  EXPECT_EQ(sim.perform(op::pread(fd, buffer, 100)), Result(0));
  EXPECT_EQ(sim.perform(op::fsync(fd)), Result(0));
  EXPECT_EQ(sim.perform(op::recv(fd, buffer)), error(std::errc::not_a_socket));
}

// As Linux; POSIX would have it at the offset.
TEST(Sim, ToAFileThatIsAppendedToTheOffsetIsNothing) {
  Sim sim;
  const auto open = [&](std::uint32_t flags) {
    return static_cast<int>(*sim.perform(op::open(op::working_directory, "file", flags)));
  };
  const int appending = open(open_write | open_create | open_append);
  const int fd = open(open_read | open_write);
  EXPECT_EQ(sim.write(fd, "a"), Result(1));
  EXPECT_EQ(sim.perform(op::pwrite(appending, std::as_bytes(std::span("Q", 1)), 0)), Result(1));
  EXPECT_EQ(sim.contents(fd), "aQ");
  EXPECT_EQ(sim.close(appending), Result(0));
  EXPECT_EQ(sim.close(fd), Result(0));
}

TEST(Sim, PathsAndPositionsThatNoSystemTakesAreRefused) {
  Sim sim;
  const auto open = [&](int directory, const char* path, std::uint32_t flags) {
    return sim.perform(op::open(directory, path, flags));
  };
  const auto error = [](std::errc code) { return Result(std::unexpected(code)); };
  const std::string long_name(256, 'x');
  EXPECT_EQ(open(op::working_directory, "", open_write | open_create),
            error(std::errc::no_such_file_or_directory));
  EXPECT_EQ(open(op::working_directory, long_name.c_str(), open_write | open_create),
            error(std::errc::filename_too_long));
  EXPECT_EQ(open(99, "file", open_read), error(std::errc::bad_file_descriptor));
  const int fd = sim.file();
  EXPECT_EQ(open(fd, "file", open_read), error(std::errc::not_a_directory));
  // And nothing was made on the way.
  EXPECT_FALSE(open(op::working_directory, "file", open_write | open_create | open_directory));
  EXPECT_EQ(open(op::working_directory, "file", open_read),
            error(std::errc::no_such_file_or_directory));

  std::byte byte{};
  const std::span one(&byte, 1);
  constexpr std::uint64_t no_position = std::uint64_t{1} << 63;
  EXPECT_EQ(sim.perform(op::pread(fd, one, no_position)), error(std::errc::invalid_argument));
  EXPECT_EQ(sim.perform(op::pwrite(fd, one, no_position)), error(std::errc::invalid_argument));
  EXPECT_EQ(sim.perform(op::pread(fd, one, no_position - 1)), Result(0));
  EXPECT_EQ(sim.perform(op::pwrite(fd, one, no_position - 1)), error(std::errc::file_too_large));
  EXPECT_EQ(sim.close(fd), Result(0));
}

TEST(Sim, AListenerHandsOutConnectionsInOrder) {
  Sim sim(calm);
  const int listener = sim.listen();
  EXPECT_EQ(sim.perform(op::accept(listener)), error(std::errc::resource_unavailable_try_again));
  const int first = sim.connect(listener);
  const int second = sim.connect(listener);
  EXPECT_EQ(sim.write(second, "two"), Result(3));
  EXPECT_EQ(sim.write(first, "one"), Result(3));
  for (const std::string_view expected : {"one", "two"}) {
    const Result accepted = sim.perform(op::accept(listener));
    ASSERT_TRUE(accepted);
    std::byte buffer[8] = {};
    EXPECT_EQ(sim.read(static_cast<int>(*accepted), buffer), Result(3));
    EXPECT_TRUE(std::ranges::equal(std::span(buffer, 3), bytes_of(expected)));
  }
}

TEST(Sim, NumbersAreReusedLowestFirst) {
  Sim sim;
  EXPECT_EQ(sim.open_descriptors(), 0u);
  const auto [a, b] = sim.pipe();
  const auto [c, d] = sim.socket_pair();
  EXPECT_EQ(sim.open_descriptors(), 4u);
  EXPECT_EQ(sim.close(c), Result(0));
  EXPECT_EQ(sim.close(a), Result(0));
  EXPECT_EQ(sim.open_descriptors(), 2u);
  EXPECT_EQ(sim.file(), a);
  EXPECT_EQ(sim.listen(), c);
  EXPECT_EQ(std::set({a, b, c, d}).size(), 4u);
}

TEST(Sim, CapacityBoundsWhatIsOnItsWay) {
  Sim sim({.moody = false, .capacity = 4});
  Loop loop(sim);
  const auto [reader, writer] = sim.pipe();
  const auto [first, second] = sim.socket_pair();
  const int listener = sim.listen();
  for (const auto& [in, out] : {std::pair(reader, writer), {first, second}, {second, first}}) {
    EXPECT_EQ(sim.write(out, "123456"), Result(4));
    EXPECT_EQ(sim.write(out, "56"), error(std::errc::resource_unavailable_try_again));
    Op write;
    add(loop, write, op::write(out, bytes_of("56")));
    EXPECT_EQ(loop.run().error(), Errc::deadlock);
    std::byte byte[1] = {};
    EXPECT_EQ(sim.read(in, byte), Result(1));
    EXPECT_TRUE(loop.run());
    EXPECT_EQ(write.result(), Result(1));
  }
  EXPECT_EQ(sim.write(sim.connect(listener), "123456"), Result(4));
  EXPECT_EQ(sim.write(sim.file(), "123456"), Result(6));
}

TEST(Sim, FailNextFailsOneOperationEach) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Sim sim({.seed = seed, .moody = seed != 0});
    Loop loop(sim);
    const auto [reader, writer] = sim.pipe();
    EXPECT_EQ(sim.write(writer, "x"), Result(1));
    sim.fail_next(reader, std::errc::io_error);
    sim.fail_next(reader, Error::native(4711));
    Op first;
    Op second;
    Op third;
    add(loop, first, op::read(reader, first.buffer));
    add(loop, second, op::poll_readable(reader));
    add(loop, third, op::read(reader, third.buffer));
    EXPECT_TRUE(loop.run());
    EXPECT_EQ(first.result(), error(std::errc::io_error));
    EXPECT_EQ(second.result(), error(Error::native(4711)));
    EXPECT_EQ(third.result(), Result(1));
  }
}

TEST(Sim, FailNextEndsWhatIsWaitingAndSparesCloses) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Sim sim({.seed = seed, .moody = seed != 0});
    Loop loop(sim);
    const int reader = sim.pipe().first;
    Op read;
    Op close;
    add(loop, read, op::read(reader, read.buffer));
    EXPECT_TRUE(loop.tick(RunMode::no_wait));
    sim.fail_next(reader, std::errc::connection_reset);
    EXPECT_TRUE(loop.run());
    EXPECT_EQ(read.result(), error(std::errc::connection_reset));
    sim.fail_next(reader, std::errc::io_error);
    add(loop, close, op::close(reader));
    EXPECT_TRUE(loop.run());
    EXPECT_EQ(close.result(), Result(0));
  }
}

TEST(Sim, ADescriptorClosedBehindTheLoopsBackIsABadOne) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Sim sim({.seed = seed, .moody = seed != 0});
    Loop loop(sim);
    const int reader = sim.pipe().first;
    Op read;
    add(loop, read, op::read(reader, read.buffer));
    EXPECT_TRUE(loop.tick(RunMode::no_wait));
    EXPECT_EQ(sim.close(reader), Result(0));
    EXPECT_TRUE(loop.run());
    EXPECT_EQ(read.result(), error(std::errc::bad_file_descriptor));
  }
}

namespace {

// Reading and writing end with bad_file_descriptor in one wait(), and then two
// new descriptors are waited on. Whether the loop tells those apart.
bool survives_a_close_under_both_directions() {
  Sim sim({.moody = false, .capacity = 4});
  Loop loop(sim);
  const auto [here, there] = sim.socket_pair();
  (void)sim.write(here, "full");
  Op read;
  Op write;
  add(loop, read, op::read(here, read.buffer));
  add(loop, write, op::write(here, bytes_of("more")));
  (void)loop.tick(RunMode::no_wait);
  (void)sim.close(here);
  (void)loop.run();
  const Result bad = error(std::errc::bad_file_descriptor);
  const bool both_failed = read.result() == bad && write.result() == bad;

  const int first = sim.pipe().first;
  const auto [second, writer] = sim.pipe();
  Op waiting;
  Op fed;
  add(loop, waiting, op::read(first, waiting.buffer));
  add(loop, fed, op::read(second, fed.buffer));
  (void)loop.tick(RunMode::no_wait);
  (void)sim.write(writer, "data");
  (void)loop.run(RunMode::once);
  const bool right_one_ended = fed.ended() && !waiting.ended();
  (void)loop.drain();
  return both_failed && right_one_ended;
}

}  // namespace

// In a process of its own: what goes wrong here corrupts the loop's table.
TEST(SimDeathTest, ADescriptorClosedUnderBothDirectionsFailsBothAndNothingElse) {
  EXPECT_EXIT(std::_Exit(survives_a_close_under_both_directions() ? 0 : 1),
              testing::ExitedWithCode(0), "");
}

// A cancel ends it soon, whoever has got its number since.
TEST(Sim, WhatIsCancelledAfterItsDescriptorWasClosedEndsAlthoughTheNumberIsReused) {
  Sim sim(calm);
  Loop loop(sim);
  const int reader = sim.pipe().first;
  Op read;
  add(loop, read, op::read(reader, read.buffer));
  EXPECT_TRUE(loop.tick(RunMode::no_wait));
  EXPECT_EQ(sim.close(reader), Result(0));
  loop.cancel(read.completion);
  ASSERT_EQ(sim.pipe().first, reader);
  EXPECT_TRUE(loop.run());
  EXPECT_TRUE(read.ended());
  (void)sim.close(reader);
  EXPECT_TRUE(loop.drain());
}

// What the loop counts must not depend on when it sees a post.
TEST(Sim, AnUnreferencedPostLeavesTheNumberOfActiveOnesAlone) {
  Sim sim(calm);
  Loop loop(sim);
  Op post;
  loop.post(post.completion, &post, Op::end);
  loop.unref(post.completion);
  EXPECT_EQ(loop.active(), 0u);
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(post.result(), Result(0));
  EXPECT_EQ(loop.active(), 0u);
}

// Moods ------------------------------------------------------------------------------

namespace {

// What is seen of its moods, over many seeds.
struct Moods {
  bool short_read = false;
  bool whole_read = false;
  bool short_write = false;
  bool whole_write = false;
  bool ended_at_once = false;
  bool ended_later = false;
  bool out_of_order = false;
  bool in_order = false;
  bool woke_for_nothing = false;
  bool cancel_won = false;
  bool cancel_lost = false;
  bool cancel_came_late = false;

  [[nodiscard]] std::vector<bool> all() const {
    return {short_read,       whole_read,  short_write,  whole_write,
            ended_at_once,    ended_later, out_of_order, in_order,
            woke_for_nothing, cancel_won,  cancel_lost,  cancel_came_late};
  }

  void look_at(const Sim::Options& options);
};

void Moods::look_at(const Sim::Options& options) {
  Sim sim(options);
  Loop loop(sim);
  const auto [reader, writer] = sim.pipe();
  Op write;
  add(loop, write, op::write(writer, bytes_of("0123456789")));
  EXPECT_TRUE(loop.run());
  (write.result() == Result(10) ? whole_write : short_write) = true;

  Op read;
  add(loop, read, op::read(reader, read.buffer));
  EXPECT_TRUE(loop.tick(RunMode::no_wait));
  (read.ended() ? ended_at_once : ended_later) = true;
  EXPECT_TRUE(loop.run());
  (read.result() == write.result() ? whole_read : short_read) = true;

  // Two that are ready at the same time.
  const auto one = sim.pipe();
  const auto two = sim.pipe();
  std::string order;
  Op first;
  Op second;
  first.then = [&](Op&) {
    order += '1';
    return Action::disarm;
  };
  second.then = [&](Op&) {
    order += '2';
    return Action::disarm;
  };
  add(loop, first, op::read(one.first, first.buffer));
  add(loop, second, op::read(two.first, second.buffer));
  EXPECT_TRUE(loop.tick(RunMode::no_wait));
  EXPECT_EQ(sim.write(one.second, "x"), Result(1));
  EXPECT_EQ(sim.write(two.second, "x"), Result(1));
  EXPECT_TRUE(loop.run());
  (order == "12" ? in_order : out_of_order) = true;

  // A sleep that ends before anything did.
  Op timer;
  add(loop, timer, op::timer(1h));
  while (!timer.ended()) {
    const auto called = loop.tick();
    ASSERT_TRUE(called);
    if (*called == 0 && loop.now() < timer.completion.deadline()) woke_for_nothing = true;
  }

  // A cancel of what has become ready, and of what has not.
  Op ready;
  Op idle;
  const auto three = sim.pipe();
  add(loop, ready, op::read(three.first, ready.buffer));
  add(loop, idle, op::read(sim.pipe().first, idle.buffer));
  EXPECT_TRUE(loop.tick(RunMode::no_wait));
  EXPECT_EQ(sim.write(three.second, "x"), Result(1));
  loop.cancel(ready.completion);
  loop.cancel(idle.completion);
  EXPECT_TRUE(loop.tick(RunMode::no_wait));
  if (!idle.ended()) cancel_came_late = true;
  EXPECT_TRUE(loop.run());
  EXPECT_TRUE(idle.canceled());
  (ready.canceled() ? cancel_won : cancel_lost) = true;
}

}  // namespace

TEST(Sim, OverItsSeedsItTakesEveryFreedom) {
  Moods seen;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) seen.look_at({.seed = seed});
  EXPECT_EQ(seen.all(), std::vector<bool>(12, true));
}

TEST(Sim, CalmItEndsEverythingSoonAndWholeAndInOrder) {
  Moods seen;
  seen.look_at(calm);
  EXPECT_TRUE(seen.whole_read && seen.whole_write && seen.ended_at_once && seen.in_order);
  EXPECT_TRUE(seen.cancel_won);
  EXPECT_FALSE(seen.short_read || seen.short_write || seen.ended_later || seen.out_of_order);
  EXPECT_FALSE(seen.woke_for_nothing || seen.cancel_lost || seen.cancel_came_late);
}

namespace {

// A full socket, a full pipe, a listener: none is ready, and some operations on
// them end all the same.
struct Cluttered {
  explicit Cluttered(const Sim::Options& options) : sim(options) {
    std::tie(socket, peer) = sim.socket_pair();
    std::tie(std::ignore, writer) = sim.pipe();
    listener = sim.listen();
    for (const int fd : {socket, writer}) {
      while (sim.write(fd, "full")) {
      }
    }
  }

  Sim sim;
  int socket = -1;
  int peer = -1;
  int writer = -1;
  int listener = -1;
};

struct Unblocked {
  const char* name;
  Operation (*operation)(const Cluttered& on);
};

const Unblocked unblocked[] = {
    {"shutdown of a full socket",
     [](const Cluttered& on) { return op::shutdown(on.socket, Shutdown::send); }},
    {"fsync of a full pipe", [](const Cluttered& on) { return op::fsync(on.writer); }},
    {"read of a listener",
     [](const Cluttered& on) {
       static std::byte buffer[8];
       return op::read(on.listener, buffer);
     }},
    {"accept on a socket", [](const Cluttered& on) { return op::accept(on.socket); }},
    {"recv of no bytes", [](const Cluttered& on) { return op::recv(on.socket, {}); }},
    {"send of no bytes", [](const Cluttered& on) { return op::send(on.socket, {}); }},
};

}  // namespace

// A real system's answer comes without anything having to become ready, so no
// mood may wait for that.
TEST(Sim, WhatWouldNotBlockEndsWhateverTheMood) {
  for (const Unblocked& one : unblocked) {
    SCOPED_TRACE(one.name);
    Cluttered outside({.moody = false, .capacity = 16});
    const Result expected = outside.sim.perform(one.operation(outside));
    ASSERT_NE(expected, error(std::errc::resource_unavailable_try_again));
    int stuck = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      Cluttered inside({.seed = seed, .capacity = 16});
      Loop loop(inside.sim);
      Op op;
      const Operation operation = one.operation(inside);
      add(loop, op, operation);
      if (loop.run()) {
        EXPECT_EQ(op.result(), expected) << "seed " << seed;
        continue;
      }
      ++stuck;
      (void)inside.sim.close(operation.io.fd);  // so that it ends
      EXPECT_TRUE(loop.run());
    }
    EXPECT_EQ(stuck, 0) << "of 20 seeds ended in a deadlock";
  }
}

// Programs ---------------------------------------------------------------------------

namespace {

// Sends a message through a small pipe, both ends on one loop, and returns what
// arrived. A careless reader or writer takes the first transfer for the whole.
std::string transfer(const Sim::Options& options, bool careful) {
  Sim sim(options);
  Loop loop(sim);
  const auto [reader, writer] = sim.pipe();
  const std::string message = "a message of forty bytes, no less & more";
  std::size_t sent = 0;
  std::string received;
  Op write;
  Op read;
  Op close;
  write.then = [&](Op& self) {
    sent += self.result().value_or(0);
    if (careful && sent < message.size()) {
      add(loop, self, op::write(writer, bytes_of(message).subspan(sent)));
    } else {
      add(loop, close, op::close(writer));
    }
    return Action::disarm;
  };
  read.then = [&](Op& self) {
    received += self.text();
    return careful && !self.text().empty() ? Action::rearm : Action::disarm;
  };
  add(loop, write, op::write(writer, bytes_of(message)));
  add(loop, read, op::read(reader, read.buffer));
  EXPECT_TRUE(loop.run());
  return received == message ? "" : "only '" + received + "' arrived";
}

// Gives up on a read, and believes that a cancelled read has taken nothing: what
// it took is the first byte of the next.
std::string give_up(const Sim::Options& options, bool careful) {
  Sim sim(options);
  Loop loop(sim);
  const auto [reader, writer] = sim.pipe();
  Op first;
  add(loop, first, op::read(reader, first.room(2)));
  EXPECT_TRUE(loop.tick(RunMode::no_wait));
  EXPECT_EQ(sim.write(writer, "a"), Result(1));
  EXPECT_EQ(sim.write(writer, "b"), Result(1));
  loop.cancel(first.completion);
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(sim.close(writer), Result(0));
  std::string received(careful ? first.text() : "");
  Op rest;
  rest.then = [&](Op& self) {
    received += self.text();
    return self.text().empty() ? Action::disarm : Action::rearm;
  };
  add(loop, rest, op::read(reader, rest.buffer));
  EXPECT_TRUE(loop.run());
  return received == "ab" ? "" : "'" + received + "' instead of 'ab'";
}

// Believes that what became ready first is told first.
std::string merge(const Sim::Options& options, bool careful) {
  Sim sim(options);
  Loop loop(sim);
  const auto one = sim.pipe();
  const auto two = sim.pipe();
  std::string received;
  Op first;
  Op second;
  first.then = second.then = [&](Op& self) {
    received += self.text();
    return Action::disarm;
  };
  add(loop, first, op::read(one.first, first.buffer));
  add(loop, second, op::read(two.first, second.buffer));
  EXPECT_TRUE(loop.tick(RunMode::no_wait));
  EXPECT_TRUE(sim.write(one.second, "1"));
  EXPECT_TRUE(sim.write(two.second, "2"));
  EXPECT_TRUE(loop.run());
  if (careful) std::ranges::sort(received);
  return received == "12" ? "" : "'" + received + "' instead of '12'";
}

struct Program {
  const char* name;
  std::string (*run)(const Sim::Options& options, bool careful);  // what went wrong
};

constexpr Program programs[] = {{"transfer", transfer}, {"give_up", give_up}, {"merge", merge}};

}  // namespace

// The canaries: if they live, the moods have become too tame to be of use.
TEST(Sim, AWrongProgramIsCaughtWithinTwentySeeds) {
  for (const Program& program : programs) {
    EXPECT_EQ(program.run(calm, false), "") << program.name << " should seem right";
    std::optional<std::uint64_t> caught;
    for (std::uint64_t seed = 1; seed <= 20 && !caught; ++seed) {
      if (!program.run({.seed = seed}, false).empty()) caught = seed;
    }
    ASSERT_TRUE(caught) << program.name << " lives";
    // And is wrong again on the same seed.
    const std::string wrong = program.run({.seed = *caught}, false);
    EXPECT_FALSE(wrong.empty());
    EXPECT_EQ(program.run({.seed = *caught}, false), wrong);
  }
}

TEST(Sim, ARightProgramIsRightOnAThousandSeeds) {
  for (const Program& program : programs) {
    for (std::uint64_t seed = 0; seed < 1'000; ++seed) {
      ASSERT_EQ(program.run({.seed = seed}, true), "") << program.name << ", seed " << seed;
      ASSERT_EQ(program.run({.seed = seed, .capacity = 7}, true), "")
          << program.name << ", a small pipe, seed " << seed;
    }
  }
}

}  // namespace wev::test
