#include "wev/io/write_queue.hpp"

namespace wev {

Expected<void> WriteQueue::write(std::span<const std::byte> bytes) {
  if (error_ != std::errc{}) return std::unexpected(error_);
  if (bytes.size() > options_.limit - queued_) return std::unexpected(std::errc::no_buffer_space);
  if (!filling_.append(bytes.data(), bytes.size())) {
    return std::unexpected(std::errc::not_enough_memory);
  }
  queued_ += bytes.size();
  if (idle()) start();
  return {};
}

void WriteQueue::start() {
  if (filling_.empty()) return;
  writing_.swap(filling_);
  filling_.clear();
  write_on();
}

void WriteQueue::write_on() {
  request_.start(stream_.write_all({writing_.data(), writing_.size()}),
                 [this](Expected<std::size_t> size) { has_written(size); });
}

void WriteQueue::has_written(Expected<std::size_t> size) {
  if (!size) {
    error_ = size.error();
    queued_ = 0;
    if (failed_) failed_(error_);
    return;
  }
  queued_ -= *size;
  // Short of all: it was ended early, and the next write says why.
  if (*size < writing_.size()) {
    writing_.drop_front(*size);
    return write_on();
  }
  start();
  if (queued_ == 0 && drained_) drained_();
}

}  // namespace wev
