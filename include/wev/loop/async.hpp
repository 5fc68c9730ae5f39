// async.hpp: waking a loop from any thread.
//
// An Async is apart from the completions that wait on it, so that notifying
// never races with adding, delivering or cancelling those.
//
//   wev::Async async(loop);
//   loop.add(completion, wev::op::async_wait(async), &state, on_notified);
//   ...
//   async.notify();      // any thread
//   ...
//   loop.detach(async);  // the loop's thread, when no thread notifies any more
//
// Lifetime   The caller's; alive and in place until loop.detach().
// Promises   A notification is never lost, before, during and after a wait.
//            Many before they are delivered are one. While nobody waits one is
//            remembered. What happened before notify() is visible to the
//            callback.
// Cost       notify() is O(1) and lock-free; delivering costs what was
//            notified, however many Asyncs there are.
#pragma once

#include <atomic>

#include "wev/loop/completion.hpp"

namespace wev {

template <class T>
class NotifyStack;

class Async : private Link {
 public:
  /// The loop's thread.
  explicit Async(Loop& loop) noexcept;
  ~Async() { WEV_ASSERT(loop_ == nullptr, "~Async: not detached from its loop"); }
  Async(const Async&) = delete;
  Async& operator=(const Async&) = delete;

  /// Any thread, callbacks included, until detach() begins.
  void notify() noexcept;

 private:
  friend class Loop;
  friend class List<Async>;
  friend class NotifyStack<Async>;

  Async*& notify_next() noexcept { return notify_next_; }

  Loop* loop_;
  Async* notify_next_ = nullptr;      // while pending_
  std::atomic<bool> pending_{false};  // on the loop's stack
  bool remembered_ = false;           // notified while nobody waited
  List<Completion> waiters_;
};

}  // namespace wev
