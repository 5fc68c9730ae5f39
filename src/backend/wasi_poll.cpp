#include "backend/wasi_poll.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "backend/attempt.hpp"
#include "sys/wasi.hpp"
#include "sys/wasi_error.hpp"

namespace wev {

using namespace std::chrono_literals;
using namespace sys::wasi;

namespace {

// Sleeping longer than this in one call gains nothing, and some hosts keep the
// timeout in 32 bits of milliseconds.
constexpr Duration longest = 1h;
// Where the host may not return although something is ready.
constexpr Duration longest_unsure = 16ms;
// Where it was never seen to tell of a descriptor.
constexpr Duration longest_untold = 256ms;
constexpr unsigned looks_per_wait = 8;
// Where a descriptor blocks, a pipe that is writable takes this much (PIPE_BUF).
constexpr std::size_t blocking_write_size = 4096;

// Hosts disagree on how they say that a descriptor cannot be polled.
bool means_unpollable(Errno error) {
  return error == errno_perm || error == errno_notsup || error == errno_inval ||
         error == errno_notcapable || error == errno_nosys;
}

}  // namespace

// Some hosts' monotonic clock goes back now and then.
Instant WasiPoll::now() const {
  Timestamp time = 0;
  wev_wasi_clock_time_get(clock_monotonic, 1, &time);
  return latest_ = std::max(latest_, Instant(Duration(static_cast<Duration::rep>(time))));
}

// Starting ---------------------------------------------------------------------

namespace {

bool is_writing(OperationKind kind) noexcept {
  using enum OperationKind;
  return kind == write || kind == writev || kind == pwrite;
}

}  // namespace

std::optional<Result> WasiPoll::start(Completion& completion) {
  const Operation& operation = completion.operation();
  const OperationKind kind = operation.kind();
  if (!operation.on_descriptor() || kind == OperationKind::close) {
    return operation.perform();
  }
  Descriptor& descriptor = completion.descriptor();
  // A host may trap or crash on sock_* calls (jco, Node), and fail a whole
  // poll_oneoff for the wrong direction of stdio (Wasmtime, jco).
  if (operation.has(on_socket) && (descriptor.backend_flags & may_be_socket) == 0) {
    return std::unexpected(std::errc::not_a_socket);
  }
  const bool in = operation.type->direction == Direction::in;
  if (in ? descriptor.fd() == 1 || descriptor.fd() == 2 : descriptor.fd() == 0) {
    if (operation.has(waits) && (descriptor.backend_flags & always_ready) == 0) {
      return std::unexpected(std::errc::bad_file_descriptor);
    }
  }
  // A program that writes to what was opened for reading is ended by jco.
  if (operation.has(moves_bytes) &&
      (descriptor.backend_flags & (is_writing(kind) ? no_writing : no_reading)) != 0) {
    return std::unexpected(std::errc::bad_file_descriptor);
  }
  if (transfers_nothing(operation)) return 0;
  if (!operation.has(waits)) return operation.perform();

  if (auto result = try_now(completion)) return result;
  hurry();
  const bool park = refuses_to_poll(completion) || subscribed_other_way(completion) != nullptr;
  const bool added = park ? set_.park(completion) : set_.subscribe(completion);
  if (!added) return std::unexpected(std::errc::not_enough_memory);
  return std::nullopt;
}

// Asks the host once what a descriptor is. A bad one must never reach
// poll_oneoff: Node crashes, wazero and WasmEdge sleep for ever, Wasmtime and
// jco fail the whole call.
Expected<void> WasiPoll::know(Descriptor& descriptor, const Operation& operation) {
  const bool polls = operation.kind() == OperationKind::poll;
  const bool set_nonblocking = !polls && traits_.set_nonblocking != Trait::no;
  const auto found = operation.type->examine(descriptor.fd(), set_nonblocking, nullptr);
  if (!found) return std::unexpected(found.error());
  const auto settle = [](Trait said, bool seen) {
    return said == Trait::find_out ? seen : said == Trait::yes;
  };
  const bool can_wait = !found->always_ready;
  const bool never_blocks = settle(traits_.set_nonblocking, found->nonblocking);
  const bool socket = settle(traits_.sockets, found->may_be_socket);
  constexpr std::uint32_t each = unpollable | vain | told;
  constexpr std::uint32_t kept = each | each << 1;
  descriptor.backend_flags =
      (descriptor.backend_flags & kept) | (found->always_ready ? always_ready : 0u) |
      (found->no_reading ? no_reading : 0u) | (found->no_writing ? no_writing : 0u) |
      (can_wait && never_blocks ? nonblocking : 0u) | (can_wait && socket ? may_be_socket : 0u);
  return {};
}

bool WasiPoll::refuses_to_poll(const Completion& completion) {
  return (completion.descriptor().backend_flags & of(unpollable, completion)) != 0;
}

// Whether carrying it out does not block the program, or that cannot be helped.
bool WasiPoll::can_try(const Completion& completion) {
  return (completion.descriptor().backend_flags & (always_ready | nonblocking)) != 0 ||
         refuses_to_poll(completion);
}

std::optional<Result> WasiPoll::try_now(const Completion& completion) {
  if (completion.operation().kind() == OperationKind::poll) {
    const bool ready =
        (completion.descriptor().backend_flags & always_ready) != 0 || refuses_to_poll(completion);
    if (!ready) return std::nullopt;
    return readiness_of(completion.operation());
  }
  if (!can_try(completion)) return std::nullopt;
  return carry_out(completion);
}

std::optional<Result> WasiPoll::carry_out(const Completion& completion) {
  Operation operation = completion.operation();
  if (operation.kind() == OperationKind::poll) return readiness_of(operation);
  const bool blocks = (completion.descriptor().backend_flags & (always_ready | nonblocking)) == 0;
  if (operation.kind() == OperationKind::write && blocks) {
    operation.io.size = std::min(operation.io.size, blocking_write_size);
  }
  IoVec first;
  if (operation.kind() == OperationKind::writev && blocks) {
    first = *std::ranges::find_if(vectors_of(operation), [](const IoVec& v) { return v.size > 0; });
    first.size = std::min(first.size, blocking_write_size);
    operation.io.data = reinterpret_cast<std::byte*>(&first);
    operation.io.size = 1;
  }
  // Interrupted is as good as would block: the next look finds that it is ready.
  const auto result = attempt(operation);
  const bool interrupted = result && !*result && result->error() == std::errc::interrupted;
  return interrupted ? std::nullopt : result;
}

// Node ignores the second subscription of a descriptor, others fail the call.
Completion* WasiPoll::subscribed_other_way(const Completion& completion) {
  const bool in = completion.operation().type->direction == Direction::in;
  const auto& other = completion.descriptor().queue(in ? Direction::out : Direction::in);
  const bool subscribed =
      !other.empty() && PollSet::contains(other.front()) && !PollSet::is_parked(other.front());
  return subscribed ? &other.front() : nullptr;
}

std::optional<Result> WasiPoll::cancel(Completion& completion) {
  set_.remove(completion);
  return std::unexpected(Errc::operation_canceled);
}

// Waiting ----------------------------------------------------------------------

Expected<void> WasiPoll::sleep(Instant until) {
  if (woken_.exchange(false, std::memory_order_acq_rel)) return {};
  try_parked();
  const Instant at = now();
  if (at - tried_at_ >= (overlooks_ ? longest_unsure : longest_untold)) {
    tried_at_ = at;
    try_overlooked();
  }
  if (!ended_.empty() || until <= at) return {};
  const bool unlimited = until == never && set_.size() + set_.parked_size() == 0;
  if (unlimited && !sys::wasi::has_threads()) return std::unexpected(Errc::deadlock);
  slept_ = true;
  return poll(timeout_until(until, at), until == never);
}

Expected<void> WasiPoll::collect(CompletionQueue& done) {
  Expected<void> looked;
  if (!std::exchange(slept_, false)) {
    woken_.store(false, std::memory_order_relaxed);
    try_parked();
    const auto left = look();
    if (left && ended_.empty()) looked = poll(*left, false);
    // From one look to the next a driver waits longer, too.
    if (ended_.empty()) look_patience_ = std::min(longest_unsure, look_patience_ * 2);
  }
  done.take(ended_);
  return looked;
}

Instant WasiPoll::look_by(Instant looked_at) const { return after(looked_at, look_patience_); }

void WasiPoll::finish(Completion& completion, Result result) {
  hurry();
  set_.remove(completion);
  ended_.push(completion, result);
}

bool WasiPoll::finish_now(Completion& completion) {
  const auto result = try_now(completion);
  if (result) finish(completion, *result);
  return result.has_value();
}

void WasiPoll::try_parked() {
  for (std::size_t i = set_.parked_size(); i-- > 0;) {
    Completion& completion = set_.parked(i);
    if (finish_now(completion) || refuses_to_poll(completion)) continue;
    // It was ready in vain just now: a sleep first, or the host is asked without a pause.
    std::uint32_t& flags = completion.descriptor().backend_flags;
    if ((flags & of(vain, completion)) != 0) {
      flags &= ~of(vain, completion);
      continue;
    }
    // Takes turns with the other direction, or has it for itself by now.
    if (Completion* other = subscribed_other_way(completion)) set_.park_subscribed(*other);
    set_.subscribe_parked(completion);
  }
}

// Some hosts ignore descriptors, or some of them (Deno its stdin), and sleep on.
bool WasiPoll::may_be_overlooked(const Completion& completion) {
  return (completion.descriptor().backend_flags & of(told, completion)) == 0 &&
         completion.operation().kind() != OperationKind::poll && can_try(completion);
}

bool WasiPoll::has_overlooked_any() const {
  for (std::size_t i = 0; i < set_.size(); ++i) {
    if (may_be_overlooked(set_[i])) return true;
  }
  return false;
}

void WasiPoll::try_overlooked() {
  for (std::size_t i = set_.size(); i-- > 0;) {
    if (may_be_overlooked(set_[i]) && finish_now(set_[i])) overlooks_ = true;
  }
}

// Tries all that can be tried. If something is left to poll for, how long that
// may take: some hosts never report a descriptor beside a clock that is due
// (Node), or only after another thread of theirs has run (Wasmtime, jco), so
// one look in a few waits, and the last one before a deadline is believed.
std::optional<Duration> WasiPoll::look() {
  bool left = false;
  bool last = false;
  const Instant at = now();
  for (std::size_t i = set_.size(); i-- > 0;) {
    Completion& completion = set_[i];
    if (finish_now(completion)) continue;
    if (completion.operation().kind() != OperationKind::poll && can_try(completion)) continue;
    left = true;
    last = last || completion.deadline() <= at;
  }
  if (!left) return std::nullopt;
  return last || ++looks_ % looks_per_wait == 0 ? shortest : Duration::zero();
}

// How long one call may sleep. It starts short and doubles while nothing
// happens: a host that refuses a descriptor says so only after the timeout
// (WasmEdge), and one that returns only when all descriptors are ready (Node)
// has to be asked again and again, until it is seen to do better.
Duration WasiPoll::timeout_until(Instant deadline, Instant now) const {
  Duration limit = longest;
  if (set_.size() > 0 || set_.parked_size() > 0 || sys::wasi::has_threads())
    limit = std::min(limit, patience_);
  const bool unsure = set_.parked_size() > 0 || sys::wasi::has_threads() ||
                      (set_.size() > 1 && !returns_for_any_) || one_per_call_;
  if (unsure) limit = std::min(limit, longest_unsure);
  const Duration longest_trusted = overlooks_ ? longest_unsure : longest_untold;
  if (limit > longest_trusted && has_overlooked_any()) limit = longest_trusted;
  return deadline == never ? limit : std::min(limit, deadline - now);
}

std::expected<void, Error> WasiPoll::poll(Duration timeout, bool unlimited) {
  // Whole milliseconds, rounded up: hosts that truncate would wake early, and
  // the loop would turn until the rest had passed.
  const Duration rounded = std::chrono::ceil<std::chrono::milliseconds>(timeout);
  patience_ = std::min(longest, patience_ * 2);
  if (one_per_call_ && set_.size() > 0) {
    poll_one(next_alone_++ % set_.size(), rounded);
    return {};
  }
  const std::size_t count = set_.size() + 1;
  const Subscription* subscriptions = set_.subscriptions(static_cast<Timestamp>(rounded.count()));
  Size events = 0;  // some hosts never write it
  const Instant before = now();
  const Errno error = to_errno(wev_wasi_poll_oneoff(subscriptions, set_.events(), count, &events));
  if (error == errno_intr) return {};
  if (error != errno_success) return isolate(error, unlimited);
  const std::size_t taken = std::min<std::size_t>(events, count);
  const bool early = rounded >= 4ms && (now() - before) * 2 < rounded;
  if (early && set_.size() > 1 && taken > 0 && taken < set_.size() &&
      traits_.returns_for_any == Trait::find_out) {
    returns_for_any_ = true;
  }
  // Some hosts do not write how many there are.
  if (taken == 0 && (now() - before) * 2 < rounded) tried_at_ = Instant();
  take_events(taken);
  return {};
}

void WasiPoll::take_events(std::size_t count) {
  // Owners first, all of them: taking one changes the set they are looked up in.
  Event* events = set_.events();
  for (std::size_t i = 0; i < count; ++i) {
    events[i].userdata = reinterpret_cast<std::uintptr_t>(set_.owner(events[i]));
  }
  for (std::size_t i = 0; i < count; ++i) {
    auto* owner = reinterpret_cast<Completion*>(static_cast<std::uintptr_t>(events[i].userdata));
    // Not there any more: the host reported it twice.
    if (owner != nullptr && PollSet::contains(*owner)) take_event(*owner, events[i].error);
  }
}

// A readiness is believed only in so far as the operation is carried out now,
// once; if it would block after all, it is parked for a sleep.
void WasiPoll::take_event(Completion& completion, Errno error) {
  if (error != errno_success && !means_unpollable(error)) {
    // Of a pipe without a reader Node and WAMR say EIO; the operation knows.
    auto result = can_try(completion) ? try_now(completion) : std::nullopt;
    return finish(completion, result.value_or(std::unexpected(to_error(error))));
  }
  std::uint32_t& flags = completion.descriptor().backend_flags;
  if (error != errno_success) {
    flags |= of(unpollable, completion);
    if (!PollSet::is_parked(completion)) set_.park_subscribed(completion);
  }
  if (const auto result = carry_out(completion)) {
    if (error == errno_success) flags |= of(told, completion);
    return finish(completion, *result);
  }
  if (error != errno_success || !can_try(completion)) return;
  flags |= of(vain, completion);
  set_.park_subscribed(completion);
}

// The host failed the whole call. Each descriptor is asked for alone, so that
// only the culprit pays.
std::expected<void, Error> WasiPoll::isolate(Errno error, bool unlimited) {
  if (set_.size() == 0) {
    // The clock alone does not work. Up to a deadline the loop can still turn.
    if (unlimited) return std::unexpected(to_error(error));
    return {};
  }
  bool found = false;
  for (std::size_t i = set_.size(); i-- > 0;) {
    found = poll_one(i, shortest) != errno_success || found;
  }
  if (!found && traits_.takes_several == Trait::find_out) one_per_call_ = true;
  return {};
}

Errno WasiPoll::poll_one(std::size_t i, Duration timeout) {
  const std::array subscriptions{
      PollSet::clock_subscription(static_cast<Timestamp>(timeout.count())), set_.subscription(i)};
  std::array<Event, 2> events{};
  Completion& completion = set_[i];
  Size count = 0;
  const Errno error = to_errno(
      wev_wasi_poll_oneoff(subscriptions.data(), events.data(), subscriptions.size(), &count));
  if (error == errno_intr) return errno_success;
  if (error != errno_success) {
    take_event(completion, error);
    return error;
  }
  for (std::size_t k = 0; k < std::min<std::size_t>(count, events.size()); ++k) {
    if (set_.owner(events[k]) != &completion) continue;
    take_event(completion, events[k].error);
    break;
  }
  return errno_success;
}

}  // namespace wev
