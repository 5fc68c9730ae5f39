// backend.hpp: all that a platform must do for a loop.
//
// A backend starts an operation, ends it early, sleeps, and is woken. Timers,
// queues, cancellation, notifications and dispatch are the loop's, once for all
// platforms. At most one ordered operation for each descriptor and direction is
// with a backend at a time; kinds before `poll` are on none.
//
// Thread     All calls are made on the thread that runs the loop, but wake().
// Lifetime   Outlives its loop. A completion is the backend's from a start()
//            that returned nullopt until it is pushed on `done` or cancel()
//            returned true; before and after it is not touched.
#pragma once

#include <expected>
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

  /// Begins an operation. A result: it ended at once. nullopt: it is in flight
  /// and comes out of wait() exactly once. May allocate; failing that is the
  /// operation's not_enough_memory.
  /// A close is started when nothing else on its descriptor is in flight.
  virtual std::optional<Result> start(Completion& completion) = 0;

  /// Asks an operation in flight to end early. true: it left the backend now,
  /// having done nothing. false: wait() hands it out, with operation_canceled
  /// or with its real result; if that never happens unasked, soon.
  virtual bool cancel(Completion& completion) = 0;

  /// Sleeps until something ended, `deadline` passed or wake() was called, and
  /// pushes what ended. May return early with nothing. With a deadline that has
  /// passed it looks and does not sleep.
  /// An error means that the backend is lost: what is wrong with one operation
  /// is that operation's result.
  virtual std::expected<void, Error> wait(Instant deadline, CompletionQueue& done) = 0;

  /// Makes the wait() in progress, or the next one, return. Any thread.
  virtual void wake() noexcept = 0;

  /// The monotonic clock. Never goes back.
  [[nodiscard]] virtual Instant now() const = 0;

  /// The descriptor passes out of the loop's hands; nothing is in flight on it.
  virtual void forget(Descriptor&) noexcept {}

  /// Carries out an operation that does not wait, or tries one that does, at
  /// once, see Loop::perform.
  virtual Result perform(const Operation& operation) { return operation.type->perform(operation); }

  /// Nothing is in flight after a drain: threads that helped are joined.
  virtual void quiesce() noexcept {}
};

}  // namespace wev
