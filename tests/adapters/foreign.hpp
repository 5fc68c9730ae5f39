// foreign.hpp: a descriptor that another library reads and writes, awaited by the
// loop.
//
// Such libraries say what they want to know of a descriptor, again and again, and
// expect to be called as long as it is so (level-triggered). Each poll of the loop
// tells once, so it is added anew after each call.
//
// The loop has to close what it polls: with io_uring a poll that was cancelled may
// be with the kernel for a moment more, and a number that is closed behind the
// loop's back can be another's by then. Libraries that let others close give it to
// release(); for those that insist, poll a duplicate.
#pragma once

#include <array>
#include <functional>
#include <utility>

#include "wev/loop/loop.hpp"

namespace wev::test {

class Foreign {
 public:
  enum Side { in, out };

  /// Takes the descriptor. `ready` is called for one side at a time and may do
  /// anything, release() included.
  static Foreign* make(Loop& loop, int fd, std::function<void(Side)> ready) {
    return new Foreign(loop, fd, std::move(ready));
  }

  void want(Side side, bool wanted) {
    sides_[side].wanted = wanted;
    side == in ? update<in>() : update<out>();
  }
  /// Forgets it and closes the descriptor. The object is gone for the caller.
  void release() {
    released_ = true;
    loop_.add(closing_, op::close(fd_), this, on_closed);
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  struct Poll {
    Completion completion;
    bool wanted = false;
  };

  Foreign(Loop& loop, int fd, std::function<void(Side)> ready)
      : loop_(loop), fd_(fd), ready_(std::move(ready)) {}

  template <Side side>
  void update() {
    Completion& completion = sides_[side].completion;
    if (!sides_[side].wanted) return loop_.cancel(completion);
    // One that is being cancelled comes back here.
    if (completion.state() != Completion::State::dead) return;
    loop_.add(completion, side == in ? op::poll_readable(fd_) : op::poll_writable(fd_), this,
              on_ready<side>);
  }

  template <Side side>
  static Action on_ready(void* self, Loop&, Completion&, Result result) {
    auto& foreign = *static_cast<Foreign*>(self);
    if (foreign.released_) return Action::disarm;
    if (result && foreign.sides_[side].wanted) foreign.ready_(side);
    if (!foreign.released_ && foreign.sides_[side].wanted) foreign.update<side>();
    return Action::disarm;
  }

  // After all polls.
  static Action on_closed(void* self, Loop&, Completion&, Result) {
    delete static_cast<Foreign*>(self);
    return Action::disarm;
  }

  Loop& loop_;
  const int fd_;
  std::function<void(Side)> ready_;
  std::array<Poll, 2> sides_;
  Completion closing_;
  bool released_ = false;
};

}  // namespace wev::test
