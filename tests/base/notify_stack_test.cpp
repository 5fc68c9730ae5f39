// The stack that other threads push on.
#include "wev/base/notify_stack.hpp"

#include <atomic>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace wev::test {

namespace {

struct Item {
  int thread = 0;
  int number = 0;
  Item* next = nullptr;

  Item*& notify_next() noexcept { return next; }
};

using Stack = NotifyStack<Item>;

std::vector<int> take(Stack& stack) {
  std::vector<int> numbers;
  stack.take([&](Item& item) { numbers.push_back(item.number); });
  return numbers;
}

using Numbers = std::vector<int>;

}  // namespace

TEST(NotifyStack, TakesAllOldestFirst) {
  Stack stack;
  EXPECT_TRUE(stack.empty());
  EXPECT_EQ(take(stack), Numbers());
  Item a{0, 1};
  Item b{0, 2};
  Item c{0, 3};
  (void)stack.push(a);
  (void)stack.push(b);
  (void)stack.push(c);
  EXPECT_FALSE(stack.empty());
  EXPECT_EQ(take(stack), Numbers({1, 2, 3}));
  EXPECT_TRUE(stack.empty());
}

// Whoever gets true has to wake the loop, so one of each batch gets it.
TEST(NotifyStack, OnlyThePushOntoAnEmptyStackSaysSo) {
  Stack stack;
  Item a{0, 1};
  Item b{0, 2};
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(stack.push(a));
    EXPECT_FALSE(stack.push(b));
    EXPECT_EQ(take(stack), Numbers({1, 2}));
  }
}

TEST(NotifyStack, WhatIsPushedWhileTakingComesWithTheNextTake) {
  Stack stack;
  Item a{0, 1};
  Item b{0, 2};
  (void)stack.push(a);
  (void)stack.push(b);
  Numbers seen;
  stack.take([&](Item& item) {
    seen.push_back(item.number);
    if (item.number != 1) return;
    EXPECT_TRUE(stack.push(item));
  });
  EXPECT_EQ(seen, Numbers({1, 2}));
  EXPECT_EQ(take(stack), Numbers({1}));
}

TEST(NotifyStack, WhatIsTakenMayBeFreedAtOnce) {
  Stack stack;
  constexpr int count = 10;
  for (int i = 0; i < count; ++i) (void)stack.push(*new Item{0, i});
  int freed = 0;
  stack.take([&](Item& item) {
    EXPECT_EQ(item.number, freed);
    delete &item;
    ++freed;
  });
  EXPECT_EQ(freed, count);
}

TEST(NotifyStack, FromManyThreadsNothingIsLostAndEachThreadsOrderIsKept) {
  constexpr int threads = 4;
  constexpr int each = 20'000;
  Stack stack;
  std::vector<std::deque<Item>> items(threads);
  std::vector<std::thread> running;
  std::atomic<int> pushed_on_empty{0};
  for (int t = 0; t < threads; ++t) {
    auto& mine = items[static_cast<std::size_t>(t)];
    for (int i = 0; i < each; ++i) mine.push_back({t, i});
    running.emplace_back([&] {
      for (Item& item : mine) {
        if (stack.push(item)) pushed_on_empty.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  std::vector<int> next(threads, 0);
  int total = 0;
  int batches = 0;
  bool in_order = true;
  while (total < threads * each) {
    bool any = false;
    stack.take([&](Item& item) {
      int& expected = next[static_cast<std::size_t>(item.thread)];
      in_order = in_order && item.number == expected;
      ++expected;
      ++total;
      any = true;
    });
    if (any) ++batches;
  }
  for (std::thread& thread : running) thread.join();
  EXPECT_TRUE(stack.empty());
  EXPECT_TRUE(in_order);
  EXPECT_EQ(total, threads * each);
  // One wake for each batch, none too few: a sleeping loop would miss it.
  EXPECT_EQ(pushed_on_empty.load(), batches);
}

// Items come back as soon as they were taken, as Asyncs do.
TEST(NotifyStack, ItemsThatArePushedAgainAtOnceAreNotLost) {
  constexpr int threads = 3;
  constexpr int each = 10'000;
  struct Again {
    std::atomic<bool> free{true};
    int value = 0;  // written before the push, read after the take
    Again* next = nullptr;
    Again*& notify_next() noexcept { return next; }
  };
  NotifyStack<Again> stack;
  std::vector<std::unique_ptr<Again>> items;
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t) {
    Again& mine = *items.emplace_back(std::make_unique<Again>());
    running.emplace_back([&stack, &mine] {
      for (int i = 0; i < each; ++i) {
        while (!mine.free.exchange(false, std::memory_order_acquire)) std::this_thread::yield();
        mine.value = i;
        (void)stack.push(mine);
      }
    });
  }
  int total = 0;
  long long sum = 0;
  while (total < threads * each) {
    stack.take([&](Again& item) {
      sum += item.value;
      ++total;
      item.free.store(true, std::memory_order_release);
    });
  }
  for (std::thread& thread : running) thread.join();
  EXPECT_EQ(sum, threads * (each * (each - 1LL) / 2));
}

}  // namespace wev::test
