// The table of descriptors, against a std::map.
#include "wev/loop/descriptor_table.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "sim/random.hpp"
#include "support/allocations.hpp"

namespace wev::test {

namespace {

constexpr int most = std::numeric_limits<int>::max();

// Numbers as systems hand them out: small ones, random ones, and ones that agree
// in many of their bits.
int any_fd(Random& random) {
  switch (random.below(4)) {
    case 0: return static_cast<int>(random.below(40));
    case 1: return static_cast<int>(random.below(200)) << 20;
    case 2: return most - static_cast<int>(random.below(100));
    default: return static_cast<int>(random.next() & 0x7fff'ff00);
  }
}

std::set<int> numbers(DescriptorTable& table) {
  std::set<int> all;
  table.for_each([&](Descriptor& descriptor) {
    EXPECT_TRUE(all.insert(descriptor.number).second) << descriptor.number << " twice";
  });
  return all;
}

}  // namespace

TEST(DescriptorTable, AnEmptyOneFindsNothing) {
  DescriptorTable table;
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(table.find(0), nullptr);
  EXPECT_EQ(table.find(most), nullptr);
  EXPECT_TRUE(numbers(table).empty());
}

TEST(DescriptorTable, ObtainMakesOnceAndFindsAfterwards) {
  DescriptorTable table;
  for (const int fd : {0, 3, most}) {
    Descriptor* made = table.obtain(fd);
    ASSERT_NE(made, nullptr);
    EXPECT_EQ(made->number, fd);
    EXPECT_EQ(made->backend_flags, 0u);
    EXPECT_FALSE(made->bad);
    EXPECT_EQ(made->close, nullptr);
    EXPECT_TRUE(made->idle());
    EXPECT_EQ(table.obtain(fd), made);
    EXPECT_EQ(table.find(fd), made);
  }
  EXPECT_EQ(table.size(), 3u);
  EXPECT_EQ(numbers(table), (std::set<int>{0, 3, most}));
}

TEST(DescriptorTable, ARecycledEntryKnowsNothingOfItsFormerLife) {
  DescriptorTable table;
  Completion close;
  Descriptor* first = table.obtain(5);
  ASSERT_NE(first, nullptr);
  first->backend_flags = 42;
  first->bad = true;
  first->close = &close;
  table.erase(*first);
  EXPECT_EQ(table.find(5), nullptr);
  EXPECT_EQ(table.size(), 0u);

  const std::size_t before = allocations();
  Descriptor* second = table.obtain(6);
  EXPECT_EQ(allocations(), before);
  EXPECT_EQ(second, first);
  EXPECT_EQ(second->number, 6);
  EXPECT_EQ(second->backend_flags, 0u);
  EXPECT_FALSE(second->bad);
  EXPECT_EQ(second->close, nullptr);
}

TEST(DescriptorTable, EntriesDoNotMoveWhenItGrows) {
  DescriptorTable table;
  std::map<int, Descriptor*> model;
  for (int i = 0; i < 5'000; ++i) {
    const int fd = i % 2 == 0 ? i : most - i;
    Descriptor* descriptor = table.obtain(fd);
    ASSERT_NE(descriptor, nullptr);
    ASSERT_TRUE(model.emplace(fd, descriptor).second);
  }
  for (const auto& [fd, descriptor] : model) ASSERT_EQ(table.find(fd), descriptor);
  EXPECT_EQ(table.size(), model.size());
}

// Not that no queue holds anything: what has ended in the backend has left them.
TEST(DescriptorTable, IdleMeansThatNothingUsesIt) {
  DescriptorTable table;
  Descriptor* descriptor = table.obtain(1);
  ASSERT_NE(descriptor, nullptr);
  EXPECT_TRUE(descriptor->idle());
  descriptor->users = 1;
  EXPECT_FALSE(descriptor->idle());
  descriptor->users = 0;
  EXPECT_TRUE(descriptor->idle());
}

TEST(DescriptorTable, AgreesWithAMapOverRandomSteps) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    DescriptorTable table;
    std::map<int, Descriptor*> model;
    std::uint32_t mark = 0;
    std::map<int, std::uint32_t> marks;
    for (int step = 0; step < 30'000; ++step) {
      const int fd = any_fd(random);
      const auto known = model.find(fd);
      ASSERT_EQ(table.find(fd), known == model.end() ? nullptr : known->second);
      const bool growing = step / 3'000 % 2 == 0;
      if (known == model.end()) {
        if (!growing && !random.one_in(4)) continue;
        Descriptor* made = table.obtain(fd);
        ASSERT_NE(made, nullptr);
        ASSERT_EQ(made->number, fd);
        ASSERT_EQ(made->backend_flags, 0u);
        made->backend_flags = marks[fd] = ++mark;
        model.emplace(fd, made);
      } else if (random.one_in(growing ? 4 : 1)) {
        table.erase(*known->second);
        marks.erase(fd);
        model.erase(known);
      }
      // Erasing closes gaps that probes for others go across, so one of them too.
      if (!growing && !model.empty()) {
        auto other = model.lower_bound(any_fd(random));
        if (other == model.end()) other = model.begin();
        table.erase(*other->second);
        marks.erase(other->first);
        model.erase(other);
      }
      ASSERT_EQ(table.size(), model.size());
      if (step % 100 != 0) continue;
      for (const auto& [number, descriptor] : model) {
        ASSERT_EQ(table.find(number), descriptor);
        ASSERT_EQ(descriptor->backend_flags, marks[number]);
      }
      std::set<int> expected;
      for (const auto& entry : model) expected.insert(entry.first);
      ASSERT_EQ(numbers(table), expected);
    }
  }
}

// Neighbours fill one run of slots, and each erased one leaves a hole in it.
TEST(DescriptorTable, ErasingInAnyOrderLeavesTheOthersToBeFound) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    DescriptorTable table;
    std::vector<int> present;
    // The fullest that 16 slots get.
    while (present.size() < 12) {
      const int fd = any_fd(random);
      if (std::ranges::find(present, fd) != present.end()) continue;
      present.push_back(fd);
      ASSERT_NE(table.obtain(fd), nullptr);
    }
    while (!present.empty()) {
      const std::size_t i = random.below(present.size());
      Descriptor* descriptor = table.find(present[i]);
      ASSERT_NE(descriptor, nullptr);
      table.erase(*descriptor);
      ASSERT_EQ(table.find(present[i]), nullptr);
      present.erase(present.begin() + static_cast<std::ptrdiff_t>(i));
      for (const int fd : present) {
        ASSERT_NE(table.find(fd), nullptr);
        ASSERT_EQ(table.find(fd)->number, fd);
      }
    }
  }
}

TEST(DescriptorTable, ForEachMayEraseWhatItIsCalledWith) {
  DescriptorTable table;
  for (int fd = 0; fd < 100; ++fd) ASSERT_NE(table.obtain(fd), nullptr);
  // One may be passed over, so it takes some rounds.
  int rounds = 0;
  while (table.size() > 0) {
    ASSERT_LT(++rounds, 10);
    table.for_each([&](Descriptor& descriptor) { table.erase(descriptor); });
  }
  for (int fd = 0; fd < 100; ++fd) EXPECT_EQ(table.find(fd), nullptr);
}

TEST(DescriptorTable, OutOfMemoryChangesNothing) {
  DescriptorTable table;
  int refused = 0;
  for (int fd = 0; fd < 200; ++fd) {
    Descriptor* made = nullptr;
    {
      const NoMemory no_memory;
      made = table.obtain(fd);
    }
    if (made == nullptr) {
      ++refused;
      ASSERT_EQ(table.find(fd), nullptr);
      ASSERT_EQ(table.size(), static_cast<std::size_t>(fd));
      for (int other = 0; other < fd; ++other) ASSERT_NE(table.find(other), nullptr);
      made = table.obtain(fd);
    }
    ASSERT_NE(made, nullptr);
    ASSERT_EQ(table.size(), static_cast<std::size_t>(fd) + 1);
  }
  EXPECT_EQ(refused, 200);  // a new entry is an allocation of its own
}

TEST(DescriptorTable, OnceWarmItNeedsNoMemory) {
  DescriptorTable table;
  std::vector<Descriptor*> held;
  const auto round = [&](int offset) {
    for (int fd = 0; fd < 100; ++fd) held.push_back(table.obtain(fd * 1'000 + offset));
    for (Descriptor* descriptor : held) {
      ASSERT_NE(descriptor, nullptr);
      table.erase(*descriptor);
    }
    held.clear();
  };
  round(0);
  const NoMemory no_memory;
  for (int i = 1; i < 50; ++i) round(i);
  EXPECT_EQ(table.size(), 0u);
}

}  // namespace wev::test
