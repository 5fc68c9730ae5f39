// What a watcher promises, on many seeds of the simulator.
#include "wev/io/watcher.hpp"

#include <array>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "sim/random.hpp"
#include "support/allocations.hpp"
#include "wev/sim/sim.hpp"
#include "wev/task/run.hpp"

namespace wev::test {

using namespace std::chrono_literals;

namespace {

// A library that does anything at any time with its connections, and looks at whether what
// it is told is true.
class Library {
 public:
  explicit Library(std::uint64_t seed)
      : sim_({.seed = seed, .capacity = 64}), loop_(sim_), random_(seed) {
    for (Connection& connection : connections_) open(connection);
  }
  ~Library() { EXPECT_TRUE(loop_.drain()); }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  void run() {
    for (int step = 0; step < 60; ++step) {
      act(connections_[random_.below(connections_.size())]);
      if (!random_.one_in(3)) tick();
    }
    for (Connection& connection : connections_) settle(connection);
    for (Connection& connection : connections_) close(connection);
    ASSERT_TRUE(loop_.drain());
    EXPECT_EQ(loop_.active(), 0u);
    EXPECT_EQ(sim_.open_descriptors(), 0u) << "descriptors leaked";
  }

 private:
  struct Connection {
    Library* library = nullptr;
    int fd = -1;  // -1: its owner has closed it
    int peer = -1;
    std::optional<Watcher> watcher;
    bool told = false;  // in this tick
    std::size_t calls = 0;
  };

  void open(Connection& connection) {
    std::tie(connection.fd, connection.peer) = sim_.socket_pair();
    connection.library = this;
    watch(connection);
  }
  void watch(Connection& connection) {
    auto opened = Watcher::open(loop_, connection.fd);
    ASSERT_TRUE(opened);
    connection.watcher = std::move(*opened);
    connection.watcher->on_ready(
        [&connection](std::size_t bits) { connection.library->ready(connection, bits); });
  }
  void close(Connection& connection) {
    connection.watcher.reset();
    release(connection);
    EXPECT_TRUE(sim_.close(connection.peer));
  }

  void release(Connection& connection) {
    const int fd = std::exchange(connection.fd, -1);
    EXPECT_TRUE(fd < 0 || sim_.close(fd));
  }

  void tick() {
    for (Connection& connection : connections_) connection.told = false;
    ASSERT_TRUE(loop_.tick(RunMode::no_wait));
    if (random_.one_in(4)) sim_.advance(1ms);
  }

  void ready(Connection& connection, std::size_t bits) {
    ASSERT_TRUE(connection.watcher) << "told after its end";
    EXPECT_FALSE(std::exchange(connection.told, true)) << "told twice in a tick";
    EXPECT_NE(bits, 0u);
    EXPECT_EQ(bits & ~connection.watcher->wanted(), 0u) << "told of what is not wanted";
    const int fd = connection.watcher->fd();
    EXPECT_TRUE((bits & readable) == 0 || sim_.perform(op::poll_readable(fd)));
    EXPECT_TRUE((bits & writable) == 0 || sim_.perform(op::poll_writable(fd)));
    ++connection.calls;
    if (settling_) return;
    std::array<std::byte, 16> buffer{};
    if ((bits & readable) != 0 && random_.one_in(2)) (void)sim_.read(fd, buffer);
    if ((bits & writable) != 0 && random_.one_in(2)) (void)sim_.write(fd, "0123456789abcdef");
    if (random_.one_in(4)) act(connection);
  }

  void act(Connection& connection) {
    std::array<std::byte, 16> buffer{};
    switch (random_.below(8)) {
      case 0:
      case 1: return want(connection, random_.below(4));
      case 2: return (void)sim_.write(connection.peer, "fedcba9876543210");
      case 3: return (void)sim_.read(connection.peer, buffer);
      case 4:  // the owner closes the number, and sooner or later watches another
        return release(connection);
      case 5: close(connection); return open(connection);
      case 6:  // another watcher of the same, if it is still there
        if (connection.fd >= 0) watch(connection);
        return;
      default:
        if (connection.watcher) {
          Watcher moved(std::move(*connection.watcher));
          connection.watcher = std::move(moved);
        }
    }
  }
  static void want(Connection& connection, std::size_t bits) {
    if (connection.watcher) connection.watcher->want(bits);
  }

  // Whatever went before: it is told as long as it is ready, and then no more.
  void settle(Connection& connection) {
    settling_ = true;
    for (Connection& each : connections_) want(each, 0);
    ASSERT_TRUE(loop_.run());
    connection.calls = 0;
    std::array<std::byte, 64> buffer{};
    while (sim_.read(connection.peer, buffer).value_or(0) > 0) {
    }
    want(connection, writable);
    for (int i = 0; i < 10'000 && connection.calls < 3; ++i) tick();
    EXPECT_GE(connection.calls, 3u) << "not told that it can be written";
  }

  Sim sim_;
  Loop loop_;
  Random random_;
  std::array<Connection, 3> connections_;
  bool settling_ = false;
};

}  // namespace

TEST(Watcher, KeepsItsPromisesOnFiveThousandSeeds) {
  for (std::uint64_t seed = 0; seed < 5'000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Library(seed).run();
    if (testing::Test::HasFailure()) break;
  }
}

// Told again and again, but not without a pause, so that the library's own call says what
// is wrong; and from then on as ever.
TEST(Watcher, WhatTheSystemRefusesToPollCountsAsReady) {
  Sim sim({.moody = false});
  Loop loop(sim);
  const auto [reader, writer] = sim.pipe();
  auto watcher = Watcher::open(loop, reader);
  ASSERT_TRUE(watcher);
  struct State {
    Sim& sim;
    Watcher& watcher;
    std::vector<Instant> told;
  } state{sim, *watcher, {}};
  watcher->on_ready([&state](std::size_t bits) {
    EXPECT_EQ(bits, readable);
    state.told.push_back(state.sim.now());
    if (state.told.size() < 4) state.sim.fail_next(state.watcher.fd(), std::errc::io_error);
  });
  sim.fail_next(watcher->fd(), std::errc::io_error);
  watcher->want(readable);
  EXPECT_EQ(loop.run(), std::unexpected(Error(Errc::deadlock)));  // nobody writes
  ASSERT_EQ(state.told.size(), 4u);
  for (std::size_t i = 1; i < 4; ++i) EXPECT_EQ(state.told[i] - state.told[i - 1], 1ms);
  ASSERT_TRUE(sim.write(writer, "x"));
  ASSERT_TRUE(loop.run(RunMode::once));
  EXPECT_EQ(state.told.size(), 5u);
  *watcher = Watcher();
  ASSERT_TRUE(loop.drain());
}

TEST(Watcher, IsAwaitedByTasksAndEndsThem) {
  Sim sim({.moody = false});
  Loop loop(sim);
  const auto [reader, writer] = sim.pipe();
  auto watcher = Watcher::open(loop, reader);
  ASSERT_TRUE(watcher);
  const auto wait = [](Watcher& its) -> Task<Expected<void>> { co_return co_await its.readable(); };
  ASSERT_TRUE(sim.write(writer, "x"));
  const auto ready = run(loop, wait(*watcher));
  EXPECT_TRUE(ready);
  std::array<std::byte, 1> byte{};
  ASSERT_TRUE(sim.read(reader, byte));
  Root<Expected<void>> root(loop, wait(*watcher));
  ASSERT_TRUE(loop.tick());
  *watcher = Watcher();
  EXPECT_TRUE(root.run());
  EXPECT_EQ(root.take(), std::unexpected(Error(Errc::operation_canceled)));
  ASSERT_TRUE(loop.drain());
}

TEST(Watcher, WithoutMemoryIsNotOpened) {
  Sim sim({.moody = false});
  Loop loop(sim);
  const int fd = sim.pipe().first;
  const NoMemory none;
  EXPECT_EQ(Watcher::open(loop, fd).error(), std::errc::not_enough_memory);
}

}  // namespace wev::test
