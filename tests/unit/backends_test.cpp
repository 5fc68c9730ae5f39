// Which backend a loop runs on.
#include "wev/backends.hpp"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <string>

#include <gtest/gtest.h>

#include "backend/epoll.hpp"
#include "backend/io_uring.hpp"

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
  options.linux_system.without = linux_io_uring;
  EXPECT_EQ(kind_of(make_backend(options)), "epoll");
  options.kind = BackendKind::io_uring;
  const auto refused = make_backend(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), std::errc::operation_not_permitted);
}

TEST(MakeBackend, TheEnvironmentPrefers) {
  {
    const Preferred epoll("epoll");
    EXPECT_EQ(kind_of(make_backend()), "epoll");
  }
  {
    const Preferred ring("io_uring");
    BackendOptions options;
    options.linux_system.without = linux_io_uring;
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
