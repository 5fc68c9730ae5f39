// notify_stack.hpp: how other threads reach a loop.
//
// A part of Loop. A stack that any thread pushes on and only the loop's thread
// takes, whole (R. K. Treiber, "Systems Programming: Coping with Parallelism",
// IBM RJ 5118, 1986; taking all at once leaves no ABA).
#pragma once

#include <atomic>

namespace wev {

/// T has a member function `T*& notify_next()`, for the stack's use while the
/// item is on it.
template <class T>
class NotifyStack {
 public:
  /// Any thread. true: it was empty, the loop may be asleep and has to be woken.
  [[nodiscard]] bool push(T& item) noexcept {
    T* top = top_.load(std::memory_order_relaxed);
    do {
      item.notify_next() = top;
    } while (!top_.compare_exchange_weak(top, &item, std::memory_order_release,
                                         std::memory_order_relaxed));
    return top == nullptr;
  }

  [[nodiscard]] bool empty() const noexcept {
    return top_.load(std::memory_order_relaxed) == nullptr;
  }

  /// The loop's thread. Takes all and calls f(T&) for each, oldest first.
  template <class F>
  void take(F f) noexcept {
    if (empty()) return;
    T* top = top_.exchange(nullptr, std::memory_order_acquire);
    T* oldest = nullptr;
    while (top != nullptr) {
      T* next = top->notify_next();
      top->notify_next() = oldest;
      oldest = top;
      top = next;
    }
    while (oldest != nullptr) {
      T* next = oldest->notify_next();  // f may free it
      f(*oldest);
      oldest = next;
    }
  }

 private:
  std::atomic<T*> top_{nullptr};
};

}  // namespace wev
