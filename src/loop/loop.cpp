#include "wev/loop/loop.hpp"

#include <algorithm>

#include "loop/whole.hpp"
#include "sys/thread.hpp"

namespace wev {

using namespace std::chrono_literals;

namespace {

// How long descriptors may go unlooked at while other work never ends: so long that looking
// takes a tenth of the time. Hosts and systems differ in what a look costs by a factor of 5,000.
constexpr int looks_per_ten = 9;
constexpr Duration shortest_interval = 10us;
constexpr Duration longest_interval = 20ms;
// And where the clock stands still.
constexpr unsigned most_turns_in_vain = 256;
// An op::whole lets others have their turn after so many parts that were there at once.
constexpr unsigned most_parts = 16;
// A program does not take so many turns to end.
constexpr unsigned most_drain_turns = 10'000;

}  // namespace

Loop::Loop(Backend& backend) : backend_(backend), now_(backend.now()), looked_at_(now_) {}

Loop::Loop(std::unique_ptr<Backend> backend)
    : owned_backend_(std::move(backend)),
      backend_(*owned_backend_),
      now_(backend_.now()),
      looked_at_(now_) {}

Loop::~Loop() {
  WEV_ASSERT(!running(), "~Loop: it is running");
  if (orphans_ > 0 && orphans_ == lent_) end_orphans_(*this);
  free_posted();
  WEV_ASSERT(handles_ == 0, "~Loop: a handle is still open on it, which would outlive it");
  WEV_ASSERT(lent_ == 0, "~Loop: completions are still lent, drain() first");
  WEV_ASSERT(asyncs_.empty(), "~Loop: an Async is still attached, detach() it first");
  descriptors_.for_each([this](Descriptor& descriptor) { backend_.release(descriptor); });
  // A few instructions of another thread, so this hardly ever waits.
  while (waking_.load(std::memory_order_acquire) != 0) sys::yield();
}

// Lending ----------------------------------------------------------------------

void Loop::add(Completion& completion, const Operation& operation, void* userdata,
               Callback callback, Instant deadline) {
  WEV_ASSERT(completion.state_ == Completion::State::dead,
             "Loop::add: the completion is already lent to a loop");
  WEV_ASSERT(operation.kind() != OperationKind::cancel, "Loop::add: use Loop::cancel");
  lend(completion, operation, userdata, callback);
  if (operation.kind() == OperationKind::timer) {
    auto& timer = completion.operation_.timer;
    const bool at = operation.type == &op::timer_at_type;
    completion.deadline_ = at ? Instant(timer.delay) : from_now(timer.delay);
    timer.deadline = deadline;
    limit_timer(completion);
  } else {
    completion.deadline_ = deadline;
  }
  submit(completion);
}

void Loop::lend(Completion& completion, const Operation& operation, void* userdata,
                Callback callback) {
  WEV_ASSERT(callback != nullptr, "Loop: a completion needs a callback");
  completion.operation_ = operation;
  completion.callback_ = callback;
  completion.userdata_ = userdata;
  completion.loop_ = this;
  completion.descriptor_ = nullptr;
  completion.flags_ = 0;
  completion.value_ = 0;
}

void Loop::submit(Completion& completion) {
  completion.state_ = Completion::State::adding;
  ++lent_;
  if (!completion.has(Completion::unreferenced)) ++active_;
  if (auto* come = completion.operation_.type->come; come != nullptr) come(*this, completion);
  submissions_.push_back(completion);
  if (turn_soon_ != nullptr) ask_for_turn();
}

// A timer that is due behind its deadline stands in the heap by that.
void Loop::limit_timer(Completion& timer) {
  const Instant deadline = timer.operation_.timer.deadline;
  if (deadline >= timer.deadline_) return timer.clear(Completion::limited);
  timer.deadline_ = deadline;
  timer.set(Completion::limited);
}

void Loop::come_on_descriptor(Completion& completion) {
  const int fd = completion.operation_.io.fd;
  if (fd < 0) return;
  // nullptr: told when it is started.
  completion.descriptor_ = descriptors_.obtain(fd);
  if (completion.descriptor_ == nullptr) return;
  ++completion.descriptor_->coming;
  completion.set(Completion::counted);
  if (!completion.has(Completion::goes_on)) completion.note = completion.descriptor_->cancels;
}

void Loop::mark_as_parts(Completion& completion) noexcept { completion.set(Completion::in_parts); }

// In front of what came behind it, and as it was lent.
void Loop::go_on(Completion& completion, const Operation& operation) {
  WEV_ASSERT(completion.state_ == Completion::State::dead,
             "RequestBase::again: the completion is lent");
  completion.operation_ = operation;
  completion.flags_ &= Completion::unreferenced | Completion::in_parts;
  completion.set(Completion::goes_on);
  completion.descriptor_ = nullptr;
  completion.value_ = 0;
  submit(completion);
}

// Others have their turn.
void Loop::end_parts(Completion& completion) {
  const Operation& operation = completion.operation_;
  if (!completion.has(Completion::in_parts) || !operation.on_descriptor()) return;
  Descriptor* descriptor = descriptors_.find(operation.io.fd);
  const Direction direction = operation.type->direction;
  if (descriptor == nullptr || !descriptor->holds(direction)) return;
  descriptor->holds(direction) = false;
  start_next(*descriptor, direction);
}

bool Loop::reset(Completion& completion, Duration delay, void* userdata, Callback callback) {
  if (completion.state_ == Completion::State::dead) {
    add(completion, op::timer(delay), userdata, callback);
    return true;
  }
  WEV_ASSERT(completion.loop_ == this, "Loop::timer_reset: the timer is another loop's");
  WEV_ASSERT(callback != nullptr, "Loop: a completion needs a callback");
  WEV_ASSERT(completion.operation_.kind() == OperationKind::timer,
             "Loop::timer_reset: the completion is not a timer");
  if (completion.state_ == Completion::State::deleting || completion.has(Completion::ended)) {
    return false;
  }
  completion.operation_ = op::timer(delay);
  completion.callback_ = callback;
  completion.userdata_ = userdata;
  completion.clear(Completion::limited);
  completion.deadline_ = from_now(delay);
  if (completion.state_ == Completion::State::active) {
    timers_.move(completion);
  } else {
    completion.unlink();
    submissions_.push_back(completion);
  }
  if (turn_soon_ != nullptr) ask_for_turn();
  return true;
}

Result Loop::perform(const Operation& operation) {
  if (operation.kind() == OperationKind::close && !forget(operation.io.fd)) {
    return std::unexpected(std::errc::device_or_resource_busy);
  }
  return backend_.perform(operation);
}

void Loop::unref(Completion& completion) {
  WEV_ASSERT(completion.loop_ == this && completion.state_ != Completion::State::dead,
             "Loop::unref: the completion is not lent to this loop");
  if (completion.has(Completion::unreferenced)) return;
  completion.set(Completion::unreferenced);
  if (!completion.has(Completion::posted)) --active_;
}

void Loop::ref(Completion& completion) {
  WEV_ASSERT(completion.loop_ == this && completion.state_ != Completion::State::dead,
             "Loop::ref: the completion is not lent to this loop");
  if (!completion.has(Completion::unreferenced)) return;
  completion.clear(Completion::unreferenced);
  if (!completion.has(Completion::posted)) ++active_;
}

void Loop::post(Completion& completion, void* userdata, Callback callback) {
  WEV_ASSERT(completion.state_ == Completion::State::dead,
             "Loop::post: the completion is already lent to a loop");
  lend(completion, op::noop(), userdata, callback);
  push_post(completion);
}

void Loop::post_owned(Completion& completion, void* userdata, Callback callback) {
  lend(completion, op::noop(), userdata, callback);
  completion.set(Completion::owned);
  push_post(completion);
}

// Functions that nobody called. What they own may post more.
void Loop::free_posted() noexcept {
  while (!posts_.empty()) {
    posts_.take([this](Completion& completion) {
      WEV_ASSERT(completion.has(Completion::owned) || completion.has(Completion::orphaned),
                 "~Loop: completions are still lent, drain() first");
      completion.state_ = Completion::State::dead;
      (void)completion.callback_(completion.userdata_, *this, completion,
                                 std::unexpected(Errc::operation_canceled));
    });
  }
}

void Loop::push_post(Completion& completion) {
  completion.deadline_ = never;
  completion.state_ = Completion::State::adding;
  completion.set(Completion::posted);
  const Waking waking(*this);
  if (posts_.push(completion)) wake();
}

void Loop::detach(Async& async) {
  WEV_ASSERT(async.loop_ == this, "Loop::detach: the Async is not attached to this loop");
  collect_notified();
  while (!async.waiters_.empty()) {
    end(async.waiters_.front(), std::unexpected(Errc::operation_canceled));
  }
  async.unlink();
  async.loop_ = nullptr;
}

bool Loop::forget(int fd) {
  Descriptor* descriptor = descriptors_.find(fd);
  if (descriptor == nullptr) return true;
  descriptor->leaving = true;
  return give_up_if_unused(*descriptor);
}

// Nothing lasting is kept of a descriptor that is given away, or proved to be none.
bool Loop::give_up_if_unused(Descriptor& descriptor) {
  if ((!descriptor.leaving && !descriptor.bad) || !descriptor.unused()) return false;
  backend_.release(descriptor);
  descriptors_.erase(descriptor);
  return true;
}

void Loop::discard(int fd) noexcept {
  struct Discarded : Allocated {
    Completion close;

    static Action on_closed(void* self, Loop&, Completion&, Result) {
      delete static_cast<Discarded*>(self);
      return Action::disarm;
    }
  };
  if (fd < 0) return;
  if (forget(fd)) {
    (void)perform(op::close(fd));
    return;
  }
  auto* discarded = new (std::nothrow) Discarded;
  WEV_ASSERT(discarded != nullptr,
             "Loop::discard: no memory to close what is in use; close it before");
  add(discarded->close, op::close(fd), discarded, Discarded::on_closed);
  orphan(discarded->close);
}

void Loop::orphan(Completion& completion) noexcept {
  WEV_ASSERT(completion.loop_ == this && completion.state_ != Completion::State::dead,
             "Loop::orphan: the completion is not lent to this loop");
  if (completion.has(Completion::orphaned)) return;
  completion.set(Completion::orphaned);
  if (!completion.has(Completion::posted)) ++orphans_;
  // Only a program that has some holds what it takes.
  end_orphans_ = [](Loop& loop) noexcept { (void)loop.drain(); };
}

Async::Async(Loop& loop) noexcept : loop_(&loop) { loop.asyncs_.push_back(*this); }

// Running ----------------------------------------------------------------------

std::expected<void, Error> Loop::enter() {
  if (running_.exchange(true, std::memory_order_acquire)) {
    WEV_ASSERT(runner_ == sys::this_thread(), "Loop: two threads turn it at once");
    return std::unexpected(Errc::nested_run);
  }
  runner_ = sys::this_thread();
  turn_asked_ = false;
  return {};
}

// Whoever sleeps on pollable() is told of all that comes from now on.
std::expected<void, Error> Loop::leave() {
  std::expected<void, Error> armed;
  if (arms_) armed = backend_.arm();
  running_.store(false, std::memory_order_release);
  return armed;
}

std::expected<void, Error> Loop::run(RunMode mode) {
  if (auto entered = enter(); !entered) return entered;
  std::expected<void, Error> outcome;
  was_stopped_ = false;
  do {
    const auto called = turn(mode);
    if (!called) {
      outcome = std::unexpected(called.error());
      break;
    }
    if (mode == RunMode::no_wait || (mode == RunMode::once && *called > 0)) break;
  } while (!stop_asked_ && !done());
  was_stopped_ = std::exchange(stop_asked_, false);
  const auto left = leave();
  return outcome ? left : outcome;
}

std::expected<std::size_t, Error> Loop::tick(RunMode mode) {
  if (auto entered = enter(); !entered) return std::unexpected(entered.error());
  auto called = stop_asked_ ? std::size_t{0} : turn(mode);
  if (auto left = leave(); called && !left) called = std::unexpected(left.error());
  return called;
}

std::expected<void, Error> Loop::drain() {
  if (auto entered = enter(); !entered) return entered;
  std::expected<void, Error> outcome;
  draining_ = true;
  cancel_everything();
  unsigned turns_in_vain = 0;  // one after the other that begin something
  while (lent_ > 0 || !posts_.empty()) {
    turns_in_vain = submissions_.empty() ? 0 : turns_in_vain + 1;
    if (turns_in_vain > most_drain_turns) {
      outcome = std::unexpected(Errc::never_drained);
      break;
    }
    cancel_each(submissions_);
    const std::size_t lent_before = lent_;
    if (auto called = turn(RunMode::once); !called) {
      if (outcome) outcome = std::unexpected(called.error());
      take_back();
      (void)deliver_ended();
      if (lent_ >= lent_before) break;
    }
  }
  if (outcome) backend_.quiesce();
  draining_ = false;
  stop_asked_ = false;
  const auto left = leave();
  return outcome ? left : outcome;
}

// Driven from outside ------------------------------------------------------------

Instant Loop::next_deadline() const {
  const bool ready = !submissions_.empty() || !paused_.empty() || !ended_.empty() ||
                     !notified_.empty() || !posts_.empty() || !completed_.empty();
  if (ready) return Instant();
  const Instant look_by = in_backend_ > 0 ? backend_.look_by(looked_at_) : never;
  const Completion* first = timers_.first();
  return first != nullptr ? std::min(first->deadline_, look_by) : look_by;
}

Expected<int> Loop::pollable() {
  const auto descriptor = backend_.pollable();
  if (!descriptor) return descriptor;
  if (!std::exchange(arms_, true) && !running()) {
    if (auto armed = backend_.arm(); !armed) return std::unexpected(armed.error());
  }
  return descriptor;
}

void Loop::set_driver(void (*turn_soon)(void* context) noexcept, void* context) noexcept {
  WEV_ASSERT(turn_soon_ == nullptr || turn_soon == nullptr,
             "Loop::set_driver: another one drives it already");
  // Who has called it may not have returned yet, see ~Loop.
  while (waking_.load(std::memory_order_acquire) != 0) sys::yield();
  turn_soon_ = turn_soon;
  driver_ = context;
  turn_asked_ = false;
}

// Once between two turns. Few loops have a driver: not inlined, it costs those without one test.
[[gnu::noinline]] void Loop::ask_for_turn() noexcept {
  if (running() || std::exchange(turn_asked_, true)) return;
  turn_soon_(driver_);
}

// One tick: the numbered list in loop.hpp.
std::expected<std::size_t, Error> Loop::turn(RunMode mode) {
  update_now();
  if (resume_ != nullptr) resume_(*this);
  start_submissions();
  const auto fired = fire_timers();
  if (!fired) return fired;
  collect_notified();
  if (auto waited = wait(mode, *fired > 0); !waited) return std::unexpected(waited.error());
  collect_notified();
  return *fired + deliver_ended();
}

void Loop::resume_paused() {
  List<Descriptor> batch;
  batch.take(paused_);
  // NOLINTNEXTLINE(clang-analyzer-core.StackAddressEscape): nothing is left in it
  while (!batch.empty()) {
    Descriptor& descriptor = batch.pop_front();
    for (const Direction direction : {Direction::in, Direction::out, Direction::unordered}) {
      descriptor.queue(direction).for_each_backwards([this](Completion& completion) {
        if (!completion.has(Completion::paused)) return;
        completion.clear(Completion::paused);
        start_in_backend(completion);
      });
      if (direction != Direction::unordered) start_next(descriptor, direction);
    }
  }
}

void Loop::start_submissions() {
  List<Completion> batch;
  batch.take(submissions_);
  while (!batch.empty()) start(batch.pop_front());
}

std::expected<std::size_t, Error> Loop::fire_timers() {
  std::size_t fired = 0;
  // Each is taken out only when its turn comes, so that the callback of one can
  // still cancel or move the next. The count bounds timers that reset each other.
  for (std::size_t left = timers_.size(); left > 0; --left) {
    Completion* first = timers_.first();
    if (first == nullptr || first->deadline_ > now_) break;
    const bool is_timer = first->operation_.kind() == OperationKind::timer;
    if (!is_timer && seen_until_ < first->deadline_) {
      if (auto looked = look_before_giving_up(); !looked) {
        return std::unexpected(looked.error());
      }
      if (timers_.first() != first) continue;
    }
    timers_.remove(*first);
    if (!is_timer || first->has(Completion::limited)) {
      withdraw(*first, Errc::timed_out);
      continue;
    }
    first->set_result(pass_periods(*first));
    deliver(*first);
    ++fired;
  }
  return fired;
}

// What it waits for may have come while the loop was busy.
std::expected<void, Error> Loop::look_before_giving_up() {
  // Until it brings all there was. What begins anew meanwhile has no end.
  std::expected<void, Error> looked;
  for (std::size_t most = in_backend_ / Backend::least_batch + 1; looked && most > 0; --most) {
    looked = look();
    if (seen_until_ == looked_at_) break;
  }
  collect_notified();
  return looked;
}

// Moves a due timer's deadline to the next one to come, and returns how many periods
// have passed.
std::size_t Loop::pass_periods(Completion& timer) {
  const Duration period = timer.operation_.timer.period;
  if (period <= Duration::zero()) {
    timer.deadline_ = now_;
    return 1;
  }
  return wev::pass_periods(timer.deadline_, period, now_);
}

void Loop::collect_notified() {
  notified_.take([this](Async& async) {
    // Cleared first: a notify() from now on comes back here. An exchange, since
    // it also acquires what preceded the notifications merged into this one.
    async.pending_.exchange(false, std::memory_order_acq_rel);
    async.remembered_ = async.waiters_.empty();
    while (!async.waiters_.empty()) end(async.waiters_.front(), 0);
  });
  collect_posts();
  if (collect_completed_ != nullptr) collect_completed_(*this);
}

void Loop::collect_posts() {
  posts_.take([this](Completion& completion) {
    completion.clear(Completion::posted);
    ++lent_;
    if (completion.has(Completion::orphaned)) ++orphans_;
    if (!completion.has(Completion::unreferenced)) ++active_;
    const bool canceled = completion.state_ == Completion::State::deleting;
    end(completion, canceled ? Result(std::unexpected(Errc::operation_canceled)) : Result(0));
  });
}

std::expected<void, Error> Loop::wait(RunMode mode, bool busy) {
  const bool deliverable = busy || !ended_.empty() || !submissions_.empty() || !paused_.empty();
  const bool sleep =
      mode != RunMode::no_wait && !deliverable && (draining_ || (active_ > 0 && !stop_asked_));
  if (!sleep) {
    if (in_backend_ == 0 && !arms_) return {};
    // It was asked for.
    if (mode == RunMode::no_wait) return collect();
    return look_is_due() ? look() : std::expected<void, Error>();
  }
  const Completion* first = timers_.first();
  const auto slept = backend_.sleep(first != nullptr ? first->deadline_ : never);
  const Instant before = now_;
  auto collected = collect();
  // What came before the end of the sleep is there, but when that was nobody knows.
  seen_until_ = before;
  return slept ? collected : slept;
}

// Of a loop that always has something else to do.
bool Loop::look_is_due() {
  const Duration interval =
      std::clamp(look_cost_ * looks_per_ten, shortest_interval, longest_interval);
  if (now_ - looked_at_ >= interval) return true;
  return now_ == looked_at_ && ++turns_in_vain_ >= most_turns_in_vain;
}

// One that costs time of other work, so it is measured. The machine may do something else
// meanwhile: what is dear is believed little by little.
std::expected<void, Error> Loop::look() {
  auto collected = collect();
  update_now();
  look_cost_ = std::min(now_ - looked_at_, 2 * look_cost_ + 1us);
  return collected;
}

std::expected<void, Error> Loop::collect() {
  update_now();
  const Instant seen_before = std::exchange(seen_until_, now_);
  looked_at_ = now_;
  turns_in_vain_ = 0;
  CompletionQueue done;
  auto collected = backend_.collect(done);
  // What may go on keeps its turn, though it stands in no queue now.
  const auto is_part = [](const Completion& completion) {
    return completion.wants_whole() && !completion.failed_;
  };
  done.list_.for_each([&is_part](const Completion& completion) {
    if (is_part(completion)) holds(completion) = true;
  });
  std::size_t count = 0;
  for (; !done.list_.empty(); ++count) {
    Completion& completion = done.list_.pop_front();
    --in_backend_;
    const bool part = is_part(completion);
    if (part) holds(completion) = false;
    end(completion, part ? Result(completion.note) : completion.result());
  }
  if (count >= Backend::least_batch) seen_until_ = std::min(seen_until_, seen_before);
  return collected;
}

std::size_t Loop::deliver_ended() {
  std::size_t called = 0;
  being_delivered_.take(ended_);
  while (!being_delivered_.empty()) {
    Completion& completion = being_delivered_.pop_front();
    const bool closes = completion.has(Completion::closes);
    if (closes && !completion.operation_.type->carry_out(completion)) continue;
    deliver(completion);
    ++called;
  }
  return called;
}

// Starting ---------------------------------------------------------------------

void Loop::start(Completion& completion) {
  completion.state_ = Completion::State::active;
  const OperationKind kind = completion.operation_.kind();
  if ((completion.deadline_ != never || kind == OperationKind::timer) &&
      !timers_.insert(completion)) {
    return end(completion, std::unexpected(std::errc::not_enough_memory));
  }
  completion.operation_.type->begin(*this, completion);
}

void Loop::start_async_wait(Completion& completion) {
  Async& async = *completion.operation_.async;
  WEV_ASSERT(async.loop_ == this, "op::async_wait: the Async is not attached to this loop");
  if (!async.remembered_) return async.waiters_.push_back(completion);
  async.remembered_ = false;
  end(completion, 0);
}

void Loop::start_loose(Completion& completion) {
  loose_.push_back(completion);
  start_in_backend(completion);
}

void Loop::start_on_descriptor(Completion& completion) {
  const Operation& operation = completion.operation_;
  if (operation.io.fd < 0) return end(completion, std::unexpected(std::errc::bad_file_descriptor));
  Descriptor* descriptor = completion.descriptor_;
  if (descriptor == nullptr) {
    return end(completion, std::unexpected(std::errc::not_enough_memory));
  }
  --descriptor->coming;
  completion.clear(Completion::counted);
  const bool goes_on = completion.has(Completion::goes_on);
  // It was added before a close, of which it may be told now, or before all were cancelled.
  const auto since_close = static_cast<std::int32_t>(completion.note - descriptor->closed_at);
  const bool closed = descriptor->close != nullptr || since_close < 0;
  const bool is_close = operation.kind() == OperationKind::close;
  if (closed || (completion.note != descriptor->cancels && !is_close)) {
    completion.descriptor_ = nullptr;
    (void)give_up_if_unused(*descriptor);
    return end(completion, closed && !goes_on
                               ? Result(std::unexpected(std::errc::bad_file_descriptor))
                               : Result(std::unexpected(Errc::operation_canceled)));
  }
  completion.note = 0;
  if (is_close) {
    // Nothing ends it from now on.
    if (completion.heap_index_ != Completion::not_in_heap) timers_.remove(completion);
    descriptor->close = &completion;
    cancel_queues(*descriptor);
    return start_close(*descriptor);
  }
  const Direction direction = operation.type->direction;
  completion.set(Completion::on_descriptor);
  ++descriptor->users;
  if (goes_on) {
    holds(completion) = false;
    descriptor->queue(direction).push_front(completion);
  } else {
    descriptor->queue(direction).push_back(completion);
  }
  if (direction == Direction::unordered) {
    start_in_backend(completion);
  }
  start_next(*descriptor, direction);
}

bool Loop::is_connecting(Descriptor& descriptor) {
  const List<Completion>& queue = descriptor.queue(Direction::out);
  return !queue.empty() && queue.front().has(Completion::in_backend) &&
         queue.front().operation_.kind() == OperationKind::connect;
}

// Starts what stands in front of a queue, for as long as that ends at once.
void Loop::start_next(Descriptor& descriptor, Direction direction) {
  // A receive would take the error that is the connect's.
  if (direction == Direction::in && is_connecting(descriptor)) return;
  List<Completion>& queue = descriptor.queue(direction);
  while (!descriptor.holds(direction) && !queue.empty() &&
         !queue.front().has(Completion::in_backend) && !queue.front().has(Completion::paused)) {
    start_in_backend(queue.front());
  }
}

void Loop::start_in_backend(Completion& completion) {
  for (unsigned parts = 1;; ++parts) {
    completion.note = 0;
    completion.set(Completion::in_backend);
    const auto result = begin_in_backend(completion);
    if (!result) {
      ++in_backend_;
      // No look has seen it.
      if (completion.deadline_ <= now_) seen_until_ = Instant();
      return;
    }
    completion.clear(Completion::in_backend);
    if (!goes_on(completion, *result)) return settle(completion, *result);
    if (parts == most_parts) return completion.operation_.type->whole->pause(*this, completion);
  }
}

// It stays where it stands in its queue.
void Loop::pause(Completion& completion) {
  completion.set(Completion::paused);
  Descriptor& descriptor = *completion.descriptor_;
  if (!descriptor.linked()) paused_.push_back(descriptor);
  resume_ = [](Loop& loop) noexcept { loop.resume_paused(); };
}

// The backend gets to know the descriptor first.
std::optional<Result> Loop::begin_in_backend(Completion& completion) {
  if (Descriptor* descriptor = completion.descriptor_; descriptor != nullptr) {
    using enum Descriptor::Known;
    const auto needed = completion.operation_.kind() == OperationKind::poll    ? for_polls
                        : completion.operation_.kind() == OperationKind::close ? no
                                                                               : for_all;
    if (descriptor->known < needed) {
      if (const auto known = backend_.know(*descriptor, completion.operation_); !known) {
        return std::unexpected(known.error());
      }
      descriptor->known = needed;
    }
  }
  return backend_.start(completion);
}

// Of an operation that wants all of its buffer moved: whether something is left to move.
bool Loop::goes_on(Completion& completion, Result result) {
  if (!completion.wants_whole() || !result) return false;
  completion.value_ += *result;
  const bool left = completion.operation_.type->whole->advance(completion.operation_, *result);
  return left && *result > 0 && completion.state_ == Completion::State::active &&
         !completion.has(Completion::expired);
}

// Closes as soon as nothing is in flight on the descriptor.
void Loop::start_close(Descriptor& descriptor) {
  Completion& close = *descriptor.close;
  if (!descriptor.idle() || close.has(Completion::in_backend) || close.has(Completion::ended)) {
    return;
  }
  settle(close, 0);
  close.set(Completion::closes);
}

// As the last before it is delivered, behind all that was on its descriptor: the number may be
// somebody else's at once, also while the close is in flight. false: it is.
bool Loop::carry_out_close(Completion& close) noexcept {
  close.clear(Completion::closes);
  close.clear(Completion::ended);
  Loop& loop = *close.loop_;
  loop.start_in_backend(close);
  close.unlink();
  loop.descriptors_.erase(*std::exchange(close.descriptor_, nullptr));
  if (close.has(Completion::ended)) return true;
  loop.loose_.push_back(close);
  return false;
}

// Ending -----------------------------------------------------------------------

// The operation is over, and what stood behind it has its turn.
void Loop::end(Completion& completion, Result result) {
  if (goes_on(completion, result)) {
    completion.descriptor_->queue(completion.operation_.type->direction).push_front(completion);
    start_in_backend(completion);
    if (!completion.has(Completion::ended)) return;
  } else {
    settle(completion, result);
  }
  if (!completion.has(Completion::on_descriptor)) return;
  Descriptor& descriptor = *completion.descriptor_;
  if (descriptor.close != nullptr) return start_close(descriptor);
  start_next(descriptor, completion.operation_.type->direction);
  if (completion.operation_.kind() == OperationKind::connect) {
    start_next(descriptor, Direction::in);
  }
}

// The operation is over: step 5 delivers it.
void Loop::settle(Completion& completion, Result result) {
  if (completion.heap_index_ != Completion::not_in_heap) timers_.remove(completion);
  completion.unlink();
  // As systems say it, if they were asked to; else it is their own business.
  const bool expired = completion.has(Completion::expired);
  const bool asked = expired || completion.state_ == Completion::State::deleting;
  if (asked && !result && result.error() == std::errc::operation_canceled) {
    result = std::unexpected(expired ? Errc::timed_out : Errc::operation_canceled);
  }
  if (Descriptor* descriptor = completion.descriptor_; descriptor != nullptr) {
    if (completion.has(Completion::on_descriptor)) {
      --descriptor->users;
      ++descriptor->undelivered;
      if (completion.has(Completion::in_parts)) {
        holds(completion) = true;
        // One that was cancelled too late does not go on either.
        const bool was_asked = completion.state_ == Completion::State::deleting;
        completion.note = descriptor->cancels - (was_asked ? 1u : 0u);
      }
    }
    if (completion.has(Completion::counted)) {
      --descriptor->coming;
      completion.clear(Completion::counted);
      completion.descriptor_ = nullptr;
      if (give_up_if_unused(*descriptor)) descriptor = nullptr;
    }
    if (descriptor != nullptr && !result && result.error() == std::errc::bad_file_descriptor) {
      descriptor->bad = true;
    }
  }
  completion.set_result(completion.wants_whole() ? sum_up(completion, result) : result);
  completion.set(Completion::ended);
  ended_.push_back(completion);
  if (turn_soon_ != nullptr) ask_for_turn();
}

// Of an op::whole: bytes that were moved win over what ended it, which is kept beside them.
Result Loop::sum_up(Completion& completion, Result last) {
  Operation& operation = completion.operation_;
  const std::size_t moved = completion.value_;
  const WholeTransfer& transfer = *operation.type->whole;
  transfer.restore(operation, moved);
  if (last && moved == transfer.size_of(operation)) return moved;
  const bool canceled = completion.state_ == Completion::State::deleting;
  completion.set(Completion::cut_short);
  completion.error_ = !last                                 ? last.error()
                      : completion.has(Completion::expired) ? Errc::timed_out
                      : canceled                            ? Errc::operation_canceled
                                                            : Errc::end_of_stream;
  return last || moved > 0 ? Result(moved) : last;
}

void Loop::cancel(Completion& target) {
  if (target.state_ == Completion::State::dead) return;
  WEV_ASSERT(target.loop_ == this, "Loop::cancel: the target is another loop's");
  // Its descriptor belongs to nobody else by now.
  if (target.operation_.kind() == OperationKind::close) return;
  if (target.state_ == Completion::State::deleting || target.has(Completion::ended)) return;
  target.state_ = Completion::State::deleting;
  if (target.heap_index_ != Completion::not_in_heap) timers_.remove(target);
  if (target.has(Completion::expired)) return;  // the backend was asked already
  withdraw(target, Errc::operation_canceled);
}

void Loop::cancel(Completion& completion, Completion& target, void* userdata, Callback callback) {
  WEV_ASSERT(completion.state_ == Completion::State::dead,
             "Loop::cancel: the cancel's completion is already lent to a loop");
  WEV_ASSERT(&completion != &target, "Loop::cancel: a completion cannot cancel itself");
  lend(completion, {.type = &op::cancel_type, .cancel = {&target, nullptr, nullptr}}, userdata,
       callback);
  completion.deadline_ = never;
  completion.state_ = Completion::State::active;
  ++lent_;
  ++active_;
  if (target.state_ == Completion::State::dead) {
    return end(completion, std::unexpected(Errc::too_late));
  }
  // Answered when the target is delivered, which also ends the tie: a cancel
  // never looks at a target whose callback has begun.
  auto& links = completion.operation_.cancel;
  if (target.cancels_ == nullptr) {
    target.cancels_ = links.next = links.prev = &completion;
  } else {
    links.next = target.cancels_;
    links.prev = links.next->operation_.cancel.prev;
    links.next->operation_.cancel.prev = links.prev->operation_.cancel.next = &completion;
  }
  cancel(target);
}

// Ends what has not ended, early: now if the backend does not have it.
void Loop::withdraw(Completion& completion, Errc reason) {
  const OperationKind kind = completion.operation_.kind();
  if (completion.has(Completion::posted)) return collect_posts();  // which sees the state
  if (kind == OperationKind::close) return;
  if (kind == OperationKind::cancel) leave_target(completion);
  // Until it has come back.
  if (reason == Errc::timed_out) completion.set(Completion::expired);
  Result result = std::unexpected(Errc::operation_canceled);
  if (completion.has(Completion::in_backend)) {
    const auto left = backend_.cancel(completion);
    if (!left) {
      // It may be for the next tick to hand this to the system.
      if (turn_soon_ != nullptr) ask_for_turn();
      return;
    }
    result = *left;
    completion.clear(Completion::in_backend);
    --in_backend_;
  } else if (kind == OperationKind::foreign && !completion.operation_.type->leave(completion)) {
    return;
  }
  end(completion, result);
}

void Loop::leave_target(Completion& cancel) {
  const auto& links = cancel.operation_.cancel;
  Completion*& first = links.target->cancels_;
  if (first == &cancel) first = links.next == &cancel ? nullptr : links.next;
  links.next->operation_.cancel.prev = links.prev;
  links.prev->operation_.cancel.next = links.next;
}

void Loop::answer_cancels(Completion& target) {
  const bool canceled = target.was_canceled();
  while (Completion* cancel = target.cancels_) {
    leave_target(*cancel);
    end(*cancel, canceled ? Result(0) : Result(std::unexpected(Errc::too_late)));
  }
}

// All that a backend has which is lost.
void Loop::take_back() {
  const auto take = [this](Completion& completion) {
    if (!completion.has(Completion::in_backend)) return;
    const auto left = backend_.cancel(completion);
    if (!left) return;
    completion.clear(Completion::in_backend);
    --in_backend_;
    end(completion, *left);
  };
  loose_.for_each_backwards(take);
  descriptors_.for_each([&take](Descriptor& descriptor) {
    for (List<Completion>& queue : descriptor.queues) queue.for_each_backwards(take);
  });
}

// Last first: what stands behind must not be started by the end of what is in front of it.
// A close is carried out.
void Loop::cancel_each(List<Completion>& list) {
  list.for_each_backwards([this](Completion& completion) {
    if (completion.operation_.kind() != OperationKind::close) cancel(completion);
  });
}

// Those that were added and not started are told when they are: nobody looks for them among all
// others.
void Loop::cancel_all(int fd) {
  Descriptor* descriptor = descriptors_.find(fd);
  if (descriptor == nullptr) return;
  ++descriptor->cancels;
  cancel_queues(*descriptor);
}

void Loop::cancel_queues(Descriptor& descriptor) {
  for (List<Completion>& queue : descriptor.queues) cancel_each(queue);
}

void Loop::cancel_everything() {
  cancel_each(submissions_);
  while (Completion* first = timers_.first()) cancel(*first);
  // Those that are foreign may cancel others meanwhile.
  List<Completion> loose;
  loose.take(loose_);
  while (!loose.empty()) {
    Completion& completion = loose.pop_front();
    loose_.push_back(completion);
    cancel(completion);
  }
  descriptors_.for_each([this](Descriptor& descriptor) { cancel_queues(descriptor); });
  asyncs_.for_each_backwards([this](Async& async) { cancel_each(async.waiters_); });
}

// Calls back. Nothing of the completion is looked at after that but on rearm.
void Loop::deliver(Completion& completion) noexcept {
  answer_cancels(completion);
  Descriptor* descriptor = completion.descriptor_;
  if (descriptor != nullptr && completion.has(Completion::on_descriptor)) {
    --descriptor->undelivered;
    (void)give_up_if_unused(*descriptor);
  }
  if (completion.has(Completion::orphaned)) --orphans_;
  completion.state_ = Completion::State::dead;
  --lent_;
  if (!completion.has(Completion::unreferenced)) --active_;
  const Result result = completion.result();
  const bool canceled = completion.was_canceled();
  const Action action = completion.callback_(completion.userdata_, *this, completion, result);
  if (action == Action::rearm && !canceled && !draining_) rearm(completion);
}

void Loop::rearm(Completion& completion) {
  WEV_ASSERT(completion.state_ == Completion::State::dead,
             "rearm: the callback has already added the completion again");
  const Operation& operation = completion.operation_;
  if (operation.kind() == OperationKind::close || operation.kind() == OperationKind::cancel) return;
  if (operation.on_descriptor()) {
    const Descriptor* descriptor = descriptors_.find(operation.io.fd);
    if (descriptor != nullptr && descriptor->close != nullptr) return;
  }
  completion.flags_ &= Completion::unreferenced;
  completion.descriptor_ = nullptr;
  completion.value_ = 0;
  if (operation.kind() == OperationKind::timer) limit_timer(completion);
  submit(completion);
}

}  // namespace wev
