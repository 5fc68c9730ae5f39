// Processes and signals, on this kernel.
#include "wev/io/process.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <optional>
#include <thread>

#include "rig/native.hpp"
#include "support/allocations.hpp"
#include "support/system.hpp"
#include "support/threads.hpp"
#include "wev/io/signal.hpp"

namespace wev::test {

namespace {

template <class T>
bool fails_with(const Expected<T>& outcome, std::errc error) {
  return !outcome && outcome.error() == error;
}

// Whether this program has a child, be it a zombie.
bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

// Sleeps until some child of this program is a zombie, and leaves it one.
void wait_for_zombie() {
  siginfo_t info{};
  while (::waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
  }
}

struct Waiter {
  Request request;
  std::optional<Expected<ExitStatus>> status;

  void wait(Process& process, Instant deadline = never) {
    status.reset();
    request.start(process.wait().deadline(deadline),
                  [this](Expected<ExitStatus> ended) { status = ended; });
  }
  [[nodiscard]] bool ended_with(const ExitStatus& expected) const {
    return status && *status && **status == expected;
  }
  template <class Code>
  [[nodiscard]] bool failed_with(Code code) const {
    return status && !*status && status->error() == code;
  }
};

struct Listener {
  Request request;
  unsigned times = 0;
  unsigned calls = 0;
  std::optional<Error> error;

  void wait(const Signal& signal, Instant deadline = never) {
    request.start(signal.wait().deadline(deadline), [this](Expected<unsigned> came) {
      ++calls;
      if (came) {
        times += *came;
      } else {
        error = came.error();
      }
    });
  }
};

// What the program did on a signal before, and does again after the test.
class Disposition {
 public:
  Disposition(int signal, void (*handler)(int)) : signal_(signal) {
    struct sigaction action{};
    action.sa_handler = handler;
    ::sigaction(signal_, &action, &before_);
  }
  ~Disposition() { ::sigaction(signal_, &before_, nullptr); }
  Disposition(const Disposition&) = delete;
  Disposition& operator=(const Disposition&) = delete;

  static auto of(int signal) {
    struct sigaction action{};
    ::sigaction(signal, nullptr, &action);
    return action.sa_handler;
  }

 private:
  int signal_;
  struct sigaction before_{};
};

}  // namespace

class ProcessContract : public NativeContract {
 protected:
  using Stdio = std::array<ChildStdio, 3>;

  void TearDown() override {
    NativeContract::TearDown();
    EXPECT_FALSE(has_children()) << "a child was left";
  }

  /// `sh -c script arguments...`, which must start.
  Process shell(std::string_view script, const Stdio& stdio = {}) {
    const std::string_view arguments[] = {"-c", script};
    return start_process({.program = "/bin/sh", .arguments = arguments, .stdio = stdio});
  }
  Process start_process(const ProcessOptions& options) {
    auto process = Process::spawn(loop(), options);
    EXPECT_TRUE(process) << "error " << process.error().code();
    return process ? std::move(*process) : Process();
  }
  /// Its stdin is a pipe and it lives until that is closed.
  Process lasting() {
    const Stdio stdio = {ChildStdio::pipe(), ChildStdio::null(), ChildStdio::inherit()};
    return start_process({.program = "cat", .stdio = stdio});
  }

  void end(Process& process) {
    EXPECT_TRUE(process.kill(SIGKILL));
    Waiter waiter;
    waiter.wait(process);
    run();
    EXPECT_TRUE(waiter.ended_with({-1, SIGKILL}));
  }

  /// Reads up to the end, through the loop.
  std::string read_to_end(int fd) {
    std::string all;
    std::byte buffer[4096];
    Probe& reading = probe({}, [&](Probe& self) {
      EXPECT_TRUE(self.result()) << describe(self.result());
      const std::size_t size = self.result().value_or(0);
      all.append(reinterpret_cast<const char*>(buffer), size);
      return size > 0 ? Action::rearm : Action::disarm;
    });
    add(reading, op::read(fd, buffer));
    run();
    return all;
  }
  /// What a script writes to stdout; it must succeed.
  std::string output_of(ProcessOptions options) {
    options.stdio[1] = ChildStdio::pipe();
    Process process = start_process(options);
    const std::string output = read_to_end(owned(process.take_pipe(1).release()));
    Waiter waiter;
    waiter.wait(process);
    run();
    EXPECT_TRUE(waiter.ended_with({0, 0}));
    return output;
  }
  std::string output_of(std::string_view script) {
    const std::string_view arguments[] = {"-c", script};
    return output_of({.program = "/bin/sh", .arguments = arguments});
  }
};

// Ending -------------------------------------------------------------------------------

TEST_P(ProcessContract, TheExitCodeIsTold) {
  for (const int code : {0, 1, 3, 127, 255}) {
    Process process = shell("exit " + std::to_string(code));
    Waiter waiter;
    waiter.wait(process);
    run();
    EXPECT_TRUE(waiter.ended_with({code, 0})) << code;
  }
}

TEST_P(ProcessContract, TheSignalThatEndedItIsTold) {
  for (const int signal : {SIGTERM, SIGKILL, SIGABRT}) {
    Process process = lasting();
    const Stream in = process.take_pipe(0);  // else waiting closes it
    Waiter waiter;
    waiter.wait(process);
    look();
    EXPECT_FALSE(waiter.status);
    EXPECT_TRUE(process.kill(signal));
    run();
    EXPECT_TRUE(waiter.ended_with({-1, signal})) << signal;
  }
}

TEST_P(ProcessContract, AllWhoWaitAreTold) {
  Process process = lasting();
  Stream in = process.take_pipe(0);  // else waiting closes it
  std::array<Waiter, 5> waiters;
  for (Waiter& waiter : waiters) waiter.wait(process);
  look();
  EXPECT_EQ(rig().close(in.release()), Result(0));
  run();
  for (const Waiter& waiter : waiters) EXPECT_TRUE(waiter.ended_with({0, 0}));
  Waiter late;
  late.wait(process);
  run();
  EXPECT_TRUE(late.ended_with({0, 0}));
}

// Nobody can write to it any more, and it would read for ever.
TEST_P(ProcessContract, WaitingClosesAStdinThatNobodyTook) {
  Process process = lasting();
  Waiter waiter;
  waiter.wait(process);
  run();
  EXPECT_TRUE(waiter.ended_with({0, 0}));
  EXPECT_FALSE(process.take_pipe(0).is_open());
}

TEST_P(ProcessContract, WaitingLeavesAStdinThatSomebodyTook) {
  Process process = lasting();
  Stream in = process.take_pipe(0);
  Waiter waiter;
  waiter.wait(process);
  look();
  Request writing;
  std::optional<Expected<std::size_t>> written;
  writing.start(in.write_all(bytes_of("x")), [&](Expected<std::size_t> size) { written = size; });
  run_until([&] { return written.has_value(); });
  EXPECT_EQ(*written, Expected<std::size_t>(1));
  EXPECT_FALSE(waiter.status);
  in = Stream();
  run();
  EXPECT_TRUE(waiter.ended_with({0, 0}));
}

TEST_P(ProcessContract, AWaitCanBeCancelledAndStartedAnew) {
  Process process = lasting();
  Stream in = process.take_pipe(0);  // else waiting closes it
  Waiter first;
  Waiter second;
  first.wait(process);
  second.wait(process);
  look();
  first.request.cancel();
  look();
  look();
  EXPECT_TRUE(first.failed_with(Errc::operation_canceled));
  EXPECT_FALSE(second.status);
  first.wait(process);
  EXPECT_EQ(rig().close(in.release()), Result(0));
  run();
  EXPECT_TRUE(first.ended_with({0, 0}));
  EXPECT_TRUE(second.ended_with({0, 0}));
}

TEST_P(ProcessContract, AWaitHasADeadline) {
  Process process = lasting();
  const Stream in = process.take_pipe(0);  // else waiting closes it
  Waiter waiter;
  waiter.wait(process, loop().now() + 3ms);
  run();
  EXPECT_TRUE(waiter.failed_with(Errc::timed_out));
  end(process);
}

TEST_P(ProcessContract, KillingWhatHasEndedDoesNothing) {
  Process process = shell("exit 7");
  Waiter waiter;
  waiter.wait(process);
  run();
  EXPECT_TRUE(process.kill(SIGKILL));
  waiter.wait(process);
  run();
  EXPECT_TRUE(waiter.ended_with({7, 0}));
}

TEST_P(ProcessContract, ASignalThatIsNoneIsRefused) {
  Process process = lasting();
  EXPECT_TRUE(fails_with(process.kill(1000), std::errc::invalid_argument));
  end(process);
}

TEST_P(ProcessContract, HundredsAtOnceAllEnd) {
  constexpr std::size_t many = 200;
  std::vector<Process> processes;
  std::vector<std::unique_ptr<Waiter>> waiters;
  for (std::size_t i = 0; i < many; ++i) {
    processes.push_back(shell("exit " + std::to_string(i)));
    waiters.push_back(std::make_unique<Waiter>());
    waiters.back()->wait(processes.back());
  }
  run();
  for (std::size_t i = 0; i < many; ++i) {
    EXPECT_TRUE(waiters[i]->ended_with({static_cast<int>(i), 0})) << i;
  }
  processes.clear();
  EXPECT_FALSE(has_children());
}

// Whoever has started this program may ignore it. The system would forget the child at its
// end, and its number would be another's.
TEST_P(ProcessContract, NothingIsStartedWhereSigchldIsIgnored) {
  const std::string_view arguments[] = {"-c", "exit 5"};
  const ProcessOptions options{.program = "/bin/sh", .arguments = arguments};
  {
    const Disposition ignored(SIGCHLD, SIG_IGN);
    EXPECT_TRUE(fails_with(Process::spawn(loop(), options), std::errc::no_child_process));
  }
  {
    struct sigaction action{};
    action.sa_flags = SA_NOCLDWAIT;
    const Disposition kept(SIGCHLD, SIG_DFL);
    ASSERT_EQ(::sigaction(SIGCHLD, &action, nullptr), 0);
    EXPECT_TRUE(fails_with(Process::spawn(loop(), options), std::errc::no_child_process));
  }
  Process process = start_process(options);
  Waiter waiter;
  waiter.wait(process);
  run();
  EXPECT_TRUE(waiter.ended_with({5, 0}));
}

namespace {

// A program's file, written anew each time.
class Script {
 public:
  Script() {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    path_ = directory_ + "/script";
  }
  ~Script() {
    ::unlink(path_.c_str());
    ::rmdir(directory_.c_str());
  }
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int open() const {
    ::unlink(path_.c_str());
    return ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
  }
  static void write(int fd) {
    constexpr std::string_view text = "#!/bin/sh\nexit 3\n";
    EXPECT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

 private:
  std::string directory_ = testing::TempDir() + "wev-XXXXXX";
  std::string path_;
};

}  // namespace

// A child of another thread has it open until it begins its own program.
TEST_P(ProcessContract, WhatWasJustWrittenIsStarted) {
  const Script script;
  std::atomic<bool> over{false};
  const Joiner join = spawn([&] {
    while (!over) {
      auto* const nothing = static_cast<char* const*>(nullptr);
      char name[] = "true";
      char* const arguments[] = {name, nullptr};
      pid_t pid = -1;
      if (::posix_spawnp(&pid, "true", nullptr, nullptr, arguments, nothing) != 0) continue;
      while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
      }
    }
  });
  for (int i = 0; i < 100 && !HasFailure(); ++i) {
    const int fd = script.open();
    Script::write(fd);
    ::close(fd);
    Process process = start_process({.program = script.path()});
    if (!process.is_open()) break;
    Waiter waiter;
    waiter.wait(process);
    run();
    EXPECT_TRUE(waiter.ended_with({3, 0}));
  }
  over = true;
  join();
}

TEST_P(ProcessContract, WhatIsStillBeingWrittenIsSaid) {
  const Script script;
  const int fd = script.open();
  Script::write(fd);
  EXPECT_TRUE(
      fails_with(Process::spawn(loop(), {.program = script.path()}), std::errc::text_file_busy));
  ::close(fd);
}

// Letting go ---------------------------------------------------------------------------

TEST_P(ProcessContract, OneThatIsLetGoGoesOnAndIsCollectedByTheNextStart) {
  int pid = -1;
  const int stdin_of_it = [&] {
    Process process = lasting();
    pid = process.pid();
    return process.take_pipe(0).release();
  }();
  EXPECT_EQ(rig().write(stdin_of_it, "it still reads"), Result(14));
  EXPECT_EQ(rig().close(stdin_of_it), Result(0));
  wait_for_zombie();
  EXPECT_EQ(::kill(pid, 0), 0);
  Process next = lasting();
  EXPECT_NE(::kill(pid, 0), 0) << "it is still a zombie";
  end(next);
}

TEST_P(ProcessContract, OneThatIsLetGoIsCollectedWhenAnotherIs) {
  Process first = lasting();
  Process second = lasting();
  const int pid = first.pid();
  first = Process();
  wait_for_zombie();  // its stdin has ended with the Process
  EXPECT_EQ(::kill(pid, 0), 0);
  end(second);
  second = Process();
  EXPECT_NE(::kill(pid, 0), 0) << "it is still a zombie";
}

// Its end may be known to the kernel's side of the loop, and not yet to the loop.
TEST_P(ProcessContract, LettingGoOfOneThatHasJustEndedEndsTheWaitsTheSame) {
  Waiter waiter;
  {
    Process process = lasting();
    Stream in = process.take_pipe(0);  // else waiting closes it
    waiter.wait(process);
    look();
    EXPECT_EQ(rig().close(in.release()), Result(0));
    wait_for_zombie();
  }
  EXPECT_FALSE(has_children());
  run();
  EXPECT_TRUE(waiter.failed_with(Errc::operation_canceled));
}

TEST_P(ProcessContract, LettingGoEndsTheWaits) {
  Waiter waiter;
  {
    Process process = lasting();
    const Stream in = process.take_pipe(0);  // else waiting closes it
    waiter.wait(process);
    look();
  }
  run();
  EXPECT_TRUE(waiter.failed_with(Errc::operation_canceled));
  wait_for_zombie();  // its stdin has ended
  Process next = shell("exit 0");
  waiter.wait(next);
  run();
  EXPECT_TRUE(waiter.ended_with({0, 0}));
}

TEST_P(ProcessContract, OneThatHasEndedIsCollectedWhenItIsLetGo) {
  {
    Process process = shell("exit 0");
    wait_for_zombie();
  }
  EXPECT_FALSE(has_children());
}

TEST_P(ProcessContract, MovingKeepsWhatIsInFlight) {
  Process process = lasting();
  const Stream in = process.take_pipe(0);  // else waiting closes it
  const int pid = process.pid();
  EXPECT_GT(pid, 0);
  Waiter waiter;
  waiter.wait(process);
  look();
  Process moved = std::move(process);
  EXPECT_FALSE(process.is_open());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(process.pid(), -1);
  EXPECT_EQ(moved.pid(), pid);
  process = std::move(moved);
  EXPECT_EQ(process.pid(), pid);
  EXPECT_TRUE(process.kill(SIGTERM));
  run();
  EXPECT_TRUE(waiter.ended_with({-1, SIGTERM}));
  process = shell("exit 4");  // collects the first
  waiter.wait(process);
  run();
  EXPECT_TRUE(waiter.ended_with({4, 0}));
}

// Starting -----------------------------------------------------------------------------

TEST_P(ProcessContract, WhatCannotBeStartedIsSaid) {
  const auto fails = [this](const ProcessOptions& options, std::errc error) {
    return fails_with(Process::spawn(loop(), options), error);
  };
  using enum std::errc;
  EXPECT_TRUE(fails({.program = "/nowhere/at/all"}, no_such_file_or_directory));
  EXPECT_TRUE(fails({.program = "wev-no-such-program"}, no_such_file_or_directory));
  EXPECT_TRUE(fails({.program = ""}, no_such_file_or_directory));
  EXPECT_TRUE(fails({.program = "/"}, permission_denied));
  EXPECT_TRUE(fails({.program = "cat", .directory = "/nowhere"}, no_such_file_or_directory));
  EXPECT_TRUE(fails({.program = "cat", .directory = "/dev/null"}, not_a_directory));
  const std::string_view zero[] = {std::string_view("a\0b", 3)};
  EXPECT_TRUE(fails({.program = "cat", .arguments = zero}, invalid_argument));
  EXPECT_TRUE(fails({.program = "cat", .environment = zero}, invalid_argument));
  EXPECT_TRUE(fails({.program = "cat", .directory = zero[0]}, invalid_argument));
  const Stdio closed = {ChildStdio::pipe(), ChildStdio::descriptor(99'999)};
  EXPECT_TRUE(fails({.program = "cat", .stdio = closed}, bad_file_descriptor));
  EXPECT_FALSE(has_children());
}

TEST_P(ProcessContract, RunningOutOfDescriptorsStartsNothing) {
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const int next = ::dup(0);
  ::close(next);
  bool started = false;
  for (rlim_t room = 0; !started; ++room) {
    ASSERT_LT(room, 32u);
    const rlimit few{static_cast<rlim_t>(next) + room, before.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &few);
    const Stdio pipes = {ChildStdio::pipe(), ChildStdio::pipe(), ChildStdio::pipe()};
    auto process = Process::spawn(loop(), {.program = "cat", .stdio = pipes});
    ::setrlimit(RLIMIT_NOFILE, &before);
    started = process.has_value();
    EXPECT_FALSE(started && room == 0);
    if (!started) {
      EXPECT_TRUE(fails_with(process, std::errc::too_many_files_open));
      EXPECT_FALSE(has_children());
      continue;
    }
    end(*process);
  }
}

TEST_P(ProcessContract, WithoutMemoryNothingIsStarted) {
  {
    const NoMemory none;
    EXPECT_TRUE(
        fails_with(Process::spawn(loop(), {.program = "cat"}), std::errc::not_enough_memory));
  }
  EXPECT_FALSE(has_children());
}

TEST_P(ProcessContract, ArgumentsArePassedAsTheyAre) {
  const std::string_view arguments[] = {"-c", R"(printf '<%s>' "$@")", "sh", "a b", "", "*\n\"$x'"};
  EXPECT_EQ(output_of({.program = "sh", .arguments = arguments}), "<a b><><*\n\"$x'>");
}

TEST_P(ProcessContract, TheEnvironmentIsInheritedOrReplaced) {
  ::setenv("WEV_TEST_OF_PROCESS", "inherited", 1);
  const std::string_view arguments[] = {"-c", "echo $WEV_TEST_OF_PROCESS $OTHER"};
  ProcessOptions options{.program = "sh", .arguments = arguments};
  EXPECT_EQ(output_of(options), "inherited\n");
  const std::string_view variables[] = {"OTHER=1", "WEV_TEST_OF_PROCESS=own"};
  options.environment = variables;
  EXPECT_EQ(output_of(options), "own 1\n");
  options.environment = std::span<const std::string_view>();
  EXPECT_EQ(output_of(options), "\n");
  ::unsetenv("WEV_TEST_OF_PROCESS");
}

TEST_P(ProcessContract, TheDirectoryIsTheChildsOnly) {
  const std::string_view arguments[] = {"-c", "pwd -P"};
  EXPECT_EQ(output_of({.program = "sh", .arguments = arguments, .directory = "/usr"}), "/usr\n");
  EXPECT_NE(output_of({.program = "sh", .arguments = arguments}), "/usr\n");
  EXPECT_EQ(output_of({.program = "./sh", .arguments = arguments, .directory = "/usr/bin"}),
            "/usr/bin\n");
}

// Stdio --------------------------------------------------------------------------------

TEST_P(ProcessContract, PipesCarryBytesThroughIt) {
  const std::string sent = [] {
    std::string text;
    for (int i = 0; text.size() < 1'000'000; ++i) text += std::to_string(i) + ' ';
    return text;
  }();
  Process process = start_process(
      {.program = "cat", .stdio = {ChildStdio::pipe(), ChildStdio::pipe(), ChildStdio::null()}});
  EXPECT_EQ(process.take_pipe(2).release(), -1);
  const int in = owned(process.take_pipe(0).release());
  EXPECT_NE(::fcntl(in, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(in, F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(process.take_pipe(0).release(), -1);
  auto left = bytes_of(sent);
  Probe& writing = probe({}, [&](Probe& self) {
    EXPECT_TRUE(self.result());
    left = left.subspan(self.result().value_or(left.size()));
    add(self, left.empty() ? op::close(in) : op::write(in, left));
    if (left.empty()) self.then = nullptr;
    return Action::disarm;
  });
  add(writing, op::write(in, left));
  EXPECT_EQ(read_to_end(owned(process.take_pipe(1).release())), sent);
  Waiter waiter;
  waiter.wait(process);
  run();
  EXPECT_TRUE(waiter.ended_with({0, 0}));
}

TEST_P(ProcessContract, EachOfTheThreeIsItsOwn) {
  const int into = file("");
  Process process = shell("echo out; echo err >&2; cat >&2",
                          {ChildStdio::null(), ChildStdio::descriptor(into), ChildStdio::pipe()});
  EXPECT_EQ(read_to_end(owned(process.take_pipe(2).release())), "err\n");
  Waiter waiter;
  waiter.wait(process);
  run();
  EXPECT_TRUE(waiter.ended_with({0, 0}));
  std::byte buffer[10];
  EXPECT_EQ(perform(op::pread(into, buffer, 0)), Result(4));
}

// One of the first three may be given as another.
TEST_P(ProcessContract, TheFirstThreeCanBeExchanged) {
  const auto [reader, writer] = pipe();
  const auto [reader2, writer2] = pipe();
  const int before1 = ::fcntl(1, F_DUPFD_CLOEXEC, 3);
  const int before2 = ::fcntl(2, F_DUPFD_CLOEXEC, 3);
  ::dup2(writer, 1);
  ::dup2(writer2, 2);
  auto process = Process::spawn(
      loop(),
      {.program = "sh",
       .arguments = std::array<std::string_view, 2>{"-c", "echo out; echo err >&2"},
       .stdio = {ChildStdio::null(), ChildStdio::descriptor(2), ChildStdio::descriptor(1)}});
  ::dup2(before1, 1);
  ::dup2(before2, 2);
  ::close(before1);
  ::close(before2);
  ASSERT_TRUE(process);
  Waiter waiter;
  waiter.wait(*process);
  run();
  EXPECT_EQ(rig().read_all(reader), "err\n");
  EXPECT_EQ(rig().read_all(reader2), "out\n");
}

// What is opened takes the lowest number that is free.
TEST_P(ProcessContract, AProgramWithoutStdinCanMakePipes) {
  const int before = ::fcntl(0, F_DUPFD_CLOEXEC, 3);
  ::close(0);
  auto process = Process::spawn(
      loop(), {.program = "sh",
               .arguments = std::array<std::string_view, 2>{"-c", "ls /dev/fd/0; echo $?"},
               .stdio = {ChildStdio::inherit(), ChildStdio::pipe(), ChildStdio::null()}});
  ::dup2(before, 0);
  ::close(before);
  ASSERT_TRUE(process);
  EXPECT_EQ(read_to_end(owned(process->take_pipe(1).release())), "2\n");
  Waiter waiter;
  waiter.wait(*process);
  run();
  EXPECT_TRUE(waiter.ended_with({0, 0}));
}

TEST_P(ProcessContract, NoOtherDescriptorsAreInherited) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);  // without CLOEXEC
  owned(ends[0]);
  owned(ends[1]);
  // 3 is the directory that ls reads.
  EXPECT_EQ(output_of("ls /dev/fd/"), "0\n1\n2\n3\n");
}

TEST_P(ProcessContract, TheChildBlocksNoSignalAndHasSigpipeAtItsDefault) {
  constexpr const char* status = "/proc/self/status";
  if (::access(status, R_OK) != 0) GTEST_SKIP() << "no file tells of a process's signals here";
  sigset_t some;
  sigset_t before;
  sigemptyset(&some);
  sigaddset(&some, SIGPIPE);
  sigaddset(&some, SIGUSR2);
  ::pthread_sigmask(SIG_BLOCK, &some, &before);
  const Disposition ignored(SIGPIPE, SIG_IGN);
  // Not a shell's child: shells unblock all signals.
  const std::string_view arguments[] = {"-E", "SigBlk|SigIgn", status};
  const std::string output = output_of({.program = "grep", .arguments = arguments});
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  EXPECT_TRUE(output.contains("SigBlk:\t0000000000000000\n")) << output;
  const std::size_t at = output.find("SigIgn:\t");
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(std::stoull(output.substr(at + 8), nullptr, 16) & 1ull << (SIGPIPE - 1), 0u) << output;
}

// Signals ------------------------------------------------------------------------------

class SignalContract : public NativeContract {
 protected:
  Signal open(int signal) {
    auto opened = Signal::open(loop(), signal);
    EXPECT_TRUE(opened);
    return opened ? std::move(*opened) : Signal();
  }
};

TEST_P(SignalContract, WhatCannotBeWatchedIsRefused) {
  for (const int signal : {0, -1, 1000, SIGKILL, SIGSTOP, SIGSEGV, 32}) {
    EXPECT_TRUE(fails_with(Signal::open(loop(), signal), std::errc::invalid_argument)) << signal;
  }
}

TEST_P(SignalContract, EveryoneGetsEveryDelivery) {
  std::array<Signal, 5> signals;
  std::array<Listener, 5> listeners;
  for (Signal& signal : signals) signal = open(SIGUSR1);
  for (std::size_t i = 0; i < signals.size(); ++i) listeners[i].wait(signals[i]);
  look();
  ::raise(SIGUSR1);
  run();
  for (const Listener& listener : listeners) EXPECT_EQ(listener.times, 1u);
}

TEST_P(SignalContract, WhatCameMeanwhileIsCounted) {
  const Signal signal = open(SIGUSR1);
  Listener listener;
  for (int i = 0; i < 3; ++i) ::raise(SIGUSR1);
  listener.wait(signal);
  run();
  EXPECT_EQ(listener.times, 3u);
  EXPECT_EQ(listener.calls, 1u);
  listener.wait(signal, loop().now() + 2ms);
  run();
  EXPECT_EQ(listener.error, Errc::timed_out);
  EXPECT_EQ(listener.times, 3u);
}

TEST_P(SignalContract, SeveralWaitsOnOneHaveTheirTurns) {
  const Signal signal = open(SIGUSR1);
  Listener first;
  Listener second;
  first.wait(signal);
  second.wait(signal);
  look();
  ::raise(SIGUSR1);
  run(RunMode::once);
  EXPECT_EQ(first.times, 1u);
  EXPECT_EQ(second.calls, 0u);
  ::raise(SIGUSR1);
  run();
  EXPECT_EQ(second.times, 1u);
}

TEST_P(SignalContract, OthersAreNotMixedUp) {
  const Signal one = open(SIGUSR1);
  const Signal two = open(SIGUSR2);
  // The highest there is, where that is another.
  constexpr int highest = NSIG - 1 > SIGUSR2 ? NSIG - 1 : SIGWINCH;
  const Signal last = open(highest);
  Listener listeners[3];
  listeners[0].wait(one);
  listeners[1].wait(two);
  listeners[2].wait(last);
  ::raise(SIGUSR2);
  run(RunMode::once);
  EXPECT_EQ(listeners[0].calls + listeners[2].calls, 0u);
  EXPECT_EQ(listeners[1].times, 1u);
  ::raise(highest);
  run(RunMode::once);
  EXPECT_EQ(listeners[2].times, 1u);
  EXPECT_EQ(listeners[0].calls, 0u);
  ::raise(SIGUSR1);
  run();
  EXPECT_EQ(listeners[0].times, 1u);
  EXPECT_EQ(listeners[1].calls + listeners[2].calls, 2u);
}

TEST_P(SignalContract, ASignalEndsASleepFromAnotherThread) {
  const Signal signal = open(SIGUSR1);
  Listener listener;
  listener.wait(signal);
  const Joiner join = spawn([] { ::raise(SIGUSR1); });
  run();
  join();
  EXPECT_EQ(listener.times, 1u);
}

TEST_P(SignalContract, LoopsOnOtherThreadsGetItToo) {
  const Signal signal = open(SIGUSR1);
  Listener listener;
  listener.wait(signal);
  std::atomic<bool> opened{false};
  unsigned there = 0;
  const Joiner join = spawn([&] {
    const auto other = rig().loop();
    const auto theirs = Signal::open(*other, SIGUSR1);
    ASSERT_TRUE(theirs);
    Listener waiting;
    waiting.wait(*theirs);
    opened = true;
    opened.notify_one();
    EXPECT_TRUE(rig().run(*other));
    there = waiting.times;
  });
  opened.wait(false);
  ::kill(::getpid(), SIGUSR1);
  run();
  join();
  EXPECT_EQ(listener.times, 1u);
  EXPECT_EQ(there, 1u);
}

TEST_P(SignalContract, AWaitCanBeCancelledAndLosesNothing) {
  const Signal signal = open(SIGUSR1);
  Listener listener;
  listener.wait(signal);
  look();
  listener.request.cancel();
  ::raise(SIGUSR1);
  run();
  if (listener.times == 0) {  // else the signal was first
    EXPECT_EQ(listener.error, Errc::operation_canceled);
    listener.wait(signal);
    run();
  }
  EXPECT_EQ(listener.times, 1u);
}

TEST_P(SignalContract, ClosingEndsWhatWaits) {
  Listener listener;
  Signal signal = open(SIGUSR1);
  listener.wait(signal);
  look();
  Request closing;
  bool closed = false;
  closing.start(signal.close(), [&](Expected<void> outcome) { closed = outcome.has_value(); });
  EXPECT_FALSE(signal.is_open());
  run();
  EXPECT_TRUE(closed);
  EXPECT_EQ(listener.error, Errc::operation_canceled);
  EXPECT_EQ(Disposition::of(SIGUSR1), SIG_DFL);
}

TEST_P(SignalContract, WhatWasThereBeforeIsBackWhenTheLastOneIsGone) {
  static std::atomic<int> others;
  others = 0;
  const Disposition before(SIGUSR1, [](int) { ++others; });
  {
    Signal first = open(SIGUSR1);
    {
      const Signal second = open(SIGUSR1);
      ::raise(SIGUSR1);
    }
    ::raise(SIGUSR1);
    EXPECT_EQ(others, 0);
    first = open(SIGUSR2);  // lets go of it
    ::raise(SIGUSR1);
    EXPECT_EQ(others, 1);
  }
  EXPECT_EQ(Disposition::of(SIGUSR2), SIG_DFL);
}

TEST_P(SignalContract, WhatSomebodyElseHasPutInItsPlaceStays) {
  {
    const Signal signal = open(SIGUSR1);
    ::signal(SIGUSR1, SIG_IGN);
  }
  EXPECT_EQ(Disposition::of(SIGUSR1), SIG_IGN);
  ::signal(SIGUSR1, SIG_DFL);
}

// errno is the interrupted program's.
TEST_P(SignalContract, TheHandlerLeavesErrnoAlone) {
  const int fd = owned(static_cast<int>(perform(op::watch_signal(SIGUSR1)).value_or(0)));
  // The handler's write fails: what counts is full, be it an eventfd or a pipe.
  const std::uint64_t most = UINT64_MAX - 1;
  if (::write(fd, &most, sizeof most) < 0) {
    for (int i = 0; i < 100'000; ++i) ::raise(SIGUSR1);
  }
  errno = 4711;
  ::raise(SIGUSR1);
  EXPECT_EQ(errno, 4711);
  EXPECT_EQ(perform(op::unwatch_signal(fd)), Result(0));
}

TEST_P(SignalContract, ComingAndGoingWhileItIsRaisedLosesNoWait) {
  const Disposition before(SIGUSR1, [](int) {});
  std::atomic<bool> stop{false};
  const Joiner join = spawn([&] {
    while (!stop) ::raise(SIGUSR1);
  });
  for (int i = 0; i < 100; ++i) {
    const Signal first = open(SIGUSR1);
    const Signal second = open(SIGUSR1);
    Listener listener;
    listener.wait(i % 2 == 0 ? first : second);
    run();
    EXPECT_GT(listener.times, 0u);
  }
  stop = true;
  join();
}

// A watch ends, its descriptor is closed and the number is a pipe's, while
// handlers run on other threads.
TEST_P(SignalContract, NoHandlerWritesToWhatWasWatchedBefore) {
  const Disposition before(SIGUSR1, [](int) {});
  std::atomic<bool> stop{false};
  std::vector<Joiner> threads;
  for (int i = 0; i < 3; ++i) {
    threads.push_back(spawn([&] {
      while (!stop) ::raise(SIGUSR1);
    }));
  }
  int written = 0;
  for (int i = 0; i < 3'000; ++i) {
    const int fd = static_cast<int>(perform(op::watch_signal(SIGUSR1)).value());
    const std::array<int, 2> ends = open_pipe(Blocks::no);
    EXPECT_EQ(perform(op::unwatch_signal(fd)), Result(0));
    ::dup2(ends[1], fd);  // closes it and takes its number at once
    ::close(ends[1]);
    std::byte byte{};
    written += perform(op::read(ends[0], std::span(&byte, 1))).has_value() ? 1 : 0;
    ::close(fd);
    ::close(ends[0]);
  }
  stop = true;
  for (const Joiner& join : threads) join();
  EXPECT_EQ(written, 0);
}

TEST_P(SignalContract, UnwatchingWhatIsNotWatchedIsRefused) {
  const int fd = file("");
  EXPECT_EQ(perform(op::unwatch_signal(fd)),
            Result(std::unexpected(std::errc::bad_file_descriptor)));
}

// A child's end is a signal, too.
TEST_P(ProcessContract, SigchldCanBeWatchedBesideProcesses) {
  auto signal = Signal::open(loop(), SIGCHLD);
  ASSERT_TRUE(signal);
  Process process = shell("exit 5");
  Listener listener;
  Waiter waiter;
  listener.wait(*signal);
  waiter.wait(process);
  run();
  EXPECT_GT(listener.times, 0u);
  EXPECT_TRUE(waiter.ended_with({5, 0}));
}

namespace {

const auto named = [](const auto& info) { return info.param.name; };

INSTANTIATE_TEST_SUITE_P(Native, ProcessContract, testing::ValuesIn(native_rigs()), named);
INSTANTIATE_TEST_SUITE_P(Native, SignalContract, testing::ValuesIn(native_rigs()), named);

}  // namespace
}  // namespace wev::test
