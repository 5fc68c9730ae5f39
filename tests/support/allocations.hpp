// allocations.hpp: counts what a test program allocates, and makes it fail.
//
// Sees malloc, calloc and realloc of all code that is linked in, and operator
// new.
#pragma once

#include <cstddef>

namespace wev::test {

/// Allocations so far, failed ones included.
std::size_t allocations() noexcept;

/// While alive, every allocation fails.
class NoMemory {
 public:
  NoMemory() noexcept;
  ~NoMemory();
  NoMemory(const NoMemory&) = delete;
  NoMemory& operator=(const NoMemory&) = delete;
};

/// While alive, allocations are neither counted nor failed: for what stands in
/// for a system that would have memory of its own.
class NotOurs {
 public:
  NotOurs() noexcept;
  ~NotOurs();
  NotOurs(const NotOurs&) = delete;
  NotOurs& operator=(const NotOurs&) = delete;
};

}  // namespace wev::test
