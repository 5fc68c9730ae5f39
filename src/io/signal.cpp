#include "wev/io/signal.hpp"

namespace wev {

Expected<Signal> Signal::open(Loop& loop, int signal) {
  const Result fd = loop.perform(op::watch_signal(signal));
  if (!fd) return std::unexpected(fd.error());
  return Signal(loop, static_cast<int>(*fd));
}

Signal& Signal::operator=(Signal&& other) noexcept {
  if (this != &other) {
    let_go();
    Handle::operator=(std::move(other));
  }
  return *this;
}

// Before the descriptor is closed: its number may soon be something else's.
void Signal::let_go() noexcept {
  if (is_open()) (void)perform(op::unwatch_signal(fd()));
}

}  // namespace wev
