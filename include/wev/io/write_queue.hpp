// write_queue.hpp: writes that nobody waits for one by one.
//
//   wev::WriteQueue queue(stream, {.high_water = 64 * 1024});
//   if (!queue.write(bytes)) ...            // it is full
//   if (queue.above_high_water()) pause();  // and go on when on_drained is called
//
// Copies what it is given and writes it in order, as much as there is in each
// operation. So the caller's memory is free at once, and many small pieces become
// few large writes.
//
// Memory     Grows up to `limit`, and stays.
// Lifetime   Outlived by its stream. Destroyed when it is idle, see cancel().
// Thread     The loop's.
#pragma once

#include <span>

#include "wev/base/array.hpp"
#include "wev/io/stream.hpp"

namespace wev {

class WriteQueue {
 public:
  struct Options {
    /// From so many queued bytes on the writer should pause.
    std::size_t high_water = std::size_t{64} * 1024;
    /// More are refused.
    std::size_t limit = std::size_t{16} * 1024 * 1024;
  };

  explicit WriteQueue(Stream& stream, Options options) noexcept
      : stream_(stream), options_(options) {}
  explicit WriteQueue(Stream& stream) noexcept : WriteQueue(stream, Options{}) {}
  /// REQUIRES: idle(), see cancel().
  ~WriteQueue() { WEV_ASSERT(idle(), "~WriteQueue: it is still writing"); }
  WriteQueue(const WriteQueue&) = delete;
  WriteQueue& operator=(const WriteQueue&) = delete;

  /// Takes all of `bytes`, or nothing: no_buffer_space, it would be more than the
  /// limit; not_enough_memory; the error that ended the stream.
  Expected<void> write(std::span<const std::byte> bytes);

  [[nodiscard]] std::size_t queued() const noexcept { return queued_; }
  [[nodiscard]] bool above_high_water() const noexcept { return queued_ >= options_.high_water; }
  /// Nothing is being written.
  [[nodiscard]] bool idle() const noexcept { return !request_.active(); }

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
  /// is being written.
  void cancel() { request_.cancel(); }

 private:
  void start();
  void write_on();
  void has_written(Expected<std::size_t> size);

  Stream& stream_;
  const Options options_;
  Request request_;
  Array<std::byte> filling_;
  Array<std::byte> writing_;
  std::size_t queued_ = 0;
  Error error_{std::errc{}};
  InlineFunction<> drained_;
  InlineFunction<Error> failed_;
};

}  // namespace wev
