#include <wev/loop.hpp>
#include <wev/sim.hpp>

int main() {
  wev::Sim sim;
  wev::Loop loop(sim);
  wev::Completion timer;
  bool fired = false;
  loop.timer(timer, std::chrono::hours(1), &fired,
             [](void* fired, wev::Loop&, wev::Completion&, wev::Result) {
               *static_cast<bool*>(fired) = true;
               return wev::Action::disarm;
             });
  return loop.run() && fired ? 0 : 1;
}
