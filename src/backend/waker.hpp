// waker.hpp: how another thread ends a native backend's sleep.
//
// One word says whether the loop sleeps, so that waking one that is awake costs
// no system call. The descriptor behind it is written to once for each sleep. An
// eventfd that is watched edge-triggered is never read, since each write is an edge;
// a pipe would fill, and what is watched level-triggered stays readable: who watches
// these drains them.
#pragma once

#include <atomic>
#include <cstdint>

#include "sys/port.hpp"

namespace wev {

class Waker {
 public:
  /// fd() is -1 if the system has no descriptor to give.
  Waker() noexcept;
  ~Waker();
  Waker(const Waker&) = delete;
  Waker& operator=(const Waker&) = delete;

  [[nodiscard]] int fd() const noexcept { return counter_.reader; }

  /// Any thread.
  void wake() noexcept;

  /// The loop's thread is about to sleep. false: it was woken, it must not.
  [[nodiscard]] bool begin_sleep() noexcept;
  void end_sleep() noexcept;
  /// Somebody is about to sleep who watches the descriptor: one that was woken makes it
  /// readable now. Until end_sleep().
  void begin_sleep_elsewhere() noexcept;
  /// Makes the descriptor unreadable.
  void drain() noexcept;

 private:
  void signal() noexcept;

  enum class State : std::uint8_t { awake, asleep, woken };

  std::atomic<State> state_{State::awake};
  sys::Counter counter_;
};

}  // namespace wev
