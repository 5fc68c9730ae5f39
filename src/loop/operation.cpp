// What each kind of operation is, and how it is carried out: once over the functions of the
// real system and over a System. Each is an object of its own to the linker, so a program
// holds only those it makes, and of the system calls only those it can come to.
#include "wev/loop/operation.hpp"

#include <algorithm>

#include "loop/begin.hpp"
#include "loop/whole.hpp"
#include "sys/system.hpp"
#include "wev/base/address.hpp"
#include "wev/loop/foreign.hpp"

namespace wev::op {
namespace {

using Kind = OperationKind;
using Io = Operation::Io;
using enum Direction;

constexpr OperationType in_loop(Kind kind, decltype(OperationType::begin) begin) noexcept {
  return {kind, unordered, at_once, nullptr, nullptr, begin};
}

constexpr auto begin_of(Kind kind, std::uint8_t traits) noexcept {
  if (kind < Kind::poll) return Begin::loose;
  return (traits & at_offset) != 0 ? Begin::at_offset : Begin::on_descriptor;
}

constexpr std::uint8_t transfers = waits | moves_bytes;

Expected<DescriptorTraits> examine(int fd, bool set_nonblocking, System* system) noexcept {
  return system != nullptr ? system->examine(fd, set_nonblocking)
                           : sys::examine(fd, set_nonblocking);
}

// What stands in an operation's arguments.
std::span<std::byte> buffer(const Io& io) noexcept { return {io.data, io.size}; }
std::span<const IoVec> vectors(const Io& io) noexcept {
  return {reinterpret_cast<const IoVec*>(io.data), std::min(io.size, most_buffers)};
}
const char* path(const Io& io) noexcept { return reinterpret_cast<const char*>(io.data); }
std::span<int, 2> ends(const Io& io) noexcept {
  return std::span<int, 2>(reinterpret_cast<int*>(io.data), 2);
}
SocketFamily family(const Io& io) noexcept { return static_cast<SocketFamily>(io.flags & 0xff); }
SocketType type(const Io& io) noexcept { return static_cast<SocketType>(io.flags >> 8); }
int number(const Io& io) noexcept { return static_cast<int>(io.flags); }
int value(const Io& io) noexcept { return static_cast<int>(io.offset); }

}  // namespace

const OperationType noop_type = in_loop(Kind::noop, Begin::noop);
const OperationType cancel_type = in_loop(Kind::cancel, nullptr);
const OperationType timer_type = in_loop(Kind::timer, Begin::timer);
const OperationType timer_at_type = in_loop(Kind::timer, Begin::timer);
const OperationType async_wait_type = in_loop(Kind::async_wait, Begin::async_wait);
const OperationType foreign_type{Kind::foreign, unordered,      at_once,       nullptr,
                                 nullptr,       Foreign::begin, Foreign::leave};

// `call` is a function of both, with arguments made from `io`.
#define WEV_OPERATION_OF(KIND, type, side, about, call, of)                                \
  static Result perform_##type([[maybe_unused]] const Operation& operation,                \
                               System* system) noexcept {                                  \
    [[maybe_unused]] const Io& io = operation.io;                                          \
    if (((about) & at_offset) != 0 && !Begin::has_offset(operation)) {                     \
      return std::unexpected(std::errc::invalid_argument);                                 \
    }                                                                                      \
    return system != nullptr ? system->call : sys::call;                                   \
  }                                                                                        \
  const OperationType type##_type {                                                        \
    .kind = Kind::KIND, .direction = (side), .traits = (about), .perform = perform_##type, \
    .examine = op::examine, .begin = begin_of(Kind::KIND, about), .other = (of),           \
    .whole = ((about) & moves_bytes) != 0 ? &whole_transfer : nullptr,                     \
    .come = Kind::KIND < Kind::poll ? nullptr : Begin::come                                \
  }
#define WEV_OPERATION(kind, type, direction, traits, call) \
  WEV_OPERATION_OF(kind, type, direction, traits, call, nullptr)
#define WEV_IN(kind, traits, call) WEV_OPERATION(kind, kind, in, traits, call)
#define WEV_OUT(kind, traits, call) WEV_OPERATION(kind, kind, out, traits, call)
#define WEV_UNORDERED(kind, traits, call) WEV_OPERATION(kind, kind, unordered, traits, call)

WEV_OPERATION(poll, poll_in, in, waits, poll(io.fd, in));
WEV_OPERATION(poll, poll_out, out, waits, poll(io.fd, out));

WEV_IN(read, transfers, read(io.fd, buffer(io)));
WEV_OPERATION_OF(readv, readv, in, transfers | vectored, readv(io.fd, vectors(io)),
                 &readv_part_type);
WEV_OPERATION_OF(read, readv_part, in, transfers, read(io.fd, buffer(io)), &readv_type);
WEV_UNORDERED(pread, blocks | moves_bytes | at_offset, pread(io.fd, buffer(io), io.offset));
WEV_OUT(write, transfers, write(io.fd, buffer(io)));
WEV_OPERATION_OF(writev, writev, out, transfers | vectored, writev(io.fd, vectors(io)),
                 &writev_part_type);
WEV_OPERATION_OF(write, writev_part, out, transfers, write(io.fd, buffer(io)), &writev_type);
WEV_UNORDERED(pwrite, blocks | moves_bytes | at_offset, pwrite(io.fd, buffer(io), io.offset));

WEV_UNORDERED(open, blocks, open(io.fd, path(io), io.flags, static_cast<std::uint32_t>(io.offset)));
WEV_UNORDERED(pipe, at_once, pipe(ends(io)));
WEV_UNORDERED(duplicate, at_once, duplicate(io.fd));
WEV_UNORDERED(size, blocks, size(io.fd));
WEV_OUT(fsync, blocks, fsync(io.fd));

WEV_UNORDERED(socket, at_once, socket(family(io), type(io)));
WEV_UNORDERED(bind, on_socket, bind(io.fd, *io.address));
WEV_UNORDERED(listen, on_socket, listen(io.fd, io.flags));
WEV_UNORDERED(local_address, on_socket, local_address(io.fd, *io.address));
WEV_UNORDERED(remote_address, on_socket, remote_address(io.fd, *io.address));
WEV_UNORDERED(set_option, on_socket,
              set_option(io.fd, static_cast<SocketOption>(io.flags), value(io)));
WEV_OUT(connect, waits | on_socket, connect(io.fd, *io.address));
WEV_IN(accept, waits | on_socket, accept(io.fd));
WEV_IN(recv, transfers | on_socket, recv(io.fd, buffer(io), io.flags));
WEV_IN(recv_from, waits | on_socket, recv_from(io.fd, buffer(io), io.message->address));
WEV_OUT(send, transfers | on_socket, send(io.fd, buffer(io)));
WEV_OUT(send_to, waits | on_socket, send_to(io.fd, buffer(io), io.message->address));
WEV_OUT(shutdown, on_socket, shutdown(io.fd, static_cast<Shutdown>(io.flags)));

WEV_UNORDERED(spawn, at_once, spawn(*io.spawn));
WEV_IN(wait_process, waits, wait_process(io.fd, number(io)));
WEV_UNORDERED(kill_process, at_once, kill_process(io.fd, number(io), value(io)));
WEV_UNORDERED(release_process, at_once, release_process(io.fd, number(io)));
WEV_UNORDERED(watch_signal, at_once, watch_signal(number(io)));
WEV_IN(wait_signal, waits, wait_signal(io.fd));
WEV_UNORDERED(unwatch_signal, at_once, unwatch_signal(io.fd));

#undef WEV_UNORDERED
#undef WEV_OUT
#undef WEV_IN
#undef WEV_OPERATION
#undef WEV_OPERATION_OF

namespace {

Result close_descriptor(const Operation& operation, System* system) noexcept {
  const int fd = operation.io.fd;
  return system != nullptr ? system->close(fd) : sys::close(fd);
}

Result run_blocking_function(const Operation& operation, System*) noexcept {
  return operation.blocking.function(operation.blocking.argument);
}

Result accept_each(const Operation& operation, System* system) noexcept {
  auto* connections = reinterpret_cast<int*>(operation.io.data);
  std::size_t count = 0;
  for (; count < operation.io.size; ++count) {
    const Result result = perform_accept(operation, system);
    if (!result && count == 0) return result;
    if (!result) break;  // the next accept tells, if it lasts
    connections[count] = static_cast<int>(*result);
  }
  return count;
}

}  // namespace

// Nothing is asked about what is to be closed.
const OperationType close_type{.kind = Kind::close,
                               .direction = unordered,
                               .traits = at_once,
                               .perform = close_descriptor,
                               .examine = nullptr,
                               .begin = Begin::on_descriptor,
                               .carry_out = Begin::carry_out_close,
                               .come = Begin::come};
const OperationType run_blocking_type{.kind = Kind::run_blocking,
                                      .direction = unordered,
                                      .traits = blocks,
                                      .perform = run_blocking_function,
                                      .examine = nullptr,
                                      .begin = Begin::loose};
const OperationType accept_many_type{.kind = Kind::accept_many,
                                     .direction = in,
                                     .traits = waits | on_socket,
                                     .perform = accept_each,
                                     .examine = examine,
                                     .begin = Begin::on_descriptor,
                                     .come = Begin::come};

}  // namespace wev::op
