#include "backend/native.hpp"

#include <algorithm>
#include <limits>

#include "backend/attempt.hpp"

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

namespace {

sys::Unwaiting take_way(Descriptor& descriptor, bool calls) noexcept {
  sys::TransferWay way = sys::way_of(descriptor.number, calls);
  if (way.own.is_open()) descriptor.native = static_cast<std::uintptr_t>(way.own.release());
  return way.how;
}

}  // namespace

sys::Unwaiting NativeBackend::find_way(Descriptor& descriptor) const noexcept {
  return take_way(descriptor, calls_);
}

sys::Unwaiting NativeBackend::find_other_way(Descriptor& descriptor) noexcept {
  return take_way(descriptor, false);
}

void NativeBackend::close_own(Descriptor& descriptor) noexcept {
  if (descriptor.fd() == descriptor.number) return;
  const sys::OwnedFd closed(descriptor.fd());
  descriptor.native = static_cast<std::uintptr_t>(descriptor.number);
}

bool NativeBackend::blocks_natively(const Operation& operation, const Result& result) noexcept {
  if (!result || *result != 0) return would_block(operation, result);
  const bool reads =
      operation.kind() == OperationKind::read || operation.kind() == OperationKind::readv;
  return reads && sys::waits_for_writer(operation.io.fd);
}

// Whoever sleeps in place of the backend is woken by the same descriptor.
Expected<void> NativeBackend::arm() {
  if (auto works = still_works(); !works) return works;
  armed_ = true;
  waker_.begin_sleep_elsewhere();
  return {};
}

}  // namespace wev
