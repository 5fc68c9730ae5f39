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
#include "wev/loop/loop.hpp"

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
  if (dynamic_cast<Epoll*>(backend->get()) != nullptr) return "epoll";
  if (dynamic_cast<IoUring*>(backend->get()) != nullptr) return "io_uring";
  return "another";
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
    EXPECT_EQ(backend.error(), std::errc::invalid_argument);
  }
  const Preferred nothing("");
  EXPECT_TRUE(make_backend());
}

TEST(MakeBackend, RunningOutOfDescriptorsIsSaidSo) {
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const int next = ::dup(0);
  ::close(next);
  for (const BackendKind kind : {BackendKind::epoll, BackendKind::io_uring}) {
    for (rlim_t spare = 0; spare < 2; ++spare) {
      const rlimit few{static_cast<rlim_t>(next) + spare, before.rlim_max};
      ::setrlimit(RLIMIT_NOFILE, &few);
      BackendOptions options;
      options.kind = kind;
      const auto backend = make_backend(options);
      ::setrlimit(RLIMIT_NOFILE, &before);
      ASSERT_FALSE(backend);
      EXPECT_EQ(backend.error(), std::errc::too_many_files_open);
    }
  }
}

}  // namespace wev::test
