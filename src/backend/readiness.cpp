#include "backend/readiness.hpp"

#include "backend/attempt.hpp"
#include "sys/port.hpp"
#include "sys/posix.hpp"

namespace wev {

// Getting to know ------------------------------------------------------------------

Expected<void> ReadinessBackend::know(Descriptor& descriptor, const Operation& operation) {
  if (auto works = still_works(); !works) return works;
  std::uint32_t& flags = descriptor.backend_flags;
  if (descriptor.known == Descriptor::Known::no) {
    if (auto known = know_first(descriptor, operation); !known) return known;
  }
  if (operation.kind() == OperationKind::poll) return {};
  if ((flags & (added | has_way)) == added) {
    set_way(descriptor, find_way(descriptor));
  }
  return {};
}

Expected<void> ReadinessBackend::know_first(Descriptor& descriptor, const Operation& operation) {
  const auto traits = operation.type->examine(descriptor.number, false, nullptr);
  if (!traits) return std::unexpected(traits.error());
  const auto can_wait = traits->always_ready ? false : add(descriptor);
  if (!can_wait) return std::unexpected(can_wait.error());
  descriptor.backend_flags = (*can_wait ? added : 0u) | (traits->short_is_all ? short_is_all : 0u);
  if (traits->may_be_socket) set_way(descriptor, sys::Unwaiting::by_message);
  return {};
}

void ReadinessBackend::set_way(Descriptor& descriptor, sys::Unwaiting way) noexcept {
  std::uint32_t& flags = descriptor.backend_flags;
  flags &= ~(first_of_way | last_of_way);
  flags |= has_way | first_of_way * static_cast<std::uint32_t>(way);
}

void ReadinessBackend::release(Descriptor& descriptor) noexcept {
  // Closing is not enough where the descriptor was duplicated. What the poller of a parent knows
  // is the parent's.
  if ((descriptor.backend_flags & added) != 0 && !origin_.is_parent()) remove(descriptor);
  close_own(descriptor);
  descriptor.backend_flags = 0;
}

// Starting -------------------------------------------------------------------------

std::optional<Result> ReadinessBackend::start(Completion& completion) {
  const Operation& operation = completion.operation();
  if (operation.kind() == OperationKind::close) release(completion.descriptor());
  if (!operation.has(waits) && !operation.has(blocks)) return operation.perform();
  if (auto works = still_works(); !works) return std::unexpected(works.error());
  if (!operation.on_descriptor()) return blocking_.start(completion);
  Descriptor& descriptor = completion.descriptor();
  if (transfers_nothing(operation)) return 0;
  if (operation.has(blocks)) return blocking_.start(completion);
  if ((descriptor.backend_flags & added) == 0) {
    if (operation.kind() == OperationKind::poll) return readiness_of(operation);
    return blocking_.start(completion);
  }
  const Direction direction = operation.type->direction;
  if ((descriptor.backend_flags & of(blocked, direction)) == 0) {
    if (auto result = try_now(completion, Try::first)) return result;
  }
  if (auto looked = look_for(descriptor, direction); !looked) {
    return std::unexpected(looked.error());
  }
  completion.note = waiting;
  watch(descriptor, direction, true);
  return std::nullopt;
}

Expected<void> ReadinessBackend::look_for(Descriptor& descriptor, Direction direction) noexcept {
  if (direction != Direction::out || (descriptor.backend_flags & added_writing) != 0) return {};
  auto added = add_writing(descriptor);
  if (added) descriptor.backend_flags |= added_writing;
  return added;
}

// What the result tells of the descriptor's readiness is noted. It was added before, so
// what changes meanwhile will be told.
std::optional<Result> ReadinessBackend::try_now(const Completion& completion, Try which) noexcept {
  const Operation& operation = completion.operation();
  std::uint32_t& flags = completion.descriptor().backend_flags;
  std::optional<Result> result;
  do {
    result = carry_out(completion, which);
    if (blocks_natively(operation, *result)) result = std::nullopt;
  } while (result && !*result && result->error() == std::errc::interrupted);
  if (!result || tells_by_being_short(operation, flags, *result)) {
    flags |= of(blocked, operation.type->direction);
  }
  return result;
}

Result ReadinessBackend::carry_out(const Completion& completion, Try which) noexcept {
  const Operation& operation = completion.operation();
  switch (operation.kind()) {
    case OperationKind::connect:
      // What would have blocked is under way by itself.
      if (which == Try::first) break;
      return sys::finish_connect(operation.io.fd, *operation.io.address);
    case OperationKind::read:
    case OperationKind::readv:
    case OperationKind::write:
    case OperationKind::writev: return transfer(completion.descriptor(), operation);
    default: break;
  }
  return operation.perform();
}

Result ReadinessBackend::transfer(Descriptor& descriptor, const Operation& operation) noexcept {
  const IoVec one(std::span(operation.io.data, operation.has(vectored) ? 0 : operation.io.size));
  const auto buffers = operation.has(vectored) ? vectors_of(operation) : std::span(&one, 1);
  const auto move =
      operation.type->direction == Direction::in ? sys::read_unwaiting : sys::write_unwaiting;
  const sys::Unwaiting way = way_of_transfers(descriptor);
  const Result result = move(descriptor.fd(), buffers, way);
  const bool no_such_call = way == sys::Unwaiting::by_call && !result &&
                            (result.error() == std::errc::operation_not_supported ||
                             result.error() == std::errc::function_not_supported);
  if (!no_such_call) return result;
  set_way(descriptor, find_other_way(descriptor));
  return move(descriptor.fd(), buffers, way_of_transfers(descriptor));
}

Expected<std::size_t> ReadinessBackend::events_of(ssize_t returned) noexcept {
  const Result count = sys::to_result(returned);
  if (!count && count.error() == std::errc::interrupted) return 0;
  return count;
}

bool ReadinessBackend::tells_by_being_short(const Operation& operation, std::uint32_t flags,
                                            const Result& result) noexcept {
  return operation.has(moves_bytes) && (flags & short_is_all) != 0 &&
         (flags & of(always_try, operation.type->direction)) == 0 &&
         (operation.io.flags & recv_peek) == 0 && result && *result > 0 &&
         *result < size_of(operation);
}

std::optional<Result> ReadinessBackend::cancel(Completion& completion) {
  if (Blocking::has(completion)) return cancel_on_thread(completion);
  completion.note = 0;
  watch(completion.descriptor(), completion.operation().type->direction, false);
  return std::unexpected(Errc::operation_canceled);
}

// Waiting --------------------------------------------------------------------------

Expected<void> ReadinessBackend::sleep(Instant until) {
  if (auto works = still_works(); !works) return works;
  disarm();
  const Instant at = begin_of_wait(until);
  const bool sleeps = until > at && waker_.begin_sleep();
  const auto polled = poll(sleeps ? until : at, at);
  if (sleeps) waker_.end_sleep();
  slept_ = true;
  return unless_lost(polled);
}

Expected<void> ReadinessBackend::collect(CompletionQueue& done) {
  Expected<void> polled;
  if (still_works()) {
    disarm();
    if (!std::exchange(slept_, false)) polled = unless_lost(poll(Instant(), Instant()));
  }
  done.take(ended_);
  blocking_.collect(done);
  return polled;
}

void ReadinessBackend::ready(Descriptor& descriptor, Direction direction) noexcept {
  descriptor.backend_flags &= ~of(blocked, direction);
  List<Completion>& queue = descriptor.queue(direction);
  if (queue.empty() || queue.front().note != waiting) return;
  Completion& completion = queue.front();
  if (const auto result = try_now(completion, Try::again)) {
    completion.note = 0;
    watch(descriptor, direction, false);
    ended_.push(completion, *result);
  }
}

}  // namespace wev
