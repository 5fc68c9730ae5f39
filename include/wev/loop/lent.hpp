// lent.hpp: what a loop is still waiting for, in words.
//
//   wev::print_lent(loop, stderr);
//
//     read                5  0x7ffd5d0e1a40  active, times out in 1.250 s
//     timer                  0x55d1c6c3f2b0  active, due in 0.020 s
//     async_wait             0x55d1c6c3f3f0  active, unreferenced
//   3 lent, 2 of them hold the loop open
//
// For a program that does not end and should. Of each completion it says the operation, the
// descriptor, where it is, for a debugger, how far it has come, and its deadline.
#pragma once

#include <cstdio>
#include <string_view>

#include "wev/loop/loop.hpp"

namespace wev {

/// "pread", for example.
[[nodiscard]] std::string_view name_of(OperationKind kind) noexcept;

/// Prints all that is lent, a line for each, and how many they are. May be called from a
/// callback. The loop's thread; see Loop::for_each_lent.
void print_lent(const Loop& loop, std::FILE* to);

}  // namespace wev
