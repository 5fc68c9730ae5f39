// when.hpp: several tasks at the same time.
//
//   auto [size, address] = co_await wev::when_all(file.size(), find(name));
//
//   auto first = co_await wev::when_any(peer.read_some(buffer), stop.wait());
//   if (first.index() == 0) ...
//
// Both take tasks and whatever else can be awaited, and go on when all of them have
// ended. Cancelling the task that waits cancels them. What is void comes as
// std::monostate. For a number of tasks that is only known at run time see
// task_group.hpp.
#pragma once

#include <coroutine>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "wev/task/scope.hpp"

namespace wev {

namespace internal {

template <class T>
using NotVoid = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class T>
NotVoid<T> take_from(Child<T>& child) {
  if constexpr (std::is_void_v<T>) {
    child.outcome().take();
    return {};
  } else {
    return child.outcome().take();
  }
}

/// A Child that a tuple can make in place.
template <class T>
struct Started : Child<T> {
  explicit Started(std::pair<Task<T>*, Strand::Ended> with) noexcept
      : Child<T>(std::move(*with.first), with.second) {}
};

/// Tasks in a scope, started together.
template <class... Ts>
class Together : protected Scope {
 public:
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> task) noexcept {
    open(*task.promise().strand);
    std::apply([this](auto&... child) { (child.start_in(*this), ...); }, children_);
    return join(task.promise());
  }

 protected:
  /// Each with what is called when it has ended; see Strand::Ended.
  template <class... Ended>
  explicit Together(std::tuple<Task<Ts>...>& tasks, Ended... on_end) noexcept
      : children_(std::apply(
            [&](auto&... task) { return std::tuple<Started<Ts>...>(std::pair(&task, on_end)...); },
            tasks)) {}

  std::tuple<Started<Ts>...> children_;
};

template <class... Ts>
class WhenAll : public Together<Ts...> {
 public:
  explicit WhenAll(std::tuple<Task<Ts>...>& tasks) noexcept
      : Together<Ts...>(tasks, Strand::Ended(leaves<Ts>)...) {}
  std::tuple<NotVoid<Ts>...> await_resume() {
    return std::apply(
        [](auto&... child) { return std::tuple<NotVoid<Ts>...>{take_from(child)...}; },
        this->children_);
  }

 private:
  template <class>
  static void leaves(Strand& strand) noexcept {
    auto& child = static_cast<ChildBase&>(strand);
    child.scope().leave(child);
  }
};

template <class... Ts>
class WhenAny : public Together<Ts...> {
  using First = std::variant<NotVoid<Ts>...>;

 public:
  explicit WhenAny(std::tuple<Task<Ts>...>& tasks) noexcept
      : WhenAny(tasks, std::index_sequence_for<Ts...>()) {}
  First await_resume() { return take<0>(); }

 private:
  template <std::size_t... i>
  WhenAny(std::tuple<Task<Ts>...>& tasks, std::index_sequence<i...>) noexcept
      : Together<Ts...>(tasks, Strand::Ended(on_end<i>)...) {}

  template <std::size_t i>
  static void on_end(Strand& strand) noexcept {
    auto& child = static_cast<ChildBase&>(strand);
    auto& self = static_cast<WhenAny&>(child.scope());
    if (self.first_ == sizeof...(Ts)) {
      self.first_ = i;
      self.cancel();
    }
    self.leave(child);
  }

  template <std::size_t i>
  First take() {
    if constexpr (i + 1 < sizeof...(Ts)) {
      if (i != first_) return take<i + 1>();
    }
    return First(std::in_place_index<i>, take_from(std::get<i>(this->children_)));
  }

  std::size_t first_ = sizeof...(Ts);
};

/// Tasks, and how they are awaited together.
template <template <class...> class Awaiter, class... Ts>
class [[nodiscard("begins when it is awaited")]] Several {
 public:
  explicit Several(Task<Ts>... tasks) noexcept : tasks_(std::move(tasks)...) {}
  Awaiter<Ts...> operator co_await() && noexcept { return Awaiter<Ts...>(tasks_); }

 private:
  std::tuple<Task<Ts>...> tasks_;
};

}  // namespace internal

/// A std::tuple of what they end with. Exceptions: that of the first of them, in
/// their order, that has thrown one.
template <class... As>
  requires(sizeof...(As) > 0)
auto when_all(As&&... awaitables) {
  return internal::Several<internal::WhenAll, Awaited<As>...>(
      as_task(std::forward<As>(awaitables))...);
}

/// A std::variant of what the first to end has ended with; its index says which one
/// that was. The others are then cancelled, and what they end with is dropped, be it a
/// result, an error or an exception: let them do what can be done in vain.
template <class... As>
  requires(sizeof...(As) > 0)
auto when_any(As&&... awaitables) {
  return internal::Several<internal::WhenAny, Awaited<As>...>(
      as_task(std::forward<As>(awaitables))...);
}

}  // namespace wev
