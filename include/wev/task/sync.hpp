// sync.hpp: tasks of one loop that wait for each other.
//
//   wev::Event stop;                        auto ended = co_await stop.wait();
//   wev::Semaphore places(10);              auto place = co_await places.acquire();
//   wev::Mutex mutex;                       auto lock = co_await mutex.lock();
//
// Order      Those that wait go on in the order in which they came, and nobody who
//            comes later is served before them.
// Wakes      Nothing runs inside of set(), release() and the like: who is woken runs
//            soon after (strand.hpp).
// Cancel     Waiting ends with Errc::operation_canceled; with what was waited for, where
//            that came first. What is there at once is had by a cancelled task too.
// Lifetime   Outlives those that wait. Nothing is allocated.
// Thread     The loop's, its callbacks included. All that wait are of one loop.
#pragma once

#include <coroutine>
#include <cstddef>
#include <utility>

#include "wev/task/strand.hpp"

namespace wev {

class WaitList;

/// A strand that waits in a WaitList.
class WaitNode : private Link, private Waiter {
 public:
  WaitNode() noexcept : Waiter{stop} {}
  WaitNode(const WaitNode&) = delete;
  WaitNode& operator=(const WaitNode&) = delete;

  [[nodiscard]] bool canceled() const noexcept { return canceled_; }

 private:
  friend class WaitList;
  friend class List<WaitNode>;

  static void stop(Waiter& waiter) noexcept;

  Strand* strand_ = nullptr;
  bool canceled_ = false;
};

/// Strands that wait for the same, in order.
class WaitList {
 public:
  WaitList() = default;
  ~WaitList() { WEV_ASSERT(empty(), "a task still waits for what is destroyed here"); }
  WaitList(const WaitList&) = delete;
  WaitList& operator=(const WaitList&) = delete;

  [[nodiscard]] bool empty() const noexcept { return nodes_.empty(); }
  /// REQUIRES: !empty().
  [[nodiscard]] WaitNode& front() const noexcept { return nodes_.front(); }

  void park(PromiseBase& task, WaitNode& node) noexcept;
  /// The first one goes on. REQUIRES: !empty().
  void wake_first() noexcept;
  void wake_all() noexcept;

 private:
  List<WaitNode> nodes_;
};

/// A wait for something of a T, which outlives it. Begins when it is awaited.
template <class Awaiter, class T>
class [[nodiscard("begins when it is awaited")]] WaitFor {
 public:
  explicit WaitFor(T& what) noexcept : what_(what) {}
  Awaiter operator co_await() const noexcept { return Awaiter(what_); }

 private:
  T& what_;
};

/// Something that happens, and stays so until reset().
class Event {
 public:
  /// All that wait go on, and who comes to wait does not.
  void set() noexcept {
    set_ = true;
    waiting_.wake_all();
  }
  void reset() noexcept { set_ = false; }
  [[nodiscard]] bool is_set() const noexcept { return set_; }

  class Awaiter;
  /// Ends with nothing.
  WaitFor<Awaiter, Event> wait() noexcept { return WaitFor<Awaiter, Event>(*this); }

 private:
  bool set_ = false;
  WaitList waiting_;
};

/// A number of places, each had by one task at a time.
class Semaphore {
 public:
  explicit Semaphore(std::size_t places) noexcept : free_(places) {}

  /// One of the places, given back when this is destroyed.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept : semaphore_(std::exchange(other.semaphore_, nullptr)) {}
    Place& operator=(Place&& other) noexcept {
      if (this != &other) {
        release();
        semaphore_ = std::exchange(other.semaphore_, nullptr);
      }
      return *this;
    }
    ~Place() { release(); }
    [[nodiscard]] bool owns() const noexcept { return semaphore_ != nullptr; }
    void release() noexcept {
      if (semaphore_ != nullptr) std::exchange(semaphore_, nullptr)->give_back();
    }

   private:
    friend class Semaphore;
    explicit Place(Semaphore& semaphore) noexcept : semaphore_(&semaphore) {}
    Semaphore* semaphore_ = nullptr;
  };

  class Awaiter;
  /// Ends with a Place.
  WaitFor<Awaiter, Semaphore> acquire() noexcept { return WaitFor<Awaiter, Semaphore>(*this); }
  /// At once; one that does not own() anything: all are taken.
  [[nodiscard]] Place try_acquire() noexcept { return take() ? Place(*this) : Place(); }
  [[nodiscard]] std::size_t available() const noexcept { return free_; }

 private:
  bool take() noexcept {
    if (free_ == 0) return false;
    --free_;
    return true;
  }
  // To who waits longest.
  void give_back() noexcept {
    if (waiting_.empty()) {
      ++free_;
    } else {
      waiting_.wake_first();
    }
  }

  std::size_t free_;  // 0 while somebody waits
  WaitList waiting_;
};

/// What only one task has at a time: a Semaphore of one place.
class Mutex : private Semaphore {
 public:
  using Lock = Place;
  Mutex() noexcept : Semaphore(1) {}

  /// Ends with a Lock, which unlocks when it is destroyed.
  auto lock() noexcept { return acquire(); }
  /// At once; one that does not own() it: another has it.
  [[nodiscard]] Lock try_lock() noexcept { return try_acquire(); }
  [[nodiscard]] bool locked() const noexcept { return available() == 0; }
};

// Awaiting ------------------------------------------------------------------------------

class Event::Awaiter : private WaitNode {
 public:
  explicit Awaiter(Event& event) noexcept : event_(event) {}
  [[nodiscard]] bool await_ready() const noexcept { return event_.set_; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) noexcept {
    event_.waiting_.park(task.promise(), *this);
  }
  Expected<void> await_resume() const noexcept {
    if (canceled()) return std::unexpected(Errc::operation_canceled);
    return {};
  }

 private:
  Event& event_;
};

class Semaphore::Awaiter : private WaitNode {
 public:
  explicit Awaiter(Semaphore& semaphore) noexcept : semaphore_(semaphore) {}
  [[nodiscard]] bool await_ready() const noexcept { return semaphore_.take(); }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) noexcept {
    semaphore_.waiting_.park(task.promise(), *this);
  }
  Expected<Place> await_resume() const noexcept {
    if (canceled()) return std::unexpected(Errc::operation_canceled);
    return Place(semaphore_);
  }

 private:
  Semaphore& semaphore_;
};

}  // namespace wev
