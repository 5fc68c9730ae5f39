#include "backend/epoll.hpp"

#include <sys/epoll.h>

#include <array>
#include <span>

#include "sys/posix.hpp"

namespace wev {

namespace {

constexpr std::uint32_t reading = EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET;

int control(int epoll, int how, Descriptor& descriptor, std::uint32_t events) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &descriptor;
  return ::epoll_ctl(epoll, how, descriptor.number, &event);
}

}  // namespace

Epoll::Epoll(const BackendOptions& options) noexcept
    : ReadinessBackend(options.native),
      epoll_(sys::above_stdio(sys::OwnedFd(::epoll_create1(EPOLL_CLOEXEC)))),
      fine_((options.native.without & linux_fine_timeouts) == 0) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = nullptr;  // of the waker
  const bool made = epoll_.is_open() && waker_.fd() >= 0;
  // errno is of the last one that failed: to make one, or to add it.
  if (!made || ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, waker_.fd(), &event) != 0) {
    works_ = std::unexpected(sys::last_error());
  }
}

Expected<bool> Epoll::add(Descriptor& descriptor) noexcept {
  if (control(epoll_.get(), EPOLL_CTL_ADD, descriptor, reading) == 0) return true;
  const Error error = sys::last_error();
  if (error == std::errc::operation_not_permitted) return false;  // a file
  // Left from one that was closed behind our back, and had a duplicate.
  if (error == std::errc::file_exists &&
      control(epoll_.get(), EPOLL_CTL_MOD, descriptor, reading) == 0) {
    return true;
  }
  return std::unexpected(error);
}

// What is ready by now is told as a change.
Expected<void> Epoll::add_writing(Descriptor& descriptor) noexcept {
  if (control(epoll_.get(), EPOLL_CTL_MOD, descriptor, reading | EPOLLOUT) == 0) return {};
  return std::unexpected(sys::last_error());
}

void Epoll::remove(Descriptor& descriptor) noexcept {
  (void)control(epoll_.get(), EPOLL_CTL_DEL, descriptor, 0);
}

Expected<void> Epoll::poll(Instant until, Instant now) noexcept {
  std::array<epoll_event, most_events> events;
  const auto count = events_of(wait(events.data(), most_events, until, now));
  if (!count) return std::unexpected(count.error());
  for (const epoll_event& event : std::span(events).first(*count)) {
    auto* descriptor = static_cast<Descriptor*>(event.data.ptr);
    if (descriptor != nullptr) take(*descriptor, event.events);
  }
  return {};
}

int Epoll::wait(epoll_event* events, int most, Instant until, Instant now) noexcept {
  // epoll_wait is cheaper, where it is as good.
  if (fine_ && until != never && until > now) {
    const timespec timeout = timeout_until(until, now);
    const int count = ::epoll_pwait2(epoll_.get(), events, most, &timeout, nullptr);
    // Before Linux 5.11; some containers say of what they do not know that it is
    // not permitted.
    if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
    fine_ = false;
  }
  return ::epoll_wait(epoll_.get(), events, most, milliseconds_until(until, now));
}

void Epoll::take(Descriptor& descriptor, std::uint32_t events) noexcept {
  constexpr std::uint32_t ended = EPOLLHUP | EPOLLERR;
  const bool in = (events & (EPOLLIN | EPOLLRDHUP | EPOLLPRI | ended)) != 0;
  const bool out = (events & (EPOLLOUT | ended)) != 0;
  if ((events & (EPOLLRDHUP | EPOLLPRI | ended)) != 0) over(descriptor, Direction::in);
  if ((events & ended) != 0) over(descriptor, Direction::out);
  if (in) ready(descriptor, Direction::in);
  if (out) ready(descriptor, Direction::out);
}

}  // namespace wev
