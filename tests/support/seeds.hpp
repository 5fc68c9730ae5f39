// seeds.hpp: more seeds than usual, when somebody asks for them.
//
//   WEV_SEEDS=50 ./dev test     suites that run with several seeds run with so many
//   WEV_SEED=7 ./dev test       the others' random programs are of this one
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace wev::test {

inline std::uint64_t number_of(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// At least `usual`.
inline std::uint64_t seeds(std::uint64_t usual) {
  const std::uint64_t asked = number_of("WEV_SEEDS", usual);
  return asked > usual ? asked : usual;
}

/// As they stand in front of the command that repeats a test.
inline std::string seeds_asked_for() {
  std::string all;
  for (const char* variable : {"WEV_SEEDS", "WEV_SEED"}) {
    if (const char* text = std::getenv(variable)) all += std::string(variable) + '=' + text + ' ';
  }
  return all;
}

}  // namespace wev::test
