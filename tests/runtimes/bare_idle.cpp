// What idle.py compares with: one poll_oneoff of an idle stdin and a clock of as
// many milliseconds as the argument says, without a loop.
#include "arguments.hpp"
#include "sys/wasi.hpp"

int main(int argc, char** argv) {
  using namespace wev::sys::wasi;
  Subscription subscriptions[2]{};
  subscriptions[0].tag = eventtype_clock;
  subscriptions[0].clock = {clock_monotonic, std::stoull(arguments(argc, argv).at(1)) * 1'000'000,
                            0, 0};
  subscriptions[1].tag = eventtype_fd_read;
  subscriptions[1].fd = 0;
  Event events[2]{};
  Size count = 0;
  return wev_wasi_poll_oneoff(subscriptions, events, 2, &count) == errno_success ? 0 : 1;
}
