// timer.hpp: something to do later, once or again and again.
//
//   wev::Timer timer(loop);
//   timer.every(100ms, [this](std::size_t periods) { ... });
//
// Fires      Never before its time, see loop.hpp. `periods` is 1, or more where
//            the program was busy past some: they are counted, not replayed.
// Callback   An InlineCallable, with `periods` as its argument or with none. It may stop the
//            timer, start it anew or destroy it.
// Lifetime   Destroying or stopping an armed timer means that its callback is not
//            called any more. It stays in place while armed.
#pragma once

#include <type_traits>
#include <utility>

#include "wev/base/inline_callable.hpp"
#include "wev/loop/loop.hpp"

namespace wev {

class Timer {
 public:
  explicit Timer(Loop& loop) noexcept : loop_(&loop) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer();

  /// Fires once, `delay` from now on. An armed timer is set anew.
  template <class Rep, class Period, class F>
  void after(std::chrono::duration<Rep, Period> delay, F callback) {
    arm(saturate(delay), false, std::move(callback));
  }
  /// Fires every `period`, without drift.
  template <class Rep, class Period, class F>
  void every(std::chrono::duration<Rep, Period> period, F callback) {
    arm(saturate(period), true, std::move(callback));
  }

  void stop() noexcept;
  [[nodiscard]] bool armed() const noexcept { return state_ != nullptr && state_->armed; }
  /// An armed timer that is unreferenced does not keep run() going; until it is set anew.
  /// REQUIRES: armed().
  void unref();

 private:
  // Lives on where the timer is destroyed before its cancel was delivered, or in
  // its own callback.
  struct State : Allocated {
    Completion completion;
    Timer* timer = nullptr;  // nullptr: it is gone, and so is this when it can be
    InlineFunction<std::size_t> callback;
    Instant first;  // when it fires next, and then every `period`
    Duration period{};
    bool armed = false;
    bool repeats = false;
    bool referenced = true;
    bool stopping = false;  // the cancel is our own
    bool calling = false;
  };

  template <class F>
  void arm(Duration delay, bool repeats, F callback) {
    static_assert(std::is_invocable_v<F&, std::size_t> || std::is_invocable_v<F&>,
                  "a timer's callback takes no argument, or how many periods have passed: "
                  "[] { ... } or [](std::size_t periods) { ... }");
    if constexpr (std::is_invocable_v<F&, std::size_t>) {
      state().callback.set(std::move(callback));
    } else if constexpr (std::is_invocable_v<F&>) {
      state().callback.set([callback](std::size_t) { callback(); });
    }
    start(delay, repeats);
  }
  State& state();
  void start(Duration delay, bool repeats);
  static void lend(Loop& loop, State& state);
  static Action on_fired(void* state, Loop& loop, Completion& completion, Result result);

  Loop* loop_;
  State* state_ = nullptr;
};

}  // namespace wev
