// The heap of deadlines, against a sorted list.
#include "wev/loop/timer_heap.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "sim/random.hpp"
#include "support/allocations.hpp"

namespace wev::test {

using namespace std::chrono_literals;

namespace {

Instant at(std::int64_t ns) { return Instant(Duration(ns)); }

// Takes all out, in order.
std::vector<Completion*> take_all(TimerHeap& heap) {
  std::vector<Completion*> taken;
  while (Completion* first = heap.first()) {
    heap.remove(*first);
    taken.push_back(first);
  }
  return taken;
}

// A heap, and the same kept sorted in the simplest way.
class Model {
 public:
  bool contains(const Completion& completion) const { return find(completion) != sorted_.end(); }

  void insert(Completion& completion, Instant deadline) {
    completion.set_deadline(deadline);
    ASSERT_TRUE(heap.insert(completion));
    place(completion);
  }
  void move(Completion& completion, Instant deadline) {
    completion.set_deadline(deadline);
    heap.move(completion);
    sorted_.erase(find(completion));
    place(completion);
  }
  void remove(Completion& completion) {
    heap.remove(completion);
    sorted_.erase(find(completion));
  }

  void check() const {
    ASSERT_EQ(heap.size(), sorted_.size());
    ASSERT_EQ(heap.first(), first());
  }
  Completion* first() const { return sorted_.empty() ? nullptr : sorted_.front(); }
  std::size_t size() const { return sorted_.size(); }

  TimerHeap heap;

 private:
  // Behind all that have the same deadline.
  void place(Completion& completion) {
    sorted_.insert(std::ranges::upper_bound(sorted_, completion.deadline(), {},
                                            [](const Completion* c) { return c->deadline(); }),
                   &completion);
  }
  std::vector<Completion*>::const_iterator find(const Completion& completion) const {
    return std::ranges::find(sorted_, &completion);
  }

  std::vector<Completion*> sorted_;
};

}  // namespace

TEST(TimerHeap, AnEmptyOneHasNoFirst) {
  TimerHeap heap;
  EXPECT_EQ(heap.first(), nullptr);
  EXPECT_EQ(heap.size(), 0u);
}

TEST(TimerHeap, DeadlinesComeOutEarliestFirst) {
  // Every order of seven, which reaches the third level.
  std::vector<int> order = {0, 1, 2, 3, 4, 5, 6};
  do {
    std::deque<Completion> completions(order.size());
    TimerHeap heap;
    for (const int i : order) {
      Completion& completion = completions[static_cast<std::size_t>(i)];
      completion.set_deadline(at(i));
      ASSERT_TRUE(heap.insert(completion));
    }
    for (Completion& expected : completions) {
      ASSERT_EQ(heap.first(), &expected);
      heap.remove(expected);
    }
  } while (std::ranges::next_permutation(order).found);
}

TEST(TimerHeap, EqualDeadlinesComeOutInInsertionOrder) {
  std::deque<Completion> completions(1'000);
  TimerHeap heap;
  for (std::size_t i = 0; i < completions.size(); ++i) {
    completions[i].set_deadline(at(static_cast<std::int64_t>(i % 3)));
    ASSERT_TRUE(heap.insert(completions[i]));
  }
  const std::vector<Completion*> taken = take_all(heap);
  ASSERT_EQ(taken.size(), completions.size());
  for (std::size_t i = 1; i < taken.size(); ++i) {
    const auto key = [&](std::size_t k) {
      const auto index =
          std::ranges::find_if(completions, [&](const Completion& c) { return &c == taken[k]; });
      return std::tuple(taken[k]->deadline(), index - completions.begin());
    };
    ASSERT_LT(key(i - 1), key(i));
  }
}

TEST(TimerHeap, AMovedOneStandsBehindOthersWithTheSameDeadline) {
  std::deque<Completion> completions(10);
  TimerHeap heap;
  for (Completion& completion : completions) {
    completion.set_deadline(at(5));
    ASSERT_TRUE(heap.insert(completion));
  }
  heap.move(completions[0]);  // to where it is
  completions[3].set_deadline(at(1));
  heap.move(completions[3]);
  EXPECT_EQ(heap.first(), &completions[3]);
  completions[3].set_deadline(at(5));
  heap.move(completions[3]);
  std::vector<Completion*> expected;
  for (const std::size_t i : {1, 2, 4, 5, 6, 7, 8, 9, 0, 3}) expected.push_back(&completions[i]);
  EXPECT_EQ(take_all(heap), expected);
}

TEST(TimerHeap, TheEndsOfTheClockAreDeadlinesLikeOthers) {
  std::deque<Completion> completions(5);
  const std::vector<Instant> deadlines = {never, at(0), Instant::min(), at(-1), never - 1ns};
  TimerHeap heap;
  for (std::size_t i = 0; i < 5; ++i) {
    completions[i].set_deadline(deadlines[i]);
    ASSERT_TRUE(heap.insert(completions[i]));
  }
  std::vector<Completion*> expected;
  for (const std::size_t i : {2, 3, 1, 4, 0}) expected.push_back(&completions[i]);
  EXPECT_EQ(take_all(heap), expected);
}

// Few distinct deadlines make ties, many make depth.
TEST(TimerHeap, AgreesWithASortedListOverRandomSteps) {
  for (const std::size_t distinct : {1, 3, 50, 1'000'000}) {
    SCOPED_TRACE(distinct);
    Random random(distinct);
    std::deque<Completion> completions(300);
    Model model;
    for (int step = 0; step < 30'000; ++step) {
      Completion& any = completions[random.below(completions.size())];
      const Instant deadline = at(static_cast<std::int64_t>(random.below(distinct)));
      // Long waves of growing and of shrinking.
      const bool growing = step / 1'000 % 2 == 0;
      if (!model.contains(any)) {
        if (growing || random.one_in(4)) model.insert(any, deadline);
      } else if (random.one_in(2)) {
        model.move(any, deadline);
      } else if (!growing || random.one_in(4)) {
        model.remove(any);
      }
      if (random.one_in(8) && model.first() != nullptr) model.remove(*model.first());
      model.check();
      if (testing::Test::HasFatalFailure()) FAIL() << "at step " << step;
    }
    while (model.first() != nullptr) {
      model.remove(*model.first());
      model.check();
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(TimerHeap, OutOfMemoryChangesNothing) {
  std::deque<Completion> completions(200);
  TimerHeap heap;
  std::size_t inside = 0;
  for (Completion& completion : completions) {
    completion.set_deadline(at(static_cast<std::int64_t>(inside * 7 % 11)));
    bool inserted = false;
    {
      const NoMemory no_memory;
      inserted = heap.insert(completion);
    }
    if (!inserted) {
      ASSERT_EQ(heap.size(), inside);
      ASSERT_TRUE(heap.insert(completion));
    }
    ++inside;
    ASSERT_EQ(heap.size(), inside);
  }
  const std::vector<Completion*> taken = take_all(heap);
  EXPECT_EQ(taken.size(), completions.size());
  EXPECT_TRUE(std::ranges::is_sorted(taken, {}, [](const Completion* c) { return c->deadline(); }));
}

TEST(TimerHeap, OnceWarmItAllocatesNothing) {
  std::deque<Completion> completions(100);
  TimerHeap heap;
  const auto round = [&] {
    for (std::size_t i = 0; i < completions.size(); ++i) {
      completions[i].set_deadline(at(static_cast<std::int64_t>(i * 37 % 100)));
      if (!heap.insert(completions[i])) ADD_FAILURE();
    }
    while (Completion* first = heap.first()) heap.remove(*first);
  };
  round();
  const std::size_t before = allocations();
  round();
  EXPECT_EQ(allocations(), before);
}

}  // namespace wev::test
