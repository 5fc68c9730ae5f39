// thread_pool.hpp: a few threads for what keeps a thread waiting.
//
// Native backends carry out on one what the system cannot be asked to do in the
// background: op::run_blocking, and with epoll all operations on files, each on a
// pool of its own, so that no file waits for what a program runs. They are made when
// they are first needed; to share one between loops, or to give it another size, name
// it in BackendOptions, or in the run_blocking.
//
// A thread is started when work is there and none is free, up to the limit, and
// stays until join(). No signal is delivered to them.
//
// Thread     Any, for all of its members, but for the destructor.
// Fork       In a child it begins anew, without threads and work, when one of the child's threads
//            first uses it.
// Lifetime   Outlives the loops that use it. Work belongs to the caller and
//            stays alive until its run() has returned, or withdraw() was true.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>

#include "wev/base/allocated.hpp"
#include "wev/base/array.hpp"
#include "wev/base/list.hpp"

namespace wev {

class ThreadPool : public Allocated {
 public:
  struct Options {
    /// At most so many threads, at least 1. More than there are processors,
    /// since they mostly wait.
    unsigned threads = 4;
  };

  /// Something to do. Begun in the order of submit().
  class Work : private Link {
   public:
    virtual ~Work() = default;
    /// On one of the threads. The pool does not touch the work afterwards.
    virtual void run() noexcept = 0;

   private:
    friend class ThreadPool;
    friend class List<Work>;
  };

  explicit ThreadPool(Options options) noexcept;
  ThreadPool() noexcept : ThreadPool(Options{}) {}
  /// Joins.
  ~ThreadPool();

  /// false: no thread runs and none can be started; the work was not taken.
  [[nodiscard]] bool submit(Work& work) noexcept;
  /// true: it had not begun, and will not.
  bool withdraw(Work& work) noexcept;
  /// Waits until all that was submitted is done, and ends the threads. The pool
  /// can be used again, and meanwhile: what comes beside a join is done as well, so
  /// one beside a stream of work that does not end does not either. Not from one of
  /// its own threads.
  void join() noexcept;

  /// Threads that run now.
  [[nodiscard]] std::size_t threads() const noexcept;

 private:
  struct Thread;

  void renew_after_fork() noexcept;
  [[nodiscard]] bool start_thread() noexcept;
  static void* serve(void* self) noexcept;

  const Options options_;
  std::mutex join_mutex_;
  mutable std::mutex mutex_;
  std::condition_variable wanted_;
  List<Work> queue_;
  Array<Thread*> threads_;   // not yet joined
  std::size_t serving_ = 0;  // that have not left serve()
  std::size_t idle_ = 0;
  std::size_t waiting_ = 0;  // work in queue_
  bool joining_ = false;
  std::atomic<unsigned> forks_;  // when it was made, or begun anew
};

}  // namespace wev
