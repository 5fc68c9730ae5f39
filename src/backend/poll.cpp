#include "backend/poll.hpp"

#include <algorithm>
#include <utility>

#include "sys/port.hpp"
#include "sys/posix.hpp"

namespace wev {

namespace {

// For a driver that cannot sleep on anything.
constexpr Duration look_interval = std::chrono::milliseconds(1);
// Of what says that there is an error, though an operation finds none.
constexpr Duration vain_interval = std::chrono::milliseconds(10);

constexpr short ended = POLLHUP | POLLERR | POLLNVAL;

constexpr short bits_of(Direction direction) noexcept {
  return direction == Direction::in ? sys::poll_in : POLLOUT;
}

}  // namespace

Poll::Poll(const BackendOptions& options) noexcept : ReadinessBackend(options.native) {
  if (waker_.fd() < 0) {
    works_ = std::unexpected(sys::last_error());
  } else if (!polled_.push_back({waker_.fd(), POLLIN, 0}) || !owners_.push_back(nullptr)) {
    works_ = std::unexpected(std::errc::not_enough_memory);
  }
}

Instant Poll::look_by(Instant looked_at) const { return after(looked_at, look_interval); }

// poll(2) takes whatever is open.
Expected<bool> Poll::add(Descriptor&) noexcept {
  if (!polled_.reserve(added_ + 2) || !owners_.reserve(added_ + 2)) {
    return std::unexpected(std::errc::not_enough_memory);
  }
  ++added_;
  return true;
}

void Poll::remove(Descriptor&) noexcept { --added_; }

void Poll::watch(Descriptor& descriptor, Direction direction, bool waits) noexcept {
  std::uint32_t& index = descriptor.backend_index;
  if (index == 0) {
    if (!waits) return;
    index = static_cast<std::uint32_t>(polled_.size());
    (void)polled_.push_back({descriptor.number, 0, 0});  // reserved by add()
    (void)owners_.push_back(&descriptor);
  }
  short& events = polled_[index].events;
  events = static_cast<short>(waits ? events | bits_of(direction) : events & ~bits_of(direction));
  if (events != 0) return;
  polled_[index] = polled_.back();
  owners_[index] = owners_.back();
  owners_[index]->backend_index = index;
  polled_.pop_back();
  owners_.pop_back();
  index = 0;
}

Expected<void> Poll::poll(Instant until, Instant now) noexcept {
  if (left_out_until_ != never) {
    now = this->now();
    if (now >= left_out_until_) bring_back();
    until = std::min(until, left_out_until_);
  }
  const timespec timeout = timeout_until(until, now);
  const auto count = events_of(
      sys::poll_until(polled_.data(), polled_.size(), until == never ? nullptr : &timeout));
  if (!count) return std::unexpected(count.error());
  if (*count == 0) return {};
  if (polled_[0].revents != 0) waker_.drain();
  // Last first: one that is taken may leave the set, which moves the last to its place.
  for (std::size_t i = polled_.size(); i-- > 1;) {
    const short events = std::exchange(polled_[i].revents, short{0});
    if (events == 0) continue;
    Descriptor& descriptor = *owners_[i];
    take(descriptor, events);
    const std::size_t index = descriptor.backend_index;
    if ((events & ended) != 0 && index != 0) leave_out(index);
  }
  return {};
}

// An operation waits still: a socket's queue of errors is not empty, which no receive empties.
// Asked again at once, poll() would never sleep.
void Poll::leave_out(std::size_t index) noexcept {
  polled_[index].fd = -1;
  if (left_out_until_ == never) left_out_until_ = after(now(), vain_interval);
}

void Poll::bring_back() noexcept {
  for (std::size_t i = 1; i < polled_.size(); ++i) polled_[i].fd = owners_[i]->number;
  left_out_until_ = never;
}

void Poll::take(Descriptor& descriptor, short events) noexcept {
  if ((events & ~(POLLIN | POLLOUT)) != 0) over(descriptor, Direction::in);
  if ((events & ended) != 0) over(descriptor, Direction::out);
  if ((events & (sys::poll_in | ended)) != 0) ready(descriptor, Direction::in);
  if ((events & (POLLOUT | ended)) != 0) ready(descriptor, Direction::out);
}

}  // namespace wev
