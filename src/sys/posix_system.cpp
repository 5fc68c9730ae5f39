// system.hpp over the system calls that POSIX systems share.
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
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>

#include "sys/port.hpp"
#include "sys/posix.hpp"
#include "wev/base/address.hpp"

namespace wev::sys {

// Forking ------------------------------------------------------------------------

namespace {
std::atomic<unsigned> forks_so_far{0};
}

unsigned forks() noexcept {
  [[maybe_unused]] static const int registered = ::pthread_atfork(
      nullptr, nullptr, [] { forks_so_far.fetch_add(1, std::memory_order_relaxed); });
  return forks_so_far.load(std::memory_order_relaxed);
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
#if defined(__APPLE__)  // has no sigtimedwait()
  sigset_t pending;
  int signal = 0;
  if (sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1) sigwait(&set, &signal);
#else
  const timespec now{};
  while (sigtimedwait(&set, nullptr, &now) < 0 && errno == EINTR) {
  }
#endif
}

// Files and pipes ------------------------------------------------------------------

namespace {

static_assert(most_buffers <= IOV_MAX);

}  // namespace

const iovec* iovecs(std::span<const IoVec> buffers) noexcept {
  static_assert(sizeof(iovec) == sizeof(IoVec) &&
                offsetof(iovec, iov_base) == offsetof(IoVec, data) &&
                offsetof(iovec, iov_len) == offsetof(IoVec, size));
  return reinterpret_cast<const iovec*>(buffers.data());
}

Result read(int fd, std::span<std::byte> buffer) noexcept {
  return to_result(::read(fd, buffer.data(), buffer.size()));
}

Result readv(int fd, std::span<const IoVec> buffers) noexcept {
  return to_result(::readv(fd, iovecs(buffers), static_cast<int>(buffers.size())));
}

Result pread(int fd, std::span<std::byte> buffer, std::uint64_t offset) noexcept {
  return to_result(::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset)));
}

Result write(int fd, std::span<const std::byte> buffer) noexcept {
  return without_sigpipe([&] { return ::write(fd, buffer.data(), buffer.size()); });
}

Result writev(int fd, std::span<const IoVec> buffers) noexcept {
  return without_sigpipe(
      [&] { return ::writev(fd, iovecs(buffers), static_cast<int>(buffers.size())); });
}

Result pwrite(int fd, std::span<const std::byte> buffer, std::uint64_t offset) noexcept {
  return to_result(::pwrite(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset)));
}

Result poll(int fd, Direction direction) noexcept {
  const bool in = direction == Direction::in;
  pollfd polled{fd, in ? poll_in : short{POLLOUT}, 0};
  const Result result = to_result(::poll(&polled, 1, 0));
  if (!result) return result;
  if ((polled.revents & POLLNVAL) != 0) return std::unexpected(std::errc::bad_file_descriptor);
  if (*result == 0) return std::unexpected(std::errc::resource_unavailable_try_again);
  return in ? readable : writable;
}

int open_flags(std::uint32_t wanted) noexcept {
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

Result open(int directory, const char* path, std::uint32_t flags, std::uint32_t mode) noexcept {
  if (directory == op::working_directory) directory = AT_FDCWD;
  const auto open_with = [&](int more) {
    return above_stdio(
        to_result(::openat(directory, path, open_flags(flags) | more, static_cast<mode_t>(mode))));
  };
  // Else a FIFO would wait for its other end.
  const Result opened = open_with(O_NONBLOCK);
  if (opened) set_nonblocking(static_cast<int>(*opened), false);
  // Somebody who has a lease of a file is asked to give it back.
  const bool leased = !opened && opened.error() == std::errc::resource_unavailable_try_again;
  return leased ? open_with(0) : opened;
}

Result pipe(std::span<int, 2> ends) noexcept {
  std::array<int, 2> made{};
  if (open_pipe(made.data(), true) != 0) return std::unexpected(last_error());
  OwnedFd reader = above_stdio(OwnedFd(made[0]));
  OwnedFd writer = above_stdio(OwnedFd(made[1]));
  if (!reader.is_open() || !writer.is_open()) return std::unexpected(last_error());
  ends[0] = reader.release();
  ends[1] = writer.release();
  return 0;
}

Result duplicate(int fd) noexcept {
  return to_result(::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
}

Result size(int fd) noexcept {
  struct stat status{};
  const Result result = to_result(::fstat(fd, &status));
  if (!result) return result;
  return static_cast<std::size_t>(status.st_size);
}

Result fsync(int fd) noexcept { return to_result(::fsync(fd)); }

bool is_closed(const Result& result) noexcept {
  return result || result.error() == std::errc::interrupted ||
         result.error() == std::errc::operation_in_progress;
}

Result close(int fd) noexcept {
  const Result result = to_result(::close(fd));
  return is_closed(result) ? 0 : result;
}

// Sockets ------------------------------------------------------------------------------

namespace {

sockaddr* native(Address& address) noexcept { return static_cast<sockaddr*>(address.data()); }
const sockaddr* native(const Address& address) noexcept {
  return static_cast<const sockaddr*>(address.data());
}

// What a call said of the size is more than there is if it did not fit.
template <class Call>
Result into(Address& address, Call call) noexcept {
  socklen_t size = Address::capacity;
  const Result result = to_result(call(native(address), &size));
  if (!result) return result;
  address.set_size(size);
  from_native(address);
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
  Address address;
  (void)local_address(fd, address);
  return address.family() == Address::Family::ipv6 ? NativeOption{IPPROTO_IPV6, IPV6_UNICAST_HOPS}
                                                   : NativeOption{IPPROTO_IP, IP_TTL};
}

}  // namespace

Result socket(SocketFamily family, SocketType type) noexcept {
  static constexpr std::array families = {AF_INET, AF_INET6, AF_UNIX};
  static constexpr std::array types = {SOCK_STREAM, SOCK_DGRAM};
  return above_stdio(to_result(open_socket(families[static_cast<std::size_t>(family)],
                                           types[static_cast<std::size_t>(type)])));
}

Result bind(int fd, const Address& address) noexcept {
  const auto& bound = to_native(address);
  return to_result(::bind(fd, native(bound), bound.size()));
}

Result listen(int fd, std::uint32_t backlog) noexcept {
  return to_result(::listen(fd, static_cast<int>(backlog)));
}

Result local_address(int fd, Address& address) noexcept {
  return into(address,
              [&](sockaddr* native, socklen_t* size) { return ::getsockname(fd, native, size); });
}

Result remote_address(int fd, Address& address) noexcept {
  return into(address,
              [&](sockaddr* native, socklen_t* size) { return ::getpeername(fd, native, size); });
}

Result set_option(int fd, SocketOption option, int value) noexcept {
  const auto [level, name] = native_option(fd, option);
  if (option == SocketOption::linger) {
    const linger lingering{value >= 0 ? 1 : 0, value >= 0 ? value : 0};
    return to_result(::setsockopt(fd, level, name, &lingering, sizeof lingering));
  }
  return to_result(::setsockopt(fd, level, name, &value, sizeof value));
}

Result connect(int fd, const Address& address) noexcept {
  set_nonblocking(fd, true);  // there is no other way
  const auto& peer = to_native(address);
  const Result result = to_result(::connect(fd, native(peer), peer.size()));
  if (!result && result.error() == std::errc::connection_already_in_progress) {
    return std::unexpected(std::errc::operation_in_progress);
  }
  return result;
}

Result accept(int fd) noexcept {
  set_nonblocking(fd, true);  // there is no other way
  return above_stdio(to_result(accept_connection(fd)));
}

int recv_flags(std::uint32_t flags) noexcept { return (flags & recv_peek) != 0 ? MSG_PEEK : 0; }

Result recv(int fd, std::span<std::byte> buffer, std::uint32_t flags) noexcept {
  return to_result(::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT | recv_flags(flags)));
}

Result recv_from(int fd, std::span<std::byte> buffer, Address& from) noexcept {
  return into(from, [&](sockaddr* native, socklen_t* size) {
    return ::recvfrom(fd, buffer.data(), buffer.size(), MSG_DONTWAIT, native, size);
  });
}

Result send(int fd, std::span<const std::byte> buffer) noexcept {
  return without_sigpipe_of_sockets(
      [&] { return ::send(fd, buffer.data(), buffer.size(), MSG_DONTWAIT | no_sigpipe); });
}

Result send_to(int fd, std::span<const std::byte> buffer, const Address& to) noexcept {
  const auto& peer = to_native(to);
  return without_sigpipe_of_sockets([&] {
    return ::sendto(fd, buffer.data(), buffer.size(), MSG_DONTWAIT | no_sigpipe,
                    peer.size() == 0 ? nullptr : native(peer), peer.size());
  });
}

Result shutdown(int fd, Shutdown how) noexcept {
  return to_result(::shutdown(fd, how == Shutdown::receive ? SHUT_RD
                                  : how == Shutdown::send  ? SHUT_WR
                                                           : SHUT_RDWR));
}

// Descriptors ------------------------------------------------------------------------

namespace {

bool has_messages(int fd) noexcept {
  int type = SOCK_STREAM;
  socklen_t size = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type != SOCK_STREAM;
}

}  // namespace

std::expected<DescriptorTraits, Error> examine(int fd, bool set_nonblocking) noexcept {
  DescriptorTraits traits;
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return std::unexpected(last_error());
  traits.nonblocking = (flags & O_NONBLOCK) != 0;
  struct stat status{};
  if (::fstat(fd, &status) < 0) return std::unexpected(last_error());
  traits.always_ready =
      S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode);
  traits.may_be_socket = S_ISSOCK(status.st_mode);
  traits.short_is_all = traits.may_be_socket && short_is_all(fd);
  traits.datagrams = traits.may_be_socket && !traits.short_is_all && has_messages(fd);
  if (!traits.nonblocking && set_nonblocking) {
    traits.nonblocking = ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
  }
  return traits;
}

OwnedFd above_stdio(OwnedFd fd) noexcept {
  if (!fd.is_open() || fd.get() > STDERR_FILENO) return fd;
  return OwnedFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
}

Result above_stdio(const Result& made) noexcept {
  if (!made || *made > STDERR_FILENO) return made;
  OwnedFd moved = above_stdio(OwnedFd(static_cast<int>(*made)));
  if (!moved.is_open()) return std::unexpected(last_error());
  return static_cast<std::size_t>(moved.release());
}

void set_nonblocking(int fd, bool on) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return;
  const int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  if (wanted != flags) (void)::fcntl(fd, F_SETFL, wanted);
#if defined(F_SETNOSIGPIPE)
  // Else a broken pipe's signal is the whole process's, not only this thread's, as elsewhere.
  (void)::fcntl(fd, F_SETNOSIGPIPE, on ? 1 : 0);
#endif
}

bool is_nonblocking(int fd) noexcept { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }

void close_counter(const Counter& counter) noexcept {
  if (counter.reader >= 0) (void)close(counter.reader);
  if (counter.writer != counter.reader) (void)close(counter.writer);
}

void write_to_stderr(const char* text, std::size_t size) noexcept {
  // Nothing can be done about a failure.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text, size);
}

}  // namespace wev::sys
