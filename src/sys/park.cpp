#include "sys/park.hpp"

namespace wev::sys {

#if defined(__wasm__) && !defined(__wasm_atomics__)

bool park(const std::atomic<bool>& flag) noexcept { return flag.load(std::memory_order_acquire); }
void unpark(std::atomic<bool>& flag) noexcept { flag.store(true, std::memory_order_release); }

#else

bool park(const std::atomic<bool>& flag) noexcept {
  flag.wait(false, std::memory_order_acquire);
  return true;
}
void unpark(std::atomic<bool>& flag) noexcept {
  flag.store(true, std::memory_order_release);
  flag.notify_one();
}

#endif

}  // namespace wev::sys
