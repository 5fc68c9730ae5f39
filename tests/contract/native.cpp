// What only a real kernel exhibits: running out of descriptors, signals,
// terminals, duplicated descriptors, files on threads.
#include "contract/native.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>

#include "support/threads.hpp"
#include "wev/thread_pool.hpp"

namespace wev::test {

namespace {

// Few descriptors can be opened while this is alive, and none once exhaust() was
// called. (io_uring looks at the limit when an operation is submitted.)
class FewDescriptors {
 public:
  FewDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const int next = ::dup(0);
    ::close(next);
    const rlimit few{static_cast<rlim_t>(next) + 16, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &few);
  }
  ~FewDescriptors() {
    for (const int fd : taken_) ::close(fd);
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

  void exhaust() {
    for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) taken_.push_back(fd);
  }

 private:
  rlimit before_{};
  std::vector<int> taken_;
};

}  // namespace

// Running out --------------------------------------------------------------------------

TEST_P(NativeContract, RunningOutOfDescriptorsLosesNeitherTheListenerNorTheConnection) {
  Address address;
  const int listener = listen_at(address);
  Probe& warm = start({}, op::accept(listener));
  look();
  cancel(warm);
  Probe& c = start("c", op::connect(socket(), address));
  run();
  EXPECT_END(c, Result(0));
  Probe& refused = probe("refused");
  {
    FewDescriptors few;
    few.exhaust();
    add(refused, op::accept(listener));
    Probe& opened = start("opened", op::socket(SocketFamily::ipv4, SocketType::stream));
    Probe& t = timer("t", 3ms);
    run();
    EXPECT_END(refused, std::errc::too_many_files_open);
    EXPECT_END(opened, std::errc::too_many_files_open);
    EXPECT_END(t, Result(1));
  }
  Probe& accepted = start("accepted", op::accept(listener));
  run();
  ASSERT_TRUE(accepted.result());
  owned(static_cast<int>(*accepted.result()));
}

// An accept in flight when the last descriptor goes.
TEST_P(NativeContract, AnAcceptThatIsWaitingIsToldOfRunningOut) {
  Address address;
  const int listener = listen_at(address);
  const int client = socket();
  Probe& a = probe("a");
  {
    FewDescriptors few;
    add(a, op::accept(listener));
    look();
    few.exhaust();
    Probe& c = start("c", op::connect(client, address));
    run();
    EXPECT_END(c, Result(0));
    EXPECT_END(a, std::errc::too_many_files_open);
  }
  add(a, op::accept(listener));
  run();
  ASSERT_TRUE(a.result());
  owned(static_cast<int>(*a.result()));
}

// Signals ------------------------------------------------------------------------------

TEST_P(NativeContract, SignalsInterruptNothing) {
  struct sigaction action{};
  struct sigaction before{};
  static std::atomic<int> signals;
  signals = 0;
  action.sa_handler = [](int) { ++signals; };  // without SA_RESTART
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  const pthread_t me = ::pthread_self();
  std::atomic<bool> stop{false};
  const Joiner join = spawn([&] {
    while (!stop) {
      ::pthread_kill(me, SIGUSR1);
      std::this_thread::yield();
    }
  });
  Address address;
  EchoServer server(loop(), listen_at(address), 5);
  std::vector<std::unique_ptr<EchoClient>> clients;
  for (std::size_t i = 0; i < 5; ++i) {
    clients.emplace_back(new EchoClient(loop(), socket(), address, i, 50'000));
  }
  const Instant began = loop().now();
  Probe& t = timer("t", 20ms);
  run();
  stop = true;
  join();
  ::sigaction(SIGUSR1, &before, nullptr);
  EXPECT_GE(loop().now() - began, 20ms);
  EXPECT_END(t, Result(1));
  EXPECT_EQ(server.closed(), 5u);
  for (const auto& client : clients) EXPECT_TRUE(client->done());
  EXPECT_GT(signals, 0);
}

// Whatever the program's own handling of it is (the default here: to die).
TEST_P(NativeContract, WritingToAPeerThatIsGoneRaisesNoSignal) {
  const auto [reader, writer] = pipe();
  const auto [client, server] = connection();
  EXPECT_EQ(rig().close(reader), Result(0));
  EXPECT_EQ(rig().close(server), Result(0));
  const std::array<IoVec, 2> pieces = {bytes_of("a"), bytes_of("b")};
  for (int i = 0; i < 3; ++i) {
    Probe& a = start("a", op::write(writer, bytes_of("x")));
    Probe& b = start("b", op::writev(writer, pieces));
    run();
    EXPECT_END(a, std::errc::broken_pipe);
    EXPECT_END(b, std::errc::broken_pipe);
  }
  (void)start({}, op::write(client, bytes_of("x")));
  run();
  Probe& c = start("c", op::write(client, bytes_of("x")));
  Probe& d = start("d", op::writev(client, pieces));
  Probe& e = start("e", op::send(client, bytes_of("x")));
  run();
  for (const Probe* p : {&c, &d, &e}) EXPECT_END(*p, std::errc::broken_pipe);
  sigset_t pending;
  ASSERT_EQ(::sigpending(&pending), 0);
  EXPECT_EQ(::sigismember(&pending, SIGPIPE), 0) << "it waits to be unblocked";
}

// Terminals ------------------------------------------------------------------------------

// A read of a terminal ends with a line, though there may be more.
TEST_P(NativeContract, ATerminalIsReadLineByLine) {
  int master = -1;
  int slave = -1;
  ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
  owned(master);
  owned(slave);
  auto& buffer = make_buffer<100>();
  std::string lines;
  Probe& r = probe("r", [&](Probe& self) {
    EXPECT_TRUE(self.result());
    lines += "[" + std::string(buffer.text(self.result().value_or(0))) + "]";
    return self.calls() < 3 ? Action::rearm : Action::disarm;
  });
  add(r, op::read(slave, buffer.bytes));
  look();
  Probe& w = start("w", op::write(master, bytes_of("one\ntwo\nthree\n")));
  run();
  EXPECT_END(w, Result(14));
  EXPECT_EQ(lines, "[one\n][two\n][three\n]");
  // What the terminal echoed.
  Probe& e = start("e", op::read(master, buffer.bytes));
  run();
  EXPECT_TRUE(e.result());
}

TEST_P(NativeContract, TheEndOfATerminalsOtherSideIsToldAsAnError) {
  int master = -1;
  int slave = -1;
  ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
  owned(master);
  auto& buffer = make_buffer<8>();
  Probe& r = start("r", op::read(master, buffer.bytes));
  look();
  ::close(slave);
  run();
  EXPECT_END(r, std::errc::io_error);  // as Linux says it
}

// Duplicates -----------------------------------------------------------------------------

TEST_P(NativeContract, TwoNumbersOfOnePipeAreTwoDescriptors) {
  const auto [reader, writer] = pipe();
  const int twin = owned(::fcntl(reader, F_DUPFD_CLOEXEC, 0));
  auto& buffers = make_buffer<2>();
  Probe& a = start("a", op::read(reader, std::span(buffers.bytes).first(1)));
  Probe& b = start("b", op::read(twin, std::span(buffers.bytes).last(1)));
  look();
  EXPECT_EQ(rig().write(writer, "xy"), Result(2));
  run();
  EXPECT_END(a, Result(1));
  EXPECT_END(b, Result(1));
  EXPECT_EQ(buffers.text(2).find_first_not_of("xy"), std::string_view::npos);
}

// A registration outlives its number where the descriptor was duplicated.
TEST_P(NativeContract, ClosingOneOfTwoNumbersLeavesNothingBehind) {
  const auto [reader, writer] = pipe();
  const int twin = owned(::fcntl(reader, F_DUPFD_CLOEXEC, 0));
  auto& buffer = make_buffer<8>();
  (void)start("old", op::read(reader, buffer.bytes));
  look();
  Probe& c = start("c", op::close(reader));
  run();
  EXPECT_END(c, Result(0));
  const auto fresh = pipe();  // takes the number
  EXPECT_EQ(fresh.reader, reader);
  Probe& r = start("r", op::read(fresh.reader, buffer.bytes));
  look();
  EXPECT_EQ(rig().write(writer, "old"), Result(3));
  look();
  look();
  EXPECT_EQ(r.calls(), 0u);
  EXPECT_EQ(rig().write(fresh.writer, "n"), Result(1));
  run();
  EXPECT_END(r, Result(1));
  Probe& t = start("t", op::read(twin, buffer.bytes));
  run();
  EXPECT_END(t, Result(3));
}

// Files and devices -------------------------------------------------------------------------

TEST_P(NativeContract, DevicesThatCannotBeWaitedForAreReadAndWritten) {
  const int null = owned(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const int zero = owned(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  auto& buffer = make_buffer<8>();
  Probe& end = start("end", op::read(null, buffer.bytes));
  Probe& gone = start("gone", op::write(null, bytes_of("x")));
  Probe& zeros = start("zeros", op::read(zero, buffer.bytes));
  run();
  EXPECT_END(end, Result(0));
  EXPECT_END(gone, Result(1));
  EXPECT_END(zeros, Result(8));
}

TEST_P(NativeContract, AFullDeviceSaysSo) {
  const int full = owned(::open("/dev/full", O_RDWR | O_CLOEXEC));
  Probe& w = start("w", op::write(full, bytes_of("x")));
  run();
  EXPECT_END(w, std::errc::no_space_on_device);
}

TEST_P(NativeContract, ManyFileOperationsAtOnceAllEnd) {
  const int fd = file(std::string(100'000, 'x'));
  const auto buffers = make_buffers<100>(500);
  std::vector<Probe*> probes;
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    probes.push_back(&start({}, op::pread(fd, buffers[i].bytes, i * 100)));
  }
  look();
  for (std::size_t i = 0; i < probes.size(); i += 3) cancel(*probes[i]);
  run();
  for (std::size_t i = 0; i < probes.size(); ++i) {
    if (i % 3 == 0 && !probes[i]->result()) {
      EXPECT_END(*probes[i], Errc::operation_canceled);
    } else {
      EXPECT_END(*probes[i], Result(100));
    }
  }
}

TEST_P(NativeContract, WhatIsDrainedMayStillBeOnAThread) {
  static std::atomic<int> finished;
  finished = 0;
  std::vector<Probe*> probes;
  for (int i = 0; i < 50; ++i) {
    probes.push_back(&start({}, op::run_blocking(
                                    [](void*) noexcept -> Result {
                                      std::this_thread::yield();
                                      ++finished;
                                      return 1;
                                    },
                                    nullptr)));
  }
  look();
  EXPECT_TRUE(loop().drain());
  int done = 0;
  for (const Probe* p : probes) {
    ASSERT_EQ(p->calls(), 1u);
    done += p->result() ? 1 : 0;
    EXPECT_TRUE(p->result() || ended_with(*p, Errc::operation_canceled));
  }
  EXPECT_EQ(done, finished);
}

TEST_P(NativeContract, ALoopMayRunOnAnotherThreadThanItWasMadeOn) {
  const auto [reader, writer] = pipe();
  auto& buffer = make_buffer<8>();
  Probe& r = start("r", op::read(reader, buffer.bytes));
  const Joiner join = spawn([&] {
    timer("t", 2ms);
    look();
    EXPECT_EQ(rig().write(writer, "x"), Result(1));
    run();
  });
  join();
  EXPECT_END(r, Result(1));
}

}  // namespace wev::test
