// The intrusive list.
#include "wev/base/list.hpp"

#include <deque>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "sim/random.hpp"

namespace wev::test {

namespace {

struct Item : Link {
  explicit Item(int its_number) : number(its_number) {}
  int number;
};

std::vector<int> contents(List<Item>& list) {
  std::vector<int> numbers;
  list.for_each_backwards([&](Item& item) { numbers.insert(numbers.begin(), item.number); });
  return numbers;
}

using Numbers = std::vector<int>;

}  // namespace

TEST(List, ItemsComeOutInTheOrderTheyWentIn) {
  List<Item> list;
  Item a(1);
  Item b(2);
  Item c(3);
  EXPECT_TRUE(list.empty());
  list.push_back(a);
  list.push_back(b);
  list.push_back(c);
  EXPECT_FALSE(list.empty());
  EXPECT_EQ(&list.front(), &a);
  EXPECT_EQ(&list.pop_front(), &a);
  EXPECT_EQ(&list.pop_front(), &b);
  EXPECT_EQ(&list.pop_front(), &c);
  EXPECT_TRUE(list.empty());
}

TEST(List, AnItemKnowsWhetherItIsLinkedAndCanGoIntoAnotherList) {
  List<Item> first;
  List<Item> second;
  Item item(1);
  EXPECT_FALSE(item.linked());
  first.push_back(item);
  EXPECT_TRUE(item.linked());
  first.pop_front();
  EXPECT_FALSE(item.linked());
  second.push_back(item);
  EXPECT_TRUE(first.empty());
  EXPECT_EQ(&second.front(), &item);
}

TEST(List, AnItemLeavesFromAnywhereWithoutItsList) {
  for (std::size_t leaving = 0; leaving < 4; ++leaving) {
    List<Item> list;
    std::deque<Item> items;
    Numbers expected;
    for (int i = 0; i < 4; ++i) {
      list.push_back(items.emplace_back(i));
      if (static_cast<std::size_t>(i) != leaving) expected.push_back(i);
    }
    items[leaving].unlink();
    EXPECT_FALSE(items[leaving].linked());
    EXPECT_EQ(contents(list), expected);
  }
}

TEST(List, UnlinkingWhatIsInNoListIsHarmless) {
  List<Item> list;
  Item a(1);
  Item b(2);
  a.unlink();
  list.push_back(a);
  list.push_back(b);
  a.unlink();
  a.unlink();
  EXPECT_EQ(contents(list), Numbers({2}));
}

TEST(List, TakeMovesAllBehindWhatIsHere) {
  for (int here = 0; here < 3; ++here) {
    for (int there = 0; there < 3; ++there) {
      List<Item> list;
      List<Item> other;
      std::deque<Item> items;
      Numbers expected;
      for (int i = 0; i < here + there; ++i) {
        (i < here ? list : other).push_back(items.emplace_back(i));
        expected.push_back(i);
      }
      list.take(other);
      EXPECT_TRUE(other.empty());
      EXPECT_EQ(contents(list), expected);
      // Both go on.
      Item more(100);
      Item elsewhere(200);
      list.push_back(more);
      other.push_back(elsewhere);
      expected.push_back(100);
      EXPECT_EQ(contents(list), expected);
      EXPECT_EQ(contents(other), Numbers({200}));
      for (int i = 0; i <= here + there; ++i) list.pop_front();
      EXPECT_TRUE(list.empty());
    }
  }
}

TEST(List, ForEachGoesBackwardsAndMayUnlinkWhatItIsAt) {
  List<Item> list;
  std::deque<Item> items;
  for (int i = 0; i < 6; ++i) list.push_back(items.emplace_back(i));
  Numbers seen;
  list.for_each_backwards([&](Item& item) {
    seen.push_back(item.number);
    if (item.number % 2 == 1) item.unlink();
  });
  EXPECT_EQ(seen, Numbers({5, 4, 3, 2, 1, 0}));
  EXPECT_EQ(contents(list), Numbers({0, 2, 4}));
  list.for_each_backwards([](Item& item) { item.unlink(); });
  EXPECT_TRUE(list.empty());
  list.for_each_backwards([](Item&) { FAIL() << "nothing is left"; });
}

TEST(List, AgreesWithAModelOverRandomSteps) {
  Random random(1);
  List<Item> lists[2];
  std::deque<int> models[2];
  std::deque<Item> items;
  for (int i = 0; i < 50; ++i) items.emplace_back(i);
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t which = random.below(2);
    List<Item>& list = lists[which];
    std::deque<int>& model = models[which];
    Item& item = items[random.below(items.size())];
    switch (random.below(8)) {
      case 0:
        if (model.empty()) break;
        ASSERT_EQ(list.pop_front().number, model.front());
        model.pop_front();
        break;
      case 1:
        if (!random.one_in(10)) break;
        list.take(lists[1 - which]);
        model.insert(model.end(), models[1 - which].begin(), models[1 - which].end());
        models[1 - which].clear();
        break;
      default:
        item.unlink();
        for (std::deque<int>& each : models) std::erase(each, item.number);
        if (random.one_in(3)) break;
        list.push_back(item);
        model.push_back(item.number);
    }
    ASSERT_EQ(list.empty(), model.empty());
    if (!model.empty()) {
      ASSERT_EQ(list.front().number, model.front());
    }
    if (step % 50 == 0) {
      ASSERT_EQ(contents(list), Numbers(model.begin(), model.end()));
    }
  }
}

}  // namespace wev::test
