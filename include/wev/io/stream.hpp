// stream.hpp: bytes in order: what pipes, stdio and stream sockets share.
//
//   wev::Stream input = wev::Stream::standard_input(loop);
//   auto size = co_await input.read_some(buffer);                   // in a Task
//   request.start(input.read_some(buffer), [this](auto size) { });  // anywhere
//   co_await output.write_all("text as well\n");
//
// Order      Reads end one after the other, in the order of their calls; so do
//            writes. Reading and writing do not wait for each other.
// Buffers    Of bytes or characters (buffer.hpp). The caller's, alive until the operation
//            has ended.
// End        Reads end with 0 bytes. Writing where nobody reads is broken_pipe.
#pragma once

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "wev/base/buffer.hpp"
#include "wev/io/handle.hpp"

namespace wev {

/// Bytes that were read and not yet used, in memory of the caller's. For
/// Stream::read_until and read_line, one at a time.
class ReadBuffer {
 public:
  /// REQUIRES: `storage` is not empty, and outlives the buffer.
  explicit ReadBuffer(MutableBuffer storage) noexcept : storage_(storage) {}

  /// What was read and not yet used.
  [[nodiscard]] std::span<std::byte> unused() const noexcept {
    return storage_.subspan(begin_, end_ - begin_);
  }
  /// Marks the first of them as used. REQUIRES: count <= unused().size().
  void use(std::size_t count) noexcept {
    WEV_ASSERT(count <= end_ - begin_, "ReadBuffer::use: so much is not unused");
    begin_ += count;
  }

 private:
  friend class Stream;

  std::span<std::byte> storage_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t searched_ = 0;  // of unused(), without having found the delimiter
  std::byte delimiter_{};
  bool filling_ = false;
};

class Stream : public Handle {
 public:
  Stream() = default;
  /// Takes a descriptor over: a pipe's end, a terminal, a connected socket.
  Stream(Loop& loop, int fd) noexcept : Handle(loop, fd) {}

  /// The program's own, whatever they are: terminal, pipe, file, /dev/null. They
  /// are not closed with the handle, and what is in flight on them goes on. Natively their flags
  /// stay as they are, since others share them: children and printf may use them as well.
  /// bad_file_descriptor: the program was started without it.
  static Stream standard_input(Loop& loop) noexcept { return Stream(loop, 0, Use::lent); }
  static Stream standard_output(Loop& loop) noexcept { return Stream(loop, 1, Use::lent); }
  static Stream standard_error(Loop& loop) noexcept { return Stream(loop, 2, Use::lent); }

  /// Ends with the bytes read: at least one, or 0 at the end.
  Awaitable<> read_some(MutableBuffer buffer) const noexcept { return {loop(), reading(buffer)}; }

  /// Ends with buffer.size(), never with fewer: what cuts it short is a TransferError, with
  /// how many bytes are in the buffer by then. Errc::end_of_stream: there were no more.
  Awaitable<ToAll> read_exactly(MutableBuffer buffer) const noexcept {
    return {loop(), op::whole(reading(buffer))};
  }

  struct ToPart {
    static Expected<void> prepare(RequestBase& request, Operation& operation) noexcept;
    Expected<std::span<std::byte>> operator()(RequestBase& request, Result size) const noexcept;
  };
  /// Ends with a std::span<std::byte>: what was read up to `delimiter` and with it,
  /// in `buffer`; it is used by then, and stays until the next read_until. At the
  /// end of the stream what is left, without a delimiter; then nothing.
  /// no_buffer_space: the buffer is full and there is none in it.
  Awaitable<ToPart> read_until(ReadBuffer& buffer, char delimiter) const noexcept {
    Operation operation = reading({});
    operation.io.offset = static_cast<unsigned char>(delimiter);  // for prepare()
    return {loop(), operation, on_filled, &buffer};
  }

  struct ToLine {
    static Expected<void> prepare(RequestBase& request, Operation& operation) noexcept {
      return ToPart::prepare(request, operation);
    }
    Expected<std::optional<std::string_view>> operator()(RequestBase& request,
                                                         Result size) const noexcept;
  };
  /// The same for a line of text: ends with a std::optional<std::string_view>, the line
  /// without the "\n" or "\r\n" at its end; std::nullopt at the end of the stream.
  ///
  ///   while (const auto line = co_await wev::ok(input.read_line(buffer))) use(*line);
  Awaitable<ToLine> read_line(ReadBuffer& buffer) const noexcept {
    Operation operation = reading({});
    operation.io.offset = '\n';
    return {loop(), operation, on_filled, &buffer};
  }

  /// Ends with the bytes written, at least one.
  Awaitable<> write_some(ConstBuffer buffer) const noexcept { return {loop(), writing(buffer)}; }

  /// Ends with buffer.size(), never with fewer: what cuts it short is a TransferError, with
  /// how many bytes were written by then. No other write comes between its parts.
  Awaitable<ToAll> write_all(ConstBuffer buffer) const noexcept {
    return {loop(), op::whole(writing(buffer))};
  }

  /// read_some and write_some with several buffers, in order. The array of them
  /// stays alive, too.
  Awaitable<> read_vectored(std::span<const IoVec> buffers) const noexcept {
    return {loop(), op::readv(fd(), buffers)};
  }
  Awaitable<> write_vectored(std::span<const IoVec> buffers) const noexcept {
    return {loop(), op::writev(fd(), buffers)};
  }
  /// read_exactly and write_all with several buffers, at most op::most_whole_buffers.
  Awaitable<ToAll> read_exactly_vectored(std::span<const IoVec> buffers) const noexcept {
    return {loop(), op::whole(op::readv(fd(), buffers))};
  }
  Awaitable<ToAll> write_all_vectored(std::span<const IoVec> buffers) const noexcept {
    return {loop(), op::whole(op::writev(fd(), buffers))};
  }

 protected:
  enum class Use : std::uint8_t { owned, lent, socket };
  Stream(Loop& loop, int fd, Use use) noexcept
      : Handle(loop, fd, use != Use::lent), is_socket_(use == Use::socket) {}

 private:
  // Of sockets by send and recv: on some WASI hosts a plain write to a closed peer
  // ends the program.
  [[nodiscard]] Operation reading(std::span<std::byte> buffer) const noexcept {
    return is_socket_ ? op::recv(fd(), buffer) : op::read(fd(), buffer);
  }
  [[nodiscard]] Operation writing(std::span<const std::byte> buffer) const noexcept {
    return is_socket_ ? op::send(fd(), buffer) : op::write(fd(), buffer);
  }
  static bool on_filled(RequestBase& request, Result& result);

  bool is_socket_ = false;
};

}  // namespace wev
