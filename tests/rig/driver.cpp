#include "rig/driver.hpp"

#include <gtest/gtest.h>

#include "sys/thread.hpp"

namespace wev::test {

namespace {

// Some ticks only carry a part of something on.
constexpr int most_in_vain = 2'000;

}  // namespace

Expected<void> Driver::run(RunMode mode) {
  const bool stopped_before = loop_.stopped();
  loop_.restart();
  for (;;) {
    const auto called = turn();
    const bool stopped = loop_.stopped();
    loop_.restart();
    if (!called) return std::unexpected(called.error());
    if (mode == RunMode::no_wait || (mode == RunMode::once && *called > 0)) return {};
    if (stopped || stopped_before || loop_.done()) return {};
    if (auto slept = sleep(); !slept) return slept;
  }
}

Expected<std::size_t> Driver::tick() {
  const auto called = turn();
  if (!called || *called > 0 || loop_.done()) return called;
  if (auto slept = sleep(); !slept) return std::unexpected(slept.error());
  return turn();
}

Expected<std::size_t> Driver::turn() {
  const auto called = loop_.tick(RunMode::no_wait);
  if (called && *called > 0) in_vain_ = 0;
  return called;
}

Expected<void> Driver::sleep() {
  const Slept slept = sleep(loop_.next_deadline());
  in_vain_ = slept == Slept::yes ? 0 : in_vain_ + 1;
  if (in_vain_ > most_in_vain) ADD_FAILURE() << "it turns for nothing";
  if (slept == Slept::for_ever || in_vain_ > most_in_vain) return std::unexpected(Errc::deadlock);
  return {};
}

DriverInVirtualTime::Slept DriverInVirtualTime::sleep(Instant until) {
  // Who was told does not sleep.
  if (woken_.exchange(false, std::memory_order_acquire)) return Slept::not_at_all;
  if (until == never) {
    if (!threads_ || !sys::park(woken_)) return Slept::for_ever;
    woken_.store(false, std::memory_order_relaxed);
    return Slept::yes;
  }
  const Instant now = loop_.backend().now();
  if (until <= now) return Slept::not_at_all;
  advance_(until - now);
  return Slept::yes;
}

void DriverInVirtualTime::wake() noexcept { sys::unpark(woken_); }

}  // namespace wev::test
