// port.hpp: what POSIX systems do each in their own way, in one place.
//
// Defined for Linux in linux.cpp and linux_process.cpp, for macOS and FreeBSD in bsd.cpp and
// bsd_process.cpp. What returns an int returns -1 and errno where it fails. Descriptors that
// are made here are not inherited, and those that are non-blocking raise no SIGPIPE where a
// system can be told so.
#pragma once

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "sys/bsd_address.hpp"
#include "wev/base/error.hpp"
#include "wev/sys/system.hpp"

namespace wev::sys {

/// `ends`: room for two.
int open_pipe(int* ends, bool nonblocking) noexcept;
/// Non-blocking.
int open_socket(int domain, int type) noexcept;
int accept_connection(int fd) noexcept;

/// How a connect went that was under way, once its socket may be writable.
Result finish_connect(int fd, const Address& address) noexcept;

/// See DescriptorTraits::short_is_all; of what is a socket.
bool short_is_all(int fd) noexcept;

/// poll(2), with the finest timeout there is: how many are ready. nullptr: without one.
int poll_until(pollfd* descriptors, std::size_t count, const timespec* timeout) noexcept;

/// An Address is laid out as Linux does it.
#if defined(__linux__)
// The caller's own, for the length of a call.
// NOLINTNEXTLINE(bugprone-return-const-ref-from-parameter)
inline const Address& to_native(const Address& address) noexcept { return address; }
const Address& to_native(const Address&& address) = delete;  // it would be gone by then
inline void from_native(Address&) noexcept {}
#else
inline Address to_native(const Address& address) noexcept { return to_bsd(address, AF_INET6); }
inline void from_native(Address& address) noexcept { from_bsd(address, AF_INET6); }
#endif

/// Reads as far as it need not wait for a disk, or not at all: what is in memory.
/// `at_position` moves the file's own. Errors: resource_unavailable_try_again, and others where
/// the file or the system has no such thing.
Result read_cached(int fd, std::span<const IoVec> buffers, std::uint64_t offset) noexcept;
inline constexpr std::uint64_t at_position = UINT64_MAX;

// Counting -------------------------------------------------------------------------------

/// `reader` is readable once something was counted, and tells how often. Where a system has
/// one descriptor for that, `writer` is the same. Both are non-blocking.
struct Counter {
  int reader = -1;
  int writer = -1;
};

int open_counter(Counter& counter) noexcept;
/// Every port's, also of one that is not open.
void close_counter(const Counter& counter) noexcept;
/// Any thread, and signal handlers. What does not fit is not counted.
void count_up(int writer) noexcept;
/// How often since the last time, at least 1. resource_unavailable_try_again: never.
Result take_count(int reader) noexcept;

// Processes ------------------------------------------------------------------------------

/// A descriptor that is readable once the process has ended.
int open_process(pid_t pid) noexcept;
/// waitid(2) of that process, with WEXITED and WNOHANG.
int wait_for_process(int fd, pid_t pid, siginfo_t& info, int options) noexcept;
int send_signal(int fd, pid_t pid, int signal) noexcept;

}  // namespace wev::sys
