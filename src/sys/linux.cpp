// port.hpp over what only Linux has.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "sys/port.hpp"
#include "sys/posix.hpp"
#include "sys/system.hpp"

namespace wev::sys {

static_assert(sizeof(sockaddr_un) <= Address::capacity && AF_UNIX == 1 && AF_INET == 2 &&
              AF_INET6 == 10 && sizeof(sockaddr_in) == 16 && sizeof(sockaddr_in6) == 28);

int open_pipe(int* ends, bool nonblocking) noexcept {
  return ::pipe2(ends, O_CLOEXEC | (nonblocking ? O_NONBLOCK : 0));
}

int open_socket(int domain, int type) noexcept {
  return ::socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

int accept_connection(int fd) noexcept {
  return ::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

// Called again it tells how it ended.
Result finish_connect(int fd, const Address& address) noexcept { return connect(fd, address); }

// Of TCP only: a Unix socket also stops at a passed descriptor, a datagram at its end, a pipe
// at the end of what its writer called a packet.
bool short_is_all(int fd) noexcept {
  int protocol = 0;
  int type = 0;
  socklen_t size = sizeof protocol;
  return ::getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 &&
         protocol == IPPROTO_TCP && ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
         type == SOCK_STREAM;
}

int poll_until(pollfd* descriptors, std::size_t count, const timespec* timeout) noexcept {
  return ::ppoll(descriptors, count, timeout, nullptr);
}

Result read_cached(int fd, std::span<const IoVec> buffers, std::uint64_t offset) noexcept {
  return to_result(::preadv2(fd, reinterpret_cast<const iovec*>(buffers.data()),
                             static_cast<int>(buffers.size()), static_cast<off_t>(offset),
                             RWF_NOWAIT));
}

int open_counter(Counter& counter) noexcept {
  return counter.reader = counter.writer = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

// It would take centuries to be full.
void count_up(int writer) noexcept { (void)::eventfd_write(writer, 1); }

Result take_count(int reader) noexcept {
  eventfd_t times = 0;
  const Result taken = to_result(::eventfd_read(reader, &times));
  return taken ? Result(times) : taken;
}

}  // namespace wev::sys
