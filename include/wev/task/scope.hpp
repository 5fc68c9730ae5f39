// scope.hpp: strands that another one has started and waits for.
//
// What when_all, timeout, with_group and the like are made of. Whoever opens a scope
// does not go on before all that was started in it has ended, and cancelling the one
// cancels the others. So no task outlives what started it, on any path.
#pragma once

#include <utility>

#include "wev/task/strand.hpp"
#include "wev/task/task.hpp"

namespace wev {

class Scope;

/// A strand in a scope. Its Ended calls Scope::leave().
class ChildBase : public Strand {
 public:
  using Strand::Strand;
  /// REQUIRES: it was started.
  [[nodiscard]] Scope& scope() const noexcept { return *scope_; }

 private:
  friend class Scope;
  Scope* scope_ = nullptr;
};

class Scope : private Waiter {
 public:
  Scope() noexcept : Waiter{stop} {}
  ~Scope() { WEV_ASSERT(empty(), "~Scope: not all that was started in it has ended"); }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  /// In a task of `owner`, which is running.
  void open(Strand& owner) noexcept { owner_ = &owner; }
  [[nodiscard]] Strand& owner() const noexcept { return *owner_; }
  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  [[nodiscard]] std::size_t count() const noexcept { return count_; }

  /// Starts `child` with `task`; nullptr: there was no memory for it, it ends here.
  /// REQUIRES: open.
  void start(ChildBase& child, PromiseBase* task) noexcept;
  /// `child` is over.
  void leave(ChildBase& child) noexcept;

  /// Something that is no strand has to be over as well. It leaves from a callback of
  /// the loop, as the last it does there.
  void enter() noexcept { ++count_; }
  void leave() noexcept;

  /// All that is in it, and what is started in it from now on.
  void cancel() noexcept;

  /// `task` waits until the scope is empty; false: it is.
  bool join(PromiseBase& task) noexcept;

 private:
  static void stop(Waiter& self) noexcept { static_cast<Scope&>(self).cancel(); }

  Strand* owner_ = nullptr;
  List<Strand> strands_;
  std::size_t count_ = 0;
  bool joined_ = false;
  bool canceled_ = false;
};

/// A task on a strand of its own, and then what it has ended with.
template <class T>
class Child : public ChildBase {
 public:
  /// `on_end` calls Scope::leave(); the task's frame is gone by then.
  explicit Child(Task<T> task, Ended on_end) noexcept
      : ChildBase(ended), task_(std::move(task)), on_end_(on_end) {}

  void start_in(Scope& scope) noexcept { scope.start(*this, task_.promise()); }
  /// When it has ended.
  [[nodiscard]] internal::Outcome<T>& outcome() noexcept { return task_.outcome(); }

 private:
  static void ended(Strand& strand) noexcept {
    auto& child = static_cast<Child&>(strand);
    child.task_.end();
    child.on_end_(child);
  }

  internal::Kept<T> task_;
  Ended on_end_;
};

}  // namespace wev
