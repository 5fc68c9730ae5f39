#include <cstdio>

#include "wev/loop.hpp"

using namespace std::chrono_literals;

// Echoes stdin, and counts heartbeats until it ends.
struct Program {
  wev::Completion input, heartbeat;
  std::byte buffer[4096];
  int beats = 0;
};

int main() {
  wev::Loop loop;
  Program program;
  loop.timer(program.heartbeat, 100ms, &program, [](void* p, auto&, auto&, wev::Result periods) {
    static_cast<Program*>(p)->beats += periods ? static_cast<int>(*periods) : 0;
    return wev::Action::rearm;
  });
  loop.unref(program.heartbeat);  // goes on only as long as something else does
  loop.add(program.input, wev::op::read(0, program.buffer), &program,
           [](void* p, wev::Loop&, wev::Completion&, wev::Result size) {
             if (!size || *size == 0) return wev::Action::disarm;  // an error, or the end
             std::fwrite(static_cast<Program*>(p)->buffer, 1, *size, stdout);
             return wev::Action::rearm;
           });
  const bool ran = loop.run() && loop.drain();
  std::printf("%d heartbeats\n", program.beats);
  return ran ? 0 : 1;
}
