#include "wev/task/run_on.hpp"

namespace wev::internal {

// Here ----------------------------------------------------------------------------------

void Abroad::on_start(void* self, Ticket ticket) noexcept {
  auto& abroad = *static_cast<Abroad*>(self);
  abroad.ticket_ = ticket;
  abroad.there_.post(abroad.begin_, self, on_begin);
}

bool Abroad::on_stop(void* self, Ticket) noexcept {
  auto& abroad = *static_cast<Abroad*>(self);
  if ((abroad.state_.fetch_or(cancel_posted) & ended) == 0) {
    abroad.there_.post(abroad.cancel_, self, on_cancel);
  }
  return false;
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
    abroad.ticket_.complete(0);
  } else {
    abroad.root_->cancel();
  }
  return Action::disarm;
}

// Completing is the last that is done to it here.
void Abroad::is_over() noexcept {
  const bool cancel_comes = (state_.fetch_or(ended) & cancel_posted) != 0 && !cancel_came_;
  if (!cancel_comes) ticket_.complete(0);
}

}  // namespace wev::internal
