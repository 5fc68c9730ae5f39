// What a driver is told: when the next tick is due, and that it is due sooner.
#include <atomic>
#include <thread>

#include "rig/contract.hpp"
#include "support/threads.hpp"

namespace wev::test {

namespace {

// In place of the rig's own driver, if it has one.
class Told {
 public:
  explicit Told(Loop& loop) : loop_(loop) {
    loop_.set_driver(nullptr, nullptr);
    loop_.set_driver([](void* calls) noexcept { ++*static_cast<std::atomic<int>*>(calls); },
                     calls_.get());
  }
  ~Told() { loop_.set_driver(nullptr, nullptr); }
  Told(const Told&) = delete;
  Told& operator=(const Told&) = delete;

  /// Since the last time this was asked.
  int calls() { return calls_->exchange(0); }

 private:
  Loop& loop_;
  // Not inside, so that sanitizers notice who calls too late.
  std::unique_ptr<std::atomic<int>> calls_ = std::make_unique<std::atomic<int>>(0);
};

}  // namespace

// When the next tick is due -----------------------------------------------------------------

TEST_P(Contract, TheNextDeadlineIsThatOfTheFirstTimer) {
  EXPECT_EQ(loop().next_deadline(), never);
  Probe& later = timer("later", 2h);
  Probe& sooner = timer("sooner", 1h);
  EXPECT_LE(loop().next_deadline(), loop().now()) << "it has not begun";
  look();
  EXPECT_EQ(loop().next_deadline(), sooner.completion.deadline());
  cancel(sooner);
  EXPECT_LE(loop().next_deadline(), loop().now()) << "it has ended";
  look();
  EXPECT_EQ(loop().next_deadline(), later.completion.deadline());
  EXPECT_TRUE(reset(later, 3h));
  EXPECT_EQ(loop().next_deadline(), later.completion.deadline());
  cancel(later);
  look();
  EXPECT_EQ(loop().next_deadline(), never);
}

TEST_P(Contract, TheNextDeadlineIsInThePastWhereSomethingWasNotifiedOrPosted) {
  Async& async = this->async();
  notify(async);
  EXPECT_LE(loop().next_deadline(), loop().now());
  look();  // it is remembered
  EXPECT_EQ(loop().next_deadline(), never);
  start("waiting", op::async_wait(async));
  look();
  EXPECT_EQ(log(), "waiting");
  EXPECT_EQ(loop().next_deadline(), never);
  Probe& posted = probe("posted");
  post(posted);
  EXPECT_LE(loop().next_deadline(), loop().now());
  EXPECT_FALSE(loop().done());
  look();
  EXPECT_TRUE(loop().done());
  EXPECT_EQ(loop().next_deadline(), never);
}

TEST_P(Contract, TheNextDeadlineIsInThePastWhereACallbackHasAddedSomething) {
  Probe& again = probe(
      "again", [](Probe& self) { return self.calls() == 1 ? Action::rearm : Action::disarm; });
  add(again, op::noop());
  look();
  EXPECT_LE(loop().next_deadline(), loop().now());
  look();
  EXPECT_EQ(loop().next_deadline(), never);
  EXPECT_EQ(again.calls(), 2u);
}

// A host works out how long to sleep, and later asks again whether that has passed.
TEST_P(Contract, TheNextDeadlineDoesNotMoveWhileNothingHappens) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<8>();
  Probe& reading = start("reading", op::read(reader, buffer.bytes));
  look();
  EXPECT_NE(loop().next_deadline(), Instant());
  const Instant first = loop().next_deadline();
  rig().busy(loop(), 2ms);
  EXPECT_EQ(loop().next_deadline(), first);
  EXPECT_EQ(rig().write(writer, "x"), Result(1));
  run();
  EXPECT_END(reading, Result(1));
}

// A loop that is turned by hand.
TEST_P(Contract, AStoppedLoopCallsNobodyUntilItIsRestarted) {
  Probe& waiting = start("waiting", op::noop());
  EXPECT_FALSE(loop().stopped());
  loop().stop();
  EXPECT_TRUE(loop().stopped());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(loop().tick(RunMode::no_wait), std::size_t{0});
  EXPECT_EQ(waiting.calls(), 0u);
  EXPECT_TRUE(loop().stopped());
  loop().restart();
  EXPECT_FALSE(loop().stopped());
  EXPECT_EQ(loop().tick(RunMode::no_wait), std::size_t{1});
  EXPECT_EQ(waiting.calls(), 1u);
}

// That it is due sooner ---------------------------------------------------------------------

TEST_P(Contract, ADriverIsToldOnceBetweenTwoTicks) {
  Told told(loop());
  Probe& t = timer("t", 1h);
  timer("u", 1h);
  EXPECT_EQ(told.calls(), 1);
  Probe& inner = probe("inner");
  Probe& outer = probe("outer", [&](Probe&) {
    add(inner, op::noop());
    return Action::disarm;
  });
  add(outer, op::noop());
  look();
  EXPECT_EQ(told.calls(), 0) << "it is told before a tick only, not in one";
  look();
  EXPECT_EQ(log(), "outer inner");
  EXPECT_EQ(told.calls(), 0);
  EXPECT_TRUE(reset(t, 2h));
  EXPECT_TRUE(reset(t, 3h));
  EXPECT_EQ(told.calls(), 1);
  look();
  cancel(t);
  EXPECT_EQ(told.calls(), 1);
}

TEST_P(Contract, ADriverIsToldOfANotificationAndOfAPost) {
  Async& async = this->async();
  Probe& posted = probe("posted");
  Told told(loop());
  notify(async);
  notify(async);
  EXPECT_EQ(told.calls(), 1);
  look();
  post(posted);
  EXPECT_EQ(told.calls(), 1);
  look();
  EXPECT_EQ(told.calls(), 0);
  EXPECT_EQ(log(), "posted");
}

// Some backends hand a cancel to the system in their next tick.
TEST_P(Contract, ADriverIsToldOfACancelOfWhatIsInFlight) {
  NEEDS(pipes);
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<8>();
  Probe& reading = start("reading", op::read(reader, buffer.bytes));
  look();
  look();
  Told told(loop());
  cancel(reading);
  EXPECT_EQ(told.calls(), 1);
  run();
  EXPECT_END(reading, Errc::operation_canceled);
}

// The last tick may be long ago.
TEST_P(Contract, BetweenTheTicksOfADriverRelativeDeadlinesCountFromTheClock) {
  look();
  const Instant looked_at = loop().now();
  rig().busy(loop(), 20ms);
  {
    const Told told(loop());
    const Instant before = loop().backend().now();
    EXPECT_GE(loop().now(), before);
    Probe& t = timer("t", 1h);
    Probe& u = timer("u", 3h);
    EXPECT_TRUE(reset(u, 2h));
    EXPECT_GE(t.completion.deadline(), before + 1h);
    EXPECT_GE(u.completion.deadline(), before + 2h);
    cancel(t);
    cancel(u);
  }
  look();
  EXPECT_GE(loop().now(), looked_at + 20ms);
}

TEST_P(ContractWithThreads, ADriverIsToldByOtherThreads) {
  NEEDS(threads);
  Async& async = this->async();
  Probe& waiting = start("waiting", op::async_wait(async));
  Probe& posted = probe("posted");
  look();
  Told told(loop());
  spawn([&] { async.notify(); })();
  EXPECT_EQ(told.calls(), 1);
  EXPECT_LE(loop().next_deadline(), loop().now());
  look();
  EXPECT_END(waiting, Result(0));
  spawn([&] { post(posted); })();
  EXPECT_EQ(told.calls(), 1);
  look();
  EXPECT_EQ(log(), "waiting posted");
}

// The thread that tells it may still be inside of the call by then.
TEST_P(ContractWithThreads, ADriverMayGoWhenTheLastNotificationHasBeenDelivered) {
  NEEDS(threads);
  for (int i = 0; i < 200; ++i) {
    Async& async = this->async();
    bool delivered = false;
    Probe& waiting = probe({}, [&](Probe&) {
      delivered = true;
      return Action::disarm;
    });
    add(waiting, op::async_wait(async));
    Joiner join;
    {
      const Told told(loop());
      join = spawn([&async] { async.notify(); });
      while (!delivered) look();
    }
    join();
  }
}

}  // namespace wev::test
