// Who owns a completion, and when.
#include <array>
#include <memory>

#include "rig/contract.hpp"
#include "wev/loop/lent.hpp"

namespace wev::test {

TEST_P(Contract, StatesFollowTheLifeOfACompletion) {
  Completion::State in_callback{};
  Probe& p = probe("p", [&](Probe& self) {
    in_callback = self.state();
    return Action::disarm;
  });
  EXPECT_EQ(p.state(), Completion::State::dead);
  timer(p, 1ms);
  EXPECT_EQ(p.state(), Completion::State::adding);
  run(RunMode::no_wait);
  EXPECT_EQ(p.state(), p.calls() == 0 ? Completion::State::active : Completion::State::dead);
  run();
  EXPECT_EQ(in_callback, Completion::State::dead);
  EXPECT_EQ(p.state(), Completion::State::dead);
}

TEST_P(Contract, ACallbackMayFreeItsCompletion) {
  struct Owned {
    Completion completion;
    int* count;
  };
  int count = 0;
  for (int i = 0; i < 10; ++i) {
    auto* owned = new Owned{{}, &count};
    loop().add(owned->completion, i % 2 == 0 ? op::noop() : op::timer(1ms), owned,
               [](void* userdata, Loop&, Completion&, Result) {
                 auto* self = static_cast<Owned*>(userdata);
                 ++*self->count;
                 delete self;
                 return Action::disarm;
               });
  }
  run();
  EXPECT_EQ(count, 10);
}

TEST_P(Contract, ACallbackMayUseItsCompletionAgain) {
  Probe& p = probe("p", [this](Probe& self) {
    if (self.calls() == 1) timer(self, 1ms);
    if (self.calls() == 2) add(self, op::noop());
    return Action::disarm;
  });
  add(p, op::noop());
  run();
  EXPECT_EQ(p.calls(), 3u);
}

TEST_P(Contract, ACallbackMayAddItsCompletionToAnotherLoop) {
  const auto other = rig().loop();
  struct State {
    Loop* other;
    int calls = 0;
  } state{other.get()};
  Completion completion;
  loop().add(completion, op::noop(), &state, [](void* userdata, Loop&, Completion& self, Result) {
    auto& s = *static_cast<State*>(userdata);
    ++s.calls;
    s.other->add(self, op::noop(), &s, [](void* data, Loop& loop, Completion&, Result) {
      auto& same = *static_cast<State*>(data);
      EXPECT_EQ(&loop, same.other);
      ++same.calls;
      return Action::disarm;
    });
    return Action::disarm;
  });
  run();
  EXPECT_EQ(state.calls, 1);
  EXPECT_TRUE(rig().run(*other));
  EXPECT_EQ(state.calls, 2);
}

TEST_P(Contract, RearmAddsTheSameOperationAgain) {
  Probe& p =
      probe("p", [](Probe& self) { return self.calls() < 5 ? Action::rearm : Action::disarm; });
  add(p, op::noop());
  run();
  EXPECT_EQ(p.calls(), 5u);
}

TEST_P(Contract, ARearmedReadReadsOn) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<3>();
  std::string received;
  Probe& p = probe("p", [&](Probe& self) {
    if (!self.result() || *self.result() == 0) return Action::disarm;
    received += buffer.text(*self.result());
    return Action::rearm;
  });
  add(p, op::read(reader, buffer.bytes));
  look();
  EXPECT_EQ(rig().write(writer, "hello, "), Result(7));
  run_until([&] { return received == "hello, "; });
  EXPECT_EQ(rig().write(writer, "world"), Result(5));
  EXPECT_EQ(rig().close(writer), Result(0));
  run();
  EXPECT_EQ(received, "hello, world");
  EXPECT_END(p, Result(0));
}

// What a callback cancels, adds and stops leaves the others of its batch alone.
TEST_P(Contract, CallbacksMayChangeEverythingAroundThem) {
  std::array<Probe*, 6> probes{};
  for (std::size_t i = 0; i < probes.size(); ++i) probes[i] = &probe(std::string(1, "abcdef"[i]));
  Probe& late = probe("late");
  probes[1]->then = [&](Probe&) {
    cancel(*probes[0]);  // dead
    cancel(*probes[2]);  // ended, not yet delivered
    cancel(*probes[5]);  // an hour away
    add(late, op::noop());
    loop().stop();
    return Action::disarm;
  };
  for (std::size_t i = 0; i < 5; ++i) add(*probes[i], op::noop());
  timer(*probes[5], 1h);
  run();
  EXPECT_EQ(log(), "a b c d e");
  run();
  EXPECT_EQ(log(), "a b c d e f late");
  EXPECT_END(*probes[5], Errc::operation_canceled);
}

// Wherever it stands.
TEST_P(Contract, AllThatIsLentIsFound) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  (void)writer;
  auto& buffer = make_buffer<4>();
  const auto found = [&] {
    std::vector<std::string> all;
    loop().for_each_lent([&](const Completion& completion) {
      all.emplace_back(name_of(completion.operation().kind()));
    });
    EXPECT_EQ(all.size(), loop().lent());
    std::ranges::sort(all);
    std::string text;
    for (const std::string& name : all) text += name + ' ';
    return text;
  };
  EXPECT_EQ(found(), "");
  start("read", op::read(reader, buffer.bytes), loop().now() + 1h);
  start("behind", op::read(reader, buffer.bytes));
  Probe& timed = timer("timer", 1h);
  start("wait", op::async_wait(async()));
  EXPECT_EQ(found(), "async_wait read read timer ");
  look();
  EXPECT_EQ(found(), "async_wait read read timer ");
  Probe& added = start("added", op::read(reader, buffer.bytes));
  loop().unref(added.completion);
  Probe& inside = start("inside", op::noop());
  Probe& ended = start("ended", op::noop());
  inside.then = [&](Probe&) {
    EXPECT_EQ(found(), "async_wait noop read read read timer ");
    EXPECT_TRUE(ended.completion.has_ended());
    return Action::disarm;
  };
  EXPECT_EQ(found(), "async_wait noop noop read read read timer ");
  look();
  EXPECT_EQ(inside.calls(), 1u);
  Probe& c = probe("cancel");
  Probe& d = probe("cancel of the cancel");
  Probe& e = probe("another");
  cancel(c, timed);
  cancel(e, timed);
  cancel(d, c);
  EXPECT_EQ(found(), "async_wait cancel cancel cancel read read read timer ");
  EXPECT_EQ(loop().active(), loop().lent() - 1);
  Probe& posted = probe("posted");
  Probe& of_posted = probe("its cancel");
  post(posted);
  cancel(of_posted, posted);
  EXPECT_EQ(found(), "async_wait cancel cancel cancel cancel noop read read read timer ");
  EXPECT_TRUE(loop().drain());
  EXPECT_EQ(found(), "");
}

}  // namespace wev::test
