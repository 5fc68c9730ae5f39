// transfer.hpp: reading and writing without ever waiting, whatever O_NONBLOCK says.
//
// That flag is the open file's, and others may have that too: whoever started the program,
// its children, another loop. They rely on the flag as it is, and change it when they like.
// So where somebody may share the file it is neither changed nor trusted.
#pragma once

#include <cstdint>
#include <span>

#include "sys/posix.hpp"
#include "wev/sys/system.hpp"

namespace wev::sys {

/// What keeps a transfer from waiting.
enum class Unwaiting : std::uint8_t {
  by_flag,     ///< O_NONBLOCK: nobody else has the open file
  by_message,  ///< a socket: each call says so
  by_call,     ///< a pipe: each call says so, where the system has one that can
  by_asking,   ///< whether it is ready, before little is moved: somebody else may be quicker
};

/// How transfers on a descriptor do not wait.
struct TransferWay {
  Unwaiting how = Unwaiting::by_flag;
  OwnedFd own;  ///< a descriptor of the same with an open file of its own, in place of that
};

/// Whether it is a pipe or a terminal, and not the program's own and non-blocking. `flags`: those
/// of its open file.
bool may_wait(int fd, int flags) noexcept;
/// Of what is no socket. `calls`: whether by_call may be tried, which ends with
/// operation_not_supported where there is no such thing.
TransferWay way_of(int fd, bool calls) noexcept;

Result read_unwaiting(int fd, std::span<const IoVec> buffers, Unwaiting how) noexcept;
Result write_unwaiting(int fd, std::span<const IoVec> buffers, Unwaiting how) noexcept;

/// Whether a read that has found the end of a pipe has only come before its first writer.
bool waits_for_writer(int fd) noexcept;

}  // namespace wev::sys
