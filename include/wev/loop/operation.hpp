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
// Ordering   Operations in one direction (in: read, recv, accept, poll readable,
//            wait_process, wait_signal; out: write, send, connect, shutdown, fsync, poll writable)
//            on one descriptor are carried out one after the other, in the order of their add().
//            pread, pwrite, close and what never waits (bind, listen, size, ...) stand outside of
//            that.
// Cancel     Any operation. What has begun and cannot be interrupted ends with
//            its real result: pread, pwrite, fsync, size, open, run_blocking,
//            shutdown, close, operations on regular files, and writes on WASI
//            hosts that refuse non-blocking descriptors.
// Buffers    And addresses, paths and messages belong to the caller and stay
//            alive until the callback begins.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "wev/base/assert.hpp"
#include "wev/base/clock.hpp"
#include "wev/base/error.hpp"
#include "wev/sys/system.hpp"

namespace wev {

class Async;
class Completion;
class Loop;
class ThreadPool;
class Ticket;
struct ForeignSlot;
struct Message;
struct Operation;
struct WholeTransfer;

enum class OperationKind : std::uint8_t {
  noop,
  cancel,
  timer,
  async_wait,
  foreign,
  run_blocking,  // from here on they are a backend's
  open,
  socket,
  pipe,
  spawn,
  watch_signal,
  poll,  // from here on they are on a descriptor
  read,
  readv,
  pread,
  write,
  writev,
  pwrite,
  duplicate,
  recv,
  recv_from,
  send,
  send_to,
  accept,
  accept_many,
  connect,
  shutdown,
  bind,
  listen,
  local_address,
  remote_address,
  set_option,
  size,
  fsync,
  wait_process,
  kill_process,
  release_process,
  wait_signal,
  unwatch_signal,
  close,
};

/// How an operation passes its time, and what it needs; bits.
enum OperationTraits : std::uint8_t {
  at_once = 0,
  waits = 1,        ///< ends once its descriptor is ready
  blocks = 2,       ///< keeps a thread waiting, for a disk for example
  on_socket = 4,    ///< asked of what is no socket, some WASI hosts crash
  moves_bytes = 8,  ///< of no bytes at all it ends at once, with 0
  vectored = 16,    ///< its buffers are an array of IoVec
  at_offset = 32,   ///< above most_offset it ends with invalid_argument
};

/// The static description of a kind of operation; one object for each.
struct OperationType {
  OperationKind kind;
  Direction direction;
  std::uint8_t traits;
  /// Carries out the operation now, on `system` or, if that is nullptr, on the real one.
  /// Ends with resource_unavailable_try_again where a non-blocking descriptor would
  /// block, and a connect with operation_in_progress while it is under way.
  /// nullptr where the loop itself does all there is to do.
  Result (*perform)(const Operation& operation, System* system) noexcept;
  /// For operations on a descriptor: System::examine, on the same.
  Expected<DescriptorTraits> (*examine)(int fd, bool set_nonblocking, System* system) noexcept;
  /// How the loop starts it (src/loop/begin.hpp).
  void (*begin)(Loop& loop, Completion& completion) noexcept;
  /// Of foreign operations: how one ends early, see foreign.hpp.
  bool (*leave)(Completion& completion) noexcept = nullptr;
  /// Of those with several buffers: what moves a part of one; and of that, the former. For
  /// op::whole.
  const OperationType* other = nullptr;
  /// Of those that move bytes: how one goes on until it is whole (src/loop/whole.hpp).
  const WholeTransfer* whole = nullptr;
  /// Of a close: does it, as the last before it is delivered. false: it is in flight.
  bool (*carry_out)(Completion& completion) noexcept = nullptr;
  /// Of those on a descriptor: it has been added (src/loop/begin.hpp).
  void (*come)(Loop& loop, Completion& completion) noexcept = nullptr;
};

/// A file's offsets end here.
inline constexpr std::uint64_t most_offset = INT64_MAX;
/// So many an accept_many takes, so that others have their turn.
inline constexpr std::size_t most_connections = 64;

/// In an operation's flags: see op::whole.
inline constexpr std::uint32_t transfer_whole = 1u << 31;

struct Operation {
  struct Io {
    int fd;
    std::uint32_t flags;
    std::byte* data;   // an array of IoVec if vectored; the path of open
    std::size_t size;  // bytes; IoVecs if vectored
    union {
      std::uint64_t offset;
      Address* address;
      Message* message;
      Spawn* spawn;
    };
  };
  struct Blocking {
    Result (*function)(void* argument) noexcept;
    void* argument;
    ThreadPool* pool;  ///< nullptr: the backend's
  };
  struct Foreign {
    void (*start)(void* context, Ticket ticket) noexcept;
    bool (*cancel)(void* context, Ticket ticket) noexcept;
    void* context;
    ForeignSlot* slot;  ///< the loop's, from start() on
  };
  struct Timer {
    Duration delay;    ///< from add() on; of timer_at from the clock's zero
    Duration period;   ///< what rearm adds
    Instant deadline;  ///< the loop's: that of the add()
  };
  struct Cancel {
    Completion* target;
    Completion* next;  ///< the loop's: the others of the same target, in a ring
    Completion* prev;
  };

  const OperationType* type;
  union {
    Io io;
    Timer timer;
    Cancel cancel;
    Async* async;
    Blocking blocking;
    Foreign foreign;
  };

  [[nodiscard]] OperationKind kind() const noexcept { return type->kind; }
  [[nodiscard]] bool has(OperationTraits trait) const noexcept {
    return (type->traits & trait) != 0;
  }
  /// Carries it out now, see OperationType::perform. REQUIRES: it is not the loop's own.
  Result perform(System* system = nullptr) const noexcept { return type->perform(*this, system); }
  [[nodiscard]] bool on_descriptor() const noexcept { return kind() >= OperationKind::poll; }
};

namespace op {

extern const OperationType noop_type;
extern const OperationType cancel_type;
extern const OperationType timer_type;
extern const OperationType timer_at_type;
extern const OperationType async_wait_type;
extern const OperationType foreign_type;
extern const OperationType run_blocking_type;
extern const OperationType open_type;
extern const OperationType socket_type;
extern const OperationType pipe_type;
extern const OperationType poll_in_type;
extern const OperationType poll_out_type;
extern const OperationType read_type;
extern const OperationType readv_type;
extern const OperationType readv_part_type;
extern const OperationType pread_type;
extern const OperationType write_type;
extern const OperationType writev_type;
extern const OperationType writev_part_type;
extern const OperationType pwrite_type;
extern const OperationType duplicate_type;
extern const OperationType recv_type;
extern const OperationType recv_from_type;
extern const OperationType send_type;
extern const OperationType send_to_type;
extern const OperationType accept_type;
extern const OperationType accept_many_type;
extern const OperationType connect_type;
extern const OperationType shutdown_type;
extern const OperationType bind_type;
extern const OperationType listen_type;
extern const OperationType local_address_type;
extern const OperationType remote_address_type;
extern const OperationType set_option_type;
extern const OperationType size_type;
extern const OperationType fsync_type;
extern const OperationType spawn_type;
extern const OperationType wait_process_type;
extern const OperationType kill_process_type;
extern const OperationType release_process_type;
extern const OperationType watch_signal_type;
extern const OperationType wait_signal_type;
extern const OperationType unwatch_signal_type;
extern const OperationType close_type;

namespace internal {
// Backends and systems take one buffer type; what is only read from is never
// written through it.
inline Operation io(const OperationType& type, int fd, std::span<const std::byte> buffer = {},
                    std::uint64_t offset = 0, std::uint32_t flags = 0) noexcept {
  return {.type = &type,
          .io = {fd, flags, const_cast<std::byte*>(buffer.data()), buffer.size(), {offset}}};
}
inline std::span<const std::byte> array(std::span<const IoVec> buffers) noexcept {
  return {reinterpret_cast<const std::byte*>(buffers.data()), buffers.size()};
}
inline Operation addressed(const OperationType& type, int fd, const Address& address) noexcept {
  Operation operation = io(type, fd);
  operation.io.address = const_cast<Address*>(&address);
  return operation;
}
inline Operation with_message(const OperationType& type, int fd, std::span<const std::byte> buffer,
                              Message& message) noexcept {
  Operation operation = io(type, fd, buffer);
  operation.io.message = &message;
  return operation;
}
}  // namespace internal

/// Ends on the next tick with 0.
inline Operation noop() noexcept { return internal::io(noop_type, -1); }

/// Ends when `delay` from its add() on has passed, never earlier, with the number
/// of periods that passed: 1, or more where the program was busy past them.
/// `rearm` sets it to the last deadline plus `period`, so it does not drift.
/// A negative delay is zero; a period of zero means every tick.
inline Operation timer(Duration delay, Duration period) noexcept {
  return {.type = &timer_type, .timer = {delay, period, never}};
}
/// The same with the delay as period.
inline Operation timer(Duration delay) noexcept { return timer(delay, delay); }
/// Ends at `time`; at once if that has passed. `rearm` adds `period` to it; zero means every
/// tick.
inline Operation timer_at(Instant time, Duration period = Duration::zero()) noexcept {
  return {.type = &timer_at_type, .timer = {time.time_since_epoch(), period, never}};
}

/// Ends with 0 when `async` is notified, or at once if it already was.
/// Several completions may wait for one Async: a notification ends them all.
inline Operation async_wait(Async& async) noexcept {
  return {.type = &async_wait_type, .async = &async};
}

/// Ends with what Ticket::complete is given, see foreign.hpp. Without `cancel` (nullptr) it
/// cannot be interrupted.
inline Operation foreign(void (*start)(void* context, Ticket ticket) noexcept,
                         bool (*cancel)(void* context, Ticket ticket) noexcept,
                         void* context) noexcept {
  return {.type = &foreign_type, .foreign = {start, cancel, context, nullptr}};
}

/// Ends with what `function` returned, which was called with `argument` on a
/// thread that may be kept waiting: for what the system has no operation for. On
/// systems without threads (WASI 0.1) the loop's own is kept. Functions wait for each other
/// where they are more than NativeOptions::pool has threads, and never for files.
inline Operation run_blocking(Result (*function)(void*) noexcept, void* argument) noexcept {
  return {.type = &run_blocking_type, .blocking = {function, argument, nullptr}};
}
/// The same on a pool of the program's own, which outlives the loop.
inline Operation run_blocking(ThreadPool& pool, Result (*function)(void*) noexcept,
                              void* argument) noexcept {
  return {.type = &run_blocking_type, .blocking = {function, argument, &pool}};
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
/// invalid_argument: the offset is above most_offset, on every system.
inline Operation pread(int fd, std::span<std::byte> buffer, std::uint64_t offset) noexcept {
  return internal::io(pread_type, fd, buffer, offset);
}
/// Ends with the bytes written, often fewer than buffer.size().
/// broken_pipe: nobody will read them; natively no SIGPIPE is raised.
inline Operation write(int fd, std::span<const std::byte> buffer) noexcept {
  return internal::io(write_type, fd, buffer);
}
/// The same at `offset` from the start of a file, without moving its position.
/// invalid_argument: as with pread.
inline Operation pwrite(int fd, std::span<const std::byte> buffer, std::uint64_t offset) noexcept {
  return internal::io(pwrite_type, fd, buffer, offset);
}

/// Of op::whole.
inline constexpr std::size_t most_whole_buffers = 32'767;

/// A read, write, recv or send, also with several buffers or at an offset, that goes on until
/// all of its bytes have been moved, before any other in its direction has its turn. Ends with
/// the bytes moved. Where that is fewer, Completion::cut_short_by() says why: the stream has
/// ended, it was cancelled, timed out or failed. It fails itself only when nothing was moved.
/// REQUIRES: at most most_whole_buffers, and no recv_peek.
inline Operation whole(Operation operation) noexcept {
  WEV_ASSERT(operation.has(moves_bytes), "op::whole: the operation moves no bytes, or a message");
  WEV_ASSERT(!operation.has(vectored) || operation.io.size <= most_whole_buffers,
             "op::whole: more than 32,767 buffers");
  WEV_ASSERT(operation.io.flags == 0, "op::whole: of a recv_peek");
  // A system takes so many at once, and says of empty ones what it says of the end.
  while (operation.has(vectored) && operation.io.size > 0 &&
         reinterpret_cast<const IoVec*>(operation.io.data)->size == 0) {
    operation.io.data += sizeof(IoVec);
    --operation.io.size;
  }
  operation.io.flags |= transfer_whole;
  return operation;
}

/// read and write with several buffers, at most most_buffers, which are filled
/// and emptied in order.
/// The array of them stays alive until the callback begins, too.
inline Operation readv(int fd, std::span<const IoVec> buffers) noexcept {
  return internal::io(readv_type, fd, internal::array(buffers));
}
inline Operation writev(int fd, std::span<const IoVec> buffers) noexcept {
  return internal::io(writev_type, fd, internal::array(buffers));
}

/// Ends with 0, and `ends` are a new pipe's: what is written to ends[1] is read
/// from ends[0]. Both are non-blocking.
inline Operation pipe(std::span<int, 2> ends) noexcept {
  return {.type = &pipe_type,
          .io = {-1, 0, reinterpret_cast<std::byte*>(ends.data()), ends.size(), {0}}};
}

/// Ends with another descriptor of what `fd` is, which lasts when `fd` is closed. WASI 0.1
/// has none: operation_not_supported.
inline Operation duplicate(int fd) noexcept { return internal::io(duplicate_type, fd); }

// Sockets ----------------------------------------------------------------------------
// WASI 0.1 has accept, recv, send and shutdown, on some hosts; the others end
// with operation_not_supported there.

/// Ends with a new socket, which is non-blocking.
inline Operation socket(SocketFamily family, SocketType type) noexcept {
  return internal::io(socket_type, -1, {}, 0,
                      static_cast<std::uint32_t>(family) | static_cast<std::uint32_t>(type) << 8);
}
/// Ends with 0. address_in_use, address_not_available.
inline Operation bind(int fd, const Address& address) noexcept {
  return internal::addressed(bind_type, fd, address);
}
/// Ends with 0. `backlog`: connections that wait for an accept; systems have a
/// limit of their own.
inline Operation listen(int fd, std::uint32_t backlog = 4096) noexcept {
  return internal::io(listen_type, fd, {}, 0, backlog);
}
/// Ends with 0, and `address` is what the socket is bound to.
inline Operation local_address(int fd, Address& address) noexcept {
  return internal::addressed(local_address_type, fd, address);
}
/// Ends with 0, and `address` is what the socket is connected to.
inline Operation remote_address(int fd, Address& address) noexcept {
  return internal::addressed(remote_address_type, fd, address);
}
/// Ends with 0.
inline Operation set_option(int fd, SocketOption option, int value) noexcept {
  return internal::io(set_option_type, fd, {}, static_cast<std::uint64_t>(value),
                      static_cast<std::uint32_t>(option));
}

/// Ends with 0. connection_refused, network_unreachable, host_unreachable,
/// timed_out (by the kernel, after minutes; set a deadline), and for a Unix
/// socket whose listener's backlog is full resource_unavailable_try_again.
inline Operation connect(int fd, const Address& address) noexcept {
  return internal::addressed(connect_type, fd, address);
}
Operation connect(int fd, const Address&& address) = delete;  // it would be gone by then
/// Ends with the descriptor of a new connection, which is non-blocking.
/// too_many_files_open: the connection waits for an accept with more luck.
/// connection_aborted: it was gone before it was accepted.
inline Operation accept(int fd) noexcept { return internal::io(accept_type, fd); }
/// accept for as many as there are, at least one and at most most_connections: ends with how
/// many descriptors stand in `connections`. Without room for one it ends with 0.
inline Operation accept_many(int fd, std::span<int> connections) noexcept {
  return {.type = &accept_many_type,
          .io = {fd,
                 0,
                 reinterpret_cast<std::byte*>(connections.data()),
                 std::min(connections.size(), most_connections),
                 {0}}};
}

/// read for sockets, with RecvFlags.
inline Operation recv(int fd, std::span<std::byte> buffer, std::uint32_t flags = 0) noexcept {
  return internal::io(recv_type, fd, buffer, 0, flags);
}
/// write for sockets.
inline Operation send(int fd, std::span<const std::byte> buffer) noexcept {
  return internal::io(send_type, fd, buffer);
}
/// Ends with the size of the datagram, at most buffer.size(): what does not fit
/// is lost. message.address is whom it came from.
inline Operation recv_from(int fd, std::span<std::byte> buffer, Message& message) noexcept {
  return internal::with_message(recv_from_type, fd, buffer, message);
}
/// Sends one datagram to message.address. message_size: it is too large.
/// resource_unavailable_try_again: the receiver, a Unix socket, takes no more.
inline Operation send_to(int fd, std::span<const std::byte> buffer, Message& message) noexcept {
  return internal::with_message(send_to_type, fd, buffer, message);
}
/// Ends with 0, after the operations queued in the direction `out` before it.
inline Operation shutdown(int fd, Shutdown how) noexcept {
  return internal::io(shutdown_type, fd, {}, 0, static_cast<std::uint32_t>(how));
}

// Files ------------------------------------------------------------------------------

/// Ends with a new descriptor, without waiting for the other end of a FIFO: see file.hpp.
/// `path` counts from `directory`, which has to stay
/// open until then; `mode`: the permissions of what is made.
inline Operation open(int directory, const char* path, std::uint32_t flags,
                      std::uint32_t mode = 0644) noexcept {
  return {
      .type = &open_type,
      .io = {directory, flags, reinterpret_cast<std::byte*>(const_cast<char*>(path)), 0, {mode}}};
}
/// Ends with the size of a file in bytes.
inline Operation size(int fd) noexcept { return internal::io(size_type, fd); }
/// Ends with 0 when what was written before is on stable storage.
inline Operation fsync(int fd) noexcept { return internal::io(fsync_type, fd); }

// Processes and signals ----------------------------------------------------------------
// For class Process and class Signal. WASI 0.1 has neither: operation_not_supported.

/// Ends with a descriptor that stands for the new process; `spawn` also says what
/// else came of it.
inline Operation spawn(Spawn& spawn) noexcept {
  Operation operation = internal::io(spawn_type, -1);
  operation.io.spawn = &spawn;
  return operation;
}
/// Ends when the process has: with its exit code, or the signal that ended it and
/// the bit ended_by_signal. The process can be waited for again.
inline Operation wait_process(int fd, int pid) noexcept {
  return internal::io(wait_process_type, fd, {}, 0, static_cast<std::uint32_t>(pid));
}
/// Ends with 0. Of a process that has ended it does nothing.
inline Operation kill_process(int fd, int pid, int signal) noexcept {
  return internal::io(kill_process_type, fd, {}, static_cast<std::uint64_t>(signal),
                      static_cast<std::uint32_t>(pid));
}
/// Ends with 0: nobody will wait for the process any more, its descriptor is about
/// to be closed. Once for each spawn.
inline Operation release_process(int fd, int pid) noexcept {
  return internal::io(release_process_type, fd, {}, 0, static_cast<std::uint32_t>(pid));
}

/// Ends with a descriptor that counts how often `signal` came, from now on.
/// invalid_argument: it is none, or none that can be watched.
inline Operation watch_signal(int signal) noexcept {
  return internal::io(watch_signal_type, -1, {}, 0, static_cast<std::uint32_t>(signal));
}
/// Ends with how often the signal came since the last one, once that is not 0.
inline Operation wait_signal(int fd) noexcept { return internal::io(wait_signal_type, fd); }
/// Ends with 0: the count stands still. REQUIRED before `fd` is closed.
inline Operation unwatch_signal(int fd) noexcept { return internal::io(unwatch_signal_type, fd); }

/// Ends what is in flight on `fd` with operation_canceled, then closes it, then
/// ends with 0. Later operations on `fd` fail with bad_file_descriptor until
/// this has been delivered. Once begun it is not interrupted, by drain neither.
inline Operation close(int fd) noexcept { return internal::io(close_type, fd); }

}  // namespace op
}  // namespace wev
