#include <cstdlib>

#include "support/threads.hpp"

namespace wev::test {

const char* why_no_threads() { return "the toolchain's WASI has no threads"; }

Joiner spawn(std::function<void()>) { std::abort(); }

}  // namespace wev::test
