// bsd.hpp: what macOS and FreeBSD share, for their backend.
#pragma once

namespace wev::sys {

/// A kqueue that a program started does not have; -1 and errno.
int open_kqueue() noexcept;

}  // namespace wev::sys
