// task.hpp: coroutines on a loop.
//
//   wev::Task<wev::Expected<std::size_t>> copy(wev::Stream& from, wev::Stream& to) {
//     std::array<std::byte, 4096> buffer;
//     for (std::size_t copied = 0;;) {
//       const std::size_t size = co_await wev::ok(from.read_some(buffer));
//       if (size == 0) co_return copied;
//       copied += co_await wev::ok(to.write_all(std::span(buffer).first(size)));
//     }
//   }
//   ...
//   wev::Loop loop;
//   auto copied = wev::run(loop, copy(input, output));
//
// Task       Begins when it is awaited, and is awaited once. It belongs to whoever
//            holds the Task; awaiting it keeps its frame until it has ended.
// Awaited    Tasks; what handles return (request.hpp), with `deadline` and `within`;
//            what wev::op returns, bare; an Async; sleep(), yield() (sleep.hpp); Event,
//            Mutex, Channel and the like (sync.hpp, channel.hpp); when_all and when_any
//            (when.hpp), timeout and shield (timeout.hpp), with_group (task_group.hpp),
//            run_blocking and run_on (run_on.hpp).
// Results    Are std::expected. `co_await ok(x)` is its value, or ends this task, whose
//            own result then is x's error. A task with a result ends by a co_return, a
//            Task<Expected<void>> by `co_return {}`: falling off its end is an assertion.
// Cancel     See strand.hpp. What the task waits for ends with operation_canceled; the
//            task goes on from there and returns as from any error, so every frame is
//            left in order. What has to be done though the task is cancelled is
//            shielded.
// Memory     One frame for each task, from a FramePool; nothing else is allocated.
//            Without memory for it a task that is awaited ends with not_enough_memory
//            if its result is an Expected, else throws std::bad_alloc; without
//            exceptions that is an assertion.
// Exceptions Those a task throws are thrown by the co_await that waits for it, and by
//            run(). All of a program is compiled with them, or all without.
// Thread     The loop's that runs it.
// Compilers  g++ 12 makes a program that crashes from a coroutine which declares no
//            variable at all and awaits inside of a condition: not `if (!co_await x)` but
//            `if (const auto result = co_await x; !result)`. Of `co_await (c ? a() : b())`
//            it destroys the result twice.
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "wev/task/awaiter.hpp"
#include "wev/task/frame_pool.hpp"
#include "wev/task/strand.hpp"

namespace wev {

template <class T>
class Task;

/// Whether a type is a std::expected that an Error fits in, and so can say that there is no
/// memory.
template <class T>
inline constexpr bool is_expected = false;
template <class T, class E>
  requires std::is_convertible_v<Error, E>
inline constexpr bool is_expected<std::expected<T, E>> = true;

/// What a T becomes where an Error may come in its place.
template <class T>
struct AsExpected {
  using type = Expected<T>;
};
template <class T>
  requires is_expected<T>
struct AsExpected<T> {
  using type = T;
};
template <class T>
using as_expected = AsExpected<T>::type;

// The promise -----------------------------------------------------------------------

namespace internal {

template <class T>
inline constexpr bool is_plainly_aligned = alignof(T) <= alignof(std::max_align_t);
template <>
inline constexpr bool is_plainly_aligned<void> = true;

/// An exception on its way to somebody else; never one in a program without them.
class Thrown {
 public:
#if defined(__cpp_exceptions)
  /// Calls `f`, and keeps what it throws. false: it did.
  template <class F>
  bool keep_from(F&& f) noexcept {
    try {
      f();
    } catch (...) {
      keep();
      return false;
    }
    return true;
  }
  /// REQUIRES: an exception is being handled.
  void keep() noexcept { exception_ = std::current_exception(); }
  void rethrow() const {
    if (exception_) std::rethrow_exception(exception_);
  }
  explicit operator bool() const noexcept { return exception_ != nullptr; }

 private:
  std::exception_ptr exception_;
#else
  template <class F>
  bool keep_from(F&& f) noexcept {
    f();
    return true;
  }
  void keep() noexcept {}
  void rethrow() const noexcept {}
  explicit operator bool() const noexcept { return false; }
#endif
};

/// What a task has ended with: a T, or what it has thrown.
template <class T>
class Outcome {
 public:
  template <class U>
  void set(U&& value) {
    if constexpr (std::is_reference_v<T>) {
      value_ = &value;
    } else {
      value_.emplace(std::forward<U>(value));
    }
  }
  /// To what `f` returns, or throws.
  template <class F>
  void set_from(F&& f) noexcept {
    thrown_.keep_from([&] {
      if constexpr (std::is_void_v<T>) {
        f();
      } else {
        set(f());
      }
    });
  }
  /// REQUIRES: an exception is being handled.
  void set_thrown() noexcept { thrown_.keep(); }

  /// A value, or what was thrown; of void always.
  [[nodiscard]] bool has_result() const noexcept {
    if constexpr (std::is_void_v<T>) {
      return true;
    } else {
      return thrown_ || value_;
    }
  }
  [[nodiscard]] const Thrown& thrown() const noexcept { return thrown_; }
  /// Its error, if it is one.
  [[nodiscard]] std::optional<Error> error() const noexcept {
    if constexpr (is_expected<T>) {
      if (value_ && !*value_) return value_->error();
    }
    return std::nullopt;
  }
  /// REQUIRES: it was set.
  T take() {
    thrown_.rethrow();
    if constexpr (std::is_reference_v<T>) {
      return *value_;
    } else if constexpr (!std::is_void_v<T>) {
      return *std::move(value_);
    }
  }
  /// The same, as one that may be an error.
  as_expected<T> take_expected() {
    if constexpr (std::is_void_v<T>) {
      take();
      return {};
    } else {
      return as_expected<T>(take());
    }
  }

 private:
  struct Nothing {};
  template <class U>
  struct Room {
    using type = std::optional<U>;
  };
  template <class U>
  struct Room<U&> {
    using type = U*;
  };
  using Value = std::conditional_t<std::is_void_v<T>, Nothing, typename Room<T>::type>;

  [[no_unique_address]] Value value_{};
  [[no_unique_address]] Thrown thrown_;
};

/// What a task ends with for whose frame there was no memory.
template <class T>
T no_memory() {
  if constexpr (is_expected<T>) {
    return T(std::unexpect, std::errc::not_enough_memory);
  } else {
#if defined(__cpp_exceptions)
    throw std::bad_alloc();
#else
    assertion_failed("Task: no memory for its frame, and its result cannot say so", __FILE_NAME__,
                     __LINE__);
#endif
  }
}

struct EndOfTask {
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) const noexcept {
    WEV_ASSERT(task.promise().outcome.has_result(), "Task: it fell off its end, without co_return");
    PromiseBase& promise = task.promise();
    promise.strand->finish(promise);
  }
  void await_resume() const noexcept {}
};

template <class T>
struct TaskPromise : PromiseBase {
  using Value = T;

  Outcome<T> outcome;

  // The standard's form where failing is an error, and what g++ 12 looks for instead.
  static void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return FramePool::allocate(size);
  }
  static void* operator new(std::size_t size) noexcept { return FramePool::allocate(size); }
  static void operator delete(void* memory, std::size_t size) noexcept {
    FramePool::release(memory, size);
  }

  TaskPromise() noexcept = default;
  std::suspend_always initial_suspend() const noexcept { return {}; }
  EndOfTask final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { outcome.set_thrown(); }

  template <class A>
  static decltype(auto) await_transform(A&& awaitable) noexcept {
    return to_awaitable(std::forward<A>(awaitable));
  }
};

template <class T>
struct ReturningPromise : TaskPromise<T> {
  template <class U = T>
    requires std::is_convertible_v<U, T>
  void return_value(U&& value) {
    this->outcome.set(std::forward<U>(value));
  }
  Task<T> get_return_object() noexcept;
  static Task<T> get_return_object_on_allocation_failure() noexcept;
};
template <>
struct ReturningPromise<void> : TaskPromise<void> {
  void return_void() const noexcept {}
  inline Task<void> get_return_object() noexcept;
  inline static Task<void> get_return_object_on_allocation_failure() noexcept;
};

}  // namespace internal

namespace internal {

/// Destroys a task that was not begun: those that it was given, after it and not inside of that.
void drop_unbegun(PromiseBase& task) noexcept;

}  // namespace internal

// The task --------------------------------------------------------------------------

template <class T = void>
class [[nodiscard("a task begins when it is awaited")]] Task {
  static_assert(internal::is_plainly_aligned<T>,
                "Task: its result has to be aligned as malloc does it");

 public:
  using Value = T;
  using promise_type = internal::ReturningPromise<T>;

  /// No task. Awaited it ends like one without memory.
  Task() = default;
  Task(Task&& other) noexcept : promise_(std::exchange(other.promise_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      reset();
      promise_ = std::exchange(other.promise_, nullptr);
    }
    return *this;
  }
  /// REQUIRES: it was not begun, or has ended.
  ~Task() { reset(); }

  /// false: it was awaited already, or there was no memory for its frame.
  [[nodiscard]] bool valid() const noexcept { return promise_ != nullptr; }

  auto operator co_await() && noexcept { return Awaiter(std::move(*this)); }

  // For what starts tasks on strands ------------------------------------------------

  [[nodiscard]] PromiseBase* promise() const noexcept { return promise_; }
  /// What it has ended with; its frame is gone when this returns.
  /// REQUIRES: it has ended, or is not valid().
  T take() {
    if (promise_ == nullptr) return internal::no_memory<T>();
    const Task ended = std::move(*this);
    return ended.promise_->outcome.take();
  }

 private:
  friend promise_type;

  class Awaiter {
   public:
    explicit Awaiter(Task task) noexcept : task_(std::move(task)) {}
    [[nodiscard]] bool await_ready() const noexcept { return !task_.valid(); }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> caller) noexcept {
      PromiseBase& promise = caller.promise();
      promise.strand->call(*task_.promise_, promise);
    }
    T await_resume() { return task_.take(); }

   private:
    Task task_;
  };

  explicit Task(promise_type& promise) noexcept : promise_(&promise) {}
  void reset() noexcept {
    promise_type* promise = std::exchange(promise_, nullptr);
    if (promise == nullptr) return;
    promise->strand == nullptr ? internal::drop_unbegun(*promise) : promise->self.destroy();
  }

  promise_type* promise_ = nullptr;
};

namespace internal {

template <class T>
Task<T> ReturningPromise<T>::get_return_object() noexcept {
  this->self = std::coroutine_handle<ReturningPromise>::from_promise(*this);
  return Task<T>(*this);
}
template <class T>
Task<T> ReturningPromise<T>::get_return_object_on_allocation_failure() noexcept {
  return {};
}
Task<void> ReturningPromise<void>::get_return_object() noexcept {
  self = std::coroutine_handle<ReturningPromise>::from_promise(*this);
  return Task<void>(*this);
}
Task<void> ReturningPromise<void>::get_return_object_on_allocation_failure() noexcept { return {}; }

/// The task of a strand, and when that has ended its outcome: a frame does not outlive
/// its strand, for whose end others may wait that want what the task had.
template <class T>
class Kept {
 public:
  explicit Kept(Task<T> task) noexcept : task_(std::move(task)) {}
  [[nodiscard]] PromiseBase* promise() const noexcept { return task_.promise(); }
  /// When it has ended, or there is no memory for it.
  void end() noexcept {
    outcome_.set_from([this]() -> T { return task_.take(); });
  }
  [[nodiscard]] Outcome<T>& outcome() noexcept { return outcome_; }

 private:
  Task<T> task_;
  Outcome<T> outcome_;
};

}  // namespace internal

/// What `co_await` of an A gives.
template <class A>
using Awaited = decltype(get_awaiter(to_awaitable(std::declval<A>())).await_resume());

namespace internal {

template <class T>
inline constexpr bool is_task = false;
template <class T>
inline constexpr bool is_task<Task<T>> = true;

template <class A>
Task<Awaited<A>> awaiting(A awaitable) {
  co_return co_await std::move(awaitable);
}

}  // namespace internal

/// A task that awaits `awaitable`; that itself if it is one.
template <class A>
auto as_task(A&& awaitable) {
  if constexpr (internal::is_task<std::remove_cvref_t<A>>) {
    return std::forward<A>(awaitable);
  } else {
    using B = std::remove_cvref_t<decltype(to_awaitable(std::forward<A>(awaitable)))>;
    return internal::awaiting<B>(to_awaitable(std::forward<A>(awaitable)));
  }
}

}  // namespace wev
