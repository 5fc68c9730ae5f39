// system.hpp over Linux system calls.
#include <cerrno>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/system.hpp"

namespace wev::sys {
namespace {

// Linux has an errno for every std::errc and some more, under the same numbers.
Result to_result(ssize_t returned) noexcept {
  if (returned < 0) return std::unexpected(static_cast<std::errc>(errno));
  return static_cast<std::size_t>(returned);
}

}  // namespace

Result read(const Operation& operation) noexcept {
  return to_result(::read(operation.io.fd, operation.io.data, operation.io.size));
}

Result pread(const Operation& operation) noexcept {
  return to_result(::pread(operation.io.fd, operation.io.data, operation.io.size,
                           static_cast<off_t>(operation.io.offset)));
}

Result write(const Operation& operation) noexcept {
  return to_result(::write(operation.io.fd, operation.io.data, operation.io.size));
}

Result pwrite(const Operation& operation) noexcept {
  return to_result(::pwrite(operation.io.fd, operation.io.data, operation.io.size,
                            static_cast<off_t>(operation.io.offset)));
}

Result recv(const Operation& operation) noexcept {
  const int flags = ((operation.io.flags & recv_peek) != 0 ? MSG_PEEK : 0) |
                    ((operation.io.flags & recv_wait_all) != 0 ? MSG_WAITALL : 0);
  return to_result(::recv(operation.io.fd, operation.io.data, operation.io.size, flags));
}

Result send(const Operation& operation) noexcept {
  return to_result(::send(operation.io.fd, operation.io.data, operation.io.size, MSG_NOSIGNAL));
}

Result accept(const Operation& operation) noexcept {
  return to_result(::accept4(operation.io.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

Result shutdown(const Operation& operation) noexcept {
  const auto how = static_cast<Shutdown>(operation.io.flags);
  return to_result(::shutdown(operation.io.fd, how == Shutdown::receive ? SHUT_RD
                                               : how == Shutdown::send  ? SHUT_WR
                                                                        : SHUT_RDWR));
}

Result fsync(const Operation& operation) noexcept { return to_result(::fsync(operation.io.fd)); }

Result close(const Operation& operation) noexcept { return to_result(::close(operation.io.fd)); }

std::expected<DescriptorTraits, Error> examine(int fd, bool set_nonblocking) noexcept {
  struct stat status{};
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fstat(fd, &status) < 0) return std::unexpected(to_result(-1).error());
  DescriptorTraits traits;
  traits.always_ready = S_ISREG(status.st_mode) || S_ISDIR(status.st_mode);
  traits.nonblocking =
      (flags & O_NONBLOCK) != 0 ||
      (set_nonblocking && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
  traits.may_be_socket = S_ISSOCK(status.st_mode);
  return traits;
}

void write_to_stderr(const char* text, std::size_t size) noexcept {
  // Nothing can be done about a failure.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text, size);
}

}  // namespace wev::sys
