// process.hpp: what the system says of this process.
#pragma once

#include <cstddef>

namespace wev::test {

/// Descriptors that are open; the one that counting takes is among them.
std::size_t open_descriptors();
std::size_t threads();

}  // namespace wev::test
