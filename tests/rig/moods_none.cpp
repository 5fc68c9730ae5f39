#include "rig/native.hpp"

namespace wev::test {

bool set_moods(std::uint64_t) { return false; }

}  // namespace wev::test
