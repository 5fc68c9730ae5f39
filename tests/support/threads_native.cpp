#include <memory>
#include <thread>

#include "support/threads.hpp"

namespace wev::test {

const char* why_no_threads() { return nullptr; }

Joiner spawn(std::function<void()> f) {
  auto thread = std::make_shared<std::thread>(std::move(f));
  return [thread] { thread->join(); };
}

}  // namespace wev::test
