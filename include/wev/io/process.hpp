// process.hpp: running another program.
//
//   const std::string_view arguments[] = {"-c", "exit 3"};
//   auto child = wev::Process::spawn(loop, {.program = "sh", .arguments = arguments});
//   if (!child) ...
//   wev::Expected<wev::ExitStatus> status = co_await child->wait();
//
// The child has descriptors 0 to 2 and no others of this program's, blocks no
// signal, and has SIGPIPE at its default, which loops and programs like to turn
// off. Other signals this program ignores stay ignored.
//
// Lifetime   One Process for each child; moving it moves that. Destroying it
//            neither ends nor waits for the child: kill() and wait() do, before.
//            Waits in flight end with operation_canceled. A child that has
//            ended by then is gone without a trace, and so is its number;
//            before that its pid() belongs to nobody else.
// Zombies    A child that still runs when its Process is destroyed is collected
//            by the first spawn() or destruction of a Process, of any loop and
//            thread, after its end; the system does it at the end of the
//            program. So zombies do not pile up, but the last may stay.
//            The program does not ignore SIGCHLD, nor does whoever starts it (the
//            shell's trap '' CHLD is inherited): the system would take a child's end,
//            and give its number away, before anybody asks. So spawn() refuses with
//            no_child_process, before anything has run; signal(SIGCHLD, SIG_DFL) at
//            the program's beginning helps. It is not done here, since a program may
//            have other children that nobody waits for. Nor does it wait for children
//            that are not its own (waitpid of -1): else wait() ends with
//            no_child_process.
// Thread     The loop's. Different loops may spawn at the same time.
// Errors     Of starting are spawn()'s, those that only show in the child included.
//            Where there are no processes: operation_not_supported.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "wev/io/stream.hpp"
#include "wev/sys/spawn.hpp"

namespace wev {

// NOLINTBEGIN(readability-redundant-member-init): without, g++ warns of what a
// designated initializer leaves out.
/// Strings without a zero inside; they are copied, and may go when spawn() returns.
struct ProcessOptions {
  /// Looked for in this program's PATH, unless there is a slash in it; a relative
  /// path counts from `directory`.
  std::string_view program;
  /// Without the program's name, which goes in front.
  std::span<const std::string_view> arguments{};
  /// Of the form NAME=value, and no others; nullopt: this program's own.
  std::optional<std::span<const std::string_view>> environment{};
  /// Empty: this program's own.
  std::string_view directory{};
  /// stdin, stdout and stderr.
  std::array<ChildStdio, 3> stdio{};
};
// NOLINTEND(readability-redundant-member-init)

/// How a process ended.
struct ExitStatus {
  int code = 0;    ///< what it returned, 0 to 255; -1 if a signal ended it
  int signal = 0;  ///< that signal; 0 if none did

  friend bool operator==(const ExitStatus&, const ExitStatus&) = default;
};

class Process : private Handle {
 public:
  /// No process, until one is moved here.
  Process() = default;
  Process(Process&&) noexcept = default;
  Process& operator=(Process&& other) noexcept;
  ~Process() { let_go(); }

  /// Starts a program, and keeps the thread until that is done (about a
  /// millisecond; up to 25 of them where the program's file was just written and is still
  /// open somewhere, then text_file_busy). no_child_process: see Zombies.
  /// no_such_file_or_directory, permission_denied, executable_format_error, not_a_directory: of the
  /// program or the directory; bad_file_descriptor: one of `stdio`; argument_list_too_long;
  /// invalid_argument: a string with a zero inside; too_many_files_open;
  /// resource_unavailable_try_again: too many processes.
  static Expected<Process> spawn(Loop& loop, const ProcessOptions& options);

  using Handle::is_open;
  using Handle::loop;
  /// The system's number for it; -1 if there is none.
  [[nodiscard]] int pid() const noexcept { return is_open() ? pid_ : -1; }

  struct ToExitStatus {
    Expected<ExitStatus> operator()(RequestBase&, Result result) const noexcept {
      if (!result) return std::unexpected(result.error());
      const int value = static_cast<int>(*result & (op::ended_by_signal - 1));
      const bool by_signal = (*result & op::ended_by_signal) != 0;
      return by_signal ? ExitStatus{-1, value} : ExitStatus{value, 0};
    }
  };
  /// Ends with an ExitStatus when the child has ended, at once if it already has.
  /// Any number may wait, one after the other, also after its end.
  /// Closes this program's end of the child's stdin, if that is a pipe that nobody took: many
  /// programs end when that does, and nobody can write to it any more. Its stdout and stderr
  /// stay: one that writes much ends only when they are taken and read.
  /// REQUIRES: is_open().
  Awaitable<ToExitStatus> wait() noexcept {
    WEV_ASSERT(is_open(), "Process::wait: there is no process");
    pipes_[0] = Stream();
    return {loop(), op::wait_process(fd(), pid_)};
  }

  /// Sends a signal (SIGTERM, ...) to the child itself, not to children of its own.
  /// Of one that has ended: nothing happens, as when it is about to.
  /// invalid_argument: no signal. operation_not_permitted: it runs as someone else.
  /// REQUIRES: is_open().
  [[nodiscard]] Expected<void> kill(int signal) const {
    return perform(op::kill_process(fd(), pid_, signal));
  }

  /// This program's end of the pipe that the child has as stdin (0), stdout (1) or
  /// stderr (2). Not open: it has no pipe there, or that was taken. Those not taken
  /// are closed with the Process.
  [[nodiscard]] Stream take_pipe(int index) noexcept {
    WEV_ASSERT(index >= 0 && index < 3, "Process::take_pipe: of stdin (0), stdout or stderr (2)");
    return std::move(pipes_[static_cast<std::size_t>(index)]);
  }

 private:
  Process(Loop& loop, int fd, const Spawn& spawn) noexcept;
  void let_go() noexcept;

  int pid_ = -1;
  std::array<Stream, 3> pipes_;
};

}  // namespace wev
