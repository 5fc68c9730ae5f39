// epoll.hpp: the poller of Linux's epoll.
//
// Each descriptor is registered once, edge-triggered, when it is first used, and for writing
// when that first has to wait. It stays so until it is closed or forgotten.
#pragma once

#include "backend/readiness.hpp"
#include "sys/posix.hpp"

struct epoll_event;

namespace wev {

class Epoll final : public ReadinessBackend {
 public:
  static constexpr const char* listed_as = "epoll";

  explicit Epoll(const BackendOptions& options) noexcept;

  [[nodiscard]] const char* name() const noexcept override { return listed_as; }
  Expected<int> pollable() override { return unless_lost(epoll_.get()); }

 private:
  Expected<bool> add(Descriptor& descriptor) noexcept override;
  Expected<void> add_writing(Descriptor& descriptor) noexcept override;
  void remove(Descriptor& descriptor) noexcept override;
  Expected<void> poll(Instant until, Instant now) noexcept override;

  int wait(epoll_event* events, int most, Instant until, Instant now) noexcept;
  void take(Descriptor& descriptor, std::uint32_t events) noexcept;

  sys::OwnedFd epoll_;
  bool fine_;  // timeouts in nanoseconds
};

}  // namespace wev
