// signal.hpp: signals as something to wait for.
//
//   auto interrupt = wev::Signal::open(loop, SIGINT);
//   if (!interrupt) ...
//   wev::Expected<unsigned> times = co_await interrupt->wait();
//
// From open() on the signal does nothing else in this program: neither its default
// nor a handler that was there before happens, and system calls it interrupts go
// on. When the last Signal of a number is gone, what was there before is back,
// unless somebody has put something else in its place meanwhile.
//
// Delivery   Any number of Signals for one number, on any loops and threads: each
//            gets every delivery. What comes while nobody waits is kept and
//            counted; nothing is lost but what the system itself merges, which
//            does so while a signal is pending.
// Blocked    A signal that all threads block never comes. A loop's thread blocks
//            SIGPIPE.
// Children   Programs started do not inherit it. A fork() without exec does, and
//            what that process is sent counts here as well.
// Thread     Its loop's.
#pragma once

#include <limits>
#include <utility>

#include "wev/io/handle.hpp"

namespace wev {

class Signal : private Handle {
 public:
  /// Nothing, until one is moved here.
  Signal() = default;
  Signal(Signal&&) noexcept = default;
  Signal& operator=(Signal&& other) noexcept;
  /// What is in flight ends with operation_canceled.
  ~Signal() { let_go(); }

  /// `signal`: SIGINT, ... invalid_argument: it is no signal, cannot be caught
  /// (SIGKILL, SIGSTOP), or tells of a fault (SIGSEGV, SIGBUS, SIGFPE, SIGILL).
  /// too_many_files_open; not_enough_memory; where there are no signals
  /// operation_not_supported.
  static Expected<Signal> open(Loop& loop, int signal);

  using Handle::is_open;
  using Handle::loop;

  struct ToTimes {
    Expected<unsigned> operator()(RequestBase&, Result result) const noexcept {
      if (!result) return std::unexpected(result.error());
      constexpr unsigned most = std::numeric_limits<unsigned>::max();
      return *result < most ? static_cast<unsigned>(*result) : most;
    }
  };
  /// Ends with how often the signal came since the last time it was told here, at
  /// least 1, as soon as it has. Several waits on one Signal have their turns; to
  /// tell each, open more. REQUIRES: is_open().
  Awaitable<ToTimes> wait() const noexcept {
    WEV_ASSERT(is_open(), "Signal::wait: it is not open");
    return {loop(), op::wait_signal(fd())};
  }

  /// As Handle::close. It counts no more when this returns. REQUIRES: is_open().
  Awaitable<ToNothing> close() noexcept {
    let_go();
    return Handle::close();
  }

 private:
  Signal(Loop& loop, int fd) noexcept : Handle(loop, fd) {}
  void let_go() noexcept;
};

}  // namespace wev
