// posix.hpp: what POSIX systems share, for their backends.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include "wev/base/error.hpp"
#include "wev/sys/system.hpp"

namespace wev::sys {

/// An errno as an Error. Linux has one for every std::errc and some more, under
/// the same numbers.
Error to_error(int code) noexcept;
/// errno.
Error last_error() noexcept;

/// A system call's return value: a count, or -1 and errno.
Result to_result(ssize_t returned) noexcept;

/// Writing what nobody will read raises SIGPIPE. From the first call on it is
/// blocked in the calling thread, so that it ends no program.
void block_sigpipe() noexcept;
/// Takes back the one that a broken pipe has raised in this thread, if it was
/// block_sigpipe() that kept it.
void discard_sigpipe() noexcept;

/// Arguments of system calls that a backend makes in its own way.
int recv_flags(std::uint32_t flags) noexcept;
int open_flags(std::uint32_t flags) noexcept;

/// What poll(2) is asked for to wait for reading.
#if defined(POLLRDHUP)
inline constexpr short poll_in = POLLIN | POLLRDHUP;
#else
inline constexpr short poll_in = POLLIN;
#endif
/// ppoll(2), where there is one; how many are ready. `unlimited`: without a timeout.
Result poll_many(pollfd* descriptors, std::size_t count, const timespec& timeout,
                 bool unlimited) noexcept;

/// Whether close() has closed: Linux does, though a signal or a slow disk makes it
/// say something else.
bool is_closed(const Result& result) noexcept;

/// Of the open file, which several descriptors may share.
void set_nonblocking(int fd, bool on) noexcept;
bool is_nonblocking(int fd) noexcept;

}  // namespace wev::sys
