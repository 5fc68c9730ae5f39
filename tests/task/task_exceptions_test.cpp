// What tasks throw, and who catches it.
#include <memory>
#include <new>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "support/allocations.hpp"
#include "wev/sim/sim.hpp"
#include "wev/task/ok.hpp"
#include "wev/task/run.hpp"
#include "wev/task/run_on.hpp"
#include "wev/task/sleep.hpp"
#include "wev/task/task_group.hpp"
#include "wev/task/this_task.hpp"
#include "wev/task/timeout.hpp"
#include "wev/task/when.hpp"

namespace wev::test {

namespace {

using namespace std::chrono_literals;

// Counts how many of it there are.
struct Oops {
  explicit Oops(int its_number) : number(its_number) { ++alive; }
  Oops(const Oops& other) : number(other.number) { ++alive; }
  ~Oops() { --alive; }
  Oops& operator=(const Oops&) = delete;

  int number;
  static inline int alive = 0;
};

class TaskExceptions : public testing::Test {
 protected:
  void TearDown() override {
    EXPECT_EQ(loop.active(), 0u);
    EXPECT_EQ(Oops::alive, 0);
  }

  // Writes down when it is destroyed.
  struct Local {
    TaskExceptions& test;
    const char* name;
    ~Local() { test.write(name); }
  };

  void write(const std::string& what) {
    if (!log.empty()) log += ' ';
    log += what;
  }

  // How a task ends that is told to.
  Task<int> gives(const char* name, Duration delay, int value) {
    const Local local{*this, name};
    (void)co_await sleep(delay);
    co_return value;
  }
  Task<int> throws(const char* name, Duration delay, int number) {
    const Local local{*this, name};
    (void)co_await sleep(delay);
    throw Oops(number);
  }
  Task<Expected<int>> fails(const char* name, Duration delay, Error error) {
    const Local local{*this, name};
    (void)co_await sleep(delay);
    co_return std::unexpected(error);
  }
  Task<Expected<int>> gives_or_throws(bool throws) {
    if (throws) throw Oops(7);
    co_return 7;
  }

  /// The number of the Oops that `task` throws; 0: it throws nothing.
  template <class T>
  int thrown_by(Task<T> task) {
    try {
      (void)wev::run(loop, std::move(task));
    } catch (const Oops& oops) {
      return oops.number;
    }
    return 0;
  }

  Sim sim{{.moody = false}};
  Loop loop{sim};
  std::string log;
};

}  // namespace

// From one task to the next --------------------------------------------------------------

TEST_F(TaskExceptions, PassThroughTheTasksThatAwaitFromTheInnerToTheOuter) {
  struct Program {
    TaskExceptions_PassThroughTheTasksThatAwaitFromTheInnerToTheOuter_Test& test;
    Task<int> depth(int left) {
      const Local outer{test, left == 0 ? "innermost" : left == 1 ? "inner" : "outer"};
      const Local first{test, "-"};
      if (left == 0) throw Oops(5);
      co_return co_await depth(left - 1);
    }
  } program{*this};
  EXPECT_EQ(thrown_by(program.depth(2)), 5);
  EXPECT_EQ(log, "- innermost - inner - outer");
}

TEST_F(TaskExceptions, AreCaughtWhereTheTaskWasAwaitedAndItGoesOn) {
  const auto program = [this]() -> Task<int> {
    int caught = 0;
    for (int i = 1; i <= 3; ++i) {
      try {
        (void)co_await throws("thrower", 1ms, i);
      } catch (const Oops& oops) {
        caught = caught * 10 + oops.number;
      }
    }
    co_return caught;
  };
  EXPECT_EQ(wev::run(loop, program()), 123);
  EXPECT_EQ(log, "thrower thrower thrower");
}

TEST_F(TaskExceptions, OfATaskThatNeverWaitsAreThoseOfTheCoAwaitToo) {
  const auto at_once = []() -> Task<> {
    throw Oops(2);
    co_return;
  };
  const auto program = [&]() -> Task<int> {
    try {
      co_await at_once();
    } catch (const Oops& oops) {
      co_return oops.number;
    }
    co_return 0;
  };
  EXPECT_EQ(wev::run(loop, program()), 2);
}

TEST_F(TaskExceptions, AreThrownByOkAsWell) {
  const auto program = [this](bool throws) -> Task<Expected<int>> {
    const Local local{*this, "outer"};
    int value = 0;
    try {
      value = co_await ok(gives_or_throws(throws));
    } catch (const Oops& oops) {
      write("caught");
      co_return -oops.number;
    }
    co_return value;
  };
  EXPECT_EQ(wev::run(loop, program(false)), 7);
  EXPECT_EQ(wev::run(loop, program(true)), -7);
  EXPECT_EQ(log, "outer caught outer");
}

TEST_F(TaskExceptions, ThatNobodyCatchesPassOk) {
  const auto inner = [this]() -> Task<Expected<int>> {
    const Local local{*this, "inner"};
    co_await ok(sleep(1ms));
    throw Oops(4);
  };
  const auto outer = [this, &inner]() -> Task<Expected<int>> {
    const Local local{*this, "outer"};
    co_return 1 + co_await ok(inner());
  };
  EXPECT_EQ(thrown_by(outer()), 4);
  EXPECT_EQ(log, "inner outer");
}

// Several at the same time -----------------------------------------------------------------

TEST_F(TaskExceptions, OfWhenAllIsTheFirstInOrderWhenAllHaveEnded) {
  const auto program = [this]() -> Task<int> {
    try {
      (void)co_await when_all(gives("a", 1ms, 1), throws("b", 3ms, 2), throws("c", 2ms, 3),
                              gives("d", 4ms, 4));
    } catch (const Oops& oops) {
      co_return oops.number;
    }
    co_return 0;
  };
  EXPECT_EQ(wev::run(loop, program()), 2);
  EXPECT_EQ(log, "a c b d");
}

TEST_F(TaskExceptions, OfTheFirstToEndIsWhenAnysWhenTheOthersHaveEnded) {
  const auto program = [this]() -> Task<int> {
    try {
      (void)co_await when_any(gives("a", 1h, 1), throws("b", 1ms, 2));
    } catch (const Oops& oops) {
      write("caught");
      co_return oops.number;
    }
    co_return 0;
  };
  const Instant began = loop.now();
  EXPECT_EQ(wev::run(loop, program()), 2);
  EXPECT_EQ(log, "b a caught");
  EXPECT_LT(loop.now() - began, 1h);
}

TEST_F(TaskExceptions, OfThoseThatWhenAnyCancelsAreDropped) {
  const auto program = [this]() -> Task<int> {
    const auto first = co_await when_any(throws("a", 1h, 1), gives("b", 1ms, 2));
    co_return first.index() == 1 ? std::get<1>(first) : 0;
  };
  EXPECT_EQ(wev::run(loop, program()), 2);
  EXPECT_EQ(log, "b a");
}

TEST_F(TaskExceptions, PassATimeout) {
  const auto program = [this](Duration limit) -> Task<int> {
    try {
      (void)co_await timeout(limit, throws("thrower", 5ms, 3));
    } catch (const Oops& oops) {
      co_return oops.number;
    }
    co_return 0;
  };
  EXPECT_EQ(wev::run(loop, program(1h)), 3);
  EXPECT_EQ(wev::run(loop, program(1ms)), 3) << "it was thrown though the time was over";
  EXPECT_EQ(log, "thrower thrower");
}

TEST_F(TaskExceptions, PassAShieldWhichEndsThere) {
  const auto program = [this]() -> Task<int> {
    int number = 0;
    try {
      (void)co_await shield(throws("thrower", 5ms, 3));
    } catch (const Oops& oops) {
      number = oops.number;
    }
    EXPECT_TRUE(co_await is_canceled());
    const Expected<void> slept = co_await sleep(1h);
    EXPECT_FALSE(slept);
    co_return number;
  };
  Root<int> root(loop, program());
  const Instant began = loop.now();
  ASSERT_TRUE(loop.tick(RunMode::no_wait));
  root.cancel();
  ASSERT_TRUE(root.run());
  EXPECT_GE(loop.now() - began, 5ms);
  EXPECT_LT(loop.now() - began, 1h);
  EXPECT_EQ(root.take(), 3);
}

// Groups --------------------------------------------------------------------------------------

TEST_F(TaskExceptions, CancelTheOthersOfAGroupThatFailsFast) {
  const auto program = [this]() -> Task<int> {
    try {
      (void)co_await with_group(fail_fast, [this](TaskGroup& group) -> Task<int> {
        group.spawn(gives("a", 1h, 1));
        group.spawn(throws("b", 1ms, 2));
        group.spawn(throws("c", 1h, 3));
        co_return co_await gives("own", 1h, 4);
      });
    } catch (const Oops& oops) {
      write("caught");
      co_return oops.number;
    }
    co_return 0;
  };
  const Instant began = loop.now();
  EXPECT_EQ(wev::run(loop, program()), 2);
  EXPECT_TRUE(log.starts_with("b ") && log.ends_with(" caught")) << log;
  EXPECT_EQ(log.size(), std::string("b a c own caught").size()) << log;
  EXPECT_LT(loop.now() - began, 1h);
}

TEST_F(TaskExceptions, OfTheGroupsOwnTaskCancelWhatItHasSpawned) {
  const auto program = [this]() -> Task<> {
    (void)co_await with_group(fail_fast, [this](TaskGroup& group) -> Task<> {
      group.spawn(gives("a", 1h, 1));
      (void)co_await sleep(1ms);
      throw Oops(6);
    });
  };
  const Instant began = loop.now();
  EXPECT_EQ(thrown_by(program()), 6);
  EXPECT_EQ(log, "a");
  EXPECT_LT(loop.now() - began, 1h);
}

TEST_F(TaskExceptions, OfAGroupAreDroppedWhereAnErrorCameFirst) {
  const auto program = [this]() -> Task<Expected<void>> {
    co_return co_await with_group(fail_fast, [this](TaskGroup& group) -> Task<> {
      group.spawn(fails("a", 1ms, std::errc::broken_pipe));
      group.spawn(throws("b", 1h, 2));
      co_return;
    });
  };
  const auto result = wev::run(loop, program());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), std::errc::broken_pipe);
  EXPECT_EQ(log, "a b");
}

TEST_F(TaskExceptions, OfAGroupComeBeforeLaterErrors) {
  const auto program = [this]() -> Task<Expected<void>> {
    co_return co_await with_group(fail_fast, [this](TaskGroup& group) -> Task<> {
      group.spawn(fails("a", 1h, std::errc::broken_pipe));
      group.spawn(throws("b", 1ms, 2));
      co_return;
    });
  };
  EXPECT_EQ(thrown_by(program()), 2);
  EXPECT_EQ(log, "b a");
}

TEST_F(TaskExceptions, OfAnIsolatedTaskAreThrownWhenAllOthersHaveEndedUndisturbed) {
  const auto program = [this]() -> Task<int> {
    try {
      (void)co_await with_group(isolate, [this](TaskGroup& group) -> Task<int> {
        group.spawn(throws("a", 1ms, 1));
        group.spawn(gives("b", 4ms, 2));
        group.spawn(throws("c", 3ms, 3));
        co_return co_await gives("own", 2ms, 4);
      });
    } catch (const Oops& oops) {
      write("caught");
      co_return oops.number;
    }
    co_return 0;
  };
  const Instant began = loop.now();
  EXPECT_EQ(wev::run(loop, program()), 1);
  EXPECT_EQ(log, "a own c b caught");
  EXPECT_GE(loop.now() - began, 4ms);
}

TEST_F(TaskExceptions, OfTheFunctionThatMakesAGroupsTaskAreThrownWhenWhatItSpawnedHasEnded) {
  for (const GroupPolicy policy : {fail_fast, isolate}) {
    const auto program = [&]() -> Task<int> {
      try {
        (void)co_await with_group(policy, [this](TaskGroup& group) -> Task<> {
          group.spawn(gives("a", 1ms, 1));
          throw Oops(9);
        });
      } catch (const Oops& oops) {
        write("caught");
        co_return oops.number;
      }
      co_return 0;
    };
    log.clear();
    EXPECT_EQ(wev::run(loop, program()), 9);
    EXPECT_EQ(log, "a caught");
  }
}

// The beginning and other threads ----------------------------------------------------------

TEST_F(TaskExceptions, AreThrownByRunAndTheLoopGoesOn) {
  EXPECT_EQ(thrown_by(throws("a", 1ms, 1)), 1);
  EXPECT_EQ(wev::run(loop, gives("b", 1ms, 2)), 2);
  EXPECT_EQ(log, "a b");
}

TEST_F(TaskExceptions, AreKeptByARootUntilItIsAsked) {
  {
    Root<int> root(loop, throws("a", 1ms, 1));
    ASSERT_TRUE(loop.run());
    EXPECT_TRUE(root.done());
    EXPECT_EQ(Oops::alive, 1);
    EXPECT_THROW((void)root.take(), Oops);
  }
  {
    const Root<int> never_asked(loop, throws("b", 1ms, 2));
    ASSERT_TRUE(loop.run());
  }
  EXPECT_EQ(Oops::alive, 0);
}

TEST_F(TaskExceptions, OfABlockingFunctionAreThoseOfTheCoAwait) {
  Loop native;
  const auto program = []() -> Task<int> {
    const Expected<int> fine = co_await run_blocking([] { return 40; });
    try {
      (void)co_await run_blocking([]() -> Expected<int> { throw Oops(2); });
    } catch (const Oops& oops) {
      co_return fine.value_or(0) + oops.number;
    }
    co_return 0;
  };
  EXPECT_EQ(wev::run(native, program()), 42);
}

TEST_F(TaskExceptions, OfATaskOnAnotherLoopAreThrownWhereItWasAwaited) {
  Loop here;
  Loop there;
  Async stop(there);
  Completion held;
  there.add(held, op::async_wait(stop), nullptr,
            [](void*, Loop&, Completion&, Result) { return Action::disarm; });
  std::thread thread([&there] { EXPECT_TRUE(there.run()); });
  const auto program = [this, &there]() -> Task<int> {
    const std::thread::id home = std::this_thread::get_id();
    int caught = 0;
    for (int i = 1; i <= 3; ++i) {
      try {
        (void)co_await run_on(there, throws("there", 1us, i));
      } catch (const Oops& oops) {
        EXPECT_EQ(std::this_thread::get_id(), home);
        caught = caught * 10 + oops.number;
      }
    }
    co_return caught;
  };
  EXPECT_EQ(wev::run(here, program()), 123);
  stop.notify();
  thread.join();
  there.detach(stop);
  EXPECT_EQ(log, "there there there");
}

// Without memory -----------------------------------------------------------------------------

namespace {

Task<int> number() { co_return 1; }
Task<> nothing() { co_return; }
Task<Expected<int>> number_or_error() { co_return 1; }

// On a thread of its own, which has kept no frames.
template <class T>
Task<T> without_memory(Task<T> (*make)()) {
  Task<T> task;
  std::thread([&] {
    const NoMemory no_memory;
    task = make();
  }).join();
  return task;
}

}  // namespace

TEST_F(TaskExceptions, WithoutMemoryForATaskThatCannotSaySoIsABadAlloc) {
  const auto program = [](Task<int> first, Task<> second) -> Task<int> {
    int caught = 0;
    try {
      caught = co_await std::move(first);
    } catch (const std::bad_alloc&) {
      caught += 10;
    }
    try {
      co_await std::move(second);
    } catch (const std::bad_alloc&) {
      caught += 100;
    }
    co_return caught;
  };
  EXPECT_EQ(wev::run(loop, program(without_memory(number), without_memory(nothing))), 110);
  EXPECT_THROW((void)wev::run(loop, without_memory(number)), std::bad_alloc);
}

TEST_F(TaskExceptions, WithoutMemoryAreNoneWhereTheResultCanSaySo) {
  const auto ended = wev::run(loop, without_memory(number_or_error));
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error(), std::errc::not_enough_memory);
}

TEST_F(TaskExceptions, WithoutMemoryForOneOfSeveralTheOthersEndFirst) {
  const auto all = [this](Task<int> missing) -> Task<> {
    (void)co_await when_all(std::move(missing), gives("a", 2ms, 1));
  };
  EXPECT_THROW((void)wev::run(loop, all(without_memory(number))), std::bad_alloc);
  const auto limited = [](Task<int> missing) -> Task<> {
    (void)co_await timeout(1h, std::move(missing));
  };
  EXPECT_THROW((void)wev::run(loop, limited(without_memory(number))), std::bad_alloc);
  const auto shielded = [](Task<int> missing) -> Task<> {
    (void)co_await shield(std::move(missing));
  };
  EXPECT_THROW((void)wev::run(loop, shielded(without_memory(number))), std::bad_alloc);
  const auto abroad = [this](Task<int> missing) -> Task<> {
    (void)co_await run_on(loop, std::move(missing));
  };
  EXPECT_THROW((void)wev::run(loop, abroad(without_memory(number))), std::bad_alloc);
  EXPECT_EQ(log, "a");
}

namespace {

struct Throws {
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise>) {
    throw 7;
  }
  [[nodiscard]] Expected<int> await_resume() const noexcept { return 1; }
};

}  // namespace

TEST_F(TaskExceptions, AnAwaitThatThrowsAsItBeginsIsForgotten) {
  const auto program = []() -> Task<Expected<int>> {
    int caught = 0;
    try {
      co_await ok(Throws{});
    } catch (int thrown) {
      caught = thrown;
    }
    co_await ok(sleep(1ms));
    co_return caught;
  };
  EXPECT_EQ(wev::run(loop, program()), 7);
}

}  // namespace wev::test
