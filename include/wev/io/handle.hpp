// handle.hpp: what all handles of a descriptor are.
//
// Owns one descriptor on one loop. Moving moves the ownership; what is in flight
// is the requests' and does not notice. Destroying closes: at once if nothing is
// in flight, else as soon as the loop has cancelled that. The loop outlives its handles.
#pragma once

#include <utility>

#include "wev/loop/request.hpp"

namespace wev {

class Handle {
 public:
  Handle() = default;
  Handle(Handle&& other) noexcept
      : loop_(other.loop_), fd_(std::exchange(other.fd_, -1)), owned_(other.owned_) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      reset();
      loop_ = other.loop_;
      fd_ = std::exchange(other.fd_, -1);
      owned_ = other.owned_;
    }
    return *this;
  }
  ~Handle() { reset(); }

  [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }
  /// The descriptor, which stays the handle's; -1 if it is not open.
  [[nodiscard]] int fd() const noexcept { return fd_; }
  /// REQUIRES: it was opened, or moved from one that was.
  [[nodiscard]] Loop& loop() const noexcept {
    WEV_ASSERT(loop_ != nullptr, "Handle: it was never opened");
    return *loop_;
  }
  /// Gives the descriptor away. What is in flight on it goes on, so who closes it waits for
  /// that, or calls cancel() before; then what the loop knows of it is forgotten.
  [[nodiscard]] int release() noexcept {
    if (is_open()) (void)loop_->forget(fd_);
    return let_go();
  }

  /// Ends all that was begun on its descriptor early: with operation_canceled, or with its real
  /// result where that came first. What is begun from now on is not concerned.
  void cancel() const {
    if (is_open()) loop_->cancel_all(fd_);
  }

  /// What is in flight ends with operation_canceled, then the descriptor is
  /// closed, then this ends, with nothing; it is not interrupted. The handle is not
  /// open any more when this returns: begin it, and once. REQUIRES: is_open().
  Awaitable<ToNothing> close() noexcept {
    WEV_ASSERT(is_open(), "Handle::close: it is not open");
    return {*loop_, op::close(let_go())};
  }

 protected:
  Handle(Loop& loop, int fd, bool owned = true) noexcept : loop_(&loop), fd_(fd), owned_(owned) {
    if (is_open()) ++loop_->handles_;
  }

  /// Carries out now what never waits.
  Expected<void> perform(const Operation& operation) const {
    WEV_ASSERT(is_open(), "Handle: it is not open");
    const Result result = loop_->perform(operation);
    if (!result) return std::unexpected(result.error());
    return {};
  }

 private:
  void reset() noexcept;
  int let_go() noexcept {
    if (is_open()) --loop_->handles_;
    return std::exchange(fd_, -1);
  }

  Loop* loop_ = nullptr;
  int fd_ = -1;
  bool owned_ = true;  // else it belongs to the process, as stdio does
};

/// What an operation ends with whose result is a descriptor: its owner.
template <class Owner>
struct ToOwned {
  Expected<Owner> operator()(RequestBase& request, Result fd) const noexcept {
    if (!fd) return std::unexpected(fd.error());
    return Owner(request.loop(), static_cast<int>(*fd));
  }
};

}  // namespace wev
