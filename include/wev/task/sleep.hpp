// sleep.hpp: letting time pass, or others have their turn.
//
//   co_await wev::sleep(100ms);
//
//   wev::Interval every_second(loop, 1s);
//   while (auto periods = co_await every_second.next()) ...
//
// All end with Errc::operation_canceled when the task is cancelled, and can be begun
// by a Request as well. No timer fires before its time, see loop.hpp.
#pragma once

#include "wev/loop/request.hpp"

namespace wev {

/// Ends with nothing, `delay` after it was begun.
template <class Rep, class Period>
Awaitable<ToNothing> sleep(std::chrono::duration<Rep, Period> delay) noexcept {
  return Awaitable<ToNothing>(op::timer(saturate(delay)));
}
inline Awaitable<ToNothing> sleep_until(Instant deadline) noexcept {
  return Awaitable<ToNothing>(op::timer_at(deadline));
}

/// Ends with nothing in the loop's next tick: others and what came in have their turn.
inline Awaitable<ToNothing> yield() noexcept { return Awaitable<ToNothing>(op::noop()); }

/// Every so often, without drift.
class Interval {
 public:
  /// From now on. REQUIRES: `period` is more than zero.
  template <class Rep, class Period>
  Interval(Loop& loop, std::chrono::duration<Rep, Period> period) noexcept
      : loop_(loop), period_(saturate(period)), next_(loop.from_now(period_)) {
    WEV_ASSERT(period_ > Duration::zero(), "Interval: its period is not more than zero");
  }

  struct ToPeriods {
    Expected<std::size_t> operator()(RequestBase& request, Result result) const noexcept {
      if (!result) return result;
      auto& interval = *static_cast<Interval*>(request.context());
      return pass_periods(interval.next_, interval.period_, interval.loop_.now());
    }
  };
  /// Ends with how many periods have passed since the last one: 1, or more where the
  /// program was busy past some. One at a time; the interval stays in place meanwhile.
  Awaitable<ToPeriods> next() noexcept { return {loop_, op::timer_at(next_), nullptr, this}; }

 private:
  Loop& loop_;
  Duration period_;
  Instant next_;
};

}  // namespace wev
