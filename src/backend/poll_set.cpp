#include "backend/poll_set.hpp"

namespace wev {

using namespace sys::wasi;

// Room is made for an operation in both arrays whichever it goes to, so that
// moving it between them cannot fail.
bool PollSet::reserve(std::size_t operations) noexcept {
  return subscriptions_.reserve(operations + 1) && waiting_.reserve(operations) &&
         parked_.reserve(operations) && events_.reserve(operations + 1);
}

bool PollSet::subscribe(Completion& completion) noexcept {
  if (!reserve(waiting_.size() + parked_.size() + 1)) return false;
  append(completion);
  return true;
}

bool PollSet::park(Completion& completion) noexcept {
  if (!reserve(waiting_.size() + parked_.size() + 1)) return false;
  append_parked(completion);
  return true;
}

void PollSet::append(Completion& completion) noexcept {
  if (subscriptions_.empty()) {
    (void)subscriptions_.push_back(clock_subscription(0));  // reserved
  }
  (void)waiting_.push_back(&completion);
  completion.note = static_cast<std::uint32_t>(waiting_.size());
  const Operation& operation = completion.operation();
  Subscription subscription{};
  subscription.userdata = completion.note;
  subscription.tag =
      operation.type->direction == Direction::in ? eventtype_fd_read : eventtype_fd_write;
  subscription.fd = operation.io.fd;
  (void)subscriptions_.push_back(subscription);
}

void PollSet::append_parked(Completion& completion) noexcept {
  (void)parked_.push_back(&completion);
  completion.note = static_cast<std::uint32_t>(parked_.size()) | parked_bit;
}

void PollSet::remove(Completion& completion) noexcept {
  const std::uint32_t slot = completion.note & ~parked_bit;
  if (is_parked(completion)) {
    parked_[slot - 1] = parked_.back();
    parked_[slot - 1]->note = slot | parked_bit;
    parked_.pop_back();
  } else {
    subscriptions_[slot] = subscriptions_.back();
    subscriptions_[slot].userdata = slot;
    subscriptions_.pop_back();
    waiting_[slot - 1] = waiting_.back();
    waiting_[slot - 1]->note = slot;
    waiting_.pop_back();
  }
  completion.note = 0;
}

void PollSet::park_subscribed(Completion& completion) noexcept {
  remove(completion);
  append_parked(completion);
}

void PollSet::subscribe_parked(Completion& completion) noexcept {
  remove(completion);
  append(completion);
}

Subscription PollSet::clock_subscription(Timestamp timeout_ns) noexcept {
  Subscription subscription{};
  subscription.tag = eventtype_clock;
  subscription.clock = {clock_monotonic, timeout_ns, 0, 0};
  return subscription;
}

Subscription* PollSet::subscriptions(Timestamp timeout_ns) noexcept {
  if (waiting_.empty()) return &(clock_ = clock_subscription(timeout_ns));
  subscriptions_[0].clock.timeout = timeout_ns;
  return subscriptions_.data();
}

Completion* PollSet::owner(const Event& event) const noexcept {
  const std::uint64_t slot = event.userdata;
  if (slot == 0 || slot > waiting_.size() || event.type != subscriptions_[slot].tag) {
    return nullptr;
  }
  return waiting_[slot - 1];
}

}  // namespace wev
