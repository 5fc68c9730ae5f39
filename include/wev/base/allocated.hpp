// allocated.hpp: objects from malloc.
//
// The library's few heap objects derive from Allocated: making one reports
// failure instead of throwing, and a small WebAssembly program does not carry
// the C++ library's operator new and what that says before it aborts.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

namespace wev {

struct Allocated {
  /// For `new (std::nothrow) T`: nullptr when out of memory.
  static void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return std::malloc(size);
  }
  /// For plain `new T` and std::make_unique: traps when out of memory.
  static void* operator new(std::size_t size) {
    void* memory = std::malloc(size);
    if (memory == nullptr) __builtin_trap();
    return memory;
  }
  static void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
  static void operator delete(void* memory) noexcept { std::free(memory); }
  // A class's own operator new hides these.
  static void* operator new(std::size_t, void* place) noexcept { return place; }
  static void operator delete(void*, void*) noexcept {}
};

}  // namespace wev
