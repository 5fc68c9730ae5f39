// timeout.hpp: a task with a limit of time, and one that is not cancelled.
//
//   auto reply = co_await wev::timeout(5s, ask(server));     // Errc::timed_out
//   co_await wev::shield(say_goodbye(server));               // though we are cancelled
//
// For a single operation of a handle `within(5s)` costs less (request.hpp).
#pragma once

#include <coroutine>
#include <optional>
#include <utility>

#include "wev/task/scope.hpp"

namespace wev {

namespace internal {

/// A timer beside a strand. What does not depend on the task's result.
class Limit : public Scope {
 protected:
  explicit Limit(Duration delay) noexcept : delay_(delay) {}
  void set(ChildBase& child) noexcept;
  /// The child has ended.
  void lift() noexcept;
  /// Why it has cancelled the task, if it did: timed_out, or what befell the timer.
  [[nodiscard]] const std::optional<Error>& reason() const noexcept { return reason_; }

 private:
  static Action on_timer(void* self, Loop&, Completion&, Result result) noexcept;

  Duration delay_;
  Completion timer_;
  ChildBase* child_ = nullptr;  // until it has ended
  std::optional<Error> reason_;
};

template <class T>
class [[nodiscard("begins when it is awaited")]] Timeout {
 public:
  Timeout(Duration delay, Task<T> task) noexcept : delay_(delay), task_(std::move(task)) {}

  class Awaiter : private Limit {
   public:
    Awaiter(Duration delay, Task<T> task) noexcept
        : Limit(delay), child_(std::move(task), on_end) {}
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> task) noexcept {
      open(*task.promise().strand);
      set(child_);
      child_.start_in(*this);
      return join(task.promise());
    }
    as_expected<T> await_resume() {
      as_expected<T> result = child_.outcome().take_expected();
      bool cut_short = true;
      if constexpr (is_expected<T>) {
        cut_short = !result && result.error() == Errc::operation_canceled;
      }
      if (!reason() || !cut_short) return result;
      if constexpr (requires { result.error().moved; }) {
        if (!result) return std::unexpected(TransferError(*reason(), result.error().moved));
      }
      return std::unexpected(*reason());
    }

   private:
    static void on_end(Strand& strand) noexcept {
      auto& child = static_cast<ChildBase&>(strand);
      auto& self = static_cast<Awaiter&>(child.scope());
      self.lift();
      self.leave(child);
    }

    Child<T> child_;
  };
  Awaiter operator co_await() && noexcept { return Awaiter(delay_, std::move(task_)); }

 private:
  Duration delay_;
  Task<T> task_;
};

template <class T>
class [[nodiscard("begins when it is awaited")]] Shield {
 public:
  explicit Shield(Task<T> task) noexcept : task_(std::move(task)) {}

  class Awaiter {
   public:
    explicit Awaiter(Task<T> task) noexcept : task_(std::move(task)) {}
    [[nodiscard]] bool await_ready() const noexcept { return !task_.valid(); }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> task) noexcept {
      strand_ = task.promise().strand;
      strand_->shield();
      strand_->call(*task_.promise(), task.promise());
    }
    T await_resume() {
      if (strand_ != nullptr) strand_->unshield();
      return task_.take();
    }

   private:
    Task<T> task_;
    Strand* strand_ = nullptr;
  };
  Awaiter operator co_await() && noexcept { return Awaiter(std::move(task_)); }

 private:
  Task<T> task_;
};

}  // namespace internal

/// Awaits a task, or whatever else can be awaited, and cancels it when `delay` has
/// passed. Goes on when that has ended: with its result; but with Errc::timed_out if
/// that is operation_canceled or cannot say so, being no Expected.
template <class Rep, class Period, class A>
auto timeout(std::chrono::duration<Rep, Period> delay, A&& awaitable) {
  return internal::Timeout<Awaited<A>>(saturate(delay), as_task(std::forward<A>(awaitable)));
}

/// Awaits a task, or whatever else can be awaited. Cancelling the task that waits has
/// no effect on it, and is noticed after its end.
template <class A>
auto shield(A&& awaitable) {
  return internal::Shield<Awaited<A>>(as_task(std::forward<A>(awaitable)));
}

}  // namespace wev
