// port.hpp over what POSIX has, for macOS and FreeBSD.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <utility>

#include "sys/port.hpp"
#include "sys/posix.hpp"
#include "sys/system.hpp"

namespace wev::sys {

namespace {

// Between making it and this a fork() on another thread inherits it: macOS has no way around.
bool prepare(int fd, bool nonblocking) noexcept {
  if (fd < 0 || ::fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return false;
  if (nonblocking) set_nonblocking(fd, true);
  return true;
}

// -1, and errno, where something is wrong with it.
int prepared(int fd) noexcept {
  OwnedFd owned(fd);
  return prepare(fd, true) ? owned.release() : -1;
}

}  // namespace

int open_pipe(int* ends, bool nonblocking) noexcept {
  std::array<int, 2> made{};
  if (::pipe(made.data()) != 0) return -1;
  OwnedFd reader(made[0]);
  OwnedFd writer(made[1]);
  if (!prepare(made[0], nonblocking) || !prepare(made[1], nonblocking)) return -1;
  ends[0] = reader.release();
  ends[1] = writer.release();
  return 0;
}

int open_socket(int domain, int type) noexcept { return prepared(::socket(domain, type, 0)); }

int accept_connection(int fd) noexcept { return prepared(::accept(fd, nullptr, nullptr)); }

// To call it again would begin anew where it has failed.
Result finish_connect(int fd, const Address&) noexcept {
  const Result ready = poll(fd, Direction::out);
  if (!ready && ready.error() == std::errc::resource_unavailable_try_again) {
    return std::unexpected(std::errc::operation_in_progress);
  }
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
    return std::unexpected(last_error());
  }
  if (error != 0) return std::unexpected(to_error(error));
  Address peer;
  return remote_address(fd, peer);
}

// A receive also stops at urgent data, of which kqueue does not tell.
bool short_is_all(int) noexcept { return false; }

// Rounded up: it may sleep longer, but not end too early.
int poll_until(pollfd* descriptors, std::size_t count, const timespec* timeout) noexcept {
  int milliseconds = -1;
  if (timeout != nullptr) {
    const auto seconds = std::min<time_t>(timeout->tv_sec, INT_MAX / 1000 - 1);
    milliseconds = static_cast<int>(seconds * 1000 + (timeout->tv_nsec + 999'999) / 1'000'000);
  }
  return ::poll(descriptors, static_cast<nfds_t>(count), milliseconds);
}

Result read_cached(int, std::span<const IoVec>, std::uint64_t) noexcept {
  return std::unexpected(std::errc::operation_not_supported);
}

// A pipe whose bytes are counted.

int open_counter(Counter& counter) noexcept {
  std::array<int, 2> ends{};
  if (open_pipe(ends.data(), true) != 0) return -1;
  counter = {ends[0], ends[1]};
  return 0;
}

void count_up(int writer) noexcept {
  const char once = 1;
  [[maybe_unused]] const ssize_t written = ::write(writer, &once, sizeof once);
}

Result take_count(int reader) noexcept {
  std::array<std::byte, 512> bytes;
  std::size_t times = 0;
  for (;;) {
    const Result taken = read(reader, bytes);
    if (!taken && times == 0) return taken;
    times += taken.value_or(0);
    if (taken.value_or(0) == bytes.size()) continue;
    if (times > 0) return times;
    return std::unexpected(std::errc::resource_unavailable_try_again);  // nobody counts any more
  }
}

}  // namespace wev::sys
