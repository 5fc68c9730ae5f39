// backend.hpp: all that a platform must do for a loop.
//
// A backend gets to know descriptors, starts operations, ends them early, collects what
// has ended, sleeps, and is woken. Timers, queues, cancellation, notifications and
// dispatch are the loop's, once for all platforms. At most one ordered operation for each
// descriptor and direction is with a backend at a time; kinds before `poll` are on none.
//
// Thread     All calls are made on the thread that runs the loop, but wake().
// Lifetime   Outlives its loop. A completion is the backend's from a start() that returned
//            nullopt until collect() pushes it or cancel() returns its result; before and
//            after that it is not touched.
// Errors     What is wrong with one operation is that operation's result. An error of
//            collect(), sleep() or arm() means that the backend is lost. From then on sleep()
//            and arm() fail with it, and what would wait or block ends with it. What is in
//            flight comes home: collect(), which does not fail any more, hands out what had
//            ended, and after that cancel() returns a result for each that is left.
// Fork       In a child of fork() the parent's native backends are lost in that way, by
//            Errc::forked, without having touched what the two share.
#pragma once

#include <optional>

#include "wev/base/allocated.hpp"
#include "wev/base/clock.hpp"
#include "wev/base/error.hpp"
#include "wev/loop/completion.hpp"
#include "wev/loop/descriptor_table.hpp"

namespace wev {

class Backend : public Allocated {
 public:
  Backend() = default;
  virtual ~Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  /// What WEV_BACKEND calls it: io_uring, epoll, kqueue, poll; wasi_poll, sim. "" if it says
  /// nothing.
  [[nodiscard]] virtual const char* name() const noexcept { return ""; }

  /// Finds out what a descriptor is that `operation` is the first on, and once more before
  /// the first that is no poll: what is only polled belongs to others, whose flags stay as
  /// they are. Where the system's handle is another than the number it sets `native`.
  /// An error is the operation's result.
  virtual Expected<void> know(Descriptor&, const Operation&) { return {}; }

  /// Begins an operation. A result: it ended at once. nullopt: it is in flight, and
  /// collect() hands it out exactly once. May allocate; failing that is the operation's
  /// not_enough_memory. A close is started when nothing else on its descriptor is in flight,
  /// and is the last that is heard of that: in flight it is on no Descriptor any more.
  virtual std::optional<Result> start(Completion& completion) = 0;

  /// Asks an operation in flight to end early. A result: it left the backend now, with
  /// operation_canceled if it has done nothing. nullopt: collect() hands it out, with
  /// operation_canceled or its real result; if that never happens unasked, soon.
  virtual std::optional<Result> cancel(Completion& completion) = 0;

  /// Looks for what has ended and pushes it, without sleeping. After a sleep() it takes
  /// what that has brought, and makes no system call. Where it brings fewer than `least_batch`
  /// there is no more.
  static constexpr std::size_t least_batch = 16;
  virtual Expected<void> collect(CompletionQueue& done) = 0;

  /// Hands what was started to the system and sleeps until something has ended, `until`
  /// passed or wake() was called. May return early. It is followed by collect().
  virtual Expected<void> sleep(Instant until) = 0;

  /// Ends the sleep() in progress, or the next one; after arm(), also the sleep of whoever
  /// sleeps on pollable(). Any thread.
  virtual void wake() noexcept = 0;

  /// The monotonic clock. Never goes back.
  [[nodiscard]] virtual Instant now() const = 0;

  /// The descriptor passes out of the loop's hands; nothing is in flight on it.
  virtual void release(Descriptor&) noexcept {}

  /// Nothing is in flight after a drain: threads that helped are joined.
  virtual void quiesce() noexcept {}

  // For a loop that is driven from outside, see Loop::pollable.

  /// A descriptor that is readable when there is something to collect, the backend's own.
  /// operation_not_supported: there is none; then look_by() says when to look.
  virtual Expected<int> pollable() { return std::unexpected(std::errc::operation_not_supported); }
  /// Before somebody else sleeps: hands what was started to the system.
  virtual Expected<void> arm() { return {}; }
  /// When to collect, at the latest, what nobody will tell of; the last time was at
  /// `looked_at`. Asked while something is in flight.
  [[nodiscard]] virtual Instant look_by(Instant /*looked_at*/) const { return never; }

  /// What operations are carried out on; nullptr: the real system.
  virtual System* system() noexcept { return nullptr; }
  /// Carries out an operation now, outside of all queues, see Loop::perform.
  Result perform(const Operation& operation) noexcept {
    WEV_ASSERT(operation.type->perform != nullptr,
               "Loop::perform: the operation is the loop's own");
    return operation.perform(system());
  }
};

}  // namespace wev
