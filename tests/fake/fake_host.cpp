#include "fake/fake_host.hpp"

#include <algorithm>
#include <cstdio>
#include <set>

#include "backend/attempt.hpp"
#include "support/allocations.hpp"
#include "sys/wasi_error.hpp"
#include "wev/base/assert.hpp"

namespace wev::test {

using namespace std::chrono_literals;
using namespace sys::wasi;
using Poll = Quirks::Poll;

namespace {

FakeHost* the_host = nullptr;

// The cheapest real host's prices; they also let time pass in a program that
// only looks at the clock.
constexpr Duration clock_cost = 50ns;
constexpr Duration call_cost = 400ns;
constexpr Duration poll_cost = 700ns;
// A pipe takes this much or says that it is full.
constexpr std::size_t pipe_buf = 4096;

Errno errno_of(Error error) {
  for (Errno code = 1; code <= errno_notcapable; ++code) {
    if (to_error(code) == error) return code;
  }
  return errno_inval;
}

Direction direction_of(const Subscription& subscription) {
  return subscription.tag == eventtype_fd_read ? Direction::in : Direction::out;
}

bool is_socket_call(OperationKind kind) {
  return kind == OperationKind::recv || kind == OperationKind::send ||
         kind == OperationKind::accept || kind == OperationKind::shutdown;
}

bool is_socket(World::Kind kind) {
  return kind == World::Kind::socket || kind == World::Kind::listener;
}

}  // namespace

FakeHost::FakeHost(const Quirks& quirks, const Options& options)
    : quirks_(quirks),
      options_(options),
      random_(options.seed),
      world_(random_, options.short_transfers, options.first_fd),
      now_(quirks.epoch) {
  WEV_ASSERT(the_host == nullptr, "FakeHost: one at a time");
  the_host = this;
}

FakeHost::~FakeHost() { the_host = nullptr; }

FakeHost& FakeHost::current() {
  WEV_ASSERT(the_host != nullptr, "FakeHost: a host call without a host");
  return *the_host;
}

void FakeHost::violation(std::string what) {
  if (violations_.size() < 10) violations_.push_back(std::move(what));
}

// Time --------------------------------------------------------------------------

void FakeHost::plan(Instant at, std::function<void()> what) { plan_.emplace(at, std::move(what)); }

void FakeHost::advance(Duration duration) {
  const NotOurs not_ours;
  const Instant until = now_ + duration;
  while (pass_until(until)) {
  }
}

// Up to the next planned event or the limit. false: the limit.
bool FakeHost::pass_until(Instant limit) {
  if (plan_.empty() || plan_.begin()->first > limit) {
    now_ = std::max(now_, limit);
    return false;
  }
  auto next = plan_.extract(plan_.begin());
  now_ = std::max(now_, next.key());
  next.mapped()();
  return true;
}

void FakeHost::charge(Duration cost) {
  ++calls_;
  advance(cost + random_.stall(options_.longest_stall));
}

Errno FakeHost::clock_time_get(std::uint32_t id, Timestamp* time) {
  charge(clock_cost);
  if (id != clock_monotonic) violation("clock_time_get of another clock");
  *time = static_cast<Timestamp>(now_.time_since_epoch().count());
  return errno_success;
}

// Descriptors ---------------------------------------------------------------------

bool FakeHost::nonblocking(int fd) const {
  const auto found = nonblocking_.find(fd);
  return found != nonblocking_.end() && found->second;
}

Errno FakeHost::fdstat_get(int fd, Fdstat* stat) {
  charge(call_cost);
  if (!world_.is_open(fd)) return errno_badf;
  stat->filetype = quirks_.filetypes[static_cast<std::size_t>(world_.kind(fd))];
  stat->flags = nonblocking(fd) ? fdflags_nonblock : 0;
  if (quirks_.raw_flags) stat->flags = nonblocking(fd) ? 0x8800 : 0x8000;
  stat->rights_base = stat->rights_inheriting = ~std::uint64_t{0};
  return errno_success;
}

Errno FakeHost::fdstat_set_flags(int fd, std::int32_t flags) {
  const NotOurs not_ours;
  charge(call_cost);
  ++flags_set_;
  if (!world_.is_open(fd)) return errno_badf;
  if (quirks_.refuses_nonblocking != 0 && !is_socket(world_.kind(fd))) {
    return quirks_.refuses_nonblocking;
  }
  nonblocking_[fd] = (flags & fdflags_nonblock) != 0;
  return errno_success;
}

Errno FakeHost::perform(const Operation& operation, Size* size) {
  const NotOurs not_ours;
  charge(call_cost);
  const int fd = operation.io.fd;
  const OperationKind kind = operation.kind();
  if (is_socket_call(kind)) {
    const bool on_socket = world_.is_open(fd) && is_socket(world_.kind(fd));
    if (quirks_.traps_on_no_socket && (!on_socket || !quirks_.sockets)) {
      violation("a socket call on what is no socket");
    }
  }
  if (kind == OperationKind::close) nonblocking_.erase(fd);
  const bool empty = operation.io.size == 0;
  if (kind == OperationKind::read && empty && quirks_.refuses_empty_reads) {
    violation("a read of no bytes");
    return errno_intr;
  }
  if (!operation.on_descriptor() || !world_.is_open(fd) || nonblocking(fd)) {
    const Result result = world_.perform(operation);
    if (!result) {
      const Error error = result.error();
      if (error != std::errc::broken_pipe) return errno_of(error);
      if (quirks_.broken_pipe == Quirks::BrokenPipe::kills) violation("killed by SIGPIPE");
      if (quirks_.broken_pipe == Quirks::BrokenPipe::error) return errno_of(error);
      *size = operation.io.size;
      return errno_success;
    }
    *size = *result;
    return errno_success;
  }
  return perform_blocking(operation, size);
}

// A write ends when all is written, everything else when there was something.
Errno FakeHost::perform_blocking(const Operation& operation, Size* size) {
  Operation rest = operation;
  *size = 0;
  for (;;) {
    const Result result = world_.perform(rest);
    if (would_block(rest, result)) {
      if (plan_.empty()) {
        violation("a call that blocks for ever");
        return errno_again;
      }
      pass_until(never);
      continue;
    }
    if (!result) {
      const bool broken = result.error() == std::errc::broken_pipe;
      if (broken && quirks_.broken_pipe == Quirks::BrokenPipe::kills)
        violation("killed by SIGPIPE");
      if (broken && quirks_.broken_pipe == Quirks::BrokenPipe::swallowed) {
        *size = operation.io.size;
        return errno_success;
      }
      return errno_of(result.error());
    }
    *size += *result;
    if (rest.kind() != OperationKind::write || *result == rest.io.size) return errno_success;
    rest.io.data += *result;
    rest.io.size -= *result;
  }
}

// Polling -------------------------------------------------------------------------

void FakeHost::check_subscriptions(const Subscription* in, Size count) {
  if (count == 0) return violation("poll_oneoff of nothing");
  int clocks = 0;
  std::set<std::pair<int, int>> seen;
  for (Size i = 0; i < count; ++i) {
    if (in[i].tag == eventtype_clock) {
      ++clocks;
      if (in[i].clock.flags != 0) violation("an absolute clock");
      if (in[i].clock.id != clock_monotonic) violation("another clock than the monotonic one");
      if (in[i].clock.timeout > Timestamp{0x7fffffff} * 1'000'000) violation("a timeout too long");
      if (in[i].clock.timeout % 1'000'000 != 0) violation("a timeout of a part of a millisecond");
      continue;
    }
    if (!seen.emplace(in[i].fd, in[i].tag).second) violation("a descriptor subscribed twice");
    const bool known_file = world_.is_open(in[i].fd) &&
                            world_.kind(in[i].fd) == World::Kind::file &&
                            quirks_.filetypes[1] == filetype_regular_file;
    if (known_file) violation("a regular file subscribed");
    const bool wrong_way =
        in[i].tag == eventtype_fd_read ? in[i].fd == 1 || in[i].fd == 2 : in[i].fd == 0;
    if (wrong_way) violation("the wrong direction of stdio subscribed");
  }
  if (clocks != 1) violation(std::to_string(clocks) + " clocks in one call");
}

Poll FakeHost::poll_quirk(int fd, Direction direction) const {
  switch (world_.kind(fd)) {
    case World::Kind::file: return quirks_.file_poll;
    case World::Kind::pipe:
      return direction == Direction::in ? quirks_.pipe_read_poll : quirks_.pipe_write_poll;
    default: return quirks_.socket_poll;
  }
}

bool FakeHost::has_room(int fd) const {
  return world_.room(fd) >= std::min(pipe_buf, options_.capacity);
}

// What the whole call is refused for.
Errno FakeHost::refused_call(const Subscription* in, Size count) {
  std::set<int> descriptors;
  for (Size i = 0; i < count; ++i) {
    if (in[i].tag == eventtype_clock) continue;
    const int fd = in[i].fd;
    const bool again = !descriptors.insert(fd).second;
    if (again && quirks_.both_directions == Quirks::BothDirections::call_refused) {
      return errno_badf;
    }
    if (!world_.is_open(fd)) {
      if (quirks_.bad_descriptor == Quirks::BadDescriptor::call_refused) return errno_badf;
      if (quirks_.bad_descriptor == Quirks::BadDescriptor::crash) violation("a crash of the host");
      continue;
    }
    if (poll_quirk(fd, direction_of(in[i])) == Poll::call_refused) return quirks_.refusal;
  }
  return count == 1 ? quirks_.clock_error : errno_success;
}

FakeHost::Answer FakeHost::answer(const Subscription& subscription, Errno& error) {
  const int fd = subscription.fd;
  if (!world_.is_open(fd)) {
    error = errno_badf;
    return quirks_.bad_descriptor == Quirks::BadDescriptor::event_late ? Answer::error_late
                                                                       : Answer::error;
  }
  const Direction direction = direction_of(subscription);
  switch (poll_quirk(fd, direction)) {
    case Poll::always_ready: return Answer::ready;
    case Poll::always_ready_late: return Answer::ready_late;
    case Poll::event_refused: error = quirks_.refusal; return Answer::error;
    case Poll::event_refused_late: error = quirks_.refusal; return Answer::error_late;
    default: break;
  }
  if (direction == Direction::out && quirks_.hangup_event != 0 && world_.hung_up(fd)) {
    error = quirks_.hangup_event;
    return Answer::error;
  }
  const bool ready = world_.ready(fd, direction) && (direction == Direction::in || has_room(fd));
  if (ready && quirks_.reports_late != 0 && random_.one_in(quirks_.reports_late)) {
    return Answer::nothing;
  }
  return ready ? Answer::ready : Answer::nothing;
}

Duration FakeHost::effective_timeout(Timestamp timeout, bool alone) {
  Duration left{static_cast<Duration::rep>(timeout)};
  const Duration step = alone ? quirks_.step_alone : quirks_.step_beside;
  left -= left % step;
  if (quirks_.early > Duration::zero()) {
    left -= Duration(
        static_cast<Duration::rep>(random_.below(static_cast<std::size_t>(quirks_.early.count()))));
  }
  return std::max(left, Duration::zero());
}

Errno FakeHost::poll_oneoff(const Subscription* in, Event* out, Size count, Size* events) {
  const NotOurs not_ours;
  ++polls_;
  most_subscriptions_ = std::max(most_subscriptions_, count);
  charge(poll_cost);
  check_subscriptions(in, count);
  if (count == 0) return errno_inval;
  if (quirks_.interrupts != 0 && random_.one_in(quirks_.interrupts)) return errno_intr;
  if (const Errno refused = refused_call(in, count); refused != errno_success) return refused;

  Timestamp timeout = 0;
  std::uint64_t clock_userdata = 0;
  std::vector<const Subscription*> watched;
  std::set<int> descriptors;
  for (Size i = 0; i < count; ++i) {
    if (in[i].tag == eventtype_clock) {
      timeout = in[i].clock.timeout;
      clock_userdata = in[i].userdata;
      continue;
    }
    const bool again = !descriptors.insert(in[i].fd).second;
    if (again && quirks_.both_directions == Quirks::BothDirections::second_ignored) continue;
    watched.push_back(&in[i]);
    if (quirks_.poll_sets_nonblocking && world_.is_open(in[i].fd)) nonblocking_[in[i].fd] = true;
  }
  const bool blind = Duration(static_cast<Duration::rep>(timeout)) < quirks_.blind_below;
  const Instant deadline = now_ + effective_timeout(timeout, watched.empty());

  std::vector<Event> found;
  const auto report = [&](const Subscription& subscription, Errno error) {
    const std::uint64_t size = quirks_.garbage_sizes ? random_.next() : 0;
    found.push_back({subscription.userdata, error, subscription.tag, size, 0});
  };
  for (;;) {
    found.clear();
    std::set<int> ready;
    const bool late = now_ >= deadline;
    for (const Subscription* subscription : watched) {
      Errno error = errno_success;
      const Answer said = blind ? Answer::nothing : answer(*subscription, error);
      const bool counts = said == Answer::ready || said == Answer::error ||
                          (late && (said == Answer::ready_late || said == Answer::error_late));
      if (!counts) continue;
      ready.insert(subscription->fd);
      report(*subscription, error);
    }
    if (late ||
        (!found.empty() && (!quirks_.waits_for_all || ready.size() == descriptors.size()))) {
      break;
    }
    pass_until(deadline);
  }
  if (found.size() > 1 && quirks_.drops_events != 0 && random_.one_in(quirks_.drops_events)) {
    found.resize(1 + random_.below(found.size() - 1));
  }
  if (!watched.empty() && quirks_.makes_up_events != 0 && random_.one_in(quirks_.makes_up_events)) {
    const Subscription& any = *watched[random_.below(watched.size())];
    const bool there = std::ranges::any_of(
        found, [&](const Event& event) { return event.userdata == any.userdata; });
    if (!there) report(any, errno_success);
    if (found.size() < count) found.push_back({random_.next(), 0, eventtype_fd_read, 1, 0});
  }
  if (found.size() < count && (now_ >= deadline || quirks_.clock_event_always)) {
    found.insert(found.begin() + static_cast<std::ptrdiff_t>(random_.below(found.size() + 1)),
                 {clock_userdata, errno_success, eventtype_clock, 0, 0});
  }
  std::ranges::copy(found, out);
  if (quirks_.writes_event_count) *events = found.size();
  return errno_success;
}

}  // namespace wev::test

// The imports -------------------------------------------------------------------------

namespace wev::sys::wasi {

using test::FakeHost;

namespace {

// The directory that all paths are below; World has no other.
constexpr Fd preopened = 1'000'000;

// Calls carry out operations of the same name.
Operation operation(const OperationType& type, Fd fd, const Iovec* iovs, Size count,
                    std::uint64_t offset = 0, std::int32_t flags = 0) {
  if (count > 1) {
    const std::span<const IoVec> all(reinterpret_cast<const IoVec*>(iovs), count);
    return &type == &op::read_type ? op::readv(fd, all) : op::writev(fd, all);
  }
  const Iovec iovec = count == 1 ? iovs[0] : Iovec{nullptr, 0};
  return op::internal::io(type, fd, {static_cast<std::byte*>(iovec.data), iovec.size}, offset,
                          static_cast<std::uint32_t>(flags));
}

}  // namespace

bool has_threads() noexcept { return FakeHost::current().options().threads; }

Fd find_directory(const char*, char*, Size, const char**) noexcept { return preopened; }

extern "C" {

std::int32_t wev_wasi_clock_time_get(std::uint32_t id, Timestamp, Timestamp* time) {
  return FakeHost::current().clock_time_get(id, time);
}
std::int32_t wev_wasi_poll_oneoff(const Subscription* in, Event* out, Size count, Size* events) {
  return FakeHost::current().poll_oneoff(in, out, count, events);
}
std::int32_t wev_wasi_fd_fdstat_get(Fd fd, Fdstat* stat) {
  return FakeHost::current().fdstat_get(fd, stat);
}
std::int32_t wev_wasi_fd_fdstat_set_flags(Fd fd, std::int32_t flags) {
  return FakeHost::current().fdstat_set_flags(fd, flags);
}
std::int32_t wev_wasi_fd_read(Fd fd, const Iovec* iovs, Size count, Size* size) {
  return FakeHost::current().perform(operation(op::read_type, fd, iovs, count), size);
}
std::int32_t wev_wasi_fd_pread(Fd fd, const Iovec* iovs, Size count, std::uint64_t offset,
                               Size* size) {
  return FakeHost::current().perform(operation(op::pread_type, fd, iovs, count, offset), size);
}
std::int32_t wev_wasi_fd_write(Fd fd, const Iovec* iovs, Size count, Size* size) {
  return FakeHost::current().perform(operation(op::write_type, fd, iovs, count), size);
}
std::int32_t wev_wasi_fd_pwrite(Fd fd, const Iovec* iovs, Size count, std::uint64_t offset,
                                Size* size) {
  return FakeHost::current().perform(operation(op::pwrite_type, fd, iovs, count, offset), size);
}
std::int32_t wev_wasi_fd_filestat_get(Fd fd, Filestat* stat) {
  Size size = 0;
  const Errno error = FakeHost::current().perform(operation(op::size_type, fd, nullptr, 0), &size);
  stat->size = size;
  return error;
}
std::int32_t wev_wasi_path_open(Fd directory, std::int32_t, const char* path, Size,
                                std::int32_t oflags, std::uint64_t rights, std::uint64_t,
                                std::int32_t fdflags, Fd* fd) {
  const auto flag = [](bool set, OpenFlags bit) { return set ? bit : 0u; };
  const std::uint32_t flags = flag((rights & rights_read) != 0, open_read) |
                              flag((rights & rights_write) != 0, open_write) |
                              flag((oflags & oflags_create) != 0, open_create) |
                              flag((oflags & oflags_exclusive) != 0, open_exclusive) |
                              flag((oflags & oflags_truncate) != 0, open_truncate) |
                              flag((oflags & oflags_directory) != 0, open_directory) |
                              flag((fdflags & fdflags_append) != 0, open_append);
  Size size = 0;
  if (directory == preopened) directory = op::working_directory;
  const Errno error = FakeHost::current().perform(op::open(directory, path, flags), &size);
  *fd = static_cast<Fd>(size);
  return error;
}
std::int32_t wev_wasi_fd_sync(Fd fd) {
  Size size = 0;
  return FakeHost::current().perform(operation(op::fsync_type, fd, nullptr, 0), &size);
}
std::int32_t wev_wasi_fd_close(Fd fd) {
  Size size = 0;
  return FakeHost::current().perform(operation(op::close_type, fd, nullptr, 0), &size);
}
std::int32_t wev_wasi_sock_accept(Fd fd, std::int32_t flags, Fd* connection) {
  FakeHost& host = FakeHost::current();
  Size size = 0;
  const Errno error = host.perform(operation(op::accept_type, fd, nullptr, 0), &size);
  if (error != errno_success) return error;
  *connection = static_cast<Fd>(size);
  if (!host.quirks().accepts_blocking) (void)host.fdstat_set_flags(*connection, flags);
  return errno_success;
}
std::int32_t wev_wasi_sock_recv(Fd fd, const Iovec* iovs, Size count, std::int32_t flags,
                                Size* size, std::uint16_t* out_flags) {
  *out_flags = 0;
  return FakeHost::current().perform(operation(op::recv_type, fd, iovs, count, 0, flags), size);
}
std::int32_t wev_wasi_sock_send(Fd fd, const Iovec* iovs, Size count, std::int32_t, Size* size) {
  return FakeHost::current().perform(operation(op::send_type, fd, iovs, count), size);
}
std::int32_t wev_wasi_sock_shutdown(Fd fd, std::int32_t how) {
  Size size = 0;
  return FakeHost::current().perform(operation(op::shutdown_type, fd, nullptr, 0, 0, how), &size);
}

}  // extern "C"

}  // namespace wev::sys::wasi
