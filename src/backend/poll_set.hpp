// poll_set.hpp: the subscriptions handed to poll_oneoff.
//
// The first is always the clock. Behind it stands one for each waiting
// operation, whose completion keeps the index: adding and removing are O(1),
// there is no cap, and a call needs no copying. Removing swaps the last one in.
//
// An operation is parked instead of subscribed where a subscription would not
// do: a descriptor that the host refuses to poll, or one that is subscribed in
// the other direction (most hosts take it in two subscriptions badly). The
// backend tries parked ones from time to time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sys/wasi.hpp"
#include "wev/base/array.hpp"
#include "wev/loop/completion.hpp"

namespace wev {

class PollSet {
 public:
  using Subscription = sys::wasi::Subscription;
  using Event = sys::wasi::Event;

  /// false: out of memory, nothing changed.
  [[nodiscard]] bool subscribe(Completion& completion) noexcept;
  [[nodiscard]] bool park(Completion& completion) noexcept;
  /// REQUIRES: it is subscribed or parked.
  void remove(Completion& completion) noexcept;

  /// From the set to the parked, and back. There is always room.
  void park_subscribed(Completion& completion) noexcept;
  void subscribe_parked(Completion& completion) noexcept;

  [[nodiscard]] static bool contains(const Completion& c) noexcept { return c.note != 0; }
  [[nodiscard]] static bool is_parked(const Completion& c) noexcept {
    return (c.note & parked_bit) != 0;
  }

  /// Subscribed operations; the clock does not count.
  [[nodiscard]] std::size_t size() const noexcept { return waiting_.size(); }
  [[nodiscard]] Completion& operator[](std::size_t i) const noexcept { return *waiting_[i]; }
  [[nodiscard]] std::size_t parked_size() const noexcept { return parked_.size(); }
  [[nodiscard]] Completion& parked(std::size_t i) const noexcept { return *parked_[i]; }

  /// For the call: the clock with this relative timeout, and the operations.
  /// size() + 1 of each. Until the set changes.
  [[nodiscard]] Subscription* subscriptions(sys::wasi::Timestamp timeout_ns) noexcept;
  [[nodiscard]] Event* events() noexcept { return waiting_.empty() ? &event_ : events_.data(); }

  /// Whose event this is; nullptr for the clock's and for anything a host makes
  /// up. Only right until the set changes.
  [[nodiscard]] Completion* owner(const Event& event) const noexcept;

  [[nodiscard]] static Subscription clock_subscription(sys::wasi::Timestamp timeout_ns) noexcept;
  /// The subscription of (*this)[i].
  [[nodiscard]] const Subscription& subscription(std::size_t i) const noexcept {
    return subscriptions_[i + 1];
  }

 private:
  static constexpr std::uint32_t parked_bit = 1u << 31;

  bool reserve(std::size_t operations) noexcept;
  void append(Completion& completion) noexcept;
  void append_parked(Completion& completion) noexcept;

  Array<Subscription> subscriptions_;  // [0] the clock, [i + 1] of waiting_[i], userdata i + 1
  Array<Completion*> waiting_;         // note is i + 1
  Array<Completion*> parked_;          // note is i + 1 with parked_bit
  Array<Event> events_;
  // Where nothing is subscribed: to wait for the clock alone needs no memory.
  Subscription clock_{};
  Event event_{};
};

}  // namespace wev
