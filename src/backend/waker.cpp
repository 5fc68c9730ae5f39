#include "backend/waker.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

namespace wev {

Waker::Waker() noexcept : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Waker::~Waker() {
  if (fd_ >= 0) ::close(fd_);
}

void Waker::wake() noexcept {
  // Only the first one after it fell asleep writes. It cannot fail: the counter
  // would take centuries to be full.
  if (state_.exchange(State::woken, std::memory_order_acq_rel) == State::asleep) signal();
}

void Waker::signal() noexcept { (void)::eventfd_write(fd_, 1); }

void Waker::drain() noexcept {
  eventfd_t times = 0;
  (void)::eventfd_read(fd_, &times);
}

void Waker::begin_sleep_elsewhere() noexcept {
  if (state_.exchange(State::asleep, std::memory_order_acq_rel) == State::woken) signal();
}

bool Waker::begin_sleep() noexcept {
  State expected = State::awake;
  if (state_.compare_exchange_strong(expected, State::asleep, std::memory_order_acq_rel)) {
    return true;
  }
  end_sleep();
  return false;
}

// Takes a wake() that came meanwhile along with what preceded it.
void Waker::end_sleep() noexcept { state_.exchange(State::awake, std::memory_order_acq_rel); }

}  // namespace wev
