// The contract on the WASI backend, on the host that runs this program.
//
// The host's runner preopens a directory, as "/" or as ".". What cannot be made from
// inside is found there: FIFOs named pipe0, pipe1, ...
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include "rig/contract.hpp"
#include "support/threads.hpp"
#include "sys/wasi.hpp"

namespace wev::test {
namespace {

constexpr std::size_t pipes = 1'100;

class WasiRig final : public Rig {
 public:
  WasiRig() {
    static const Pipes found = probe_pipes();
    traits_.no_pipes = traits_.no_full_pipes = found.none;
    traits_.no_broken_pipes = found.no_broken_pipe;
    traits_.no_poll_readable = found.no_poll_readable;
    traits_.no_poll_writable = found.no_poll_writable;
    traits_.no_sockets = "the runner gives no sockets";
    traits_.no_threads = why_no_threads();
    traits_.many_timers = 1'000'000;
    traits_.many_descriptors = pipes;
  }

  std::unique_ptr<Loop> loop() override { return std::make_unique<Loop>(); }

  std::pair<int, int> pipe() override {
    const std::string name = "pipe" + std::to_string(next_pipe_++ % pipes);
    // The order in which neither blocks, and the first keeps the second alive.
    const int reader = ::open(name.c_str(), O_RDONLY | O_NONBLOCK);
    const int writer = ::open(name.c_str(), O_WRONLY | O_NONBLOCK);
    return {reader, writer};
  }

  std::pair<int, int> socket_pair() override { std::abort(); }
  int listen() override { std::abort(); }
  int connect(int) override { std::abort(); }

  int file(std::string_view contents) override {
    const std::string name = "file" + std::to_string(next_file_++);
    const int fd = ::open(name.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
    EXPECT_GE(fd, 0) << name;
    EXPECT_EQ(write(fd, contents), Result(contents.size()));
    EXPECT_EQ(::lseek(fd, 0, SEEK_SET), 0);
    return fd;
  }

  void busy(Loop& loop, Duration duration) override {
    const Instant until = loop.backend().now() + duration;
    while (loop.backend().now() < until) {
    }
  }

 private:
  struct Pipes {
    const char* none = nullptr;
    const char* no_poll_readable = nullptr;
    const char* no_poll_writable = nullptr;
    const char* no_broken_pipe = nullptr;
  };

  static bool says_ready(int fd, std::uint8_t type) {
    using namespace sys::wasi;
    std::array<Subscription, 2> subscriptions{};
    subscriptions[0].tag = eventtype_clock;
    subscriptions[0].clock = {clock_monotonic, 10'000'000, 0, 0};
    subscriptions[1].tag = type;
    subscriptions[1].fd = fd;
    std::array<Event, 2> events{};
    Size count = 0;
    wev_wasi_poll_oneoff(subscriptions.data(), events.data(), 2, &count);
    return std::ranges::any_of(std::span(events).first(count),
                               [type](const Event& event) { return event.type == type; });
  }

  // What a FIFO in the preopened directory is to the host. Opened for both
  // first, since Wasmtime blocks in open() until the other end is.
  static Pipes probe_pipes() {
    const int both = ::open("pipe0", O_RDWR | O_NONBLOCK);
    char byte = 'x';
    const bool works = both >= 0 && ::write(both, &byte, 1) == 1 && ::read(both, &byte, 1) == 1;
    if (both >= 0) ::close(both);
    if (!works) {
      constexpr const char* none = "the host has no pipes besides stdio";
      return {none, none, none, none};
    }
    Pipes pipes;
    const int reader = ::open("pipe0", O_RDONLY | O_NONBLOCK);
    const int writer = ::open("pipe0", O_WRONLY | O_NONBLOCK);
    constexpr const char* unknown = "the host does not tell readiness of pipes";
    if (says_ready(reader, sys::wasi::eventtype_fd_read)) pipes.no_poll_readable = unknown;
    while (::write(writer, &byte, 1) == 1) {
    }
    if (says_ready(writer, sys::wasi::eventtype_fd_write)) pipes.no_poll_writable = unknown;
    ::close(reader);
    if (::write(writer, &byte, 1) != -1 || errno != EPIPE) {
      pipes.no_broken_pipe = "the host calls a broken pipe something else";
    }
    ::close(writer);
    return pipes;
  }

  std::size_t next_pipe_ = 0;
  std::size_t next_file_ = 0;
};

const RigMaker host{"host", [] { return std::make_unique<WasiRig>(); }};

INSTANTIATE_TEST_SUITE_P(Wasi, Contract, testing::Values(host),
                         [](const auto& info) { return info.param.name; });
INSTANTIATE_TEST_SUITE_P(Wasi, ContractWithThreads, testing::Values(host),
                         [](const auto& info) { return info.param.name; });

// Hosts open for writing what is given any right that means it, and a directory or a FIFO
// cannot be.
TEST(WasiHost, WhatIsOpenedForReadingIsNotOpenedForWriting) {
  Loop loop;
  const auto open = [&](int directory, const char* path, std::uint32_t flags) {
    return loop.perform(op::open(directory, path, flags));
  };
  const Result directory = open(op::working_directory, ".", open_read | open_directory);
  ASSERT_TRUE(directory) << describe(directory);
  const int below = static_cast<int>(*directory);
  const Result made = open(below, "made-below", open_write | open_create | open_truncate);
  EXPECT_TRUE(made) << describe(made);
  const Result read = open(below, "made-below", open_read);
  EXPECT_TRUE(read) << describe(read);
  for (const Result& fd : {made, read, directory}) {
    if (fd) EXPECT_EQ(loop.perform(op::close(static_cast<int>(*fd))), Result(0));
  }
}

// It would keep the host, with all of the program.
TEST(WasiHost, OpeningAFifoWaitsForNobody) {
  Loop loop;
  if (const char* none = WasiRig().traits().no_pipes) GTEST_SKIP() << none;
  const Result opened = loop.perform(op::open(op::working_directory, "pipe0", open_read));
  ASSERT_TRUE(opened) << describe(opened);
  EXPECT_EQ(loop.perform(op::close(static_cast<int>(*opened))), Result(0));
}

// Where FIFOs are no pipes they can still be polled: the subscriptions of one
// call have no cap.
TEST(WasiHost, MoreThanAThousandDescriptorsAreWaitedForInOneCall) {
  Loop loop;
  std::deque<Completion> completions;
  std::vector<int> descriptors;
  std::size_t ended = 0;
  const auto count_end = [](void* userdata, Loop&, Completion&, Result result) {
    *static_cast<std::size_t*>(userdata) += result == Result(readable) ? 1 : 0;
    return Action::disarm;
  };
  const int writer = ::open("pipe0", O_RDWR | O_NONBLOCK);
  if (writer < 0) GTEST_SKIP() << "the host opens no FIFOs";
  for (int i = 0; i < 1'100; ++i) {
    const int fd = ::open("pipe0", O_RDONLY | O_NONBLOCK);
    if (fd < 0) break;
    descriptors.push_back(fd);
    loop.add(completions.emplace_back(), op::poll_readable(fd), &ended, count_end);
  }
  (void)loop.tick(RunMode::no_wait);
  (void)loop.tick(RunMode::no_wait);
  if (ended == 0) EXPECT_LE(::write(writer, "x", 1), 1);
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(ended, completions.size());
  for (const int fd : descriptors) ::close(fd);
  ::close(writer);
  if (ended < 1'100) GTEST_SKIP() << "the host opens no more than " << ended << " descriptors";
}

}  // namespace
}  // namespace wev::test
