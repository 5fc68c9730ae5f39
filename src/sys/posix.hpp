// posix.hpp: what POSIX systems share, for their backends.
#pragma once

#include <poll.h>
#include <sys/types.h>
#include <unistd.h>

#include <utility>

#include "wev/base/error.hpp"
#include "wev/sys/system.hpp"

namespace wev::sys {

/// An errno as an Error. A std::errc has the system's own number.
Error to_error(int code) noexcept;
/// errno.
Error last_error() noexcept;

/// A system call's return value: a count, or -1 and errno.
Result to_result(ssize_t returned) noexcept;

/// How many fork()s lie between this process and the first of its program.
unsigned forks() noexcept;

/// Remembers the process that something was made in.
class Origin {
 public:
  /// This is a child of that one, and shares with it what it was made of.
  [[nodiscard]] bool is_parent() const noexcept { return forks_ != forks(); }

 private:
  const unsigned forks_ = forks();
};

/// Writing what nobody will read raises SIGPIPE. From the first call on it is
/// blocked in the calling thread, so that it ends no program.
void block_sigpipe() noexcept;
/// Takes back the one that a broken pipe has raised in this thread, if it was
/// block_sigpipe() that kept it.
void discard_sigpipe() noexcept;

/// Arguments of system calls that a backend makes in its own way.
int recv_flags(std::uint32_t flags) noexcept;
int open_flags(std::uint32_t flags) noexcept;

/// Closed at the end of its scope, if it is not given away.
class OwnedFd {
 public:
  OwnedFd() = default;
  explicit OwnedFd(int fd) noexcept : fd_(fd) {}
  OwnedFd(OwnedFd&& other) noexcept : fd_(other.release()) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~OwnedFd() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }
  int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

/// What poll(2) is asked for to wait for reading.
#if defined(POLLRDHUP)
inline constexpr short poll_in = POLLIN | POLLRDHUP;
#else
inline constexpr short poll_in = POLLIN;
#endif

/// Whether close() has closed: systems do, though a signal or a slow disk makes them
/// say something else.
bool is_closed(const Result& result) noexcept;

/// Of the open file, which several descriptors may share.
void set_nonblocking(int fd, bool on) noexcept;
bool is_nonblocking(int fd) noexcept;

}  // namespace wev::sys
