// A program's mistakes end it, and say which one it was.
#include "wev/base/assert.hpp"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include <sys/resource.h>

#include <gtest/gtest.h>

#include "wev/io/pipe.hpp"
#include "wev/io/watcher.hpp"
#include "wev/loop/loop.hpp"
#include "wev/sim/sim.hpp"
#include "wev/task/run.hpp"
#include "wev/task/sleep.hpp"
#include "wev/task/task_group.hpp"

namespace wev::test {

using namespace std::chrono_literals;

#if GTEST_HAS_DEATH_TEST

// The default handler's line: the mistake in words, then where it was noticed.
#define EXPECT_MISTAKE(statement, words) \
  EXPECT_DEATH(statement, "wev: " words " \\([a-z_]+\\.[ch]pp:[0-9]+\\)")

namespace {

Action ignore(void*, Loop&, Completion&, Result) { return Action::disarm; }

// Each statement runs in a process of its own, so nothing of this is used twice.
struct AssertDeathTest : testing::Test {
  // The completions outlive the loops: nobody but the statement makes mistakes.
  Completion completion;
  Completion other;
  Sim sim{{.moody = false}};
  std::unique_ptr<Loop> loop = std::make_unique<Loop>(sim);
  std::unique_ptr<Loop> another_loop = std::make_unique<Loop>(sim);
  std::byte buffer[8] = {};

  void add(Loop& to, Completion& it) { to.add(it, op::timer(1h), nullptr, ignore); }
  // Runs `callback` once, on `loop`.
  void call(Callback callback) {
    loop->add(completion, op::noop(), this, callback);
    (void)loop->run();
  }
};

}  // namespace

// Driving --------------------------------------------------------------------------

TEST_F(AssertDeathTest, DrivingWhatAnotherOneDrives) {
  const auto driver = [](void*) noexcept {};
  const auto two = [&] {
    loop->set_driver(driver, &sim);
    loop->set_driver(nullptr, nullptr);
    loop->set_driver(driver, &sim);
    loop->set_driver(driver, &buffer);
  };
  EXPECT_MISTAKE(two(), "Loop::set_driver: another one drives it already");
}

TEST_F(AssertDeathTest, FillingAReadBufferTwiceAtOnce) {
  const auto twice = [&] {
    const auto pipe = *Pipe::make(*loop);
    ReadBuffer lines(buffer);
    Request first;
    Request second;
    first.start(pipe.reader.read_line(lines), [](const auto&) {});
    second.start(pipe.reader.read_line(lines), [](const auto&) {});
  };
  EXPECT_MISTAKE(twice(), "Stream::read_until: another read fills the buffer already");
}

TEST_F(AssertDeathTest, TurningALoopByTwoThreads) {
  const auto by_two = [] {
    Sim woken_by_others({.moody = false, .threads = true});
    Loop shared(woken_by_others);
    Async never_notified(shared);
    Completion waiting;
    shared.add(waiting, op::async_wait(never_notified), nullptr, ignore);
    std::thread first([&shared] { (void)shared.run(); });
    while (!shared.running()) std::this_thread::yield();
    (void)shared.tick(RunMode::no_wait);
  };
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_MISTAKE(by_two(), "Loop: two threads turn it at once");
}

// Lending --------------------------------------------------------------------------

TEST_F(AssertDeathTest, AddingALentCompletionTwice) {
  const auto twice = [&] {
    add(*loop, completion);
    add(*loop, completion);
  };
  EXPECT_MISTAKE(twice(), "Loop::add: the completion is already lent to a loop");
}

TEST_F(AssertDeathTest, AddingALentCompletionToAnotherLoop) {
  const auto to_both = [&] {
    add(*loop, completion);
    (void)loop->tick(RunMode::no_wait);
    add(*another_loop, completion);
  };
  EXPECT_MISTAKE(to_both(), "Loop::add: the completion is already lent to a loop");
}

TEST_F(AssertDeathTest, AddingOneWhoseCancelIsOnItsWay) {
  const auto too_soon = [&] {
    add(*loop, completion);
    loop->cancel(completion);
    add(*loop, completion);
  };
  EXPECT_MISTAKE(too_soon(), "Loop::add: the completion is already lent to a loop");
}

TEST_F(AssertDeathTest, AddingACancelAsAnOperation) {
  const Operation cancel{.type = &op::cancel_type, .cancel = {&other, nullptr, nullptr}};
  EXPECT_MISTAKE(loop->add(completion, cancel, nullptr, ignore), "Loop::add: use Loop::cancel");
}

TEST_F(AssertDeathTest, LendingWithoutACallback) {
  constexpr const char* words = "Loop: a completion needs a callback";
  EXPECT_DEATH(loop->add(completion, op::noop(), nullptr, nullptr), words);
  EXPECT_DEATH(loop->timer(completion, 1ms, nullptr, nullptr), words);
  EXPECT_DEATH(loop->timer_reset(completion, 1ms, nullptr, nullptr), words);
  EXPECT_DEATH(loop->post(completion, nullptr, nullptr), words);
  EXPECT_DEATH(loop->cancel(completion, other, nullptr, nullptr), words);
}

// The same by the way that does not go through add().
TEST_F(AssertDeathTest, ResettingALentTimerToNoCallback) {
  const auto reset = [&] {
    add(*loop, completion);
    loop->timer_reset(completion, 1ms, nullptr, nullptr);
  };
  EXPECT_MISTAKE(reset(), "Loop: a completion needs a callback");
}

TEST_F(AssertDeathTest, PostingALentCompletion) {
  const auto lent = [&] {
    add(*loop, completion);
    loop->post(completion, nullptr, ignore);
  };
  EXPECT_MISTAKE(lent(), "Loop::post: the completion is already lent to a loop");
  const auto posted = [&] {
    loop->post(completion, nullptr, ignore);
    loop->post(completion, nullptr, ignore);
  };
  EXPECT_MISTAKE(posted(), "Loop::post: the completion is already lent to a loop");
}

TEST_F(AssertDeathTest, RearmingAfterAddingItAgainInTheCallback) {
  EXPECT_MISTAKE(call([](void*, Loop& its_loop, Completion& it, Result) {
                   its_loop.add(it, op::noop(), nullptr, ignore);
                   return Action::rearm;
                 }),
                 "rearm: the callback has already added the completion again");
}

TEST_F(AssertDeathTest, SettingTheDeadlineOfALentCompletion) {
  const auto lent = [&] {
    add(*loop, completion);
    completion.set_deadline(never);
  };
  EXPECT_MISTAKE(lent(), "set_deadline: the completion is lent");
}

// Timers, references and cancels ----------------------------------------------------

TEST_F(AssertDeathTest, ResettingWhatIsNoTimer) {
  const auto read = [&] {
    loop->add(completion, op::read(sim.pipe().first, buffer), nullptr, ignore);
    loop->timer_reset(completion, 1ms, nullptr, ignore);
  };
  EXPECT_MISTAKE(read(), "Loop::timer_reset: the completion is not a timer");
}

TEST_F(AssertDeathTest, ResettingAnotherLoopsTimer) {
  const auto elsewhere = [&] {
    add(*another_loop, completion);
    loop->timer_reset(completion, 1ms, nullptr, ignore);
  };
  EXPECT_MISTAKE(elsewhere(), "Loop::timer_reset: the timer is another loop's");
}

TEST_F(AssertDeathTest, ReferencingADeadCompletion) {
  EXPECT_MISTAKE(loop->unref(completion), "Loop::unref: the completion is not lent to this loop");
  EXPECT_MISTAKE(loop->ref(completion), "Loop::ref: the completion is not lent to this loop");
  const auto finished = [&] {
    call(ignore);
    loop->unref(completion);
  };
  EXPECT_MISTAKE(finished(), "Loop::unref: the completion is not lent to this loop");
}

TEST_F(AssertDeathTest, ReferencingAnotherLoopsCompletion) {
  const auto unref = [&] {
    add(*another_loop, completion);
    loop->unref(completion);
  };
  EXPECT_MISTAKE(unref(), "Loop::unref: the completion is not lent to this loop");
  const auto ref = [&] {
    add(*another_loop, completion);
    loop->ref(completion);
  };
  EXPECT_MISTAKE(ref(), "Loop::ref: the completion is not lent to this loop");
}

TEST_F(AssertDeathTest, CancellingAnotherLoopsCompletion) {
  const auto elsewhere = [&] {
    add(*another_loop, completion);
    loop->cancel(completion);
  };
  EXPECT_MISTAKE(elsewhere(), "Loop::cancel: the target is another loop's");
  const auto and_tell = [&] {
    add(*another_loop, completion);
    loop->cancel(other, completion, nullptr, ignore);
  };
  EXPECT_MISTAKE(and_tell(), "Loop::cancel: the target is another loop's");
}

TEST_F(AssertDeathTest, CancellingItself) {
  EXPECT_MISTAKE(loop->cancel(completion, completion, nullptr, ignore),
                 "Loop::cancel: a completion cannot cancel itself");
}

TEST_F(AssertDeathTest, CancellingWithALentCompletion) {
  const auto lent = [&] {
    add(*loop, completion);
    add(*loop, other);
    loop->cancel(completion, other, nullptr, ignore);
  };
  EXPECT_MISTAKE(lent(), "Loop::cancel: the cancel's completion is already lent to a loop");
}

// Lifetimes --------------------------------------------------------------------------

TEST_F(AssertDeathTest, FreeingALentCompletion) {
  const auto adding = [&] {
    Completion brief;
    add(*loop, brief);
  };
  EXPECT_MISTAKE(adding(), "~Completion: it is still lent to a loop");
  const auto active = [&] {
    Completion brief;
    add(*loop, brief);
    (void)loop->tick(RunMode::no_wait);
  };
  EXPECT_MISTAKE(active(), "~Completion: it is still lent to a loop");
  const auto deleting = [&] {
    Completion brief;
    add(*loop, brief);
    loop->cancel(brief);
  };
  EXPECT_MISTAKE(deleting(), "~Completion: it is still lent to a loop");
}

TEST_F(AssertDeathTest, FreeingALoopWithCompletionsLent) {
  constexpr const char* words = "~Loop: completions are still lent, drain\\(\\) first";
  const auto added = [&] {
    add(*loop, completion);
    loop.reset();
  };
  EXPECT_DEATH(added(), words);
  const auto unreferenced = [&] {
    add(*loop, completion);
    loop->unref(completion);
    loop.reset();
  };
  EXPECT_DEATH(unreferenced(), words);
  const auto posted = [&] {
    loop->post(completion, nullptr, ignore);
    loop.reset();
  };
  EXPECT_DEATH(posted(), words);
  const auto cancelling = [&] {
    loop->cancel(completion, other, nullptr, ignore);
    loop.reset();
  };
  EXPECT_DEATH(cancelling(), words);
}

TEST_F(AssertDeathTest, FreeingALoopInACallback) {
  EXPECT_MISTAKE(call([](void* userdata, Loop&, Completion&, Result) {
                   static_cast<AssertDeathTest*>(userdata)->loop.reset();
                   return Action::disarm;
                 }),
                 "~Loop: it is running");
}

TEST_F(AssertDeathTest, FreeingALoopWithAnAsyncAttached) {
  const auto attached = [&] {
    const Async async(*loop);
    loop.reset();
  };
  EXPECT_MISTAKE(attached(), "~Loop: an Async is still attached, detach\\(\\) it first");
}

TEST_F(AssertDeathTest, FreeingAnAttachedAsync) {
  const auto attached = [&] { const Async async(*loop); };
  EXPECT_MISTAKE(attached(), "~Async: not detached from its loop");
}

TEST_F(AssertDeathTest, WaitingForAnotherLoopsAsync) {
  const auto elsewhere = [&] {
    Async async(*another_loop);
    loop->add(completion, op::async_wait(async), nullptr, ignore);
    (void)loop->tick(RunMode::no_wait);
  };
  EXPECT_MISTAKE(elsewhere(), "op::async_wait: the Async is not attached to this loop");
}

TEST_F(AssertDeathTest, WaitingForADetachedAsync) {
  const auto detached = [&] {
    Async async(*loop);
    loop->detach(async);
    loop->add(completion, op::async_wait(async), nullptr, ignore);
    (void)loop->tick(RunMode::no_wait);
  };
  EXPECT_MISTAKE(detached(), "op::async_wait: the Async is not attached to this loop");
}

TEST_F(AssertDeathTest, DetachingAnAsyncFromAnotherLoopOrTwice) {
  const auto elsewhere = [&] {
    Async async(*another_loop);
    loop->detach(async);
  };
  EXPECT_MISTAKE(elsewhere(), "Loop::detach: the Async is not attached to this loop");
  const auto twice = [&] {
    Async async(*loop);
    loop->detach(async);
    loop->detach(async);
  };
  EXPECT_MISTAKE(twice(), "Loop::detach: the Async is not attached to this loop");
}

// Foreign operations -----------------------------------------------------------------

namespace {

void keep(void* ticket, Ticket given) noexcept { *static_cast<Ticket*>(ticket) = given; }
bool leaves(void*, Ticket) noexcept { return true; }

}  // namespace

TEST_F(AssertDeathTest, CompletingATicketTwice) {
  constexpr const char* words = "Ticket::complete: the operation has ended already";
  Ticket ticket;
  const auto begin = [&] {
    loop->add(completion, op::foreign(keep, leaves, &ticket), nullptr, ignore);
    (void)loop->tick(RunMode::no_wait);
  };
  const auto at_once = [&] {
    begin();
    ticket.complete(1);
    ticket.complete(1);
  };
  EXPECT_MISTAKE(at_once(), "Ticket::complete: the operation has ended already");
  const auto later = [&] {
    begin();
    ticket.complete(1);
    (void)loop->run();
    ticket.complete(1);
  };
  EXPECT_DEATH(later(), words);
  const auto in_the_start = [&] {
    const auto start = [](void*, Ticket given) noexcept {
      given.complete(1);
      given.complete(1);
    };
    loop->add(completion, op::foreign(start, nullptr, nullptr), nullptr, ignore);
    (void)loop->tick(RunMode::no_wait);
  };
  EXPECT_DEATH(in_the_start(), words);
  // Another operation is where that one was.
  const auto late = [&] {
    begin();
    const Ticket first = ticket;
    ticket.complete(1);
    (void)loop->run();
    begin();
    first.complete(1);
  };
  EXPECT_DEATH(late(), words);
}

TEST_F(AssertDeathTest, CompletingWhatHasLeft) {
  constexpr const char* words = "Ticket::complete: the operation has ended already";
  Ticket ticket;
  const auto begin = [&](Instant deadline) {
    loop->add(completion, op::foreign(keep, leaves, &ticket), nullptr, ignore, deadline);
    (void)loop->tick(RunMode::no_wait);
  };
  const auto canceled = [&] {
    begin(never);
    loop->cancel(completion);
    ticket.complete(1);
  };
  EXPECT_DEATH(canceled(), words);
  const auto expired = [&] {
    begin(loop->now());
    ticket.complete(1);
  };
  EXPECT_DEATH(expired(), words);
  const auto drained = [&] {
    begin(never);
    (void)loop->drain();
    ticket.complete(1);
  };
  EXPECT_DEATH(drained(), words);
}

TEST_F(AssertDeathTest, CompletingWhatWasALoopsOrACompletionsThatAreGone) {
  const auto late = [&] {
    Ticket ticket;
    {
      Sim brief;
      Loop gone(brief);
      auto freed = std::make_unique<Completion>();
      gone.add(*freed, op::foreign(keep, leaves, &ticket), nullptr, ignore);
      (void)gone.tick(RunMode::no_wait);
      (void)gone.drain();
    }
    ticket.complete(1);
  };
  EXPECT_MISTAKE(late(), "Ticket::complete: the operation has ended already");
}

TEST_F(AssertDeathTest, CompletingATicketOfNothing) {
  EXPECT_MISTAKE(Ticket().complete(1), "Ticket::complete: the ticket is of no operation");
}

TEST_F(AssertDeathTest, PerformingAForeignOperation) {
  Ticket ticket;
  EXPECT_MISTAKE((void)loop->perform(op::foreign(keep, leaves, &ticket)),
                 "Loop::perform: the operation is the loop's own");
}

TEST_F(AssertDeathTest, FreeingALoopWithAForeignOperationUnderWay) {
  Ticket ticket;
  const auto under_way = [&] {
    loop->add(completion, op::foreign(keep, leaves, &ticket), nullptr, ignore);
    (void)loop->tick(RunMode::no_wait);
    loop.reset();
  };
  EXPECT_MISTAKE(under_way(), "~Loop: completions are still lent, drain\\(\\) first");
}

// Watchers -----------------------------------------------------------------------------

TEST_F(AssertDeathTest, UsingAWatcherThatIsNotOpen) {
  Watcher watcher;
  EXPECT_MISTAKE(watcher.want(readable), "Watcher: it is not open");
  EXPECT_MISTAKE(watcher.on_ready([](std::size_t) {}), "Watcher: it is not open");
  EXPECT_MISTAKE(watcher.unref(), "Watcher: it is not open");
  EXPECT_MISTAKE((void)watcher.readable(), "Watcher: it is not open");
}

TEST_F(AssertDeathTest, WantingOfAWatcherWhatItCannotTell) {
  auto watcher = Watcher::open(*loop, sim.pipe().first);
  ASSERT_TRUE(watcher);
  EXPECT_MISTAKE(watcher->want(readable), "Watcher::want: on_ready\\(\\) comes first");
  watcher->on_ready([](std::size_t) {});
  EXPECT_MISTAKE(watcher->want(4), "Watcher::want: that is not made of readable and writable");
}

// Backends ---------------------------------------------------------------------------

TEST_F(AssertDeathTest, ABackendThatEndsAnOperationTwice) {
  struct Twice final : Backend {
    std::optional<Result> start(Completion& completion) override {
      started = &completion;
      return std::nullopt;
    }
    std::optional<Result> cancel(Completion&) override { return Result(0); }
    Expected<void> sleep(Instant) override { return {}; }
    Expected<void> collect(CompletionQueue& done) override {
      done.push(*started, 0);
      done.push(*started, 0);
      return {};
    }
    void wake() noexcept override {}
    [[nodiscard]] Instant now() const override { return {}; }

    Completion* started = nullptr;
  };
  const auto twice = [&] {
    Twice backend;
    Loop on_it(backend);
    on_it.add(completion, op::read(0, buffer), nullptr, ignore);
    (void)on_it.run();
  };
  EXPECT_MISTAKE(twice(), "CompletionQueue::push: the backend does not have this operation");
}

TEST_F(AssertDeathTest, FreeingASimBeforeItsLoop) {
  const auto in_flight = [&] {
    std::optional<Sim> brief(Sim::Options{.moody = false});
    Loop on_it(*brief);
    on_it.add(completion, op::read(brief->pipe().first, buffer), nullptr, ignore);
    (void)on_it.tick(RunMode::no_wait);
    brief.reset();
  };
  EXPECT_MISTAKE(in_flight(), "~Sim: a loop still has operations in flight on it");
}

TEST_F(AssertDeathTest, ConnectingToWhatDoesNotListen) {
  EXPECT_MISTAKE(sim.connect(sim.file()), "connect: not a listener");
  EXPECT_MISTAKE(sim.connect(1'000), "connect: not a listener");
}

TEST_F(AssertDeathTest, MakingALoopWhereNoBackendWorks) {
  const auto without_descriptors = [] {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_NOFILE, &none);
    const Loop loop;
  };
  EXPECT_MISTAKE(without_descriptors(),
                 "Loop\\(\\): no backend works here, WEV_BACKEND is not set: Too many open files");
  const auto of_a_name_that_is_none = [] {
    ::setenv("WEV_BACKEND", "nonsense", 1);
    const Loop loop;
  };
  EXPECT_MISTAKE(of_a_name_that_is_none(),
                 "Loop\\(\\): no backend works here, WEV_BACKEND is nonsense: WEV_BACKEND names no "
                 "backend of this platform");
}

// g++ says nothing of it, and clang warns.
#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wreturn-type"
#endif
TEST_F(AssertDeathTest, ATaskThatFallsOffItsEnd) {
  const auto falls_off = [](bool returns) -> Task<Expected<void>> {
    const auto slept = co_await sleep(1ms);
    if (returns) co_return slept;
  };
  EXPECT_TRUE(wev::run(*loop, falls_off(true)));
  EXPECT_MISTAKE((void)wev::run(*loop, falls_off(false)),
                 "Task: it fell off its end, without co_return");
  const auto of_a_group = [&]() -> Task<> {
    co_await with_group(isolate, [&](TaskGroup& group) -> Task<> {
      group.spawn(falls_off(false));
      co_return;
    });
  };
  EXPECT_MISTAKE((void)wev::run(*loop, of_a_group()),
                 "Task: it fell off its end, without co_return");
}
#if defined(__clang__)
#pragma clang diagnostic pop
#endif

TEST_F(AssertDeathTest, DestroyingALoopWithACompletionThatWasPosted) {
  const auto posted = [&] {
    loop->post([] {});
    loop->post(completion, nullptr, ignore);
    loop.reset();
  };
  EXPECT_MISTAKE(posted(), "~Loop: completions are still lent, drain\\(\\) first");
}

// The handler --------------------------------------------------------------------------

namespace {

void exit_with_7(const char* message, const char* file, int line) {
  std::fprintf(stderr, "[%s] in [%s], line %s", message, file, line > 0 ? "given" : "missing");
  std::_Exit(7);
}

void come_back(const char*, const char*, int) { std::fputs("it came back", stderr); }

}  // namespace

TEST(AssertHandlerDeathTest, ReplacesTheDefaultOne) {
  const auto mistake = [] {
    set_assert_handler(exit_with_7);
    Completion completion;
    Sim sim;
    Loop loop(sim);
    loop.unref(completion);
  };
  EXPECT_EXIT(mistake(), testing::ExitedWithCode(7),
              "^\\[Loop::unref: the completion is not lent to this loop\\] in \\[loop\\.cpp\\], "
              "line given$");
}

TEST(AssertHandlerDeathTest, TheProgramTrapsIfItComesBack) {
  const auto mistake = [] {
    set_assert_handler(come_back);
    WEV_ASSERT(false, "a mistake");
  };
  EXPECT_DEATH(mistake(), "it came back");
}

TEST(AssertHandlerDeathTest, NullRestoresTheDefaultOne) {
  const auto mistake = [] {
    set_assert_handler(exit_with_7);
    set_assert_handler(nullptr);
    assertion_failed("a mistake", "there.cpp", 42);
  };
  EXPECT_DEATH(mistake(), "wev: a mistake \\(there\\.cpp:42\\)");
}

TEST(AssertHandlerDeathTest, AMessageThatIsTooLongIsCut) {
  const std::string message(1'000, 'x');
  EXPECT_DEATH(assertion_failed(message.c_str(), "there.cpp", 0), "wev: x{200,}");
}

#endif  // GTEST_HAS_DEATH_TEST

TEST(AssertHandler, SettingOneReturnsTheOneBefore) {
  constexpr AssertHandler first = [](const char*, const char*, int) {};
  constexpr AssertHandler second = [](const char*, const char*, int) { std::abort(); };
  EXPECT_EQ(set_assert_handler(first), nullptr);
  EXPECT_EQ(set_assert_handler(second), first);
  EXPECT_EQ(set_assert_handler(nullptr), second);
  EXPECT_EQ(set_assert_handler(nullptr), nullptr);
}

TEST(Assert, WhatHoldsIsEvaluatedOnceAndSaysNothing) {
  int evaluated = 0;
  WEV_ASSERT(++evaluated, "not a mistake");
  EXPECT_EQ(evaluated, 1);
}

}  // namespace wev::test
