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

}  // namespace

Kqueue::Kqueue(const BackendOptions& options) noexcept
    : ReadinessBackend(options.native), kqueue_(sys::open_kqueue()) {
  if (!kqueue_.is_open() || waker_.fd() < 0) {
    works_ = std::unexpected(sys::last_error());
  } else if (const auto added = change(waker_.fd(), EV_ADD | EV_CLEAR, nullptr); !added) {
    works_ = std::unexpected(added.error());
  }
}

// Each direction may be refused on its own: a pipe's end has but one. false: both were.
Expected<bool> Kqueue::change(int fd, std::uint16_t flags, void* userdata) noexcept {
  std::array<struct kevent, 2> changes;
  const auto ident = static_cast<std::uintptr_t>(fd);
  flags |= EV_RECEIPT;
  EV_SET(&changes[0], ident, EVFILT_READ, flags, 0, 0, userdata);
  EV_SET(&changes[1], ident, EVFILT_WRITE, flags, 0, 0, userdata);
  const auto receipts =
      sys::to_result(::kevent(kqueue_.get(), changes.data(), 2, changes.data(), 2, nullptr));
  if (!receipts) return std::unexpected(receipts.error());
  const auto out_of_memory = [](const struct kevent& receipt) { return receipt.data == ENOMEM; };
  if (std::ranges::any_of(changes, out_of_memory)) {
    return std::unexpected(std::errc::not_enough_memory);
  }
  return std::ranges::any_of(changes, [](const struct kevent& done) { return done.data == 0; });
}

Expected<bool> Kqueue::add(Descriptor& descriptor) noexcept {
  const auto added = change(descriptor.number, EV_ADD | EV_CLEAR, &descriptor);
  if (!added) remove(descriptor);  // one direction may have been
  return added;
}

void Kqueue::remove(Descriptor& descriptor) noexcept {
  (void)change(descriptor.number, EV_DELETE, nullptr);
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
