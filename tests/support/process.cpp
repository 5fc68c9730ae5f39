#include "support/process.hpp"

#include <filesystem>
#include <iterator>

namespace wev::test {

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

std::set<std::string> threads() {
  std::set<std::string> ids;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    ids.insert(thread.path().filename());
  }
  return ids;
}

std::set<std::string> threads_since(const std::set<std::string>& before) {
  std::set<std::string> now = threads();
  std::erase_if(now, [&](const std::string& id) { return before.contains(id); });
  return now;
}

}  // namespace wev::test
