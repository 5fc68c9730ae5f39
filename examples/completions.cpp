#include <cstdio>

#include "wev/loop.hpp"

using namespace std::chrono_literals;

// Echoes stdin, and counts heartbeats until it ends.
struct Program {
  wev::Completion input, heartbeat;
  std::byte buffer[4096];
  int beats = 0;
  wev::Expected<void> ended;
};

int main() {
  auto loop = wev::Loop::make();
  if (!loop) {
    std::fprintf(stderr, "completions: %s\n", loop.error().message().c_str());
    return 1;
  }
  Program program;
  (*loop)->timer(program.heartbeat, 100ms, &program,
                 [](void* p, auto&, auto&, wev::Result periods) {
                   static_cast<Program*>(p)->beats += periods ? static_cast<int>(*periods) : 0;
                   return wev::Action::rearm;
                 });
  (*loop)->unref(program.heartbeat);  // goes on only as long as something else does
  (*loop)->add(program.input, wev::op::read(0, program.buffer), &program,
               [](void* p, wev::Loop&, wev::Completion&, wev::Result size) {
                 auto& self = *static_cast<Program*>(p);
                 if (!size) self.ended = std::unexpected(size.error());
                 if (!size || *size == 0) return wev::Action::disarm;  // an error, or the end
                 const bool written = std::fwrite(self.buffer, 1, *size, stdout) == *size;
                 return written ? wev::Action::rearm : wev::Action::disarm;
               });
  wev::Expected<void> ended = (*loop)->run();
  if (ended) ended = (*loop)->drain();
  if (ended) ended = program.ended;
  if (!ended) std::fprintf(stderr, "completions: %s\n", ended.error().message().c_str());
  std::printf("%d heartbeats\n", program.beats);
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    std::perror("completions: writing");
    return 1;
  }
  return ended ? 0 : 1;
}
