// epoll.hpp: the loop on Linux's epoll.
//
// Each descriptor is registered once, edge-triggered and for both directions,
// when it is first used, and stays so until it is closed or forgotten. What is
// known of its readiness is kept: an operation is tried at once unless the last
// one has shown that it would block, be it by being short. So in steady state a
// receive costs its system call and a share of an epoll_wait.
//
// What epoll refuses (files, /dev/null) is carried out on a thread pool.
#pragma once

#include <array>
#include <span>

#include "backend/native.hpp"

struct epoll_event;

namespace wev {

class Epoll final : public NativeBackend {
 public:
  explicit Epoll(const BackendOptions& options) noexcept;
  ~Epoll() override;

  std::optional<Result> start(Completion& completion) override;
  bool cancel(Completion& completion) override;
  std::expected<void, Error> wait(Instant deadline, CompletionQueue& done) override;
  void forget(Descriptor& descriptor) noexcept override;

 private:
  // In Descriptor::backend_flags. The pairs are those of `in`, shifted for `out`.
  enum : std::uint32_t {
    known = 1,             // the rest was found out
    registered = 2,        // with epoll; not so: it is a file
    nonblocking = 4,       // operations on it end at once
    made_nonblocking = 8,  // by us, and it is stdio
    short_is_all = 16,     // see DescriptorTraits
    blocked = 32,          // an operation would block until the next edge
    blocked_out = 64,      //
    always_try = 128,      // the end, an error or urgent data is there: being short
    always_try_out = 256,  // does not tell that there is no more
  };
  [[nodiscard]] static std::uint32_t of(std::uint32_t flag, Direction direction) noexcept {
    return direction == Direction::out ? flag << 1 : flag;
  }

  std::expected<void, Error> get_to_know(const Operation& operation,
                                         Descriptor& descriptor) noexcept;
  std::expected<bool, Error> add(Descriptor& descriptor) noexcept;
  [[nodiscard]] static bool is_stdio(const Descriptor& descriptor) noexcept {
    return descriptor.fd <= 2;
  }
  void let_go_of_stdio(Descriptor& descriptor) noexcept;
  std::optional<Result> try_now(const Completion& completion) noexcept;
  static bool tells_by_being_short(const Operation& operation, std::uint32_t flags,
                                   const Result& result) noexcept;
  Result wait_for_events(std::span<epoll_event> events, Instant deadline, Instant now) noexcept;
  void take_event(Descriptor& descriptor, std::uint32_t events, CompletionQueue& done) noexcept;
  void progress(Descriptor& descriptor, Direction direction, CompletionQueue& done) noexcept;

  int epoll_;
  bool fine_;                           // timeouts in nanoseconds
  std::array<Descriptor*, 3> stdio_{};  // those of 0, 1 and 2 that are known
};

}  // namespace wev
