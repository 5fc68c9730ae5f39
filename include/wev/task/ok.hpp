// ok.hpp: passing errors up.
//
//   const std::size_t size = co_await wev::ok(stream.read_some(buffer));
//
// is the value of what is awaited. If that is an error the task does not go on: it
// ends there, its variables are destroyed as by a return, and its own result is that
// error. Takes whatever can be awaited and gives a std::expected, and a std::expected
// itself. The task's result is a std::expected whose error can be made from this one.
#pragma once

#include <coroutine>
#include <optional>
#include <type_traits>
#include <utility>

#include "wev/task/task.hpp"

namespace wev {

namespace internal {

template <class T>
inline constexpr bool is_std_expected = false;
template <class T, class E>
inline constexpr bool is_std_expected<std::expected<T, E>> = true;

/// Of what is there already.
template <class T>
struct Ready {
  T value;
  [[nodiscard]] bool await_ready() const noexcept { return true; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise>) const noexcept {}
  T await_resume() { return std::move(value); }
};

template <class A>
decltype(auto) awaiter_or_ready(A&& awaitable) {
  if constexpr (is_std_expected<std::remove_cvref_t<A>>) {
    return Ready<std::remove_cvref_t<A>>{std::forward<A>(awaitable)};
  } else {
    return get_awaiter(std::forward<A>(awaitable));
  }
}

template <class A>
inline constexpr bool is_ok = false;

template <class A>
class OkAwaiter : private Gate {
  static_assert(!is_ok<std::remove_cvref_t<A>>, "ok(ok(x)): one after the other");
  using Inner = decltype(awaiter_or_ready(std::declval<A>()));
  using Given = std::remove_cvref_t<decltype(std::declval<Inner&>().await_resume())>;
  static_assert(is_std_expected<Given>, "ok(): what is awaited gives no std::expected");

 public:
  explicit OkAwaiter(A&& awaitable)
      : Gate{is_there}, inner_(awaiter_or_ready(std::forward<A>(awaitable))) {}

  bool await_ready() {
    if (!inner_.await_ready()) return false;
    take();
    return passes();
  }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> task) {
    static_assert(is_std_expected<typename Promise::Value>,
                  "ok(): the task's own result has to be a std::expected");
    promise_ = &task.promise();
    fail_ = [](OkAwaiter& self) noexcept {
      static_cast<Promise*>(self.promise_)
          ->outcome.set(std::unexpected(std::move(*self.given_).error()));
    };
    if (!given_) {
      if (suspends(task)) {
        promise_->gate = this;  // asked when drive() comes back to the task, not before
        return true;
      }
      take();
      if (passes()) return false;
    }
    fail_(*this);
    promise_->strand->finish(*promise_);
    return true;
  }
  Given::value_type await_resume() {
    thrown_.rethrow();
    if constexpr (!std::is_void_v<typename Given::value_type>) return *std::move(*given_);
  }

 private:
  static bool is_there(Gate& gate) noexcept {
    auto& self = static_cast<OkAwaiter&>(gate);
    self.take();
    if (self.passes()) return true;
    self.fail_(self);
    return false;
  }

  template <class Promise>
  bool suspends(std::coroutine_handle<Promise> task) {
    if constexpr (std::is_void_v<decltype(inner_.await_suspend(task))>) {
      inner_.await_suspend(task);
      return true;
    } else {
      return inner_.await_suspend(task);
    }
  }

  // What is thrown here is thrown to the task when that goes on.
  void take() noexcept {
    thrown_.keep_from([this] { given_.emplace(inner_.await_resume()); });
  }
  [[nodiscard]] bool passes() const noexcept { return thrown_ || given_->has_value(); }

  Inner inner_;
  std::optional<Given> given_;
  [[no_unique_address]] Thrown thrown_;
  PromiseBase* promise_ = nullptr;
  void (*fail_)(OkAwaiter& self) noexcept = nullptr;
};

/// `A` is what to_awaitable() gives: a reference, or a value.
template <class A>
struct Ok {
  A awaitable;
  OkAwaiter<A> operator co_await() && { return OkAwaiter<A>(std::forward<A>(awaitable)); }
};

template <class A>
inline constexpr bool is_ok<Ok<A>> = true;

}  // namespace internal

/// Awaited where it is made: it refers to what it was given.
template <class A>
[[nodiscard]] auto ok(A&& awaitable) noexcept {
  using B = decltype(to_awaitable(std::forward<A>(awaitable)));
  return internal::Ok<B>{to_awaitable(std::forward<A>(awaitable))};
}

}  // namespace wev
