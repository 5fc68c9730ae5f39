// The guest of stdio_test.py: copies what it reads to its report, while a timer
// beats.
//
//   stdio lines    reads stdin; says "ready" when three beats have passed with
//                  nothing to read, "got N" for bytes, "end" and how.
//   stdio write    writes to stdout until that fails, and reports how.
//   stdio idle N   reads an idle stdin until a timer of N ms ends it.
//   stdio wrong    reads stdout and writes stdin, and reports how.
#include <cstdio>

#include "arguments.hpp"
#include "wev/loop/loop.hpp"

namespace {

using namespace std::chrono_literals;
using wev::Action;
using wev::Completion;
using wev::Loop;
using wev::Result;

struct Guest {
  Loop loop;
  Completion io;
  Completion beat;
  std::byte buffer[4096] = {};
  int beats = 0;
  std::size_t written = 0;
};

void report(const char* format, long long number = 0) {
  std::fprintf(stderr, format, number);
  std::fputc('\n', stderr);
}

const char* name(const wev::Error& error) {
  if (error == std::errc::bad_file_descriptor) return "bad_file_descriptor";
  if (error == std::errc::broken_pipe) return "broken_pipe";
  if (error == std::errc::io_error) return "io_error";
  return "another error";
}

Action on_beat(void* userdata, Loop&, Completion&, Result) {
  if (++static_cast<Guest*>(userdata)->beats == 3) report("ready");
  return Action::rearm;
}

Action on_read(void* userdata, Loop&, Completion&, Result result) {
  auto& guest = *static_cast<Guest*>(userdata);
  if (!result || *result == 0) {
    report(result ? "end" : name(result.error()));
    return Action::disarm;
  }
  report("got %lld", static_cast<long long>(*result));
  guest.beats = 0;
  return Action::rearm;
}

Action on_written(void* userdata, Loop&, Completion&, Result result) {
  auto& guest = *static_cast<Guest*>(userdata);
  if (result) {
    guest.written += *result;
    return guest.written < 16 * 1024 * 1024 ? Action::rearm : Action::disarm;
  }
  report(name(result.error()));
  return Action::disarm;
}

Action on_wrong(void*, Loop&, Completion&, Result result) {
  report(result ? "worked" : name(result.error()));
  return Action::disarm;
}

Action on_idled(void* userdata, Loop& loop, Completion&, Result) {
  loop.cancel(static_cast<Guest*>(userdata)->io);
  return Action::disarm;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> given = arguments(argc, argv);
  const std::string mode = given.empty() ? "lines" : given[0];
  static Guest guest;
  Loop& loop = guest.loop;
  if (mode == "idle") {
    loop.timer(guest.beat, std::chrono::milliseconds(std::stoi(given.at(1))), &guest, on_idled);
    loop.add(guest.io, wev::op::read(0, guest.buffer), &guest, on_wrong);
    return loop.run() ? 0 : 1;
  }
  loop.timer(guest.beat, 5ms, &guest, on_beat);
  loop.unref(guest.beat);
  if (mode == "lines") {
    loop.add(guest.io, wev::op::read(0, guest.buffer), &guest, on_read);
  } else if (mode == "write") {
    loop.add(guest.io, wev::op::write(1, guest.buffer), &guest, on_written);
  } else {
    loop.add(guest.io, wev::op::read(1, guest.buffer), &guest, on_wrong);
    if (!loop.run()) return 1;
    loop.add(guest.io, wev::op::write(0, guest.buffer), &guest, on_wrong);
  }
  if (const auto ran = loop.run(); !ran) return 1;
  if (!loop.drain()) return 1;
  report("done");
  return 0;
}
