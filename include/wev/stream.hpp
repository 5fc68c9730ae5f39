// stream.hpp: bytes in order: what pipes, stdio and stream sockets share.
//
//   wev::Stream input = wev::Stream::standard_input(loop);
//   input.read_some(request, buffer, [this](wev::Expected<std::size_t> size) { ... });
//
// Order      Reads end one after the other, in the order of their calls; so do
//            writes. Reading and writing do not wait for each other.
// Buffers    The caller's, alive until the callback begins.
// Deadline   Each operation takes one, as the last argument: Errc::timed_out.
// End        Reads end with 0 bytes. Writing where nobody reads is broken_pipe.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>

#include "wev/handle.hpp"

namespace wev {

/// Bytes that were read and not yet used, in memory of the caller's. For
/// Stream::read_until.
class ReadBuffer {
 public:
  /// REQUIRES: `storage` is not empty, and outlives the buffer.
  explicit ReadBuffer(std::span<std::byte> storage) noexcept : storage_(storage) {}

  /// What was read and not yet used.
  [[nodiscard]] std::span<std::byte> unused() const noexcept {
    return storage_.subspan(begin_, end_ - begin_);
  }
  /// Marks the first of them as used. REQUIRES: count <= unused().size().
  void use(std::size_t count) noexcept { begin_ += count; }

 private:
  friend class Stream;

  std::span<std::byte> storage_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t searched_ = 0;  // of unused(), without having found the delimiter
  std::byte delimiter_{};
};

class Stream : public Handle {
 public:
  Stream() = default;
  /// Takes a descriptor over: a pipe's end, a terminal, a connected socket.
  Stream(Loop& loop, int fd) noexcept : Handle(loop, fd) {}

  /// The program's own, whatever they are: terminal, pipe, file, /dev/null. They
  /// are not closed with the handle.
  static Stream standard_input(Loop& loop) noexcept { return Stream(loop, 0, Use::lent); }
  static Stream standard_output(Loop& loop) noexcept { return Stream(loop, 1, Use::lent); }
  static Stream standard_error(Loop& loop) noexcept { return Stream(loop, 2, Use::lent); }

  /// callback(Expected<std::size_t>): at least one byte, or 0 at the end.
  template <class F>
  void read_some(Request& request, std::span<std::byte> buffer, F callback,
                 Instant deadline = never) {
    request.start(loop(), reading(buffer), deadline, std::move(callback));
  }

  /// callback(Expected<std::size_t>): buffer.size(), or fewer, see op::whole.
  template <class F>
  void read_exactly(Request& request, std::span<std::byte> buffer, F callback,
                    Instant deadline = never) {
    request.start(loop(), op::whole(reading(buffer)), deadline, std::move(callback));
  }

  /// callback(Expected<std::span<std::byte>>): what was read up to `delimiter`
  /// and with it, in `buffer`; it is used by then, and stays until the next
  /// read_until. At the end of the stream what is left, without a delimiter; then
  /// nothing. no_buffer_space: the buffer is full and there is none in it.
  template <class F>
  void read_until(Request& request, ReadBuffer& buffer, char delimiter, F callback,
                  Instant deadline = never) {
    buffer.delimiter_ = static_cast<std::byte>(delimiter);
    buffer.searched_ = 0;
    request.context() = &buffer;
    request.start(loop(), filling(buffer), deadline, std::move(callback), Taken{}, on_filled);
  }

  /// callback(Expected<std::size_t>): bytes written, at least one.
  template <class F>
  void write_some(Request& request, std::span<const std::byte> buffer, F callback,
                  Instant deadline = never) {
    request.start(loop(), writing(buffer), deadline, std::move(callback));
  }

  /// callback(Expected<std::size_t>): buffer.size(), or fewer, see op::whole. No
  /// other write comes between its parts.
  template <class F>
  void write_all(Request& request, std::span<const std::byte> buffer, F callback,
                 Instant deadline = never) {
    request.start(loop(), op::whole(writing(buffer)), deadline, std::move(callback));
  }

  /// read_some and write_some with several buffers, in order. The array of them
  /// stays alive, too.
  template <class F>
  void read_vectored(Request& request, std::span<const IoVec> buffers, F callback,
                     Instant deadline = never) {
    request.start(loop(), op::readv(fd(), buffers), deadline, std::move(callback));
  }
  template <class F>
  void write_vectored(Request& request, std::span<const IoVec> buffers, F callback,
                      Instant deadline = never) {
    request.start(loop(), op::writev(fd(), buffers), deadline, std::move(callback));
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
  Operation filling(ReadBuffer& buffer) const noexcept;
  struct Taken {
    Expected<std::span<std::byte>> operator()(Request& request, Result size) const noexcept;
  };

  static bool on_filled(Request& request, Result& result);

  bool is_socket_ = false;
};

}  // namespace wev
