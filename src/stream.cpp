#include "wev/stream.hpp"

namespace wev {

// Reading until a delimiter ----------------------------------------------------------

// The next read into what is free behind what is unused. One of no bytes, which
// ends at once, if the delimiter is there or the buffer is full.
Operation Stream::filling(ReadBuffer& buffer) const noexcept {
  const auto unused = buffer.unused();
  if (std::ranges::find(unused.subspan(buffer.searched_), buffer.delimiter_) != unused.end()) {
    return reading({});
  }
  buffer.searched_ = unused.size();
  std::memmove(buffer.storage_.data(), unused.data(), unused.size());
  buffer.begin_ = 0;
  buffer.end_ = unused.size();
  return reading(buffer.storage_.subspan(buffer.end_));
}

bool Stream::on_filled(Request& request, Result& result) {
  if (!result) return false;
  auto& buffer = *static_cast<ReadBuffer*>(request.context());
  buffer.end_ += *result;
  const auto unused = buffer.unused();
  const auto found = std::ranges::find(unused.subspan(buffer.searched_), buffer.delimiter_);
  if (found != unused.end()) {
    result = static_cast<std::size_t>(found - unused.begin()) + 1;
    return false;
  }
  if (unused.size() == buffer.storage_.size()) {
    result = std::unexpected(std::errc::no_buffer_space);
    return false;
  }
  if (*result == 0) {  // the end
    result = unused.size();
    return false;
  }
  buffer.searched_ = unused.size();
  Operation next = request.operation();
  next.io.data = buffer.storage_.data() + buffer.end_;
  next.io.size = buffer.storage_.size() - buffer.end_;
  request.again(next);
  return true;
}

Expected<std::span<std::byte>> Stream::Taken::operator()(Request& request,
                                                         Result size) const noexcept {
  if (!size) return std::unexpected(size.error());
  auto& buffer = *static_cast<ReadBuffer*>(request.context());
  const auto all = buffer.unused().first(*size);
  buffer.use(*size);
  return all;
}

}  // namespace wev
