#include "wev/io/stream.hpp"

namespace wev {

// Reading until a delimiter ----------------------------------------------------------

// The first read is into what is free behind what is unused. It is one of no bytes,
// which ends at once, if the delimiter is there or the buffer is full.
Expected<void> Stream::ToPart::prepare(RequestBase& request, Operation& operation) noexcept {
  auto& buffer = *static_cast<ReadBuffer*>(request.context());
  WEV_ASSERT(!buffer.filling_, "Stream::read_until: another read fills the buffer already");
  buffer.filling_ = true;
  buffer.delimiter_ = static_cast<std::byte>(std::exchange(operation.io.offset, 0));
  buffer.searched_ = 0;
  const auto unused = buffer.unused();
  if (std::ranges::find(unused, buffer.delimiter_) != unused.end()) return {};
  buffer.searched_ = unused.size();
  std::memmove(buffer.storage_.data(), unused.data(), unused.size());
  buffer.begin_ = 0;
  buffer.end_ = unused.size();
  const auto free = buffer.storage_.subspan(buffer.end_);
  operation.io.data = free.data();
  operation.io.size = free.size();
  return {};
}

bool Stream::on_filled(RequestBase& request, Result& result) {
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

Expected<std::span<std::byte>> Stream::ToPart::operator()(RequestBase& request,
                                                          Result size) const noexcept {
  auto& buffer = *static_cast<ReadBuffer*>(request.context());
  buffer.filling_ = false;
  if (!size) return std::unexpected(size.error());
  const auto all = buffer.unused().first(*size);
  buffer.use(*size);
  return all;
}

Expected<std::optional<std::string_view>> Stream::ToLine::operator()(RequestBase& request,
                                                                     Result size) const noexcept {
  const auto part = ToPart{}(request, size);
  if (!part) return std::unexpected(part.error());
  if (part->empty()) return std::nullopt;
  std::string_view line = as_text(*part);
  if (line.ends_with('\n')) {
    line.remove_suffix(1);
    if (line.ends_with('\r')) line.remove_suffix(1);
  }
  return line;
}

}  // namespace wev
