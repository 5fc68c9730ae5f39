// awaiter.hpp: how a task waits for an operation.
//
// For what begins operations; programs write `co_await stream.read_some(buffer)`.
//
// The operation begins when it is awaited. Cancelling the task cancels it, and it ends
// with operation_canceled or its real result, whichever came first; a close is carried
// out all the same.
#pragma once

#include <coroutine>
#include <type_traits>
#include <utility>

#include "wev/loop/request.hpp"
#include "wev/task/strand.hpp"

namespace wev {

template <class Convert>
class OperationAwaiter : private RequestBase, private Waiter {
 public:
  /// `awaitable` stays alive until await_suspend().
  explicit OperationAwaiter(const Awaitable<Convert>& awaitable) noexcept
      : Waiter{stop}, awaitable_(awaitable) {}

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) {
    PromiseBase& promise = task.promise();
    strand_ = promise.strand;
    begin(awaitable_, &strand_->loop(), on_end);
    WEV_ASSERT(&loop() == &strand_->loop(),
               "co_await: the handle is another loop's than the task, see run_on()");
    strand_->park(promise, *this);
  }
  Awaitable<Convert>::Value await_resume() { return Convert{}(*this, result_); }

 private:
  static void on_end(RequestBase& self, Result result) {
    auto& awaiter = static_cast<OperationAwaiter&>(self);
    awaiter.result_ = result;
    awaiter.strand_->resume();
  }
  static void stop(Waiter& self) noexcept {
    auto& awaiter = static_cast<OperationAwaiter&>(self);
    if (awaiter.operation().kind() != OperationKind::close) awaiter.RequestBase::cancel();
  }

  const Awaitable<Convert>& awaitable_;
  Strand* strand_ = nullptr;
  Result result_;
};

template <class Convert>
OperationAwaiter<Convert> operator co_await(const Awaitable<Convert>& awaitable) noexcept {
  return OperationAwaiter<Convert>(awaitable);
}

/// What begins by start(callback(Value)) on a loop, and ends early by cancel(): names, for
/// example, which know nothing of tasks.
template <class S>
concept StartedByCallback = requires(const S& what, void (*callback)(typename S::Value)) {
  what.start(callback);
  what.cancel();
  what.loop();
};

template <StartedByCallback S>
class CallbackAwaiter : private Waiter {
 public:
  /// `what` stays alive until it has ended.
  explicit CallbackAwaiter(const S& what) noexcept : Waiter{stop}, what_(what) {}

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) {
    strand_ = task.promise().strand;
    WEV_ASSERT(&strand_->loop() == &what_.loop(),
               "co_await: it is of another loop than the task, see run_on()");
    what_.start([this](S::Value value) {
      value_ = std::move(value);
      strand_->resume();
    });
    strand_->park(task.promise(), *this);
  }
  S::Value await_resume() noexcept { return std::move(value_); }

 private:
  static void stop(Waiter& self) noexcept { static_cast<CallbackAwaiter&>(self).what_.cancel(); }

  const S& what_;
  Strand* strand_ = nullptr;
  S::Value value_;
};

template <StartedByCallback S>
CallbackAwaiter<S> operator co_await(const S& what) noexcept {
  return CallbackAwaiter<S>(what);
}

/// A completion of the caller's, on its way into the loop.
class [[nodiscard("begins when it is awaited")]] Lending {
 public:
  Lending(Completion& completion, const Operation& operation, Instant deadline) noexcept
      : completion_(completion), operation_(operation), deadline_(deadline) {}

  class Awaiter : private Waiter {
   public:
    explicit Awaiter(const Lending& what) noexcept : Waiter{stop}, what_(what) {}
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> task) {
      strand_ = task.promise().strand;
      strand_->loop().add(what_.completion_, what_.operation_, this, on_end, what_.deadline_);
      strand_->park(task.promise(), *this);
    }
    Result await_resume() const noexcept { return result_; }

   private:
    static Action on_end(void* self, Loop&, Completion&, Result result) {
      auto& awaiter = *static_cast<Awaiter*>(self);
      awaiter.result_ = result;
      awaiter.strand_->resume();
      return Action::disarm;
    }
    static void stop(Waiter& self) noexcept {
      const auto& awaiter = static_cast<Awaiter&>(self);
      if (awaiter.what_.operation_.kind() == OperationKind::close) return;
      awaiter.strand_->loop().cancel(awaiter.what_.completion_);
    }

    const Lending& what_;
    Strand* strand_ = nullptr;
    Result result_;
  };
  Awaiter operator co_await() const noexcept { return Awaiter(*this); }

 private:
  Completion& completion_;
  Operation operation_;
  Instant deadline_;
};

/// Awaits a completion of the caller's, which others know as well and may cancel
/// (Loop::cancel) or look at: ends with the loop's Result. REQUIRES: it is dead.
inline Lending lend(Completion& completion, const Operation& operation,
                    Instant deadline = never) noexcept {
  return {completion, operation, deadline};
}

/// Operations and Asyncs that are awaited bare are Awaitables; all else is what it is.
inline Awaitable<> to_awaitable(const Operation& operation) noexcept {
  return Awaitable<>(operation);
}
inline Awaitable<ToNothing> to_awaitable(Async& async) noexcept {
  return Awaitable<ToNothing>(op::async_wait(async));
}
template <class A>
  requires(!std::is_same_v<std::remove_cvref_t<A>, Operation> &&
           !std::is_same_v<std::remove_cvref_t<A>, Async>)
A&& to_awaitable(A&& awaitable) noexcept {
  return std::forward<A>(awaitable);
}

/// How anything is awaited (C++20, [expr.await]).
template <class A>
decltype(auto) get_awaiter(A&& awaitable) {
  if constexpr (requires { std::forward<A>(awaitable).operator co_await(); }) {
    return std::forward<A>(awaitable).operator co_await();
  } else if constexpr (requires { operator co_await(std::forward<A>(awaitable)); }) {
    return operator co_await(std::forward<A>(awaitable));
  } else {
    return std::forward<A>(awaitable);
  }
}

}  // namespace wev
