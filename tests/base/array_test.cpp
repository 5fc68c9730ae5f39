// The growing array.
#include "wev/base/array.hpp"

#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

#include "support/allocations.hpp"

namespace wev::test {

TEST(Array, BeginsEmptyWithoutAllocating) {
  const std::size_t before = allocations();
  Array<int> array;
  EXPECT_TRUE(array.empty());
  EXPECT_EQ(array.size(), 0u);
  EXPECT_EQ(array.capacity(), 0u);
  EXPECT_EQ(array.data(), nullptr);
  EXPECT_EQ(allocations(), before);
}

TEST(Array, KeepsWhatIsPushedAcrossGrowth) {
  Array<std::uint64_t> array;
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    ASSERT_TRUE(array.push_back(i * i));
    ASSERT_EQ(array.size(), i + 1);
    ASSERT_EQ(array.back(), i * i);
  }
  const Array<std::uint64_t>& same = array;
  for (std::uint64_t i = 0; i < 10'000; ++i) ASSERT_EQ(same[i], i * i);
  EXPECT_EQ(array.data(), &array[0]);
  EXPECT_FALSE(array.empty());
}

TEST(Array, GrowsByDoubling) {
  Array<char> array;
  const std::size_t before = allocations();
  for (int i = 0; i < 1'000'000; ++i) ASSERT_TRUE(array.push_back('x'));
  EXPECT_LE(allocations() - before, 20u);
}

TEST(Array, NeverShrinksSoAWarmOneAllocatesNothing) {
  Array<int> array;
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(array.push_back(i));
  const std::size_t capacity = array.capacity();
  const std::size_t before = allocations();
  array.clear();
  EXPECT_TRUE(array.empty());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(array.push_back(-i));
  for (int i = 99; i >= 0; --i) {
    ASSERT_EQ(array.back(), -i);
    array.pop_back();
  }
  EXPECT_TRUE(array.empty());
  EXPECT_EQ(array.capacity(), capacity);
  EXPECT_EQ(allocations(), before);
}

TEST(Array, WhatIsReservedIsPushedWithoutMemory) {
  Array<int> array;
  ASSERT_TRUE(array.reserve(37));
  EXPECT_GE(array.capacity(), 37u);
  EXPECT_EQ(array.size(), 0u);
  const NoMemory no_memory;
  bool pushed = true;
  for (int i = 0; i < 37; ++i) pushed = array.push_back(i) && pushed;
  EXPECT_TRUE(pushed);
  EXPECT_TRUE(array.reserve(5));  // there already
}

TEST(Array, OutOfMemoryChangesNothing) {
  Array<int> array;
  while (array.size() < 8 || array.size() < array.capacity()) {
    ASSERT_TRUE(array.push_back(static_cast<int>(array.size())));
  }
  const std::size_t size = array.size();
  int* const data = array.data();
  bool pushed = true;
  bool reserved = true;
  {
    const NoMemory no_memory;
    pushed = array.push_back(-1);
    reserved = array.reserve(size * 10);
  }
  EXPECT_FALSE(pushed);
  EXPECT_FALSE(reserved);
  EXPECT_EQ(array.data(), data);
  ASSERT_EQ(array.size(), size);
  EXPECT_EQ(array.capacity(), size);
  for (std::size_t i = 0; i < size; ++i) EXPECT_EQ(array[i], static_cast<int>(i));
  EXPECT_TRUE(array.push_back(-1));
  EXPECT_EQ(array.back(), -1);
}

// Sizes whose number of bytes would not fit must not wrap around into small ones.
TEST(Array, AbsurdSizesAreRefused) {
  struct Big {
    char bytes[1024];
  };
  constexpr auto most = std::numeric_limits<std::size_t>::max();
  Array<Big> array;
  ASSERT_TRUE(array.push_back({}));
  const std::size_t capacity = array.capacity();
  for (const std::size_t count : {most, most / 2, most / sizeof(Big), most / sizeof(Big) + 2}) {
    EXPECT_FALSE(array.reserve(count));
  }
  EXPECT_EQ(array.capacity(), capacity);
  EXPECT_EQ(array.size(), 1u);
}

}  // namespace wev::test
