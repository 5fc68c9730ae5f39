// thread.hpp: what threads do: wait for each other, and end.
#pragma once

#include <atomic>

namespace wev::sys {

/// Sleeps until `flag` is set. false, at once: there is no other thread that
/// could set it.
bool park(const std::atomic<bool>& flag) noexcept;
/// Sets it. Any thread.
void unpark(std::atomic<bool>& flag) noexcept;

/// Tells threads that run at the same time apart.
[[nodiscard]] const void* this_thread() noexcept;

/// Lets other threads run.
void yield() noexcept;

/// Calls `function` when the calling thread ends, once for each thread that has called
/// this. Where there is only one thread, never.
void at_thread_end(void (*function)() noexcept) noexcept;

}  // namespace wev::sys
