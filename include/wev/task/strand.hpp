// strand.hpp: what runs tasks.
//
// A strand is one sequence of control: a task, the task that one awaits, and so on
// to the innermost, which waits for something. So it is a strand that is started,
// waits, is cancelled and ends. Programs meet tasks (task.hpp) and what starts
// several at once (when_all, with_group, ...), each on a strand of its own.
//
// Stack      Tasks of a strand do not call each other: awaiting one and coming back
//            from it return to Strand::drive(), which resumes the next. So the stack
//            is as deep for a million tasks inside each other as for one, on every
//            compiler, tail calls or not.
// Waking     Nothing runs inside of what wakes it: a strand that is woken stands in
//            its Scheduler's list of those that are ready. They run as soon as the
//            one that runs waits, `most_at_once` in a row before the loop has a turn,
//            so strands that keep waking each other do not starve it.
// Cancel     Is remembered. It ends what the strand waits for, now and from now on,
//            with Errc::operation_canceled. Nothing ends inside of cancel(): operations end
//            by the loop's next tick, other waits as when they are woken, so tasks that do
//            not heed it still return to the loop. What is shielded does not notice.
// Thread     The loop's. Nothing is allocated.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>

#include "wev/loop/loop.hpp"

namespace wev {

class Scheduler;
class Strand;

/// What a strand waits for.
struct Waiter {
  /// Ends the wait early: the strand is woken, now or when that has been done.
  /// Called at most once for each park().
  void (*cancel)(Waiter& waiter) noexcept;
};

/// Asked before a task goes on, when what it waited for is there. false: it does not,
/// since it has failed; see ok.hpp.
struct Gate {
  bool (*passes)(Gate& gate) noexcept;
};

/// What a strand knows of a task: base of all promises.
struct PromiseBase {
  Strand* strand = nullptr;             // from when it is awaited or started
  PromiseBase* continuation = nullptr;  // who awaits it; nullptr: it is a strand's first
  Gate* gate = nullptr;
  std::coroutine_handle<> self;
};

class Strand : private Link {
 public:
  /// Called when its first task has ended; may destroy the strand.
  using Ended = void (*)(Strand& strand) noexcept;

  explicit Strand(Ended ended) noexcept : on_end_(ended) {}
  ~Strand() { WEV_ASSERT(!lives(), "~Strand: a task in it has not ended"); }
  Strand(const Strand&) = delete;
  Strand& operator=(const Strand&) = delete;

  /// Runs `task` as soon as the one that runs now waits; from a callback, in the
  /// loop's next tick. REQUIRES: nothing was started yet.
  void start(Scheduler& scheduler, PromiseBase& task) noexcept;

  void cancel() noexcept;
  [[nodiscard]] bool cancel_asked() const noexcept { return cancel_asked_; }
  /// Whether what it waits for now would be cancelled.
  [[nodiscard]] bool canceled() const noexcept { return cancel_asked_ && shields_ == 0; }
  /// While it is shielded a cancel has no effect. Can be nested.
  void shield() noexcept { ++shields_; }
  void unshield() noexcept { --shields_; }

  /// REQUIRES: it was started.
  [[nodiscard]] Scheduler& scheduler() const noexcept { return *scheduler_; }
  [[nodiscard]] Loop& loop() const noexcept;
  [[nodiscard]] bool lives() const noexcept { return started_ && !ended_; }

  // For what can be awaited -------------------------------------------------------

  /// `task` runs next, and `caller` goes on when it has ended.
  void call(PromiseBase& task, PromiseBase& caller) noexcept {
    task.strand = this;
    task.continuation = &caller;
    next_ = &task;
  }
  /// `task` has its result: whoever awaits it runs next.
  void finish(PromiseBase& task) noexcept {
    next_ = task.continuation;
    ended_ = next_ == nullptr;
  }

  /// `task` waits for `waiter`, until wake() or resume().
  void park(PromiseBase& task, Waiter& waiter) noexcept;
  /// The wait is over. It goes on soon, never inside of this. REQUIRES: it waits.
  void wake() noexcept;
  /// The same, at once. REQUIRES: called from a callback of the loop, as the last it does.
  void resume() noexcept;

 private:
  friend class Scheduler;
  friend class Scope;
  friend class List<Strand>;

  void drive() noexcept;
  void end_wait() noexcept;
  void interrupt() noexcept;

  Scheduler* scheduler_ = nullptr;
  Ended on_end_;
  PromiseBase* next_ = nullptr;    // runs next
  PromiseBase* parked_ = nullptr;  // goes on when the wait is over
  Waiter* waiter_ = nullptr;       // until it is over, or was cancelled
  Strand* ready_next_ = nullptr;   // in the scheduler's list
  Strand* cancel_next_ = nullptr;  // in its list of those to interrupt
  std::uint32_t shields_ = 0;
  bool woken_ = false;
  bool started_ = false;
  bool ended_ = false;
  bool cancel_asked_ = false;
};

/// The strands of a loop that belong together, and which of them are ready to run.
class Scheduler {
 public:
  /// How many strands run in a row before the loop has a turn.
  static constexpr int most_at_once = 256;

  explicit Scheduler(Loop& loop) noexcept : loop_(loop) {}
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  [[nodiscard]] Loop& loop() const noexcept { return loop_; }
  /// How often a strand began to wait.
  [[nodiscard]] std::size_t suspensions() const noexcept { return suspensions_; }

 protected:
  ~Scheduler() = default;

  /// Called once `ends()` was and nothing is ready any more, as the last there is.
  using Settled = void (*)(Scheduler& scheduler) noexcept;
  void ends(Settled settled) noexcept { settled_ = settled; }
  /// What is ready runs in the loop's next tick, and if nothing is, the scheduler settles.
  void ask_for_turn() noexcept {
    if (completion_.state() == Completion::State::dead) {
      loop_.add(completion_, op::noop(), this, on_turn);
    }
  }
  [[nodiscard]] bool idle() const noexcept {
    return first_ == nullptr && !running_ && completion_.state() == Completion::State::dead;
  }
  /// `strand` is cancelled when it, or another one here, waits for the `suspension`th time.
  void cancel_at(Strand& strand, std::size_t suspension) noexcept {
    cancel_at_ = suspension;
    to_cancel_ = &strand;
  }

 private:
  friend class Strand;

  void make_ready(Strand& strand) noexcept;
  void interrupt(Strand& strand) noexcept;
  void run(Strand* first) noexcept;
  static Action on_turn(void* self, Loop&, Completion&, Result) noexcept;

  Loop& loop_;
  Strand* first_ = nullptr;  // ready
  Strand** last_ = &first_;
  Strand* interrupted_ = nullptr;  // cancelled, and what they wait for is still to be told
  Strand** last_interrupted_ = &interrupted_;
  Completion completion_;  // lent while strands are ready and none runs
  Settled settled_ = nullptr;
  std::size_t suspensions_ = 0;
  std::size_t cancel_at_ = 0;
  Strand* to_cancel_ = nullptr;
  bool running_ = false;
  bool interrupting_ = false;
};

inline Loop& Strand::loop() const noexcept { return scheduler_->loop(); }

}  // namespace wev
