// kqueue.hpp: the poller of macOS's and FreeBSD's kqueue.
//
// Each descriptor is added once, to be told of changes (EV_CLEAR), when it is first used, and
// for writing when that first has to wait. It stays so until it is closed or forgotten.
#pragma once

#include <span>

#include "backend/readiness.hpp"
#include "sys/posix.hpp"

namespace wev {

class Kqueue final : public ReadinessBackend {
 public:
  static constexpr const char* listed_as = "kqueue";

  explicit Kqueue(const BackendOptions& options) noexcept;

  ~Kqueue() override;

  [[nodiscard]] const char* name() const noexcept override { return listed_as; }
  Expected<int> pollable() override { return unless_lost(kqueue_.get()); }

 private:
  Expected<bool> add(Descriptor& descriptor) noexcept override;
  Expected<void> add_writing(Descriptor& descriptor) noexcept override;
  void remove(Descriptor& descriptor) noexcept override;
  Expected<void> poll(Instant until, Instant now) noexcept override;

  [[nodiscard]] Expected<bool> change(int fd, std::span<const std::int16_t> filters,
                                      std::uint16_t flags, void* userdata) noexcept;

  sys::OwnedFd kqueue_;
};

}  // namespace wev
