#include "wev/io/handle.hpp"

namespace wev {

void Handle::reset() noexcept {
  const int fd = let_go();
  if (owned_) loop_->discard(fd);
}

}  // namespace wev
