// posix.hpp: what POSIX systems share, for their backends.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
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

/// A call that writes, of the form of write(2).
template <class Call>
Result without_sigpipe(Call call) noexcept {
  block_sigpipe();
  const Result result = to_result(call());
  if (!result && result.error() == std::errc::broken_pipe) discard_sigpipe();
  return result;
}
/// The same on a socket, with this among its flags.
#if defined(MSG_NOSIGNAL)
inline constexpr int no_sigpipe = MSG_NOSIGNAL;
#else
inline constexpr int no_sigpipe = 0;
#endif
template <class Call>
Result without_sigpipe_of_sockets(Call call) noexcept {
  if constexpr (no_sigpipe != 0) return to_result(call());
  return without_sigpipe(call);
}

/// Arguments of system calls that a backend makes in its own way.
int recv_flags(std::uint32_t flags) noexcept;
int open_flags(std::uint32_t flags) noexcept;
const iovec* iovecs(std::span<const IoVec> buffers) noexcept;

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

/// The descriptor, or one of the same that is not stdin, stdout or stderr, which a program may
/// have closed when it starts; not open, and errno, where there is none.
OwnedFd above_stdio(OwnedFd fd) noexcept;
/// The same of what a call has made, or its error.
Result above_stdio(const Result& made) noexcept;

/// Of the open file, which several descriptors may share.
void set_nonblocking(int fd, bool on) noexcept;
bool is_nonblocking(int fd) noexcept;

}  // namespace wev::sys
