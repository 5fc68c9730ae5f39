// completion.hpp: one operation, owned by the caller, lent to a loop.
//
//   dead --add()--> adding --tick--> active --ended--> dead, then the callback
//                      \               |
//                       +--cancel()--> deleting --ended--> dead, the callback
//
// Lifetime   From add() until its callback begins, the completion and its
//            buffers stay alive and do not move. The loop allocates nothing for
//            it. When the callback begins it is dead: the callback may free it,
//            use it again, or add it to another loop.
// Delivery   One callback for each add(), on the loop's thread, never from
//            inside add(), cancel(), notify() or complete(), so callers need no
//            guard against re-entry.
// Errors     All arrive in the callback, those that add() could see included.
// Thread     The loop's, but for what loop.hpp says of post().
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "wev/base/assert.hpp"
#include "wev/base/clock.hpp"
#include "wev/base/error.hpp"
#include "wev/base/features.hpp"
#include "wev/base/list.hpp"
#include "wev/loop/operation.hpp"

namespace wev {

class Loop;
struct Descriptor;

/// What a callback returns.
enum class Action : std::uint8_t {
  disarm,  ///< done; the loop does not touch the completion again
  rearm,   ///< the same operation again, as by add(). Ignored after
           ///< operation_canceled, also of an op::whole that it has cut short, on a descriptor that
           ///< is being closed, after close and cancel, and while the loop drains.
};

/// Must not throw: an exception leaving it ends the program.
using Callback = Action (*)(void* userdata, Loop& loop, Completion& completion, Result result);

class Completion : private Link {
 public:
  enum class State : std::uint8_t {
    dead,      ///< not lent
    adding,    ///< lent, started by the next tick
    active,    ///< started
    deleting,  ///< cancelled, its callback is still to come
  };

  Completion() = default;
  ~Completion() { WEV_ASSERT(state_ == State::dead, "~Completion: it is still lent to a loop"); }
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;

  [[nodiscard]] State state() const noexcept { return state_; }
  /// It is lent and has its result: the callback comes in this tick or the next.
  [[nodiscard]] bool has_ended() const noexcept { return state_ != State::dead && has(ended); }
  [[nodiscard]] const Operation& operation() const noexcept { return operation_; }

  /// It holds run(until_done) open while it is lent, see Loop::unref.
  [[nodiscard]] bool referenced() const noexcept { return !has(unreferenced); }

  /// For a callback: why an op::whole has moved fewer bytes than it was to; nullopt if it has
  /// not. Errc::end_of_stream, Errc::operation_canceled, Errc::timed_out, or as the system says.
  [[nodiscard]] std::optional<Error> cut_short_by() const noexcept {
    return has(cut_short) ? std::optional(error_) : std::nullopt;
  }

  /// When the operation ends with Errc::timed_out; `never` for none. For a
  /// timer, when it ends.
  [[nodiscard]] Instant deadline() const noexcept { return deadline_; }
  /// For a callback about to rearm. REQUIRES: state() == dead.
  void set_deadline(Instant deadline) noexcept {
    WEV_ASSERT(state_ == State::dead, "set_deadline: the completion is lent");
    deadline_ = deadline;
  }

  // For backends, while the operation is in flight.

  /// The descriptor the operation is on. REQUIRES: it is no close in flight.
  [[nodiscard]] Descriptor& descriptor() const noexcept { return *descriptor_; }
  /// The backend's own note, for example where the operation stands in its poll set. Zero
  /// when start() is called; the loop's before.
  BackendNote note = 0;

 private:
  friend class Loop;
  friend class Foreign;
  friend class TimerHeap;
  friend class CompletionQueue;
  friend class Async;
  friend class List<Completion>;
  template <class T>
  friend class NotifyStack;

  enum Flag : std::uint16_t {
    in_backend = 1,      // start() returned nullopt and it did not come back
    ended = 2,           // has its result and waits for delivery
    expired = 4,         // its deadline passed, the backend still has it
    unreferenced = 8,    // does not hold until_done open
    posted = 16,         // on the loop's stack of posts, not yet seen by it
    on_descriptor = 32,  // in one of its descriptor's queues
    begun = 64,          // foreign, and start was called
    limited = 128,       // a timer that stands in the heap by its deadline, not by its time
    owned = 256,         // posted, in memory that its callback frees
    cut_short = 512,     // it was to move all of its buffer and did not: error_ is why
    paused = 1024,       // it goes on in the next tick
    counted = 2048,      // among its descriptor's `coming`
    orphaned = 4096,     // see Loop::orphan
    in_parts = 8192,     // others wait until its callback has said whether it goes on
    goes_on = 16384,     // the next part
    closes = 32768,      // a close that is carried out when it is delivered
  };
  static constexpr std::uint32_t not_in_heap = UINT32_MAX;

  [[nodiscard]] bool has(Flag flag) const noexcept { return (flags_ & flag) != 0; }
  void set(Flag flag) noexcept { flags_ = static_cast<std::uint16_t>(flags_ | flag); }
  void clear(Flag flag) noexcept { flags_ = static_cast<std::uint16_t>(flags_ & ~flag); }

  [[nodiscard]] bool wants_whole() const noexcept {
    return operation_.has(moves_bytes) && (operation_.io.flags & transfer_whole) != 0;
  }

  [[nodiscard]] Result result() const noexcept {
    return failed_ ? Result(std::unexpected(error_)) : Result(value_);
  }
  /// Also where bytes that were moved by then win.
  [[nodiscard]] bool was_canceled() const noexcept {
    return (failed_ || has(cut_short)) && error_ == Errc::operation_canceled;
  }
  void set_result(Result result) noexcept {
    failed_ = !result.has_value();
    if (failed_) {
      error_ = result.error();
    } else {
      value_ = *result;
    }
  }

  // For the stack of posts; a posted operation cancels nothing.
  Completion*& notify_next() noexcept { return operation_.cancel.next; }

  // A result takes 12 bytes in this form and 16 as a Result.
  std::uint32_t heap_index_ = not_in_heap;  // TimerHeap's
  Error error_{Errc::operation_canceled};
  State state_ = State::dead;
  bool failed_ = false;
  std::uint16_t flags_ = 0;
  Operation operation_{};
  Callback callback_ = nullptr;
  void* userdata_ = nullptr;
  Loop* loop_ = nullptr;
  Completion* cancels_ = nullptr;     // the oldest of those that wait for this one
  Descriptor* descriptor_ = nullptr;  // set when started on one
  Instant deadline_ = never;
  std::size_t value_ = 0;  // until an op::whole ends, what its parts have moved
};

static_assert(sizeof(Completion) <= (sizeof(void*) == 8 ? 128 : 96));

/// Hands ended operations from a backend to its loop.
class CompletionQueue {
 public:
  [[nodiscard]] bool empty() const noexcept { return list_.empty(); }

  /// `completion` has left the backend. Exactly once for each start() that returned
  /// nullopt, unless cancel() returned a result.
  void push(Completion& completion, Result result) noexcept {
    WEV_ASSERT(completion.has(Completion::in_backend),
               "CompletionQueue::push: the backend does not have this operation");
    completion.clear(Completion::in_backend);
    if (completion.wants_whole() && result) {
      // What is in value_ stays.
      WEV_ASSERT(*result <= UINT32_MAX, "CompletionQueue::push: too many bytes at once");
      completion.failed_ = false;
      completion.note = static_cast<BackendNote>(*result);
    } else {
      completion.set_result(result);
    }
    completion.unlink();
    list_.push_back(completion);
  }

  /// Takes all of another one. REQUIRES: this one is empty.
  void take(CompletionQueue& other) noexcept { list_.take(other.list_); }

 private:
  friend class Loop;
  List<Completion> list_;
};

}  // namespace wev
