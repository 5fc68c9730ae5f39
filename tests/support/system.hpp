// system.hpp: what the tests want of a system beside the library, and what it says of this
// process.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

namespace wev::test {

// Descriptors. They are not inherited; failing to make one is a failure of the test.

enum class Blocks : std::uint8_t { no, yes };

/// {read end, write end}
std::array<int, 2> open_pipe(Blocks blocks);
std::array<int, 2> open_socket_pair(Blocks blocks);
/// {the terminal's other side, the terminal}
std::array<int, 2> open_terminal();
/// An empty one without a name.
int open_file();
/// A TCP socket in a network of its own, where even the loopback is down; -1: this system or
/// user makes none.
int socket_without_network();

// This process.

/// How much room a block of malloc's has.
std::size_t usable_size(void* memory);

/// Descriptors that are open; the one that counting may take is among them.
std::size_t open_descriptors();

/// The ids of this process's threads. One that was joined may be among them for
/// a moment more: it tells that it is over before it is.
std::set<std::string> threads();
/// Those that were not there `before`.
std::set<std::string> threads_since(const std::set<std::string>& before);

}  // namespace wev::test
