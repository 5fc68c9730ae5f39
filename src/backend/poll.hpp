// poll.hpp: the poller of POSIX's poll(2), where a system has no better one.
//
// Each call costs the system what is polled, so only descriptors are handed to it on which an
// operation waits.
#pragma once

#include <poll.h>

#include "backend/readiness.hpp"
#include "wev/base/array.hpp"

namespace wev {

class Poll final : public ReadinessBackend {
 public:
  static constexpr const char* listed_as = "poll";

  explicit Poll(const BackendOptions& options) noexcept;

  [[nodiscard]] const char* name() const noexcept override { return listed_as; }
  [[nodiscard]] Instant look_by(Instant looked_at) const override;

 private:
  Expected<bool> add(Descriptor& descriptor) noexcept override;
  void remove(Descriptor& descriptor) noexcept override;
  void watch(Descriptor& descriptor, Direction direction, bool waits) noexcept override;
  Expected<void> poll(Instant until, Instant now) noexcept override;

  void take(Descriptor& descriptor, short events) noexcept;
  void leave_out(std::size_t index) noexcept;
  void bring_back() noexcept;

  // [0] is the waker's, [i] of owners_[i], whose backend_index is i; 0: it is not polled.
  Array<pollfd> polled_;
  Array<Descriptor*> owners_;
  std::size_t added_ = 0;           // there is room for all of them
  Instant left_out_until_ = never;  // some are until then
};

}  // namespace wev
