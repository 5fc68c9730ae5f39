#include "wev/task/scope.hpp"

namespace wev {

void Scope::start(ChildBase& child, PromiseBase* task) noexcept {
  child.scope_ = this;
  strands_.push_back(child);
  enter();
  if (canceled_ || owner_->canceled()) child.cancel();
  if (task != nullptr) {
    child.Strand::start(owner_->scheduler(), *task);
  } else {
    child.on_end_(child);
  }
}

void Scope::leave(ChildBase& child) noexcept {
  child.unlink();
  if (--count_ == 0 && joined_) owner_->wake();
}

void Scope::leave() noexcept {
  if (--count_ == 0 && joined_) owner_->resume();
}

void Scope::cancel() noexcept {
  if (canceled_) return;
  canceled_ = true;
  strands_.for_each_backwards([](Strand& strand) { strand.cancel(); });
}

bool Scope::join(PromiseBase& task) noexcept {
  if (empty()) return false;
  joined_ = true;
  owner_->park(task, *this);
  return true;
}

}  // namespace wev
