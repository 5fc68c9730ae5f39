// operation.hpp: what can be asked of a loop.
//
// An Operation is a small value: a pointer to the static description of its
// kind and the arguments. The functions in wev::op make one; Loop::add lends a
// completion to carry it out:
//
//   loop.add(completion, wev::op::read(fd, buffer), &state, on_read);
//
// A program refers only to the descriptions of the operations it makes, so the
// linker leaves out the others and the host calls behind them.
//
// Ordering   Operations in one direction (in: read, recv, accept, poll readable;
//            out: write, send, shutdown, fsync, poll writable) on one descriptor
//            are carried out one after the other, in the order of their add().
//            pread, pwrite and close stand outside of that.
// Cancel     Any operation. pread, pwrite, fsync, shutdown, close, operations on
//            regular files, and writes on WASI hosts that refuse non-blocking
//            descriptors cannot be interrupted once begun: they end with their
//            real result.
// Buffers    Belong to the caller and stay alive until the callback begins.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "wev/clock.hpp"
#include "wev/error.hpp"

namespace wev {

class Async;
class Completion;
struct Operation;

enum class OperationKind : std::uint8_t {
  noop,
  cancel,
  timer,
  async_wait,
  poll,  // from here on they are on a descriptor
  read,
  pread,
  write,
  pwrite,
  recv,
  send,
  accept,
  shutdown,
  fsync,
  close,
};

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
};

/// The static description of a kind of operation; one object for each.
struct OperationType {
  OperationKind kind;
  Direction direction;
  /// Carries out the operation through the system, now. Ends with
  /// resource_unavailable_try_again where a non-blocking descriptor would
  /// block. nullptr where the loop itself does all there is to do.
  Result (*perform)(const Operation& operation) noexcept;
  /// For operations on a descriptor: finds out what it is and, if asked to,
  /// makes it non-blocking where it can be. Fails where it is none.
  std::expected<DescriptorTraits, Error> (*examine)(int fd, bool set_nonblocking) noexcept;
};

/// Bits of op::poll's result.
enum Readiness : std::size_t {
  readable = 1,
  writable = 2,
};

/// Flags of op::recv, combined with `|`.
enum RecvFlags : std::uint32_t {
  recv_peek = 1,      ///< leave the bytes in the queue
  recv_wait_all = 2,  ///< only where the descriptor blocks; see the host
};

enum class Shutdown : std::uint32_t {
  receive = 1,
  send = 2,
  both = 3,
};

struct Operation {
  struct Io {
    int fd;
    std::uint32_t flags;
    std::byte* data;
    std::size_t size;
    std::uint64_t offset;
  };
  struct Timer {
    Duration delay;   ///< from loop.now() at add()
    Duration period;  ///< what rearm adds
    bool absolute;    ///< `delay` counts from the clock's zero
  };
  struct Cancel {
    Completion* target;
    Completion* next;  ///< the loop's: another cancel of the same target
  };

  const OperationType* type;
  union {
    Io io;
    Timer timer;
    Cancel cancel;
    Async* async;
  };

  [[nodiscard]] OperationKind kind() const noexcept { return type->kind; }
  [[nodiscard]] bool on_descriptor() const noexcept { return kind() >= OperationKind::poll; }
};

namespace op {

extern const OperationType noop_type;
extern const OperationType cancel_type;
extern const OperationType timer_type;
extern const OperationType async_wait_type;
extern const OperationType poll_in_type;
extern const OperationType poll_out_type;
extern const OperationType read_type;
extern const OperationType pread_type;
extern const OperationType write_type;
extern const OperationType pwrite_type;
extern const OperationType recv_type;
extern const OperationType send_type;
extern const OperationType accept_type;
extern const OperationType shutdown_type;
extern const OperationType fsync_type;
extern const OperationType close_type;

namespace internal {
// Backends and systems take one buffer type; what is only read from is never
// written through it.
inline Operation io(const OperationType& type, int fd, std::span<const std::byte> buffer = {},
                    std::uint64_t offset = 0, std::uint32_t flags = 0) noexcept {
  return {.type = &type,
          .io = {fd, flags, const_cast<std::byte*>(buffer.data()), buffer.size(), offset}};
}
}  // namespace internal

/// Ends on the next tick with 0.
inline Operation noop() noexcept { return internal::io(noop_type, -1); }

/// Ends when `delay` from loop.now() has passed, never earlier, with the number
/// of periods that passed: 1, or more where the program was busy past them.
/// `rearm` sets it to the last deadline plus `period`, so it does not drift.
/// A negative delay is zero; a period of zero means every tick.
inline Operation timer(Duration delay, Duration period) noexcept {
  return {.type = &timer_type, .timer = {delay, period, false}};
}
/// The same with the delay as period.
inline Operation timer(Duration delay) noexcept { return timer(delay, delay); }
/// Ends at `deadline`; at once if that has passed. `rearm` means every tick.
inline Operation timer_at(Instant deadline) noexcept {
  return {.type = &timer_type, .timer = {deadline.time_since_epoch(), Duration::zero(), true}};
}

/// Ends with 0 when `async` is notified, or at once if it already was.
/// Several completions may wait for one Async: a notification ends them all.
inline Operation async_wait(Async& async) noexcept {
  return {.type = &async_wait_type, .async = &async};
}

/// Ends with `readable` when a read would not block (data, end of stream or an
/// error). The descriptor may belong to someone else, see Loop::forget.
inline Operation poll_readable(int fd) noexcept { return internal::io(poll_in_type, fd); }
/// Ends with `writable` when a write would not block.
inline Operation poll_writable(int fd) noexcept { return internal::io(poll_out_type, fd); }

/// Ends with the bytes read, at most buffer.size(); 0 is the end of the stream
/// (or an empty buffer).
inline Operation read(int fd, std::span<std::byte> buffer) noexcept {
  return internal::io(read_type, fd, buffer);
}
/// The same at `offset` from the start of a file, without moving its position.
inline Operation pread(int fd, std::span<std::byte> buffer, std::uint64_t offset) noexcept {
  return internal::io(pread_type, fd, buffer, offset);
}
/// Ends with the bytes written, often fewer than buffer.size().
/// broken_pipe: nobody will read them.
inline Operation write(int fd, std::span<const std::byte> buffer) noexcept {
  return internal::io(write_type, fd, buffer);
}
/// The same at `offset` from the start of a file, without moving its position.
inline Operation pwrite(int fd, std::span<const std::byte> buffer, std::uint64_t offset) noexcept {
  return internal::io(pwrite_type, fd, buffer, offset);
}

/// read for sockets, with RecvFlags.
inline Operation recv(int fd, std::span<std::byte> buffer, std::uint32_t flags = 0) noexcept {
  return internal::io(recv_type, fd, buffer, 0, flags);
}
/// write for sockets: a closed peer is an error even where write would raise
/// SIGPIPE.
inline Operation send(int fd, std::span<const std::byte> buffer) noexcept {
  return internal::io(send_type, fd, buffer);
}
/// Ends with the descriptor of a new connection, which is non-blocking.
inline Operation accept(int fd) noexcept { return internal::io(accept_type, fd); }
/// Ends with 0, after the operations queued in the direction `out` before it.
inline Operation shutdown(int fd, Shutdown how) noexcept {
  return internal::io(shutdown_type, fd, {}, 0, static_cast<std::uint32_t>(how));
}

/// Ends with 0 when what was written before is on stable storage.
inline Operation fsync(int fd) noexcept { return internal::io(fsync_type, fd); }

/// Ends what is in flight on `fd` with operation_canceled, then closes it, then
/// ends with 0. Later operations on `fd` fail with bad_file_descriptor until
/// this has been delivered. Once begun it is not interrupted, by drain neither.
inline Operation close(int fd) noexcept { return internal::io(close_type, fd); }

}  // namespace op
}  // namespace wev
