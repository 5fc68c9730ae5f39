#include "backend/native.hpp"

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

}  // namespace wev
