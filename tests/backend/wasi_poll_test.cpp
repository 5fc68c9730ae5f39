// What the WASI backend asks of its host, on simulated ones.
#include "backend/wasi_poll.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "fake/fake_host.hpp"
#include "wev/loop/loop.hpp"

namespace wev::test {

using namespace std::chrono_literals;

namespace {

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
  [[nodiscard]] Result result() const { return results.empty() ? Result(4711) : results.back(); }

  static Action end(void* userdata, Loop&, Completion&, Result result) {
    Op& op = *static_cast<Op*>(userdata);
    op.results.push_back(result);
    return op.then ? op.then(op) : Action::disarm;
  }
};

// A loop on the backend on a host. What is lent must outlive it.
struct Guest {
  explicit Guest(const Quirks& quirks, const FakeHost::Options& options = {},
                 const WasiTraits& traits = {})
      : host(quirks, options), backend(traits) {}
  Guest(const Quirks& quirks, const WasiTraits& traits) : Guest(quirks, {}, traits) {}
  ~Guest() {
    EXPECT_TRUE(loop.drain());
    for (const std::string& violation : host.violations()) ADD_FAILURE() << violation;
  }

  World& world() { return host.world(); }
  std::pair<int, int> pipe() { return world().pipe(host.capacity()); }
  Result write(int fd, std::string_view text) {
    return world().perform(op::write(fd, bytes_of(text)));
  }

  void add(Op& op, const Operation& operation) { loop.add(op.completion, operation, &op, Op::end); }
  void look() { EXPECT_TRUE(loop.tick(RunMode::no_wait)); }
  // How many polls it takes to run for so long, which nothing else interrupts.
  std::size_t polls_during(Duration duration) {
    Op timer;
    const std::size_t before = host.polls();
    loop.update_now();
    add(timer, op::timer(duration));
    while (!timer.ended()) {
      if (!loop.tick()) ADD_FAILURE();
    }
    return host.polls() - before;
  }
  // How many host calls an operation takes that ends in the next tick.
  std::size_t calls_of(const Operation& operation) {
    Op op;
    const std::size_t before = host.calls();
    add(op, operation);
    look();
    EXPECT_TRUE(op.ended());
    EXPECT_TRUE(op.result());
    return host.calls() - before;
  }

  FakeHost host;
  WasiPoll backend;
  Loop loop{backend};
};

Result error(Error code) { return std::unexpected(code); }

const Result bad = error(std::errc::bad_file_descriptor);

// Those on which time can be slept away as it is asked for: one host fails every call with a
// clock alone, and a loop that waits for a deadline there can only go round; others wake early.
std::vector<Quirks> hosts_that_sleep() {
  std::vector<Quirks> hosts;
  for (const Quirks& quirks : all_quirks()) {
    const bool wakes = quirks.sleeps_half || quirks.longest_sleep != Duration::max() ||
                       quirks.interrupts == 2 || quirks.clock_step > 1ms;
    if (quirks.clock_error == 0 && !wakes) hosts.push_back(quirks);
  }
  return hosts;
}

const Quirks& named(std::string_view name) {
  for (const Quirks& quirks : all_quirks()) {
    if (quirks.name == name) return quirks;
  }
  ADD_FAILURE() << "no host " << name;
  return plain_host();
}

// A call that ends early leaves a rest to sleep, one that is interrupted sleeps
// not at all, and what a host refuses is found out by asking for each alone.
constexpr std::size_t some_more = 6;

}  // namespace

// Idle -----------------------------------------------------------------------------

// timeout_until(): nothing to poll for is nothing to be unsure of, so one call
// sleeps it all.
TEST(WasiPoll, SleepingUntilATimerTakesOneCall) {
  for (const Quirks& quirks : hosts_that_sleep()) {
    Guest guest(quirks);
    EXPECT_LE(guest.polls_during(10s), 1 + some_more) << quirks.name;
  }
  Guest guest(plain_host());
  EXPECT_EQ(guest.polls_during(10s), 1u);
}

// No call sleeps longer than an hour.
TEST(WasiPoll, SleepingForDaysTakesACallAnHour) {
  for (const Quirks& quirks : hosts_that_sleep()) {
    Guest guest(quirks);
    const std::size_t polls = guest.polls_during(10 * 24h);
    EXPECT_GE(polls, 240u) << quirks.name;
    EXPECT_LE(polls, 240 + some_more) << quirks.name;
  }
}

// timeout_until(): some hosts ignore what they are given, so until a descriptor was told of
// it is tried every 256 ms, where it can be. After that the timeouts double from 1 ms, and
// the 14th goes beyond 10 s.
TEST(WasiPoll, OneIdlePipeTakesAPollForEachDoublingOnceItWasToldOf) {
  constexpr std::size_t doublings = 14 + some_more;
  for (const Quirks& quirks : hosts_that_sleep()) {
    if (quirks.pipe_read_poll != Quirks::Poll::honest) continue;
    SCOPED_TRACE(quirks.name);
    Op read;
    Guest guest(quirks);
    const auto [reader, writer] = guest.pipe();
    read.then = [](Op&) { return Action::rearm; };
    guest.add(read, op::read(reader, read.buffer));
    const bool blocks = quirks.refuses_nonblocking != 0;
    EXPECT_LE(guest.polls_during(10s), doublings + (blocks ? 0 : 10s / 255ms));
    EXPECT_FALSE(read.ended());
    if (quirks.sleeps_whole || !quirks.writes_event_count) continue;  // it never is
    guest.host.plan(guest.host.now() + 500ms,
                    [&guest, fd = writer] { (void)guest.write(fd, "x"); });
    (void)guest.polls_during(1s);
    EXPECT_TRUE(read.ended());
    EXPECT_LE(guest.polls_during(10s), doublings);
  }
}

// What was ready in vain is tried for a while, before the host is asked again.
TEST(WasiPoll, AHostThatCallsEverythingReadyIsAskedOnlyNowAndThen) {
  Op read;
  Op write;
  Guest guest(named("eager"));
  const auto [reader, writer] = guest.pipe();
  guest.add(read, op::read(reader, read.buffer));
  const auto [other, full] = guest.pipe();
  const std::string much(guest.host.capacity(), 'x');
  EXPECT_EQ(guest.write(full, much), Result(much.size()));
  guest.add(write, op::write(full, bytes_of("x")));
  EXPECT_LE(guest.polls_during(10s), 2 * 10s / 15ms + some_more);
  EXPECT_FALSE(read.ended() || write.ended());
  EXPECT_EQ(guest.write(writer, "x"), Result(1));
  std::byte buffer[8];
  EXPECT_EQ(guest.world().perform(op::read(other, buffer)), Result(8));
  (void)guest.polls_during(20ms);
  EXPECT_EQ(read.result(), Result(1));
  EXPECT_EQ(write.result(), Result(1));
}

// Once it was seen to be deaf it is tried more often.
TEST(WasiPoll, AHostThatIgnoresDescriptorsIsNotReliedUpon) {
  std::vector<Instant> received;
  Op read;
  Guest guest(named("deaf"));
  const auto [reader, writer] = guest.pipe();
  read.then = [&](Op&) {
    received.push_back(guest.host.now());
    return Action::rearm;
  };
  guest.add(read, op::read(reader, read.buffer));
  const Instant begin = guest.host.now();
  for (int i = 1; i <= 3; ++i) {
    guest.host.plan(begin + i * 10s, [&guest, fd = writer] { (void)guest.write(fd, "x"); });
  }
  EXPECT_LE(guest.polls_during(40s), 40s / 15ms + some_more);
  ASSERT_EQ(received.size(), 3u);
  EXPECT_LE(received[0] - begin, 10s + 2 * 256ms);
  EXPECT_LE(received[1] - begin, 20s + 2 * 16ms);
  EXPECT_LE(received[2] - begin, 30s + 2 * 16ms);
}

// timeout_until(): of two, some hosts return only when both are ready, and what
// a host refuses to poll has to be tried, so until it was seen to do better it is
// asked every 16 ms. A call may end early by 1 ms, so it is 15 that count.
TEST(WasiPoll, TwoIdlePipesTakeAPollEvery16Milliseconds) {
  constexpr std::size_t most = 10s / 15ms + some_more;
  for (const Quirks& quirks : hosts_that_sleep()) {
    Op first;
    Op second;
    Guest guest(quirks);
    guest.add(first, op::read(guest.pipe().first, first.buffer));
    guest.add(second, op::read(guest.pipe().first, second.buffer));
    // One more that is in vain, where they are called ready.
    const bool eager = quirks.pipe_read_poll == Quirks::Poll::always_ready;
    EXPECT_LE(guest.polls_during(10s), eager ? 2 * most : most) << quirks.name;
    EXPECT_FALSE(first.ended() || second.ended());
  }
}

// The same with other threads, that can wake the loop only between two calls.
TEST(WasiPoll, WithThreadsItLooksUpEvery16Milliseconds) {
  Guest guest(plain_host(), {.threads = true});
  const std::size_t polls = guest.polls_during(10s);
  EXPECT_GE(polls, 10s / 16ms);
  EXPECT_LE(polls, 10s / 15ms + some_more);
}

namespace {

// Feeds one of two pipes from time to time, or both at once, then counts the
// polls of an idle 10 s.
std::size_t polls_after_traffic(const Quirks& quirks, bool both) {
  Op first;
  Op second;
  Guest guest(quirks);
  const auto [first_reader, first_writer] = guest.pipe();
  const auto [second_reader, second_writer] = guest.pipe();
  first.then = second.then = [](Op&) { return Action::rearm; };
  guest.add(first, op::read(first_reader, first.buffer));
  guest.add(second, op::read(second_reader, second.buffer));
  for (int i = 1; i <= 20; ++i) {
    guest.host.plan(guest.host.now() + i * 101ms,
                    [&guest, one = first_writer, other = both ? second_writer : -1] {
                      EXPECT_EQ(guest.write(one, "x"), Result(1));
                      if (other >= 0) (void)guest.write(other, "x");
                    });
  }
  (void)guest.polls_during(3s);
  EXPECT_EQ(first.results.size(), 20u) << quirks.name;
  EXPECT_EQ(second.results.size(), both ? 20u : 0u) << quirks.name;
  return guest.polls_during(10s);
}

}  // namespace

TEST(WasiPoll, AHostThatWasSeenToReturnForOneOfManyIsLeftToSleep) {
  EXPECT_LE(polls_after_traffic(plain_host(), false), 14 + some_more + 10s / 255ms);
}

TEST(WasiPoll, AHostThatWaitsForAllIsNeverLeftToSleep) {
  ASSERT_TRUE(named("node").waits_for_all);
  EXPECT_GE(polls_after_traffic(named("node"), false), 10s / 16ms);
  // Returning for both at once is no proof that it would have for one.
  EXPECT_GE(polls_after_traffic(named("node"), true), 10s / 16ms);
}

// The other side of the same bargain, in virtual time: of a few calls of 16 ms
// each some may overlook what is ready.
TEST(WasiPoll, WhatBecomesReadyIsFoundSoonOnEveryHost) {
  for (const Quirks& quirks : all_quirks()) {
    SCOPED_TRACE(quirks.name);
    Op fed;
    Op idle;
    Guest guest(quirks);
    const auto [reader, writer] = guest.pipe();
    Instant found = never;
    fed.then = [&](Op&) {
      found = guest.host.now();
      guest.loop.stop();
      return Action::disarm;
    };
    guest.add(fed, op::read(reader, fed.buffer));
    guest.add(idle, op::read(guest.pipe().first, idle.buffer));
    const Instant fed_at = guest.host.now() + 500ms;
    guest.host.plan(fed_at, [&guest, fd = writer] { EXPECT_EQ(guest.write(fd, "x"), Result(1)); });
    Op timer;
    guest.add(timer, op::timer(1s));
    EXPECT_TRUE(guest.loop.run());
    EXPECT_EQ(fed.result(), Result(1));
    // Of what is never told of at all, once.
    const bool deaf = quirks.pipe_read_poll == Quirks::Poll::ignored;
    EXPECT_LE(found, fed_at + (deaf ? 2 * 256ms : 10 * 16ms));
    EXPECT_TRUE(guest.loop.drain());  // before what is lent goes
  }
}

// Nothing left to happen -------------------------------------------------------------

TEST(WasiPoll, WithoutThreadsWaitingForANotificationAloneIsADeadlock) {
  for (const Quirks& quirks : all_quirks()) {
    SCOPED_TRACE(quirks.name);
    Op wait;
    Guest guest(quirks);
    Async async(guest.loop);
    guest.add(wait, op::async_wait(async));
    const auto outcome = guest.loop.run();
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error(), Errc::deadlock);
    EXPECT_EQ(guest.host.polls(), 0u) << "it slept, and nobody could have woken it";
    async.notify();
    EXPECT_TRUE(guest.loop.run());
    EXPECT_EQ(wait.result(), Result(0));
    guest.loop.detach(async);
  }
}

TEST(WasiPoll, WithADeadlineOrADescriptorItIsNone) {
  Op wait;
  Op timer;
  Op read;
  Guest guest(plain_host());
  Async async(guest.loop);
  guest.add(wait, op::async_wait(async));
  guest.add(timer, op::timer(1h));
  timer.then = [&](Op&) {
    async.notify();
    return Action::disarm;
  };
  EXPECT_TRUE(guest.loop.run());
  EXPECT_EQ(wait.result(), Result(0));

  const auto [reader, writer] = guest.pipe();
  guest.add(wait, op::async_wait(async));
  guest.add(read, op::read(reader, read.buffer));
  read.then = timer.then;
  guest.host.plan(guest.host.now() + 1h, [&guest, fd = writer] { (void)guest.write(fd, "x"); });
  EXPECT_TRUE(guest.loop.run());
  EXPECT_EQ(read.result(), Result(1));
  guest.loop.detach(async);
}

TEST(WasiPoll, WithThreadsItWaitsToBeNotified) {
  Op wait;
  Guest guest(plain_host(), {.threads = true});
  Async async(guest.loop);
  guest.add(wait, op::async_wait(async));
  guest.host.plan(guest.host.now() + 10s, [&] { async.notify(); });
  EXPECT_TRUE(guest.loop.run());
  EXPECT_EQ(wait.result(), Result(0));
  guest.loop.detach(async);
}

// Descriptors --------------------------------------------------------------------------

// Hosts fail whole calls over the wrong direction of stdio, and what reads from
// a terminal's output reads what was typed for another.
TEST(WasiPoll, TheWrongDirectionOfStdioIsRefusedWithoutAPoll) {
  for (const Quirks& quirks : all_quirks()) {
    SCOPED_TRACE(quirks.name);
    std::deque<Op> refused;
    Guest guest(quirks, {.first_fd = 0});
    const auto [in, in_writer] = guest.world().socket_pair(guest.host.capacity());
    const auto [two, two_writer] = guest.world().socket_pair(guest.host.capacity());
    ASSERT_EQ(in, 0);
    ASSERT_EQ(in_writer, 1);
    ASSERT_EQ(two, 2);
    // Both could be read, and the other written, if they were not stdio.
    ASSERT_EQ(guest.write(in, "x"), Result(1));
    ASSERT_EQ(guest.write(two_writer, "x"), Result(1));
    std::byte buffer[8] = {};
    for (const Operation& operation :
         {op::read(1, buffer), op::read(2, buffer), op::write(0, buffer), op::poll_readable(1),
          op::poll_readable(2), op::poll_writable(0), op::read(1, {}), op::write(0, {})}) {
      guest.add(refused.emplace_back(), operation);
      guest.look();
      EXPECT_EQ(refused.back().result(), bad)
          << static_cast<int>(operation.kind()) << " on " << operation.io.fd;
    }
    EXPECT_EQ(guest.host.polls(), 0u);
    // Nothing was read or written.
    EXPECT_EQ(guest.world().perform(op::read(1, buffer)), Result(1));
    EXPECT_EQ(guest.world().perform(op::read(2, buffer)), Result(1));
    EXPECT_FALSE(guest.world().ready(1, Direction::in));
  }
}

TEST(WasiPoll, TheRightDirectionOfStdioWorks) {
  for (const Quirks& quirks : all_quirks()) {
    SCOPED_TRACE(quirks.name);
    Op in;
    Op out;
    Op err;
    Guest guest(quirks, {.first_fd = 0});
    const auto [zero, one] = guest.pipe();
    const auto [two, three] = guest.world().socket_pair(guest.host.capacity());
    ASSERT_EQ(zero, 0);
    ASSERT_EQ(two, 2);
    // What goes out comes in again.
    guest.add(in, op::read(zero, in.buffer));
    guest.add(out, op::write(one, bytes_of("out")));
    guest.add(err, op::write(two, bytes_of("err")));
    EXPECT_TRUE(guest.loop.run());
    EXPECT_EQ(in.result(), Result(3));
    EXPECT_EQ(out.result(), Result(3));
    EXPECT_EQ(err.result(), Result(3));
    std::byte buffer[8] = {};
    EXPECT_EQ(guest.world().perform(op::read(three, buffer)), Result(3));
  }
}

// A redirected one is as good as the file.
TEST(WasiPoll, AFileAsStdioGoesBothWays) {
  Guest guest(plain_host(), {.first_fd = 0});
  for (int fd = 0; fd < 3; ++fd) {
    Op write;
    Op read;
    ASSERT_EQ(guest.world().file("....1234"), fd);
    guest.add(write, op::write(fd, bytes_of("text")));
    guest.add(read, op::read(fd, read.buffer));
    EXPECT_TRUE(guest.loop.run());
    EXPECT_TRUE(write.result());
    EXPECT_TRUE(read.result());
  }
}

// fd_fdstat_get and fd_fdstat_set_flags; of a file only the first.
TEST(WasiPoll, WhatADescriptorIsIsAskedOnce) {
  std::byte buffer[8] = {};
  Guest guest(plain_host());
  const auto [first, second] = guest.world().socket_pair(guest.host.capacity());
  ASSERT_EQ(guest.write(second, "data"), Result(4));
  const std::size_t asking = guest.calls_of(op::write(first, bytes_of("x")));
  const std::size_t knowing = guest.calls_of(op::write(first, bytes_of("x")));
  EXPECT_EQ(asking - knowing, 2u);
  // Also in the other direction, and for another kind.
  EXPECT_EQ(guest.calls_of(op::read(first, std::span(buffer, 1))), knowing);
  EXPECT_EQ(guest.calls_of(op::send(first, bytes_of("x"))), knowing);

  const int file = guest.world().file("contents");
  EXPECT_EQ(guest.calls_of(op::read(file, buffer)), knowing + 1);
  EXPECT_EQ(guest.calls_of(op::read(file, buffer)), knowing);
  EXPECT_EQ(guest.calls_of(op::pwrite(file, buffer, 0)), knowing);
}

TEST(WasiPoll, WhatADescriptorIsIsAskedAgainOnceItWasClosedOrForgotten) {
  Guest guest(plain_host());
  const int first = guest.pipe().second;
  const std::size_t asking = guest.calls_of(op::write(first, bytes_of("x")));
  EXPECT_EQ(guest.calls_of(op::write(first, bytes_of("x"))), asking - 2);
  EXPECT_TRUE(guest.loop.forget(first));
  EXPECT_EQ(guest.calls_of(op::write(first, bytes_of("x"))), asking);

  (void)guest.calls_of(op::close(first));
  const int reused = guest.world().file({});
  ASSERT_EQ(reused, first);
  EXPECT_EQ(guest.calls_of(op::write(reused, bytes_of("x"))), asking - 1);
}

TEST(WasiPoll, ACloseAsksForNothing) {
  Guest guest(plain_host());
  const auto [reader, writer] = guest.pipe();
  (void)guest.calls_of(op::write(writer, bytes_of("x")));
  const std::size_t knowing = guest.calls_of(op::write(writer, bytes_of("x")));
  EXPECT_EQ(guest.calls_of(op::close(reader)), knowing);
}

TEST(WasiPoll, ADescriptorClosedBehindTheLoopsBackFailsOnlyItsOwnOperations) {
  for (const Quirks& quirks : all_quirks()) {
    // On such a host the program is gone; the loop cannot know in time.
    if (quirks.bad_descriptor == Quirks::BadDescriptor::crash) continue;
    SCOPED_TRACE(quirks.name);
    Op lost;
    Op first;
    Op second;
    Op timer;
    Guest guest(quirks);
    const auto [first_reader, first_writer] = guest.pipe();
    const int lost_reader = guest.pipe().first;
    const auto [second_reader, second_writer] = guest.pipe();
    guest.add(first, op::read(first_reader, first.buffer));
    guest.add(lost, op::read(lost_reader, lost.buffer));
    guest.add(second, op::read(second_reader, second.buffer));
    guest.add(timer, op::timer(1s));
    guest.look();
    EXPECT_EQ(guest.world().perform(op::close(lost_reader)), Result(0));
    while (!timer.ended()) ASSERT_TRUE(guest.loop.tick());
    EXPECT_EQ(lost.result(), bad);
    EXPECT_FALSE(first.ended());
    EXPECT_FALSE(second.ended());
    EXPECT_EQ(guest.write(first_writer, "1"), Result(1));
    EXPECT_EQ(guest.write(second_writer, "22"), Result(2));
    EXPECT_TRUE(guest.loop.run());
    EXPECT_EQ(first.result(), Result(1));
    EXPECT_EQ(second.result(), Result(2));
    EXPECT_EQ(lost.results.size(), 1u);

    // And whoever gets its number next has nothing to do with that.
    const auto [reused, writer] = guest.pipe();
    ASSERT_EQ(reused, lost_reader);
    guest.add(lost, op::read(reused, lost.buffer));
    guest.look();
    EXPECT_EQ(guest.write(writer, "333"), Result(3));
    EXPECT_TRUE(guest.loop.run());
    EXPECT_EQ(lost.result(), Result(3));
  }
}

// A pipe that polls as writable takes so much at least (PIPE_BUF); with more the
// program would stand still until somebody reads.
TEST(WasiPoll, WhereWritesBlockTheyAreNoLargerThanAReadyPipeTakes) {
  const std::string much(10'000, 'x');
  for (const Quirks& quirks : all_quirks()) {
    SCOPED_TRACE(quirks.name);
    Op write;
    Guest guest(quirks);
    guest.add(write, op::write(guest.pipe().second, bytes_of(much)));
    EXPECT_TRUE(guest.loop.run());
    EXPECT_EQ(write.result(), Result(quirks.refuses_nonblocking != 0 ? 4'096 : much.size()));
  }
}

// Larger ones are refused by some hosts, or were, for want of memory.
TEST(WasiPoll, LargeBuffersAreMovedInPieces) {
  constexpr std::size_t piece = std::size_t{32} << 20;
  Quirks quirks = plain_host();
  quirks.largest_transfer = piece;
  const std::vector<std::byte> large(2 * piece + 1, std::byte{7});
  std::vector<std::byte> back(large.size());
  Guest guest(quirks);
  const int fd = guest.world().file({});
  const auto moved = [&](const Operation& operation) {
    Op op;
    guest.add(op, operation);
    EXPECT_TRUE(guest.loop.run());
    return op.result();
  };
  EXPECT_EQ(moved(op::pwrite(fd, large, 0)), Result(piece));
  EXPECT_EQ(moved(op::whole(op::write(fd, large))), Result(large.size()));
  EXPECT_EQ(moved(op::pread(fd, back, 1)), Result(piece));
  const std::array<IoVec, 3> vectors = {bytes_of("four"), large, bytes_of("more")};
  EXPECT_EQ(moved(op::writev(fd, vectors)), Result(4));
  EXPECT_EQ(moved(op::writev(fd, std::span(vectors).subspan(1))), Result(piece));
  EXPECT_EQ(moved(op::writev(fd, std::span(vectors).last(1))), Result(4));
}

// Time -----------------------------------------------------------------------------------

TEST(WasiPoll, NowIsTheHostsMonotonicClock) {
  for (const Quirks& quirks : all_quirks()) {
    Guest guest(quirks);
    const Instant before = guest.host.now();
    const Instant now = guest.backend.now();
    EXPECT_GE(now, before - (quirks.clock_step - 1ns)) << quirks.name;
    guest.host.advance(1h);
    EXPECT_GE(guest.backend.now(), now + 1h) << quirks.name;
  }
}

// Of a driver that has nothing else to go by.
TEST(WasiPoll, WhileNothingHappensLooksBecomeRare) {
  for (const Quirks& quirks : all_quirks()) {
    if (quirks.clock_step > 1ms) continue;  // the driver's own clock is better
    SCOPED_TRACE(quirks.name);
    Op reading;
    Guest guest(quirks);
    const auto [reader, writer] = guest.pipe();
    guest.add(reading, op::read(reader, reading.buffer));
    const auto look_for = [&](Duration duration) {
      int looks = 0;
      for (const Instant end = guest.host.now() + duration; guest.host.now() < end; ++looks) {
        guest.look();
        const Instant until = std::min(guest.loop.next_deadline(), end);
        if (until > guest.host.now()) guest.host.advance(until - guest.host.now());
      }
      return looks;
    };
    EXPECT_LE(look_for(1s), 80);
    EXPECT_EQ(guest.write(writer, "x"), Result(1));
    (void)look_for(100ms);
    EXPECT_TRUE(reading.ended());
    EXPECT_EQ(guest.loop.next_deadline(), never);
  }
}

TEST(WasiPoll, AWakeBeforeASleepMakesItReturn) {
  Guest guest(plain_host(), {.threads = true});
  const Instant before = guest.host.now();
  guest.backend.wake();
  EXPECT_TRUE(guest.backend.sleep(before + 1h));
  EXPECT_LT(guest.host.now(), before + 1h);
  EXPECT_EQ(guest.host.polls(), 0u);
  // Once.
  while (guest.host.now() < before + 1h) {
    EXPECT_TRUE(guest.backend.sleep(before + 1h));
  }
  EXPECT_GT(guest.host.polls(), 0u);
}

// Traits that the program settles ----------------------------------------------------

// A host leaves the flag on a terminal that the program shared with others.
TEST(WasiTraits, DescriptorsAreNeverMadeNonBlockingWhereThatIsSaid) {
  Op read;
  Guest guest(plain_host(), WasiTraits{.set_nonblocking = Trait::no});
  const auto [reader, writer] = guest.pipe();
  guest.add(read, op::read(reader, read.buffer));
  guest.look();
  EXPECT_FALSE(read.ended());  // and not blocked either, which is a violation
  EXPECT_EQ(guest.write(writer, "x"), Result(1));
  EXPECT_TRUE(guest.loop.run());
  EXPECT_EQ(read.result(), Result(1));
  EXPECT_EQ(guest.host.flags_set(), 0u);
}

TEST(WasiTraits, NoHostCallAsksASocketWhereThereAreNone) {
  Op recv;
  Guest guest(named("jco"), WasiTraits{.sockets = Trait::no});
  const int first = guest.world().socket_pair(64).first;
  guest.add(recv, op::recv(first, recv.buffer));
  guest.look();
  EXPECT_EQ(recv.result(), error(std::errc::not_a_socket));
}

// Otherwise a socket in Node's clothes (raw flags) would be refused.
TEST(WasiTraits, SocketsAreBelievedInWhereThatIsSaid) {
  Quirks quirks = plain_host();
  quirks.raw_flags = true;
  for (const Trait trait : {Trait::find_out, Trait::yes}) {
    Op recv;
    Guest guest(quirks, WasiTraits{.sockets = trait});
    const auto [first, second] = guest.world().socket_pair(64);
    EXPECT_EQ(guest.write(second, "x"), Result(1));
    guest.add(recv, op::recv(first, recv.buffer));
    guest.look();
    EXPECT_EQ(recv.result(), trait == Trait::yes ? Result(1) : error(std::errc::not_a_socket));
  }
}

// While it is not known whether the host returns for one of many, a call sleeps
// for 16 ms at most.
TEST(WasiTraits, AHostThatReturnsForAnyIsTrustedFromTheStartWhereThatIsSaid) {
  const auto polls = [](Trait trait) {
    std::array<Op, 3> reads;
    Guest guest(plain_host(), WasiTraits{.returns_for_any = trait});
    for (Op& read : reads) guest.add(read, op::read(guest.pipe().first, read.buffer));
    return guest.polls_during(10s);
  };
  EXPECT_GE(polls(Trait::find_out), 600u);
  EXPECT_EQ(polls(Trait::no), polls(Trait::find_out));
  EXPECT_LE(polls(Trait::yes), 15 + 10s / 255ms);
}

TEST(WasiTraits, OneDescriptorStandsInEachCallWhereThatIsSaid) {
  std::array<Op, 3> reads;
  Guest guest(plain_host(), WasiTraits{.takes_several = Trait::no});
  int writers[3] = {};
  for (std::size_t i = 0; i < reads.size(); ++i) {
    const auto [reader, writer] = guest.pipe();
    writers[i] = writer;
    guest.add(reads[i], op::read(reader, reads[i].buffer));
  }
  EXPECT_GE(guest.polls_during(100ms), 3u);
  for (const int writer : writers) EXPECT_EQ(guest.write(writer, "x"), Result(1));
  EXPECT_TRUE(guest.loop.run());
  for (const Op& read : reads) EXPECT_EQ(read.result(), Result(1));
  EXPECT_LE(guest.host.most_subscriptions(), 2u);  // the clock's included
}

}  // namespace wev::test
