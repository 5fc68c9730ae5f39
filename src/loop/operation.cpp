// The static descriptions of all operations. Each is an object of its own to
// the linker, so a program holds only those it makes, and of the system calls
// only those it can come to.
#include "wev/loop/operation.hpp"

#include "sys/system.hpp"

namespace wev::op {
namespace {

using Kind = OperationKind;
using enum Direction;

Result run_blocking_function(const Operation& operation) noexcept {
  return operation.blocking.function(operation.blocking.argument);
}

Result accept_each(const Operation& operation) noexcept {
  auto* connections = reinterpret_cast<int*>(operation.io.data);
  std::size_t count = 0;
  for (; count < operation.io.size; ++count) {
    const Result result = sys::accept(operation);
    if (!result && count == 0) return result;
    if (!result) break;  // the next accept tells, if it lasts
    connections[count] = static_cast<int>(*result);
  }
  return count;
}

constexpr OperationType in_loop(Kind kind) noexcept {
  return {kind, unordered, at_once, nullptr, nullptr};
}

constexpr std::uint8_t transfers = waits | moves_bytes;

}  // namespace

const OperationType noop_type = in_loop(Kind::noop);
const OperationType cancel_type = in_loop(Kind::cancel);
const OperationType timer_type = in_loop(Kind::timer);
const OperationType async_wait_type = in_loop(Kind::async_wait);

#define WEV_OPERATION(name, kind, direction, traits, perform) \
  const OperationType name { Kind::kind, direction, traits, perform, sys::examine }

WEV_OPERATION(run_blocking_type, run_blocking, unordered, blocks, run_blocking_function);
WEV_OPERATION(open_type, open, unordered, blocks, sys::open);
WEV_OPERATION(socket_type, socket, unordered, at_once, sys::socket);
WEV_OPERATION(pipe_type, pipe, unordered, at_once, sys::pipe);
WEV_OPERATION(poll_in_type, poll, in, waits, sys::poll);
WEV_OPERATION(poll_out_type, poll, out, waits, sys::poll);
WEV_OPERATION(read_type, read, in, transfers, sys::read);
WEV_OPERATION(readv_type, readv, in, transfers | vectored, sys::readv);
WEV_OPERATION(pread_type, pread, unordered, blocks, sys::pread);
WEV_OPERATION(write_type, write, out, transfers, sys::write);
WEV_OPERATION(writev_type, writev, out, transfers | vectored, sys::writev);
WEV_OPERATION(pwrite_type, pwrite, unordered, blocks, sys::pwrite);
WEV_OPERATION(recv_type, recv, in, transfers | on_socket, sys::recv);
WEV_OPERATION(recv_from_type, recv_from, in, waits | on_socket, sys::recv_from);
WEV_OPERATION(send_type, send, out, transfers | on_socket, sys::send);
WEV_OPERATION(send_to_type, send_to, out, waits | on_socket, sys::send_to);
WEV_OPERATION(accept_type, accept, in, waits | on_socket, sys::accept);
WEV_OPERATION(accept_many_type, accept_many, in, waits | on_socket, accept_each);
WEV_OPERATION(connect_type, connect, out, waits | on_socket, sys::connect);
WEV_OPERATION(shutdown_type, shutdown, out, on_socket, sys::shutdown);
WEV_OPERATION(bind_type, bind, unordered, on_socket, sys::bind);
WEV_OPERATION(listen_type, listen, unordered, on_socket, sys::listen);
WEV_OPERATION(local_address_type, local_address, unordered, on_socket, sys::local_address);
WEV_OPERATION(remote_address_type, remote_address, unordered, on_socket, sys::remote_address);
WEV_OPERATION(set_option_type, set_option, unordered, on_socket, sys::set_option);
WEV_OPERATION(size_type, size, unordered, blocks, sys::size);
WEV_OPERATION(fsync_type, fsync, out, blocks, sys::fsync);
WEV_OPERATION(spawn_type, spawn, unordered, at_once, sys::spawn);
WEV_OPERATION(wait_process_type, wait_process, in, waits, sys::wait_process);
WEV_OPERATION(kill_process_type, kill_process, unordered, at_once, sys::kill_process);
WEV_OPERATION(release_process_type, release_process, unordered, at_once, sys::release_process);
WEV_OPERATION(watch_signal_type, watch_signal, unordered, at_once, sys::watch_signal);
WEV_OPERATION(wait_signal_type, wait_signal, in, waits, sys::wait_signal);
WEV_OPERATION(unwatch_signal_type, unwatch_signal, unordered, at_once, sys::unwatch_signal);
const OperationType close_type{Kind::close, unordered, at_once, sys::close, nullptr};

#undef WEV_OPERATION

}  // namespace wev::op
