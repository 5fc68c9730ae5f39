// io_uring.hpp: the loop on Linux's io_uring.
//
// Operations gather until the loop waits and go to the kernel together, with
// the call that waits. The kernel knows each by the index and generation of a
// slot, never by an address, so a cancel cannot hit what came later.
//
// What a kernel may lack is probed: without the basics (Linux 5.11) the backend
// does not work, and make_backend() takes another. LinuxOptions::without turns
// off what is optional.
#pragma once

#include <liburing.h>

#include "backend/native.hpp"
#include "wev/base/array.hpp"

namespace wev {

class IoUring final : public NativeBackend {
 public:
  explicit IoUring(const BackendOptions& options) noexcept;
  ~IoUring() override;

  std::optional<Result> start(Completion& completion) override;
  bool cancel(Completion& completion) override;
  std::expected<void, Error> wait(Instant deadline, CompletionQueue& done) override;
  void forget(Descriptor& descriptor) noexcept override;

 private:
  // In Descriptor::backend_flags.
  enum : std::uint32_t {
    known = 1,
    nonblocking = 2,  // somebody made it so
    seekable = 4,
    drained = 8,  // the last receive left nothing
  };

  struct Slot {
    Completion* completion;  // nullptr: free, or taken back before it was submitted
    std::uint32_t generation;
    bool submitted;
    bool cancel_asked;
    bool polling;  // first for readiness, since the kernel would not wait
  };

  void set_up(const LinuxOptions& options) noexcept;
  std::expected<void, Error> enable() noexcept;
  std::expected<void, Error> get_to_know(const Operation& operation,
                                         Descriptor& descriptor) const noexcept;
  [[nodiscard]] bool obtain(Completion& completion) noexcept;
  void recycle(std::uint32_t index) noexcept;

  // Submitting.
  [[nodiscard]] bool fill() noexcept;
  void prepare(io_uring_sqe& sqe, const Slot& slot) const noexcept;
  void prepare_operation(io_uring_sqe& sqe, const Completion& completion) const noexcept;
  int enter(unsigned least, const __kernel_timespec* timeout) noexcept;
  std::expected<void, Error> submit_all(CompletionQueue& done) noexcept;

  // Reaping.
  std::size_t reap(CompletionQueue& done) noexcept;
  void take(const io_uring_cqe& cqe, CompletionQueue& done) noexcept;
  static void finish(const Completion& completion, const io_uring_cqe& cqe,
                     Result& result) noexcept;
  static Result accept_more(const Completion& completion, int first) noexcept;
  [[nodiscard]] static std::uint64_t user_data(std::uint32_t index, const Slot& slot) noexcept {
    return static_cast<std::uint64_t>(slot.generation) << 32 | index;
  }

  io_uring ring_{};
  bool enabled_ = false;
  bool poll_first_ = false;
  unsigned no_iowait_ = 0;  // the flag of enter(), if the kernel has it
  bool waker_armed_ = false;
  std::uint64_t wakes_ = 0;  // what the read of the waker's eventfd fills

  Array<Slot> slots_;           // backend_slot is the index + 1
  Array<std::uint32_t> spare_;  // free slots; like the next two, has room for all
  Array<std::uint32_t> pending_;
  Array<std::uint32_t> cancels_;
};

}  // namespace wev
