// threads.hpp: other threads, where there are any.
#pragma once

#include <functional>

namespace wev::test {

/// Why there are none; nullptr: there are.
const char* why_no_threads();

/// Waits for the thread's end. Called once.
using Joiner = std::function<void()>;

/// REQUIRES: there are threads.
Joiner spawn(std::function<void()> f);

}  // namespace wev::test
