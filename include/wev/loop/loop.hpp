// loop.hpp: the event loop.
//
//   wev::Loop loop;
//   wev::Completion heartbeat;
//   loop.timer(heartbeat, 5ms, &state, on_beat);
//   loop.run();
//
// One tick:
//   1. Reads the clock, and starts what was added since the last tick.
//   2. Fires the timers that are due, earliest first, ties in submission order. An
//      operation whose deadline has passed is looked at once more before it is given up.
//   3. Collects what was notified and posted.
//   4. Works out how long to sleep: not at all if something is deliverable, the
//      mode is no_wait or the loop is stopped; until the first deadline; else
//      without limit. Then the backend sleeps and collects. When something is
//      deliverable it only collects, and only so often that looking takes a tenth
//      of the time: natively some 10 us apart.
//   5. Delivers what has ended. What callbacks add waits for the next tick.
//
// Promises
//   - One callback for each add(), see completion.hpp.
//   - A timer never fires before its deadline, whatever the host's clock does. A delay
//     counts from when it is given, however long the program has worked by then.
//   - What came before a deadline wins over it, however busy the loop was.
//   - Work per tick is bounded by what was lent when it began: neither a flood
//     of I/O nor a timer that rearms at zero starves the rest.
//   - What is wrong with one descriptor fails the operations on it; the loop
//     goes on.
//   - Once warm it allocates nothing. Growth happens only while an operation
//     starts, and failing is that operation's not_enough_memory.
//
// Drivers    run() is one. Any other calls tick(no_wait) again and again, and sleeps in
//            between as it likes: until next_deadline(), or pollable() is readable, or it is
//            told to turn the loop soon (set_driver). Nothing else is needed: another
//            library's loop, a GUI's or a host's can own the thread.
// Thread     One at a time: whoever calls run() or tick(). Only post(),
//            Async::notify() and Ticket::complete() are for any thread.
// Fork       A child of fork() lets go of its parent's loops and makes its own, see backends.hpp.
// Lifetime   Nothing may be lent when it is destroyed, see drain(), but what discard()
//            has to close. A post(), notify() or complete() that has been delivered may be
//            the last thing that happens to it, though its thread has not returned yet.
#pragma once

#include <atomic>
#include <cstddef>
#include <expected>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "wev/base/allocated.hpp"
#include "wev/base/clock.hpp"
#include "wev/base/error.hpp"
#include "wev/base/notify_stack.hpp"
#include "wev/loop/async.hpp"
#include "wev/loop/backend.hpp"
#include "wev/loop/completion.hpp"
#include "wev/loop/descriptor_table.hpp"
#include "wev/loop/foreign.hpp"
#include "wev/loop/operation.hpp"
#include "wev/loop/timer_heap.hpp"

namespace wev {

enum class RunMode : std::uint8_t {
  no_wait,     ///< one tick that does not sleep
  once,        ///< until at least one callback was called
  until_done,  ///< until nothing is active, see Loop::active
};

struct BackendOptions;

class Loop : public Allocated {
 public:
  /// On the platform's best backend, which it owns; see backends.hpp for others. Where none
  /// works, which is the environment's fault (too few descriptors, a WEV_BACKEND that is
  /// none), this is an assertion that says why; a program that wants to say it itself uses
  /// make().
  Loop();
  /// The same, with the errors of make_backend().
  static Expected<std::unique_ptr<Loop>> make();
  static Expected<std::unique_ptr<Loop>> make(const BackendOptions& options);
  /// On a backend of make_backend(), which it owns.
  explicit Loop(std::unique_ptr<Backend> backend);
  /// On a backend of the caller's, which outlives the loop.
  explicit Loop(Backend& backend);
  /// REQUIRES: nothing is lent.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Operations ---------------------------------------------------------------

  /// Lends `completion` to the loop, to carry out `operation` from the next
  /// tick on. With a `deadline` it ends with Errc::timed_out when that passes, a timer too;
  /// bytes already moved win. REQUIRES: completion.state() == dead.
  void add(Completion& completion, const Operation& operation, void* userdata, Callback callback,
           Instant deadline = never);

  /// op::timer, with any duration; one that is too long never fires.
  template <class Rep, class Period>
  void timer(Completion& completion, std::chrono::duration<Rep, Period> delay, void* userdata,
             Callback callback) {
    add(completion, op::timer(saturate(delay)), userdata, callback);
  }

  /// Moves a timer so that it fires `delay` from now on and then every `delay`, without another
  /// deadline, with these userdata and callback, whatever its state: dead it is added; adding or
  /// active it is moved, behind others with the same deadline. Only one that is
  /// being cancelled stays as it is, and false is returned: its callback is on
  /// its way, and may free it. REQUIRES: if lent, it is a timer of this loop.
  template <class Rep, class Period>
  bool timer_reset(Completion& completion, std::chrono::duration<Rep, Period> delay, void* userdata,
                   Callback callback) {
    return reset(completion, saturate(delay), userdata, callback);
  }

  /// Carries out `operation` now, outside of all queues: for what never waits
  /// (socket, bind, listen, set_option, local_address, ...), before a program
  /// runs for example. What would wait ends with
  /// resource_unavailable_try_again, what blocks blocks. A close of what is in use here is
  /// device_or_resource_busy.
  /// REQUIRES: it is none of noop, cancel, timer, async_wait, foreign.
  Result perform(const Operation& operation);

  /// Ends `target` early: with operation_canceled, or with its real result if
  /// that came first or it cannot be interrupted. Harmless if it is dead or
  /// being cancelled. Allocates nothing, calls nobody back; only a foreign operation's own
  /// cancel function is called from here.
  /// REQUIRES: `target` is dead or lent to this loop.
  void cancel(Completion& target);

  /// The same, and says how it went: `completion` is lent to the loop and ends
  /// after the target did, with 0 if the target ended with operation_canceled,
  /// else with Errc::too_late.
  void cancel(Completion& completion, Completion& target, void* userdata, Callback callback);

  /// Ends all that is lent on `fd` early, but a close; what is added from now on is not
  /// concerned.
  void cancel_all(int fd);

  /// An unreferenced completion does not hold run(until_done) open: an idle
  /// async_wait, a heartbeat. It stays lent. Lasts until it is added anew, rearm
  /// keeps it. REQUIRES: it is lent to this loop.
  void unref(Completion& completion);
  void ref(Completion& completion);

  /// Calls `callback` on the loop's thread, in the order of the posts of one
  /// thread. Any thread. `completion` is lent to the loop as by add().
  void post(Completion& completion, void* userdata, Callback callback);

  /// The same for a function object, which is copied into memory of its own and
  /// freed after its call. false: no memory. Any thread. If the loop is drained
  /// it is called as well; one that was not called by then is freed with the loop.
  template <class F>
  bool post(F&& function) {
    struct Posted : Allocated {
      Completion completion;
      std::decay_t<F> function;
    };
    auto* posted = new (std::nothrow) Posted{{}, {}, std::forward<F>(function)};
    if (posted == nullptr) return false;
    post_owned(posted->completion, posted, [](void* userdata, Loop&, Completion&, Result result) {
      const std::unique_ptr<Posted> owned(static_cast<Posted*>(userdata));
      if (result) owned->function();
      return Action::disarm;
    });
    return true;
  }

  /// Ends what waits on `async` with operation_canceled. After this it may be
  /// freed. REQUIRES: no thread notifies it any more.
  void detach(Async& async);

  /// Tells that `fd` will be closed by someone else than op::close: what was found
  /// out about it is dropped. Where it has a duplicate, it has to be told before.
  /// false: operations are in flight on it, or their callbacks are still to come; it is
  /// dropped with the last of them.
  bool forget(int fd);

  /// Closes `fd`, which its owner has let go of: now, or as soon as what is in flight on
  /// it has ended with operation_canceled. Nobody is told. ~Loop waits for it.
  void discard(int fd) noexcept;

  /// For who keeps completions in memory of its own, which their callbacks free: nobody waits
  /// for this one any more, so the loop may end before it has, and delivers it then.
  /// REQUIRES: it is lent to this loop.
  void orphan(Completion& completion) noexcept;

  // Running ------------------------------------------------------------------

  /// Ticks as `mode` says, until stop(). Fails with Errc::nested_run inside a
  /// callback; with Errc::deadlock when it would sleep for ever with no
  /// descriptor, deadline or other thread to wake it (single-threaded hosts);
  /// with the backend's error when that is lost. It may be called again.
  std::expected<void, Error> run(RunMode mode = RunMode::until_done);

  /// One tick: sleeps at most until something ended, not at all in no_wait.
  /// Returns how many callbacks it called. Fails as run() does.
  std::expected<std::size_t, Error> tick(RunMode mode = RunMode::once);

  /// Makes the present run() return at the end of its tick; without one, makes
  /// the next run() return after one tick that does not sleep. Until that run() or a
  /// restart() a tick() calls nobody and returns at once. Running again goes on where it was
  /// left. The loop's thread; from others post() it.
  void stop() noexcept { stop_asked_ = true; }
  /// Whether stop() was called, and no run() begun or restart() called since.
  [[nodiscard]] bool stopped() const noexcept { return stop_asked_ || was_stopped_; }
  /// For who turns the loop by tick(): goes on after a stop().
  void restart() noexcept { stop_asked_ = was_stopped_ = false; }

  /// Cancels all that is lent and delivers it, unreferenced ones included, and
  /// what callbacks add meanwhile. Closes that were added are carried out; what
  /// cannot be interrupted is waited for. Joins the backend's own threads. Fails
  /// as run() does; with Errc::never_drained where callbacks that hear of
  /// operation_canceled begin something again, ten thousand times one after the other.
  std::expected<void, Error> drain();

  /// Whether this is called from inside run(), tick() or drain().
  [[nodiscard]] bool running() const noexcept { return running_.load(std::memory_order_relaxed); }

  /// Referenced completions that are lent.
  [[nodiscard]] std::size_t active() const noexcept { return active_; }

  /// All completions that are lent, orphans and unreferenced ones included.
  [[nodiscard]] std::size_t lent() const noexcept { return lent_; }
  /// Calls f(const Completion&) for each of them, in no order: what a program is still
  /// waiting for; lent.hpp prints it. The one whose callback is running is not lent any more. A
  /// post() is not among them before the loop has seen it. f adds, cancels and resets nothing.
  /// REQUIRES: it is not called from the start or cancel function of a foreign operation.
  template <class F>
  void for_each_lent(F f) const {
    each_lent([](void* context,
                 const Completion& completion) { (*static_cast<F*>(context))(completion); },
              &f);
  }

  /// Whether run(until_done) would return: nothing is active, and nothing that was posted
  /// is still to come.
  [[nodiscard]] bool done() const noexcept { return active_ == 0 && posts_.empty(); }

  // Driven from outside --------------------------------------------------------

  /// When the next tick is due at the latest: Instant() if something is ready by now,
  /// `never` if only descriptors and other threads can bring something. It stays as it is
  /// until something happens, so it may be asked again to see whether it has passed.
  [[nodiscard]] Instant next_deadline() const;

  /// A descriptor to sleep on: readable when a tick is due before next_deadline(). It is
  /// the backend's: watch it for reading and do nothing else with it. From the first call
  /// on each tick hands to the system what it has started; best before anything is in
  /// flight, or io_uring has to be looked at from time to time. operation_not_supported: the
  /// backend has none (poll, wasi_poll, sim); then next_deadline() comes soon as long as
  /// something is in flight, on a Sim when that can end. Else as run() fails.
  Expected<int> pollable();

  /// Has `turn_soon(context)` called when something was added, cancelled or reset outside of a
  /// tick, and when something was notified, posted or completed: next_deadline() has changed.
  /// It is called from the thread that did it, must not turn the loop itself, and may be called
  /// in vain. One driver at a time; nullptr ends its time, and it is not called any more.
  /// REQUIRES: no other thread notifies, posts or completes meanwhile, but one whose
  /// notification has been delivered.
  void set_driver(void (*turn_soon)(void* context) noexcept, void* context) noexcept;

  // Time ---------------------------------------------------------------------

  /// The clock as it was last read: when the tick began, or when a delay was given since.
  /// Between two ticks of a loop that has a driver it is read anew. Whether it goes on while the
  /// machine sleeps is the system's business, see Clock.
  [[nodiscard]] Instant now() const {
    return turn_soon_ == nullptr || running() ? now_ : backend_.now();
  }
  /// Reads the clock: after long work, before now() is used. What is given a delay does so
  /// itself, so that its deadline is now() + delay.
  void update_now() { now_ = backend_.now(); }
  /// The clock, read anew, and `delay` more.
  Instant from_now(Duration delay) {
    update_now();
    return after(now_, delay);
  }

  [[nodiscard]] Backend& backend() const noexcept { return backend_; }

 private:
  friend class Async;
  friend class Foreign;
  friend class Handle;
  friend class RequestBase;
  friend class Watcher;
  friend struct Begin;

  using Tell = void (*)(void* context, const Completion& completion);
  void each_lent(Tell tell, void* context) const;
  static void tell_with_cancels(const Completion& root, Tell tell, void* context);

  // Lending.
  void lend(Completion& completion, const Operation& operation, void* userdata, Callback callback);
  void submit(Completion& completion);
  void come_on_descriptor(Completion& completion);
  // Of an operation in parts, see RequestBase::again.
  static void mark_as_parts(Completion& completion) noexcept;
  void go_on(Completion& completion, const Operation& operation);
  void end_parts(Completion& completion);
  void post_owned(Completion& completion, void* userdata, Callback callback);
  void push_post(Completion& completion);
  void free_posted() noexcept;
  bool reset(Completion& completion, Duration delay, void* userdata, Callback callback);
  static void limit_timer(Completion& timer);

  // The steps of a tick.
  std::expected<void, Error> enter();
  std::expected<void, Error> leave();
  void wake() noexcept;
  void ask_for_turn() noexcept;
  std::expected<std::size_t, Error> turn(RunMode mode);
  void resume_paused();
  void start_submissions();
  std::expected<std::size_t, Error> fire_timers();
  std::expected<void, Error> look_before_giving_up();
  std::size_t pass_periods(Completion& timer);
  void collect_notified();
  void collect_posts();
  std::expected<void, Error> wait(RunMode mode, bool busy);
  [[nodiscard]] bool look_is_due();
  std::expected<void, Error> look();
  std::expected<void, Error> collect();
  std::size_t deliver_ended();

  // Starting.
  void start(Completion& completion);
  void start_async_wait(Completion& completion);
  void start_loose(Completion& completion);
  void start_on_descriptor(Completion& completion);
  static bool is_connecting(Descriptor& descriptor);
  /// Whether others on its descriptor, in its direction, wait for what it does next.
  static bool& holds(const Completion& completion) noexcept {
    return completion.descriptor_->holds(completion.operation_.type->direction);
  }
  void start_next(Descriptor& descriptor, Direction direction);
  void start_in_backend(Completion& completion);
  std::optional<Result> begin_in_backend(Completion& completion);
  static bool goes_on(Completion& completion, Result result);
  void pause(Completion& completion);
  void start_close(Descriptor& descriptor);
  static bool carry_out_close(Completion& close) noexcept;

  // Ending.
  void end(Completion& completion, Result result);
  void settle(Completion& completion, Result result);
  static Result sum_up(Completion& completion, Result last);
  bool give_up_if_unused(Descriptor& descriptor);
  void withdraw(Completion& completion, Errc reason);
  void leave_target(Completion& cancel);
  void answer_cancels(Completion& target);
  void cancel_each(List<Completion>& list);
  void cancel_queues(Descriptor& descriptor);
  void cancel_everything();
  void take_back();
  void deliver(Completion& completion) noexcept;
  void rearm(Completion& completion);

  std::unique_ptr<Backend> owned_backend_;
  Backend& backend_;

  List<Completion> submissions_;  // added, started by the next tick
  TimerHeap timers_;              // timers and the deadlines of others
  DescriptorTable descriptors_;
  List<Descriptor> paused_;  // on which something goes on in the next tick
  List<Async> asyncs_;
  List<Completion> loose_;  // in flight, on no descriptor
  List<Completion> ended_;  // delivered by step 5
  List<Completion> being_delivered_;

  // Another thread that is about to wake the loop, which may have seen by then what it
  // is woken for, and be over: ~Loop waits for those.
  class Waking {
   public:
    explicit Waking(Loop& loop) noexcept : loop_(loop) {
      loop_.waking_.fetch_add(1, std::memory_order_relaxed);
    }
    ~Waking() { loop_.waking_.fetch_sub(1, std::memory_order_release); }
    Waking(const Waking&) = delete;
    Waking& operator=(const Waking&) = delete;

   private:
    Loop& loop_;
  };

  NotifyStack<Async> notified_;
  NotifyStack<Completion> posts_;
  NotifyStack<ForeignSlot> completed_;
  std::atomic<unsigned> waking_{0};

  std::size_t active_ = 0;  // referenced and lent
  std::size_t lent_ = 0;
  std::size_t in_backend_ = 0;  // in flight
  std::size_t orphans_ = 0;     // lent, and nobody waits for them
  void (*end_orphans_)(Loop& loop) noexcept = nullptr;
  void (*resume_)(Loop& loop) noexcept = nullptr;  // what was paused, if anything was
  std::size_t handles_ = 0;                        // that are open on it
  Instant now_;
  Instant looked_at_;           // when descriptors were last looked at
  Instant seen_until_;          // what came before this has been looked at
  Duration look_cost_{};        // about what a look takes
  unsigned turns_in_vain_ = 0;  // since the clock last moved, without a look
  void (*collect_completed_)(Loop& loop) noexcept = nullptr;  // of foreign operations
  void (*turn_soon_)(void* context) noexcept = nullptr;
  void* driver_ = nullptr;
  const void* runner_ = nullptr;  // the thread that turns it
  std::atomic<bool> running_{false};
  bool turn_asked_ = false;  // the driver was told since the last turn
  bool arms_ = false;        // somebody sleeps on pollable()
  bool stop_asked_ = false;
  bool was_stopped_ = false;  // the last run()
  bool draining_ = false;
};

inline void Async::notify() noexcept {
  Loop& loop = *loop_;
  if (pending_.exchange(true, std::memory_order_acq_rel)) return;
  const Loop::Waking waking(loop);
  // From here on the loop may deliver and the owner may free this Async.
  if (loop.notified_.push(*this)) loop.wake();
}

inline void Loop::wake() noexcept {
  backend_.wake();
  if (turn_soon_ != nullptr) turn_soon_(driver_);
}

}  // namespace wev
