// What only io_uring exhibits, and whether it is among the backends that the contract runs on
// here.
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <optional>

#include <gtest/gtest.h>

#include "support/fd.hpp"
#include "support/system.hpp"
#include "support/threads.hpp"
#include "wev/backend/backends.hpp"
#include "wev/loop/loop.hpp"

namespace wev::test {

namespace {

using namespace std::chrono_literals;

std::unique_ptr<Backend> ring(std::uint32_t without = 0) {
  auto made = make_backend({.kind = BackendKind::io_uring, .native = {.without = without}});
  return made ? std::move(*made) : nullptr;
}

// How an operation ended.
struct Ending {
  Completion completion;
  std::optional<Result> result;

  void add(Loop& loop, const Operation& operation) {
    loop.add(completion, operation, this, [](void* self, Loop&, Completion&, Result result) {
      static_cast<Ending*>(self)->result = result;
      return Action::disarm;
    });
  }
};

// From now on a system call fails, in this process.
void forbid(long number, int error) {
  std::array<sock_filter, 4> filter = {{
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, static_cast<unsigned>(number)},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  }};
  const sock_fprog program{filter.size(), filter.data()};
  ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

void in_child(const std::function<void()>& what) {
  const pid_t pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    what();
    if (testing::Test::HasFailure()) std::fflush(stdout);
    ::_exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

#define NEEDS_RING() \
  if (ring() == nullptr) GTEST_SKIP() << "this system refuses io_uring"

}  // namespace

TEST(IoUring, WorksHere) {
  const auto backend = make_backend({.kind = BackendKind::io_uring});
  if (!backend) {
    GTEST_SKIP() << "this system refuses io_uring (error " << backend.error().code() << ")";
  }
}

// The kernel cancels what a thread has submitted when that ends.
TEST(IoUring, WhatAThreadThatEndsHasSubmittedGoesOn) {
  NEEDS_RING();
  for (const std::uint32_t without :
       {std::uint32_t{linux_deferred_work},
        std::uint32_t{linux_deferred_work | linux_cooperative_work}}) {
    Loop loop(ring(without));
    const std::array<int, 2> ends = open_pipe(Blocks::no);
    const Fd reader(ends[0]);
    const Fd writer(ends[1]);
    std::array<std::byte, 8> buffer{};
    Ending read;
    Ending canceled;
    Ending polled;
    const Joiner join = spawn([&] {
      read.add(loop, op::read(reader, buffer));
      canceled.add(loop, op::read(reader, buffer));
      polled.add(loop, op::poll_readable(reader));
      EXPECT_TRUE(loop.tick(RunMode::no_wait));
    });
    join();
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(loop.tick(RunMode::no_wait));
    EXPECT_FALSE(read.result);
    loop.cancel(canceled.completion);
    EXPECT_EQ(::write(writer, "x", 1), 1);
    while (!read.result) ASSERT_TRUE(loop.tick());
    EXPECT_EQ(read.result, Result(1));
    EXPECT_EQ(canceled.result, Result(std::unexpected(Errc::operation_canceled)));
    EXPECT_EQ(::write(writer, "y", 1), 1);
    while (!polled.result) ASSERT_TRUE(loop.tick());
    EXPECT_EQ(polled.result, Result(readable));
  }
}

// It can be made there, which is all that many ask.
TEST(IoUring, IsNotTakenWhereASandboxForbidsItsUse) {
  NEEDS_RING();
  for (const long call : {SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register}) {
    for (const int error : {EPERM, ENOSYS}) {
      in_child([call, error] {
        forbid(call, error);
        const auto none = make_backend({.kind = BackendKind::io_uring});
        ASSERT_FALSE(none);
        EXPECT_EQ(none.error(), static_cast<std::errc>(error));
        auto best = make_backend();
        ASSERT_TRUE(best);
        Loop loop(std::move(*best));
        Ending fired;
        fired.add(loop, op::timer(1ms));
        EXPECT_TRUE(loop.run());
        EXPECT_TRUE(fired.result.has_value());
      });
    }
  }
}

// A sandbox that comes when the loop has run: what is in flight comes home.
TEST(IoUring, ALostRingGivesBackWhatWasInFlight) {
  NEEDS_RING();
  for (const std::uint32_t without : {std::uint32_t{0}, std::uint32_t{linux_deferred_work}}) {
    in_child([without] {
      Loop loop(ring(without));
      const std::array<int, 2> ends = open_pipe(Blocks::no);
      const std::array<int, 2> held = open_pipe(Blocks::yes);
      std::array<std::byte, 8> buffer{};
      Ending read;
      Ending later;
      Ending blocked;
      Ending timer;
      read.add(loop, op::read(ends[0], buffer));
      blocked.add(loop, op::run_blocking(
                            [](void* end) noexcept -> Result {
                              char c = 0;
                              const auto fd = *static_cast<const int*>(end);
                              return static_cast<std::size_t>(::read(fd, &c, 1));
                            },
                            const_cast<int*>(held.data())));
      EXPECT_TRUE(loop.tick(RunMode::no_wait));
      forbid(SYS_io_uring_enter, EPERM);
      timer.add(loop, op::timer(1h));
      const auto ran = loop.run();
      ASSERT_FALSE(ran);
      EXPECT_EQ(ran.error(), std::errc::operation_not_permitted);
      later.add(loop, op::read(ends[0], buffer));
      EXPECT_EQ(::write(held[1], "x", 1), 1);  // a thread that has begun is waited for
      (void)loop.drain();
      EXPECT_FALSE(read.result.value_or(0));
      EXPECT_FALSE(later.result.value_or(0));
      EXPECT_FALSE(timer.result.value_or(0));
      EXPECT_TRUE(blocked.result.has_value());
    });
  }
}

}  // namespace wev::test
