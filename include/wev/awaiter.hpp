// awaiter.hpp: how a task waits for an operation.
//
// For what begins operations; programs write `co_await stream.read_some(buffer)`.
//
// The operation begins when it is awaited. Cancelling the task cancels it, and it ends
// with operation_canceled or its real result, whichever came first; a close is carried
// out all the same.
#pragma once

#include <coroutine>
#include <utility>

#include "wev/request.hpp"
#include "wev/strand.hpp"

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
  typename Awaitable<Convert>::Value await_resume() { return Convert{}(*this, result_); }

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
