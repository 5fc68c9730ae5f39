// nested.cpp: one wev loop inside another.
//
// A library has a loop of its own, the program's loop turns it: when its descriptor is
// readable, when its next deadline has passed, and when it says that something was added.
// So they share a thread, and each sleeps no longer than it may.
//
//   g++ -std=c++23 nested.cpp -lwev -luring -pthread && ./a.out
#include <chrono>
#include <cstdio>
#include <thread>
#include <utility>

#include <unistd.h>

#include "wev/io.hpp"
#include "wev/task.hpp"

using namespace std::chrono_literals;

namespace {

// Turns `inner` from `outer`, until nothing is active in it.
class Nested {
 public:
  Nested(wev::Loop& outer, wev::Loop& inner)
      : outer_(outer), inner_(inner), fd_(inner.pollable().value_or(-1)), soon_(outer) {
    inner.set_driver([](void* soon) noexcept { static_cast<wev::Async*>(soon)->notify(); }, &soon_);
    outer.add(told_, wev::op::async_wait(soon_), this, on_event);
    if (fd_ >= 0) outer.add(readable_, wev::op::poll_readable(fd_), this, on_event);
    outer.timer(due_, 0s, this, on_event);
  }
  ~Nested() {
    inner_.set_driver(nullptr, nullptr);
    outer_.detach(soon_);
    if (fd_ >= 0) outer_.forget(fd_);
  }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

  [[nodiscard]] bool has_descriptor() const { return fd_ >= 0; }
  [[nodiscard]] int turns() const { return turns_; }

 private:
  // Of all three, whose callbacks come as long as they are armed.
  static wev::Action on_event(void* userdata, wev::Loop&, wev::Completion& which, wev::Result) {
    return static_cast<Nested*>(userdata)->turn(which);
  }

  wev::Action turn(const wev::Completion& which) {
    if (!inner_.done() && inner_.tick(wev::RunMode::no_wait)) ++turns_;
    if (inner_.done()) {
      for (auto* watched : {&told_, &readable_, &due_}) outer_.cancel(*watched);
      return wev::Action::disarm;
    }
    // One that is as far away as `never` does not fire.
    outer_.update_now();
    outer_.timer_reset(due_, inner_.next_deadline() - outer_.now(), this, on_event);
    return &which == &due_ ? wev::Action::disarm : wev::Action::rearm;
  }

  wev::Loop& outer_;
  wev::Loop& inner_;
  const int fd_;  // -1: there is none, and the next deadline comes soon
  wev::Async soon_;
  wev::Completion told_, readable_, due_;
  int turns_ = 0;
};

// In the outer loop.
wev::Task<wev::Expected<void>> write_lines(wev::Stream stream) {
  for (int i = 0; i < 5; ++i) {
    co_await wev::sleep(10ms);
    co_await wev::ok(stream.write_all("line\n"));
  }
  co_return {};
}

// In the inner one.
wev::Task<wev::Expected<int>> count_lines(wev::Stream stream) {
  char line[5];
  int lines = 0;
  auto read = co_await stream.read_exactly(line);
  for (; read; read = co_await stream.read_exactly(line)) ++lines;
  // The end, and not inside of a line.
  const wev::TransferError why = read.error();
  if (why != wev::Errc::end_of_stream || why.moved > 0) co_return std::unexpected(why);
  co_return lines;
}
wev::Task<int> beat() {
  int beats = 0;
  while (beats < 5 && co_await wev::sleep(10ms)) ++beats;
  co_return beats;
}

int fail(const char* what, wev::Error error) {
  std::fprintf(stderr, "nested: %s: %s\n", what, error.message().c_str());
  return 1;
}

}  // namespace

int main() {
  wev::Loop outer, inner;
  int ends[2];
  if (::pipe(ends) != 0) {
    std::perror("nested: making a pipe");
    return 1;
  }
  wev::Root writing(outer, write_lines(wev::Stream(outer, ends[1])));
  wev::Root counting(inner, count_lines(wev::Stream(inner, ends[0])));
  wev::Root beating(inner, beat());
  int posts = 0;
  const Nested nested(outer, inner);
  std::thread other([&] { inner.post([&posts] { ++posts; }); });
  if (!nested.has_descriptor()) std::puts("the inner loop has no descriptor: it is asked by time");
  const auto ran = outer.run();
  other.join();
  if (!ran) return fail("the outer loop", ran.error());
  if (!counting.done() || !beating.done()) return fail("the inner loop", wev::Errc::deadlock);
  if (const auto written = writing.take(); !written) return fail("writing", written.error());
  const auto lines = counting.take();
  if (!lines) return fail("counting", lines.error());
  std::printf("%d lines, %d beats, %d posts\n", *lines, beating.take(), posts);
  std::fprintf(stderr, "%d turns\n", nested.turns());
  if (std::fflush(stdout) == 0) return 0;
  std::perror("nested: printing");
  return 1;
}
