// native.hpp: what the native backends have in common: their clock, being woken,
// and a thread pool for what their system cannot do in the background.
#pragma once

#include <time.h>

#include <utility>

#include "backend/blocking.hpp"
#include "backend/waker.hpp"
#include "sys/posix.hpp"
#include "sys/transfer.hpp"
#include "wev/backend/backends.hpp"

namespace wev {

class NativeBackend : public Backend {
 public:
  /// Why it does not work here, if it does not.
  [[nodiscard]] std::expected<void, Error> works() const noexcept { return works_; }

  void wake() noexcept override {
    if (!origin_.is_parent()) waker_.wake();
  }
  [[nodiscard]] Instant now() const override;
  void quiesce() noexcept override { blocking_.join(); }
  Expected<void> arm() override;

 protected:
  explicit NativeBackend(const NativeOptions& options) noexcept
      : blocking_(options, waker_), calls_((options.without & linux_transfer_now) == 0) {}

  /// When a wait until `deadline` begins. Reading the clock is not free, so it is not
  /// read where it does not matter: without a deadline.
  [[nodiscard]] Instant begin_of_wait(Instant deadline) const noexcept {
    return deadline == never ? Instant() : now();
  }
  /// What is left until `deadline`, at least 0.
  [[nodiscard]] static timespec timeout_until(Instant deadline, Instant now) noexcept;
  /// The same in whole milliseconds, rounded up, as long as fits; -1: without limit.
  [[nodiscard]] static int milliseconds_until(Instant deadline, Instant now) noexcept;

  /// How transfers on a descriptor that is no socket do not wait, see sys::way_of. Those with an
  /// open file of their own are carried out on Descriptor::native.
  [[nodiscard]] sys::Unwaiting find_way(Descriptor& descriptor) const noexcept;
  /// The same where by_call has proved to be none.
  [[nodiscard]] static sys::Unwaiting find_other_way(Descriptor& descriptor) noexcept;
  static void close_own(Descriptor& descriptor) noexcept;

  /// Whether what has ended so has to wait: also for a pipe's first writer.
  [[nodiscard]] static bool blocks_natively(const Operation& operation,
                                            const Result& result) noexcept;

  /// The loop is back from a sleep elsewhere.
  void disarm() noexcept {
    if (std::exchange(armed_, false)) waker_.end_sleep();
  }

  // Being lost, see Backend.

  /// By what it is lost, if it is: an error that was told, or that this is another process.
  [[nodiscard]] Expected<void> still_works() const noexcept {
    if (origin_.is_parent()) return std::unexpected(Errc::forked);
    return lost_;
  }
  /// For pollable().
  [[nodiscard]] Expected<int> unless_lost(int fd) const noexcept {
    if (auto works = still_works(); !works) return std::unexpected(works.error());
    return fd;
  }
  /// Remembers what went wrong.
  Expected<void> unless_lost(Expected<void> outcome) noexcept {
    if (!outcome && lost_) lost_ = outcome;
    return outcome;
  }
  /// Of an operation that is on a thread.
  std::optional<Result> cancel_on_thread(Completion& completion) noexcept {
    return still_works() ? blocking_.cancel(completion) : blocking_.end(completion);
  }

  const sys::Origin origin_;
  Waker waker_;
  Blocking blocking_;
  std::expected<void, Error> works_;

 private:
  const bool calls_;  // may be tried, see find_way()
  bool armed_ = false;
  Expected<void> lost_;
};

}  // namespace wev
