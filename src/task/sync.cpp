#include "wev/task/sync.hpp"

namespace wev {

void WaitNode::stop(Waiter& waiter) noexcept {
  auto& node = static_cast<WaitNode&>(waiter);
  node.unlink();
  node.canceled_ = true;
  node.strand_->wake();
}

void WaitList::park(PromiseBase& task, WaitNode& node) noexcept {
  WEV_ASSERT(empty() || &front().strand_->loop() == &task.strand->loop(),
             "tasks of different loops wait for the same: see run_on()");
  node.strand_ = task.strand;
  nodes_.push_back(node);
  task.strand->park(task, node);
}

void WaitList::wake_first() noexcept { nodes_.pop_front().strand_->wake(); }

void WaitList::wake_all() noexcept {
  while (!nodes_.empty()) wake_first();
}

}  // namespace wev
