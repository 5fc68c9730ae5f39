// Ending operations early.
#include <memory>

#include "rig/contract.hpp"
#include "sim/random.hpp"

namespace wev::test {

namespace {

// How a target may end when it is cancelled before anything could happen to it,
// and what the cancel then says.
void expect_agree(const Probe& target, const Probe& cancel) {
  ASSERT_EQ(target.calls(), 1u);
  ASSERT_EQ(cancel.calls(), 1u);
  if (!target.result() && target.result().error() == Errc::operation_canceled) {
    EXPECT_END(cancel, Result(0));
  } else {
    EXPECT_END(cancel, Errc::too_late);
  }
}

}  // namespace

TEST_P(Contract, ATimerIsCancelledBeforeAndAfterItsFirstTick) {
  Probe& adding = timer("adding", 1h);
  cancel(adding);
  EXPECT_EQ(adding.state(), Completion::State::deleting);
  EXPECT_EQ(adding.calls(), 0u);
  run();
  EXPECT_END(adding, Errc::operation_canceled);

  Probe& active = timer("active", 1h);
  look();
  EXPECT_EQ(active.state(), Completion::State::active);
  cancel(active);
  EXPECT_EQ(active.state(), Completion::State::deleting);
  run();
  EXPECT_END(active, Errc::operation_canceled);
}

TEST_P(Contract, ACancelIsCalledBackAfterItsTarget) {
  Probe& target = timer("target", 1h);
  look();
  Probe& c = probe("cancel");
  cancel(c, target);
  run();
  EXPECT_EQ(log(), "target cancel");
  EXPECT_END(c, Result(0));
}

TEST_P(Contract, ACancelBindsAtTheCallNotAtItsTick) {
  Probe& target = timer("target", 0ns);
  cancel(target);
  look();
  EXPECT_END(target, Errc::operation_canceled);
}

TEST_P(Contract, CancellingWhatIsDeadIsHarmlessAndTooLate) {
  Probe& never_added = probe("never added");
  cancel(never_added);
  Probe& finished = start("finished", op::noop());
  run();
  cancel(finished);
  Probe& c = probe("c");
  Probe& d = probe("d");
  cancel(c, never_added);
  cancel(d, finished);
  run();
  EXPECT_END(c, Errc::too_late);
  EXPECT_END(d, Errc::too_late);
  EXPECT_EQ(finished.calls(), 1u);
}

TEST_P(Contract, CancellingTwiceIsHarmlessAndBothAreTold) {
  Probe& target = timer("target", 1h);
  look();
  cancel(target);
  Probe& c = probe("c");
  Probe& d = probe("d");
  cancel(c, target);
  cancel(d, target);
  cancel(target);
  run();
  EXPECT_EQ(log(), "target c d");
  EXPECT_END(c, Result(0));
  EXPECT_END(d, Result(0));
}

TEST_P(Contract, CancellingWhatHasEndedButIsNotDeliveredIsTooLate) {
  Probe& c = probe("c");
  Probe& second = probe("second");
  Probe& first = probe("first", [&](Probe&) {
    cancel(c, second);
    return Action::disarm;
  });
  add(first, op::noop());
  add(second, op::noop());
  look();
  EXPECT_END(second, Result(0));
  run();
  EXPECT_EQ(log(), "first second c");
  EXPECT_END(c, Errc::too_late);
}

TEST_P(Contract, ADueTimerCanBeCancelledByTheOneBefore) {
  Probe& second = probe("second");
  Probe& first = probe("first", [&](Probe&) {
    cancel(second);
    return Action::disarm;
  });
  timer(first, 0ns);
  timer(second, 0ns);
  run();
  EXPECT_END(second, Errc::operation_canceled);
}

TEST_P(Contract, CancellingItselfInItsOwnCallbackIsHarmless) {
  Probe& p = probe("p", [this](Probe& self) {
    cancel(self);  // dead by now
    return self.calls() < 3 ? Action::rearm : Action::disarm;
  });
  timer(p, 1ms);
  run();
  EXPECT_EQ(p.calls(), 3u);
}

TEST_P(Contract, ACancelsTargetMayBeFreedByItsCallback) {
  struct Target {
    Completion completion;
    bool* ended;
  };
  bool ended = false;
  auto* target = new Target{{}, &ended};
  loop().add(target->completion, op::timer(1h), target,
             [](void* userdata, Loop&, Completion&, Result) {
               auto* self = static_cast<Target*>(userdata);
               *self->ended = true;
               delete self;
               return Action::disarm;
             });
  look();
  Probe& c = probe("c");
  c.lent = true;
  loop().cancel(c.completion, target->completion, &c,
                [](void* userdata, Loop&, Completion&, Result result) {
                  auto& p = *static_cast<Probe*>(userdata);
                  p.lent = false;
                  p.results.push_back(result);
                  return Action::disarm;
                });
  run();
  EXPECT_TRUE(ended);
  EXPECT_END(c, Result(0));
}

TEST_P(Contract, ACancelMayBeCancelledAndItsTargetStillEnds) {
  Probe& target = timer("target", 1h);
  look();
  Probe& c = probe("c");
  cancel(c, target);
  Probe& d = probe("d");
  cancel(d, c);
  run();
  EXPECT_END(target, Errc::operation_canceled);
  EXPECT_EQ(c.calls(), 1u);
  expect_agree(c, d);
}

TEST_P(Contract, ATargetRearmedAfterACancelThatCameTooLateIsUntouched) {
  Probe& p =
      probe("p", [](Probe& self) { return self.calls() < 2 ? Action::rearm : Action::disarm; });
  Probe& c = probe("c");
  Probe& first = probe("first", [&](Probe&) {
    cancel(c, p);
    return Action::disarm;
  });
  add(first, op::noop());
  add(p, op::noop());
  run();
  EXPECT_EQ(p.calls(), 2u);
  EXPECT_END(c, Errc::too_late);
}

TEST_P(Contract, RearmAfterOperationCanceledIsIgnored) {
  Probe& p = probe("p", [](Probe&) { return Action::rearm; });
  timer(p, 1h);
  look();
  cancel(p);
  run();
  EXPECT_EQ(p.calls(), 1u);
  EXPECT_EQ(p.state(), Completion::State::dead);
}

// Each operation, before its tick, in flight, and queued behind another ---------------

struct Cancellable {
  std::string name;
  Operation operation;
};

TEST_P(Contract, EveryWaitingOperationCanBeCancelledInEveryState) {
  auto& buffer = make_buffer<64>();
  Async& async = this->async();
  std::vector<Cancellable> all = {
      {"noop", op::noop()},
      {"timer", op::timer(1h)},
      {"timer_at", op::timer_at(loop().now() + 1h)},
      {"async_wait", op::async_wait(async)},
  };
  if (traits().no_pipes == nullptr) {
    all.push_back({"read", op::read(pipe().reader, buffer.bytes)});
  }
  if (traits().no_poll_readable == nullptr) {
    all.push_back({"poll_readable", op::poll_readable(pipe().reader)});
  }
  if (traits().no_full_pipes == nullptr) {
    const int full = pipe().writer;
    fill(full);
    all.push_back({"write", op::write(full, buffer.bytes)});
    if (traits().no_poll_writable == nullptr) {
      all.push_back({"poll_writable", op::poll_writable(full)});
    }
  }
  if (traits().no_sockets == nullptr) {
    const auto [first, second] = socket_pair();
    fill(second);
    all.push_back({"recv", op::recv(second, buffer.bytes)});
    all.push_back({"send", op::send(second, buffer.bytes)});
    all.push_back({"accept", op::accept(listen())});
  }
  for (const Cancellable& one : all) {
    SCOPED_TRACE(one.name);
    // Before its tick.
    Probe& adding = start(one.name, one.operation);
    Probe& cancel_adding = probe("cancel");
    cancel(cancel_adding, adding);
    EXPECT_EQ(adding.state(), Completion::State::deleting);
    run();
    EXPECT_END(adding, Errc::operation_canceled);
    EXPECT_END(cancel_adding, Result(0));
    if (one.name == "noop") continue;

    // In flight, with another of its kind behind it.
    Probe& active = start(one.name, one.operation);
    Probe& queued = start(one.name, one.operation);
    look();
    look();
    ASSERT_EQ(active.state(), Completion::State::active);
    ASSERT_EQ(queued.state(), Completion::State::active);
    Probe& cancel_queued = probe("cancel");
    cancel(cancel_queued, queued);
    run_until([&] { return cancel_queued.calls() > 0; });
    EXPECT_END(queued, Errc::operation_canceled);
    EXPECT_END(cancel_queued, Result(0));
    EXPECT_EQ(active.calls(), 0u) << "the cancel of one disturbed the other";
    Probe& cancel_active = probe("cancel");
    cancel(cancel_active, active);
    run_until([&] { return cancel_active.calls() > 0; });
    EXPECT_END(active, Errc::operation_canceled);
    expect_agree(active, cancel_active);
  }
}

TEST_P(Contract, OperationsThatEndAtOnceAgreeWithTheirCancel) {
  NEEDS(files);
  auto& buffer = make_buffer<8>();
  const int fd = file("12345678");
  for (const Operation& operation :
       {op::read(fd, buffer.bytes), op::pread(fd, buffer.bytes, 0), op::fsync(fd),
        op::pwrite(fd, bytes_of("x"), 0), op::write(fd, bytes_of("y"))}) {
    Probe& adding = start("adding", operation);
    Probe& c = probe("c");
    cancel(c, adding);
    run();
    EXPECT_END(adding, Errc::operation_canceled);  // nothing had begun
    EXPECT_END(c, Result(0));

    Probe& active = start("active", operation);
    Probe& d = probe("d");
    Probe& canceller = probe({}, [&](Probe&) {
      cancel(d, active);
      return Action::disarm;
    });
    add(canceller, op::noop());
    run();
    expect_agree(active, d);
  }
}

TEST_P(Contract, CancellingTheFirstInAQueueGivesTheNextItsTurn) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  auto& first = make_buffer<4>();
  auto& second = make_buffer<4>();
  Probe& a = start("a", op::read(reader, first.bytes));
  Probe& b = start("b", op::read(reader, second.bytes));
  look();
  cancel(a);
  EXPECT_EQ(rig().write(writer, "data"), Result(4));
  run_until([&] { return a.calls() > 0; });
  EXPECT_EQ(rig().close(writer), Result(0));
  run();
  // a may have got them, if it was too late for it.
  std::string received;
  if (a.result()) received += first.text(*a.result());
  ASSERT_TRUE(b.result());
  received += second.text(*b.result());
  EXPECT_EQ(received + rig().read_all(reader), "data");
}

// In flight, behind that, added and not started: all but what comes later, and what is elsewhere.
TEST_P(Contract, AllThatIsOnADescriptorIsCancelledAtOnce) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  const auto [other, other_writer] = pipe();
  (void)other_writer;
  auto& buffer = make_buffer<4>();
  auto& later = make_buffer<4>();
  Probe& front = start("front", op::read(reader, buffer.bytes));
  Probe& behind = start("behind", op::read(reader, buffer.bytes));
  Probe& elsewhere = start("elsewhere", op::read(other, buffer.bytes));
  look();
  Probe& added = start("added", op::read(reader, buffer.bytes), loop().now() + 1h);
  loop().cancel_all(reader);
  Probe& after = start("after", op::read(reader, later.bytes));
  run_until([&] { return added.calls() > 0 && front.calls() > 0 && behind.calls() > 0; });
  for (const Probe* canceled : {&front, &behind, &added}) {
    EXPECT_END(*canceled, Errc::operation_canceled);
  }
  EXPECT_EQ(rig().write(writer, "data"), Result(4));
  run_until([&] { return after.calls() > 0; });
  const std::size_t count = after.result().value_or(0);
  EXPECT_GT(count, 0u);
  EXPECT_EQ(later.text(count), std::string_view("data").substr(0, count));
  EXPECT_EQ(elsewhere.calls(), 0u);
  loop().cancel_all(other);
  run();
  EXPECT_END(elsewhere, Errc::operation_canceled);
  loop().cancel_all(reader);  // on which nothing is
  loop().cancel_all(-1);
  loop().cancel_all(1'000'000);
}

TEST_P(Contract, AReadThatWasAddedAfterAllWasCancelledEndsAsAny) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<4>();
  Probe& first = start("first", op::read(reader, buffer.bytes));
  look();
  for (int i = 0; i < 3; ++i) loop().cancel_all(reader);
  Probe& second = start("second", op::read(reader, buffer.bytes));
  Probe& third = start("third", op::read(reader, buffer.bytes));
  run_until([&] { return first.calls() > 0; });
  EXPECT_END(first, Errc::operation_canceled);
  look();
  EXPECT_EQ(rig().write(writer, "ab"), Result(2));
  run_until([&] { return second.calls() > 0; });
  EXPECT_GT(second.result().value_or(0), 0u);
  loop().cancel_all(reader);
  run();
  EXPECT_EQ(third.calls(), 1u);
}

// What is known of it is forgotten, and its number is the next one's.
TEST_P(Contract, ADescriptorIsForgottenWithWhatWasCancelledBeforeItStarted) {
  NEEDS(pipes);
  for (int i = 0; i < 3; ++i) {
    const auto [reader, writer] = rig().pipe();
    auto& buffer = make_buffer<4>();
    Probe& used = start("used", op::read(reader, buffer.bytes));
    EXPECT_EQ(rig().write(writer, "x"), Result(1));
    run();
    EXPECT_END(used, Result(1));
    Probe& canceled = start("canceled", op::read(reader, buffer.bytes));
    EXPECT_FALSE(loop().forget(reader));
    cancel(canceled);
    run();
    EXPECT_END(canceled, Errc::operation_canceled);
    EXPECT_TRUE(loop().forget(reader));
    EXPECT_EQ(rig().close(reader), Result(0));
    EXPECT_EQ(rig().close(writer), Result(0));
  }
}

// Whoever has the number next is not read from.
TEST_P(Contract, WhatIsAddedBeforeACloseIsDeliveredIsNotCarriedOut) {
  NEEDS(pipes);
  const auto [reader, writer] = rig().pipe();
  owned(writer);
  auto& buffer = make_buffer<4>();
  Probe& after = probe("after");
  Probe& read = probe("read", [&](Probe&) {
    add(after, op::read(reader, buffer.bytes));
    return Action::disarm;
  });
  add(read, op::read(reader, buffer.bytes));
  look();
  Pair next;
  Probe& close = probe("close", [&](Probe&) {
    next = pipe();
    EXPECT_EQ(rig().write(next.writer, "mine"), Result(4));
    return Action::disarm;
  });
  add(close, op::close(reader));
  run();
  EXPECT_END(read, Errc::operation_canceled);
  EXPECT_END(close, Result(0));
  EXPECT_END(after, std::errc::bad_file_descriptor);
  EXPECT_EQ(rig().read_all(next.reader), "mine");
}

TEST_P(Contract, ADrainWaitsForACloseThatHasADeadline) {
  NEEDS(pipes);
  const auto [reader, writer] = rig().pipe();
  owned(writer);
  Probe& close = start("close", op::close(reader), loop().now() + 1h);
  EXPECT_TRUE(loop().drain());
  EXPECT_END(close, Result(0));
}

TEST_P(Contract, CancellingAllOnADescriptorHasNoEffectOnItsClose) {
  NEEDS(pipes);
  const auto [reader, writer] = rig().pipe();
  owned(writer);
  auto& buffer = make_buffer<4>();
  Probe& read = start("read", op::read(reader, buffer.bytes));
  look();
  Probe& close = start("close", op::close(reader));
  loop().cancel_all(reader);
  run();
  EXPECT_END(read, Errc::operation_canceled);
  EXPECT_END(close, Result(0));
}

TEST_P(Contract, BytesAlreadyMovedWinOverTheCancel) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<4>();
  Probe& p = start("p", op::read(reader, buffer.bytes));
  look();
  EXPECT_EQ(rig().write(writer, "data"), Result(4));
  Probe& c = probe("c");
  cancel(c, p);
  run();
  expect_agree(p, c);
  std::string received;
  if (p.result()) received = buffer.text(*p.result());
  EXPECT_EQ(received + rig().read_all(reader), "data");
}

// Random programs --------------------------------------------------------------------------

// Reads, writes, cancels and deadlines at random: every byte that an operation
// says was moved is moved, once and in order.
TEST_P(Contract, NoByteIsLostOrDoubledWhateverIsCanceled) {
  NEEDS(full_pipes);
  Random random(traits().seed);
  SCOPED_TRACE("seed " + std::to_string(traits().seed));
  const auto [reader, writer] = pipe();
  auto& in = make_buffer<5000>();
  auto& out = make_buffer<5000>();
  std::size_t sent = 0;
  std::string received;
  const auto byte = [](std::size_t i) { return static_cast<char>('a' + (i * 7 + i / 26) % 26); };
  const auto deadline = [&] {
    return random.one_in(3) ? loop().now() + std::chrono::microseconds(random.below(300)) : never;
  };
  Probe& w = probe({}, [&](Probe& self) {
    sent += self.result().value_or(0);
    return Action::disarm;
  });
  Probe& r = probe({}, [&](Probe& self) {
    received += in.text(self.result().value_or(0));
    return Action::disarm;
  });
  Probe& c = probe();
  for (int step = 0; step < 400; ++step) {
    if (!w.lent && !random.one_in(4)) {
      const std::size_t size = 1 + random.below(sizeof out.bytes);
      for (std::size_t i = 0; i < size; ++i) {
        out.bytes[i] = static_cast<std::byte>(byte(sent + i));
      }
      add(w, op::write(writer, std::span(out.bytes).first(size)), deadline());
    }
    if (!r.lent && !random.one_in(4)) {
      add(r, op::read(reader, std::span(in.bytes).first(1 + random.below(sizeof in.bytes))),
          deadline());
    }
    if (random.one_in(3)) cancel(random.one_in(2) ? w : r);
    if (!c.lent && random.one_in(5)) cancel(c, random.one_in(2) ? w : r);
    look();
    if (random.one_in(3)) cancel(random.one_in(2) ? w : r);
    if (random.one_in(4)) loop().cancel_all(random.one_in(2) ? writer : reader);
    if (random.one_in(2)) look();
  }
  cancel(w);
  cancel(r);
  run();
  received += rig().read_all(reader);
  ASSERT_EQ(received.size(), sent);
  for (std::size_t i = 0; i < sent; ++i) ASSERT_EQ(received[i], byte(i)) << "at " << i;
}

// Cancels of one target, some of which are cancelled themselves.
TEST_P(Contract, ManyCancelsOfOneTargetAreAnsweredInTheirOrder) {
  Probe& target = timer("target", 1h);
  std::vector<Probe*> cancels;
  for (int i = 0; i < 6; ++i) {
    cancels.push_back(&probe(std::to_string(i)));
    cancel(*cancels.back(), target);
  }
  cancel(*cancels[0]);
  cancel(*cancels[3]);
  cancel(*cancels[5]);
  run();
  EXPECT_END(target, Errc::operation_canceled);
  for (const std::size_t i : {0u, 3u, 5u}) EXPECT_END(*cancels[i], Errc::operation_canceled);
  for (const std::size_t i : {1u, 2u, 4u}) EXPECT_END(*cancels[i], Result(0));
  const std::string all = log();
  EXPECT_LT(all.find('1'), all.find('2'));
  EXPECT_LT(all.find('2'), all.find('4'));
}

TEST_P(Contract, DrainGivesUpOnCallbacksThatBeginAgainAndAgain) {
  bool again = true;
  Probe& endless = probe({}, [&](Probe& self) {
    if (again) timer(self, 1h);
    return Action::disarm;
  });
  timer(endless, 1h);
  EXPECT_EQ(loop().drain(), Expected<void>(std::unexpected(Errc::never_drained)));
  again = false;
  EXPECT_TRUE(loop().drain());
  EXPECT_EQ(loop().active(), 0u);
}

}  // namespace wev::test
