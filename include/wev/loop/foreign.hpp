// foreign.hpp: operations of the program's own.
//
// What a program waits for that no system knows of: an answer of another library, a fence
// of a GPU, a job of a thread pool. It becomes an operation like all others, with a
// deadline, cancel, `co_await` and one callback:
//
//   void ask(void* context, wev::Ticket ticket) noexcept {   // begins it, on the loop's thread
//     static_cast<Oracle*>(context)->ask([ticket](std::size_t answer) { ticket.complete(answer);
//     });
//   }
//   loop.add(completion, wev::op::foreign(ask, nullptr, &oracle), &state, on_answer);
//
// Start      Called when the operation starts, in a tick. It may complete the ticket at once.
// Complete   Once, from any thread, at any time after the start began. The callback comes
//            from the loop, never from inside complete().
// Cancel     Called on the loop's thread when the operation is cancelled, its deadline has
//            passed or the loop drains; at most once, and not if it was completed before.
//            true: it has left, the ticket will not be completed, and the operation ends with
//            operation_canceled or timed_out. false, or no function: it lasts until
//            complete(), with operation_canceled if that says so, or its real result.
// Lifetime   `context` is the caller's and lasts until the operation has ended.
// Memory     64 operations share a block of 4 KiB at the most that is made when they first
//            start, used again by all loops, and never freed: a ticket whose operation has
//            ended, or whose loop has, is always told apart. Without memory: not_enough_memory.
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

  /// Ends the operation. Any thread. REQUIRES: it has not ended; one that was completed
  /// before, has left when it was cancelled, or whose loop is gone is an assertion, and
  /// nothing is touched.
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
  /// false: it lasts until it is completed.
  static bool leave(Completion& completion) noexcept;

 private:
  friend class Ticket;
  static void complete(ForeignSlot& slot, Result result) noexcept;
  static void collect(Loop& loop) noexcept;
};

}  // namespace wev
