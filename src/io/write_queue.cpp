#include "wev/io/write_queue.hpp"

namespace wev {

WriteQueue::~WriteQueue() {
  WEV_ASSERT(idle(), "~WriteQueue: it is still writing");
  if (moved_) stream_.loop().detach(*moved_);
}

Expected<void> WriteQueue::write(ConstBuffer bytes) {
  if (error_ != std::errc{}) return std::unexpected(error_);
  if (bytes.size() > options_.limit) return std::unexpected(std::errc::message_size);
  if (bytes.size() > options_.limit - queued_) {
    full_ = true;
    return std::unexpected(std::errc::no_buffer_space);
  }
  if (!filling_.append(bytes.data(), bytes.size())) {
    return std::unexpected(std::errc::not_enough_memory);
  }
  queued_ += bytes.size();
  full_ = full_ || above_high_water();
  if (idle()) start();
  return {};
}

void WriteQueue::start() {
  if (filling_.empty()) return;
  writing_.swap(filling_);
  filling_.clear();
  request_.start(stream_.write_all({writing_.data(), writing_.size()}),
                 [this](Expected<std::size_t> size) { has_written(size); });
}

void WriteQueue::has_written(Expected<std::size_t> size) {
  // Too late for what was being written; what is queued is given up.
  if (size && request_.canceled()) size = std::unexpected(Errc::operation_canceled);
  if (!size) {
    error_ = size.error();
    queued_ = 0;
    full_ = false;
    tell_those_who_wait();
    if (failed_) failed_(error_);
    return;
  }
  queued_ -= *size;
  start();
  const bool low = full_ && queued_ <= std::min(options_.low_water, options_.high_water);
  if (low) full_ = false;
  if (low || queued_ == 0) tell_those_who_wait();
  if (low && low_) low_();
  if (queued_ == 0 && drained_) drained_();
}

// Waiting --------------------------------------------------------------------------------

void WriteQueue::tell_those_who_wait() noexcept {
  if (moved_) moved_->notify();
}

// Whoever waits is woken when anything has changed, and looks whether it is that.
template <class To, WriteQueue::Condition holds>
Awaitable<To> WriteQueue::wait() {
  if (!moved_) moved_.emplace(stream_.loop());
  const auto looks = [](RequestBase& request, Result& result) {
    if (!result || request.operation().kind() == OperationKind::noop) return false;
    auto& queue = *static_cast<WriteQueue*>(request.context());
    if (queue.error_ != std::errc{}) {
      result = std::unexpected(queue.error_);
      return false;
    }
    if ((queue.*holds)()) return false;
    request.again(op::async_wait(*queue.moved_));
    return true;
  };
  return {stream_.loop(), op::async_wait(*moved_), looks, this};
}

template <WriteQueue::Condition holds>
Expected<void> WriteQueue::prepare(RequestBase& request, Operation& operation) noexcept {
  const auto& queue = *static_cast<WriteQueue*>(request.context());
  if (queue.error_ != std::errc{}) return std::unexpected(queue.error_);
  if ((queue.*holds)()) operation = op::noop();
  return {};
}

Awaitable<WriteQueue::ToReady> WriteQueue::ready() {
  return wait<ToReady, &WriteQueue::is_ready>();
}
Awaitable<WriteQueue::ToDrained> WriteQueue::drained() {
  return wait<ToDrained, &WriteQueue::is_drained>();
}
Expected<void> WriteQueue::ToReady::prepare(RequestBase& request, Operation& operation) noexcept {
  return WriteQueue::prepare<&WriteQueue::is_ready>(request, operation);
}
Expected<void> WriteQueue::ToDrained::prepare(RequestBase& request, Operation& operation) noexcept {
  return WriteQueue::prepare<&WriteQueue::is_drained>(request, operation);
}

}  // namespace wev
