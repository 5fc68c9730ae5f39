#include "wev/io/watcher.hpp"

#include <new>

namespace wev {

namespace {

constexpr Duration refused_interval = std::chrono::milliseconds(1);
constexpr std::size_t both = readable | writable;

bool is_lent(const Completion& completion) { return completion.state() != Completion::State::dead; }

std::size_t index_of(std::size_t bit) { return bit == readable ? 0 : 1; }

// A duplicate; or where there is none, `fd` itself.
Expected<int> duplicate(Loop& loop, int fd, bool& owned) {
  const Result made = loop.perform(op::duplicate(fd));
  owned = made.has_value();
  if (made) return static_cast<int>(*made);
  if (made.error() != std::errc::operation_not_supported) return std::unexpected(made.error());
  const auto known = op::poll_in_type.examine(fd, false, loop.backend().system());
  if (!known) return std::unexpected(known.error());
  return fd;
}

}  // namespace

Expected<Watcher> Watcher::open(Loop& loop, int fd) {
  // Systems have several words for it (Node 20).
  if (fd < 0) return std::unexpected(std::errc::bad_file_descriptor);
  Watcher watcher(new (std::nothrow) State);
  if (!watcher.is_open()) return std::unexpected(std::errc::not_enough_memory);
  State& state = *watcher.state_;
  state.loop = &loop;
  const auto watched = duplicate(loop, fd, state.owned);
  if (!watched) return std::unexpected(watched.error());
  state.fd = *watched;
  ++loop.handles_;
  return watcher;
}

Watcher& Watcher::operator=(Watcher&& other) noexcept {
  if (this != &other) {
    end();
    state_ = std::exchange(other.state_, nullptr);
  }
  return *this;
}

void Watcher::end() noexcept {
  State* state = std::exchange(state_, nullptr);
  if (state == nullptr) return;
  state->gone = true;
  if (state->fd >= 0) --state->loop->handles_;
  for (Side& side : state->sides) {
    state->loop->cancel(side.completion);
    if (is_lent(side.completion)) state->loop->orphan(side.completion);
  }
  if (state->owned) state->loop->discard(state->fd);
  state->end_if_idle();
}

void Watcher::want(std::size_t bits) {
  WEV_ASSERT((bits & ~both) == 0, "Watcher::want: that is not made of readable and writable");
  WEV_ASSERT(bits == 0 || state().callback, "Watcher::want: on_ready() comes first");
  state().wanted = bits;
  state().update();
}

void Watcher::refer(bool referenced) {
  state().referenced = referenced;
  state().update();
}

bool Watcher::State::idle() const noexcept {
  return !calling && !is_lent(sides[0].completion) && !is_lent(sides[1].completion);
}

void Watcher::State::end_if_idle() {
  if (!idle()) return;
  // What the loop knows of it is not true of the number's next owner.
  if (!owned && fd >= 0) (void)loop->forget(fd);
  delete this;
}

void Watcher::State::lend(std::size_t bit) {
  Side& side = sides[index_of(bit)];
  const bool in = bit == wev::readable;
  const Operation poll = in ? op::poll_readable(fd) : op::poll_writable(fd);
  loop->add(side.completion, side.refused ? op::timer(refused_interval) : poll, this,
            in ? on_in : on_out);
}

// A poll that is not wanted any more is left where it is and holds nothing open: it is
// often wanted again, and a cancel costs more.
void Watcher::State::update() {
  for (const std::size_t bit : {wev::readable, wev::writable}) {
    Completion& completion = sides[index_of(bit)].completion;
    const bool is_wanted = (wanted & bit) != 0;
    if (is_wanted && !is_lent(completion) && !calling) lend(bit);
    if (!is_lent(completion)) continue;
    is_wanted&& referenced ? loop->ref(completion) : loop->unref(completion);
  }
}

void Watcher::State::ended(std::size_t bit, Result result) {
  Side& side = sides[index_of(bit)];
  const bool told = std::exchange(side.told, false);
  if (gone) return end_if_idle();
  if (!result && result.error() == Errc::operation_canceled) {  // the loop drains
    wanted &= ~bit;
    return;
  }
  const bool has_paused = std::exchange(side.refused, !result.has_value() && !side.refused);
  if (!told && !has_paused && (wanted & bit) != 0) tell(bit);
  gone ? end_if_idle() : update();
}

// One call for both directions, where both polls have ended in this tick.
void Watcher::State::tell(std::size_t bit) {
  const std::size_t opposite = both & ~bit;
  Side& other = sides[index_of(opposite)];
  const bool canceled = other.completion.state() == Completion::State::deleting;
  other.told = other.completion.has_ended() && !canceled && !other.refused;
  if (other.told) bit |= opposite & wanted;
  calling = true;
  callback(bit);
  calling = false;
}

Action Watcher::State::on_in(void* self, Loop&, Completion&, Result result) {
  static_cast<State*>(self)->ended(wev::readable, result);
  return Action::disarm;
}

Action Watcher::State::on_out(void* self, Loop&, Completion&, Result result) {
  static_cast<State*>(self)->ended(wev::writable, result);
  return Action::disarm;
}

}  // namespace wev
