// system.hpp over Linux system calls.
#include "sys/system.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>

#include "sys/linux.hpp"
#include "wev/base/address.hpp"

namespace wev::sys {

namespace {

// Of Linux's errnos, those that std::errc has; it has no others.
constexpr auto known_errors = [] {
  using enum std::errc;
  constexpr std::errc all[] = {address_family_not_supported,
                               address_in_use,
                               address_not_available,
                               already_connected,
                               argument_list_too_long,
                               argument_out_of_domain,
                               bad_address,
                               bad_file_descriptor,
                               bad_message,
                               broken_pipe,
                               connection_aborted,
                               connection_already_in_progress,
                               connection_refused,
                               connection_reset,
                               cross_device_link,
                               destination_address_required,
                               device_or_resource_busy,
                               directory_not_empty,
                               executable_format_error,
                               file_exists,
                               file_too_large,
                               filename_too_long,
                               function_not_supported,
                               host_unreachable,
                               identifier_removed,
                               illegal_byte_sequence,
                               inappropriate_io_control_operation,
                               interrupted,
                               invalid_argument,
                               invalid_seek,
                               io_error,
                               is_a_directory,
                               message_size,
                               network_down,
                               network_reset,
                               network_unreachable,
                               no_buffer_space,
                               no_child_process,
                               no_link,
                               no_lock_available,
                               no_message,
                               no_protocol_option,
                               no_space_on_device,
                               no_such_device,
                               no_such_device_or_address,
                               no_such_file_or_directory,
                               no_such_process,
                               not_a_directory,
                               not_a_socket,
                               not_connected,
                               not_enough_memory,
                               not_supported,
                               operation_canceled,
                               operation_in_progress,
                               operation_not_permitted,
                               operation_would_block,
                               owner_dead,
                               permission_denied,
                               protocol_error,
                               protocol_not_supported,
                               read_only_file_system,
                               resource_deadlock_would_occur,
                               result_out_of_range,
                               state_not_recoverable,
                               text_file_busy,
                               timed_out,
                               too_many_files_open,
                               too_many_files_open_in_system,
                               too_many_links,
                               too_many_symbolic_link_levels,
                               value_too_large,
                               wrong_protocol_type};
  std::array<bool, 256> known{};
  for (const std::errc error : all) known[static_cast<std::size_t>(error)] = true;
  return known;
}();

}  // namespace

Error to_error(int code) noexcept {
  const auto i = static_cast<std::size_t>(code);
  if (i < known_errors.size() && known_errors[i]) return static_cast<std::errc>(code);
  return Error::native(static_cast<std::uint16_t>(code));
}

Error last_error() noexcept { return to_error(errno); }

Result to_result(ssize_t returned) noexcept {
  if (returned < 0) return std::unexpected(last_error());
  return static_cast<std::size_t>(returned);
}

// SIGPIPE ------------------------------------------------------------------------

namespace {

// Whether it was us who blocked it in this thread.
enum class Sigpipe : std::uint8_t { unknown, ours, not_ours };
thread_local Sigpipe sigpipe = Sigpipe::unknown;

sigset_t only_sigpipe() noexcept {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  return set;
}

}  // namespace

void block_sigpipe() noexcept {
  if (sigpipe != Sigpipe::unknown) return;
  const sigset_t set = only_sigpipe();
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, &set, &before);
  sigpipe = sigismember(&before, SIGPIPE) != 0 ? Sigpipe::not_ours : Sigpipe::ours;
}

void discard_sigpipe() noexcept {
  if (sigpipe != Sigpipe::ours) return;
  const sigset_t set = only_sigpipe();
  const timespec now{};
  while (sigtimedwait(&set, nullptr, &now) < 0 && errno == EINTR) {
  }
}

// Files and pipes ------------------------------------------------------------------

namespace {

template <class Call>
Result without_sigpipe(Call call) noexcept {
  block_sigpipe();
  const Result result = to_result(call());
  if (!result && result.error() == std::errc::broken_pipe) discard_sigpipe();
  return result;
}

const iovec* iovecs(const Operation& operation) noexcept {
  static_assert(sizeof(iovec) == sizeof(IoVec) &&
                offsetof(iovec, iov_base) == offsetof(IoVec, data) &&
                offsetof(iovec, iov_len) == offsetof(IoVec, size));
  return reinterpret_cast<const iovec*>(operation.io.data);
}

}  // namespace

int iovec_count(const Operation& operation) noexcept {
  static_assert(most_buffers <= IOV_MAX);
  return static_cast<int>(operation.io.size < most_buffers ? operation.io.size : most_buffers);
}

Result read(const Operation& operation) noexcept {
  return to_result(::read(operation.io.fd, operation.io.data, operation.io.size));
}

Result readv(const Operation& operation) noexcept {
  return to_result(::readv(operation.io.fd, iovecs(operation), iovec_count(operation)));
}

Result pread(const Operation& operation) noexcept {
  return to_result(::pread(operation.io.fd, operation.io.data, operation.io.size,
                           static_cast<off_t>(operation.io.offset)));
}

Result write(const Operation& operation) noexcept {
  return without_sigpipe(
      [&] { return ::write(operation.io.fd, operation.io.data, operation.io.size); });
}

Result writev(const Operation& operation) noexcept {
  return without_sigpipe(
      [&] { return ::writev(operation.io.fd, iovecs(operation), iovec_count(operation)); });
}

Result pwrite(const Operation& operation) noexcept {
  return to_result(::pwrite(operation.io.fd, operation.io.data, operation.io.size,
                            static_cast<off_t>(operation.io.offset)));
}

Result poll(const Operation& operation) noexcept {
  const bool in = operation.type->direction == Direction::in;
  pollfd polled{operation.io.fd, static_cast<short>(in ? POLLIN | POLLRDHUP : POLLOUT), 0};
  const Result result = to_result(::poll(&polled, 1, 0));
  if (!result) return result;
  if ((polled.revents & POLLNVAL) != 0) return std::unexpected(std::errc::bad_file_descriptor);
  if (*result == 0) return std::unexpected(std::errc::resource_unavailable_try_again);
  return in ? readable : writable;
}

int open_flags(const Operation& operation) noexcept {
  const std::uint32_t wanted = operation.io.flags;
  const bool reads = (wanted & open_read) != 0;
  const bool writes = (wanted & open_write) != 0;
  int flags = O_CLOEXEC | (reads && writes ? O_RDWR : writes ? O_WRONLY : O_RDONLY);
  if ((wanted & open_create) != 0) flags |= O_CREAT;
  if ((wanted & open_exclusive) != 0) flags |= O_EXCL;
  if ((wanted & open_truncate) != 0) flags |= O_TRUNC;
  if ((wanted & open_append) != 0) flags |= O_APPEND;
  if ((wanted & open_directory) != 0) flags |= O_DIRECTORY;
  return flags;
}

Result open(const Operation& operation) noexcept {
  static_assert(op::working_directory == AT_FDCWD);
  return to_result(::openat(operation.io.fd, reinterpret_cast<const char*>(operation.io.data),
                            open_flags(operation), static_cast<mode_t>(operation.io.offset)));
}

Result pipe(const Operation& operation) noexcept {
  return to_result(::pipe2(reinterpret_cast<int*>(operation.io.data), O_NONBLOCK | O_CLOEXEC));
}

Result size(const Operation& operation) noexcept {
  struct stat status{};
  const Result result = to_result(::fstat(operation.io.fd, &status));
  if (!result) return result;
  return static_cast<std::size_t>(status.st_size);
}

Result fsync(const Operation& operation) noexcept { return to_result(::fsync(operation.io.fd)); }

bool is_closed(const Result& result) noexcept {
  return result || result.error() == std::errc::interrupted ||
         result.error() == std::errc::operation_in_progress;
}

Result close(const Operation& operation) noexcept {
  const Result result = to_result(::close(operation.io.fd));
  return is_closed(result) ? 0 : result;
}

// Sockets ------------------------------------------------------------------------------

static_assert(sizeof(sockaddr_un) <= Address::capacity && AF_UNIX == 1 && AF_INET == 2 &&
              AF_INET6 == 10 && sizeof(sockaddr_in) == 16 && sizeof(sockaddr_in6) == 28);

namespace {

sockaddr* native(Address& address) noexcept { return static_cast<sockaddr*>(address.data()); }

// What a call said of the size is more than there is if it did not fit.
template <class Call>
Result into(Address& address, Call call) noexcept {
  socklen_t size = Address::capacity;
  const Result result = to_result(call(native(address), &size));
  if (result) address.set_size(size);
  return result;
}

struct NativeOption {
  int level;
  int name;
};
NativeOption native_option(int fd, SocketOption option) noexcept {
  switch (option) {
    case SocketOption::reuse_address: return {SOL_SOCKET, SO_REUSEADDR};
    case SocketOption::reuse_port: return {SOL_SOCKET, SO_REUSEPORT};
    case SocketOption::no_delay: return {IPPROTO_TCP, TCP_NODELAY};
    case SocketOption::keep_alive: return {SOL_SOCKET, SO_KEEPALIVE};
    case SocketOption::broadcast: return {SOL_SOCKET, SO_BROADCAST};
    case SocketOption::ipv6_only: return {IPPROTO_IPV6, IPV6_V6ONLY};
    case SocketOption::send_buffer: return {SOL_SOCKET, SO_SNDBUF};
    case SocketOption::receive_buffer: return {SOL_SOCKET, SO_RCVBUF};
    case SocketOption::linger: return {SOL_SOCKET, SO_LINGER};
    case SocketOption::ttl: break;
  }
  int domain = AF_INET;
  socklen_t size = sizeof domain;
  (void)::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
  return domain == AF_INET6 ? NativeOption{IPPROTO_IPV6, IPV6_UNICAST_HOPS}
                            : NativeOption{IPPROTO_IP, IP_TTL};
}

}  // namespace

Result socket(const Operation& operation) noexcept {
  static constexpr std::array families = {AF_INET, AF_INET6, AF_UNIX};
  static constexpr std::array types = {SOCK_STREAM, SOCK_DGRAM};
  const std::uint32_t flags = operation.io.flags;
  return to_result(
      ::socket(families[flags & 0xff], types[flags >> 8] | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

Result bind(const Operation& operation) noexcept {
  Address& address = *operation.io.address;
  return to_result(::bind(operation.io.fd, native(address), address.size()));
}

Result listen(const Operation& operation) noexcept {
  return to_result(::listen(operation.io.fd, static_cast<int>(operation.io.flags)));
}

Result local_address(const Operation& operation) noexcept {
  return into(*operation.io.address, [&](sockaddr* address, socklen_t* size) {
    return ::getsockname(operation.io.fd, address, size);
  });
}

Result remote_address(const Operation& operation) noexcept {
  return into(*operation.io.address, [&](sockaddr* address, socklen_t* size) {
    return ::getpeername(operation.io.fd, address, size);
  });
}

Result set_option(const Operation& operation) noexcept {
  const auto option = static_cast<SocketOption>(operation.io.flags);
  const int value = static_cast<int>(operation.io.offset);
  const auto [level, name] = native_option(operation.io.fd, option);
  if (option == SocketOption::linger) {
    const linger lingering{value >= 0 ? 1 : 0, value >= 0 ? value : 0};
    return to_result(::setsockopt(operation.io.fd, level, name, &lingering, sizeof lingering));
  }
  return to_result(::setsockopt(operation.io.fd, level, name, &value, sizeof value));
}

// Called again when the socket is writable, the kernel tells how it ended.
Result connect(const Operation& operation) noexcept {
  Address& address = *operation.io.address;
  const Result result = to_result(::connect(operation.io.fd, native(address), address.size()));
  if (!result && result.error() == std::errc::connection_already_in_progress) {
    return std::unexpected(std::errc::operation_in_progress);
  }
  return result;
}

Result accept(const Operation& operation) noexcept {
  return to_result(::accept4(operation.io.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

int recv_flags(const Operation& operation) noexcept {
  return (operation.io.flags & recv_peek) != 0 ? MSG_PEEK : 0;
}

Result recv(const Operation& operation) noexcept {
  return to_result(
      ::recv(operation.io.fd, operation.io.data, operation.io.size, recv_flags(operation)));
}

Result recv_from(const Operation& operation) noexcept {
  return into(operation.io.message->address, [&](sockaddr* address, socklen_t* size) {
    return ::recvfrom(operation.io.fd, operation.io.data, operation.io.size, 0, address, size);
  });
}

Result send(const Operation& operation) noexcept {
  return to_result(::send(operation.io.fd, operation.io.data, operation.io.size, MSG_NOSIGNAL));
}

Result send_to(const Operation& operation) noexcept {
  Address& address = operation.io.message->address;
  return to_result(::sendto(operation.io.fd, operation.io.data, operation.io.size, MSG_NOSIGNAL,
                            address.size() == 0 ? nullptr : native(address), address.size()));
}

Result shutdown(const Operation& operation) noexcept {
  const auto how = static_cast<Shutdown>(operation.io.flags);
  return to_result(::shutdown(operation.io.fd, how == Shutdown::receive ? SHUT_RD
                                               : how == Shutdown::send  ? SHUT_WR
                                                                        : SHUT_RDWR));
}

// Descriptors ------------------------------------------------------------------------

std::expected<DescriptorTraits, Error> examine(int fd, bool set_nonblocking) noexcept {
  DescriptorTraits traits;
  int protocol = 0;
  socklen_t size = sizeof protocol;
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return std::unexpected(last_error());
  traits.nonblocking = (flags & O_NONBLOCK) != 0;
  if (::getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0) {
    traits.may_be_socket = true;
    // Of TCP only: a Unix socket also stops at a passed descriptor, a datagram at
    // its end, a pipe at the end of what its writer called a packet.
    int type = 0;
    traits.short_is_all = protocol == IPPROTO_TCP &&
                          ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
                          type == SOCK_STREAM;
  } else {
    struct stat status{};
    if (::fstat(fd, &status) < 0) return std::unexpected(last_error());
    traits.always_ready = S_ISREG(status.st_mode) || S_ISDIR(status.st_mode);
  }
  if (!traits.nonblocking && set_nonblocking) {
    traits.nonblocking = ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
  }
  return traits;
}

void set_nonblocking(int fd, bool on) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags >= 0) (void)::fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

bool is_nonblocking(int fd) noexcept { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }

void write_to_stderr(const char* text, std::size_t size) noexcept {
  // Nothing can be done about a failure.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text, size);
}

}  // namespace wev::sys
