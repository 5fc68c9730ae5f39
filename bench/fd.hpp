// fd.hpp: a descriptor that is closed with its owner, and pairs of them.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

namespace bench {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }

  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] bool valid() const noexcept { return fd_ >= 0; }
  /// Someone else closes it.
  int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

/// Both are invalid if it could not be made.
struct FdPair {
  Fd first;
  Fd second;

  [[nodiscard]] bool valid() const noexcept { return first.valid() && second.valid(); }
};

/// A TCP connection over 127.0.0.1 that sends small pieces at once. `flags`: 0 or
/// SOCK_NONBLOCK.
inline FdPair connected_pair(int flags) noexcept {
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  if (::bind(listener.get(), generic, size) != 0 || ::listen(listener.get(), 1) != 0 ||
      ::getsockname(listener.get(), generic, &size) != 0) {
    return {};
  }
  FdPair pair;
  pair.first = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(pair.first.get(), generic, size) != 0) return {};
  pair.second = Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | flags));
  for (const Fd* fd : {&pair.first, &pair.second}) {
    const int on = 1;
    ::setsockopt(fd->get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  if (flags != 0) ::fcntl(pair.first.get(), F_SETFL, O_NONBLOCK);
  return pair;
}

/// A pipe, the end that is read from first.
inline FdPair pipe_pair() noexcept {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return {};
  return {Fd(fds[0]), Fd(fds[1])};
}

}  // namespace bench
