// arguments.hpp: a guest's arguments, also on a host that passes none: there
// they come through the environment, as hosts/hosts.sh sends them.
#pragma once

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

inline std::vector<std::string> arguments(int argc, char** argv) {
  std::vector<std::string> all(argv + (argc > 0 ? 1 : 0), argv + argc);
  const char* text = std::getenv("WEV_ARGUMENTS");
  if (!all.empty() || text == nullptr) return all;
  while (*text != '\0') {
    const std::size_t size = std::strcspn(text, " ");
    if (size > 0) all.emplace_back(text, size);
    text += size + (text[size] == ' ' ? 1 : 0);
  }
  return all;
}
