// Memory of coroutine frames, on one thread and between two.
#include "wev/task/frame_pool.hpp"

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "support/allocations.hpp"
#include "support/system.hpp"
#include "wev/task/task.hpp"

namespace wev::test {

namespace {

// Runs `f` on a thread of its own, whose pool is empty.
template <class F>
void on_new_thread(F f) {
  std::thread(std::move(f)).join();
}

// One thing at a time, from one thread to another.
template <class T>
class Slot {
 public:
  void put(T thing) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !thing_; });
    thing_.emplace(std::move(thing));
    changed_.notify_all();
  }
  T take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return thing_.has_value(); });
    T thing = *std::move(thing_);
    thing_.reset();
    changed_.notify_all();
    return thing;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<T> thing_;
};

// What it was given lives in its frame.
struct Given {
  explicit Given(std::atomic<int>& counter) : alive(&counter) { ++*alive; }
  Given(Given&& other) noexcept : alive(std::exchange(other.alive, nullptr)) {}
  Given& operator=(Given&&) = delete;
  ~Given() {
    if (alive != nullptr) --*alive;
  }
  std::atomic<int>* alive;
};

Task<int> task(Given given) { co_return *given.alive; }

constexpr std::size_t size = 300;
constexpr int rounds = 5'000;

}  // namespace

TEST(FramePool, AFrameThatWasFreedIsTheNextOneOfItsSizeClass) {
  on_new_thread([] {
    void* first = FramePool::allocate(size);
    FramePool::release(first, size);
    const std::size_t before = allocations();
    void* smaller = FramePool::allocate(size - 10);
    EXPECT_EQ(smaller, first);
    EXPECT_EQ(allocations(), before);
    void* second = FramePool::allocate(size);
    EXPECT_NE(second, first);
    EXPECT_EQ(allocations(), before + 1);
    std::memset(smaller, 1, size - 10);
    std::memset(second, 2, size);
    FramePool::release(second, size);
    FramePool::release(smaller, size - 10);
  });
}

TEST(FramePool, EverySizeCanBeHadWhole) {
  on_new_thread([] {
    std::vector<std::pair<void*, std::size_t>> all;
    for (std::size_t wanted = 1; wanted <= FramePool::largest + 100; wanted += 61) {
      void* memory = FramePool::allocate(wanted);
      ASSERT_NE(memory, nullptr);
      std::memset(memory, 1, wanted);
      all.emplace_back(memory, wanted);
    }
    for (const auto& [memory, wanted] : all) FramePool::release(memory, wanted);
  });
}

TEST(FramePool, LargeFramesAreNotKept) {
  on_new_thread([] {
    constexpr std::size_t large = FramePool::largest + 1;
    for (int i = 0; i < 3; ++i) {
      const std::size_t before = allocations();
      FramePool::release(FramePool::allocate(large), large);
      EXPECT_EQ(allocations(), before + 1);
    }
  });
}

TEST(FramePool, WithoutMemoryThereIsNoneAndLaterThereIs) {
  on_new_thread([] {
    void* none = nullptr;
    {
      const NoMemory no_memory;
      none = FramePool::allocate(size);
    }
    EXPECT_EQ(none, nullptr);
    void* some = FramePool::allocate(size);
    EXPECT_NE(some, nullptr);
    FramePool::release(some, size);
  });
}

TEST(FramePool, AThreadThatOnlyFreesKeepsNothing) {
  Slot<void*> slot;
  std::thread consumer([&slot] {
    for (int i = 0; i < rounds; ++i) FramePool::release(slot.take(), size);
    const std::size_t before = allocations();
    FramePool::release(FramePool::allocate(size), size);
    EXPECT_EQ(allocations(), before + 1);
  });
  on_new_thread([&slot] {
    for (int i = 0; i < rounds; ++i) slot.put(FramePool::allocate(size));
  });
  consumer.join();
}

TEST(FramePool, TasksThatGoBothWaysBetweenTwoThreadsNeedAHandfulOfFrames) {
  Slot<Task<int>> there;
  Slot<Task<int>> back;
  std::atomic<int> alive{0};
  const std::size_t before = allocations();
  std::thread other([&] {
    for (int i = 0; i < rounds; ++i) {
      back.put(task(Given(alive)));
      EXPECT_TRUE(there.take().valid());
    }
  });
  on_new_thread([&] {
    for (int i = 0; i < rounds; ++i) {
      there.put(task(Given(alive)));
      EXPECT_TRUE(back.take().valid());
    }
  });
  other.join();
  EXPECT_LT(allocations() - before, 50u);
  EXPECT_EQ(alive, 0);
}

TEST(FramePool, TasksMadeOnOneThreadAreDestroyedOnAnother) {
  Slot<Task<int>> slot;
  std::atomic<int> alive{0};
  std::thread consumer([&slot] {
    for (int i = 0; i < rounds; ++i) {
      const Task<int> taken = slot.take();
      EXPECT_TRUE(taken.valid());
    }
  });
  for (int i = 0; i < rounds; ++i) slot.put(task(Given(alive)));
  consumer.join();
  EXPECT_EQ(alive, 0);
}

TEST(FramePool, FramesOutliveTheThreadThatMadeThem) {
  std::optional<Task<int>> kept;
  std::atomic<int> alive{0};
  on_new_thread([&] { kept.emplace(task(Given(alive))); });
  EXPECT_EQ(alive, 1);
  kept.reset();
  EXPECT_EQ(alive, 0);
}

TEST(FramePool, FramesCanBeMadeAndFreedWhileAThreadEnds) {
  static std::atomic<int> alive;
  struct Late {
    std::optional<Task<int>> kept;
    ~Late() {
      kept.reset();
      kept.emplace(task(Given(alive)));
      kept.reset();
    }
  };
  alive = 0;
  on_new_thread([] {
    thread_local Late late;  // made before the pool is, so it ends after that
    late.kept.emplace(task(Given(alive)));
    EXPECT_EQ(alive, 1);
  });
  EXPECT_EQ(alive, 0);
}

// Made by a thread whose pool is no more, and kept by another one's.
TEST(FramePool, AFrameMadeWhileAThreadEndsIsAsLargeAsItsSizeClass) {
  static void* late;
  struct Late {
    ~Late() { late = FramePool::allocate(70); }
  };
  std::thread([] {
    static thread_local const Late its_end;
    static_cast<void>(its_end);
    FramePool::release(FramePool::allocate(70), 70);
  }).join();
  EXPECT_GE(usable_size(late), 128U);
  FramePool::release(late, 70);
}

// A burst is forgotten but for what a warm program needs.
TEST(FramePool, KeepsNoMoreThanItsLimitAndNothingAfterATrim) {
  on_new_thread([] {
    constexpr std::size_t size = 4'096;
    std::vector<void*> burst(2 * FramePool::most_kept / size);
    const auto allocations_of_a_burst = [&burst] {
      const std::size_t before = allocations();
      for (void*& memory : burst) memory = FramePool::allocate(size);
      const std::size_t made = allocations() - before;
      for (void* memory : burst) FramePool::release(memory, size);
      return made;
    };
    EXPECT_EQ(allocations_of_a_burst(), burst.size());
    EXPECT_EQ(allocations_of_a_burst(), burst.size() / 2);
    FramePool::trim();
    EXPECT_EQ(allocations_of_a_burst(), burst.size());
  });
}

}  // namespace wev::test
