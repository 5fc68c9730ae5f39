// run.hpp: from a program's main, or from callbacks, to a task.
//
//   wev::Loop loop;
//   auto copied = wev::run(loop, copy(input, output));
//
// run() runs the loop until the task has ended, and gives what it ended with. A
// program of callbacks starts a task by a Root instead, and lets the loop run as ever.
//
// A program that is one task needs no loop of its own: run() makes one, and an environment
// in which none can be made is an error like others.
//
//   wev::Task<wev::Expected<void>> program(wev::Loop& loop) { ... }
//
//   int main() {
//     const auto ended = wev::run(program);
//     if (!ended) std::fprintf(stderr, "%s\n", ended.error().message().c_str());
//     return ended ? 0 : 1;
//   }
#pragma once

#include <concepts>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "wev/base/inline_callable.hpp"
#include "wev/task/task.hpp"

namespace wev {

/// A task's beginning: a strand that no other one waits for. What does not depend on
/// the task's result.
class RootBase : private Scheduler, protected Strand {
 public:
  /// The task has ended, and the root can be destroyed.
  [[nodiscard]] bool done() const noexcept { return !lives() && idle(); }
  /// As for any task, see strand.hpp.
  using Strand::cancel;

  /// How often the task, or one it has started, began to wait so far. Those that
  /// run_on() has sent elsewhere do not count.
  using Scheduler::suspensions;
  /// Cancels when that has become `suspension`. To test that a program can be cancelled
  /// wherever it waits, count its suspensions and then cancel it at each of them.
  void cancel_at(std::size_t suspension) noexcept { Scheduler::cancel_at(*this, suspension); }

  /// Runs the loop until the task has ended; `Loop::stop` cancels it. Fails, with the
  /// task cancelled and ended, with Errc::deadlock: it waits for what nothing in the
  /// loop can bring about; and, with the task where it was, with the loop's error when
  /// the backend is lost.
  Expected<void> run();

  /// Called when done(), as the last; it may destroy the root, if that is not in run().
  template <class F>
  void on_done(F callback) {
    on_done_.set(std::move(callback));
  }

 protected:
  RootBase(Loop& loop, PromiseBase* task, Ended ended) noexcept;
  ~RootBase() { WEV_ASSERT(done(), "~Root: its task has not ended"); }

 private:
  static void settled(Scheduler& scheduler) noexcept;

  InlineFunction<> on_done_;
  bool running_ = false;  // in run()
};

/// Begins a task in the loop's next tick.
template <class T = void>
class Root : private internal::Kept<T>, public RootBase {
 public:
  Root(Loop& loop, Task<T> task) noexcept
      : internal::Kept<T>(std::move(task)),
        RootBase(loop, internal::Kept<T>::promise(), [](Strand& strand) noexcept {
          static_cast<Root&>(static_cast<RootBase&>(strand)).end();
        }) {
    if (internal::Kept<T>::promise() == nullptr) this->end();
  }

  /// What it ended with, once; throws what it threw. REQUIRES: done().
  T take() { return outcome().take(); }

  /// The same, not taken yet. REQUIRES: done().
  [[nodiscard]] internal::Outcome<T>& outcome() noexcept {
    WEV_ASSERT(done(), "Root::take: its task has not ended");
    return internal::Kept<T>::outcome();
  }
};

namespace internal {

/// Not on the stack: where the backend is lost, what it has is left to it for ever.
template <class T>
struct RootOwner {
  Root<T>* root;
  ~RootOwner() {
    if (!root->done()) return;
    root->~Root();
    FramePool::release(root, sizeof(Root<T>));
  }
};

}  // namespace internal

/// Runs `loop` until a task, or whatever else can be awaited, has ended. Errors are its
/// own and those of RootBase::run; Errc::nested_run inside of another run, then it is
/// not begun; not_enough_memory.
template <class A>
[[nodiscard]] as_expected<Awaited<A>> run(Loop& loop, A&& awaitable) {
  using T = Awaited<A>;
  if (loop.running()) return std::unexpected(Errc::nested_run);
  auto task = as_task(std::forward<A>(awaitable));
  void* memory = FramePool::allocate(sizeof(Root<T>));
  if (memory == nullptr) return std::unexpected(std::errc::not_enough_memory);
  const internal::RootOwner<T> owner{new (memory) Root<T>(loop, std::move(task))};
  const Expected<void> ran = owner.root->run();
  if (!owner.root->done()) return std::unexpected(ran.error());
  as_expected<T> result = owner.root->outcome().take_expected();
  if (!ran) return std::unexpected(ran.error());
  return result;
}

/// The same on a loop of its own, which is gone when this returns; so what the task ends
/// with holds nothing of the loop's, as a handle. `function(loop)` makes the task. Errors
/// are also those of Loop::make.
template <std::invocable<Loop&> F>
[[nodiscard]] auto run(F&& function) -> as_expected<Awaited<std::invoke_result_t<F&, Loop&>>> {
  const auto loop = Loop::make();
  if (!loop) return std::unexpected(loop.error());
  auto result = run(**loop, function(**loop));
  if (const auto drained = (*loop)->drain(); !drained && result) {
    return std::unexpected(drained.error());
  }
  return result;
}
/// The same for what needs no loop to be made, or asks for it by this_loop().
template <class A>
  requires(!std::invocable<A, Loop&>)
[[nodiscard]] as_expected<Awaited<A>> run(A&& awaitable) {
  return run([&awaitable](Loop&) -> decltype(auto) { return std::forward<A>(awaitable); });
}

}  // namespace wev
