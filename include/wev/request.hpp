// request.hpp: one operation of a handle, and what to call when it ends.
//
// A Request is to a handle what a Completion is to a loop: the caller's memory
// for an operation, lent from the call until the callback begins. The callback is
// kept inside it, so nothing is allocated:
//
//   wev::Request reading;
//   stream.read_some(reading, buffer, [this](wev::Expected<std::size_t> size) { ... });
//
// Callback   Any callable of at most callable_size bytes that can be copied byte
//            for byte: capture a pointer, not a string. When it is called the
//            request is free again, for the next operation or to be destroyed.
// Lifetime   Stays alive and in place while active(), and so do buffers.
// Thread     The loop's.
#pragma once

#include <cstddef>
#include <expected>
#include <new>
#include <type_traits>
#include <utility>

#include "wev/loop.hpp"

namespace wev {

template <class T>
using Expected = std::expected<T, Error>;

class Request {
 public:
  static constexpr std::size_t callable_size = 4 * sizeof(void*);

  Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  [[nodiscard]] bool active() const noexcept {
    return completion_.state() != Completion::State::dead;
  }

  /// Ends the operation early: its callback gets operation_canceled, or the real
  /// result where that came first. Harmless when it is not active.
  void cancel() {
    if (active()) loop_->cancel(completion_);
  }

  /// As Loop::unref: while only such are active, run() returns.
  void unref() { loop_->unref(completion_); }

  // For handles -----------------------------------------------------------------

  /// What to do with the result of one operation of several: true, it goes on,
  /// with Request::again(); false, `result` is how the whole ends.
  using Step = bool (*)(Request& request, Result& result);

  /// Starts `operation`. Its end calls `callback(convert(loop, result))`.
  template <class F, class Convert>
  void start(Loop& loop, const Operation& operation, Instant deadline, F callback, Convert convert,
             Step step = nullptr) {
    static_assert(sizeof(F) <= callable_size && alignof(F) <= alignof(void*),
                  "Request: the callback is too large, let it capture a pointer");
    static_assert(std::is_trivially_copyable_v<F>,
                  "Request: the callback must be trivially copyable, let it capture a pointer");
    static_assert(std::is_empty_v<Convert>);
    WEV_ASSERT(!active(), "Request: it is already active");
    loop_ = &loop;
    step_ = step;
    moved_ = 0;
    new (static_cast<void*>(callable_)) F(std::move(callback));
    finish_ = [](Request& request, Result result) {
      // A copy: the callback may use the request for the next operation.
      F copy(*std::launder(reinterpret_cast<F*>(request.callable_)));
      copy(Convert{}(*request.loop_, result));
    };
    loop.add(completion_, operation, this, on_end, deadline);
  }
  /// The same with the plain result.
  template <class F>
  void start(Loop& loop, const Operation& operation, Instant deadline, F callback,
             Step step = nullptr) {
    start(
        loop, operation, deadline, std::move(callback), [](Loop&, Result result) { return result; },
        step);
  }

  /// From a Step: the next operation, up to the same deadline.
  void again(const Operation& operation) {
    loop_->add(completion_, operation, this, on_end, completion_.deadline());
  }

  [[nodiscard]] const Operation& operation() const noexcept { return completion_.operation(); }
  [[nodiscard]] Loop& loop() const noexcept { return *loop_; }
  /// What a Step has counted so far, and a pointer it may need.
  std::size_t& moved() noexcept { return moved_; }
  void*& context() noexcept { return context_; }

 private:
  static Action on_end(void* self, Loop&, Completion&, Result result) {
    auto& request = *static_cast<Request*>(self);
    if (request.step_ == nullptr || !request.step_(request, result)) {
      request.finish_(request, result);
    }
    return Action::disarm;
  }

  Completion completion_;
  Loop* loop_ = nullptr;
  Step step_ = nullptr;
  void (*finish_)(Request& request, Result result) = nullptr;
  std::size_t moved_ = 0;
  void* context_ = nullptr;
  alignas(void*) std::byte callable_[callable_size];
};

/// What most operations of handles end with: nothing but success.
struct ToNothing {
  Expected<void> operator()(Loop&, Result result) const noexcept {
    if (!result) return std::unexpected(result.error());
    return {};
  }
};

}  // namespace wev
