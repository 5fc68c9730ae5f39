#include "fake/kqueue/moods.hpp"
#include "rig/native.hpp"

namespace wev::test {

bool set_moods(std::uint64_t seed) {
  wev_kqueue_set_moods(seed);
  return true;
}

}  // namespace wev::test
