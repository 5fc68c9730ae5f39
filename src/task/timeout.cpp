#include "wev/task/timeout.hpp"

namespace wev::internal {

void Limit::set(ChildBase& child) noexcept {
  child_ = &child;
  enter();
  owner().loop().add(timer_, op::timer(delay_), this, on_timer);
}

void Limit::lift() noexcept {
  child_ = nullptr;
  if (timer_.state() != Completion::State::dead) owner().loop().cancel(timer_);
}

Action Limit::on_timer(void* self, Loop&, Completion&, Result result) noexcept {
  auto& limit = *static_cast<Limit*>(self);
  if (limit.child_ != nullptr) {
    if (!limit.child_->cancel_asked()) {
      limit.reason_ = result ? Error(Errc::timed_out) : result.error();
    }
    limit.child_->cancel();
  }
  limit.Scope::leave();
  return Action::disarm;
}

}  // namespace wev::internal
