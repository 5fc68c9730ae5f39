// What only Linux exhibits.
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "rig/native.hpp"
#include "support/fd.hpp"
#include "support/system.hpp"
#include "support/threads.hpp"

namespace wev::test {

namespace {

// As a thread does that was about to wake a loop when that woke by itself.
void write_to_all_eventfds() {
  for (int fd = 0; fd < 1'000; ++fd) {
    std::array<char, 64> target{};
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    if (::readlink(link.c_str(), target.data(), target.size() - 1) < 0) continue;
    if (std::string_view(target.data()) == "anon_inode:[eventfd]") ::eventfd_write(fd, 1);
  }
}

}  // namespace

TEST_P(NativeContract, AWakeThatComesLateCostsNoneOfTheNext) {
  constexpr int rounds = 100;
  Async& async = this->async();
  std::atomic<int> asked{0};
  const Joiner join = spawn([&] {
    for (int i = 0; i < rounds; ++i) {
      asked.wait(i);
      async.notify();  // mostly when the loop sleeps by now
    }
  });
  Probe& notified = probe("notified");
  Probe& late = probe("late", [&](Probe&) {
    write_to_all_eventfds();
    add(notified, op::async_wait(async), loop().now() + 60s);
    ++asked;
    asked.notify_one();
    return Action::disarm;
  });
  for (int i = 1; i <= rounds && !HasFailure(); ++i) {
    const Instant began = loop().now();
    timer(late, 1ms);  // let the loop fall asleep before
    run();
    EXPECT_END(notified, Result(0)) << "in round " << i;
    EXPECT_LT(loop().now() - began, 60s) << "its deadline woke the loop, in round " << i;
  }
  while (asked < rounds) {
    ++asked;
    asked.notify_one();
  }
  join();
  look();
}

// epoll tells of each time that a Unix socket's peer has read. Who has never had to wait for
// that is not woken.
TEST(Epoll, APeerThatReadsDoesNotWakeWhoNeverHadToWait) {
  auto backend = make_backend({.kind = BackendKind::epoll});
  ASSERT_TRUE(backend);
  Loop loop(std::move(*backend));
  const std::array<int, 2> ends = open_socket_pair(Blocks::no);
  const Fd ours(ends[0]);
  const Fd peers(ends[1]);
  pollfd polled{loop.pollable().value_or(-1), POLLIN, 0};
  Completion writing;
  std::size_t written = 0;
  const auto write = [&](std::span<const std::byte> bytes) {
    loop.add(writing, op::send(ours, bytes), &written, [](void* sum, Loop&, Completion&, Result r) {
      *static_cast<std::size_t*>(sum) += r.value_or(0);
      return Action::disarm;
    });
  };
  std::vector<char> buffer(1'000'000);
  for (int i = 0; i < 3; ++i) {
    write(bytes_of("hello"));
    EXPECT_TRUE(loop.run());
    EXPECT_TRUE(loop.tick(RunMode::no_wait));
    EXPECT_EQ(::read(peers, buffer.data(), buffer.size()), 5);
    EXPECT_EQ(::poll(&polled, 1, 0), 0);
  }
  // Who has to wait is woken.
  const std::vector<std::byte> much(10'000);
  for (written = 0; written < buffer.size() && loop.active() == 0;) {
    write(much);
    EXPECT_TRUE(loop.tick(RunMode::no_wait));
    EXPECT_TRUE(loop.tick(RunMode::no_wait));
  }
  EXPECT_EQ(loop.active(), 1u);
  EXPECT_EQ(::poll(&polled, 1, 0), 0);
  EXPECT_GT(::read(peers, buffer.data(), buffer.size()), 0);
  EXPECT_EQ(::poll(&polled, 1, 0), 1);
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(loop.active(), 0u);
}

TEST_P(NativeContract, TheEndOfATerminalsOtherSideIsToldAsAnError) {
  const auto [master, slave] = open_terminal();
  owned(master);
  auto& buffer = make_buffer<8>();
  Probe& r = start("r", op::read(master, buffer.bytes));
  look();
  ::close(slave);
  run();
  EXPECT_END(r, std::errc::io_error);
}

// Such as one in a socket's queue of errors, which stays there until that is read.
TEST_P(NativeContract, AnErrorThatNoReceiveFindsKeepsTheLoopAsleep) {
  const auto cpu = [] {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  };
  const int socket = owned(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  ASSERT_EQ(::setsockopt(socket, IPPROTO_IP, IP_RECVERR, &on, sizeof on), 0);
  sockaddr_in nobody{};
  nobody.sin_family = AF_INET;
  nobody.sin_port = htons(9);
  nobody.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(socket, reinterpret_cast<sockaddr*>(&nobody), sizeof nobody), 0);
  auto& buffer = make_buffer<8>();
  ASSERT_EQ(::send(socket, "x", 1, 0), 1);
  Probe& told = start("told", op::recv(socket, buffer.bytes));
  run();
  EXPECT_END(told, std::errc::connection_refused);
  Probe& waits = start("waits", op::recv(socket, buffer.bytes));
  Probe& late = timer("late", 300ms);
  const auto before = cpu();
  run_until([&] { return late.calls() > 0; });
  EXPECT_LT(cpu() - before, 150ms);
  EXPECT_EQ(waits.calls(), 0u);
  cancel(waits);
  run();
  EXPECT_END(waits, Errc::operation_canceled);
}

TEST_P(NativeContract, AFullDeviceSaysSo) {
  const int full = owned(::open("/dev/full", O_RDWR | O_CLOEXEC));
  Probe& w = start("w", op::write(full, bytes_of("x")));
  run();
  EXPECT_END(w, std::errc::no_space_on_device);
}

// Its writer's flag makes each write a packet, and the reader does not see it.
TEST_P(NativeContract, APipeOfPacketsIsReadToItsLast) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_DIRECT | O_NONBLOCK | O_CLOEXEC), 0);
  owned(ends[0]);
  owned(ends[1]);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(rig().write(ends[1], "packet"), Result(6));
  auto& buffer = make_buffer<100>();
  Probe& r = probe("r", [](Probe& self) {
    EXPECT_EQ(self.result(), Result(6));
    return self.calls() < 5 ? Action::rearm : Action::disarm;
  });
  add(r, op::read(ends[0], buffer.bytes));
  run();
  EXPECT_EQ(r.calls(), 5u);
}

}  // namespace wev::test
