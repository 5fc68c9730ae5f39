// bench_pipe: bytes through a pipe, both ends in one loop on one thread.
//
// Reads and writes are of 64 KiB, which is what a pipe holds; an operation is so
// many bytes through it, so 65.5 divided by the figure in microseconds is GB/s.
// Of each piece that arrives the first and the last byte are checked.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <utility>

#include "bench.hpp"
#include "fd.hpp"
#include "wev/backend/backends.hpp"
#include "wev/loop/loop.hpp"
#ifdef WEV_BENCH_HAS_LIBUV
#include <uv.h>
#endif
#ifdef WEV_BENCH_HAS_ASIO
#include <asio.hpp>
#endif

namespace {

using bench::Outcome;
using bench::Trial;

constexpr std::size_t block_size = 65536;
using Block = std::array<std::byte, block_size>;

// A block whose neighbouring bytes, and those 256 apart, differ.
Block make_pattern() {
  Block block;
  for (std::size_t i = 0; i < block.size(); ++i) {
    block[i] = static_cast<std::byte>((i * 7 + i / 256) & 0xff);
  }
  return block;
}
const Block pattern = make_pattern();

// What has to go through, and how far it came: the pattern again and again.
class Stream {
 public:
  explicit Stream(const Trial& trial) : size_(trial.size() * block_size) {
    pipe_ = bench::pipe_pair();
    failed_ = !pipe_.valid();
  }

  /// To be written next: up to the end of the pattern.
  [[nodiscard]] std::span<const std::byte> next() const noexcept {
    return std::span(pattern).subspan(written_ % block_size);
  }
  void wrote(std::size_t size) noexcept {
    if (size == 0) failed_ = true;
    written_ += size;
  }
  [[nodiscard]] std::span<std::byte> space() noexcept { return buffer_; }
  void read(std::size_t size) noexcept {
    if (size == 0 || buffer_[0] != pattern[read_ % block_size] ||
        buffer_[size - 1] != pattern[(read_ + size - 1) % block_size]) {
      failed_ = true;
    }
    read_ += size;
  }

  [[nodiscard]] bool all_written() const noexcept { return failed_ || written_ >= size_; }
  [[nodiscard]] bool all_read() const noexcept { return failed_ || read_ >= size_; }
  [[nodiscard]] Outcome outcome() const noexcept {
    return !failed_ && read_ == size_ && written_ == size_ ? Outcome::right : Outcome::wrong;
  }
  bench::FdPair& pipe() noexcept { return pipe_; }

 private:
  bench::FdPair pipe_;
  std::size_t size_;
  std::size_t written_ = 0;
  std::size_t read_ = 0;
  bool failed_ = false;
  Block buffer_{};
};

// Raw ------------------------------------------------------------------------------

Outcome raw(Trial& trial) {
  Stream stream(trial);
  trial.start();
  while (!stream.all_read()) {
    const auto next = stream.next();
    const ssize_t written = ::write(stream.pipe().second.get(), next.data(), next.size());
    stream.wrote(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
    const auto space = stream.space();
    const ssize_t size = ::read(stream.pipe().first.get(), space.data(), space.size());
    stream.read(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  }
  trial.stop();
  return stream.outcome();
}

// wev ------------------------------------------------------------------------------

struct WevEnds {
  Stream& stream;
  wev::Completion reading, writing;

  void read(wev::Loop& loop) {
    loop.add(reading, wev::op::read(stream.pipe().first.get(), stream.space()), this, on_read);
  }
  void write(wev::Loop& loop) {
    loop.add(writing, wev::op::write(stream.pipe().second.get(), stream.next()), this, on_written);
  }

  static wev::Action on_read(void* self, wev::Loop& loop, wev::Completion&, wev::Result size) {
    Stream& stream = static_cast<WevEnds*>(self)->stream;
    stream.read(size.value_or(0));
    if (!stream.all_read()) return wev::Action::rearm;
    loop.stop();
    return wev::Action::disarm;
  }
  static wev::Action on_written(void* self, wev::Loop& loop, wev::Completion&, wev::Result size) {
    auto& ends = *static_cast<WevEnds*>(self);
    if (ends.stream.all_read()) return wev::Action::disarm;  // drained
    ends.stream.wrote(size.value_or(0));
    if (!ends.stream.all_written()) ends.write(loop);
    return wev::Action::disarm;
  }
};

template <wev::BackendKind kind>
Outcome on_wev(Trial& trial) {
  auto backend = wev::make_backend({.kind = kind});
  if (!backend) return Outcome::unavailable;
  Stream stream(trial);
  wev::Loop loop(std::move(*backend));
  WevEnds ends{stream, {}, {}};
  trial.start();
  ends.write(loop);
  ends.read(loop);
  const bool ran = loop.run().has_value();
  trial.stop();
  const bool drained = loop.drain().has_value();
  return ran && drained ? stream.outcome() : Outcome::wrong;
}

// libuv ----------------------------------------------------------------------------

#ifdef WEV_BENCH_HAS_LIBUV
struct UvEnds {
  explicit UvEnds(Stream& its_stream) : stream(its_stream) {
    works = ::uv_loop_init(&loop) == 0 && ::uv_pipe_init(&loop, &in, 0) == 0 &&
            ::uv_pipe_init(&loop, &out, 0) == 0 &&
            ::uv_pipe_open(&in, stream.pipe().first.release()) == 0 &&
            ::uv_pipe_open(&out, stream.pipe().second.release()) == 0;
    in.data = this;
    out.data = this;
  }

  // libuv writes all of a buffer, so there is always a whole block to come.
  void write() {
    const auto next = stream.next();
    const uv_buf_t buffer =
        ::uv_buf_init(reinterpret_cast<char*>(const_cast<std::byte*>(next.data())), block_size);
    if (::uv_write(&request, as_stream(out), &buffer, 1, on_written) != 0) close();
  }
  void close() {
    for (uv_pipe_t* end : {&in, &out}) {
      auto* handle = reinterpret_cast<uv_handle_t*>(end);
      if (::uv_is_closing(handle) == 0) ::uv_close(handle, nullptr);
    }
  }
  static uv_stream_t* as_stream(uv_pipe_t& end) { return reinterpret_cast<uv_stream_t*>(&end); }

  static void on_allocate(uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
    const auto space = static_cast<UvEnds*>(handle->data)->stream.space();
    *buffer = ::uv_buf_init(reinterpret_cast<char*>(space.data()), block_size);
  }
  static void on_read(uv_stream_t* handle, ssize_t size, const uv_buf_t*) {
    if (size == 0) return;  // would block
    auto& ends = *static_cast<UvEnds*>(handle->data);
    ends.stream.read(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    if (ends.stream.all_read()) ends.finish_reading();
  }
  // The last write is told of after the last read.
  void finish_reading() {
    ::uv_read_stop(as_stream(in));
    if (stream.all_written()) close();
  }
  static void on_written(uv_write_t* request, int status) {
    auto& ends = *static_cast<UvEnds*>(request->handle->data);
    ends.stream.wrote(status == 0 ? block_size : 0);
    if (!ends.stream.all_written()) return ends.write();
    if (ends.stream.all_read()) ends.close();
  }

  Stream& stream;
  uv_loop_t loop;
  uv_pipe_t in;
  uv_pipe_t out;
  uv_write_t request;
  bool works = false;
};

Outcome libuv(Trial& trial) {
  Stream stream(trial);
  UvEnds ends(stream);
  if (!ends.works) return Outcome::unavailable;
  trial.start();
  ::uv_read_start(UvEnds::as_stream(ends.in), UvEnds::on_allocate, UvEnds::on_read);
  ends.write();
  ::uv_run(&ends.loop, UV_RUN_DEFAULT);
  trial.stop();
  const bool closed = ::uv_loop_close(&ends.loop) == 0;
  return closed ? stream.outcome() : Outcome::wrong;
}
#else
constexpr bench::Run libuv = bench::not_built;
#endif

// Asio -----------------------------------------------------------------------------

#ifdef WEV_BENCH_HAS_ASIO
struct AsioEnds {
  explicit AsioEnds(Stream& its_stream)
      : stream(its_stream),
        in(io, stream.pipe().first.release()),
        out(io, stream.pipe().second.release()) {}

  void read() {
    in.async_read_some(asio::buffer(stream.space().data(), block_size),
                       [this](const asio::error_code& error, std::size_t size) {
                         stream.read(error ? 0 : size);
                         if (!stream.all_read()) return read();
                         if (stream.all_written()) io.stop();
                       });
  }
  void write() {
    const auto next = stream.next();
    out.async_write_some(asio::buffer(next.data(), next.size()),
                         [this](const asio::error_code& error, std::size_t size) {
                           stream.wrote(error ? 0 : size);
                           if (!stream.all_written()) return write();
                           if (stream.all_read()) io.stop();
                         });
  }

  Stream& stream;
  asio::io_context io{1};
  asio::posix::stream_descriptor in;
  asio::posix::stream_descriptor out;
};

Outcome asio_callbacks(Trial& trial) {
  Stream stream(trial);
  AsioEnds ends(stream);
  trial.start();
  ends.write();
  ends.read();
  ends.io.run();
  trial.stop();
  return stream.outcome();
}
#else
constexpr bench::Run asio_callbacks = bench::not_built;
#endif

}  // namespace

int main(int argc, char** argv) {
  const bench::Options options(argc, argv, {.size = 50'000, .tiny_size = 200});
  bench::Contest contest("a pipe, blocks of 64 KiB, both ends in one loop", "64 KiB", options);
  contest.add("read() and write()", raw);
  contest.add("wev epoll", on_wev<wev::BackendKind::epoll>, "read() and write()");
  contest.add("wev io_uring", on_wev<wev::BackendKind::io_uring>, "read() and write()");
  contest.add("libuv", libuv, "read() and write()");
  contest.add("Asio", asio_callbacks, "read() and write()");
  return contest.run() ? 0 : 1;
}
