// park.hpp: a thread that has nothing to do but to be woken by another.
#pragma once

#include <atomic>

namespace wev::sys {

/// Sleeps until `flag` is set. false, at once: there is no other thread that
/// could set it.
bool park(const std::atomic<bool>& flag) noexcept;
/// Sets it. Any thread.
void unpark(std::atomic<bool>& flag) noexcept;

}  // namespace wev::sys
