#include "backend/waker.hpp"

namespace wev {

Waker::Waker() noexcept { (void)sys::open_counter(counter_); }

Waker::~Waker() { sys::close_counter(counter_); }

void Waker::wake() noexcept {
  // Only the first one after it fell asleep writes.
  if (state_.exchange(State::woken, std::memory_order_acq_rel) == State::asleep) signal();
}

void Waker::signal() noexcept { sys::count_up(counter_.writer); }

void Waker::drain() noexcept { (void)sys::take_count(counter_.reader); }

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
