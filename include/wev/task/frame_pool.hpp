// frame_pool.hpp: memory for coroutine frames.
//
// A frame that was freed is kept for the next one of its size class, so a program
// that is warm makes and ends tasks without malloc. Each thread has a pool of its
// own and takes no lock. A frame may be freed on another thread than the one that
// made it: it then is that thread's.
//
// Memory     A thread keeps at most as many of a size class as it took from malloc
//            for it, and at most `most_kept` bytes of each class, so that a burst of a
//            million tasks is forgotten. Frames above `largest` are malloc's own. What a thread
//            keeps is freed when it ends, or by trim().
// Errors     nullptr: out of memory.
#pragma once

#include <cstddef>

namespace wev {

class FramePool {
 public:
  static constexpr std::size_t granularity = 64;
  static constexpr std::size_t largest = 8192;
  static constexpr std::size_t most_kept = std::size_t{1024} * 1024;

  /// On the calling thread's pool.
  [[nodiscard]] static void* allocate(std::size_t size) noexcept;
  /// `size` as given to allocate().
  static void release(void* memory, std::size_t size) noexcept;
  /// Frees what the calling thread keeps.
  static void trim() noexcept;
};

}  // namespace wev
