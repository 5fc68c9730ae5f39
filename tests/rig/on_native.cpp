// The contract and the network suite on the native backends, on this kernel.
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

void NativeRig::check() { EXPECT_EQ(open_descriptors(), descriptors_) << "descriptors leaked"; }

namespace {

// Nothing, where the library that is linked has no such backend, or the system refuses it.
void add(std::vector<RigMaker>& rigs, std::string name, const BackendOptions& options,
         std::uint64_t moods = 0) {
  if (!make_backend({.kind = options.kind})) return;
  rigs.push_back({std::move(name), [=] { return std::make_unique<NativeRig>(options, moods); }});
}

}  // namespace

std::vector<RigMaker> native_rigs() {
  std::vector<RigMaker> all;
  add(all, "epoll", {.kind = BackendKind::epoll});
  add(all, "epoll_coarse",
      {.kind = BackendKind::epoll, .native = {.without = linux_fine_timeouts}});
  add(all, "kqueue", {.kind = BackendKind::kqueue});
  for (std::uint64_t seed = 1; set_moods(seed) && seed <= 8; ++seed) {
    add(all, "kqueue_moody_" + std::to_string(seed), {.kind = BackendKind::kqueue}, seed);
  }
  add(all, "poll", {.kind = BackendKind::poll});
  const auto ring = [&all](std::string name, unsigned entries, std::uint32_t without) {
    add(all, std::move(name),
        {.kind = BackendKind::io_uring, .native = {.ring_entries = entries, .without = without}});
  };
  ring("io_uring", 256, 0);
  ring("io_uring_of_2", 2, 0);
  ring("io_uring_of_64", 64, 0);
  ring("io_uring_cooperative", 256, linux_deferred_work);
  ring("io_uring_basic", 256,
       linux_deferred_work | linux_cooperative_work | linux_poll_first | linux_no_iowait);
  return all;
}

namespace {

const auto named = [](const auto& info) { return info.param.name; };

INSTANTIATE_TEST_SUITE_P(Native, Contract, testing::ValuesIn(native_rigs()), named);
INSTANTIATE_TEST_SUITE_P(Native, ContractWithThreads, testing::ValuesIn(native_rigs()), named);
INSTANTIATE_TEST_SUITE_P(Native, Network, testing::ValuesIn(native_rigs()), named);
INSTANTIATE_TEST_SUITE_P(Native, NativeContract, testing::ValuesIn(native_rigs()), named);

}  // namespace
}  // namespace wev::test
