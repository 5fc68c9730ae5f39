#include "wev/io/timer.hpp"

namespace wev {

namespace {

bool is_lent(const Completion& completion) { return completion.state() != Completion::State::dead; }

}  // namespace

Timer::~Timer() {
  if (state_ == nullptr) return;
  stop();
  state_->timer = nullptr;
  if (is_lent(state_->completion)) {
    loop_->orphan(state_->completion);
  } else if (!state_->calling) {
    delete state_;
  }
}

Timer::State& Timer::state() {
  if (state_ == nullptr) {
    state_ = new State;
    state_->timer = this;
  }
  return *state_;
}

void Timer::start(Duration delay, bool repeats) {
  State& state = *state_;
  state.first = loop_->from_now(delay);
  state.period = repeats ? delay : Duration::zero();
  state.repeats = repeats;
  state.armed = true;
  state.referenced = true;
  if (!is_lent(state.completion)) return lend(*loop_, state);
  // One that is being cancelled stays as it is, and on_fired() sees the rest.
  if (loop_->timer_reset(state.completion, delay, &state, on_fired)) loop_->ref(state.completion);
}

void Timer::lend(Loop& loop, State& state) {
  loop.add(state.completion, op::timer_at(state.first, state.period), &state, on_fired);
  if (!state.referenced) loop.unref(state.completion);
}

void Timer::stop() noexcept {
  if (!armed()) return;
  state_->armed = false;
  state_->stopping = is_lent(state_->completion);
  loop_->cancel(state_->completion);
}

void Timer::unref() {
  WEV_ASSERT(armed(), "Timer::unref: it is not armed");
  state_->referenced = false;
  if (is_lent(state_->completion)) loop_->unref(state_->completion);
}

Action Timer::on_fired(void* self, Loop& loop, Completion& completion, Result result) {
  State& state = *static_cast<State*>(self);
  if (!result) {
    // Stopped by us, and perhaps armed again since; or drained with the loop.
    state.armed = state.armed && state.stopping;
    state.stopping = false;
    if (state.armed) {
      lend(loop, state);
    } else if (state.timer == nullptr) {
      delete &state;
    }
    return Action::disarm;
  }
  state.armed = state.repeats;
  state.calling = true;
  state.callback(state.repeats ? *result : 1);
  state.calling = false;
  if (state.timer == nullptr) {
    if (!is_lent(completion)) delete &state;
    return Action::disarm;
  }
  return state.armed && !is_lent(completion) ? Action::rearm : Action::disarm;
}

}  // namespace wev
