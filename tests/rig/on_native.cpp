// The contract and the network suite on the native backends, on this kernel.
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "rig/native.hpp"
#include "support/system.hpp"
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
    EXPECT_EQ(op::pipe(event_).perform(), Result(0));
  }
  ~DriverOnPoll() override {
    for (const int end : event_) ::close(end);
  }

 protected:
  Slept sleep(Instant until) override;
  void wake() noexcept override { (void)!::write(event_[1], "", 1); }

 private:
  std::array<int, 2> event_{};
  const int pollable_;
};

// What a test waits for has come long before, if it comes.
constexpr Duration longest_sleep = 20s;

DriverOnPoll::Slept DriverOnPoll::sleep(Instant until) {
  std::array polled = {pollfd{event_[0], POLLIN, 0}, pollfd{pollable_, POLLIN, 0}};
  const Instant before = loop_.backend().now();
  const Duration left =
      std::clamp(until == never ? longest_sleep : until - before, Duration(), longest_sleep);
  const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(left);
  const int ready = ::poll(polled.data(), polled.size(), static_cast<int>(rounded.count()));
  if (polled[0].revents != 0) {
    char wakes[64];
    (void)!::read(event_[0], wakes, sizeof wakes);
  }
  if (ready == 0 && left == longest_sleep) return Slept::for_ever;
  if (ready < 0) return Slept::yes;  // interrupted by a signal
  return loop_.backend().now() - before > 100us ? Slept::yes : Slept::not_at_all;
}

}  // namespace

NativeRig::NativeRig(BackendOptions options, std::uint64_t moods) : options_(options) {
  set_moods(moods);
  static const std::size_t limit = descriptor_limit();
  static const bool has_own_networks = [] {
    const int fd = socket_without_network();
    if (fd >= 0) ::close(fd);
    return fd >= 0;
  }();
  if (!has_own_networks) traits_.no_unreachable = "no network of its own can be had here";
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
  const std::array<int, 2> ends = open_pipe(Blocks::no);
  return {ends[0], ends[1]};
}

std::pair<int, int> NativeRig::socket_pair() {
  const std::array<int, 2> ends = open_socket_pair(Blocks::no);
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
  const Result again = perform(op::connect(fd, address));
  // On loopback it is done by now.
  EXPECT_TRUE(again || again.error() == std::errc::already_connected);
  return fd;
}

int NativeRig::file(std::string_view contents) {
  const int fd = open_file();
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

// Fewer of what is many: it is about other things.
class SmallNativeRig : public NativeRig {
 public:
  SmallNativeRig(BackendOptions options, std::uint64_t moods) : NativeRig(options, moods) {
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

// Nothing, where the library that is linked has no such backend, or the system refuses it.
template <class R = NativeRig>
void add(std::vector<RigMaker>& rigs, std::string name, const BackendOptions& options,
         std::uint64_t moods = 0) {
  if (!make_backend({.kind = options.kind})) return;
  rigs.push_back({std::move(name), [=] { return std::make_unique<R>(options, moods); }});
}

constexpr std::uint32_t basic_ring =
    linux_deferred_work | linux_cooperative_work | linux_poll_first | linux_no_iowait;

// Of io_uring, with rings of so many entries and without what newer kernels have.
template <class R = NativeRig>
void add_ring(std::vector<RigMaker>& rigs, std::string name, unsigned entries,
              std::uint32_t without) {
  add<R>(rigs, std::move(name),
         {.kind = BackendKind::io_uring, .native = {.ring_entries = entries, .without = without}});
}

}  // namespace

std::vector<RigMaker> native_rigs() {
  std::vector<RigMaker> all;
  add(all, "epoll", {.kind = BackendKind::epoll});
  add(all, "epoll_coarse",
      {.kind = BackendKind::epoll,
       .native = {.without = linux_fine_timeouts | linux_transfer_now}});
  add(all, "kqueue", {.kind = BackendKind::kqueue});
  for (std::uint64_t seed = 1; set_moods(seed) && seed <= seeds(8); ++seed) {
    add(all, "kqueue_moody_" + std::to_string(seed), {.kind = BackendKind::kqueue}, seed);
  }
  add(all, "poll", {.kind = BackendKind::poll});
  add_ring(all, "io_uring", 256, 0);
  add_ring(all, "io_uring_of_2", 2, 0);
  add_ring(all, "io_uring_of_64", 64, 0);
  add_ring(all, "io_uring_cooperative", 256, linux_deferred_work);
  add_ring(all, "io_uring_basic", 256, basic_ring);
  for (const auto& [name, kind] : {std::pair("epoll_driven", BackendKind::epoll),
                                   std::pair("kqueue_driven", BackendKind::kqueue),
                                   std::pair("poll_driven", BackendKind::poll),
                                   std::pair("io_uring_driven", BackendKind::io_uring)}) {
    add<Driven<SmallNativeRig>>(all, name, {.kind = kind});
  }
  return all;
}

namespace {

// The small suites are run with more of them.
std::vector<RigMaker> native_rigs_with_threads() {
  std::vector<RigMaker> all = native_rigs();
  using Untold = Driven<UntoldNativeRig>;
  add<Untold>(all, "epoll_driven_untold", {.kind = BackendKind::epoll});
  add<Untold>(all, "kqueue_driven_untold", {.kind = BackendKind::kqueue});
  add_ring<Untold>(all, "io_uring_driven_untold", 256, 0);
  add_ring<Untold>(all, "io_uring_driven_of_2", 2, 0);
  add_ring<Untold>(all, "io_uring_driven_cooperative", 256, linux_deferred_work);
  add_ring<Untold>(all, "io_uring_driven_basic", 256, basic_ring);
  return all;
}

}  // namespace

namespace {

const auto named = [](const auto& info) { return info.param.name; };

INSTANTIATE_TEST_SUITE_P(Native, Contract, testing::ValuesIn(native_rigs()), named);
INSTANTIATE_TEST_SUITE_P(Native, ContractWithThreads, testing::ValuesIn(native_rigs_with_threads()),
                         named);
INSTANTIATE_TEST_SUITE_P(Native, Network, testing::ValuesIn(native_rigs()), named);
INSTANTIATE_TEST_SUITE_P(Native, NativeContract, testing::ValuesIn(native_rigs()), named);

}  // namespace
}  // namespace wev::test
