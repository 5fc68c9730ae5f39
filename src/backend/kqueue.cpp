#include "backend/kqueue.hpp"

#include <sys/event.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>

#include "sys/bsd.hpp"

namespace wev {

namespace {

// Systems differ in what they take; to wake early does no harm.
constexpr Duration longest_sleep = std::chrono::hours(24);

constexpr std::array<std::int16_t, 2> both = {EVFILT_READ, EVFILT_WRITE};
constexpr auto read_only = std::span(both).first<1>();
constexpr auto write_only = std::span(both).last<1>();

}  // namespace

Kqueue::Kqueue(const BackendOptions& options) noexcept
    : ReadinessBackend(options.native), kqueue_(sys::open_kqueue()) {
  if (!kqueue_.is_open() || waker_.fd() < 0) {
    works_ = std::unexpected(sys::last_error());
  } else if (const auto added = change(waker_.fd(), read_only, EV_ADD | EV_CLEAR, nullptr);
             !added) {
    works_ = std::unexpected(added.error());
  }
}

// A child of fork() does not inherit it, and its number may be something else there.
Kqueue::~Kqueue() {
  if (origin_.is_parent()) (void)kqueue_.release();
}

// false: none of these is for what the descriptor is.
Expected<bool> Kqueue::change(int fd, std::span<const std::int16_t> filters, std::uint16_t flags,
                              void* userdata) noexcept {
  std::array<struct kevent, both.size()> changes;
  const auto used = std::span(changes).first(filters.size());
  for (std::size_t i = 0; i < used.size(); ++i) {
    EV_SET(&used[i], static_cast<std::uintptr_t>(fd), filters[i],
           static_cast<std::uint16_t>(flags | EV_RECEIPT), 0, 0, userdata);
  }
  const auto count = static_cast<int>(used.size());
  const auto receipts =
      sys::to_result(::kevent(kqueue_.get(), used.data(), count, used.data(), count, nullptr));
  if (!receipts) return std::unexpected(receipts.error());
  const auto out_of_memory = [](const struct kevent& receipt) { return receipt.data == ENOMEM; };
  if (std::ranges::any_of(used, out_of_memory)) {
    return std::unexpected(std::errc::not_enough_memory);
  }
  return std::ranges::any_of(used, [](const struct kevent& done) { return done.data == 0; });
}

// A pipe's end has but one direction.
Expected<bool> Kqueue::add(Descriptor& descriptor) noexcept {
  const auto reading = change(descriptor.number, read_only, EV_ADD | EV_CLEAR, &descriptor);
  if (!reading || *reading) return reading;
  return change(descriptor.number, write_only, EV_ADD | EV_CLEAR, &descriptor);
}

// One that was added is told of again, if it is ready.
Expected<void> Kqueue::add_writing(Descriptor& descriptor) noexcept {
  const auto added = change(descriptor.number, write_only, EV_ADD | EV_CLEAR, &descriptor);
  if (!added) return std::unexpected(added.error());
  return {};
}

void Kqueue::remove(Descriptor& descriptor) noexcept {
  (void)change(descriptor.number, both, EV_DELETE, nullptr);
}

Expected<void> Kqueue::poll(Instant until, Instant now) noexcept {
  std::array<struct kevent, most_events> events;
  timespec timeout{};
  if (until != never) timeout = timeout_until(std::min(until, after(now, longest_sleep)), now);
  const auto count = events_of(::kevent(kqueue_.get(), nullptr, 0, events.data(), most_events,
                                        until == never ? nullptr : &timeout));
  if (!count) return std::unexpected(count.error());
  for (const struct kevent& event : std::span(events).first(*count)) {
    auto* descriptor = static_cast<Descriptor*>(event.udata);
    if (descriptor == nullptr) {
      waker_.drain();
      continue;
    }
    const Direction direction = event.filter == EVFILT_READ ? Direction::in : Direction::out;
    if ((event.flags & (EV_EOF | EV_ERROR)) != 0) over(*descriptor, direction);
    ready(*descriptor, direction);
  }
  return {};
}

}  // namespace wev
