// foreign.hpp: operations of the program's own.
//
// What a program waits for that no system knows of: an answer of another library, a fence
// of a GPU, a job of a thread pool. It becomes an operation like all others, with a
// deadline, cancel, `co_await` and one callback; examples/foreign.cpp is a program.
//
//   void ask(void* context, wev::Ticket ticket) noexcept {  // on the loop's thread
//     static_cast<Oracle*>(context)->ask([ticket](std::size_t n) { ticket.complete(n); });
//   }
//   loop.add(completion, wev::op::foreign(ask, nullptr, &oracle), &state, on_answer);
//
// Start      Called by the tick that starts the operation, once for each add() and rearm;
//            not if it was cancelled before. May complete the ticket at once.
// Complete   Once for each start, from any thread, at any time, from inside the start or the
//            cancel function too. It allocates nothing, and does not wait for the loop.
//            Callbacks come in the order of complete(), never from inside it.
// Cancel     Called on the loop's thread when the operation is cancelled, its deadline has
//            passed or the loop drains; at most once, and not if it was completed before.
//            true: it has left. It ends with operation_canceled or timed_out, and complete()
//            is a mistake from now on; if that came before, from another thread for example,
//            its result wins. false, or no function: it lasts until complete(). Given
//            operation_canceled it ends as above, else with its real result.
// Both       May do with the loop what a callback may: add, cancel, post. They come from
//            inside of calls to the loop, Loop::cancel for one: lock nothing around those
//            that they lock too.
// Lifetime   `context` is the caller's and lasts until the operation has ended.
// Memory     64 operations share a block of 4 KiB at the most. It is made when they first
//            start, used again by all loops, and never freed: so a ticket knows that its
//            operation has ended, or its loop. Without memory, start is not called, and the
//            result is not_enough_memory.
#pragma once

#include <atomic>
#include <cstdint>

#include "wev/base/error.hpp"
#include "wev/loop/operation.hpp"

namespace wev {

class Completion;
class Loop;

/// What a ticket points to, in memory that is never freed.
struct ForeignSlot {
  ForeignSlot*& notify_next() noexcept { return next; }

  std::atomic<std::uint64_t> generation{0};  // odd while the operation waits
  Loop* loop = nullptr;
  Completion* completion = nullptr;
  ForeignSlot* next = nullptr;  // of those that are completed, or free
  Result result = 0;
};

/// Stands for one foreign operation that has started; a value.
class Ticket {
 public:
  /// Of nothing.
  Ticket() = default;

  /// Ends the operation. Any thread. REQUIRES: it was not completed before and has not left
  /// when it was cancelled. That is asserted, also when the loop is gone.
  void complete(Result result) const noexcept;

  friend bool operator==(const Ticket&, const Ticket&) = default;

 private:
  friend class Foreign;
  Ticket(ForeignSlot& slot, std::uint64_t generation) noexcept
      : slot_(&slot), generation_(generation) {}

  ForeignSlot* slot_ = nullptr;
  std::uint64_t generation_ = 0;
};

/// A part of Loop, which only programs with foreign operations hold.
class Foreign {
 public:
  static void begin(Loop& loop, Completion& completion) noexcept;
  /// Ends it early, if it can. false: it lasts until it is completed, or was.
  static bool leave(Completion& completion) noexcept;

 private:
  friend class Ticket;
  static void complete(ForeignSlot& slot, Result result) noexcept;
  static void collect(Loop& loop) noexcept;
};

}  // namespace wev
