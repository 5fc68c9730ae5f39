// The descriptor that a driver sleeps on: readable when there is something to do, and then only.
#include <poll.h>

#include <array>
#include <thread>

#include "rig/native.hpp"
#include "support/system.hpp"
#include "support/threads.hpp"
#include "sys/port.hpp"

namespace wev::test {

namespace {

bool is_readable(int fd, Duration within = 0s) {
  pollfd polled{fd, POLLIN, 0};
  const timespec timeout = {within / 1s, (within % 1s).count()};
  return sys::poll_until(&polled, 1, &timeout) == 1;
}

// What other libraries wake each other by: an eventfd, where there is one.
sys::Counter open_counter() {
  sys::Counter counter;
  EXPECT_GE(sys::open_counter(counter), 0);
  return counter;
}

}  // namespace

class PollableContract : public NativeContract {
 protected:
  void SetUp() override {
    NativeContract::SetUp();
    const auto pollable = loop().pollable();  // before the first tick
    if (pollable) {
      fd_ = *pollable;
    } else {
      ASSERT_EQ(pollable.error(), std::errc::operation_not_supported);
      GTEST_SKIP() << "the backend has no descriptor to sleep on";
    }
  }

  // A tick or two later there is nothing to do.
  void expect_quiet() {
    for (int ticks = 0; ticks < 2 && is_readable(fd_); ++ticks) look();
    EXPECT_FALSE(is_readable(fd_)) << "it wakes for nothing";
    EXPECT_GT(loop().next_deadline(), loop().backend().now());
  }
  // Ends what is in flight, and sleeps on nothing else.
  void look_when_readable(const Probe& probe) {
    const std::size_t calls = probe.calls();
    for (int ticks = 0; probe.calls() == calls; ++ticks) {
      ASSERT_LT(ticks, 10);
      ASSERT_TRUE(is_readable(fd_, 5s)) << "nobody says that '" << probe.name << "' has ended";
      look();
    }
  }

  int fd_ = -1;
};

TEST_P(PollableContract, ItIsReadableWheneverSomethingHasEndedAndThenOnly) {
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<8>();
  Probe& reading = probe("reading", [](Probe&) { return Action::rearm; });
  expect_quiet();
  add(reading, op::read(reader, buffer.bytes));
  look();
  for (int i = 0; i < 100; ++i) {
    expect_quiet();
    EXPECT_EQ(loop().pollable(), fd_);
    EXPECT_EQ(rig().write(writer, "x"), Result(1));
    look_when_readable(reading);
    look();  // what it has added
  }
  expect_quiet();
}

TEST_P(PollableContract, ManyThatEndAtOnceAreAllTold) {
  constexpr std::size_t many = 100;
  const auto buffers = make_buffers<8>(many);
  std::vector<int> writers;
  std::size_t ended = 0;
  for (std::size_t i = 0; i < many; ++i) {
    const auto [reader, writer] = pipe();
    writers.push_back(writer);
    add(probe({},
              [&ended](Probe&) {
                ++ended;
                return Action::disarm;
              }),
        op::read(reader, buffers[i].bytes));
  }
  look();
  expect_quiet();
  for (const int writer : writers) EXPECT_EQ(rig().write(writer, "x"), Result(1));
  while (ended < many) {
    ASSERT_TRUE(is_readable(fd_, 5s)) << ended << " have ended";
    look();
  }
  expect_quiet();
}

// It is started by the end of the one in front of it, in the middle of a tick.
TEST_P(PollableContract, WhatStandsBehindAnotherIsToldToo) {
  const auto [reader, writer] = pipe();
  const auto buffers = make_buffers<1>(3);
  std::vector<Probe*> reads;
  for (auto& buffer : buffers) reads.push_back(&start("read", op::read(reader, buffer.bytes)));
  look();
  for (Probe* read : reads) {
    expect_quiet();
    EXPECT_EQ(rig().write(writer, "x"), Result(1));
    look_when_readable(*read);
  }
  expect_quiet();
}

TEST_P(PollableContract, ItIsReadableWhenAnotherThreadHasBroughtSomething) {
  Async& async = this->async();
  Probe& waiting = probe("waiting", [](Probe&) { return Action::rearm; });
  add(waiting, op::async_wait(async));
  look();
  look();
  int posted = 0;
  for (int i = 0; i < 20; ++i) {
    expect_quiet();
    const Joiner notified = spawn([&async] { async.notify(); });
    look_when_readable(waiting);
    notified();
    look();
    expect_quiet();
    const Joiner was_posted = spawn([&] { EXPECT_TRUE(loop().post([&posted] { ++posted; })); });
    while (posted == i) {
      ASSERT_TRUE(is_readable(fd_, 5s)) << "nobody says that something was posted";
      look();
    }
    was_posted();
  }
  expect_quiet();
}

TEST_P(PollableContract, ACounterThatBecomesReadableIsTold) {
  const auto [event, writer] = open_counter();
  owned(event);
  owned(writer);
  auto& count = make_buffer<8>();
  Probe& reading = probe("reading", [](Probe&) { return Action::rearm; });
  add(reading, op::read(event, count.bytes));
  look();
  for (int i = 0; i < 10; ++i) {
    expect_quiet();
    const Joiner written = spawn([writer = writer] { sys::count_up(writer); });
    look_when_readable(reading);
    written();
    look();
  }
  expect_quiet();
}

TEST_P(PollableContract, ItIsReadableWhenAThreadOfThePoolHasEnded) {
  for (int i = 0; i < 20; ++i) {
    Probe& work = start("work", op::run_blocking(
                                    [](void*) noexcept -> Result {
                                      std::this_thread::sleep_for(1ms);
                                      return 1;
                                    },
                                    nullptr));
    look();
    if (work.calls() == 0) look_when_readable(work);
    expect_quiet();
  }
}

TEST_P(PollableContract, ACancelledOperationEndsByIt) {
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<8>();
  for (int i = 0; i < 20; ++i) {
    Probe& reading = start("reading", op::read(reader, buffer.bytes));
    look();
    cancel(reading);
    look();
    if (reading.calls() == 0) look_when_readable(reading);
    EXPECT_END(reading, Errc::operation_canceled);
    expect_quiet();
  }
}

// Where a program runs the loop, and its host sleeps on it later.
TEST_P(PollableContract, ItIsReadableAfterARunToo) {
  Async& async = this->async();
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<8>();
  Probe& waiting = start("waiting", op::async_wait(async));
  timer("timer", 2ms);
  EXPECT_TRUE(loop().run(RunMode::once));
  async.notify();
  EXPECT_TRUE(loop().run());
  EXPECT_END(waiting, Result(0));
  Probe& again = start("again", op::async_wait(async));
  Probe& reading = start("reading", op::read(reader, buffer.bytes));
  EXPECT_TRUE(loop().run(RunMode::no_wait));
  const Joiner notified = spawn([&async] { async.notify(); });
  EXPECT_TRUE(is_readable(fd_, 5s)) << "nobody says that it was notified";
  notified();
  EXPECT_TRUE(loop().run(RunMode::once));
  EXPECT_END(again, Result(0));
  EXPECT_EQ(rig().write(writer, "x"), Result(1));
  EXPECT_TRUE(is_readable(fd_, 5s));
  EXPECT_TRUE(loop().run());
  EXPECT_END(reading, Result(1));
}

// Idle is idle.
TEST_P(PollableContract, WaitingCostsNoTicks) {
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<8>();
  const auto [first, second] = socket_pair();
  start("reading", op::read(reader, buffer.bytes));
  start("readable", op::poll_readable(first));
  Probe& timer = this->timer("timer", 50ms);
  int ticks = 0;
  for (look(); timer.calls() == 0; ++ticks) {
    const Duration left = loop().next_deadline() - loop().backend().now();
    if (left > 0s) (void)is_readable(fd_, left);
    look();
  }
  EXPECT_LE(ticks, 4);
}

namespace {
constexpr auto named = [](const auto& info) { return info.param.name; };
}  // namespace

INSTANTIATE_TEST_SUITE_P(Native, PollableContract, testing::ValuesIn(native_rigs()), named);

// Asked for late, it tells all the same, and at least it is looked at.
TEST_P(NativeContract, ADescriptorToSleepOnMayBeAskedForLate) {
  const auto loop = rig().loop();
  loop->set_driver(nullptr, nullptr);
  const auto [event, counts] = open_counter();
  owned(event);
  owned(counts);
  const auto [reader, writer] = pipe();
  struct State {
    Completion completion;
    std::byte buffer[8] = {};
    int ended = 0;
    static Action end(void* self, Loop&, Completion&, Result) {
      return ++static_cast<State*>(self)->ended < 5 ? Action::rearm : Action::disarm;
    }
  } of_event, of_pipe;
  loop->add(of_event.completion, op::read(event, of_event.buffer), &of_event, State::end);
  loop->add(of_pipe.completion, op::read(reader, of_pipe.buffer), &of_pipe, State::end);
  EXPECT_TRUE(loop->tick(RunMode::no_wait));
  const int fd = loop->pollable().value_or(-1);
  for (int i = 1; i <= 5; ++i) {
    sys::count_up(counts);
    EXPECT_EQ(rig().write(writer, "x"), Result(1));
    while (of_event.ended < i || of_pipe.ended < i) {
      const Duration left = loop->next_deadline() - loop->backend().now();
      ASSERT_TRUE(left < 1s || is_readable(fd, 5s)) << "nobody says that it has ended";
      if (left > 0s && left < 1s) (void)is_readable(fd, left);
      ASSERT_TRUE(loop->tick(RunMode::no_wait));
    }
  }
  EXPECT_TRUE(loop->done());
}

// It would cost something for each operation that ends.
TEST_P(NativeContract, NobodyPaysForADescriptorThatWasNotAskedFor) {
  if (rig().driven()) GTEST_SKIP() << "its driver has asked for it";
  const auto loop = rig().loop();
  const std::size_t before = open_descriptors();
  EXPECT_TRUE(loop->tick(RunMode::no_wait));
  EXPECT_EQ(open_descriptors(), before);
  const auto first = loop->pollable();
  const bool of_its_own = GetParam().name.starts_with("io_uring");
  EXPECT_EQ(open_descriptors(), before + (of_its_own ? 1 : 0));
  EXPECT_EQ(loop->pollable(), first);
  EXPECT_EQ(open_descriptors(), before + (of_its_own ? 1 : 0));
}

}  // namespace wev::test
