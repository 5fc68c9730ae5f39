// run_on.hpp: work for another thread.
//
//   auto sum = co_await wev::run_blocking([&] { return hash_of(file); });
//   auto row = co_await wev::run_on(database_loop, [&] { return find_row(key); });
//
// The task that waits goes on where it was, on its own loop and thread.
#pragma once

#include <atomic>
#include <coroutine>
#include <optional>
#include <type_traits>
#include <utility>

#include "wev/task/awaiter.hpp"
#include "wev/task/run.hpp"
#include "wev/task/task.hpp"

namespace wev {

namespace internal {

/// A function on its way through op::run_blocking.
template <class F>
class [[nodiscard("begins when it is awaited")]] RunBlocking {
  using T = std::invoke_result_t<F&>;

 public:
  explicit RunBlocking(F function) : function_(std::move(function)) {}

  class Awaiter {
   public:
    explicit Awaiter(F& function) noexcept
        : function_(function), operation_(op::run_blocking(call, this)), inner_(operation_) {}
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> task) {
      inner_.await_suspend(task);
    }
    as_expected<T> await_resume() {
      const Result ran = inner_.await_resume();
      if (!ran) return std::unexpected(ran.error());
      return outcome_.take_expected();
    }

   private:
    // On the other thread.
    static Result call(void* self) noexcept {
      auto& awaiter = *static_cast<Awaiter*>(self);
      awaiter.outcome_.set_from(awaiter.function_);
      return 0;
    }

    F& function_;
    Awaitable<> operation_;
    OperationAwaiter<ToCount> inner_;
    Outcome<T> outcome_;
  };
  Awaiter operator co_await() && noexcept { return Awaiter(function_); }

 private:
  F function_;
};

/// A task that another loop runs. What does not depend on its result.
//
// here   begin(): posts to the other loop, and holds this one open
// there  on_begin(): the task begins; is_over(): it has ended, and posts back
// here   on_back(): the task that waits goes on, once nothing holds the loop open any more
//
// A cancel is posted likewise, once. The end waits for one that is under way, which
// is in memory of ours.
class Abroad : private Waiter {
 protected:
  /// There: begins the task.
  using MakeRoot = RootBase& (*)(Abroad & self, Loop& there) noexcept;

  Abroad(Loop& there, MakeRoot make_root) noexcept
      : Waiter{stop}, there_(there), make_root_(make_root) {}
  ~Abroad() = default;

  /// `caller` waits for it.
  void begin(PromiseBase& caller) noexcept;

 private:
  enum State : unsigned { cancel_posted = 1, ended = 2 };

  void post_cancel() noexcept;
  void is_over() noexcept;
  void go_back() noexcept;
  static void stop(Waiter& self) noexcept;
  static Action on_begin(void* self, Loop& there, Completion&, Result) noexcept;
  static Action on_cancel(void* self, Loop& there, Completion&, Result) noexcept;
  static Action on_back(void* self, Loop& here, Completion&, Result) noexcept;
  static Action on_let_go(void* self, Loop& here, Completion&, Result) noexcept;

  Loop& there_;
  MakeRoot make_root_;
  std::atomic<unsigned> state_{0};
  Completion begin_, cancel_;  // of the other loop
  RootBase* root_ = nullptr;   // there
  bool cancel_came_ = false;   // there
  Strand* strand_ = nullptr;
  std::optional<Async> async_;  // never notified
  Async* hold_ = nullptr;       // that
  Completion holding_;          // a wait for that
  Completion back_;
  bool came_back_ = false;
};

template <class F>
class [[nodiscard("begins when it is awaited")]] RunOn {
  using T = std::invoke_result_t<F&>::Value;

 public:
  RunOn(Loop& loop, F make_task) : loop_(loop), make_task_(std::move(make_task)) {}

  class Awaiter : private Abroad {
   public:
    Awaiter(Loop& loop, F& make_task) noexcept : Abroad(loop, make_root), make_task_(make_task) {}
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> task) noexcept {
      begin(task.promise());
    }
    T await_resume() {
      thrown_.rethrow();
      return root_->take();
    }

   private:
    static RootBase& make_root(Abroad& self, Loop& there) noexcept {
      auto& awaiter = static_cast<Awaiter&>(self);
      return awaiter.root_.emplace(there, awaiter.make_task());
    }
    Task<T> make_task() noexcept {
      Task<T> task;
      thrown_.keep_from([&] { task = make_task_(); });
      return task;
    }

    F& make_task_;
    std::optional<Root<T>> root_;
    [[no_unique_address]] Thrown thrown_;
  };
  Awaiter operator co_await() && noexcept { return Awaiter(loop_, make_task_); }

 private:
  Loop& loop_;
  F make_task_;
};

}  // namespace internal

/// Calls `function` on a thread that may be kept waiting, of the backend's pool
/// (thread_pool.hpp), and ends with what it returns; an error is also what keeps it
/// from being called. One that was begun is not interrupted. Where there are no threads
/// (WASI 0.1) the loop's own is kept waiting.
template <class F>
auto run_blocking(F function) {
  return internal::RunBlocking<F>(std::move(function));
}

/// Calls `make_task` on another loop, whose thread may be another, awaits there the task
/// that it returns, and ends here with what that has ended with.
/// REQUIRES: `loop` runs, or will, until then: something of its own holds it open.
template <class F>
  requires std::is_invocable_v<F&>
auto run_on(Loop& loop, F make_task) {
  return internal::RunOn<F>(loop, std::move(make_task));
}
/// The same with a task whose frame was made here. It is freed there, so each comes from
/// malloc.
template <class T>
auto run_on(Loop& loop, Task<T> task) {
  return run_on(loop, [task = std::move(task)]() mutable { return std::move(task); });
}

}  // namespace wev
