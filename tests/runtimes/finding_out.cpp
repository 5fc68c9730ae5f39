// What it costs to find out what a descriptor is, and what reading the clock
// costs beside it: prints the nanoseconds of the first of stdin, and the median
// of many.
#include <algorithm>
#include <array>
#include <cstdio>

#include "sys/wasi.hpp"
#include "wev/loop/operation.hpp"

namespace {

std::uint64_t clock_ns() {
  std::uint64_t ns = 0;
  wev::sys::wasi::wev_wasi_clock_time_get(wev::sys::wasi::clock_monotonic, 1, &ns);
  return ns;
}

std::uint64_t cost_ns() {
  const std::uint64_t before = clock_ns();
  const auto traits = wev::op::read_type.examine(0, true, nullptr);
  const std::uint64_t after = clock_ns();
  return traits ? after - before : 0;
}

}  // namespace

int main() {
  const std::uint64_t first = cost_ns();
  std::array<std::uint64_t, 101> costs;
  for (auto& cost : costs) cost = cost_ns();
  std::ranges::sort(costs);
  std::printf("%llu %llu\n", static_cast<unsigned long long>(first),
              static_cast<unsigned long long>(costs[costs.size() / 2]));
}
