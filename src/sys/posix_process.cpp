// system.hpp: processes.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <optional>
#include <utility>

#include "sys/immortal.hpp"
#include "sys/port.hpp"
#include "sys/posix.hpp"
#include "sys/system.hpp"
#include "wev/base/array.hpp"
#include "wev/sys/spawn.hpp"

extern "C" char** environ;  // NOLINT(readability-redundant-declaration): on Linux it is

namespace wev::sys {

namespace {

// Children nobody waits for ------------------------------------------------------------

// Those whose owner is gone while they still run. A zombie costs the system a
// process, so they are collected whenever another one is started or let go.
class Orphans {
 public:
  /// Room for one more child to become one.
  bool expect_one() noexcept {
    const std::scoped_lock lock(mutex_);
    if (!pids_.reserve(pids_.size() + expected_ + 1)) return false;
    ++expected_;
    return true;
  }
  /// The expected one came to nothing, or had ended.
  void expect_less() noexcept {
    const std::scoped_lock lock(mutex_);
    --expected_;
  }
  void adopt(pid_t pid) noexcept {
    const std::scoped_lock lock(mutex_);
    --expected_;
    (void)pids_.push_back(pid);  // reserved by expect_one()
  }
  void collect() noexcept {
    const std::scoped_lock lock(mutex_);
    for (std::size_t i = pids_.size(); i-- > 0;) {
      siginfo_t info{};
      const int waited = ::waitid(P_PID, static_cast<id_t>(pids_[i]), &info, WEXITED | WNOHANG);
      if (waited == 0 && info.si_pid == 0) continue;  // it runs
      pids_[i] = pids_.back();
      pids_.pop_back();
    }
  }

 private:
  std::mutex mutex_;
  Array<pid_t> pids_;
  std::size_t expected_ = 0;  // children that have an owner
};

constinit Immortal<Orphans> orphans;

// Starting -----------------------------------------------------------------------------

// Nothing that is opened here becomes one of the first three, where this program
// has them closed: the child's own are put there one after the other, and the next
// child would inherit it.
std::expected<OwnedFd, Error> copy_above_stdio(int fd) noexcept {
  OwnedFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!copy.is_open()) return std::unexpected(last_error());
  return copy;
}

std::expected<OwnedFd, Error> moved_above_stdio(OwnedFd fd) noexcept {
  OwnedFd moved = above_stdio(std::move(fd));
  if (!moved.is_open()) return std::unexpected(last_error());
  return moved;
}

// What the child has as one of its first three, and our end if it is a pipe.
struct StdioEnds {
  OwnedFd childs;  // not open: it has none
  OwnedFd ours;
};

std::expected<StdioEnds, Error> make_pipe(bool child_reads) noexcept {
  std::array<int, 2> ends{};
  if (open_pipe(ends.data(), false) != 0) return std::unexpected(last_error());
  OwnedFd reader(ends[0]);
  OwnedFd writer(ends[1]);
  auto childs = moved_above_stdio(std::move(child_reads ? reader : writer));
  if (!childs) return std::unexpected(childs.error());
  auto ours = moved_above_stdio(std::move(child_reads ? writer : reader));
  if (!ours) return std::unexpected(ours.error());
  set_nonblocking(ours->get(), true);
  return StdioEnds{std::move(*childs), std::move(*ours)};
}

std::expected<StdioEnds, Error> make_stdio(int i, const ChildStdio& stdio) noexcept {
  if (stdio.kind == ChildStdio::Kind::pipe) return make_pipe(i == STDIN_FILENO);
  std::expected<OwnedFd, Error> childs;
  if (stdio.kind == ChildStdio::Kind::null) {
    OwnedFd null(::open("/dev/null", O_CLOEXEC | (i == STDIN_FILENO ? O_RDONLY : O_WRONLY)));
    if (!null.is_open()) return std::unexpected(last_error());
    childs = moved_above_stdio(std::move(null));
  } else {
    const bool inherits = stdio.kind == ChildStdio::Kind::inherit;
    childs = copy_above_stdio(inherits ? i : stdio.fd);
    if (inherits && !childs && childs.error() == std::errc::bad_file_descriptor) return StdioEnds{};
  }
  if (!childs) return std::unexpected(childs.error());
  return StdioEnds{std::move(*childs), {}};
}

// Of the program's descriptors a child has none but its first three.
#if defined(POSIX_SPAWN_CLOEXEC_DEFAULT)  // macOS
constexpr short flag_to_close_others = POSIX_SPAWN_CLOEXEC_DEFAULT;
int close_others(posix_spawn_file_actions_t&) noexcept { return 0; }
#else
constexpr short flag_to_close_others = 0;
int close_others(posix_spawn_file_actions_t& actions) noexcept {
  return ::posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
}
#endif

// Arguments of posix_spawn. Each function says 0 or an errno.
class SpawnArguments {
 public:
  SpawnArguments() noexcept {
    failed(::posix_spawn_file_actions_init(&actions_));
    failed(::posix_spawnattr_init(&attributes_));
  }
  ~SpawnArguments() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  SpawnArguments(const SpawnArguments&) = delete;
  SpawnArguments& operator=(const SpawnArguments&) = delete;

  // The loop's thread blocks SIGPIPE, and programs ignore it; the child is used to
  // neither.
  void set_signals() noexcept {
    sigset_t none;
    sigset_t sigpipe;
    sigemptyset(&none);
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    failed(::posix_spawnattr_setsigmask(&attributes_, &none));
    failed(::posix_spawnattr_setsigdefault(&attributes_, &sigpipe));
    failed(::posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | flag_to_close_others));
  }
  void set_stdio(const std::array<StdioEnds, 3>& stdio) noexcept {
    for (int i = 0; const StdioEnds& ends : stdio) {
      if (ends.childs.is_open()) {
        failed(::posix_spawn_file_actions_adddup2(&actions_, ends.childs.get(), i));
      }
      ++i;
    }
    failed(close_others(actions_));
  }
  void set_directory(const char* directory) noexcept {
    if (directory != nullptr) failed(::posix_spawn_file_actions_addchdir_np(&actions_, directory));
  }

  std::expected<pid_t, Error> start(const Spawn& spawn) const noexcept {
    pid_t pid = -1;
    int error = error_;
    if (error == 0) {
      const auto* environment = spawn.environment != nullptr ? spawn.environment : environ;
      error = ::posix_spawnp(&pid, spawn.program, &actions_, &attributes_,
                             const_cast<char* const*>(spawn.arguments),
                             const_cast<char* const*>(environment));
    }
    if (error != 0) return std::unexpected(to_error(error));
    return pid;
  }

 private:
  void failed(int error) noexcept {
    if (error_ == 0) error_ = error;
  }

  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
  int error_ = 0;
};

std::expected<OwnedFd, Error> look_after(pid_t pid) noexcept {
  OwnedFd process(open_process(pid));
  if (!process.is_open()) return std::unexpected(last_error());
  return moved_above_stdio(std::move(process));
}

// Whether the system would take a child's end, and its number, before anybody asks for it.
bool children_end_unseen() noexcept {
  struct sigaction action{};
  return ::sigaction(SIGCHLD, nullptr, &action) == 0 &&
         (action.sa_handler == SIG_IGN || (action.sa_flags & SA_NOCLDWAIT) != 0);
}

// A child that cannot be looked after, if it is there. Whoever has set SIGCHLD to be ignored
// meanwhile, or waits for all children, may have set its number free.
void end_now(pid_t pid) noexcept {
  siginfo_t info{};
  const bool is_ours = !children_end_unseen() && ::waitid(P_PID, static_cast<id_t>(pid), &info,
                                                          WEXITED | WNOHANG | WNOWAIT) == 0;
  if (!is_ours) return;
  (void)::kill(pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

// A program that was just written may be open for writing a moment longer: in a child of
// another thread that has not begun its own program yet, or in the kernel (io_uring). Both
// takes less than a millisecond where the machine is not busy.
constexpr int most_tries = 8;  // 25 milliseconds in all
constexpr long first_pause_ns = 200'000;

std::expected<pid_t, Error> start_once_closed(const SpawnArguments& arguments,
                                              const Spawn& spawn) noexcept {
  for (int tries = 1;; ++tries) {
    const auto pid = arguments.start(spawn);
    if (pid || tries == most_tries || pid.error() != std::errc::text_file_busy) return pid;
    const timespec pause{0, first_pause_ns << (tries - 1)};
    (void)::nanosleep(&pause, nullptr);
  }
}

Result start_process(Spawn& spawn, std::array<StdioEnds, 3>& stdio) noexcept {
  // What it takes to look after a child is found out before there is one.
  if (children_end_unseen()) return std::unexpected(std::errc::no_child_process);
  auto process = look_after(::getpid());
  if (!process) return std::unexpected(process.error());
  SpawnArguments arguments;
  arguments.set_signals();
  arguments.set_stdio(stdio);
  arguments.set_directory(spawn.directory);
  const auto pid = start_once_closed(arguments, spawn);
  if (!pid) return std::unexpected(pid.error());
  {
    const OwnedFd makes_room = std::move(*process);
  }
  process = look_after(*pid);
  if (!process) {
    end_now(*pid);
    return std::unexpected(process.error());
  }
  spawn.pid = *pid;
  return static_cast<std::size_t>(process->release());
}

}  // namespace

Result spawn(Spawn& spawn) noexcept {
  orphans.value.collect();
  std::array<StdioEnds, 3> stdio;
  for (std::size_t i = 0; i < stdio.size(); ++i) {
    auto made = make_stdio(static_cast<int>(i), spawn.stdio[i]);
    if (!made) return std::unexpected(made.error());
    stdio[i] = std::move(*made);
  }
  if (!orphans.value.expect_one()) return std::unexpected(std::errc::not_enough_memory);
  const Result started = start_process(spawn, stdio);
  if (!started) {
    orphans.value.expect_less();
    return started;
  }
  for (std::size_t i = 0; i < stdio.size(); ++i) {
    if (stdio[i].ours.is_open()) spawn.stdio[i].fd = stdio[i].ours.release();
  }
  return started;
}

// Waiting ------------------------------------------------------------------------------

namespace {

// nullopt: it runs.
std::expected<std::optional<std::size_t>, Error> status_of(int fd, int pid, int options) noexcept {
  siginfo_t info{};
  if (wait_for_process(fd, pid, info, options) != 0) {
    return std::unexpected(last_error());
  }
  if (info.si_pid == 0) return std::nullopt;
  const auto status = static_cast<std::size_t>(info.si_status);
  return info.si_code == CLD_EXITED ? status : op::ended_by_signal | status;
}

}  // namespace

// Leaves the zombie where it is: others may wait too, and its number is not given
// to another process as long as somebody has it.
Result wait_process(int fd, int pid) noexcept {
  const auto status = status_of(fd, pid, WNOWAIT);
  if (!status) return std::unexpected(status.error());
  if (!*status) return std::unexpected(std::errc::resource_unavailable_try_again);
  return **status;
}

Result kill_process(int fd, int pid, int signal) noexcept {
  return to_result(send_signal(fd, pid, signal));
}

Result release_process(int fd, int pid) noexcept {
  const auto status = status_of(fd, pid, 0);
  if (status && !*status) {
    orphans.value.adopt(pid);
  } else {
    orphans.value.expect_less();
  }
  orphans.value.collect();
  return 0;
}

}  // namespace wev::sys
