// The processes of port.hpp over kqueue.
//
// A process's descriptor is a kqueue of its own, in which an event stands once it has ended:
// the kernel's, and when that was taken one of our own in its place, so that it stays readable
// and remembers what the kernel said.
#include <fcntl.h>
#include <sys/event.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "sys/bsd.hpp"
#include "sys/port.hpp"
#include "sys/posix.hpp"

namespace wev::sys {

int open_kqueue() noexcept {
  OwnedFd made = above_stdio(OwnedFd(::kqueue()));
  if (!made.is_open() || ::fcntl(made.get(), F_SETFD, FD_CLOEXEC) < 0) return -1;
  return made.release();
}

namespace {

constexpr std::uint32_t when_it_ends =
#if defined(NOTE_EXITSTATUS)
    NOTE_EXIT | NOTE_EXITSTATUS;
#else
    NOTE_EXIT;
#endif

// `status`: waitpid()'s, 0 where it is not known.
int put_ended(int kqueue, int status) noexcept {
  std::array<struct kevent, 2> changes;
  const auto ident = static_cast<std::uintptr_t>(status);
  EV_SET(&changes[0], ident, EVFILT_USER, EV_ADD, 0, 0, nullptr);
  EV_SET(&changes[1], ident, EVFILT_USER, 0, NOTE_TRIGGER, 0, nullptr);
  return ::kevent(kqueue, changes.data(), 2, nullptr, 0, nullptr);
}

// 1: it has ended, with `status` as above; 0: it runs.
int look(int kqueue, int& status) noexcept {
  struct kevent event{};
  constexpr timespec now{};
  const int count = ::kevent(kqueue, nullptr, 0, &event, 1, &now);
  if (count <= 0) return count;
  if (event.filter == EVFILT_USER) {
    status = static_cast<int>(event.ident);
    return 1;
  }
  status = static_cast<int>(event.data);
  return put_ended(kqueue, status) == 0 ? 1 : -1;
}

}  // namespace

int open_process(pid_t pid) noexcept {
  OwnedFd made(open_kqueue());
  if (!made.is_open()) return -1;
  struct kevent change;
  EV_SET(&change, static_cast<std::uintptr_t>(pid), EVFILT_PROC, EV_ADD | EV_ONESHOT, when_it_ends,
         0, nullptr);
  if (::kevent(made.get(), &change, 1, nullptr, 0, nullptr) != 0) {
    // It may have ended by now.
    if (errno != ESRCH || put_ended(made.get(), 0) != 0) return -1;
  }
  return made.release();
}

int wait_for_process(int fd, pid_t pid, siginfo_t& info, int options) noexcept {
  int status = 0;
  const int ended = look(fd, status);
  if (ended <= 0) return ended;
  // Told of its end a little before it can be waited for, so this may wait.
  int waited = 0;
  do {
    waited = ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | options);
  } while (waited != 0 && errno == EINTR);
  // macOS does not say there which signal it was.
  if (waited == 0 && info.si_code != CLD_EXITED && info.si_status == 0) {
    info.si_status = WTERMSIG(status);
  }
  return waited;
}

// Its number is its own until it is released.
int send_signal(int, pid_t pid, int signal) noexcept { return ::kill(pid, signal); }

}  // namespace wev::sys
