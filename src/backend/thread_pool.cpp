#include "wev/backend/thread_pool.hpp"

#include <pthread.h>
#include <signal.h>

#include <memory>
#include <new>
#include <utility>

#include "sys/posix.hpp"

namespace wev {

struct ThreadPool::Thread : Allocated {
  pthread_t id{};
};

ThreadPool::ThreadPool(Options options) noexcept : options_(options), forks_(sys::forks()) {}

ThreadPool::~ThreadPool() { join(); }

// Of the parent's threads none is here, and who holds or waits for what is shared with them
// will not let go of it.
void ThreadPool::renew_after_fork() noexcept {
  const unsigned forks = sys::forks();
  if (forks_.exchange(forks, std::memory_order_relaxed) == forks) return;
  std::construct_at(&join_mutex_);
  std::construct_at(&mutex_);
  std::construct_at(&wanted_);
  while (!queue_.empty()) queue_.pop_front();
  for (; !threads_.empty(); threads_.pop_back()) delete threads_.back();
  serving_ = 0;
  idle_ = 0;
  waiting_ = 0;
  joining_ = false;
}

bool ThreadPool::submit(Work& work) noexcept {
  renew_after_fork();
  const std::lock_guard lock(mutex_);
  const std::size_t most = options_.threads > 0 ? options_.threads : 1;
  // One that join() waits for may be about to end: it does so only where there is no work.
  if (idle_ <= waiting_ && serving_ < most && !start_thread() && serving_ == 0) return false;
  queue_.push_back(work);
  ++waiting_;
  wanted_.notify_one();
  return true;
}

// Without exceptions, unlike std::thread.
bool ThreadPool::start_thread() noexcept {
  if (!threads_.reserve(threads_.size() + 1)) return false;
  auto* thread = new (std::nothrow) Thread;
  if (thread == nullptr) return false;
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const bool started = pthread_create(&thread->id, nullptr, serve, this) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (started) {
    (void)threads_.push_back(thread);  // reserved
    ++serving_;
  } else {
    delete thread;
  }
  return started;
}

void* ThreadPool::serve(void* self) noexcept {
  auto& pool = *static_cast<ThreadPool*>(self);
  std::unique_lock lock(pool.mutex_);
  for (;;) {
    if (!pool.queue_.empty()) {
      Work& work = pool.queue_.pop_front();
      --pool.waiting_;
      lock.unlock();
      work.run();
      lock.lock();
    } else if (pool.joining_) {
      --pool.serving_;
      return nullptr;
    } else {
      ++pool.idle_;
      pool.wanted_.wait(lock);
      --pool.idle_;
    }
  }
}

bool ThreadPool::withdraw(Work& work) noexcept {
  renew_after_fork();
  const std::lock_guard lock(mutex_);
  if (!work.linked()) return false;
  work.unlink();
  --waiting_;
  return true;
}

void ThreadPool::join() noexcept {
  renew_after_fork();
  const std::lock_guard one_at_a_time(join_mutex_);
  std::unique_lock lock(mutex_);
  joining_ = true;
  wanted_.notify_all();
  while (!threads_.empty()) {
    const Thread* thread = threads_.back();
    threads_.pop_back();
    lock.unlock();
    pthread_join(thread->id, nullptr);
    delete thread;
    lock.lock();
  }
  joining_ = false;
}

std::size_t ThreadPool::threads() const noexcept {
  const std::lock_guard lock(mutex_);
  return threads_.size();
}

}  // namespace wev
