#include "wev/task/run_on.hpp"

#include "sys/thread.hpp"

namespace wev::internal {

// Here ----------------------------------------------------------------------------------

void Abroad::begin(PromiseBase& caller) noexcept {
  strand_ = caller.strand;
  Loop& here = strand_->loop();
  hold_ = &async_.emplace(here);
  here.add(holding_, op::async_wait(*hold_), this, on_let_go);
  there_.post(begin_, this, on_begin);
  strand_->park(caller, *this);
}

void Abroad::stop(Waiter& self) noexcept { static_cast<Abroad&>(self).post_cancel(); }

void Abroad::post_cancel() noexcept {
  if ((state_.fetch_or(cancel_posted) & (cancel_posted | ended)) != 0) return;
  there_.post(cancel_, this, on_cancel);
}

Action Abroad::on_back(void* self, Loop& here, Completion&, Result) noexcept {
  auto& abroad = *static_cast<Abroad*>(self);
  abroad.came_back_ = true;
  here.cancel(abroad.holding_);
  return Action::disarm;
}

Action Abroad::on_let_go(void* self, Loop& here, Completion&, Result) noexcept {
  auto& abroad = *static_cast<Abroad*>(self);
  if (!abroad.came_back_) {  // the loop is drained, and waits for what is elsewhere
    abroad.post_cancel();
    sys::yield();
    here.add(abroad.holding_, op::async_wait(*abroad.hold_), self, on_let_go);
    return Action::disarm;
  }
  here.detach(*abroad.hold_);
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
    abroad.go_back();
  } else {
    abroad.root_->cancel();
  }
  return Action::disarm;
}

void Abroad::is_over() noexcept {
  const bool cancel_comes = (state_.fetch_or(ended) & cancel_posted) != 0 && !cancel_came_;
  if (!cancel_comes) go_back();
}

// The last that is done to it here.
void Abroad::go_back() noexcept { strand_->loop().post(back_, this, on_back); }

}  // namespace wev::internal
