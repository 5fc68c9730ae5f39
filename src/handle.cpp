#include "wev/handle.hpp"

namespace wev {

namespace {

// Closes what its owner has let go of while operations were in flight.
struct Closer : Allocated {
  Completion completion;

  static Action on_closed(void* self, Loop&, Completion&, Result) {
    delete static_cast<Closer*>(self);
    return Action::disarm;
  }
};

}  // namespace

void Handle::reset() noexcept {
  if (fd_ < 0 || !owned_) return;
  const int fd = std::exchange(fd_, -1);
  if (loop_->forget(fd)) {
    (void)loop_->perform(op::close(fd));
    return;
  }
  auto* closer = new (std::nothrow) Closer;
  WEV_ASSERT(closer != nullptr, "~Handle: no memory to close what is in use; close() it before");
  loop_->add(closer->completion, op::close(fd), closer, Closer::on_closed);
}

}  // namespace wev
