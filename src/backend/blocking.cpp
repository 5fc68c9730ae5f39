#include "backend/blocking.hpp"

#include <new>
#include <thread>

#include "backend/attempt.hpp"
#include "sys/port.hpp"

namespace wev {

namespace {

// More is copied by a thread: it would hold the loop up.
constexpr std::size_t most_at_once = std::size_t{256} * 1024;

// What a file holds in memory costs less than a thread does. Only data is believed; the end
// and errors are told by the call that waits.
std::optional<Result> read_cached(const Operation& operation) noexcept {
  const bool vectored = operation.kind() == OperationKind::readv;
  const bool at_offset = operation.kind() == OperationKind::pread;
  if (operation.kind() != OperationKind::read && !vectored && !at_offset) return std::nullopt;
  const std::size_t size = size_of(operation);
  if (size > most_at_once) return std::nullopt;
  const IoVec all = std::span(operation.io.data, operation.io.size);
  const Result result =
      sys::read_cached(operation.io.fd, vectored ? vectors_of(operation) : std::span(&all, 1),
                       at_offset ? operation.io.offset : sys::at_position);
  if (!result || *result == 0) return std::nullopt;
  // Fewer only at the end of the file, as pread() does it.
  if (at_offset && *result < size) return std::nullopt;
  return result;
}

}  // namespace

struct Blocking::Job final : ThreadPool::Work, Allocated {
  Job(Blocking& its_owner, std::uint32_t its_index) : owner(its_owner), index(its_index) {}

  void run() noexcept override {
    do {
      result = operation.perform();
    } while (!result && result.error() == std::errc::interrupted &&
             operation.kind() != OperationKind::run_blocking);
    // The owner may recycle this job as soon as it is pushed, and end as soon as
    // it is not counted any more.
    Blocking& its_owner = owner;
    if (its_owner.done_.push(*this)) its_owner.waker_.wake();
    its_owner.on_threads_.fetch_sub(1, std::memory_order_release);
  }
  Job*& notify_next() noexcept { return next; }

  Blocking& owner;
  const std::uint32_t index;
  Completion* completion = nullptr;
  ThreadPool* pool = nullptr;
  Operation operation{};
  Result result = 0;
  Job* next = nullptr;
};

Blocking::~Blocking() {
  wait_for_threads();
  WEV_ASSERT(spare_.size() == jobs_.size(), "~Backend: operations are still in flight on threads");
  for (std::size_t i = 0; i < jobs_.size(); ++i) delete jobs_[i];
}

// Their last steps, after their operations were delivered.
void Blocking::wait_for_threads() const noexcept {
  if (origin_.is_parent()) return;
  while (on_threads_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
}

void Blocking::join() noexcept {
  wait_for_threads();
  for (const Pool* pool : {&functions_, &files_}) {
    if (pool->owned != nullptr) pool->owned->join();
  }
}

ThreadPool* Blocking::pool_for(const Operation& operation) noexcept {
  const bool is_function = operation.kind() == OperationKind::run_blocking;
  if (is_function && operation.blocking.pool != nullptr) return operation.blocking.pool;
  Pool& pool = is_function ? functions_ : files_;
  if (pool.used == nullptr) {
    pool.owned.reset(new (std::nothrow) ThreadPool);
    pool.used = pool.owned.get();
  }
  return pool.used;
}

Blocking::Job* Blocking::obtain() noexcept {
  if (!spare_.empty()) {
    const std::uint32_t index = spare_.back();
    spare_.pop_back();
    return jobs_[index];
  }
  const std::size_t count = jobs_.size();
  if (!jobs_.reserve(count + 1) || !spare_.reserve(count + 1)) return nullptr;
  Job* job = new (std::nothrow) Job(*this, static_cast<std::uint32_t>(count));
  if (job != nullptr) (void)jobs_.push_back(job);  // reserved
  return job;
}

void Blocking::recycle(Job& job) noexcept {
  job.completion = nullptr;
  (void)spare_.push_back(job.index);  // reserved by obtain()
}

std::optional<Result> Blocking::start(Completion& completion) noexcept {
  if (auto cached = read_cached(completion.operation())) return cached;
  ThreadPool* pool = pool_for(completion.operation());
  Job* job = pool == nullptr ? nullptr : obtain();
  if (job == nullptr) return std::unexpected(std::errc::not_enough_memory);
  job->completion = &completion;
  job->pool = pool;
  job->operation = completion.operation();
  completion.note = job->index | here;
  on_threads_.fetch_add(1, std::memory_order_relaxed);
  if (pool->submit(*job)) return std::nullopt;
  on_threads_.fetch_sub(1, std::memory_order_relaxed);
  recycle(*job);
  return std::unexpected(std::errc::resource_unavailable_try_again);
}

std::optional<Result> Blocking::cancel(Completion& completion) noexcept {
  Job& job = *jobs_[completion.note & ~here];
  if (!job.pool->withdraw(job)) return std::nullopt;
  on_threads_.fetch_sub(1, std::memory_order_relaxed);
  recycle(job);
  return std::unexpected(Errc::operation_canceled);
}

// In a child of fork() it has gone on in the parent only.
Result Blocking::end(Completion& completion) noexcept {
  if (const auto canceled = cancel(completion)) return *canceled;
  wait_for_threads();
  done_.take([](Job&) {});  // they stand in jobs_, and are not collected any more
  Job& job = *jobs_[completion.note & ~here];
  const Result result =
      origin_.is_parent() ? Result(std::unexpected(Errc::operation_canceled)) : job.result;
  recycle(job);
  return result;
}

void Blocking::collect(CompletionQueue& done) noexcept {
  done_.take([&](Job& job) {
    Completion& completion = *job.completion;
    const Result result = job.result;
    recycle(job);
    done.push(completion, result);
  });
}

}  // namespace wev
