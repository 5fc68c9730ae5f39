// tail: shows what is added to a file, or what comes in on stdin.
//
//   tail [FILE]     from FILE's last ten lines on; until stdin ends or it is killed.
//                   Without FILE: stdin to stdout, until it ends.
//
// A file that became shorter is shown anew from its start, as one that another
// program writes again. How long it has grown is asked every 100 ms: the same on
// every system, WASI included.
//
// Exit codes: 0 all went well; 1 wrong usage; 2 reading failed; 3 writing failed.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <utility>

#include "wev/file.hpp"
#include "wev/stream.hpp"
#include "wev/timer.hpp"

namespace {

using namespace std::chrono_literals;
using wev::Expected;

constexpr std::size_t first_lines = 10;
constexpr int exit_usage = 1;
constexpr int exit_read = 2;
constexpr int exit_write = 3;

class Tail {
 public:
  explicit Tail(const char* path) : path_(path) {}

  int run() {
    if (path_ != nullptr) {
      request_.start(
          wev::File::open(loop_, path_, wev::open_read), [this](Expected<wev::File> file) {
            if (!file) return fail("opening", exit_read, file.error());
            file_ = std::move(*file);
            request_.start(file_.size(), [this](Expected<std::size_t> size) { begin(size); });
            watch_stdin();
          });
    } else {
      copy();
    }
    if (const auto ran = loop_.run(); !ran) fail("running", exit_read, ran.error());
    (void)loop_.drain();
    return status_;
  }

 private:
  void fail(const char* what, int status, wev::Error error) {
    if (error == wev::Errc::operation_canceled) return;
    std::fprintf(stderr, "tail: %s failed (error %d)\n", what, error.code());
    status_ = status;
    loop_.stop();
  }

  // A file ------------------------------------------------------------------------

  // Shows the last lines of what is there.
  void begin(Expected<std::size_t> size) {
    if (!size) return fail("asking for the size", exit_read, size.error());
    size_ = *size;
    position_ = size_ - std::min<std::uint64_t>(size_, buffer_.size());
    request_.start(file_.read_at(buffer_, position_), [this](Expected<std::size_t> read) {
      if (!read) return fail("reading", exit_read, read.error());
      const std::string_view text(reinterpret_cast<const char*>(buffer_.data()), *read);
      position_ += last_lines(text);
      follow();
    });
  }

  // Where the last lines of `text` begin.
  static std::size_t last_lines(std::string_view text) {
    std::size_t begin = text.size();
    for (std::size_t lines = 0; begin > 0; --begin) {
      const bool line_begins = text[begin - 1] == '\n' && begin != text.size();
      if (line_begins && ++lines == first_lines) break;
    }
    return begin;
  }

  // Shows what is new, then waits and asks again.
  void follow() {
    request_.start(file_.read_at(buffer_, position_), [this](Expected<std::size_t> read) {
      if (!read) return fail("reading", exit_read, read.error());
      if (*read == 0) return wait();
      position_ += *read;
      show(*read, [](Tail& tail) { tail.follow(); });
    });
  }

  void wait() {
    timer_.after(100ms, [this](std::size_t) {
      request_.start(file_.size(), [this](Expected<std::size_t> size) {
        if (!size) return fail("asking for the size", exit_read, size.error());
        if (*size < position_) position_ = 0;
        follow();
      });
    });
  }

  // Its end is ours.
  void watch_stdin() {
    watching_.start(input_.read_some(ignored_), [this](Expected<std::size_t> size) {
      if (size && *size > 0) return watch_stdin();
      loop_.stop();
    });
  }

  // Stdin ---------------------------------------------------------------------------

  void copy() {
    request_.start(input_.read_some(buffer_), [this](Expected<std::size_t> size) {
      if (!size) return fail("reading", exit_read, size.error());
      if (*size > 0) show(*size, [](Tail& tail) { tail.copy(); });
    });
  }

  void show(std::size_t size, void (*then)(Tail&)) {
    request_.start(output_.write_all(std::span(buffer_).first(size)),
                   [this, then](Expected<std::size_t> written) {
                     if (!written) return fail("writing", exit_write, written.error());
                     then(*this);
                   });
  }

  const char* path_;
  wev::Loop loop_;
  wev::File file_;
  wev::Stream input_ = wev::Stream::standard_input(loop_);
  wev::Stream output_ = wev::Stream::standard_output(loop_);
  wev::Timer timer_{loop_};
  wev::Request request_, watching_;
  std::uint64_t size_ = 0;
  std::uint64_t position_ = 0;
  std::array<std::byte, 65536> buffer_{};
  std::array<std::byte, 256> ignored_{};
  int status_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
    std::fprintf(stderr, "usage: tail [FILE]\n");
    return exit_usage;
  }
  static Tail tail(argc == 2 ? argv[1] : nullptr);
  return tail.run();
}
