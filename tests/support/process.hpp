// process.hpp: what the system says of this process.
#pragma once

#include <cstddef>
#include <set>
#include <string>

namespace wev::test {

/// Descriptors that are open; the one that counting takes is among them.
std::size_t open_descriptors();

/// The ids of this process's threads. One that was joined may be among them for
/// a moment more: it tells that it is over before it is.
std::set<std::string> threads();
/// Those that were not there `before`.
std::set<std::string> threads_since(const std::set<std::string>& before);

}  // namespace wev::test
