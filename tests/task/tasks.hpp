// tasks.hpp: what the tests of tasks share.
#pragma once

#include <new>
#include <string>
#include <utility>

#include "rig/contract.hpp"
#include "support/allocations.hpp"
#include "wev/task/frame_pool.hpp"
#include "wev/task/ok.hpp"
#include "wev/task/run.hpp"
#include "wev/task/sleep.hpp"
#include "wev/task/task.hpp"

namespace wev::test {

/// How many tasks are a lot, inside each other or side by side: a WebAssembly program
/// has less memory.
inline constexpr int a_lot_of_tasks = sizeof(void*) == 8 ? 100'000 : 20'000;

/// Writes its name down when it is destroyed, unless it was moved from.
class Trace {
 public:
  Trace(std::string& log, char name) noexcept : log_(&log), name_(name) {}
  Trace(Trace&& other) noexcept : log_(std::exchange(other.log_, nullptr)), name_(other.name_) {}
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;
  Trace& operator=(Trace&&) = delete;
  ~Trace() {
    if (log_ != nullptr) *log_ += name_;
  }

 private:
  std::string* log_;
  char name_;
};

/// Counts those that are alive.
class Counted {
 public:
  explicit Counted(int& count) noexcept : count_(count) { ++count_; }
  Counted(const Counted& other) noexcept : count_(other.count_) { ++count_; }
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --count_; }

 private:
  int& count_;
};

/// While alive there is no memory for tasks, not even what earlier ones have left.
class NoFrames {
 public:
  NoFrames() noexcept {
    for (std::size_t size = FramePool::granularity; size <= FramePool::largest;
         size += FramePool::granularity) {
      while (void* memory = FramePool::allocate(size)) held_ = new (memory) Held{held_, size};
    }
  }
  ~NoFrames() {
    while (held_ != nullptr) {
      const Held held = *held_;
      FramePool::release(held_, held.size);
      held_ = held.next;
    }
  }
  NoFrames(const NoFrames&) = delete;
  NoFrames& operator=(const NoFrames&) = delete;

 private:
  struct Held {
    Held* next;
    std::size_t size;
  };
  NoMemory no_memory_;
  Held* held_ = nullptr;
};

/// As wev::run(loop, ...), on a rig that drives its loops, too.
template <class A>
as_expected<Awaited<A>> run_by(Rig& rig, Loop& loop, A&& awaitable) {
  if (!rig.driven()) return wev::run(loop, std::forward<A>(awaitable));
  Root<Awaited<A>> root(loop, as_task(std::forward<A>(awaitable)));
  root.on_done([&loop] { loop.stop(); });
  Expected<void> outcome;
  while (!root.done()) {
    const auto ran = rig.run(loop);
    if (root.done()) break;
    // It waits for what never comes, or it was stopped.
    if (!ran || loop.done()) outcome = std::unexpected(Errc::deadlock);
    root.cancel();
  }
  loop.restart();
  as_expected<Awaited<A>> result = root.outcome().take_expected();
  if (!outcome) return std::unexpected(outcome.error());
  return result;
}

/// Runs it; nothing of it may be left over.
template <class T>
as_expected<T> run_task(Rig& rig, Loop& loop, Task<T> task) {
  as_expected<T> result = run_by(rig, loop, std::move(task));
  EXPECT_EQ(loop.active(), 0u);
  return result;
}

template <class T>
testing::AssertionResult failed_with(const Expected<T>& result, Error expected) {
  if (!result && result.error() == expected) return testing::AssertionSuccess();
  return testing::AssertionFailure()
         << "it ended with "
         << (result ? "a value" : describe(Result(std::unexpected(result.error())))) << ", not "
         << describe(Result(std::unexpected(expected)));
}

}  // namespace wev::test

#define EXPECT_FAILED(result, expected) EXPECT_TRUE(::wev::test::failed_with(result, expected))
