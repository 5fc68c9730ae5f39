// bench_timers: many timers in one loop.
//
//   overdue    All are set, at random within a second, and all are due by the time
//              the loop runs: setting and firing. Nothing sleeps while it is
//              measured. They have to fire in the order of their deadlines.
//   cancelled  All are set an hour or more ahead, at random, then all are cancelled
//              in the order in which they were set. Whoever calls back for a
//              cancelled one has that measured, too.
//
// An operation is one timer. The memory of the timers themselves is made before
// and freed after; what the loop allocates for them is measured.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "bench.hpp"
#include "wev/backend/backends.hpp"
#include "wev/loop/loop.hpp"
#ifdef WEV_BENCH_HAS_LIBUV
#include <uv.h>
#endif
#ifdef WEV_BENCH_HAS_ASIO
#include <asio.hpp>
#endif

namespace {

using bench::Outcome;
using bench::Trial;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// What lies behind the last deadline at most.
milliseconds spread_of(const Trial& trial) { return milliseconds(trial.tiny() ? 20 : 1000); }

// How far each deadline lies behind the first possible one; the same in each run.
std::vector<nanoseconds> offsets_of(const Trial& trial) {
  std::mt19937_64 random(20261121);
  std::uniform_int_distribution<std::int64_t> offset(1'000'000,
                                                     nanoseconds(spread_of(trial)).count());
  std::vector<nanoseconds> offsets(trial.size());
  for (nanoseconds& each : offsets) each = nanoseconds(offset(random));
  return offsets;
}

// Counts what fires, and sees that deadlines never go back.
class Tally {
 public:
  explicit Tally(const Trial& trial) : expected_(trial.size()) {}

  template <class Time>
  void fired(Time deadline) noexcept {
    const auto value = static_cast<std::int64_t>(deadline);
    if (value < last_) wrong_ = true;
    last_ = value;
    ++count_;
  }
  void cancelled() noexcept { ++count_; }
  void fail() noexcept { wrong_ = true; }

  [[nodiscard]] Outcome outcome() const noexcept {
    return !wrong_ && count_ == expected_ ? Outcome::right : Outcome::wrong;
  }

 private:
  std::size_t expected_;
  std::size_t count_ = 0;
  std::int64_t last_ = INT64_MIN;
  bool wrong_ = false;
};

// A binary heap of pointers ----------------------------------------------------------

struct HeapTimer {
  std::int64_t deadline = 0;
  void (*callback)(Tally& tally, HeapTimer& timer) = nullptr;
  bool cancelled = false;
};

// Cancelling marks a timer; when most are marked, they are swept out.
class Heap {
 public:
  void insert(HeapTimer& timer) {
    timers_.push_back(&timer);
    std::ranges::push_heap(timers_, later);
  }
  void cancel(HeapTimer& timer) {
    timer.cancelled = true;
    if (++marked_ * 2 <= timers_.size()) return;
    std::erase_if(timers_, [](const HeapTimer* each) { return each->cancelled; });
    std::ranges::make_heap(timers_, later);
    marked_ = 0;
  }
  /// nullptr: none is due.
  HeapTimer* pop_due(std::int64_t now) {
    while (!timers_.empty() && timers_.front()->deadline <= now) {
      std::ranges::pop_heap(timers_, later);
      HeapTimer* timer = timers_.back();
      timers_.pop_back();
      if (!timer->cancelled) return timer;
      --marked_;
    }
    return nullptr;
  }
  [[nodiscard]] std::size_t left() const noexcept { return timers_.size() - marked_; }

 private:
  static bool later(const HeapTimer* a, const HeapTimer* b) noexcept {
    return a->deadline > b->deadline;
  }

  std::vector<HeapTimer*> timers_;
  std::size_t marked_ = 0;
};

std::int64_t steady_now() {
  return nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Outcome heap_overdue(Trial& trial) {
  const auto offsets = offsets_of(trial);
  std::vector<HeapTimer> timers(trial.size());
  Tally tally(trial);
  Heap heap;
  const std::int64_t first = steady_now() - nanoseconds(spread_of(trial)).count();
  trial.start();
  for (std::size_t i = 0; i < timers.size(); ++i) {
    timers[i].deadline = first + offsets[i].count();
    timers[i].callback = [](Tally& its, HeapTimer& timer) { its.fired(timer.deadline); };
    heap.insert(timers[i]);
  }
  const std::int64_t now = steady_now();
  while (HeapTimer* timer = heap.pop_due(now)) timer->callback(tally, *timer);
  trial.stop();
  return tally.outcome();
}

Outcome heap_cancelled(Trial& trial) {
  const auto offsets = offsets_of(trial);
  std::vector<HeapTimer> timers(trial.size());
  Heap heap;
  const std::int64_t first = steady_now() + nanoseconds(hours(1)).count();
  trial.start();
  for (std::size_t i = 0; i < timers.size(); ++i) {
    timers[i].deadline = first + offsets[i].count();
    heap.insert(timers[i]);
  }
  for (HeapTimer& timer : timers) heap.cancel(timer);
  trial.stop();
  return heap.left() == 0 ? Outcome::right : Outcome::wrong;
}

// wev ------------------------------------------------------------------------------

wev::Action on_wev_fired(void* tally, wev::Loop&, wev::Completion& timer, wev::Result periods) {
  if (!periods) static_cast<Tally*>(tally)->fail();
  static_cast<Tally*>(tally)->fired(timer.operation().timer.delay.count());
  return wev::Action::disarm;
}

wev::Action on_wev_cancelled(void* tally, wev::Loop&, wev::Completion&, wev::Result periods) {
  const bool cancelled = !periods && periods.error() == wev::Errc::operation_canceled;
  if (!cancelled) static_cast<Tally*>(tally)->fail();
  static_cast<Tally*>(tally)->cancelled();
  return wev::Action::disarm;
}

void wev_set_all(wev::Loop& loop, std::vector<wev::Completion>& timers, wev::Instant first,
                 const std::vector<nanoseconds>& offsets, Tally& tally, wev::Callback callback) {
  for (std::size_t i = 0; i < timers.size(); ++i) {
    loop.add(timers[i], wev::op::timer_at(first + offsets[i]), &tally, callback);
  }
}

Outcome wev_overdue(Trial& trial) {
  auto backend = wev::make_backend({.kind = wev::BackendKind::epoll});
  if (!backend) return Outcome::unavailable;
  wev::Loop loop(std::move(*backend));
  const auto offsets = offsets_of(trial);
  std::vector<wev::Completion> timers(trial.size());
  Tally tally(trial);
  const wev::Instant first = loop.backend().now() - spread_of(trial);
  trial.start();
  wev_set_all(loop, timers, first, offsets, tally, on_wev_fired);
  const bool ran = loop.run().has_value();
  trial.stop();
  return ran ? tally.outcome() : Outcome::wrong;
}

Outcome wev_cancelled(Trial& trial) {
  auto backend = wev::make_backend({.kind = wev::BackendKind::epoll});
  if (!backend) return Outcome::unavailable;
  wev::Loop loop(std::move(*backend));
  const auto offsets = offsets_of(trial);
  std::vector<wev::Completion> timers(trial.size());
  Tally tally(trial);
  const wev::Instant first = loop.backend().now() + hours(1);
  trial.start();
  wev_set_all(loop, timers, first, offsets, tally, on_wev_cancelled);
  const bool started = loop.tick(wev::RunMode::no_wait).has_value();
  for (wev::Completion& timer : timers) loop.cancel(timer);
  const bool ran = loop.run().has_value();
  trial.stop();
  return started && ran ? tally.outcome() : Outcome::wrong;
}

// libuv ----------------------------------------------------------------------------
// Its timers have milliseconds and no past: once they are set, it is waited until
// all are due. That is not measured.

#ifdef WEV_BENCH_HAS_LIBUV
struct UvTimers {
  explicit UvTimers(const Trial& trial)
      : works(::uv_loop_init(&loop) == 0), tally(trial), timers(trial.size()) {
    loop.data = this;
    for (uv_timer_t& timer : timers) ::uv_timer_init(&loop, &timer);
  }
  ~UvTimers() {
    for (uv_timer_t& timer : timers) ::uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
    ::uv_run(&loop, UV_RUN_DEFAULT);
    ::uv_loop_close(&loop);
  }
  UvTimers(const UvTimers&) = delete;
  UvTimers& operator=(const UvTimers&) = delete;

  static std::uint64_t milliseconds_of(nanoseconds offset) {
    return static_cast<std::uint64_t>(std::chrono::floor<milliseconds>(offset).count());
  }
  static void on_fired(uv_timer_t* timer) {
    auto& tally = static_cast<UvTimers*>(timer->loop->data)->tally;
    tally.fired(reinterpret_cast<std::uintptr_t>(timer->data));
  }

  uv_loop_t loop;
  bool works;
  Tally tally;
  std::vector<uv_timer_t> timers;
};

Outcome libuv_overdue(Trial& trial) {
  const auto offsets = offsets_of(trial);
  UvTimers uv(trial);
  if (!uv.works) return Outcome::unavailable;
  trial.start();
  ::uv_update_time(&uv.loop);
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    const std::uint64_t delay = UvTimers::milliseconds_of(offsets[i]);
    uv.timers[i].data = reinterpret_cast<void*>(delay);
    ::uv_timer_start(&uv.timers[i], UvTimers::on_fired, delay, 0);
  }
  trial.stop();
  std::this_thread::sleep_for(spread_of(trial) + milliseconds(1));
  trial.start();
  ::uv_run(&uv.loop, UV_RUN_DEFAULT);
  trial.stop();
  return uv.tally.outcome();
}

Outcome libuv_cancelled(Trial& trial) {
  const auto offsets = offsets_of(trial);
  UvTimers uv(trial);
  if (!uv.works) return Outcome::unavailable;
  trial.start();
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    ::uv_timer_start(&uv.timers[i], UvTimers::on_fired,
                     UvTimers::milliseconds_of(hours(1) + offsets[i]), 0);
  }
  for (uv_timer_t& timer : uv.timers) ::uv_timer_stop(&timer);
  trial.stop();
  return ::uv_loop_alive(&uv.loop) == 0 ? Outcome::right : Outcome::wrong;
}
#else
constexpr bench::Run libuv_overdue = bench::not_built;
constexpr bench::Run libuv_cancelled = bench::not_built;
#endif

// Asio -----------------------------------------------------------------------------

#ifdef WEV_BENCH_HAS_ASIO
std::vector<asio::steady_timer> asio_timers(asio::io_context& io, std::size_t count) {
  std::vector<asio::steady_timer> timers;
  timers.reserve(count);
  for (std::size_t i = 0; i < count; ++i) timers.emplace_back(io);
  return timers;
}

Outcome asio_overdue(Trial& trial) {
  const auto offsets = offsets_of(trial);
  Tally tally(trial);
  asio::io_context io(1);
  auto timers = asio_timers(io, trial.size());
  const auto first = std::chrono::steady_clock::now() - spread_of(trial);
  trial.start();
  for (std::size_t i = 0; i < timers.size(); ++i) {
    timers[i].expires_at(first + offsets[i]);
    timers[i].async_wait([&tally, deadline = offsets[i].count()](const asio::error_code& error) {
      if (error) tally.fail();
      tally.fired(deadline);
    });
  }
  io.run();
  trial.stop();
  return tally.outcome();
}

Outcome asio_cancelled(Trial& trial) {
  const auto offsets = offsets_of(trial);
  Tally tally(trial);
  asio::io_context io(1);
  auto timers = asio_timers(io, trial.size());
  const auto first = std::chrono::steady_clock::now() + hours(1);
  trial.start();
  for (std::size_t i = 0; i < timers.size(); ++i) {
    timers[i].expires_at(first + offsets[i]);
    timers[i].async_wait([&tally](const asio::error_code& error) {
      if (error != asio::error::operation_aborted) tally.fail();
      tally.cancelled();
    });
  }
  for (asio::steady_timer& timer : timers) timer.cancel();
  io.run();
  trial.stop();
  return tally.outcome();
}
#else
constexpr bench::Run asio_overdue = bench::not_built;
constexpr bench::Run asio_cancelled = bench::not_built;
#endif

}  // namespace

int main(int argc, char** argv) {
  const bench::Options options(argc, argv, {.size = 1'000'000, .tiny_size = 2'000});
  bench::Contest overdue("timers, random within a second, all overdue: set and fire", "timer",
                         options);
  overdue.add("heap of pointers", heap_overdue);
  overdue.add("wev", wev_overdue, "heap of pointers");
  overdue.add("libuv", libuv_overdue, "heap of pointers");
  overdue.add("Asio", asio_overdue, "heap of pointers");
  bench::Contest cancelled("timers, far and random: set, then cancel all", "timer", options);
  cancelled.add("heap of pointers", heap_cancelled);
  cancelled.add("wev", wev_cancelled, "heap of pointers");
  cancelled.add("libuv", libuv_cancelled, "heap of pointers");
  cancelled.add("Asio", asio_cancelled, "heap of pointers");
  const bool first = overdue.run();
  const bool second = cancelled.run();
  return first && second ? 0 : 1;
}
