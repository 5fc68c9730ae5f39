// request.hpp: one operation of a handle, and what to call when it ends.
//
// A Request is to a handle what a Completion is to a loop: the caller's memory
// for an operation, lent from the call until the callback begins. The callback is
// kept inside it, so nothing is allocated:
//
//   wev::Request reading;
//   stream.read_some(reading, buffer, [this](wev::Expected<std::size_t> size) { ... });
//
// Callback   An InlineCallable. When it is called the request is free again, for
//            the next operation or to be destroyed.
// Lifetime   Stays alive and in place while active(), and so do buffers.
// Thread     The loop's.
#pragma once

#include <cstddef>
#include <expected>
#include <type_traits>
#include <utility>

#include "wev/inline_callable.hpp"
#include "wev/loop.hpp"

namespace wev {

template <class T>
using Expected = std::expected<T, Error>;

class Request {
 public:
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

  /// Starts `operation`. Its end calls `callback(convert(request, result))`.
  template <class F, class Convert>
  void start(Loop& loop, const Operation& operation, Instant deadline, F callback, Convert,
             Step step = nullptr) {
    static_assert(std::is_empty_v<Convert>);
    WEV_ASSERT(!active(), "Request: it is already active");
    loop_ = &loop;
    step_ = step;
    moved_ = 0;
    callback_.set(std::move(callback));
    finish_ = [](Request& request, Result result) {
      F its_callback = request.callback_.get<F>();
      its_callback(Convert{}(request, result));
    };
    loop.add(completion_, operation, this, on_end, deadline);
  }
  /// The same with the plain result.
  template <class F>
  void start(Loop& loop, const Operation& operation, Instant deadline, F callback,
             Step step = nullptr) {
    start(
        loop, operation, deadline, std::move(callback),
        [](Request&, Result result) { return result; }, step);
  }

  /// Ends with `error` in the next tick: for what cannot even be started.
  template <class F, class Convert>
  void fail(Loop& loop, Error error, F callback, Convert convert) {
    start(loop, op::noop(), never, std::move(callback), convert,
          [](Request& request, Result& result) {
            result = std::unexpected(request.error_);
            return false;
          });
    error_ = error;
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
  Error error_{std::errc{}};
  InlineCallable callback_;
};

/// What most operations of handles end with: nothing but success.
struct ToNothing {
  Expected<void> operator()(Request&, Result result) const noexcept {
    if (!result) return std::unexpected(result.error());
    return {};
  }
};

}  // namespace wev
