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

#include "wev/io.hpp"
#include "wev/task.hpp"

namespace {

using namespace std::chrono_literals;
using wev::Expected;
using wev::ok;
using wev::Task;

constexpr std::size_t first_lines = 10;
constexpr int exit_usage = 1;
constexpr int exit_read = 2;
constexpr int exit_write = 3;

class Tail {
 public:
  explicit Tail(const char* path) : path_(path) {}

  int run() {
    const auto ran = wev::run(loop_, path_ == nullptr ? copy() : follow());
    if (!ran) fail("running", exit_read, ran.error());
    return status_;
  }

 private:
  void fail(const char* what, int status, wev::Error error) {
    if (error == wev::Errc::operation_canceled) return;  // it is only told to end
    std::fprintf(stderr, "tail: %s failed: %s\n", what, error.message().c_str());
    status_ = status;
  }

  // A file ------------------------------------------------------------------------

  Task<> follow() {
    const auto file = co_await wev::File::open(loop_, path_, wev::open_read);
    if (!file) co_return fail("opening", exit_read, file.error());
    const auto first = co_await wev::when_any(show_what_is_added(*file), end_of_stdin());
    if (first.index() > 0) co_return;
    if (const auto& shown = std::get<0>(first); !shown) fail("reading", exit_read, shown.error());
  }

  Task<Expected<void>> show_what_is_added(const wev::File& file) {
    std::uint64_t position = co_await ok(first_shown(file));
    for (;;) {
      const std::size_t size = co_await ok(file.read_at(buffer_, position));
      if (size > 0) {
        if (!co_await show(size)) co_return {};
        position += size;
        continue;
      }
      co_await ok(wev::sleep(100ms));
      if (co_await ok(file.size()) < position) position = 0;
    }
  }

  // Where the last lines of what is there begin.
  Task<Expected<std::uint64_t>> first_shown(const wev::File& file) {
    const std::uint64_t size = co_await ok(file.size());
    const std::uint64_t position = size - std::min<std::uint64_t>(size, buffer_.size());
    const std::size_t read = co_await ok(file.read_at(buffer_, position));
    co_return position + last_lines({buffer_.data(), read});
  }
  static std::size_t last_lines(std::string_view text) {
    std::size_t begin = text.size();
    for (std::size_t lines = 0; begin > 0; --begin) {
      const bool line_begins = text[begin - 1] == '\n' && begin != text.size();
      if (line_begins && ++lines == first_lines) break;
    }
    return begin;
  }

  // Which is also that of following a file.
  Task<> end_of_stdin() {
    std::array<std::byte, 256> ignored;
    while ((co_await input_.read_some(ignored)).value_or(0) > 0) {
    }
  }

  // Stdin ---------------------------------------------------------------------------

  Task<> copy() {
    for (;;) {
      const auto size = co_await input_.read_some(buffer_);
      if (!size) co_return fail("reading", exit_read, size.error());
      if (*size == 0 || !co_await show(*size)) co_return;
    }
  }

  // What is in the buffer. false: it has failed.
  Task<bool> show(std::size_t size) {
    const auto written = co_await output_.write_all(std::span(buffer_).first(size));
    if (!written) fail("writing", exit_write, written.error());
    co_return written.has_value();
  }

  const char* path_;
  wev::Loop loop_;
  wev::Stream input_ = wev::Stream::standard_input(loop_);
  wev::Stream output_ = wev::Stream::standard_output(loop_);
  std::array<char, 65536> buffer_{};
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
