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

/// A task that another loop runs. What does not depend on its result. Here it is a foreign
/// operation:
///
/// here   on_start(): posts to the other loop
/// there  on_begin(): the task begins; is_over(): it has ended, and so has the operation
///
/// A cancel is posted likewise. The end waits for one that is under way, which is in memory of
/// ours.
class Abroad {
 protected:
  /// There: begins the task.
  using MakeRoot = RootBase& (*)(Abroad & self, Loop& there) noexcept;

  Abroad(Loop& there, MakeRoot make_root) noexcept
      : there_(there),
        make_root_(make_root),
        operation_(op::foreign(on_start, on_stop, this)),
        inner_(operation_) {}
  Abroad(const Abroad&) = delete;
  Abroad& operator=(const Abroad&) = delete;
  ~Abroad() = default;

  template <class Promise>
  void begin(std::coroutine_handle<Promise> task) {
    inner_.await_suspend(task);
  }
  /// An error: the task has not begun.
  [[nodiscard]] Result has_run() { return inner_.await_resume(); }

 private:
  enum State : unsigned { cancel_posted = 1, ended = 2 };

  void is_over() noexcept;
  static void on_start(void* self, Ticket ticket) noexcept;
  static bool on_stop(void* self, Ticket ticket) noexcept;
  static Action on_begin(void* self, Loop& there, Completion&, Result) noexcept;
  static Action on_cancel(void* self, Loop& there, Completion&, Result) noexcept;

  Loop& there_;
  MakeRoot make_root_;
  Awaitable<> operation_;
  OperationAwaiter<ToCount> inner_;
  Ticket ticket_;
  std::atomic<unsigned> state_{0};
  Completion begin_, cancel_;  // of the other loop
  RootBase* root_ = nullptr;   // there
  bool cancel_came_ = false;   // there
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
      begin(task);
    }
    as_expected<T> await_resume() {
      if (const Result ran = has_run(); !ran) return std::unexpected(ran.error());
      thrown_.rethrow();
      return root_->outcome().take_expected();
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
/// that it returns, and ends here with what that has ended with, or with the error that kept it
/// from beginning: operation_canceled, not_enough_memory.
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
