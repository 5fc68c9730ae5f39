#include "rig/contract.hpp"

#include <algorithm>

namespace wev::test {

void Contract::SetUp() {
  rig_ = GetParam().make();
  loop_ = rig_->loop();
}

void Contract::TearDown() {
  if (loop_ != nullptr) {
    draining_ = true;
    const auto drained = loop_->drain();
    EXPECT_TRUE(drained) << describe(drained ? Result(0)
                                             : Result(std::unexpected(drained.error())));
    EXPECT_EQ(loop_->active(), 0u);
  }
  for (Async& async : asyncs_) loop_->detach(async);
  for (const Probe& probe : probes_) {
    EXPECT_FALSE(probe.lent) << "no callback for the last add() of '" << probe.name << "'";
  }
  loop_.reset();
  for (const int fd : descriptors_) (void)rig_->close(fd);  // those that are still open
  rig_->check();
}

Probe& Contract::probe(std::string name, std::function<Action(Probe&)> then) {
  Probe& probe = probes_.emplace_back(*this, std::move(name));
  probe.then = std::move(then);
  return probe;
}

// Nothing is called back while the program is inside a call to the loop.
template <class F>
auto Contract::inside_call(F f) {
  struct Guard {
    bool& inside;
    bool before;
    ~Guard() { inside = before; }
  } guard{inside_, inside_};
  inside_ = true;
  return f();
}

void Contract::add(Probe& probe, const Operation& operation, Instant deadline) {
  probe.lent = true;
  inside_call([&] { loop_->add(probe.completion, operation, &probe, on_end, deadline); });
}

Probe& Contract::timer(std::string name, Duration delay) {
  return start(std::move(name), op::timer(delay));
}

void Contract::cancel(Probe& target) {
  inside_call([&] { loop_->cancel(target.completion); });
}

void Contract::cancel(Probe& probe, Probe& target) {
  probe.lent = true;
  inside_call([&] { loop_->cancel(probe.completion, target.completion, &probe, on_end); });
}

void Contract::post(Probe& probe) {
  probe.lent = true;
  inside_call([&] { loop_->post(probe.completion, &probe, on_end); });
}

bool Contract::reset(Probe& probe, Duration delay) {
  probe.lent = true;
  return inside_call([&] { return loop_->timer_reset(probe.completion, delay, &probe, on_end); });
}

void Contract::notify(Async& async) {
  inside_call([&] { async.notify(); });
}

void Contract::complete(const Ticket& ticket, Result result) {
  inside_call([&] { ticket.complete(result); });
}

Probe& Contract::start(std::string name, const Operation& operation, Instant deadline) {
  Probe& started = probe(std::move(name));
  add(started, operation, deadline);
  return started;
}

Action Contract::on_end(void* userdata, Loop& loop, Completion& completion, Result result) {
  Probe& probe = *static_cast<Probe*>(userdata);
  Contract& test = probe.test;
  EXPECT_FALSE(test.inside_) << "'" << probe.name << "' was called back from inside a call";
  EXPECT_TRUE(probe.lent) << "'" << probe.name << "' was called back twice for one add()";
  EXPECT_EQ(completion.state(), Completion::State::dead);
  EXPECT_EQ(&completion, &probe.completion);
  EXPECT_EQ(&loop, test.loop_.get());
  test.count_lent();
  probe.lent = false;
  probe.results.push_back(result);
  if (!probe.name.empty()) {
    if (!test.log_.empty()) test.log_ += ' ';
    test.log_ += probe.name;
  }
  if (!probe.then) return Action::disarm;
  const Action action = probe.then(probe);
  const Error why = result ? probe.completion.cut_short_by().value_or(std::errc{}) : result.error();
  const bool canceled = why == Errc::operation_canceled;
  if (action == Action::rearm && !canceled && !test.draining_) probe.lent = true;
  return action;
}

// It costs what is lent, for each callback.
void Contract::count_lent() {
  if (loop_->lent() > 100) return;
  std::size_t count = 0;
  loop_->for_each_lent([&count](const Completion&) { ++count; });
  EXPECT_EQ(count, loop_->lent());
}

void Contract::run(RunMode mode) {
  const auto outcome = rig_->run(*loop_, mode);
  EXPECT_TRUE(outcome) << describe(outcome ? Result(0) : Result(std::unexpected(outcome.error())));
}

void Contract::look() {
  const auto called = loop_->tick(RunMode::no_wait);
  EXPECT_TRUE(called) << describe(called);
}

void Contract::run_until(const std::function<bool()>& done) {
  for (int ticks = 0; !done(); ++ticks) {
    ASSERT_LT(ticks, 100'000) << "it does not come";
    const auto called = rig_->tick(*loop_);
    ASSERT_TRUE(called) << describe(called);
  }
}

Async& Contract::async() { return asyncs_.emplace_back(*loop_); }

int Contract::owned(int fd) {
  if (std::ranges::find(descriptors_, fd) == descriptors_.end()) descriptors_.push_back(fd);
  return fd;
}

Contract::Pair Contract::pipe() {
  const auto [reader, writer] = rig_->pipe();
  return {owned(reader), owned(writer)};
}

Contract::Pair Contract::socket_pair() {
  const auto [first, second] = rig_->socket_pair();
  return {owned(first), owned(second)};
}

int Contract::file(std::string_view contents) { return owned(rig_->file(contents)); }
int Contract::open(const char* path, std::uint32_t flags) {
  Probe& opened = start({}, op::open(op::working_directory, path, flags));
  run();
  EXPECT_TRUE(opened.result()) << describe(opened.result());
  return owned(static_cast<int>(opened.result().value_or(0)));
}
int Contract::listen() { return owned(rig_->listen()); }
int Contract::connect(int listener) { return owned(rig_->connect(listener)); }

std::string Contract::fill(int fd) {
  std::string held;
  for (char c = 'a';; c = c == 'z' ? 'a' : static_cast<char>(c + 1)) {
    const std::string chunk(4096, c);
    const Result written = rig_->write(fd, chunk);
    if (!written) break;
    held.append(chunk, 0, *written);
    if (*written < chunk.size()) break;
  }
  while (rig_->write(fd, "!").has_value()) held += '!';
  return held;
}

std::string describe(const Result& result) {
  if (result) return std::to_string(*result);
  static constexpr const char* domains[] = {"system error ", "native error ", "wev error ",
                                            "resolver error "};
  return domains[static_cast<int>(result.error().domain())] + std::to_string(result.error().code());
}

testing::AssertionResult ended_with(const Probe& probe, const Result& expected) {
  if (probe.results.empty()) {
    return testing::AssertionFailure() << "'" << probe.name << "' has not ended";
  }
  if (probe.result() == expected) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "'" << probe.name << "' ended with "
                                     << describe(probe.result()) << ", not " << describe(expected);
}

testing::AssertionResult has_fired(const Probe& timer) {
  if (timer.results.empty() || timer.result().value_or(0) == 0) return ended_with(timer, Result(1));
  return testing::AssertionSuccess();
}

}  // namespace wev::test
