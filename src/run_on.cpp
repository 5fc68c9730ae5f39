#include "wev/run_on.hpp"

namespace wev::internal {

// Here ----------------------------------------------------------------------------------

void Abroad::begin(PromiseBase& caller) noexcept {
  strand_ = caller.strand;
  Loop& here = strand_->loop();
  over_.emplace(here);
  here.add(waiting_, op::async_wait(*over_), this, on_notified);
  there_.post(begin_, this, on_begin);
  strand_->park(caller, *this);
}

void Abroad::stop(Waiter& self) noexcept { static_cast<Abroad&>(self).post_cancel(); }

void Abroad::post_cancel() noexcept {
  if ((state_.fetch_or(cancel_posted) & (cancel_posted | ended)) != 0) return;
  there_.post(cancel_, this, on_cancel);
}

Action Abroad::on_notified(void* self, Loop& here, Completion&, Result result) noexcept {
  auto& abroad = *static_cast<Abroad*>(self);
  if (!result) {  // the loop is drained, but the task is elsewhere
    abroad.post_cancel();
    here.add(abroad.waiting_, op::async_wait(*abroad.over_), self, on_notified);
    return Action::disarm;
  }
  here.detach(*abroad.over_);
  abroad.strand_->resume();
  return Action::disarm;
}

// There ---------------------------------------------------------------------------------

Action Abroad::on_begin(void* self, Loop& there, Completion&, Result) noexcept {
  auto& abroad = *static_cast<Abroad*>(self);
  abroad.root_ = &abroad.make_root_(abroad, there);
  abroad.root_->on_done([&abroad] { abroad.is_over(); });
  return Action::disarm;
}

Action Abroad::on_cancel(void* self, Loop&, Completion&, Result) noexcept {
  auto& abroad = *static_cast<Abroad*>(self);
  abroad.cancel_came_ = true;
  if ((abroad.state_.load() & ended) != 0) {
    abroad.over_->notify();
  } else {
    abroad.root_->cancel();
  }
  return Action::disarm;
}

void Abroad::is_over() noexcept {
  const bool cancel_comes = (state_.fetch_or(ended) & cancel_posted) != 0 && !cancel_came_;
  if (!cancel_comes) over_->notify();
}

}  // namespace wev::internal
