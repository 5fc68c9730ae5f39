// The static descriptions of all operations. Each is an object of its own to
// the linker, so a program holds only those it makes, and of the system calls
// only those it can come to.
#include "wev/operation.hpp"

#include "sys/system.hpp"

namespace wev::op {

using Kind = OperationKind;
using enum Direction;

const OperationType noop_type{Kind::noop, unordered, nullptr, nullptr};
const OperationType cancel_type{Kind::cancel, unordered, nullptr, nullptr};
const OperationType timer_type{Kind::timer, unordered, nullptr, nullptr};
const OperationType async_wait_type{Kind::async_wait, unordered, nullptr, nullptr};
const OperationType poll_in_type{Kind::poll, in, nullptr, sys::examine};
const OperationType poll_out_type{Kind::poll, out, nullptr, sys::examine};
const OperationType read_type{Kind::read, in, sys::read, sys::examine};
const OperationType pread_type{Kind::pread, unordered, sys::pread, sys::examine};
const OperationType write_type{Kind::write, out, sys::write, sys::examine};
const OperationType pwrite_type{Kind::pwrite, unordered, sys::pwrite, sys::examine};
const OperationType recv_type{Kind::recv, in, sys::recv, sys::examine};
const OperationType send_type{Kind::send, out, sys::send, sys::examine};
const OperationType accept_type{Kind::accept, in, sys::accept, sys::examine};
const OperationType shutdown_type{Kind::shutdown, out, sys::shutdown, sys::examine};
const OperationType fsync_type{Kind::fsync, out, sys::fsync, sys::examine};
const OperationType close_type{Kind::close, unordered, sys::close, nullptr};

}  // namespace wev::op
