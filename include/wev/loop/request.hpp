// request.hpp: an operation of a handle: what it is, and the memory for it.
//
// A handle's functions begin nothing. They return an Awaitable, which says what to
// do; a coroutine co_awaits it (task.hpp), or a Request begins it:
//
//   wev::Request reading;
//   reading.start(stream.read_some(buffer), [this](wev::Expected<std::size_t> size) { ... });
//
// A Request is to a handle what a Completion is to a loop: the caller's memory
// for an operation, lent from start() until the callback begins. The callback is
// kept inside it, so nothing is allocated.
//
// Callback   An InlineCallable. When it is called the request is free again, for
//            the next operation or to be destroyed.
// Cancel     Is heard once: by the operation or, where that had its real result by then, by
//            the next one that its callback begins with this request. So what goes on there
//            ends, too. Handle::cancel() ends all that is in flight on a handle, close() also
//            what is begun later.
// Lifetime   A request stays alive and in place while active(), and so do buffers.
// Thread     The loop's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <expected>
#include <type_traits>
#include <utility>

#include "wev/base/inline_callable.hpp"
#include "wev/loop/loop.hpp"

namespace wev {

class RequestBase;

/// What an operation ends with, as a Convert of Awaitable: the count.
struct ToCount {
  Expected<std::size_t> operator()(RequestBase&, Result result) const noexcept { return result; }
};
/// The count, which is all; else a TransferError. Of an op::whole.
struct ToAll {
  std::expected<std::size_t, TransferError> operator()(RequestBase& request,
                                                       Result result) const noexcept;
};
/// Nothing but success.
struct ToNothing {
  Expected<void> operator()(RequestBase&, Result result) const noexcept {
    if (!result) return std::unexpected(result.error());
    return {};
  }
};

/// An operation that was not begun yet. `Convert` makes what it ends with from the
/// loop's result: `Value operator()(RequestBase&, Result)`. It may have
/// `static Expected<void> prepare(RequestBase&, Operation&)` for what is done when it
/// begins.
template <class Convert = ToCount>
class [[nodiscard("begins when it is awaited, or given to Request::start")]] Awaitable {
  static_assert(std::is_empty_v<Convert>);

 public:
  using Value = std::invoke_result_t<Convert, RequestBase&, Result>;
  /// What to do with the result of one operation of several: true, it goes on,
  /// with RequestBase::again(); false, `result` is how the whole ends.
  using Step = bool (*)(RequestBase& request, Result& result);

  Awaitable(Loop& loop, const Operation& operation, Step step = nullptr,
            void* context = nullptr) noexcept
      : operation_(operation), loop_(&loop), step_(step), context_(context) {}
  /// On the loop of the task that awaits it.
  explicit Awaitable(const Operation& operation) noexcept : operation_(operation) {}

  /// It ends with Errc::timed_out when that has passed; bytes already moved win.
  [[nodiscard]] Awaitable deadline(Instant deadline) const noexcept {
    Awaitable with = *this;
    with.deadline_ = deadline;
    return with;
  }
  /// The same, from when it begins.
  template <class Rep, class Period>
  [[nodiscard]] Awaitable within(std::chrono::duration<Rep, Period> delay) const noexcept {
    Awaitable with = *this;
    with.within_ = saturate(delay);
    return with;
  }

 private:
  friend class RequestBase;

  Operation operation_;
  Loop* loop_ = nullptr;
  Step step_ = nullptr;
  void* context_ = nullptr;
  Instant deadline_ = never;
  Duration within_ = Duration::max();
};

/// What is kept for an operation that was begun, whoever is told of its end.
class RequestBase {
 public:
  using Step = Awaitable<>::Step;

  RequestBase(const RequestBase&) = delete;
  RequestBase& operator=(const RequestBase&) = delete;

  [[nodiscard]] bool active() const noexcept {
    return completion_.state() != Completion::State::dead;
  }

  /// Ends the operation early: with operation_canceled or, where that came first, with its
  /// real result; then the next one that its callback begins ends with operation_canceled.
  /// Harmless when it is not active.
  void cancel() {
    if (!active()) return;
    canceled_ = true;
    loop_->cancel(completion_);
  }
  /// Whether it was cancelled and nothing has ended with operation_canceled since.
  [[nodiscard]] bool canceled() const noexcept { return canceled_; }

  /// As Loop::unref: while only such are active, run() returns. REQUIRES: active().
  void unref() {
    WEV_ASSERT(active(), "Request::unref: it is not active");
    loop_->unref(completion_);
  }

  // For handles -----------------------------------------------------------------

  /// From a Step: the next operation, up to the same deadline.
  /// Nothing that was asked for later on the same descriptor comes in between.
  void again(const Operation& operation) {
    loop_->go_on(completion_, operation);
    if (canceled_) loop_->cancel(completion_);
  }

  [[nodiscard]] const Operation& operation() const noexcept { return completion_.operation(); }
  [[nodiscard]] const Completion& completion() const noexcept { return completion_; }
  [[nodiscard]] Loop& loop() const noexcept { return *loop_; }
  /// What the Awaitable was made with.
  [[nodiscard]] void* context() const noexcept { return context_; }

 protected:
  using Finish = void (*)(RequestBase& request, Result result);

  RequestBase() = default;
  ~RequestBase() {
    if (gone_ != nullptr) *gone_ = true;
  }

  /// Begins it, on `loop` where it has none of its own. Its end calls `finish`.
  template <class Convert>
  void begin(const Awaitable<Convert>& awaitable, Loop* loop, Finish finish) {
    loop_ = awaitable.loop_ != nullptr ? awaitable.loop_ : loop;
    WEV_ASSERT(loop_ != nullptr,
               "Request::start: of which loop? Or it is of a handle that is not open");
    step_ = awaitable.step_;
    context_ = awaitable.context_;
    finish_ = finish;
    Operation operation = awaitable.operation_;
    if constexpr (requires { Convert::prepare(*this, operation); }) {
      if (auto prepared = Convert::prepare(*this, operation); !prepared) {
        return fail(prepared.error());
      }
    }
    Instant deadline = awaitable.deadline_;
    if (awaitable.within_ != Duration::max()) {
      deadline = std::min(deadline, loop_->from_now(awaitable.within_));
    }
    lend(operation, deadline);
  }

 private:
  void lend(const Operation& operation, Instant deadline) {
    loop_->add(completion_, operation, this, on_end, deadline);
    if (step_ != nullptr) Loop::mark_as_parts(completion_);
    if (canceled_) loop_->cancel(completion_);
  }
  void fail(Error error) {
    error_ = canceled_ ? Error(Errc::operation_canceled) : error;
    step_ = [](RequestBase& request, Result& result) {
      result = std::unexpected(request.error_);
      return false;
    };
    loop_->add(completion_, op::noop(), this, on_end);
  }

  static Action on_end(void* self, Loop&, Completion&, Result result) {
    auto& request = *static_cast<RequestBase*>(self);
    if (request.step_ != nullptr) {
      if (request.step_(request, result)) return Action::disarm;
      request.loop_->end_parts(request.completion_);
    }
    const Error error =
        result ? request.completion_.cut_short_by().value_or(std::errc{}) : result.error();
    if (error == Errc::operation_canceled) request.canceled_ = false;
    request.canceled_ ? request.finish_late(result) : request.finish_(request, result);
    return Action::disarm;
  }

  // It was cancelled too late.
  void finish_late(Result result) {
    bool gone = false;
    gone_ = &gone;
    finish_(*this, result);
    if (gone) return;
    gone_ = nullptr;
    if (!active()) canceled_ = false;
  }

  Completion completion_;
  Loop* loop_ = nullptr;
  Step step_ = nullptr;
  Finish finish_ = nullptr;
  void* context_ = nullptr;
  Error error_{std::errc{}};
  bool* gone_ = nullptr;   // in finish_late()
  bool canceled_ = false;  // and nobody has heard of it
};

inline std::expected<std::size_t, TransferError> ToAll::operator()(RequestBase& request,
                                                                   Result result) const noexcept {
  if (!result) return std::unexpected(TransferError(result.error()));
  if (const auto why = request.completion().cut_short_by()) {
    return std::unexpected(TransferError(*why, *result));
  }
  return *result;
}

class Request : public RequestBase {
 public:
  /// Begins an operation. When it has ended `callback(Awaitable::Value)` is called.
  template <class Convert, class F>
  void start(const Awaitable<Convert>& awaitable, F callback) {
    keep(std::move(callback));
    begin(awaitable, nullptr, call<Convert, F>);
  }
  /// The same for what belongs to no handle, as sleep().
  template <class Convert, class F>
  void start(Loop& loop, const Awaitable<Convert>& awaitable, F callback) {
    keep(std::move(callback));
    begin(awaitable, &loop, call<Convert, F>);
  }

 private:
  template <class F>
  void keep(F callback) {
    WEV_ASSERT(!active(), "Request::start: it is already active");
    callback_.set(std::move(callback));
  }
  template <class Convert, class F>
  static void call(RequestBase& base, Result result) {
    F callback = static_cast<Request&>(base).callback_.get<F>();
    callback(Convert{}(base, result));
  }

  InlineCallable callback_;
};

}  // namespace wev
