// linux_clock.hpp: the clock of the native backends.
#pragma once

#include <time.h>

#include "wev/clock.hpp"

namespace wev {

inline Instant monotonic_now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return Instant(std::chrono::seconds(now.tv_sec) + Duration(now.tv_nsec));
}

/// What is left until `deadline`, at least 0.
inline timespec timeout_until(Instant deadline, Instant now) noexcept {
  if (deadline <= now) return {};
  // Not in one step: the difference may be beyond the range.
  const Duration left = deadline.time_since_epoch() - now.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
  return {static_cast<time_t>(seconds.count()), static_cast<long>((left - seconds).count())};
}

}  // namespace wev
