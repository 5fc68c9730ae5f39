#include "wev/task/strand.hpp"

#include <utility>

namespace wev {

// One strand ----------------------------------------------------------------------------

void Strand::start(Scheduler& scheduler, PromiseBase& task) noexcept {
  WEV_ASSERT(!started_, "Strand::start: it was started already");
  started_ = true;
  scheduler_ = &scheduler;
  task.strand = this;
  next_ = &task;
  scheduler_->make_ready(*this);
}

void Strand::cancel() noexcept {
  if (cancel_asked_) return;
  cancel_asked_ = true;
  if (waiter_ != nullptr) scheduler_->interrupt(*this);
}

void Strand::interrupt() noexcept {
  if (waiter_ == nullptr || !canceled()) return;
  Waiter& waiter = *std::exchange(waiter_, nullptr);
  waiter.cancel(waiter);
}

void Strand::park(PromiseBase& task, Waiter& waiter) noexcept {
  parked_ = &task;
  waiter_ = &waiter;
  if (++scheduler_->suspensions_ == scheduler_->cancel_at_) scheduler_->to_cancel_->cancel();
  interrupt();
}

// drive() takes it from there: a strand can be woken while it is still about to wait.
void Strand::end_wait() noexcept {
  WEV_ASSERT(parked_ != nullptr && !woken_, "Strand: it is woken, but does not wait");
  waiter_ = nullptr;
  woken_ = true;
}

void Strand::wake() noexcept {
  end_wait();
  scheduler_->make_ready(*this);
}

void Strand::resume() noexcept {
  end_wait();
  scheduler_->run(this);
}

void Strand::drive() noexcept {
  if (woken_) {
    woken_ = false;
    next_ = std::exchange(parked_, nullptr);
  }
  while (PromiseBase* task = std::exchange(next_, nullptr)) {
    if (Gate* gate = std::exchange(task->gate, nullptr); gate != nullptr && !gate->passes(*gate)) {
      finish(*task);
    } else {
      task->self.resume();
    }
  }
  if (ended_) on_end_(*this);
}

// A scope cancels the strands in it, which may wait for scopes: one after the other, not one
// inside of the other, however deep that is.
void Scheduler::interrupt(Strand& strand) noexcept {
  strand.cancel_next_ = nullptr;
  *last_interrupted_ = &strand;
  last_interrupted_ = &strand.cancel_next_;
  if (std::exchange(interrupting_, true)) return;
  while (Strand* next = interrupted_) {
    interrupted_ = next->cancel_next_;
    if (interrupted_ == nullptr) last_interrupted_ = &interrupted_;
    next->interrupt();
  }
  interrupting_ = false;
}

// Those that are ready ----------------------------------------------------------------

void Scheduler::make_ready(Strand& strand) noexcept {
  strand.ready_next_ = nullptr;
  *last_ = &strand;
  last_ = &strand.ready_next_;
  if (!running_) ask_for_turn();
}

void Scheduler::run(Strand* strand) noexcept {
  running_ = true;
  if (strand != nullptr) strand->drive();
  for (int left = most_at_once; left > 0 && first_ != nullptr; --left) {
    Strand& next = *first_;
    first_ = next.ready_next_;
    if (first_ == nullptr) last_ = &first_;
    next.drive();
  }
  running_ = false;
  if (first_ != nullptr) return ask_for_turn();
  if (settled_ != nullptr && idle()) settled_(*this);
}

Action Scheduler::on_turn(void* self, Loop&, Completion&, Result) noexcept {
  static_cast<Scheduler*>(self)->run(nullptr);
  return Action::disarm;
}

}  // namespace wev
