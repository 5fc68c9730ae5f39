#include "wev/task/frame_pool.hpp"

#include <cstdlib>
#include <new>

#include "sys/thread.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define WEV_POISONS_FRAMES
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEV_POISONS_FRAMES
#endif
#endif
#ifdef WEV_POISONS_FRAMES
#include <sanitizer/asan_interface.h>
#endif

namespace wev {

namespace {

struct Block {
  Block* next;
};

// So that a frame that is used after its end is found, though its memory is kept.
void poison([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t size) noexcept {
#ifdef WEV_POISONS_FRAMES
  ASAN_POISON_MEMORY_REGION(memory, size);
#endif
}
void unpoison([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t size) noexcept {
#ifdef WEV_POISONS_FRAMES
  ASAN_UNPOISON_MEMORY_REGION(memory, size);
#endif
}

class Shelf {
 public:
  void* take(std::size_t size) noexcept {
    if (first_ == nullptr) {
      void* memory = std::malloc(size);
      if (memory != nullptr) ++may_keep_;
      return memory;
    }
    Block* block = first_;
    unpoison(block, size);
    first_ = block->next;
    ++may_keep_;
    kept_ -= size;
    return block;
  }

  // false: it has as many as it may.
  bool keep(void* memory, std::size_t size) noexcept {
    if (may_keep_ == 0) return false;
    --may_keep_;
    if (kept_ + size > FramePool::most_kept) return false;
    kept_ += size;
    first_ = new (memory) Block{first_};
    poison(reinterpret_cast<std::byte*>(memory) + sizeof(Block), size - sizeof(Block));
    return true;
  }

  void clear(std::size_t size) noexcept {
    while (first_ != nullptr) {
      Block* block = first_;
      unpoison(block, size);
      first_ = block->next;
      std::free(block);
    }
    kept_ = 0;
  }

 private:
  Block* first_ = nullptr;
  // How many frames this thread took and did not give back, here or elsewhere.
  std::size_t may_keep_ = 0;
  std::size_t kept_ = 0;  // bytes
};

constexpr std::size_t shelves = FramePool::largest / FramePool::granularity;

struct Pool {
  Shelf shelf[shelves];
  bool used = false;
  bool over = false;  // the thread is ending: nothing is kept any more
};
constinit thread_local Pool pool;

void end_pool() noexcept {
  FramePool::trim();
  pool.over = true;
}

// To be emptied in the end, if this thread is one that ends.
void begin_pool() noexcept {
  pool.used = true;
  sys::at_thread_end(end_pool);
}

std::size_t index_of(std::size_t size) noexcept {
  return (size + FramePool::granularity - 1) / FramePool::granularity - 1;
}

}  // namespace

void* FramePool::allocate(std::size_t size) noexcept {
  if (size > largest) return std::malloc(size);
  const std::size_t i = index_of(size);
  // As large as any of its class: another thread may keep it.
  if (pool.over) return std::malloc((i + 1) * granularity);
  if (!pool.used) begin_pool();
  return pool.shelf[i].take((i + 1) * granularity);
}

void FramePool::release(void* memory, std::size_t size) noexcept {
  if (size <= largest && !pool.over) {
    const std::size_t i = index_of(size);
    if (pool.shelf[i].keep(memory, (i + 1) * granularity)) return;
  }
  std::free(memory);
}

void FramePool::trim() noexcept {
  for (std::size_t i = 0; i < shelves; ++i) pool.shelf[i].clear((i + 1) * granularity);
}

}  // namespace wev
