// kqueue(2) over epoll, for tests; what there is of it is in sys/event.h. Otherwise
// than in a kernel:
//   - Both filters of a descriptor are one in epoll. With EV_CLEAR an edge of one
//     reports the other again, if its condition holds.
//   - fflags of a failed socket are not its very error: Linux tells that only once.
//   - A number that is closed and given to the same open file again stays watched.
//   - A file that grows wakes nobody; the next call sees it. With EV_CLEAR it is
//     reported once.
#include <sys/event.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstring>
#include <deque>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake/kqueue/moods.hpp"
#include "support/allocations.hpp"

namespace {

using namespace std::chrono;
using Key = std::pair<std::uintptr_t, short>;  // ident, filter

// poll() has the same bits.
constexpr unsigned over = EPOLLHUP | EPOLLERR;
constexpr struct {
  short filter;
  unsigned wants;
  unsigned fires;
} filters[] = {{EVFILT_READ, EPOLLIN | EPOLLRDHUP, EPOLLIN | EPOLLRDHUP | over},
               {EVFILT_WRITE, EPOLLOUT | EPOLLRDHUP, EPOLLOUT | over},
               {EVFILT_PROC, EPOLLIN, EPOLLIN}};

// What systems do in one way or another.
enum class Way : std::uint8_t {
  wrong_end_is_epipe,     // writing to a pipe's read end; else EBADF
  refuses_to_read_write,  // reading of a pipe's write end; else it waits for ever
  closed_pipe_is_epipe,   // writing where nobody reads any more; else EV_EOF
  no_device,              // what cannot be waited for; else EINVAL
  zombie_is_gone,         // ESRCH; else it is reported
  status_on_request,      // with NOTE_EXITSTATUS only
  keeps_flags,            // beside EV_ERROR
};

int fail(int error) {
  errno = error;
  return -1;
}

std::uint64_t mix(std::uint64_t x) {  // splitmix64
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// Adding twice is the one question that epoll answers: it knows open files, so
// what has got the number meanwhile is no such. Unseen by the thread sanitizer: the
// number may be another thread's, which closes it.
bool epoll_has(int epoll, int fd) {
  epoll_event none{};
  if (::syscall(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, fd, &none) != 0) return errno == EEXIST;
  (void)::syscall(SYS_epoll_ctl, epoll, EPOLL_CTL_DEL, fd, &none);
  return false;
}

std::optional<int> exit_status(std::uintptr_t pid) {
  siginfo_t info{};
  constexpr int peek = WEXITED | WNOHANG | WNOWAIT;
  if (::waitid(P_PID, static_cast<id_t>(pid), &info, peek) != 0 || info.si_pid == 0) return {};
  if (info.si_code == CLD_EXITED) return info.si_status << 8;
  return info.si_status | (info.si_code == CLD_DUMPED ? 0x80 : 0);
}

class Queue;

// What all kqueues share. Its descriptors are made before main: tests count.
struct Shared {
  // For ever. Every kqueue's epoll has it, and looks for it while there are events
  // that epoll does not know of. Its data there is the kqueue's id.
  const int readable = ::eventfd(1, EFD_CLOEXEC);
  std::atomic<std::uint64_t> seed{0};
  std::atomic<std::uint32_t> serial{0};
  std::mutex mutex;
  std::deque<Queue*> queues;  // by id; none is freed, a call may be in one that is closed
  std::array<std::atomic<Queue*>, 1 << 16> of_number{};
  int numbers = 0;  // lower than this
  std::array<int, 2> post{};
  std::set<std::uint64_t> kept;

  Shared() {
    constexpr int room = 1 << 20;
    (void)::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, post.data());
    (void)::setsockopt(post[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  }

  bool is_kqueue(int fd) const { return epoll_has(fd, readable); }
  std::uint64_t token(std::uintptr_t ident) { return std::uint64_t{++serial} << 32 | ident; }

  // A pidfd lives in a message that nobody takes, and has no number: so closing the
  // kqueue leaves none open. Those of closed ones are dropped when others come.
  bool keep(int pidfd, std::uint64_t token, int kq, const Queue* queue) {
    struct Parcel {
      std::uint64_t token;
      const Queue* queue;
      int kq;
    } parcel{};
    const std::lock_guard lock(mutex);
    while (::recv(post[1], &parcel, sizeof parcel, MSG_PEEK) > 0) {
      const bool open = of_number[parcel.kq] == parcel.queue && is_kqueue(parcel.kq);
      if (open && kept.contains(parcel.token)) break;
      kept.erase(parcel.token);
      (void)::recv(post[1], &parcel, sizeof parcel, 0);  // closes what it carries
    }
    parcel = {token, queue, kq};
    iovec data{&parcel, sizeof parcel};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof pidfd)> control{};
    const msghdr message{nullptr, 0, &data, 1, control.data(), control.size(), 0};
    *CMSG_FIRSTHDR(&message) = {CMSG_LEN(sizeof pidfd), SOL_SOCKET, SCM_RIGHTS};
    std::memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &pidfd, sizeof pidfd);
    if (::sendmsg(post[0], &message, 0) < 0) return false;
    return kept.insert(token).second;
  }
  void let_go(std::uint64_t token) {
    const std::lock_guard lock(mutex);
    kept.erase(token);
  }
};

Shared& shared() {
  static Shared& made = *new Shared;
  return made;
}
[[maybe_unused]] const Shared& made_early = shared();

class Queue {
 public:
  Queue(std::uint64_t id, std::uint64_t seed) : id_(id), seed_(seed), random_(seed + id) {}

  // -1, and errno.
  int run(int kq, std::span<const struct kevent> changes, std::span<struct kevent> events,
          const timespec* timeout) {
    if (timeout != nullptr &&
        (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= 1'000'000'000)) {
      return fail(EINVAL);
    }
    std::unique_lock lock(mutex_);
    kq_ = kq;
    std::size_t count = 0;
    for (const struct kevent change : changes) {  // a copy: events may be the same array
      const int error = apply(change);
      if (error == 0 && (change.flags & EV_RECEIPT) == 0) continue;
      if (count == events.size()) {
        show();
        return error == 0 ? static_cast<int>(count) : fail(error);
      }
      events[count] = change;
      events[count].flags = (is(Way::keeps_flags) ? change.flags : 0) | EV_ERROR;
      events[count++].data = error;
    }
    show();
    if (count > 0 || events.empty()) return static_cast<int>(count);
    if (once_in(4)) events = events.first(1 + random(events.size()));
    auto until = steady_clock::time_point::max();
    if (timeout != nullptr) {
      const seconds whole(std::min<time_t>(timeout->tv_sec, 1'000'000'000));
      until = steady_clock::now() + whole + nanoseconds(timeout->tv_nsec);
      if (once_in(4)) until -= nanoseconds(random(1'000'000));
    }
    for (;;) {
      harvest();
      count = deliver(events);
      show();
      const nanoseconds left = until - steady_clock::now();
      if (count > 0 || left.count() <= 0) return static_cast<int>(count);
      if (once_in(32)) return fail(EINTR);
      lock.unlock();
      pollfd self{kq, POLLIN, 0};
      const timespec wait{floor<seconds>(left).count(), (left % seconds(1)).count()};
      if (::ppoll(&self, 1, timeout != nullptr ? &wait : nullptr, nullptr) < 0) return -1;
      if ((self.revents & POLLNVAL) != 0) return fail(EBADF);
      lock.lock();
      kq_ = kq;
    }
  }

 private:
  struct Note {
    struct kevent asked{};
    std::uint64_t token = 0;  // what epoll calls it; both of a descriptor have one
    ino_t file = 0;           // of one that epoll does not take
    bool enabled = false;
    bool queued = false;
    bool triggered = false;  // EVFILT_USER, EVFILT_PROC
    bool spurious = false;   // to be reported whether or not
  };

  bool is(Way way) const {
    return seed_ != 0 && (mix(seed_ ^ mix(static_cast<std::uint64_t>(way))) & 1) != 0;
  }
  std::uint64_t random(std::uint64_t below) { return (random_ = mix(random_)) % below; }
  bool once_in(std::uint64_t n) { return seed_ != 0 && random(n) == 0; }

  Note* find(const Key& key) {
    const auto found = notes_.find(key);
    return found == notes_.end() ? nullptr : &found->second;
  }
  static bool on_descriptor(const Key& key) {
    return key.second == EVFILT_READ || key.second == EVFILT_WRITE;
  }

  // Changes; an errno or 0 ----------------------------------------------------------

  int apply(const struct kevent& change) {
    const Key key{change.ident, change.filter};
    const int fd = change.ident > INT_MAX ? -1 : static_cast<int>(change.ident);
    if (on_descriptor(key)) {
      drop_if_closed(fd);
      if (::fcntl(fd, F_GETFD) < 0) return EBADF;
    } else if (change.filter != EVFILT_PROC && change.filter != EVFILT_USER) {
      return EINVAL;
    }
    Note* note = find(key);
    if (note == nullptr) {
      if ((change.flags & EV_ADD) == 0) return ENOENT;
      Note made;
      const int error = on_descriptor(key)             ? attach(fd, change.filter, made)
                        : change.filter == EVFILT_PROC ? attach_process(change, made)
                                                       : 0;
      if (error != 0) return error;
      note = &notes_.emplace(key, made).first->second;
    } else if ((change.flags & EV_DELETE) != 0) {
      remove(key);
      return 0;
    }
    if ((change.flags & EV_ADD) != 0) note->asked = change;
    note->asked.udata = change.udata;
    if ((change.flags & (EV_ADD | EV_ENABLE)) != 0) note->enabled = true;
    if ((change.flags & EV_DISABLE) != 0) {
      note->enabled = note->queued = false;
      std::erase(active_, key);
    }
    if (change.filter == EVFILT_USER) note->triggered |= (change.fflags & NOTE_TRIGGER) != 0;
    if (note->triggered || note->file != 0) queue(key, *note);
    if (!on_descriptor(key) || note->file != 0) return 0;
    const int error = arm(fd);
    if (error != 0) forget(key);
    return error;
  }

  int attach(int fd, short filter, Note& note) {
    struct stat status{};
    if (::fstat(fd, &status) != 0) return errno;
    if (S_ISREG(status.st_mode)) {
      note.file = status.st_ino;
      return 0;
    }
    if (S_ISFIFO(status.st_mode)) {
      const int mode = ::fcntl(fd, F_GETFL) & O_ACCMODE;
      pollfd pipe{fd, 0, 0};
      const bool closed = ::poll(&pipe, 1, 0) > 0 && (pipe.revents & POLLERR) != 0;
      const bool reads = filter == EVFILT_READ;
      if (!reads && mode == O_RDONLY) return is(Way::wrong_end_is_epipe) ? EPIPE : EBADF;
      if (!reads && closed && is(Way::closed_pipe_is_epipe)) return EPIPE;
      if (reads && mode == O_WRONLY && is(Way::refuses_to_read_write)) return EBADF;
    }
    const auto ident = static_cast<std::uintptr_t>(fd);
    const Note* other = find({ident, filter == EVFILT_READ ? EVFILT_WRITE : EVFILT_READ});
    note.token = other != nullptr ? other->token : shared().token(ident);
    return 0;
  }

  int attach_process(const struct kevent& change, Note& note) {
    if ((change.fflags & NOTE_EXIT) == 0) return EINVAL;
    if (is(Way::zombie_is_gone) && exit_status(change.ident)) return ESRCH;
    const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, change.ident, 0));
    if (pidfd < 0) return errno;
    note.token = shared().token(change.ident);
    epoll_event event{EPOLLIN | EPOLLET, {.u64 = note.token}};
    const bool added = shared().keep(pidfd, note.token, kq_, this) &&
                       ::epoll_ctl(kq_, EPOLL_CTL_ADD, pidfd, &event) == 0;
    ::close(pidfd);
    if (!added) shared().let_go(note.token);
    return added ? 0 : ENOMEM;
  }

  // Tells epoll what is wanted of a descriptor. What is ready is an edge once more.
  int arm(int fd) {
    epoll_event event{};
    for (const auto& [filter, wants, fires] : filters) {
      const Note* note = find({static_cast<std::uintptr_t>(fd), filter});
      if (note == nullptr || filter == EVFILT_PROC) continue;
      event.data.u64 = note->token;
      event.events |= EPOLLET | (note->enabled ? wants : 0u);
    }
    const int operation = event.events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    if (::epoll_ctl(kq_, operation, fd, &event) == 0 || event.events == 0) return 0;
    if (errno == ENOENT && ::epoll_ctl(kq_, EPOLL_CTL_ADD, fd, &event) == 0) return 0;
    return errno != EPERM ? errno : is(Way::no_device) ? ENODEV : EINVAL;
  }

  void forget(Key key) {
    const Note* note = find(key);
    if (note != nullptr && key.second == EVFILT_PROC) shared().let_go(note->token);
    notes_.erase(key);
    std::erase(active_, key);
  }
  void remove(Key key) {
    const bool armed = on_descriptor(key) && find(key)->file == 0;
    forget(key);
    if (armed) (void)arm(static_cast<int>(key.first));
  }
  void drop_if_closed(int fd) {
    for (const short filter : {EVFILT_READ, EVFILT_WRITE}) {
      const Key key(static_cast<std::uintptr_t>(fd), filter);
      const Note* note = find(key);
      if (note == nullptr) continue;
      struct stat status{};
      const bool same = note->file == 0 ? epoll_has(kq_, fd)
                                        : ::fstat(fd, &status) == 0 && status.st_ino == note->file;
      if (!same) forget(key);
    }
  }

  // Events --------------------------------------------------------------------------

  void queue(const Key& key, Note& note) {
    if (note.enabled && !note.queued) active_.push_back(key);
    note.queued = note.enabled;
  }

  void harvest() {
    std::array<epoll_event, 64> events;
    const int count = ::epoll_wait(kq_, events.data(), events.size(), 0);
    for (const epoll_event& event : std::span(events).first(std::max(count, 0))) {
      for (const auto& [filter, wants, fires] : filters) {
        const Key key(event.data.u64 & UINT32_MAX, filter);
        Note* note = find(key);
        if (note == nullptr || note->token != event.data.u64) continue;
        if ((event.events & fires) == 0) continue;
        note->triggered = filter == EVFILT_PROC;
        queue(key, *note);
      }
    }
    for (const Key& key : std::exchange(unsure_, {})) {
      if (Note* note = find(key)) queue(key, *note);
    }
    if (once_in(16) && !notes_.empty()) {
      auto note = notes_.lower_bound({random(notes_.rbegin()->first.first + 1), SHRT_MIN});
      while (note != notes_.end() && note->first.second != EVFILT_READ) ++note;
      if (note != notes_.end()) {
        note->second.spurious = true;
        queue(note->first, note->second);
      }
    }
    if (active_.size() > 1 && once_in(4)) {
      std::ranges::rotate(active_, active_.begin() + static_cast<int>(random(active_.size())));
    }
  }

  std::size_t deliver(std::span<struct kevent> events) {
    std::size_t count = 0;
    // Each once: some become active again at once.
    for (auto n = active_.size(); n > 0 && count < events.size() && !active_.empty(); --n) {
      const Key key = active_.front();
      if (on_descriptor(key)) drop_if_closed(static_cast<int>(key.first));
      Note* note = find(key);
      if (note == nullptr) continue;  // and it is not active any more
      active_.pop_front();
      note->queued = false;
      struct kevent& event = events[count];
      const std::optional<bool> fired = fires(*note, event);
      if (!fired) unsure_.push_back(key);
      if (!std::exchange(note->spurious, false) && !fired.value_or(false)) continue;
      ++count;
      if ((event.flags & EV_ONESHOT) != 0) {
        remove(key);
        continue;
      }
      const bool clears = (event.flags & EV_CLEAR) != 0;
      if (clears) note->triggered = false;
      note->enabled = (event.flags & EV_DISPATCH) == 0;
      if (on_descriptor(key) && note->file == 0) {
        if (!clears || !note->enabled) (void)arm(static_cast<int>(key.first));
      } else if (!clears) {
        queue(key, *note);
      }
    }
    return count;
  }

  // poll() finds events of which epoll does not know.
  void show() {
    if (shown_ == !active_.empty()) return;
    shown_ = !shown_;
    epoll_event event{shown_ ? EPOLLIN : 0u, {.u64 = id_}};
    (void)::epoll_ctl(kq_, EPOLL_CTL_MOD, shared().readable, &event);
  }

  // nullopt: no, and epoll will not tell when; it is asked again.
  std::optional<bool> fires(const Note& note, struct kevent& event) const {
    event = note.asked;
    event.flags &= EV_ONESHOT | EV_CLEAR | EV_DISPATCH;
    event.fflags = 0;
    if (event.filter == EVFILT_USER) return note.triggered;
    event.data = 0;
    const int fd = static_cast<int>(event.ident);
    if (note.file != 0) return has_more(fd, event);
    if (event.filter != EVFILT_PROC) return is_ready(fd, event);
    event.flags |= EV_EOF | EV_ONESHOT;
    event.fflags = note.asked.fflags & (NOTE_EXIT | NOTE_EXITSTATUS);
    const bool tells = (event.fflags & NOTE_EXITSTATUS) != 0 || !is(Way::status_on_request);
    if (tells) event.data = exit_status(event.ident).value_or(0);
    return note.triggered;
  }

  static std::optional<bool> has_more(int fd, struct kevent& event) {
    struct stat status{};
    if (event.filter == EVFILT_WRITE || ::fstat(fd, &status) != 0) return true;
    event.data = status.st_size - ::lseek(fd, 0, SEEK_CUR);
    return event.data != 0 ? std::optional(true) : std::nullopt;
  }

  static std::optional<bool> is_ready(int fd, struct kevent& event) {
    pollfd now{fd, POLLIN | POLLOUT | POLLRDHUP, 0};
    struct stat status{};
    if (::poll(&now, 1, 0) <= 0 || ::fstat(fd, &status) != 0) return false;
    const bool reads = event.filter == EVFILT_READ;
    const bool socket = S_ISSOCK(status.st_mode);
    const auto has = [&](unsigned bits) { return (now.revents & bits) != 0; };
    // Linux calls one that was never connected hung up.
    if (socket && has(POLLHUP) && !has(POLLRDHUP | POLLERR)) return std::nullopt;
    if (!has(filters[reads ? 0 : 1].fires)) return false;
    if (has(POLLHUP | (reads ? POLLRDHUP : 0u)) || (!socket && has(POLLERR))) {
      event.flags |= EV_EOF;
      if (socket && has(POLLERR)) event.fflags = ECONNRESET;
    }
    const auto option = [fd](int level, int name, auto value) {
      socklen_t size = sizeof value;
      return ::getsockopt(fd, level, name, &value, &size) == 0 ? value : decltype(value){};
    };
    const auto ask = [fd](unsigned long what, int otherwise) {
      int value = 0;
      return ::ioctl(fd, what, &value) == 0 ? value : otherwise;
    };
    if (reads && socket && option(SOL_SOCKET, SO_ACCEPTCONN, 0) != 0) {
      event.data = std::max(option(IPPROTO_TCP, TCP_INFO, tcp_info{}).tcpi_unacked, 1u);
    } else if (reads) {
      event.data = ask(FIONREAD, 1);
    } else {
      const int size = socket ? option(SOL_SOCKET, SO_SNDBUF, 0) : ::fcntl(fd, F_GETPIPE_SZ);
      event.data = std::max(size - ask(socket ? SIOCOUTQ : FIONREAD, 0), 1);
    }
    return true;
  }

  const std::uint64_t id_;
  const std::uint64_t seed_;
  std::mutex mutex_;
  std::uint64_t random_;
  int kq_ = -1;  // by which the current call knows it
  bool shown_ = false;
  std::map<Key, Note> notes_;
  std::deque<Key> active_;
  std::deque<Key> unsure_;
};

Queue* find_queue(int kq) {
  if (kq < 0 || kq >= std::ssize(shared().of_number) || !shared().is_kqueue(kq)) return nullptr;
  std::atomic<Queue*>& known = shared().of_number[kq];
  if (Queue* queue = known.load(std::memory_order_acquire)) return queue;
  // A duplicate: its epoll tells the id.
  const std::lock_guard lock(shared().mutex);
  std::ifstream info("/proc/self/fdinfo/" + std::to_string(kq));
  for (std::string line; std::getline(info, line);) {
    int fd = 0;
    std::size_t id = 0;
    const int found = std::sscanf(line.c_str(), "tfd: %d events: %*x data: %zx", &fd, &id);
    if (found != 2 || fd != shared().readable) continue;
    shared().numbers = std::max(shared().numbers, kq + 1);
    return known = shared().queues.at(id);
  }
  return nullptr;
}

}  // namespace

extern "C" {

int kqueue() {
  const wev::test::NotOurs not_ours;
  Shared& all = shared();
  const std::lock_guard lock(all.mutex);
  const int kq = ::epoll_create1(EPOLL_CLOEXEC);
  if (kq < 0) return -1;
  epoll_event idle{0, {.u64 = all.queues.size()}};
  if (kq >= std::ssize(all.of_number) || ::epoll_ctl(kq, EPOLL_CTL_ADD, all.readable, &idle) != 0) {
    ::close(kq);
    return fail(ENOMEM);
  }
  // Numbers that were closed are forgotten, before one becomes a duplicate's.
  for (int number = 0; number < all.numbers; ++number) {
    if (all.of_number[number] != nullptr && !all.is_kqueue(number)) all.of_number[number] = nullptr;
  }
  all.numbers = std::max(all.numbers, kq + 1);
  all.of_number[kq] = all.queues.emplace_back(new Queue(all.queues.size(), all.seed));
  return kq;
}

int kevent(int kq, const struct kevent* changes, int nchanges, struct kevent* events, int nevents,
           const struct timespec* timeout) {
  const wev::test::NotOurs not_ours;
  if (nchanges < 0 || nevents < 0) return fail(EINVAL);
  Queue* const queue = find_queue(kq);
  if (queue == nullptr) return fail(EBADF);
  return queue->run(kq, std::span(changes, static_cast<std::size_t>(nchanges)),
                    std::span(events, static_cast<std::size_t>(nevents)), timeout);
}

void wev_kqueue_set_moods(std::uint64_t seed) { shared().seed = seed; }

}  // extern "C"
