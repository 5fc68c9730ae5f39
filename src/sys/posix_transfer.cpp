#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

#include "sys/port.hpp"
#include "sys/system.hpp"
#include "sys/transfer.hpp"

namespace wev::sys {

namespace {

constexpr std::size_t little = PIPE_BUF;

msghdr message_of(std::span<const IoVec> buffers) noexcept {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(iovecs(buffers));
  message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(buffers.size());
  return message;
}

// Of a pipe that is ready, so much is taken without waiting for its reader.
Result write_little(int fd, std::span<const IoVec> buffers) noexcept {
  const auto first = std::ranges::find_if(buffers, [](const IoVec& v) { return v.size > 0; });
  if (first == buffers.end()) return 0;
  return write(fd, std::span<const std::byte>(first->data, std::min(first->size, little)));
}

}  // namespace

bool may_wait(int fd, int flags) noexcept {
  if (fd > STDERR_FILENO && (flags & O_NONBLOCK) != 0) return false;
  struct stat status{};
  if (::fstat(fd, &status) != 0) return false;
  return S_ISFIFO(status.st_mode) || ::isatty(fd) == 1;
}

TransferWay way_of(int fd, bool calls) noexcept {
  struct stat status{};
  const bool is_pipe = ::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
  if (is_pipe && calls && has_transfers_now(fd)) return {Unwaiting::by_call, {}};
  const bool is_stdio = fd <= STDERR_FILENO;
  if (!is_stdio && is_nonblocking(fd)) return {};
  if (is_pipe || is_terminal(fd)) {
    OwnedFd own(open_again(fd));
    if (own.is_open()) return {Unwaiting::by_flag, std::move(own)};
  }
  if (is_stdio) return {Unwaiting::by_asking, {}};
  set_nonblocking(fd, true);
  return {};
}

Result read_unwaiting(int fd, std::span<const IoVec> buffers, Unwaiting how) noexcept {
  switch (how) {
    case Unwaiting::by_flag: return readv(fd, buffers);
    case Unwaiting::by_call: return to_result(read_now(fd, buffers));
    case Unwaiting::by_asking: {
      const Result ready = poll(fd, Direction::in);
      return ready ? readv(fd, buffers) : ready;
    }
    case Unwaiting::by_message: break;
  }
  if (buffers.size() == 1) return recv(fd, {buffers[0].data, buffers[0].size}, 0);
  msghdr message = message_of(buffers);
  return to_result(::recvmsg(fd, &message, MSG_DONTWAIT));
}

Result write_unwaiting(int fd, std::span<const IoVec> buffers, Unwaiting how) noexcept {
  switch (how) {
    case Unwaiting::by_flag: return writev(fd, buffers);
    case Unwaiting::by_call: return without_sigpipe([&] { return write_now(fd, buffers); });
    case Unwaiting::by_asking: {
      const Result ready = poll(fd, Direction::out);
      return ready ? write_little(fd, buffers) : ready;
    }
    case Unwaiting::by_message: break;
  }
  if (buffers.size() == 1) return send(fd, {buffers[0].data, buffers[0].size});
  const msghdr message = message_of(buffers);
  return without_sigpipe_of_sockets(
      [&] { return ::sendmsg(fd, &message, MSG_DONTWAIT | no_sigpipe); });
}

// Told that the other side is gone it was there.
bool waits_for_writer(int fd) noexcept {
  struct stat status{};
  if (::fstat(fd, &status) != 0 || !S_ISFIFO(status.st_mode)) return false;
  pollfd polled{fd, POLLIN, 0};
  return ::poll(&polled, 1, 0) >= 0 && (polled.revents & (POLLHUP | POLLNVAL)) == 0;
}

}  // namespace wev::sys
