// io_uring.hpp: the loop on Linux's io_uring.
//
// Operations gather until the loop waits and go to the kernel together, with
// the call that waits. The kernel knows each by the index and generation of a
// slot, never by an address, so a cancel cannot hit what came later.
//
// Reads and writes at a file's own position are calls on a thread: the kernel's ring does
// not move that where a part was done before an error, and does not lock it, so that what
// comes next would be written over it.
//
// What a kernel may lack is probed: without the basics (Linux 5.11) the backend
// does not work, and make_backend() takes another. NativeOptions::without turns
// off what is optional.
#pragma once

#include <liburing.h>

#include "backend/native.hpp"
#include "wev/base/array.hpp"

namespace wev {

class IoUring final : public NativeBackend {
 public:
  static constexpr const char* listed_as = "io_uring";

  explicit IoUring(const BackendOptions& options) noexcept;
  ~IoUring() override;

  [[nodiscard]] const char* name() const noexcept override { return listed_as; }
  std::optional<Result> start(Completion& completion) override;
  Expected<void> know(Descriptor& descriptor, const Operation& operation) override;
  std::optional<Result> cancel(Completion& completion) override;
  Expected<void> collect(CompletionQueue& done) override;
  Expected<void> sleep(Instant until) override;
  void release(Descriptor& descriptor) noexcept override;

  Expected<int> pollable() override;
  Expected<void> arm() override;
  [[nodiscard]] Instant look_by(Instant looked_at) const override;

 private:
  // In Descriptor::backend_flags.
  enum : std::uint32_t {
    nonblocking = 1,  // somebody made it so
    seekable = 2,
    drained = 4,  // the last receive left nothing
    examined = 8,
    file = 16,  // and it was seen to be one
  };

  struct Slot {
    Completion* completion;  // nullptr: free, or taken back before it was submitted
    std::uint32_t generation;
    std::uint32_t submitter;  // the thread
    bool submitted;
    bool cancel_asked;
    bool polling;  // first for readiness, since the kernel would not wait
  };

  std::expected<void, Error> set_up(std::uint32_t without) noexcept;
  [[nodiscard]] bool kernel_has_any() const noexcept;
  std::expected<void, Error> enable() noexcept;
  [[nodiscard]] static bool is_file(const Descriptor& descriptor) noexcept;
  static Expected<void> check_seekable(Descriptor& descriptor) noexcept;
  static Expected<bool> moves_a_position(Descriptor& descriptor,
                                         const Operation& operation) noexcept;
  [[nodiscard]] bool obtain(Completion& completion) noexcept;
  void recycle(std::uint32_t index) noexcept;

  // Slots in the order in which the kernel is told of them.
  class SlotQueue {
   public:
    /// For so many; what left in front stands there for a while.
    [[nodiscard]] bool reserve(std::size_t count) noexcept { return indices_.reserve(2 * count); }
    [[nodiscard]] bool empty() const noexcept { return first_ == indices_.size(); }
    void push_back(std::uint32_t index) noexcept { (void)indices_.push_back(index); }
    /// Those from the front on for which f(index) is true. Returns whether all were.
    template <class F>
    bool drop_front(F f) noexcept {
      while (!empty() && f(indices_[first_])) ++first_;
      if (empty() || first_ > indices_.size() / 2) {
        indices_.drop_front(first_);
        first_ = 0;
      }
      return empty();
    }
    /// The same from the back on.
    template <class F>
    void drop_back(F f) noexcept {
      while (!empty() && f(indices_.back())) indices_.pop_back();
    }

   private:
    Array<std::uint32_t> indices_;
    std::size_t first_ = 0;
  };

  // Submitting.
  [[nodiscard]] bool fill() noexcept;
  void prepare(io_uring_sqe& sqe, const Slot& slot) const noexcept;
  void prepare_operation(io_uring_sqe& sqe, const Completion& completion) const noexcept;
  [[nodiscard]] bool has_taken_all() const noexcept;
  int enter(unsigned least, const __kernel_timespec* timeout) noexcept;
  Expected<void> submit_all(bool in_tick = true) noexcept;
  Expected<void> sleep_in_ring(Instant until) noexcept;
  Expected<void> look() noexcept;
  Expected<void> submit_for_others() noexcept;
  Expected<void> unless_ring_lost(Expected<void> outcome) noexcept;
  Result take_back(Completion& completion) noexcept;

  // Reaping, into ended_.
  std::size_t reap() noexcept;
  void take(const io_uring_cqe& cqe) noexcept;
  static void finish(const Completion& completion, const io_uring_cqe& cqe,
                     Result& result) noexcept;
  static Result accept_more(const Completion& completion, int first) noexcept;
  [[nodiscard]] static std::uint64_t user_data(std::uint32_t index, const Slot& slot) noexcept {
    return static_cast<std::uint64_t>(slot.generation) << 32 | index;
  }

  const unsigned entries_;
  const std::uint32_t without_;
  io_uring ring_{};
  bool deferred_ = false;  // the kernel does its work when it is entered
  bool enabled_ = false;
  bool poll_first_ = false;
  unsigned no_iowait_ = 0;  // the flag of enter(), if the kernel has it
  bool waker_armed_ = false;
  bool slept_ = false;       // since the last collect()
  int ring_event_ = -1;      // of pollable(), once it was asked for
  std::uint64_t wakes_ = 0;  // what the read of the waker's eventfd fills

  CompletionQueue ended_;       // for collect()
  Array<Slot> slots_;           // a completion's note is the index + 1
  Array<std::uint32_t> spare_;  // free slots; like the next two, has room for all
  SlotQueue pending_;
  SlotQueue cancels_;
};

}  // namespace wev
