// wasi_poll.hpp: the loop on WASI 0.1's poll_oneoff.
//
// Hosts differ in nearly everything that poll_oneoff does. What follows from
// that is in DESIGN.md ("poll_oneoff on real hosts"); in one sentence: what the
// host says is a hint, the clock and the operation itself tell the truth.
#pragma once

#include <atomic>

#include "backend/poll_set.hpp"
#include "wev/backend/backends.hpp"

namespace wev {

class WasiPoll final : public Backend {
 public:
  explicit WasiPoll(const WasiTraits& traits = {}) noexcept
      : traits_(traits),
        returns_for_any_(traits.returns_for_any == Trait::yes),
        one_per_call_(traits.takes_several == Trait::no) {}

  [[nodiscard]] const char* name() const noexcept override { return "wasi_poll"; }
  Expected<void> know(Descriptor& descriptor, const Operation& operation) override;
  std::optional<Result> start(Completion& completion) override;
  std::optional<Result> cancel(Completion& completion) override;
  /// On hosts that report a descriptor only after a while (Node) one look in a few takes
  /// a millisecond.
  Expected<void> collect(CompletionQueue& done) override;
  Expected<void> sleep(Instant until) override;
  void wake() noexcept override { woken_.store(true, std::memory_order_release); }
  [[nodiscard]] Instant now() const override;
  [[nodiscard]] Instant look_by(Instant looked_at) const override;

 private:
  // What was found out about a descriptor, in Descriptor::backend_flags.
  enum : std::uint32_t {
    nonblocking = 1,    // the host accepted the flag
    always_ready = 2,   // a file or directory: carry out, do not poll
    may_be_socket = 4,  // sock_* calls are safe
    // These are of reading, and shifted by one of writing.
    unpollable = 8,  // the host refused to poll it
    vain = 32,       // the host called it ready, and it was not
    told = 128,      // the host told that it was ready, and it was
    // Of files, as they were opened.
    no_reading = 512,
    no_writing = 1024,
  };
  [[nodiscard]] static std::uint32_t of(std::uint32_t flag, const Completion& completion) noexcept {
    return completion.operation().type->direction == Direction::in ? flag : flag << 1;
  }

  static bool refuses_to_poll(const Completion& completion);
  static bool can_try(const Completion& completion);
  static std::optional<Result> try_now(const Completion& completion);
  static std::optional<Result> carry_out(const Completion& completion);
  static Completion* subscribed_other_way(const Completion& completion);

  void hurry() noexcept { patience_ = look_patience_ = shortest; }
  void finish(Completion& completion, Result result);
  bool finish_now(Completion& completion);
  void try_parked();
  [[nodiscard]] static bool may_be_overlooked(const Completion& completion);
  [[nodiscard]] bool has_overlooked_any() const;
  void try_overlooked();
  std::optional<Duration> look();
  [[nodiscard]] Duration timeout_until(Instant deadline, Instant now) const;
  std::expected<void, Error> poll(Duration timeout, bool unlimited);
  std::uint16_t poll_one(std::size_t i, Duration timeout);
  std::expected<void, Error> isolate(std::uint16_t error, bool unlimited);
  void take_events(std::size_t count);
  void take_event(Completion& completion, std::uint16_t error);

  WasiTraits traits_;
  PollSet set_;
  CompletionQueue ended_;  // for collect()
  bool slept_ = false;     // since the last collect()
  // Timeouts start here and double while nothing happens, see timeout_until().
  Duration patience_ = shortest;
  Duration look_patience_ = shortest;  // the same between looks, see look_by()
  bool returns_for_any_;               // the host was seen to return when one of many was ready
  bool one_per_call_;                  // it fails calls with several that it takes alone
  bool overlooks_ = false;             // it was seen not to tell what was ready
  Instant tried_at_{};                 // see try_overlooked()
  mutable Instant latest_{};           // see now()
  std::size_t next_alone_ = 0;
  unsigned looks_ = 0;
  std::atomic<bool> woken_{false};

  static constexpr Duration shortest = std::chrono::milliseconds(1);
};

}  // namespace wev
