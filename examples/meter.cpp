// meter: a pipe meter. Copies stdin to stdout and draws how it goes on stderr.
//
//   meter [--size BYTES] [--quiet] < in > out
//
// A read, a write and a timer of 100 ms are in flight at once, on two buffers
// that swap places. With --size it draws a bar and when it will be done.
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

#include "wev/loop.hpp"

namespace {

using namespace std::chrono_literals;
using wev::Action;
using wev::Completion;
using wev::Instant;
using wev::Loop;
using wev::Result;

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
    if (!quiet_) loop_.timer(timer_, 100ms, this, on_timer);
    if (!quiet_) loop_.unref(timer_);
    read();
    if (!loop_.run() || !loop_.drain()) status_ = exit_host;
    if (!quiet_) finish();
    return status_;
  }

 private:
  // Reading and writing: as long as one buffer is written the other is filled.

  void read() { loop_.add(reading_, wev::op::read(0, *filling_), this, on_read); }

  static Action on_read(void* self, Loop&, Completion&, Result result) {
    static_cast<Meter*>(self)->has_read(result);
    return Action::disarm;
  }

  void has_read(Result result) {
    if (!result) return fail(exit_read, result.error());
    ended_ = *result == 0;
    filled_ = *result;
    if (left_.empty()) swap();
  }

  // The filled buffer is written from now on, and the other one is filled.
  void swap() {
    if (filled_ == 0) return;
    std::swap(filling_, emptying_);
    left_ = std::span(*emptying_).first(std::exchange(filled_, 0));
    loop_.add(writing_, wev::op::write(1, left_), this, on_write);
    read();
  }

  static Action on_write(void* self, Loop&, Completion&, Result result) {
    static_cast<Meter*>(self)->has_written(result);
    return Action::disarm;
  }

  void has_written(Result result) {
    if (!result) {
      const bool gone = result.error() == std::errc::broken_pipe;
      return fail(gone ? exit_reader_gone : exit_write, result.error());
    }
    copied_ += *result;
    left_ = left_.subspan(*result);
    if (!left_.empty()) {
      loop_.add(writing_, wev::op::write(1, left_), this, on_write);
    } else if (!ended_) {
      swap();
    }
  }

  void fail(int status, wev::Error error) {
    if (error == wev::Errc::operation_canceled) return;  // by the one that failed first
    status_ = status;
    error_ = error.code();
    loop_.cancel(reading_);
    loop_.cancel(writing_);
  }

  // Drawing.

  static Action on_timer(void* self, Loop&, Completion&, Result) {
    static_cast<Meter*>(self)->draw();
    return Action::rearm;
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
    switch (status_) {
      case exit_read: std::fprintf(stderr, "meter: reading failed (error %d)\n", error_); break;
      case exit_write: std::fprintf(stderr, "meter: writing failed (error %d)\n", error_); break;
      case exit_reader_gone: std::fprintf(stderr, "meter: the reader went away\n"); break;
      case exit_host: std::fprintf(stderr, "meter: the host cannot run the loop\n"); break;
      default: break;
    }
  }

  using Buffer = std::array<std::byte, buffer_size>;

  Loop loop_;
  Completion reading_, writing_, timer_;
  std::unique_ptr<Buffer> filling_ = std::make_unique<Buffer>();
  std::unique_ptr<Buffer> emptying_ = std::make_unique<Buffer>();
  std::size_t filled_ = 0;           // bytes in filling_ that wait for their turn
  std::span<const std::byte> left_;  // of emptying_, still to be written
  bool ended_ = false;               // stdin is at its end

  const std::uint64_t size_;
  const bool quiet_;
  std::uint64_t copied_ = 0;
  std::uint64_t drawn_ = 0;
  double rate_ = 0;
  Instant started_;
  Instant drawn_at_;
  int status_ = 0;
  int error_ = 0;
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
