// clock.hpp: points and spans of time on a loop's clock.
//
// An Instant counts nanoseconds on the monotonic clock of the loop's backend.
// Its zero is whatever that clock started at (on some hosts the start of the
// program), so Instants of different backends are not comparable.
//
// It has nothing to do with the time of day, which jumps. While the machine sleeps it stands
// still on Linux (CLOCK_MONOTONIC), macOS and FreeBSD; what WASI hosts do is theirs. So an hour
// is an hour of a machine that is awake. Who waits for a time of day looks at that clock again
// now and then.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <ratio>
#include <type_traits>

namespace wev {

using Duration = std::chrono::nanoseconds;

struct LoopClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<LoopClock>;
  static constexpr bool is_steady = true;
};

using Instant = LoopClock::time_point;

/// A deadline that never passes.
inline constexpr Instant never = Instant::max();

/// Any duration as nanoseconds: beyond the range it becomes the nearest
/// representable one instead of overflowing; not-a-number becomes zero.
template <class Rep, class Period>
constexpr Duration saturate(std::chrono::duration<Rep, Period> d) noexcept {
  using PerTick = std::ratio_divide<Period, std::nano>;
  if constexpr (std::is_integral_v<Rep>) {
    // Wide enough for any count times any ratio.
    __extension__ using Wide = __int128;
    const Wide ns = static_cast<Wide>(d.count()) * PerTick::num / PerTick::den;
    if (ns > Duration::max().count()) return Duration::max();
    if (ns < Duration::min().count()) return Duration::min();
    return Duration(static_cast<Duration::rep>(ns));
  } else {
    const long double ns = static_cast<long double>(d.count()) * PerTick::num / PerTick::den;
    if (ns != ns) return Duration::zero();
    if (ns >= 0x1p63L) return Duration::max();
    if (ns <= -0x1p63L) return Duration::min();
    return Duration(static_cast<Duration::rep>(ns));
  }
}
constexpr Duration saturate(Duration d) noexcept { return d; }

/// `from + d`, never before `from`, and `never` where that would overflow.
constexpr Instant after(Instant from, Duration d) noexcept {
  if (d <= Duration::zero()) return from;
  if (from.time_since_epoch() > Duration::max() - d) return never;
  return from + d;
}

/// Moves `next`, which is due, to the first instant to come, in whole periods, and
/// returns how many have passed. REQUIRES: period > 0 and next <= now.
constexpr std::size_t pass_periods(Instant& next, Duration period, Instant now) noexcept {
  // Without a sign: it may be longer than a Duration can be.
  const auto begin = static_cast<std::uint64_t>(next.time_since_epoch().count());
  const auto late = static_cast<std::uint64_t>(now.time_since_epoch().count()) - begin;
  const auto step = static_cast<std::uint64_t>(period.count());
  const auto last = static_cast<std::int64_t>(begin + late / step * step);
  next = after(Instant(Duration(last)), period);
  constexpr auto most = std::numeric_limits<std::size_t>::max();
  const auto passed = late / step + 1;
  return passed > most ? most : static_cast<std::size_t>(passed);
}

}  // namespace wev
