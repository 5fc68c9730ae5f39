#include "backend/native.hpp"

#include <algorithm>
#include <limits>

namespace wev {

Instant NativeBackend::now() const {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return Instant(std::chrono::seconds(now.tv_sec) + Duration(now.tv_nsec));
}

timespec NativeBackend::timeout_until(Instant deadline, Instant now) noexcept {
  if (deadline <= now) return {};
  const Duration left = deadline - now;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
  return {static_cast<time_t>(seconds.count()), static_cast<long>((left - seconds).count())};
}

int NativeBackend::milliseconds_until(Instant deadline, Instant now) noexcept {
  if (deadline == never) return -1;
  if (deadline <= now) return 0;
  constexpr std::int64_t longest = std::numeric_limits<int>::max();
  const auto whole = std::chrono::ceil<std::chrono::milliseconds>(deadline - now);
  return static_cast<int>(std::min<std::int64_t>(whole.count(), longest));
}

// Whoever sleeps in place of the backend is woken by the same descriptor.
Expected<void> NativeBackend::arm() {
  if (auto works = still_works(); !works) return works;
  armed_ = true;
  waker_.begin_sleep_elsewhere();
  return {};
}

}  // namespace wev
