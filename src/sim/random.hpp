// random.hpp: numbers that a seed decides, the same on every platform.
#pragma once

#include <cstddef>
#include <cstdint>

#include "wev/base/clock.hpp"

namespace wev {

/// SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom
/// number generators", OOPSLA 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// 0 to bound - 1. REQUIRES: bound > 0.
  std::size_t below(std::size_t bound) noexcept { return static_cast<std::size_t>(next() % bound); }
  /// True once in `n`.
  bool one_in(std::size_t n) noexcept { return below(n) == 0; }
  /// How long a busy machine keeps from going on: now and then up to `longest`.
  Duration stall(Duration longest) noexcept {
    if (longest <= Duration::zero() || !one_in(8)) return Duration::zero();
    return Duration(below(static_cast<std::size_t>(longest.count())));
  }

 private:
  std::uint64_t state_;
};

}  // namespace wev
