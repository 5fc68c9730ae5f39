// native.hpp: what the native backends have in common: their clock, being woken,
// and a thread pool for what their system cannot do in the background.
#pragma once

#include <time.h>

#include <utility>

#include "backend/blocking.hpp"
#include "backend/waker.hpp"
#include "wev/backend/backends.hpp"

namespace wev {

class NativeBackend : public Backend {
 public:
  /// Why it does not work here, if it does not.
  [[nodiscard]] std::expected<void, Error> works() const noexcept { return works_; }

  void wake() noexcept override { waker_.wake(); }
  [[nodiscard]] Instant now() const override;
  void quiesce() noexcept override { blocking_.join(); }
  Expected<void> arm() override;

 protected:
  explicit NativeBackend(const NativeOptions& options) noexcept : blocking_(options, waker_) {}

  /// When a wait until `deadline` begins. Reading the clock is not free, so it is not
  /// read where it does not matter: without a deadline.
  [[nodiscard]] Instant begin_of_wait(Instant deadline) const noexcept {
    return deadline == never ? Instant() : now();
  }
  /// What is left until `deadline`, at least 0.
  [[nodiscard]] static timespec timeout_until(Instant deadline, Instant now) noexcept;
  /// The same in whole milliseconds, rounded up, as long as fits; -1: without limit.
  [[nodiscard]] static int milliseconds_until(Instant deadline, Instant now) noexcept;

  /// The loop is back from a sleep elsewhere.
  void disarm() noexcept {
    if (std::exchange(armed_, false)) waker_.end_sleep();
  }

  Waker waker_;
  Blocking blocking_;
  std::expected<void, Error> works_;

 private:
  bool armed_ = false;
};

}  // namespace wev
