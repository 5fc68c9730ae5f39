// write_queue.hpp: writes that nobody waits for one by one.
//
//   wev::WriteQueue queue(stream, {.high_water = 64 * 1024});
//   if (!queue.write("some text")) ...      // it is full
//   co_await queue.ready();                 // a task pauses while too much is queued
//   co_await queue.drained();               // all has been written, or why not
//
//   if (queue.above_high_water()) pause();  // without tasks: on_low_water says to go on
//
// Copies what it is given and writes it in order, as much as there is in each
// operation. So the caller's memory is free at once, and many small pieces become
// few large writes. What it holds is not waited for by a shutdown() of the stream, or its
// close(): await drained() before.
//
// Memory     Grows up to `limit`, and stays.
// Lifetime   Outlived by its stream, and outlives those that wait. Destroyed when it is
//            idle, see cancel().
// Thread     The loop's.
#pragma once

#include <algorithm>
#include <optional>

#include "wev/base/array.hpp"
#include "wev/base/buffer.hpp"
#include "wev/io/stream.hpp"

namespace wev {

class WriteQueue {
 public:
  struct Options {
    /// From so many queued bytes on the writer should pause.
    std::size_t high_water = std::size_t{64} * 1024;
    /// And go on from so many on; what is more than high_water counts as that.
    std::size_t low_water = std::size_t{16} * 1024;
    /// More are refused; the high water is not above it.
    std::size_t limit = std::size_t{16} * 1024 * 1024;
  };

  explicit WriteQueue(Stream& stream, Options options) noexcept
      : stream_(stream), options_(bounded(options)) {}
  explicit WriteQueue(Stream& stream) noexcept : WriteQueue(stream, Options{}) {}
  /// REQUIRES: idle(), see cancel().
  ~WriteQueue();
  WriteQueue(const WriteQueue&) = delete;
  WriteQueue& operator=(const WriteQueue&) = delete;

  /// Takes all of `bytes`, or nothing: no_buffer_space, it would be more than the
  /// limit, and ready() waits for the low water; message_size: it would be with nothing queued;
  /// not_enough_memory; the error that ended the stream.
  Expected<void> write(ConstBuffer bytes);

  [[nodiscard]] std::size_t queued() const noexcept { return queued_; }
  [[nodiscard]] bool above_high_water() const noexcept { return queued_ >= options_.high_water; }
  /// Nothing is being written.
  [[nodiscard]] bool idle() const noexcept { return !request_.active(); }

  struct ToReady;
  struct ToDrained;
  /// Ends with nothing: at once, but when the high water was reached not before the low
  /// water is. With the error that ended the stream.
  [[nodiscard]] Awaitable<ToReady> ready();
  /// Ends with nothing when all that was queued has been written; with the error that
  /// ended the stream, and with operation_canceled after cancel().
  [[nodiscard]] Awaitable<ToDrained> drained();

  /// Called when the low water is reached after the high water was. Does not destroy the
  /// queue. Replaces the one before.
  template <class F>
  void on_low_water(F callback) {
    low_.set(std::move(callback));
  }
  /// Called when everything that was queued has been written, after the high water
  /// was reached or not. Replaces the one before.
  template <class F>
  void on_drained(F callback) {
    drained_.set(std::move(callback));
  }
  /// Called once, when the stream fails. What is queued then is lost.
  template <class F>
  void on_error(F callback) {
    failed_.set(std::move(callback));
  }

  /// Gives up what is queued: on_error comes with operation_canceled if something
  /// is being written, and no more is taken then. Harmless when it is idle.
  void cancel() { request_.cancel(); }

 private:
  static Options bounded(Options options) noexcept {
    options.high_water = std::min(options.high_water, options.limit);
    return options;
  }

  // What is waited for.
  using Condition = bool (WriteQueue::*)() const noexcept;
  [[nodiscard]] bool is_ready() const noexcept { return !full_; }
  [[nodiscard]] bool is_drained() const noexcept { return queued_ == 0; }
  template <class To, Condition holds>
  Awaitable<To> wait();
  template <Condition holds>
  static Expected<void> prepare(RequestBase& request, Operation& operation) noexcept;

  void start();
  void has_written(Expected<std::size_t> size);
  void tell_those_who_wait() noexcept;

  Stream& stream_;
  const Options options_;
  Request request_;
  Array<std::byte> filling_;
  Array<std::byte> writing_;
  std::size_t queued_ = 0;
  Error error_{std::errc{}};
  bool full_ = false;           // the high water was reached, the low water not since
  std::optional<Async> moved_;  // from when somebody waits
  InlineFunction<> low_;
  InlineFunction<> drained_;
  InlineFunction<Error> failed_;
};

/// What ready() and drained() end with: nothing.
struct WriteQueue::ToReady : ToNothing {
  static Expected<void> prepare(RequestBase& request, Operation& operation) noexcept;
};
struct WriteQueue::ToDrained : ToNothing {
  static Expected<void> prepare(RequestBase& request, Operation& operation) noexcept;
};

}  // namespace wev
