#include "backend/io_uring.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>

#include "backend/attempt.hpp"
#include "sys/posix.hpp"
#include "wev/base/address.hpp"

namespace wev {

namespace {

// The kernel finds what it cancels in a table of a 32nd of that; each entry takes 16 bytes.
// Who asks for a small ring has a small one.
constexpr unsigned most_completions = 8192;
constexpr unsigned small_ring = 64;

constexpr std::uint64_t of_no_one = UINT64_MAX;  // cancels; liburing's own, too
constexpr std::uint64_t of_the_waker = UINT64_MAX - 1;

constexpr unsigned basics = IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE |
                            IORING_FEAT_RW_CUR_POS | IORING_FEAT_FAST_POLL | IORING_FEAT_EXT_ARG;

// Linux 6.15's, which Debian 12's headers do not have.
constexpr unsigned feature_no_iowait = 1u << 17;
constexpr unsigned enter_no_iowait = 1u << 7;

constexpr std::uint64_t current_position = static_cast<std::uint64_t>(-1);

// While the kernel has no memory for what is pending.
constexpr Duration retry_interval = std::chrono::milliseconds(1);
// While the kernel may not tell all there is, see pollable().
constexpr Duration late_interval = std::chrono::milliseconds(10);

struct NativeMessage {
  msghdr header;
  iovec buffer;
};
static_assert(sizeof(NativeMessage) <= sizeof(Message::header));

// What the kernel only tells the readiness of: it is carried out by a call of its
// own when that has come.
bool is_only_polled(const Operation& operation) noexcept {
  return operation.kind() == OperationKind::wait_process ||
         operation.kind() == OperationKind::wait_signal;
}

// Never the number of one that has ended.
std::uint32_t number_of_this_thread() noexcept {
  static std::atomic<std::uint32_t> last{0};
  thread_local const std::uint32_t number = last.fetch_add(1, std::memory_order_relaxed);
  return number;
}

// Some sandboxes let a ring be made, and nothing be done with it. It may be disabled yet.
int try_calls(const io_uring& ring) noexcept {
  const auto fd = static_cast<unsigned>(ring.ring_fd);
  const int entered = ::io_uring_enter(fd, 0, 0, IORING_ENTER_GETEVENTS, nullptr);
  if (entered < 0 && entered != -EBADFD && entered != -EINTR) return entered;
  io_uring_probe probe{};
  return std::min(::io_uring_register(fd, IORING_REGISTER_PROBE, &probe, 0), 0);
}

bool uses_a_position(OperationKind kind) noexcept {
  using enum OperationKind;
  return kind == read || kind == readv || kind == write || kind == writev;
}

// The ring's number. false, and errno: there is no other.
bool move_above_stdio(io_uring& ring) noexcept {
  if (ring.ring_fd > STDERR_FILENO) return true;
  const int moved = ::fcntl(ring.ring_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (moved < 0) return false;
  ::close(ring.ring_fd);
  ring.ring_fd = ring.enter_ring_fd = moved;
  return true;
}

// Of a close nothing is known any more, see Backend::start.
int fd_of(const Completion& completion) noexcept {
  const Operation& operation = completion.operation();
  if (operation.kind() == OperationKind::close) return operation.io.fd;
  return operation.on_descriptor() ? completion.descriptor().fd() : -1;
}

NativeMessage& native_message(const Operation& operation) noexcept {
  return *reinterpret_cast<NativeMessage*>(operation.io.message->header.data());
}

}  // namespace

// Setting up -------------------------------------------------------------------

IoUring::IoUring(const BackendOptions& options) noexcept
    : NativeBackend(options.native),
      entries_(std::max(options.native.ring_entries, 1u)),
      without_(options.native.without) {
  ring_.ring_fd = -1;
  if ((without_ & linux_io_uring) != 0) {
    works_ = std::unexpected(std::errc::operation_not_permitted);
  } else if (waker_.fd() < 0) {
    works_ = std::unexpected(sys::last_error());
  } else {
    works_ = set_up(without_);
  }
}

IoUring::~IoUring() {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    WEV_ASSERT(slots_[i].completion == nullptr, "~Backend: operations are still in flight");
  }
  if (ring_.ring_fd >= 0) ::io_uring_queue_exit(&ring_);
  if (ring_event_ >= 0) ::close(ring_event_);
}

// In place of the ring there was.
std::expected<void, Error> IoUring::set_up(std::uint32_t without) noexcept {
  const auto wanted = [without](LinuxFeature feature) { return (without & feature) == 0; };
  // Newest first. What is deferred costs no interrupt; it must be enabled on the
  // thread that will run the loop.
  constexpr std::array setups = {
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED |
          IORING_SETUP_SUBMIT_ALL,
      IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,
      0u,
  };
  int error = -EINVAL;
  std::size_t used = wanted(linux_deferred_work) ? 0 : wanted(linux_cooperative_work) ? 1 : 2;
  io_uring made{};
  io_uring_params params{};
  const unsigned least = entries_ * 4;
  unsigned completions = entries_ < small_ring ? least : std::max(least, most_completions);
  while (used < setups.size()) {
    params = {};
    params.flags = setups[used] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    params.cq_entries = completions;
    error = ::io_uring_queue_init_params(entries_, &made, &params);
    if (error == -ENOMEM && completions > least) {
      completions = least;  // some users may lock little memory
    } else if (error == -EINVAL) {
      ++used;
    } else {
      break;
    }
  }
  if (error < 0) return std::unexpected(sys::to_error(-error));
  error = (params.features & basics) == basics ? try_calls(made) : -ENOSYS;
  if (error < 0) {
    ::io_uring_queue_exit(&made);
    return std::unexpected(sys::to_error(-error));
  }
  if (!move_above_stdio(made)) {
    const Error failed = sys::last_error();
    ::io_uring_queue_exit(&made);
    return std::unexpected(failed);
  }
  if (ring_.ring_fd >= 0) ::io_uring_queue_exit(&ring_);
  ring_ = made;
  waker_armed_ = false;
  deferred_ = (params.flags & IORING_SETUP_DEFER_TASKRUN) != 0;
  enabled_ = (params.flags & IORING_SETUP_R_DISABLED) == 0;
  // The flag is as old as cooperative work (5.19).
  poll_first_ = (params.flags & (IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN)) != 0 &&
                wanted(linux_poll_first);
  if ((params.features & feature_no_iowait) != 0 && wanted(linux_no_iowait)) {
    no_iowait_ = enter_no_iowait;
  }
  return {};
}

// On the thread that runs the loop, whose ring it is from now on.
std::expected<void, Error> IoUring::enable() noexcept {
  if (enabled_) return {};
  // liburing has a function of its own for it, but Debian 12's is not exported.
  const int error = ::io_uring_register(static_cast<unsigned>(ring_.ring_fd),
                                        IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  if (error < 0) return std::unexpected(sys::to_error(-error));
  enabled_ = true;
  return {};
}

// Starting ---------------------------------------------------------------------

std::optional<Result> IoUring::start(Completion& completion) {
  const Operation& operation = completion.operation();
  const OperationKind kind = operation.kind();
  const bool closes = kind == OperationKind::close && is_file(completion.descriptor());
  if (kind == OperationKind::close) close_own(completion.descriptor());
  if (!operation.has(waits) && !operation.has(blocks) && !closes) return operation.perform();
  if (auto works = still_works(); !works) {
    return closes ? operation.perform() : std::unexpected(works.error());
  }
  if (kind == OperationKind::run_blocking || kind == OperationKind::size) {
    return blocking_.start(completion);
  }
  if (kind == OperationKind::pread || kind == OperationKind::pwrite) {
    if (auto seekable = check_seekable(completion.descriptor()); !seekable) {
      return std::unexpected(seekable.error());
    }
  }
  if (transfers_nothing(operation)) return 0;
  if (uses_a_position(kind)) {
    const auto moves = moves_a_position(completion.descriptor(), operation);
    if (!moves) return std::unexpected(moves.error());
    if (*moves) return blocking_.start(completion);
  }
  if (!obtain(completion)) {
    return closes ? operation.perform() : std::unexpected(std::errc::not_enough_memory);
  }
  pending_.push_back(completion.note - 1);  // reserved by obtain()
  return std::nullopt;
}

// To close one may take as long as a disk takes. What is no file is closed at once, so that
// others can have its address in the same turn.
bool IoUring::is_file(const Descriptor& descriptor) noexcept {
  return (descriptor.backend_flags & (seekable | file)) != 0;
}

// A kernel (6.18) writes to what is ready, and is no pipe of its own, as to a descriptor that
// blocks: more than there is room for keeps the thread that submits it.
Expected<void> IoUring::know(Descriptor& descriptor, const Operation& operation) {
  const int status = ::fcntl(descriptor.number, F_GETFL);
  if (status < 0) return std::unexpected(sys::last_error());
  descriptor.backend_flags |= (status & O_NONBLOCK) != 0 ? nonblocking : 0u;
  const bool is_polled = operation.kind() == OperationKind::poll;
  if (!is_polled && sys::may_wait(descriptor.number, status)) (void)find_way(descriptor);
  return {};
}

// The kernel would take no notice of an offset on a pipe.
Expected<void> IoUring::check_seekable(Descriptor& descriptor) noexcept {
  if ((descriptor.backend_flags & seekable) != 0) return {};
  if (::lseek(descriptor.fd(), 0, SEEK_CUR) < 0) return std::unexpected(sys::last_error());
  descriptor.backend_flags |= seekable;
  return {};
}

// Asked only where it matters: few sockets are read and written by these.
Expected<bool> IoUring::moves_a_position(Descriptor& descriptor,
                                         const Operation& operation) noexcept {
  std::uint32_t& flags = descriptor.backend_flags;
  if ((flags & examined) == 0) {
    const auto traits = operation.type->examine(descriptor.fd(), false, nullptr);
    if (!traits) return std::unexpected(traits.error());
    flags |= examined | (traits->always_ready ? file : 0u);
  }
  return (flags & file) != 0;
}

bool IoUring::obtain(Completion& completion) noexcept {
  if (spare_.empty()) {
    const std::size_t count = slots_.size() + 1;
    if (!slots_.reserve(count) || !spare_.reserve(count) || !pending_.reserve(count) ||
        !cancels_.reserve(count)) {
      return false;
    }
    (void)spare_.push_back(static_cast<std::uint32_t>(slots_.size()));
    (void)slots_.push_back({});
  }
  const std::uint32_t index = spare_.back();
  spare_.pop_back();
  WEV_ASSERT(index < slots_.size(), "io_uring: a spare slot that is none");
  // The analyzer does not know that as many have room.
  // NOLINTNEXTLINE(clang-analyzer-security.ArrayBound)
  Slot& slot = slots_.data()[index];
  slot = {&completion, slot.generation, 0, false, false, is_only_polled(completion.operation())};
  completion.note = index + 1;
  return true;
}

void IoUring::recycle(std::uint32_t index) noexcept {
  slots_[index].completion = nullptr;
  ++slots_[index].generation;
  (void)spare_.push_back(index);
}

std::optional<Result> IoUring::cancel(Completion& completion) {
  if (Blocking::has(completion)) return cancel_on_thread(completion);
  if (!still_works()) return take_back(completion);
  const std::uint32_t index = completion.note - 1;
  Slot& slot = slots_[index];
  if (!slot.submitted) {
    // In the midst of pending_ it stays, and fill() recycles it.
    slot.completion = nullptr;
    completion.note = 0;
    pending_.drop_back([this](std::uint32_t last) {
      if (slots_[last].completion != nullptr) return false;
      recycle(last);
      return true;
    });
    return std::unexpected(Errc::operation_canceled);
  }
  if (!slot.cancel_asked) cancels_.push_back(index);  // reserved by obtain()
  slot.cancel_asked = true;
  return std::nullopt;
}

void IoUring::release(Descriptor& descriptor) noexcept {
  close_own(descriptor);
  descriptor.backend_flags = 0;
}

// Submitting -------------------------------------------------------------------

// Moves what is pending to the submission queue, as far as it has room.
bool IoUring::fill() noexcept {
  if (!waker_armed_) {
    io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
    if (sqe == nullptr) return false;
    ::io_uring_prep_read(sqe, waker_.fd(), &wakes_, sizeof wakes_, 0);
    sqe->user_data = of_the_waker;
    waker_armed_ = true;
  }
  const std::uint32_t submitter = number_of_this_thread();
  const bool all = pending_.drop_front([this, submitter](std::uint32_t index) {
    Slot& slot = slots_[index];
    if (slot.completion == nullptr) {
      recycle(index);
      return true;
    }
    io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
    if (sqe == nullptr) return false;
    prepare(*sqe, slot);
    sqe->user_data = user_data(index, slot);
    slot.submitter = submitter;
    slot.submitted = true;
    return true;
  });
  // Behind what they cancel.
  return all && cancels_.drop_front([this](std::uint32_t index) {
    const Slot& slot = slots_[index];
    if (slot.completion == nullptr || !slot.cancel_asked) return true;  // it has ended
    io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
    if (sqe == nullptr) return false;
    ::io_uring_prep_cancel64(sqe, user_data(index, slot), 0);
    sqe->user_data = of_no_one;
    return true;
  });
}

void IoUring::prepare(io_uring_sqe& sqe, const Slot& slot) const noexcept {
  const Operation& operation = slot.completion->operation();
  const int fd = fd_of(*slot.completion);
  if (operation.kind() == OperationKind::poll || slot.polling) {
    const bool in = operation.type->direction == Direction::in;
    ::io_uring_prep_poll_add(&sqe, fd, in ? POLLIN | POLLRDHUP : POLLOUT);
  } else {
    prepare_operation(sqe, *slot.completion);
  }
}

void IoUring::prepare_operation(io_uring_sqe& sqe, const Completion& completion) const noexcept {
  const Operation& operation = completion.operation();
  const auto& io = operation.io;
  const int fd = fd_of(completion);
  const auto size = static_cast<unsigned>(std::min<std::size_t>(io.size, INT32_MAX));
  const auto* vectors = reinterpret_cast<const iovec*>(io.data);
  const auto vector_count = static_cast<unsigned>(std::min(io.size, most_buffers));
  switch (operation.kind()) {
    case OperationKind::read:
      return ::io_uring_prep_read(&sqe, fd, io.data, size, current_position);
    case OperationKind::readv:
      return ::io_uring_prep_readv(&sqe, fd, vectors, vector_count, current_position);
    case OperationKind::pread: return ::io_uring_prep_read(&sqe, fd, io.data, size, io.offset);
    case OperationKind::write:
      return ::io_uring_prep_write(&sqe, fd, io.data, size, current_position);
    case OperationKind::writev:
      return ::io_uring_prep_writev(&sqe, fd, vectors, vector_count, current_position);
    case OperationKind::pwrite: return ::io_uring_prep_write(&sqe, fd, io.data, size, io.offset);
    case OperationKind::recv:
      ::io_uring_prep_recv(&sqe, fd, io.data, size, sys::recv_flags(io.flags));
      if (poll_first_ && (completion.descriptor().backend_flags & drained) != 0) {
        sqe.ioprio |= IORING_RECVSEND_POLL_FIRST;
      }
      return;
    case OperationKind::send: return ::io_uring_prep_send(&sqe, fd, io.data, size, MSG_NOSIGNAL);
    case OperationKind::recv_from:
    case OperationKind::send_to: {
      Address& address = io.message->address;
      NativeMessage& message = native_message(operation);
      message = {};
      message.buffer = {io.data, io.size};
      message.header.msg_iov = &message.buffer;
      message.header.msg_iovlen = 1;
      if (operation.kind() == OperationKind::recv_from) {
        message.header.msg_name = address.data();
        message.header.msg_namelen = Address::capacity;
        return ::io_uring_prep_recvmsg(&sqe, fd, &message.header, 0);
      }
      message.header.msg_name = address.size() == 0 ? nullptr : address.data();
      message.header.msg_namelen = address.size();
      return ::io_uring_prep_sendmsg(&sqe, fd, &message.header, MSG_NOSIGNAL);
    }
    case OperationKind::accept:
    case OperationKind::accept_many:
      return ::io_uring_prep_accept(&sqe, fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    case OperationKind::connect:
      return ::io_uring_prep_connect(&sqe, fd, static_cast<const sockaddr*>(io.address->data()),
                                     io.address->size());
    case OperationKind::fsync: return ::io_uring_prep_fsync(&sqe, fd, 0);
    case OperationKind::open:
      return ::io_uring_prep_openat(&sqe, io.fd, reinterpret_cast<const char*>(io.data),
                                    sys::open_flags(io.flags) | O_NONBLOCK,
                                    static_cast<mode_t>(io.offset));
    case OperationKind::close: return ::io_uring_prep_close(&sqe, fd);
    default: WEV_ASSERT(false, "io_uring: an operation that has no submission");
  }
}

bool IoUring::has_taken_all() const noexcept { return pending_.empty() && cancels_.empty(); }

// One system call: submits what is in the submission queue, waits for `least`
// completions and at most `timeout`. Returns 0 or -errno.
int IoUring::enter(unsigned least, const __kernel_timespec* timeout) noexcept {
  io_uring_sq& queue = ring_.sq;
  unsigned tail = *queue.ktail;
  for (; queue.sqe_head != queue.sqe_tail; ++queue.sqe_head) {
    queue.array[tail++ & queue.ring_mask] = queue.sqe_head & queue.ring_mask;
  }
  io_uring_smp_store_release(queue.ktail, tail);
  const unsigned count = tail - io_uring_smp_load_acquire(queue.khead);
  const auto ring = static_cast<unsigned>(ring_.ring_fd);
  const unsigned flags = IORING_ENTER_GETEVENTS | no_iowait_;
  int entered = 0;
  if (timeout == nullptr) {
    entered = ::io_uring_enter(ring, count, least, flags, nullptr);
  } else {
    io_uring_getevents_arg arg{};
    arg.ts = reinterpret_cast<std::uintptr_t>(timeout);
    entered = ::io_uring_enter2(ring, count, least, flags | IORING_ENTER_EXT_ARG,
                                reinterpret_cast<sigset_t*>(&arg), sizeof arg);
  }
  WEV_ASSERT(entered != -EEXIST, "io_uring: the loop has been run by another thread before");
  const bool nothing_wrong = entered >= 0 || entered == -EINTR || entered == -ETIME;
  return nothing_wrong ? 0 : entered;
}

namespace {

// The kernel takes no more for the moment: next time.
Expected<void> unless_busy(int error) noexcept {
  if (error == 0 || error == -EBUSY || error == -EAGAIN) return {};
  return std::unexpected(sys::to_error(-error));
}

}  // namespace

// As long as more is pending than the submission queue holds. Between two ticks nothing is
// reaped: it is the loop's from then on.
Expected<void> IoUring::submit_all(bool in_tick) noexcept {
  while (!fill()) {
    const int error = enter(0, nullptr);
    const bool reaped = in_tick && reap() > 0;
    if (error != 0 && !reaped) return unless_busy(error);
  }
  return {};
}

// Waiting ----------------------------------------------------------------------

Expected<void> IoUring::sleep(Instant until) {
  if (auto works = still_works(); !works) return works;
  return unless_ring_lost(sleep_in_ring(until));
}

Expected<void> IoUring::sleep_in_ring(Instant until) noexcept {
  if (auto enabled = enable(); !enabled) return enabled;
  disarm();
  sys::block_sigpipe();
  if (auto submitted = submit_all(); !submitted) return submitted;
  reap();
  if (!has_taken_all()) until = std::min(until, after(now(), retry_interval));
  const Instant at = begin_of_wait(until);
  // A wake that came late may have ended the waker's read just now.
  const bool sleeps = until > at && ended_.empty() && waker_armed_ && waker_.begin_sleep();
  const timespec left = timeout_until(sleeps ? until : at, at);
  const __kernel_timespec timeout{left.tv_sec, left.tv_nsec};
  const int error = enter(sleeps ? 1 : 0, sleeps && until != never ? &timeout : nullptr);
  if (sleeps) waker_.end_sleep();
  slept_ = true;
  return unless_busy(error);
}

// What a sleep has brought lies in memory that is shared with the kernel.
Expected<void> IoUring::collect(CompletionQueue& done) {
  Expected<void> looked;
  if (still_works()) {
    if (!std::exchange(slept_, false)) looked = unless_ring_lost(look());
    reap();
  }
  done.take(ended_);
  blocking_.collect(done);
  return looked;
}

Expected<void> IoUring::look() noexcept {
  if (auto enabled = enable(); !enabled) return enabled;
  disarm();
  sys::block_sigpipe();
  if (auto submitted = submit_all(); !submitted) return submitted;
  return unless_busy(enter(0, nullptr));
}

// Being lost ---------------------------------------------------------------------

// What the kernel has is cancelled by a call that does not enter the ring.
Expected<void> IoUring::unless_ring_lost(Expected<void> outcome) noexcept {
  if (outcome || !still_works()) return outcome;
  (void)unless_lost(outcome);
  io_uring_sync_cancel_reg all{};
  all.fd = -1;
  all.flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
  all.timeout = {-1, -1};
  (void)::io_uring_register_sync_cancel(&ring_, &all);
  reap();
  return outcome;
}

// A child of fork() leaves the ring alone. Else what is left could not be cancelled (an old
// kernel, a sandbox that forbids that, too): it ends with the ring, a moment later.
Result IoUring::take_back(Completion& completion) noexcept {
  Slot& slot = slots_[completion.note - 1];
  if (slot.submitted && ring_.ring_fd >= 0 && !origin_.is_parent()) {
    ::io_uring_queue_exit(&ring_);
    ring_.ring_fd = -1;
  }
  slot.completion = nullptr;
  completion.note = 0;
  return std::unexpected(Errc::operation_canceled);
}

// Driven from outside ------------------------------------------------------------

// The ring itself does not wake who polls it while work is deferred. An eventfd that the
// kernel writes does, and costs something for each completion: only for who asks. But where
// work is deferred, a kernel (6.18) writes it late, and from the second time on never, when
// what has become ready is an eventfd itself. So the ring becomes one that defers nothing;
// if the kernel has something by now it stays as it is, and is looked at from time to time.
Expected<int> IoUring::pollable() {
  if (auto works = still_works(); !works) return std::unexpected(works.error());
  if (ring_event_ >= 0) return ring_event_;
  if (deferred_ && !kernel_has_any()) {
    if (auto made = set_up(without_ | linux_deferred_work); !made) {
      return std::unexpected(made.error());
    }
  }
  sys::OwnedFd event = sys::above_stdio(sys::OwnedFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
  if (!event.is_open()) return std::unexpected(sys::last_error());
  const int error = ::io_uring_register_eventfd(&ring_, event.get());
  if (error < 0) return std::unexpected(sys::to_error(-error));
  return ring_event_ = event.release();
}

bool IoUring::kernel_has_any() const noexcept {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].completion != nullptr && slots_[i].submitted) return true;
  }
  return false;
}

Expected<void> IoUring::arm() {
  if (auto works = still_works(); !works) return works;
  if (auto armed = unless_ring_lost(submit_for_others()); !armed) return armed;
  return NativeBackend::arm();
}

Expected<void> IoUring::submit_for_others() noexcept {
  if (auto enabled = enable(); !enabled) return enabled;
  // Written for all that was collected meanwhile, too. What came in between is found behind it.
  eventfd_t times = 0;
  (void)::eventfd_read(ring_event_, &times);
  if (auto submitted = submit_all(false); !submitted) return submitted;
  if (deferred_ || ::io_uring_sq_ready(&ring_) > 0) {
    if (auto entered = unless_busy(enter(0, nullptr)); !entered) return entered;
  }
  const bool overflowed = (io_uring_smp_load_acquire(ring_.sq.kflags) & IORING_SQ_CQ_OVERFLOW) != 0;
  if (!ended_.empty() || ::io_uring_cq_ready(&ring_) > 0 || overflowed) {
    (void)::eventfd_write(ring_event_, 1);
  }
  return {};
}

Instant IoUring::look_by(Instant looked_at) const {
  if (!still_works()) return looked_at;
  const bool nothing_left = has_taken_all() && waker_armed_ && ::io_uring_sq_ready(&ring_) == 0;
  if (!nothing_left) return after(looked_at, retry_interval);
  return deferred_ && ring_event_ >= 0 ? after(looked_at, late_interval) : never;
}

// Takes all completions there are, those that overflowed the queue included.
std::size_t IoUring::reap() noexcept {
  std::size_t count = 0;
  for (;;) {
    unsigned head = 0;
    unsigned seen = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      take(*cqe);
      ++seen;
    }
    ::io_uring_cq_advance(&ring_, seen);
    count += seen;
    const unsigned flags = io_uring_smp_load_acquire(ring_.sq.kflags);
    if ((flags & IORING_SQ_CQ_OVERFLOW) == 0 || enter(0, nullptr) != 0) return count;
  }
}

void IoUring::take(const io_uring_cqe& cqe) noexcept {
  if (cqe.user_data == of_no_one) return;
  if (cqe.user_data == of_the_waker) {
    waker_armed_ = false;
    return;
  }
  const auto index = static_cast<std::uint32_t>(cqe.user_data);
  Slot& slot = slots_[index];
  WEV_ASSERT(slot.completion != nullptr && cqe.user_data == user_data(index, slot),
             "io_uring: a completion of what is not in flight");
  Completion& completion = *slot.completion;
  const Operation& operation = completion.operation();
  Result result = cqe.res >= 0 ? Result(static_cast<std::size_t>(cqe.res))
                               : Result(std::unexpected(sys::to_error(-cqe.res)));
  const bool only_polled = is_only_polled(operation);
  bool now_ready = slot.polling && result;
  if (now_ready && only_polled && !slot.cancel_asked) {
    result = operation.perform();
    now_ready = false;
  }
  const bool blocked = operation.has(waits) && blocks_natively(operation, result);
  // The kernel takes the end of a thread for the end of what it has submitted.
  const bool left_behind = !result && result.error() == std::errc::operation_canceled &&
                           slot.submitter != number_of_this_thread();
  const bool interrupted = !result && (left_behind || result.error() == std::errc::interrupted) &&
                           operation.kind() != OperationKind::close;
  if (blocked || interrupted || now_ready) {
    if (!slot.cancel_asked && still_works()) {
      // Where the kernel would not wait itself, it is asked for readiness first.
      slot.polling = blocked || only_polled;
      slot.submitted = false;
      pending_.push_back(index);  // reserved by obtain()
      return;
    }
    result = std::unexpected(std::errc::operation_canceled);
  }
  const bool cancel_asked = slot.cancel_asked;
  finish(completion, cqe, result);
  recycle(index);
  completion.note = 0;
  // What sys::open can wait for and this cannot.
  const bool leased = operation.kind() == OperationKind::open && !result && !cancel_asked &&
                      result.error() == std::errc::resource_unavailable_try_again;
  if (leased) {
    const auto started = blocking_.start(completion);
    if (!started) return;
    result = *started;
  }
  ended_.push(completion, result);
}

// What is left to do where the kernel has done its part.
void IoUring::finish(const Completion& completion, const io_uring_cqe& cqe,
                     Result& result) noexcept {
  const Operation& operation = completion.operation();
  switch (operation.kind()) {
    case OperationKind::poll:
      if (result) result = readiness_of(operation);
      return;
    case OperationKind::recv: {
      std::uint32_t& flags = completion.descriptor().backend_flags;
      const bool more = !result || *result == 0 || (cqe.flags & IORING_CQE_F_SOCK_NONEMPTY) != 0;
      flags = more ? flags & ~drained : flags | drained;
      return;
    }
    case OperationKind::recv_from:
      if (result) {
        operation.io.message->address.set_size(native_message(operation).header.msg_namelen);
      }
      return;
    case OperationKind::accept_many:
      result = sys::above_stdio(result);
      if (result) result = accept_more(completion, static_cast<int>(*result));
      return;
    case OperationKind::write:
    case OperationKind::writev:
      if (!result && result.error() == std::errc::broken_pipe) sys::discard_sigpipe();
      return;
    case OperationKind::open:
      // As sys::open does it.
      result = sys::above_stdio(result);
      if (result) sys::set_nonblocking(static_cast<int>(*result), false);
      return;
    case OperationKind::accept: result = sys::above_stdio(result); return;
    case OperationKind::close:
      if (sys::is_closed(result)) result = 0;
      return;
    default: return;
  }
}

// The kernel accepted one; more that wait are taken along.
Result IoUring::accept_more(const Completion& completion, int first) noexcept {
  Operation rest = completion.operation();
  auto* connections = reinterpret_cast<int*>(rest.io.data);
  connections[0] = first;
  if (rest.io.size == 1 || (completion.descriptor().backend_flags & nonblocking) == 0) return 1;
  rest.io.data = reinterpret_cast<std::byte*>(connections + 1);
  --rest.io.size;
  return 1 + rest.perform().value_or(0);
}

}  // namespace wev
