// fake_host.hpp: a WASI 0.1 host inside a native test.
//
// Defines the imports of sys/wasi.hpp over descriptors in memory (sim/world.hpp)
// and a virtual clock, with a real host's quirks. So the backend runs under the
// sanitizers, and by seed.
//
// What a portable loop must never do (subscribe a descriptor twice, an absolute
// clock, no clock, a call that blocks for ever, ...) is a violation and fails
// the test, whatever the quirks.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "fake/quirks.hpp"
#include "sim/world.hpp"
#include "sys/wasi.hpp"
#include "wev/base/clock.hpp"

namespace wev::test {

class FakeHost {
 public:
  struct Options {
    std::uint64_t seed = 0;
    bool short_transfers = false;
    bool threads = false;
    int first_fd = 3;
    std::size_t capacity = 65536;  ///< of pipes and sockets
    /// Now and then a call takes up to so long.
    Duration longest_stall = Duration::zero();
  };

  /// The host of all calls until it is destroyed. One at a time.
  FakeHost(const Quirks& quirks, const Options& options);
  ~FakeHost();
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;

  static FakeHost& current();

  World& world() { return world_; }
  [[nodiscard]] const Quirks& quirks() const { return quirks_; }
  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] std::size_t capacity() const { return options_.capacity; }

  [[nodiscard]] Instant now() const { return now_; }
  /// Lets time pass; what was planned until then happens.
  void advance(Duration duration);
  /// Something outside of the program happens at `at`.
  void plan(Instant at, std::function<void()> what);

  [[nodiscard]] const std::vector<std::string>& violations() const { return violations_; }
  [[nodiscard]] std::size_t polls() const { return polls_; }
  [[nodiscard]] std::size_t calls() const { return calls_; }
  /// How often a descriptor's flags were set.
  [[nodiscard]] std::size_t flags_set() const { return flags_set_; }
  /// In one poll, clocks included.
  [[nodiscard]] std::size_t most_subscriptions() const { return most_subscriptions_; }

  // The host calls.
  sys::wasi::Errno clock_time_get(std::uint32_t id, sys::wasi::Timestamp* time);
  sys::wasi::Errno poll_oneoff(const sys::wasi::Subscription* in, sys::wasi::Event* out,
                               sys::wasi::Size count, sys::wasi::Size* events);
  sys::wasi::Errno fdstat_get(int fd, sys::wasi::Fdstat* stat);
  sys::wasi::Errno fdstat_set_flags(int fd, std::int32_t flags);
  sys::wasi::Errno path_filestat_get(const char* path, sys::wasi::Filestat* stat);
  /// Any operation that is a call of its own, with its result in `size`.
  sys::wasi::Errno perform(const Operation& operation, sys::wasi::Size* size);

 private:
  enum class Answer : std::uint8_t { nothing, ready, error, error_late, ready_late };

  void charge(Duration cost);
  void violation(std::string what);
  bool pass_until(Instant limit);
  [[nodiscard]] bool nonblocking(int fd) const;
  sys::wasi::Errno refused_call(const sys::wasi::Subscription* in, sys::wasi::Size count);
  void check_subscriptions(const sys::wasi::Subscription* in, sys::wasi::Size count);
  Answer answer(const sys::wasi::Subscription& subscription, sys::wasi::Errno& error);
  [[nodiscard]] Quirks::Poll poll_quirk(int fd, Direction direction) const;
  [[nodiscard]] bool has_room(int fd) const;
  Duration effective_timeout(sys::wasi::Timestamp timeout, bool alone);
  [[nodiscard]] sys::wasi::Errno code_of(Error error, OperationKind kind) const;
  sys::wasi::Errno perform_blocking(const Operation& operation, sys::wasi::Size* size);

  Quirks quirks_;
  Options options_;
  Random random_;
  World world_;
  Instant now_;
  std::multimap<Instant, std::function<void()>> plan_;
  std::unordered_map<int, bool> nonblocking_;  // by descriptor, once set
  std::vector<std::string> violations_;
  std::size_t clock_reads_ = 0;
  std::size_t polls_ = 0;
  std::size_t calls_ = 0;
  std::size_t flags_set_ = 0;
  std::size_t most_subscriptions_ = 0;
};

}  // namespace wev::test
