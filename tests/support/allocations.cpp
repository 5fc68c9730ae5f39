#include "support/allocations.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

#if defined(__APPLE__)
#include <malloc/malloc.h>
#endif

namespace {

std::atomic<std::size_t> count{0};
std::atomic<bool> fail{false};

thread_local int not_ours = 0;

bool allowed() noexcept {
  if (not_ours > 0) return true;
  count.fetch_add(1, std::memory_order_relaxed);
  return !fail.load(std::memory_order_relaxed);
}

}  // namespace

extern "C" {

#if defined(__APPLE__)

// Its linkers do not wrap, but what the program itself defines comes before the system's, for
// the program itself.
void* malloc(std::size_t size) {
  return allowed() ? malloc_zone_malloc(malloc_default_zone(), size) : nullptr;
}
void* calloc(std::size_t count, std::size_t size) {
  return allowed() ? malloc_zone_calloc(malloc_default_zone(), count, size) : nullptr;
}
void* realloc(void* old, std::size_t size) {
  return allowed() ? malloc_zone_realloc(malloc_default_zone(), old, size) : nullptr;
}

#else

// The linker's --wrap names them so.
// NOLINTBEGIN(bugprone-reserved-identifier)
void* __real_malloc(std::size_t size);
void* __real_calloc(std::size_t count, std::size_t size);
void* __real_realloc(void* old, std::size_t size);

void* __wrap_malloc(std::size_t size) { return allowed() ? __real_malloc(size) : nullptr; }
void* __wrap_calloc(std::size_t count, std::size_t size) {
  return allowed() ? __real_calloc(count, size) : nullptr;
}
void* __wrap_realloc(void* old, std::size_t size) {
  return allowed() ? __real_realloc(old, size) : nullptr;
}
// NOLINTEND(bugprone-reserved-identifier)

#endif

}  // extern "C"

// Where the C++ library is shared, its operator new calls malloc out of the
// linker's reach.
[[gnu::weak]] void* operator new(std::size_t size) {
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  std::abort();
}
[[gnu::weak]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::weak]] void* operator new[](std::size_t size) { return operator new(size); }
[[gnu::weak]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::weak]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::weak]] void operator delete[](void* memory) noexcept { std::free(memory); }
[[gnu::weak]] void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace wev::test {

std::size_t allocations() noexcept { return count.load(std::memory_order_relaxed); }

NoMemory::NoMemory() noexcept { fail.store(true, std::memory_order_relaxed); }
NoMemory::~NoMemory() { fail.store(false, std::memory_order_relaxed); }

NotOurs::NotOurs() noexcept { ++not_ours; }
NotOurs::~NotOurs() { --not_ours; }

}  // namespace wev::test
