// Durations of any kind on the loop's clock.
#include "wev/base/clock.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <ratio>

#include <gtest/gtest.h>

namespace wev::test {

using namespace std::chrono_literals;

namespace {

template <class Rep, class Period = std::ratio<1>>
using Of = std::chrono::duration<Rep, Period>;

constexpr Duration most = Duration::max();
constexpr Duration least = Duration::min();
constexpr Instant zero{};

}  // namespace

// Also in constant expressions, where overflow would not compile.
static_assert(saturate(1ms) == 1'000'000ns);
static_assert(saturate(std::chrono::hours::max()) == most);
static_assert(saturate(std::chrono::hours::min()) == least);
static_assert(saturate(1.5s) == 1'500ms);
static_assert(saturate(1e300s) == most);
static_assert(after(zero, 5ns) == zero + 5ns);
static_assert(after(zero, most) == never);

TEST(Clock, SaturateKeepsWhatFits) {
  EXPECT_EQ(saturate(0s), 0ns);
  EXPECT_EQ(saturate(7ns), 7ns);
  EXPECT_EQ(saturate(most), most);
  EXPECT_EQ(saturate(least), least);
  EXPECT_EQ(saturate(3us), 3'000ns);
  EXPECT_EQ(saturate(-3h), -10'800s);
  EXPECT_EQ(saturate(Of<std::int8_t>(-128)), -128s);
  EXPECT_EQ(saturate(Of<std::uint64_t, std::nano>(5)), 5ns);
  EXPECT_EQ(saturate(Of<int, std::pico>(2'999)), 2ns);  // towards zero, as duration_cast
  EXPECT_EQ(saturate(Of<double>(0.25)), 250ms);
  EXPECT_EQ(saturate(Of<float, std::milli>(-0.5f)), -500us);
  EXPECT_EQ(saturate(Of<double>(1e-300)), 0ns);
  EXPECT_EQ(saturate(Of<int, std::ratio<1, 60>>(90)), 1'500ms);
}

TEST(Clock, SaturateMeetsTheEndsOfTheRangeInEveryUnit) {
  const auto check = [](auto fits) {
    using D = decltype(fits);
    EXPECT_EQ(saturate(fits), std::chrono::duration_cast<Duration>(fits));
    EXPECT_EQ(saturate(fits + D(1)), most);
    EXPECT_EQ(saturate(-fits), -std::chrono::duration_cast<Duration>(fits));
    EXPECT_EQ(saturate(-fits - D(1)), least);
    EXPECT_EQ(saturate(D::max()), most);
    EXPECT_EQ(saturate(D::min()), least);
  };
  check(std::chrono::floor<std::chrono::microseconds>(most));
  check(std::chrono::floor<std::chrono::milliseconds>(most));
  check(std::chrono::floor<std::chrono::seconds>(most));
  check(std::chrono::floor<Of<std::int64_t, std::ratio<60>>>(most));
  check(std::chrono::floor<Of<std::int64_t, std::ratio<3600>>>(most));
  check(std::chrono::floor<Of<std::int64_t, std::ratio<86400>>>(most));
}

TEST(Clock, SaturateTakesUnsignedAndFloatingExtremes) {
  constexpr auto infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(saturate(Of<std::uint64_t>(UINT64_MAX)), most);
  EXPECT_EQ(saturate(Of<std::uint64_t, std::nano>(UINT64_MAX)), most);
  EXPECT_EQ(saturate(Of<double>(infinity)), most);
  EXPECT_EQ(saturate(Of<double>(-infinity)), least);
  EXPECT_EQ(saturate(Of<double>(std::numeric_limits<double>::max())), most);
  EXPECT_EQ(saturate(Of<double>(std::numeric_limits<double>::lowest())), least);
  EXPECT_EQ(saturate(Of<float>(std::numeric_limits<float>::max())), most);
  EXPECT_EQ(saturate(Of<long double>(std::numeric_limits<long double>::max())), most);
}

TEST(Clock, SaturateMakesNotANumberZero) {
  EXPECT_EQ(saturate(Of<double>(std::nan(""))), 0ns);
  EXPECT_EQ(saturate(Of<float>(-std::nanf(""))), 0ns);
  EXPECT_EQ(saturate(Of<long double>(std::nanl(""))), 0ns);
}

// The largest values that are still inside the range, in types that round them
// up to its end when they are multiplied.
TEST(Clock, SaturateOfFractionsJustInsideTheRangeDoesNotTurnNegative) {
  float seconds = 9223372032.0f;
  double milliseconds = 9223372036854.775390625;
  for (int i = 0; i < 3; ++i) {
    EXPECT_GT(saturate(Of<float>(seconds)), 0ns) << std::fixed << seconds;
    EXPECT_LT(saturate(Of<float>(-seconds)), 0ns) << std::fixed << -seconds;
    EXPECT_GT((saturate(Of<double, std::milli>(milliseconds))), 0ns) << milliseconds;
    EXPECT_LT((saturate(Of<double, std::milli>(-milliseconds))), 0ns) << -milliseconds;
    seconds = std::nextafter(seconds, 0.0f);
    milliseconds = std::nextafter(milliseconds, 0.0);
  }
}

// 200 years are within the range, but not 200 years times the numerator of the
// ratio between the units.
TEST(Clock, SaturateOfUnitsThatDoNotDivideASecondDoesNotOverflowOnTheWay) {
  constexpr std::int64_t seconds_of_200_years = 200LL * 365 * 86400;
  EXPECT_EQ(saturate(Of<std::int64_t, std::ratio<1, 60>>(seconds_of_200_years * 60)),
            std::chrono::seconds(seconds_of_200_years));
  EXPECT_EQ(saturate(Of<std::int64_t, std::ratio<1, 48000>>(seconds_of_200_years * 48000)),
            std::chrono::seconds(seconds_of_200_years));
}

TEST(Clock, AfterIsNeverBefore) {
  for (const Instant from : {zero, zero + 1h, zero - 1h, Instant::min(), Instant::max()}) {
    EXPECT_EQ(after(from, 0ns), from);
    EXPECT_EQ(after(from, -1ns), from);
    EXPECT_EQ(after(from, least), from);
  }
}

TEST(Clock, AfterAddsWhereThatFitsAndElseIsNever) {
  EXPECT_EQ(after(zero + 1s, 2s), zero + 3s);
  EXPECT_EQ(after(zero - 5s, 2s), zero - 3s);
  EXPECT_EQ(after(Instant::min(), most), zero - 1ns);
  EXPECT_EQ(after(zero + 1ns, most), never);
  EXPECT_EQ(after(zero + 1ns, most - 1ns), never);  // it is the same instant
  EXPECT_EQ(after(zero + 1ns, most - 2ns), never - 1ns);
  EXPECT_EQ(after(never, 1ns), never);
  EXPECT_EQ(after(never - 1ns, 2ns), never);
  EXPECT_EQ(after(never - 5ns, 3ns), never - 2ns);
}

}  // namespace wev::test
