// A program of one timer: what it imports and weighs is tested.
#include "wev/loop/loop.hpp"

int main() {
  using namespace std::chrono_literals;
  wev::Loop loop;
  wev::Completion timer;
  int beats = 0;
  loop.timer(timer, 5ms, &beats, [](void* beats, wev::Loop&, wev::Completion&, wev::Result) {
    return ++*static_cast<int*>(beats) < 3 ? wev::Action::rearm : wev::Action::disarm;
  });
  return loop.run() && beats == 3 ? 0 : 1;
}
