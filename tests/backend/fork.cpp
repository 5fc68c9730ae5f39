// What a child of fork() may do with what it has of its parent.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <functional>
#include <memory>
#include <vector>

#include "rig/native.hpp"
#include "support/system.hpp"
#include "wev/backend/thread_pool.hpp"
#include "wev/io/stream.hpp"
#include "wev/io/tcp.hpp"
#include "wev/task/ok.hpp"
#include "wev/task/run.hpp"
#include "wev/task/task.hpp"

namespace wev::test {

namespace {

// A child of this process that does this and ends, without this process's own end.
pid_t fork_child(const std::function<void()>& what) {
  const pid_t pid = ::fork();
  EXPECT_GE(pid, 0);
  if (pid != 0) return pid;
  what();
  const bool failed = testing::Test::HasFailure();
  if (failed) std::fflush(stdout);
  ::_exit(failed ? 1 : 0);
}

// 0: the child found all as it expected.
int status_of(pid_t pid) {
  int status = -1;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return status;
}

void in_child(const std::function<void()>& what) { EXPECT_EQ(status_of(fork_child(what)), 0); }

}  // namespace

TEST_P(NativeContract, WhatAChildDestroysIsStillThereForItsParent) {
  auto loop = rig().loop();
  const std::array<int, 2> waits = open_pipe(Blocks::no);
  const std::array<int, 2> rests = open_pipe(Blocks::no);
  owned(waits[1]);
  owned(rests[1]);
  auto waiting = std::make_unique<Stream>(*loop, waits[0]);
  auto resting = std::make_unique<Stream>(*loop, rests[0]);
  auto& buffers = make_buffer<16>();
  Request first;
  Request second;
  std::vector<Expected<std::size_t>> ended;
  const auto end = [&](Expected<std::size_t> result) { ended.push_back(result); };
  EXPECT_EQ(rig().write(rests[1], "y"), Result(1));
  first.start(resting->read_some(std::span(buffers.bytes).last(8)), end);
  while (ended.empty()) ASSERT_TRUE(rig().tick(*loop));
  ended.clear();
  first.start(waiting->read_some(std::span(buffers.bytes).first(8)), end);
  EXPECT_TRUE(loop->tick(RunMode::no_wait));
  in_child([&] {
    waiting.reset();
    resting.reset();
    (void)loop->drain();
    EXPECT_EQ(ended.size(), 1u);
    EXPECT_EQ(ended.at(0), Expected<std::size_t>(std::unexpected(Errc::operation_canceled)));
    loop.reset();
  });
  second.start(resting->read_some(std::span(buffers.bytes).last(8)), end);
  EXPECT_TRUE(loop->tick(RunMode::no_wait));
  EXPECT_EQ(rig().write(waits[1], "x"), Result(1));
  EXPECT_EQ(rig().write(rests[1], "y"), Result(1));
  while (ended.size() < 2) ASSERT_TRUE(rig().tick(*loop));
  for (const auto& result : ended) EXPECT_EQ(result, Expected<std::size_t>(1));
  waiting.reset();
  resting.reset();
  EXPECT_TRUE(loop->drain());
}

// They are those of the open file.
TEST_P(NativeContract, AChildLeavesTheFlagsOfWhatItSharesAlone) {
  auto loop = rig().loop();
  const std::array<int, 2> ends = open_pipe(Blocks::yes);
  owned(ends[1]);
  auto stream = std::make_unique<Stream>(*loop, ends[0]);
  auto& buffer = make_buffer<8>();
  Request reading;
  bool ended = false;
  reading.start(stream->read_some(buffer.bytes), [&](Expected<std::size_t>) { ended = true; });
  EXPECT_TRUE(loop->tick(RunMode::no_wait));
  const int during = ::fcntl(ends[0], F_GETFL);
  in_child([&] {
    stream.reset();
    (void)loop->drain();
    loop.reset();
  });
  EXPECT_EQ(::fcntl(ends[0], F_GETFL), during);
  EXPECT_EQ(rig().write(ends[1], "x"), Result(1));
  while (!ended) ASSERT_TRUE(rig().tick(*loop));
  stream.reset();
  EXPECT_TRUE(loop->drain());
}

TEST_P(NativeContract, AParentsLoopTellsAChildThatItIsNone) {
  const auto [reader, writer] = pipe();
  auto loop = rig().loop();
  EXPECT_TRUE(loop->tick(RunMode::no_wait));
  in_child([&] {
    std::array<std::byte, 8> buffer{};
    std::array<Completion, 4> completions;
    std::vector<Result> ended;
    EXPECT_FALSE(loop->pollable()) << "it would be the parent's";
    const Callback on_end = [](void* all, Loop&, Completion&, Result result) {
      static_cast<std::vector<Result>*>(all)->push_back(result);
      return Action::disarm;
    };
    loop->add(completions[0], op::read(reader, buffer), &ended, on_end);
    loop->add(completions[1], op::write(writer, bytes_of("x")), &ended, on_end);
    loop->add(completions[2], op::run_blocking([](void*) noexcept -> Result { return 0; }, nullptr),
              &ended, on_end);
    (void)loop->run();
    EXPECT_EQ(ended.size(), 3u);
    for (const Result& result : ended) EXPECT_EQ(result, Result(std::unexpected(Errc::forked)));
    pollfd polled{reader, POLLIN, 0};
    EXPECT_EQ(::poll(&polled, 1, 0), 0) << "it was written";
    loop->add(completions[3], op::timer(1h), &ended, on_end);
    const auto ran = loop->run();
    ASSERT_FALSE(ran);
    EXPECT_EQ(ran.error(), Errc::forked);
    loop->cancel(completions[3]);
    (void)loop->drain();
    loop.reset();
  });
}

TEST_P(NativeContract, WhatAParentsThreadsDoIsNotWaitedForInAChild) {
  const std::array<int, 2> ends = open_pipe(Blocks::yes);
  owned(ends[0]);
  owned(ends[1]);
  auto loop = rig().loop();
  std::array<Completion, 8> completions;  // more than there are threads
  std::vector<Result> ended;
  for (Completion& completion : completions) {
    loop->add(completion,
              op::run_blocking(
                  [](void* end) noexcept -> Result {
                    char c = 0;
                    return static_cast<std::size_t>(::read(*static_cast<const int*>(end), &c, 1));
                  },
                  const_cast<int*>(ends.data())),
              &ended, [](void* all, Loop&, Completion&, Result result) {
                static_cast<std::vector<Result>*>(all)->push_back(result);
                return Action::disarm;
              });
  }
  EXPECT_TRUE(loop->tick(RunMode::no_wait));
  in_child([&] {
    (void)loop->drain();
    EXPECT_EQ(ended.size(), completions.size());
    loop.reset();
  });
  EXPECT_EQ(::write(ends[1], "12345678", 8), 8);
  while (ended.size() < completions.size()) ASSERT_TRUE(rig().tick(*loop));
  for (const Result& result : ended) EXPECT_EQ(result, Result(1));
}

TEST_P(NativeContract, ASignalThatAChildGetsIsNotItsParents) {
  const Result watch = loop().perform(op::watch_signal(SIGUSR2));
  ASSERT_TRUE(watch);
  const int fd = owned(static_cast<int>(*watch));
  in_child([] { EXPECT_EQ(::raise(SIGUSR2), 0); });
  EXPECT_EQ(loop().perform(op::wait_signal(fd)),
            Result(std::unexpected(std::errc::resource_unavailable_try_again)));
  EXPECT_EQ(::raise(SIGUSR2), 0);
  EXPECT_EQ(loop().perform(op::wait_signal(fd)), Result(1));
  EXPECT_EQ(loop().perform(op::unwatch_signal(fd)), Result(0));
}

namespace {

constexpr int children = 3;
constexpr int served_by_each = 4;

Task<Expected<void>> echo_all(TcpStream connection) {
  std::array<std::byte, 1000> buffer;
  for (;;) {
    const std::size_t size = co_await ok(connection.read_some(buffer));
    if (size == 0) co_return {};
    (void)co_await ok(connection.write_all(std::span(buffer).first(size)));
  }
}

Task<Expected<void>> serve(Loop& loop, int listener) {
  const TcpListener clients(loop, listener);
  for (int i = 0; i < served_by_each; ++i) {
    (void)co_await ok(echo_all(co_await ok(clients.accept())));
  }
  co_return {};
}

}  // namespace

// Each child has a loop of its own, and the listener with all others.
TEST_P(NativeContract, AServerMayForkBeforeItServes) {
  Address address;
  const int listener = listen_at(address);
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<8>();
  Probe& accepting = start("accepting", op::accept(listener));
  Probe& r = start("r", op::read(reader, buffer.bytes));
  look();  // the loop was used before
  cancel(accepting);
  look();
  std::vector<pid_t> pids;
  for (int i = 0; i < children; ++i) {
    pids.push_back(fork_child([&] {
      auto loop = rig().loop();
      const auto served = wev::run(*loop, serve(*loop, listener));
      EXPECT_TRUE(served);
      loop.reset();
    }));
  }
  std::vector<std::unique_ptr<EchoClient>> clients;
  for (std::uint64_t i = 0; i < children * served_by_each; ++i) {
    clients.emplace_back(new EchoClient(loop(), socket(), address, i, 5'000));
  }
  run_until([&] { return std::ranges::all_of(clients, [](auto& c) { return c->done(); }); });
  for (const pid_t pid : pids) EXPECT_EQ(status_of(pid), 0);
  EXPECT_EQ(rig().write(writer, "x"), Result(1));
  run();
  EXPECT_END(r, Result(1));
}

TEST(ThreadPool, BeginsAnewInAChild) {
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
  GTEST_SKIP() << "the thread sanitizer has no threads in children of fork()";
#endif
#endif
  struct Count final : ThreadPool::Work {
    void run() noexcept override { ++runs; }
    std::atomic<int> runs{0};
  };
  ThreadPool pool;
  Count count;
  ASSERT_TRUE(pool.submit(count));
  while (count.runs == 0) {
  }
  in_child([&] {
    Count more;
    EXPECT_TRUE(pool.submit(more));
    pool.join();
    EXPECT_EQ(more.runs, 1);
    pool.~ThreadPool();  // which ends where threads of the parent wait for work
    new (&pool) ThreadPool;
  });
  pool.join();
}

}  // namespace wev::test
