// park.hpp: a thread that has nothing to do before another has done something.
#pragma once

#include <atomic>

namespace wev::sys {

/// Sleeps until `flag` is set. false, at once: there is no other thread that
/// could set it.
bool park(const std::atomic<bool>& flag) noexcept;
/// Sets it. Any thread.
void unpark(std::atomic<bool>& flag) noexcept;

/// Lets other threads run.
void yield() noexcept;

}  // namespace wev::sys
