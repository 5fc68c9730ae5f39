// Which backend a loop runs on.
#include "wev/backend/backends.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <iterator>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "backend/epoll.hpp"
#include "backend/io_uring.hpp"
#include "backend/poll.hpp"
#include "wev/loop/loop.hpp"
#include "wev/sim/sim.hpp"
#include "wev/task/run.hpp"
#include "wev/task/sleep.hpp"
#include "wev/task/this_task.hpp"

namespace wev::test {

TEST(MakeBackend, WhatThisPlatformLacksIsNotSupported) {
  BackendOptions options;
  options.kind = BackendKind::wasi_poll;
  const auto backend = make_backend(options);
  ASSERT_FALSE(backend);
  EXPECT_EQ(backend.error(), std::errc::operation_not_supported);
}

// The choice at run time -------------------------------------------------------------------

namespace {

// Of the environment, while it is alive.
class Preferred {
 public:
  explicit Preferred(const char* name) { ::setenv("WEV_BACKEND", name, 1); }
  ~Preferred() { ::unsetenv("WEV_BACKEND"); }
};

// "" if there is none.
std::string kind_of(const std::expected<std::unique_ptr<Backend>, Error>& backend) {
  if (!backend) return "";
  const char* kind = dynamic_cast<Epoll*>(backend->get()) != nullptr     ? "epoll"
                     : dynamic_cast<IoUring*>(backend->get()) != nullptr ? "io_uring"
                     : dynamic_cast<Poll*>(backend->get()) != nullptr    ? "poll"
                                                                         : "another";
  EXPECT_STREQ((*backend)->name(), kind);
  return kind;
}

}  // namespace

TEST(MakeBackend, TheBestIsWhatWorks) {
  BackendOptions options;
  options.kind = BackendKind::io_uring;
  const bool works = make_backend(options).has_value();
  EXPECT_EQ(kind_of(make_backend()), works ? "io_uring" : "epoll");
}

// As in a container that forbids it.
TEST(MakeBackend, WhereTheKernelRefusesIoUringItIsEpoll) {
  BackendOptions options;
  options.native.without = linux_io_uring;
  EXPECT_EQ(kind_of(make_backend(options)), "epoll");
  options.kind = BackendKind::io_uring;
  const auto refused = make_backend(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), std::errc::operation_not_permitted);
}

#if GTEST_HAS_DEATH_TEST

namespace {

// From now on this process may not make a ring, as in many containers.
void forbid_io_uring() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{std::size(program), program};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) != 0) {
    std::_Exit(2);
  }
}

}  // namespace

TEST(MakeBackendDeathTest, ASystemThatForbidsIoUringGetsEpollAndIsToldSo) {
  const auto in_container = [] {
    forbid_io_uring();
    BackendOptions options;
    options.kind = BackendKind::io_uring;
    const auto refused = make_backend(options);
    const bool told = !refused && refused.error() == std::errc::operation_not_permitted;
    auto best = make_backend();
    if (!told || kind_of(best) != "epoll") std::_Exit(1);
    Loop loop(std::move(*best));
    Completion timer;
    loop.timer(timer, std::chrono::milliseconds(1), nullptr,
               [](void*, Loop&, Completion&, Result) { return Action::disarm; });
    std::_Exit(loop.run() ? 0 : 1);
  };
  EXPECT_EXIT(in_container(), testing::ExitedWithCode(0), "");
}

#endif

TEST(MakeBackend, TheEnvironmentPrefers) {
  {
    const Preferred epoll("epoll");
    EXPECT_EQ(kind_of(make_backend()), "epoll");
  }
  {
    const Preferred ring("io_uring");
    BackendOptions options;
    options.native.without = linux_io_uring;
    EXPECT_FALSE(make_backend(options)) << "it was asked for, and nothing else";
    options.kind = BackendKind::epoll;
    EXPECT_EQ(kind_of(make_backend(options)), "epoll") << "the program has the last word";
  }
  {
    const Preferred nonsense("kqueue");
    const auto backend = make_backend();
    ASSERT_FALSE(backend);
    EXPECT_EQ(backend.error(), Errc::no_such_backend);
    EXPECT_EQ(backend.error(), std::errc::invalid_argument);
  }
  const Preferred nothing("");
  EXPECT_TRUE(make_backend());
}

TEST(MakeBackend, ALoopSaysOnWhichItRuns) {
  const Preferred poll("poll");
  const Loop loop;
  EXPECT_STREQ(loop.backend().name(), "poll");
  Sim sim;
  EXPECT_STREQ(Loop(sim).backend().name(), "sim");
}

// Loops that cannot be made ------------------------------------------------------------

namespace {

// While it is alive there are no more descriptors than `spare`.
class FewDescriptors {
 public:
  explicit FewDescriptors(rlim_t spare) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const int next = ::dup(0);
    ::close(next);
    const rlimit few{static_cast<rlim_t>(next) + spare, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &few);
  }
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  rlimit before_{};
};

Task<Expected<int>> program(Loop& loop) {
  EXPECT_EQ(&loop, &co_await this_loop());
  const auto slept = co_await sleep(std::chrono::milliseconds(1));
  co_return slept ? 7 : 8;
}

}  // namespace

TEST(MakeLoop, WhatTheEnvironmentForbidsIsAnError) {
  {
    const Preferred nonsense("nonsense");
    const auto loop = Loop::make();
    ASSERT_FALSE(loop);
    EXPECT_EQ(loop.error(), Errc::no_such_backend);
    const auto chosen = Loop::make({.kind = BackendKind::epoll});
    ASSERT_TRUE(chosen);
    EXPECT_STREQ((*chosen)->backend().name(), "epoll");
  }
  {
    const FewDescriptors none(0);
    const auto loop = Loop::make();
    ASSERT_FALSE(loop);
    EXPECT_EQ(loop.error(), std::errc::too_many_files_open);
  }
  const auto loop = Loop::make();
  ASSERT_TRUE(loop);
  EXPECT_EQ(wev::run(**loop, program(**loop)), 7);
}

TEST(MakeLoop, AProgramRunsWithoutALoopOfItsOwn) {
  EXPECT_EQ(wev::run(program), 7);
  int calls = 0;
  const auto slept = wev::run([&calls](Loop&) {
    ++calls;
    return sleep(std::chrono::milliseconds(1));
  });
  EXPECT_TRUE(slept);
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(wev::run(sleep(std::chrono::milliseconds(1))));
  EXPECT_EQ(wev::run([]() -> Task<int> { co_return 9; }()), 9);
}

TEST(MakeLoop, AProgramThatGetsNoLoopIsToldWhy) {
  {
    const Preferred nonsense("nonsense");
    const auto ran = wev::run(program);
    ASSERT_FALSE(ran);
    EXPECT_EQ(ran.error(), Errc::no_such_backend);
  }
  const FewDescriptors none(0);
  const auto slept = wev::run(sleep(std::chrono::milliseconds(1)));
  ASSERT_FALSE(slept);
  EXPECT_EQ(slept.error(), std::errc::too_many_files_open);
}

TEST(MakeBackend, RunningOutOfDescriptorsIsSaidSo) {
  for (const BackendKind kind : {BackendKind::epoll, BackendKind::io_uring}) {
    for (rlim_t spare = 0; spare < 2; ++spare) {
      const FewDescriptors few(spare);
      BackendOptions options;
      options.kind = kind;
      const auto backend = make_backend(options);
      ASSERT_FALSE(backend);
      EXPECT_EQ(backend.error(), std::errc::too_many_files_open);
    }
  }
}

}  // namespace wev::test
