// The contract and the network suite on the native backends, on this kernel.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <thread>

#include "rig/native.hpp"
#include "support/process.hpp"
#include "support/threads.hpp"

namespace wev::test {
namespace {

// As many descriptors as this process may have.
std::size_t descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 100'000);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

class DriverOnPoll final : public Driver {
 public:
  explicit DriverOnPoll(Loop& loop) : Driver(loop), pollable_(loop.pollable().value_or(-1)) {
    EXPECT_GE(event_, 0);
  }
  ~DriverOnPoll() override { ::close(event_); }

 protected:
  Slept sleep(Instant until) override;
  void wake() noexcept override { (void)::eventfd_write(event_, 1); }

 private:
  const int event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const int pollable_;
};

// What a test waits for has come long before, if it comes.
constexpr Duration longest_sleep = 20s;

DriverOnPoll::Slept DriverOnPoll::sleep(Instant until) {
  std::array polled = {pollfd{event_, POLLIN, 0}, pollfd{pollable_, POLLIN, 0}};
  const Instant before = loop_.backend().now();
  const Duration left =
      std::clamp(until == never ? longest_sleep : until - before, Duration(), longest_sleep);
  const timespec timeout = {left / 1s, (left % 1s).count()};
  const int ready = ::ppoll(polled.data(), polled.size(), &timeout, nullptr);
  if (polled[0].revents != 0) {
    eventfd_t times = 0;
    (void)::eventfd_read(event_, &times);
  }
  if (ready == 0 && left == longest_sleep) return Slept::for_ever;
  if (ready < 0) return Slept::yes;  // interrupted by a signal
  return loop_.backend().now() - before > 100us ? Slept::yes : Slept::not_at_all;
}

// In a network of its own, where even the loopback is down. Only that thread is in it.
int socket_without_network() {
  int fd = -1;
  std::thread([&fd] {
    if (::unshare(CLONE_NEWNET) == 0) fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  }).join();
  return fd;
}

}  // namespace

NativeRig::NativeRig(BackendOptions options) : options_(options) {
  static const std::size_t limit = descriptor_limit();
  static const bool has_own_networks = [] {
    const int fd = socket_without_network();
    if (fd >= 0) ::close(fd);
    return fd >= 0;
  }();
  if (!has_own_networks) traits_.no_unreachable = "this user may make no network of its own";
  traits_.many_timers = 200'000;
  traits_.many_descriptors = 2'000;
  traits_.many_connections = std::min<std::size_t>(5'000, (limit - 100) / 2);
  descriptors_ = open_descriptors();
}

std::unique_ptr<Loop> NativeRig::loop() {
  auto backend = make_backend(options_);
  EXPECT_TRUE(backend) << backend.error().code();
  return backend ? std::make_unique<Loop>(std::move(*backend)) : nullptr;
}

std::pair<int, int> NativeRig::pipe() {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC), 0);
  return {ends[0], ends[1]};
}

std::pair<int, int> NativeRig::socket_pair() {
  std::array<int, 2> ends{};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
  return {ends[0], ends[1]};
}

int NativeRig::listen() {
  const auto fd =
      static_cast<int>(perform(op::socket(SocketFamily::ipv4, SocketType::stream)).value_or(0));
  EXPECT_EQ(perform(op::bind(fd, Address::loopback())), Result(0));
  EXPECT_EQ(perform(op::listen(fd)), Result(0));
  return fd;
}

int NativeRig::connect(int listener) {
  const auto fd =
      static_cast<int>(perform(op::socket(SocketFamily::ipv4, SocketType::stream)).value_or(0));
  Address address;
  EXPECT_EQ(perform(op::local_address(listener, address)), Result(0));
  (void)perform(op::connect(fd, address));
  EXPECT_EQ(perform(op::connect(fd, address)), Result(0));  // on loopback it is done by now
  return fd;
}

int NativeRig::file(std::string_view contents) {
  const int fd = ::memfd_create("wev-test", MFD_CLOEXEC);
  EXPECT_GE(fd, 0);
  EXPECT_EQ(write(fd, contents), Result(contents.size()));
  EXPECT_EQ(::lseek(fd, 0, SEEK_SET), 0);
  return fd;
}

int NativeRig::unreachable_socket() { return socket_without_network(); }

void NativeRig::busy(Loop& loop, Duration duration) {
  const Instant until = loop.backend().now() + duration;
  while (loop.backend().now() < until) {
  }
}

std::unique_ptr<Driver> NativeRig::make_driver(Loop& loop) {
  return std::make_unique<DriverOnPoll>(loop);
}

void NativeRig::check() { EXPECT_EQ(open_descriptors(), descriptors_) << "descriptors leaked"; }

namespace {

RigMaker maker(std::string name, const BackendOptions& options) {
  return {std::move(name), [options] { return std::make_unique<NativeRig>(options); }};
}

// Fewer of what is many: it is about other things.
class SmallNativeRig : public NativeRig {
 public:
  explicit SmallNativeRig(const BackendOptions& options) : NativeRig(options) {
    traits_.many_timers = 10'000;
    traits_.many_descriptors = 200;
    traits_.many_connections = 300;
  }
};

// Other threads wake its driver by pollable() alone.
class UntoldNativeRig : public SmallNativeRig {
 public:
  using SmallNativeRig::SmallNativeRig;

 protected:
  [[nodiscard]] static bool tells_driver() { return false; }
};

template <class Base>
RigMaker driven(std::string name, const BackendOptions& options) {
  return {std::move(name), [options] { return std::make_unique<Driven<Base>>(options); }};
}

// Why io_uring does not work here; nothing: it does.
std::optional<Error> io_uring_refusal() {
  const auto backend = make_backend({.kind = BackendKind::io_uring});
  return backend ? std::nullopt : std::optional(backend.error());
}

}  // namespace

std::vector<RigMaker> native_rigs() {
  std::vector<RigMaker> all = {maker("epoll", {.kind = BackendKind::epoll}),
                               maker("epoll_coarse", {.kind = BackendKind::epoll,
                                                      .native = {.without = linux_fine_timeouts}}),
                               driven<SmallNativeRig>("epoll_driven", {.kind = BackendKind::epoll}),
                               driven<SmallNativeRig>("poll_driven", {.kind = BackendKind::poll})};
  if (io_uring_refusal()) return all;
  const auto ring = [&all](std::string name, unsigned entries, std::uint32_t without) {
    all.push_back(maker(
        std::move(name),
        {.kind = BackendKind::io_uring, .native = {.ring_entries = entries, .without = without}}));
  };
  ring("io_uring", 256, 0);
  ring("io_uring_of_2", 2, 0);
  ring("io_uring_of_64", 64, 0);
  ring("io_uring_cooperative", 256, linux_deferred_work);
  ring("io_uring_basic", 256,
       linux_deferred_work | linux_cooperative_work | linux_poll_first | linux_no_iowait);
  all.push_back(driven<SmallNativeRig>("io_uring_driven", {.kind = BackendKind::io_uring}));
  return all;
}

namespace {

// The small suites are run with more of them.
std::vector<RigMaker> native_rigs_with_threads() {
  std::vector<RigMaker> all = native_rigs();
  all.push_back(driven<UntoldNativeRig>("epoll_driven_untold", {.kind = BackendKind::epoll}));
  if (io_uring_refusal()) return all;
  const auto ring = [&all](std::string name, unsigned entries, std::uint32_t without) {
    all.push_back(driven<UntoldNativeRig>(
        std::move(name),
        {.kind = BackendKind::io_uring, .native = {.ring_entries = entries, .without = without}}));
  };
  ring("io_uring_driven_untold", 256, 0);
  ring("io_uring_driven_of_2", 2, 0);
  ring("io_uring_driven_cooperative", 256, linux_deferred_work);
  ring("io_uring_driven_basic", 256,
       linux_deferred_work | linux_cooperative_work | linux_poll_first | linux_no_iowait);
  return all;
}

}  // namespace

TEST(IoUring, WorksHere) {
  const auto refusal = io_uring_refusal();
  if (refusal) GTEST_SKIP() << "this system refuses io_uring (error " << refusal->code() << ")";
}

namespace {

const auto named = [](const auto& info) { return info.param.name; };

INSTANTIATE_TEST_SUITE_P(Native, Contract, testing::ValuesIn(native_rigs()), named);
INSTANTIATE_TEST_SUITE_P(Native, ContractWithThreads, testing::ValuesIn(native_rigs_with_threads()),
                         named);
INSTANTIATE_TEST_SUITE_P(Native, Network, testing::ValuesIn(native_rigs()), named);
INSTANTIATE_TEST_SUITE_P(Native, NativeContract, testing::ValuesIn(native_rigs()), named);

}  // namespace
}  // namespace wev::test
