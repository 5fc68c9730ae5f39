// system.hpp: what operations ask of a system.
//
// The real one is a set of functions with these names, src/sys/system.hpp, which are
// called directly: a program holds only those of the operations that it makes. A
// System is one that is made up: the simulator's world, or a test's own. Each kind of
// operation is written once over the two (src/loop/operation.cpp).
//
// Results    Of a function that would block resource_unavailable_try_again, of a connect
//            that is under way operation_in_progress. What a System does not override
//            ends with operation_not_supported.
// Thread     Of whoever performs the operation: the loop's, and for those that block
//            one of a thread pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "wev/base/buffer.hpp"
#include "wev/base/error.hpp"

namespace wev {

class Address;
struct Spawn;

/// The queue of its descriptor an operation stands in.
enum class Direction : std::uint8_t {
  in,
  out,
  unordered,
};

/// What a system tells of a descriptor.
struct DescriptorTraits {
  bool nonblocking = false;    ///< operations end at once, be it with "would block"
  bool always_ready = false;   ///< a file or directory: nothing to wait for
  bool may_be_socket = false;  ///< socket operations on it are safe
  bool no_reading = false;     ///< a file that was opened for writing alone
  bool no_writing = false;     ///< one that was opened for reading alone
  bool datagrams = false;      ///< a socket on which to send no bytes is to send a message
  bool short_is_all = false;   ///< a receive that is short of its buffer has emptied it,
                               ///< a short send has filled it
};

/// Of an operation's buffers so many are looked at; others wait for the next one.
inline constexpr std::size_t most_buffers = 1024;

/// One of several buffers. What is only read from is never written through it.
struct IoVec {
  std::byte* data = nullptr;
  std::size_t size = 0;

  IoVec() = default;
  /// Of anything that is a MutableBuffer or a ConstBuffer.
  template <class Bytes>
    requires(std::is_convertible_v<Bytes, MutableBuffer> ||
             std::is_convertible_v<Bytes, ConstBuffer>)
  IoVec(Bytes&& bytes) noexcept {  // NOLINT(google-explicit-constructor)
    using Buffer =
        std::conditional_t<std::is_convertible_v<Bytes, MutableBuffer>, MutableBuffer, ConstBuffer>;
    const Buffer buffer(bytes);
    data = const_cast<std::byte*>(buffer.data());
    size = buffer.size();
  }
};

/// Bits of op::poll's result.
enum Readiness : std::size_t {
  readable = 1,
  writable = 2,
};

/// Flags of op::recv, combined with `|`.
enum RecvFlags : std::uint32_t {
  recv_peek = 1,  ///< leave the bytes in the queue
};

/// Flags of op::open, combined with `|`; one of the first two at least.
enum OpenFlags : std::uint32_t {
  open_read = 1,
  open_write = 2,
  open_create = 4,      ///< make it where it is missing
  open_exclusive = 8,   ///< with open_create: fail where it is there
  open_truncate = 16,   ///< empty it
  open_append = 32,     ///< each write goes to its end
  open_directory = 64,  ///< fail where it is no directory
};

enum class SocketFamily : std::uint8_t { ipv4, ipv6, unix_path };
enum class SocketType : std::uint8_t { stream, datagram };

/// With what set_option takes.
enum class SocketOption : std::uint8_t {
  reuse_address,   ///< 0 or 1
  reuse_port,      ///< 0 or 1
  no_delay,        ///< 0 or 1: TCP sends small pieces at once
  keep_alive,      ///< 0 or 1
  broadcast,       ///< 0 or 1
  ipv6_only,       ///< 0 or 1
  ttl,             ///< hops
  send_buffer,     ///< bytes; systems take it as a hint
  receive_buffer,  ///< bytes; systems take it as a hint
  linger,          ///< seconds that close gives what is unsent, and keeps the thread
                   ///< for; 0: it resets the connection; -1: the system's own way
};

enum class Shutdown : std::uint32_t {
  receive = 1,
  send = 2,
  both = 3,
};

namespace op {

/// `directory` of op::open: paths count from where the program was started.
inline constexpr int working_directory = -100;

/// Set in the result of wait_process if a signal ended the process.
inline constexpr std::size_t ended_by_signal = 256;

}  // namespace op

class System {
 public:
  System() = default;
  virtual ~System() = default;
  System(const System&) = delete;
  System& operator=(const System&) = delete;

  /// What a descriptor is. With `set_nonblocking` it is made non-blocking where it can be.
  /// bad_file_descriptor: it is none.
  virtual Expected<DescriptorTraits> examine(int fd, bool set_nonblocking);

  // Bytes: how many were moved.
  virtual Result read(int fd, std::span<std::byte> buffer);
  virtual Result readv(int fd, std::span<const IoVec> buffers);
  virtual Result pread(int fd, std::span<std::byte> buffer, std::uint64_t offset);
  virtual Result write(int fd, std::span<const std::byte> buffer);
  virtual Result writev(int fd, std::span<const IoVec> buffers);
  virtual Result pwrite(int fd, std::span<const std::byte> buffer, std::uint64_t offset);
  /// Whether it is ready in a direction: `readable` or `writable`.
  virtual Result poll(int fd, Direction direction);

  // Descriptors: a new one, or 0.
  virtual Result open(int directory, const char* path, std::uint32_t flags, std::uint32_t mode);
  virtual Result pipe(std::span<int, 2> ends);
  virtual Result duplicate(int fd);
  virtual Result close(int fd);
  virtual Result size(int fd);
  virtual Result fsync(int fd);

  // Sockets.
  virtual Result socket(SocketFamily family, SocketType type);
  virtual Result bind(int fd, const Address& address);
  virtual Result listen(int fd, std::uint32_t backlog);
  virtual Result local_address(int fd, Address& address);
  virtual Result remote_address(int fd, Address& address);
  virtual Result set_option(int fd, SocketOption option, int value);
  virtual Result connect(int fd, const Address& address);
  virtual Result accept(int fd);
  virtual Result recv(int fd, std::span<std::byte> buffer, std::uint32_t flags);
  virtual Result recv_from(int fd, std::span<std::byte> buffer, Address& from);
  virtual Result send(int fd, std::span<const std::byte> buffer);
  virtual Result send_to(int fd, std::span<const std::byte> buffer, const Address& to);
  virtual Result shutdown(int fd, Shutdown how);

  // Processes and signals.
  virtual Result spawn(Spawn& spawn);
  virtual Result wait_process(int fd, int pid);
  virtual Result kill_process(int fd, int pid, int signal);
  virtual Result release_process(int fd, int pid);
  virtual Result watch_signal(int signal);
  virtual Result wait_signal(int fd);
  virtual Result unwatch_signal(int fd);
};

}  // namespace wev
