#include "sys/park.hpp"

#if !defined(__wasm__) || defined(__wasm_atomics__)
#include <thread>
#endif

namespace wev::sys {

#if defined(__wasm__) && !defined(__wasm_atomics__)

bool park(const std::atomic<bool>& flag) noexcept { return flag.load(std::memory_order_acquire); }
void unpark(std::atomic<bool>& flag) noexcept { flag.store(true, std::memory_order_release); }
void yield() noexcept {}

#else

bool park(const std::atomic<bool>& flag) noexcept {
  flag.wait(false, std::memory_order_acquire);
  return true;
}
void unpark(std::atomic<bool>& flag) noexcept {
  flag.store(true, std::memory_order_release);
  flag.notify_one();
}
void yield() noexcept { std::this_thread::yield(); }

#endif

}  // namespace wev::sys
