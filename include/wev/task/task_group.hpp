// task_group.hpp: any number of tasks, none of which outlives the group.
//
//   co_await wev::with_group(wev::isolate, [&](wev::TaskGroup& connections) -> wev::Task<> {
//     for (;;) {
//       auto peer = co_await listener.accept();
//       if (peer) {
//         connections.spawn(echo(std::move(*peer)));
//       } else if (!co_await wev::sleep(50ms)) {  // out of descriptors, perhaps: others will end
//         co_return;                              // cancelled
//       }
//     }
//   });
//
// An accept that fails is no reason to stop: most of its errors pass (Listener::accept).
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

#include "wev/task/scope.hpp"

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
  void fail(const internal::Thrown& thrown) noexcept {
    if (!error_ && !thrown_) thrown_ = thrown;
    if (policy_ == GroupPolicy::fail_fast) cancel();
  }
  /// One of them has ended so.
  template <class T>
  void look_at(const internal::Outcome<T>& outcome) noexcept {
    if (outcome.thrown()) return fail(outcome.thrown());
    if (const auto error = outcome.error()) fail(*error);
  }

  std::optional<Error> error_;
  [[no_unique_address]] internal::Thrown thrown_;

 private:
  template <class T>
  class Member;

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
    group.look_at(member.outcome());
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
      return own_->outcome().take_expected();
    }

   private:
    void call_body() noexcept {
      Thrown thrown;
      if (!thrown.keep_from([this] { own_.emplace(body_(*this), on_end); })) return fail(thrown);
      own_->start_in(scope());
    }

    static void on_end(Strand& strand) noexcept {
      auto& child = static_cast<Child<T>&>(strand);
      TaskGroup& group = of(child);
      static_cast<Awaiter&>(group).look_at(child.outcome());
      static_cast<Awaiter&>(group).leave(child);
    }

    Body& body_;
    std::optional<Child<T>> own_;
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
