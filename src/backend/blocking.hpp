// blocking.hpp: operations that a backend hands to a thread pool.
//
// For what its system cannot be asked to do in the background. An operation is
// copied to the pool and its result comes back over a stack, so that no other
// thread ever looks at a completion.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>

#include "backend/waker.hpp"
#include "sys/posix.hpp"
#include "wev/backend/backends.hpp"
#include "wev/backend/thread_pool.hpp"
#include "wev/base/array.hpp"
#include "wev/base/notify_stack.hpp"
#include "wev/loop/backend.hpp"

namespace wev {

class Blocking {
 public:
  /// Pools: nullptr for one of its own, made when it is needed.
  Blocking(const NativeOptions& options, Waker& waker) noexcept
      : functions_{options.pool, {}}, files_{options.file_pool, {}}, waker_(waker) {}
  /// REQUIRES: nothing is in flight.
  ~Blocking();
  Blocking(const Blocking&) = delete;
  Blocking& operator=(const Blocking&) = delete;

  /// As Backend's. A completion's note is Blocking's while it is here.
  std::optional<Result> start(Completion& completion) noexcept;
  std::optional<Result> cancel(Completion& completion) noexcept;
  [[nodiscard]] static bool has(const Completion& completion) noexcept {
    return (completion.note & here) != 0;
  }
  /// The same where nothing more will be collected: waits for a thread that has begun.
  Result end(Completion& completion) noexcept;
  /// Pushes what has ended.
  void collect(CompletionQueue& done) noexcept;

  /// Ends the threads, if they are its own. REQUIRES: nothing is in flight.
  void join() noexcept;

 private:
  struct Job;

  static constexpr std::uint32_t here = 1u << 31;

  // What waits for disks, and what programs run and may wait for anything, do not wait for
  // each other.
  struct Pool {
    ThreadPool* used;
    std::unique_ptr<ThreadPool> owned;
  };

  [[nodiscard]] ThreadPool* pool_for(const Operation& operation) noexcept;
  [[nodiscard]] Job* obtain() noexcept;
  void recycle(Job& job) noexcept;
  void wait_for_threads() const noexcept;

  const sys::Origin origin_;
  Pool functions_;
  Pool files_;
  Waker& waker_;
  Array<Job*> jobs_;            // note is the index, with `here`
  Array<std::uint32_t> spare_;  // indexes of those in no use; has room for all
  NotifyStack<Job> done_;
  std::atomic<std::size_t> on_threads_{0};  // jobs that a thread has or will have
};

}  // namespace wev
