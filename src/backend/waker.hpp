// waker.hpp: how another thread ends a native backend's sleep.
//
// One word says whether the loop sleeps, so that waking one that is awake costs
// no system call. The eventfd behind it is watched edge-triggered and never
// read: each write is an edge. What watches it level-triggered drains it.
#pragma once

#include <atomic>
#include <cstdint>

namespace wev {

class Waker {
 public:
  /// fd() is -1 if the system has no descriptor to give.
  Waker() noexcept;
  ~Waker();
  Waker(const Waker&) = delete;
  Waker& operator=(const Waker&) = delete;

  [[nodiscard]] int fd() const noexcept { return fd_; }

  /// Any thread.
  void wake() noexcept;

  /// The loop's thread is about to sleep. false: it was woken, it must not.
  [[nodiscard]] bool begin_sleep() noexcept;
  void end_sleep() noexcept;
  /// Somebody is about to sleep who watches the descriptor: one that was woken makes it
  /// readable now. Until end_sleep().
  void begin_sleep_elsewhere() noexcept;
  /// Makes the descriptor unreadable, for whoever watches it level-triggered.
  void drain() noexcept;

 private:
  void signal() noexcept;

  enum class State : std::uint8_t { awake, asleep, woken };

  std::atomic<State> state_{State::awake};
  int fd_;
};

}  // namespace wev
