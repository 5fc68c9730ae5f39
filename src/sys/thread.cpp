#include "sys/thread.hpp"

#if !defined(__wasm__) || defined(__wasm_atomics__)
#include <thread>
#endif

namespace wev::sys {

#if defined(__wasm__) && !defined(__wasm_atomics__)

bool park(const std::atomic<bool>& flag) noexcept { return flag.load(std::memory_order_acquire); }
void unpark(std::atomic<bool>& flag) noexcept { flag.store(true, std::memory_order_release); }
const void* this_thread() noexcept { return nullptr; }
void yield() noexcept {}
void at_thread_end(void (*)() noexcept) noexcept {}

#else

bool park(const std::atomic<bool>& flag) noexcept {
  flag.wait(false, std::memory_order_acquire);
  return true;
}
void unpark(std::atomic<bool>& flag) noexcept {
  flag.store(true, std::memory_order_release);
  flag.notify_one();
}
const void* this_thread() noexcept {
  thread_local const char here = 0;
  return &here;
}
void yield() noexcept { std::this_thread::yield(); }

void at_thread_end(void (*function)() noexcept) noexcept {
  struct AtEnd {
    void (*function)() noexcept;
    ~AtEnd() { function(); }
  };
  thread_local const AtEnd at_end{function};
  static_cast<void>(at_end);
}

#endif

}  // namespace wev::sys
