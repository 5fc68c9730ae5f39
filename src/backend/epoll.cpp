#include "backend/epoll.hpp"

#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>

#include "backend/readiness.hpp"
#include "sys/linux.hpp"

namespace wev {

namespace {

// How many events one call brings; more wait for the next.
constexpr int events_per_call = 256;
// backend_slot of what waits for its descriptor.
constexpr std::uint32_t waiting = 1;

// Rounded up, and as long as fits: waking early is no harm.
int milliseconds_of(const timespec& timeout, Instant deadline) noexcept {
  if (deadline == never) return -1;
  constexpr auto longest = std::chrono::milliseconds(std::numeric_limits<int>::max());
  const auto whole = std::chrono::ceil<std::chrono::milliseconds>(
      std::chrono::seconds(timeout.tv_sec) + Duration(timeout.tv_nsec));
  return static_cast<int>(std::min(whole, longest).count());
}

}  // namespace

Epoll::Epoll(const BackendOptions& options) noexcept
    : NativeBackend(options.linux_system),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      fine_((options.linux_system.without & linux_fine_timeouts) == 0) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = nullptr;  // of the waker
  const bool made = epoll_ >= 0 && waker_.fd() >= 0;
  // errno is of the last one that failed: to make one, or to add it.
  if (!made || ::epoll_ctl(epoll_, EPOLL_CTL_ADD, waker_.fd(), &event) != 0) {
    works_ = std::unexpected(sys::last_error());
  }
}

Epoll::~Epoll() {
  if (epoll_ >= 0) ::close(epoll_);
}

// Starting ---------------------------------------------------------------------

std::optional<Result> Epoll::start(Completion& completion) {
  const Operation& operation = completion.operation();
  if (operation.kind() == OperationKind::close) forget(completion.descriptor());
  if (!operation.has(waits) && !operation.has(blocks)) return operation.type->perform(operation);
  if (!operation.on_descriptor()) return blocking_.start(completion);
  Descriptor& descriptor = completion.descriptor();
  if (auto known = get_to_know(operation, descriptor); !known) {
    return std::unexpected(known.error());
  }
  if (transfers_nothing(operation)) return 0;
  if (operation.has(blocks)) return blocking_.start(completion);
  if ((descriptor.backend_flags & registered) == 0) {
    if (operation.kind() == OperationKind::poll) return readiness_of(operation);
    return blocking_.start(completion);
  }
  if ((descriptor.backend_flags & of(blocked, operation.type->direction)) == 0) {
    if (auto result = try_now(completion)) return result;
  }
  completion.backend_slot = waiting;
  return std::nullopt;
}

std::expected<void, Error> Epoll::get_to_know(const Operation& operation,
                                              Descriptor& descriptor) noexcept {
  std::uint32_t& flags = descriptor.backend_flags;
  // One that is only polled is someone else's, who may want it to block.
  const bool polls = operation.kind() == OperationKind::poll;
  if ((flags & known) == 0) {
    const auto traits = operation.type->examine(descriptor.fd, false);
    if (!traits) return std::unexpected(traits.error());
    const auto added = traits->always_ready ? false : add(descriptor);
    if (!added) return std::unexpected(added.error());
    flags = known | (*added ? registered : 0u) | (traits->short_is_all ? short_is_all : 0u) |
            (traits->nonblocking ? nonblocking : 0u);
    if (is_stdio(descriptor)) stdio_[descriptor.fd] = &descriptor;
  }
  if (!polls && (flags & (registered | nonblocking)) == registered) {
    sys::set_nonblocking(descriptor.fd, true);
    flags |= nonblocking | (is_stdio(descriptor) ? made_nonblocking : 0u);
  }
  return {};
}

// false: epoll takes no files.
std::expected<bool, Error> Epoll::add(Descriptor& descriptor) noexcept {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
  event.data.ptr = &descriptor;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor.fd, &event) == 0) return true;
  const Error error = sys::last_error();
  if (error == std::errc::operation_not_permitted) return false;
  // Left from one that was closed behind our back, and had a duplicate.
  if (error == std::errc::file_exists &&
      ::epoll_ctl(epoll_, EPOLL_CTL_MOD, descriptor.fd, &event) == 0) {
    return true;
  }
  return std::unexpected(error);
}

// What the result tells of the descriptor's readiness is noted. It was
// registered before, so what changes meanwhile is an edge to come.
std::optional<Result> Epoll::try_now(const Completion& completion) noexcept {
  const Operation& operation = completion.operation();
  std::uint32_t& flags = completion.descriptor().backend_flags;
  const Direction direction = operation.type->direction;
  std::optional<Result> result;
  do {
    result = attempt(operation);
  } while (result && !*result && result->error() == std::errc::interrupted);
  if (!result || tells_by_being_short(operation, flags, *result)) {
    flags |= of(blocked, direction);
  }
  return result;
}

bool Epoll::tells_by_being_short(const Operation& operation, std::uint32_t flags,
                                 const Result& result) noexcept {
  return operation.has(moves_bytes) && (flags & short_is_all) != 0 &&
         (flags & of(always_try, operation.type->direction)) == 0 &&
         (operation.io.flags & recv_peek) == 0 && result && *result > 0 &&
         *result < size_of(operation);
}

bool Epoll::cancel(Completion& completion) {
  if (Blocking::has(completion)) return blocking_.cancel(completion);
  completion.backend_slot = 0;
  return true;
}

void Epoll::forget(Descriptor& descriptor) noexcept {
  // Closing is not enough where the descriptor was duplicated.
  if ((descriptor.backend_flags & registered) != 0) {
    epoll_event unused{};
    (void)::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor.fd, &unused);
  }
  if (is_stdio(descriptor)) let_go_of_stdio(descriptor);
  descriptor.backend_flags = 0;
}

// Stdio is shared with other programs, which are used to it blocking; and often
// two or three of its descriptors are one open file.
void Epoll::let_go_of_stdio(Descriptor& descriptor) noexcept {
  stdio_[descriptor.fd] = nullptr;
  if ((descriptor.backend_flags & made_nonblocking) == 0) return;
  sys::set_nonblocking(descriptor.fd, false);
  for (Descriptor* other : stdio_) {
    if (other == nullptr || (other->backend_flags & nonblocking) == 0 ||
        sys::is_nonblocking(other->fd)) {
      continue;
    }
    sys::set_nonblocking(other->fd, true);
    other->backend_flags |= made_nonblocking;
  }
}

// Waiting ----------------------------------------------------------------------

std::expected<void, Error> Epoll::wait(Instant deadline, CompletionQueue& done) {
  blocking_.collect(done);
  const Instant at = begin_of_wait(deadline);
  const bool sleeps = deadline > at && done.empty() && waker_.begin_sleep();
  std::array<epoll_event, events_per_call> events;
  const Result count = wait_for_events(events, sleeps ? deadline : at, at);
  if (sleeps) waker_.end_sleep();
  if (!count && count.error() != std::errc::interrupted) return std::unexpected(count.error());
  for (const epoll_event& event : std::span(events).first(count.value_or(0))) {
    auto* descriptor = static_cast<Descriptor*>(event.data.ptr);
    if (descriptor != nullptr) take_event(*descriptor, event.events, done);
  }
  blocking_.collect(done);
  return {};
}

Result Epoll::wait_for_events(std::span<epoll_event> events, Instant deadline,
                              Instant now) noexcept {
  const int most = static_cast<int>(events.size());
  const timespec timeout = timeout_until(deadline, now);
  // epoll_wait is cheaper, where it is as good.
  if (fine_ && deadline != never && deadline > now) {
    const Result count =
        sys::to_result(::epoll_pwait2(epoll_, events.data(), most, &timeout, nullptr));
    // Before Linux 5.11; some containers say of what they do not know that it is
    // not permitted.
    if (count || (count.error() != std::errc::function_not_supported &&
                  count.error() != std::errc::operation_not_permitted)) {
      return count;
    }
    fine_ = false;
  }
  return sys::to_result(
      ::epoll_wait(epoll_, events.data(), most, milliseconds_of(timeout, deadline)));
}

void Epoll::take_event(Descriptor& descriptor, std::uint32_t events,
                       CompletionQueue& done) noexcept {
  constexpr std::uint32_t over = EPOLLHUP | EPOLLERR;
  if ((events & (EPOLLRDHUP | EPOLLPRI | over)) != 0) descriptor.backend_flags |= always_try;
  if ((events & over) != 0) descriptor.backend_flags |= always_try_out;
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLPRI | over)) != 0) {
    progress(descriptor, Direction::in, done);
  }
  if ((events & (EPOLLOUT | over)) != 0) progress(descriptor, Direction::out, done);
}

void Epoll::progress(Descriptor& descriptor, Direction direction, CompletionQueue& done) noexcept {
  descriptor.backend_flags &= ~of(blocked, direction);
  List<Completion>& queue = descriptor.queue(direction);
  if (queue.empty() || queue.front().backend_slot != waiting) return;
  Completion& completion = queue.front();
  if (const auto result = try_now(completion)) {
    completion.backend_slot = 0;
    done.push(completion, *result);
  }
}

}  // namespace wev
