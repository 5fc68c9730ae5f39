// The processes of port.hpp over pidfds.
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/port.hpp"

namespace wev::sys {

int open_process(pid_t pid) noexcept { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

int wait_for_process(int fd, pid_t, siginfo_t& info, int options) noexcept {
  return ::waitid(P_PIDFD, static_cast<id_t>(fd), &info, WEXITED | WNOHANG | options);
}

int send_signal(int fd, pid_t, int signal) noexcept {
  return static_cast<int>(::syscall(SYS_pidfd_send_signal, fd, signal, nullptr, 0));
}

}  // namespace wev::sys
