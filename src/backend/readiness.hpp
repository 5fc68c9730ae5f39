// readiness.hpp: completions on systems that only tell readiness.
//
// What epoll, kqueue and poll have in common: an operation is carried out by the system call
// itself, once that would not block. It is tried at once, unless the last one has shown that
// it would block, be it by being short; then it waits until its poller says otherwise. So in
// steady state a receive costs its system call and a share of a wait.
//
// What cannot be polled (files, /dev/null) is carried out on a thread pool.
//
// Reads and writes do not wait though O_NONBLOCK may not be set, which is others' as well
// (sys/transfer.hpp); where they need an open file of their own that is Descriptor::native.
#pragma once

#include <sys/types.h>

#include "backend/native.hpp"

namespace wev {

class ReadinessBackend : public NativeBackend {
 public:
  Expected<void> know(Descriptor& descriptor, const Operation& operation) final;
  std::optional<Result> start(Completion& completion) final;
  std::optional<Result> cancel(Completion& completion) final;
  Expected<void> collect(CompletionQueue& done) final;
  Expected<void> sleep(Instant until) final;
  void release(Descriptor& descriptor) noexcept final;

 protected:
  using NativeBackend::NativeBackend;

  // The poller ----------------------------------------------------------------------

  /// From now on readiness for reading is told, each change of it at least. false: the system
  /// polls no such descriptor.
  virtual Expected<bool> add(Descriptor& descriptor) noexcept = 0;
  /// And that for writing, too. Most can always be written, and of each time that a Unix
  /// socket's peer has read its own end would be told.
  virtual Expected<void> add_writing(Descriptor&) noexcept { return {}; }
  /// Of one that was added, and is still open.
  virtual void remove(Descriptor& descriptor) noexcept = 0;
  /// Whether an operation waits in a direction: for pollers that tell a state and not its
  /// changes.
  virtual void watch(Descriptor&, Direction, bool) noexcept {}
  /// Sleeps until something is ready or `until`; from `now`, where there is an end. Calls
  /// ready() for all there is.
  virtual Expected<void> poll(Instant until, Instant now) noexcept = 0;

  /// So many events a call brings at the most; more wait for the next.
  static constexpr int most_events = 256;
  /// How many a call brought; one that a signal has interrupted, none.
  static Expected<std::size_t> events_of(ssize_t returned) noexcept;

  /// A descriptor may be ready in a direction.
  void ready(Descriptor& descriptor, Direction direction) noexcept;
  /// The end, an error or urgent data is there: from now on being short does not tell that
  /// there is no more.
  static void over(Descriptor& descriptor, Direction direction) noexcept {
    descriptor.backend_flags |= of(always_try, direction);
  }

 private:
  // In Descriptor::backend_flags. The pairs are those of `in`, shifted for `out`.
  enum : std::uint32_t {
    added = 1,             // to the poller; not so: it is a file
    has_way = 2,           // transfers have been given one, see way_of_transfers()
    short_is_all = 8,      // see DescriptorTraits
    blocked = 16,          // an operation would block until the poller says otherwise
    blocked_out = 32,      //
    always_try = 64,       // being short does not tell that there is no more
    always_try_out = 128,  //
    first_of_way = 256,    // a sys::Unwaiting
    last_of_way = 512,
    added_writing = 1024,
  };
  [[nodiscard]] static std::uint32_t of(std::uint32_t flag, Direction direction) noexcept {
    return direction == Direction::out ? flag << 1 : flag;
  }
  // In a completion's note.
  enum : BackendNote { waiting = 1 };

  [[nodiscard]] static sys::Unwaiting way_of_transfers(const Descriptor& descriptor) noexcept {
    return static_cast<sys::Unwaiting>(descriptor.backend_flags / first_of_way & 3);
  }
  static void set_way(Descriptor& descriptor, sys::Unwaiting way) noexcept;
  Expected<void> look_for(Descriptor& descriptor, Direction direction) noexcept;
  Expected<void> know_first(Descriptor& descriptor, const Operation& operation);
  enum class Try : std::uint8_t { first, again };
  static std::optional<Result> try_now(const Completion& completion, Try which) noexcept;
  static Result carry_out(const Completion& completion, Try which) noexcept;
  static Result transfer(Descriptor& descriptor, const Operation& operation) noexcept;
  static bool tells_by_being_short(const Operation& operation, std::uint32_t flags,
                                   const Result& result) noexcept;

  CompletionQueue ended_;  // during a sleep(), for collect()
  bool slept_ = false;     // since the last collect()
};

}  // namespace wev
