// task_group.hpp: any number of tasks, none of which outlives the group.
//
//   co_await wev::with_group(wev::isolate, [&](wev::TaskGroup& connections) -> wev::Task<> {
//     while (auto peer = co_await listener.accept()) connections.spawn(echo(std::move(*peer)));
//   });
//
// with_group awaits what the function returns, and then all that was spawned. Cancelling
// the task that waits cancels all of them.
//
// fail_fast   The first one to fail, the function's own task included, cancels the
//             others, and with_group ends with that error or exception.
// isolate     What one ends with is nothing to the others: errors are dropped, and an
//             exception is thrown when all have ended. with_group ends with what the
//             function's own task has ended with.
//
// A task fails with an exception, or an Expected that is an error.
#pragma once

#include <coroutine>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "wev/scope.hpp"

namespace wev {

enum class GroupPolicy : std::uint8_t { fail_fast, isolate };
inline constexpr GroupPolicy fail_fast = GroupPolicy::fail_fast;
inline constexpr GroupPolicy isolate = GroupPolicy::isolate;

/// Alive until with_group ends.
class TaskGroup : private Scope {
 public:
  /// Starts a task in the group, which then owns it. What it returns is dropped. false:
  /// there is no memory for it, which is a failure of the group if that is fail_fast.
  template <class T>
  bool spawn(Task<T> task);

  /// Cancels all tasks of the group, the function's own included, and those to come.
  using Scope::cancel;

  /// How many tasks have not ended, the function's own included.
  [[nodiscard]] std::size_t size() const noexcept { return count(); }

 protected:
  using Ended = Strand::Ended;

  explicit TaskGroup(GroupPolicy policy) noexcept : policy_(policy) {}
  ~TaskGroup() = default;

  using Scope::enter;
  using Scope::join;
  using Scope::leave;
  using Scope::open;
  Scope& scope() noexcept { return *this; }
  static TaskGroup& of(ChildBase& child) noexcept { return static_cast<TaskGroup&>(child.scope()); }

  void fail(Error error) noexcept {
    if (policy_ != GroupPolicy::fail_fast) return;
    if (!error_ && !thrown_) error_ = error;
    cancel();
  }
  /// REQUIRES: inside a catch.
  void fail_by_exception() noexcept {
    if (!error_ && !thrown_) thrown_.keep();
    if (policy_ == GroupPolicy::fail_fast) cancel();
  }

  /// Takes a child's result, which goes to `keep` if it is no exception.
  template <class T, class Keep>
  void settle(Child<T>& child, Keep keep) noexcept {
#if defined(__cpp_exceptions)
    try {
      look_at(child, keep);
    } catch (...) {
      fail_by_exception();
    }
#else
    look_at(child, keep);
#endif
  }

  std::optional<Error> error_;
  [[no_unique_address]] internal::Thrown thrown_;

 private:
  template <class T>
  class Member;

  template <class T, class Keep>
  void look_at(Child<T>& child, Keep keep) {
    if constexpr (std::is_void_v<T>) {
      child.take();
      keep();
    } else {
      T result = child.take();
      if constexpr (is_expected<T>) {
        if (!result) fail(result.error());
      }
      keep(std::move(result));
    }
  }

  GroupPolicy policy_;
};

/// Owns itself, in memory of the FramePool.
template <class T>
class TaskGroup::Member : public Child<T> {
 public:
  explicit Member(Task<T> task) noexcept : Child<T>(std::move(task), on_end) {}

 private:
  static void on_end(Strand& strand) noexcept {
    auto& member = static_cast<Member&>(strand);
    TaskGroup& group = of(member);
    group.settle(member, [](auto&&...) {});
    group.leave(member);
    member.~Member();
    FramePool::release(&member, sizeof(Member));
  }
};

template <class T>
bool TaskGroup::spawn(Task<T> task) {
  WEV_ASSERT(!empty(), "TaskGroup::spawn: the group has ended");
  void* memory = task.valid() ? FramePool::allocate(sizeof(Member<T>)) : nullptr;
  if (memory == nullptr) {
    fail(std::errc::not_enough_memory);
    return false;
  }
  (new (memory) Member<T>(std::move(task)))->start_in(*this);
  return true;
}

namespace internal {

template <class Body>
class [[nodiscard("begins when it is awaited")]] WithGroup {
  using T = std::invoke_result_t<Body&, TaskGroup&>::Value;

 public:
  WithGroup(GroupPolicy policy, Body body) : policy_(policy), body_(std::move(body)) {}

  class Awaiter : private TaskGroup {
   public:
    Awaiter(GroupPolicy policy, Body& body) : TaskGroup(policy), body_(body) {}
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> task) noexcept {
      open(*task.promise().strand);
      enter();  // it may spawn before it returns
      call_body();
      leave();
      return join(task.promise());
    }
    as_expected<T> await_resume() {
      thrown_.rethrow();
      if (error_) return std::unexpected(*error_);
      if constexpr (std::is_void_v<T>) {
        return {};
      } else {
        return as_expected<T>(*std::move(result_));
      }
    }

   private:
    void call_body() noexcept {
#if defined(__cpp_exceptions)
      try {
        own_.emplace(body_(*this), on_end);
      } catch (...) {
        return fail_by_exception();
      }
#else
      own_.emplace(body_(*this), on_end);
#endif
      own_->start_in(scope());
    }

    static void on_end(Strand& strand) noexcept {
      auto& child = static_cast<Child<T>&>(strand);
      auto& self = static_cast<Awaiter&>(of(child));
      self.settle(child, [&](auto&&... result) {
        if constexpr (!std::is_void_v<T>) self.result_.emplace(std::move(result)...);
      });
      self.leave(child);
    }

    Body& body_;
    std::optional<Child<T>> own_;
    [[no_unique_address]] std::conditional_t<std::is_void_v<T>, std::monostate, std::optional<T>>
        result_;
  };
  Awaiter operator co_await() && { return Awaiter(policy_, body_); }

 private:
  GroupPolicy policy_;
  Body body_;
};

}  // namespace internal

/// `body` is called with the group, in which it may spawn, and returns a task.
template <class Body>
auto with_group(GroupPolicy policy, Body body) {
  return internal::WithGroup<Body>(policy, std::move(body));
}

}  // namespace wev
