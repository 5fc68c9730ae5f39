#include "wev/io/handle.hpp"

namespace wev {

void Handle::reset() noexcept {
  if (fd_ >= 0 && owned_) loop_->discard(std::exchange(fd_, -1));
}

}  // namespace wev
