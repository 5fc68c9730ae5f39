// system.hpp over WASI 0.1.
#include "sys/system.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "sys/wasi.hpp"
#include "sys/wasi_error.hpp"

namespace wev::sys {

using namespace wasi;

namespace {

#if defined(__wasm__)
// The adapter from WASI 0.1 to 0.2 (jco's, for one) grows the memory for itself
// at the first host call, and wasi-libc's first malloc takes all that is there
// for heap, the adapter's page included. So that first malloc comes first,
// before wasi-libc's own constructor (51) asks for the preopened directories.
[[gnu::constructor(50)]] void take_the_heap() {
  void* volatile memory = std::malloc(1);
  std::free(memory);
}
#endif

// wazero says EBADF of socket calls on what is open, but no socket.
Result socket_result(std::int32_t returned, Fd fd, Size size = 0) noexcept {
  if (to_errno(returned) == errno_badf) {
    Fdstat stat{};
    if (to_errno(wev_wasi_fd_fdstat_get(fd, &stat)) == errno_success) {
      return std::unexpected(std::errc::not_a_socket);
    }
  }
  return to_result(returned, size);
}

// A descriptor that was not opened for reading, or writing, is a bad one elsewhere; some hosts
// speak of a capability, or say that it is not permitted (Bun).
Result moved(std::int32_t returned, Size size) noexcept {
  const Errno code = to_errno(returned);
  const bool wrong_mode = code == errno_notcapable || code == errno_perm;
  return to_result(wrong_mode ? errno_badf : returned, size);
}

// Of a buffer of 128 MiB and more Wasmtime says that there is no memory.
constexpr Size largest_transfer = Size{32} << 20;

Iovec one(std::span<const std::byte> buffer) noexcept {
  return {const_cast<std::byte*>(buffer.data()), std::min(buffer.size(), largest_transfer)};
}

// So many of them as go in one call; `first` is where a single one is too large.
std::span<const IoVec> several(std::span<const IoVec> buffers, IoVec& first) noexcept {
  Size size = 0;
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    size += buffers[i].size;
    if (size <= largest_transfer) continue;
    if (size > buffers[i].size) return buffers.first(i);
    first = buffers[i];
    first.size = largest_transfer;
    return {&first, 1};
  }
  return buffers;
}

const Iovec* iovecs(std::span<const IoVec> buffers) noexcept {
  static_assert(sizeof(Iovec) == sizeof(IoVec) && offsetof(Iovec, size) == offsetof(IoVec, size));
  return reinterpret_cast<const Iovec*>(buffers.data());
}

Result not_supported() noexcept { return std::unexpected(std::errc::operation_not_supported); }

}  // namespace

Result read(int fd, std::span<std::byte> buffer) noexcept {
  const Iovec iovec = one(buffer);
  Size size = 0;
  const auto returned = wev_wasi_fd_read(fd, &iovec, 1, &size);
  return moved(returned, size);
}

Result readv(int fd, std::span<const IoVec> buffers) noexcept {
  IoVec first;
  const auto some = several(buffers, first);
  Size size = 0;
  const auto returned = wev_wasi_fd_read(fd, iovecs(some), some.size(), &size);
  return moved(returned, size);
}

Result pread(int fd, std::span<std::byte> buffer, std::uint64_t offset) noexcept {
  const Iovec iovec = one(buffer);
  Size size = 0;
  const auto returned = wev_wasi_fd_pread(fd, &iovec, 1, offset, &size);
  return moved(returned, size);
}

Result write(int fd, std::span<const std::byte> buffer) noexcept {
  const Iovec iovec = one(buffer);
  Size size = 0;
  const auto returned = wev_wasi_fd_write(fd, &iovec, 1, &size);
  return moved(returned, size);
}

Result writev(int fd, std::span<const IoVec> buffers) noexcept {
  IoVec first;
  const auto some = several(buffers, first);
  Size size = 0;
  const auto returned = wev_wasi_fd_write(fd, iovecs(some), some.size(), &size);
  return moved(returned, size);
}

Result pwrite(int fd, std::span<const std::byte> buffer, std::uint64_t offset) noexcept {
  const Iovec iovec = one(buffer);
  Size size = 0;
  const auto returned = wev_wasi_fd_pwrite(fd, &iovec, 1, offset, &size);
  return moved(returned, size);
}

// Nothing tells without waiting.
Result poll(int, Direction) noexcept {
  return std::unexpected(std::errc::resource_unavailable_try_again);
}

namespace {

// Opening a FIFO that has no other end would keep the whole program. Of files the flag is
// another kind of writing on some hosts (Wasmtime).
bool may_be_fifo(Fd directory, const char* path) noexcept {
  Filestat stat{};
  const auto returned =
      wev_wasi_path_filestat_get(directory, lookup_symlink_follow, path, std::strlen(path), &stat);
  return to_errno(returned) == errno_success && stat.filetype != filetype_regular_file &&
         stat.filetype != filetype_directory;
}

}  // namespace

Result open(int directory, const char* path, std::uint32_t wanted, std::uint32_t) noexcept {
  char buffer[512];
  if (directory == op::working_directory) {
    directory = find_directory(path, buffer, sizeof buffer, &path);
    if (directory < 0) return to_result(errno_noent);
  }
  const auto if_wanted = [wanted](OpenFlags flag, auto bits) {
    return (wanted & flag) != 0 ? bits : decltype(bits){0};
  };
  const std::int32_t oflags =
      if_wanted(open_create, oflags_create) | if_wanted(open_exclusive, oflags_exclusive) |
      if_wanted(open_truncate, oflags_truncate) | if_wanted(open_directory, oflags_directory);
  const std::uint64_t rights =
      rights_of_any | if_wanted(open_read, rights_read) | if_wanted(open_write, rights_write);
  std::uint64_t inherited = rights;
  std::uint64_t base = rights;
  if ((wanted & open_directory) != 0) {
    base |= rights_of_directory;
    inherited |= rights_of_directory | rights_read | rights_write;
  }
  const std::int32_t flags = if_wanted(open_append, std::int32_t{fdflags_append}) |
                             (may_be_fifo(directory, path) ? fdflags_nonblock : 0);
  Fd fd = -1;
  const auto returned = wev_wasi_path_open(directory, lookup_symlink_follow, path,
                                           std::strlen(path), oflags, base, inherited, flags, &fd);
  return to_result(returned, static_cast<Size>(fd));
}

Result size(int fd) noexcept {
  Filestat stat{};
  const auto returned = wev_wasi_fd_filestat_get(fd, &stat);
  return to_result(returned, static_cast<Size>(stat.size));
}

Result socket(SocketFamily, SocketType) noexcept { return not_supported(); }
Result duplicate(int) noexcept { return not_supported(); }
Result pipe(std::span<int, 2>) noexcept { return not_supported(); }
Result bind(int, const Address&) noexcept { return not_supported(); }
Result listen(int, std::uint32_t) noexcept { return not_supported(); }
Result local_address(int, Address&) noexcept { return not_supported(); }
Result remote_address(int, Address&) noexcept { return not_supported(); }
Result set_option(int, SocketOption, int) noexcept { return not_supported(); }
Result connect(int, const Address&) noexcept { return not_supported(); }
Result recv_from(int, std::span<std::byte>, Address&) noexcept { return not_supported(); }
Result send_to(int, std::span<const std::byte>, const Address&) noexcept { return not_supported(); }
Result spawn(Spawn&) noexcept { return not_supported(); }
Result wait_process(int, int) noexcept { return not_supported(); }
Result kill_process(int, int, int) noexcept { return not_supported(); }
Result release_process(int, int) noexcept { return not_supported(); }
Result watch_signal(int) noexcept { return not_supported(); }
Result wait_signal(int) noexcept { return not_supported(); }
Result unwatch_signal(int) noexcept { return not_supported(); }

Result recv(int fd, std::span<std::byte> buffer, std::uint32_t flags) noexcept {
  const Iovec iovec{const_cast<std::byte*>(buffer.data()), buffer.size()};
  Size size = 0;
  std::uint16_t out_flags = 0;
  const auto returned = wev_wasi_sock_recv(
      fd, &iovec, 1, static_cast<std::int32_t>(flags & recv_peek), &size, &out_flags);
  return socket_result(returned, fd, size);
}

Result send(int fd, std::span<const std::byte> buffer) noexcept {
  const Iovec iovec{const_cast<std::byte*>(buffer.data()), buffer.size()};
  Size size = 0;
  const auto returned = wev_wasi_sock_send(fd, &iovec, 1, 0, &size);
  return socket_result(returned, fd, size);
}

Result accept(int fd) noexcept {
  Fd connection = -1;
  const auto returned = wev_wasi_sock_accept(fd, fdflags_nonblock, &connection);
  const Result result = socket_result(returned, fd);
  if (!result) return result;
  return static_cast<Size>(connection);
}

Result shutdown(int fd, Shutdown how) noexcept {
  const auto returned = wev_wasi_sock_shutdown(fd, static_cast<std::int32_t>(how));
  return socket_result(returned, fd);
}

Result fsync(int fd) noexcept { return to_result(wev_wasi_fd_sync(fd)); }

Result close(int fd) noexcept { return to_result(wev_wasi_fd_close(fd)); }

std::expected<DescriptorTraits, Error> examine(int fd, bool set_nonblocking) noexcept {
  Fdstat stat{};
  const Errno error = to_errno(wev_wasi_fd_fdstat_get(fd, &stat));
  if (error != errno_success) return std::unexpected(to_error(error));
  DescriptorTraits traits;
  const std::uint8_t type = stat.filetype;
  traits.always_ready = type == filetype_regular_file || type == filetype_directory;
  if (traits.always_ready) {
    // Hosts that tell rights tell at least one of a file.
    const bool reads = (stat.rights_base & rights_read) != 0;
    const bool writes = (stat.rights_base & right_to_write) != 0;
    traits.no_reading = writes && !reads;
    traits.no_writing = reads && !writes;
    return traits;
  }
  if (set_nonblocking) {
    const auto wanted = (stat.flags & fdflags_append) | fdflags_nonblock;
    traits.nonblocking = to_errno(wev_wasi_fd_fdstat_set_flags(fd, wanted)) == errno_success;
  }
  // Node calls every pipe a socket and crashes on sock_* calls; its flags are
  // the system's own bits instead of WASI's. No host with sockets refuses to
  // make them non-blocking.
  const bool socket_type =
      type == filetype_unknown || type == filetype_socket_stream || type == filetype_socket_dgram;
  traits.datagrams = type == filetype_socket_dgram;
  traits.may_be_socket = socket_type && fd > 2 && stat.flags <= fdflags_all && traits.nonblocking;
  return traits;
}

void write_to_stderr(const char* text, std::size_t size) noexcept {
  const Iovec iovec{const_cast<char*>(text), size};
  Size written = 0;
  wev_wasi_fd_write(2, &iovec, 1, &written);
}

}  // namespace wev::sys
