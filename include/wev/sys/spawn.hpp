// spawn.hpp: what op::spawn is given, and gives back.
//
// For class Process, which makes one from strings of the program's own. All
// pointers are the caller's and stay valid until the operation has ended; strings
// end with a zero, arrays of them with nullptr.
#pragma once

#include <array>
#include <cstdint>

namespace wev {

/// Where a new process has its stdin, stdout or stderr from.
struct ChildStdio {
  enum class Kind : std::uint8_t {
    inherit,     ///< this program's own, be it open or not
    null,        ///< nothing to read, and what is written is dropped
    descriptor,  ///< `fd`, which stays the caller's
    pipe,        ///< a new one; the other end is this program's
  };

  Kind kind = Kind::inherit;
  /// What is given; of a pipe, once the process is there, this program's end: to
  /// be written for stdin, read for the others. Non-blocking, the caller's.
  int fd = -1;

  static constexpr ChildStdio inherit() noexcept { return {}; }
  static constexpr ChildStdio null() noexcept { return {Kind::null, -1}; }
  /// Any open one. Its file is shared, with its position and flags: a child that
  /// expects it to block is given one that does.
  static constexpr ChildStdio descriptor(int fd) noexcept { return {Kind::descriptor, fd}; }
  static constexpr ChildStdio pipe() noexcept { return {Kind::pipe, -1}; }
};

struct Spawn {
  const char* program;
  const char* const* arguments;    ///< the first is the program's name to itself
  const char* const* environment;  ///< nullptr: this program's own
  const char* directory;           ///< nullptr: this program's own
  std::array<ChildStdio, 3> stdio;
  int pid = -1;  ///< of the new process
};

}  // namespace wev
