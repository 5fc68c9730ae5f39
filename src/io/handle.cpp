#include "wev/io/handle.hpp"

namespace wev {

void Handle::reset() noexcept {
  const int fd = let_go();
  if (fd >= 0 && owned_) loop_->discard(fd);
}

}  // namespace wev
