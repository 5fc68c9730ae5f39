// meter: a pipe meter. Copies stdin to stdout and draws how it goes on stderr.
//
//   meter [--size BYTES] [--quiet] < in > out
//
// One task reads and one writes: full buffers go one way through a channel, and
// empty ones back through another. A third draws. With --size it draws a bar and when
// it will be done.
//
// Exit codes: 0 all copied; 1 wrong usage; 2 reading failed; 3 writing failed;
// 4 the reader of stdout went away; 5 the host cannot run the loop.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

#include "wev/io.hpp"
#include "wev/task.hpp"

namespace {

using namespace std::chrono_literals;
using wev::Error;
using wev::Expected;
using wev::Instant;
using wev::Loop;
using wev::ok;
using wev::Task;

constexpr int exit_usage = 1;
constexpr int exit_read = 2;
constexpr int exit_write = 3;
constexpr int exit_reader_gone = 4;
constexpr int exit_host = 5;

constexpr std::size_t buffer_size = 256 * 1024;
constexpr int bar_width = 24;

using Seconds = std::chrono::duration<double>;

// Two numbers of a line: 12.3 MiB.
struct Amount {
  double value;
  const char* unit;
};
Amount amount(double bytes) {
  static constexpr std::array units = {"B  ", "KiB", "MiB", "GiB", "TiB"};
  std::size_t i = 0;
  for (; bytes >= 1024 && i + 1 < units.size(); ++i) bytes /= 1024;
  return {bytes, units[i]};
}

struct Clock {
  std::uint64_t hours, minutes, seconds;
};
Clock clock_of(double seconds) {
  const auto s = static_cast<std::uint64_t>(seconds);
  return {s / 3600, s / 60 % 60, s % 60};
}

class Meter {
 public:
  Meter(std::uint64_t size, bool quiet) : size_(size), quiet_(quiet) {}

  int run() {
    started_ = loop_.now();
    drawn_at_ = started_;
    const auto ran = wev::run(loop_, wev::when_any(copy(), draw_often()));
    if (!ran) {
      status_ = exit_host;
      error_ = ran.error();
    }
    if (!quiet_) finish();
    complain();
    return status_;
  }

 private:
  using Buffer = std::array<std::byte, buffer_size>;
  struct Filled {
    Buffer* buffer;
    std::size_t size;
  };

  // As long as one buffer is written the other is filled.
  Task<> copy() {
    for (auto& buffer : buffers_) (void)empty_.try_send(buffer);
    co_await wev::with_group(wev::fail_fast, [this](wev::TaskGroup& group) -> Task<Expected<void>> {
      group.spawn(write());
      return read();
    });
  }

  Task<Expected<void>> read() {
    const auto input = wev::Stream::standard_input(loop_);
    for (;;) {
      Buffer* buffer = co_await ok(empty_.receive());
      const auto size = co_await input.read_some(*buffer);
      if (!size) co_return fail(exit_read, size.error());
      if (*size == 0) break;
      co_await ok(full_.send({buffer, *size}));
    }
    full_.close();
    co_return {};
  }

  Task<Expected<void>> write() {
    const auto output = wev::Stream::standard_output(loop_);
    while (auto filled = co_await full_.receive()) {
      for (auto left = std::span(*filled->buffer).first(filled->size); !left.empty();) {
        const auto size = co_await output.write_some(left);
        if (!size) {
          const bool gone = size.error() == std::errc::broken_pipe;
          co_return fail(gone ? exit_reader_gone : exit_write, size.error());
        }
        copied_ += *size;
        left = left.subspan(*size);
      }
      co_await ok(empty_.send(filled->buffer));
    }
    co_return {};
  }

  std::unexpected<Error> fail(int status, Error error) {
    if (error != wev::Errc::operation_canceled) {  // by the one that failed first
      status_ = status;
      error_ = error;
    }
    return std::unexpected(error);
  }

  // Drawing -------------------------------------------------------------------------

  Task<> draw_often() {
    wev::Interval often(loop_, 100ms);
    while (co_await often.next()) {
      if (!quiet_) draw();
    }
  }

  void draw() {
    const Instant now = loop_.now();
    const double elapsed = Seconds(now - started_).count();
    const double since = Seconds(now - drawn_at_).count();
    if (since > 0) {
      // The last second or so counts most.
      const double rate = static_cast<double>(copied_ - drawn_) / since;
      const double weight = since / (since + 0.5);
      rate_ = drawn_at_ == started_ ? rate : rate_ + (rate - rate_) * weight;
    }
    drawn_at_ = now;
    drawn_ = copied_;
    line(elapsed, rate_);
  }

  void line(double elapsed, double rate) const {
    const auto [count, unit] = amount(static_cast<double>(copied_));
    const auto [speed, speed_unit] = amount(rate);
    const auto [h, m, s] = clock_of(elapsed);
    std::fprintf(stderr, "\r%7.1f %s  %2llu:%02llu:%02llu  %7.1f %s/s", count, unit,
                 static_cast<unsigned long long>(h), static_cast<unsigned long long>(m),
                 static_cast<unsigned long long>(s), speed, speed_unit);
    if (size_ > 0) bar(rate);
    std::fflush(stderr);
  }

  void bar(double rate) const {
    double share = static_cast<double>(copied_) / static_cast<double>(size_);
    if (share > 1) share = 1;
    char cells[bar_width + 1];
    const int full = static_cast<int>(share * bar_width);
    for (int i = 0; i < bar_width; ++i) cells[i] = i < full ? '=' : i == full ? '>' : ' ';
    cells[bar_width] = '\0';
    std::fprintf(stderr, "  [%s] %3d %%", cells, static_cast<int>(share * 100));
    const std::uint64_t left = size_ > copied_ ? size_ - copied_ : 0;
    if (rate >= 1) {
      const auto [h, m, s] = clock_of(static_cast<double>(left) / rate);
      std::fprintf(stderr, "  ETA %llu:%02llu:%02llu ", static_cast<unsigned long long>(h),
                   static_cast<unsigned long long>(m), static_cast<unsigned long long>(s));
    }
  }

  void finish() {
    loop_.update_now();
    const double elapsed = Seconds(loop_.now() - started_).count();
    line(elapsed, elapsed > 0 ? static_cast<double>(copied_) / elapsed : 0);
    std::fputc('\n', stderr);
  }

  void complain() const {
    const auto why = error_.message();
    switch (status_) {
      case exit_read: std::fprintf(stderr, "meter: reading failed: %s\n", why.c_str()); break;
      case exit_write: std::fprintf(stderr, "meter: writing failed: %s\n", why.c_str()); break;
      case exit_reader_gone: std::fprintf(stderr, "meter: the reader went away\n"); break;
      case exit_host: std::fprintf(stderr, "meter: the loop cannot run: %s\n", why.c_str()); break;
      default: break;
    }
  }

  Loop loop_;
  std::unique_ptr<Buffer> memory_[2] = {std::make_unique<Buffer>(), std::make_unique<Buffer>()};
  Buffer* buffers_[2] = {memory_[0].get(), memory_[1].get()};
  wev::Channel<Buffer*> empty_{2};
  wev::Channel<Filled> full_{2};

  const std::uint64_t size_;
  const bool quiet_;
  std::uint64_t copied_ = 0;
  std::uint64_t drawn_ = 0;
  double rate_ = 0;
  Instant started_;
  Instant drawn_at_;
  int status_ = 0;
  Error error_ = std::errc{};
};

int usage() {
  std::fprintf(stderr, "usage: meter [--size BYTES] [--quiet] < in > out\n");
  return exit_usage;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t size = 0;
  bool quiet = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--quiet") == 0) {
      quiet = true;
    } else if (std::strcmp(argv[i], "--size") == 0 && i + 1 < argc) {
      char* end = nullptr;
      const char* text = argv[++i];
      size = std::strtoull(text, &end, 10);
      if (*text < '0' || *text > '9' || *end != '\0') return usage();
    } else {
      return usage();
    }
  }
  return Meter(size, quiet).run();
}
