#include "wev/task/run.hpp"

namespace wev {

RootBase::RootBase(Loop& loop, PromiseBase* task, Ended ended) noexcept
    : Scheduler(loop), Strand(ended) {
  ends(settled);
  if (task != nullptr) {
    start(*this, *task);
  } else {
    ask_for_turn();
  }
}

void RootBase::settled(Scheduler& scheduler) noexcept {
  auto& root = static_cast<RootBase&>(scheduler);
  if (root.lives()) return;
  if (root.running_) root.Scheduler::loop().stop();
  if (root.on_done_) root.on_done_();
}

Expected<void> RootBase::run() {
  Loop& loop = Scheduler::loop();
  Expected<void> outcome;
  running_ = true;
  while (!done()) {
    const auto ran = loop.run();
    if (done()) break;
    const bool stuck = ran ? !loop.stopped() : ran.error() == Errc::deadlock;
    if (!ran && !stuck) {
      running_ = false;
      return ran;
    }
    if (stuck) {
      WEV_ASSERT(outcome, "run: a task waits, though it is cancelled, for what never comes");
      outcome = std::unexpected(Errc::deadlock);
    }
    cancel();
  }
  running_ = false;
  return outcome;
}

}  // namespace wev
