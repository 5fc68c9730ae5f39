// What only a real kernel exhibits: running out of descriptors, signals,
// terminals, duplicated descriptors, files on threads.
#include "rig/native.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <string>
#include <string_view>
#include <thread>

#include "support/system.hpp"
#include "support/threads.hpp"
#include "wev/backend/thread_pool.hpp"
#include "wev/io/stream.hpp"

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
    EXPECT_FIRED(t);
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
  while (signals == 0) std::this_thread::yield();
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
  EXPECT_FIRED(t);
  EXPECT_EQ(server.closed(), 5u);
  for (const auto& client : clients) EXPECT_TRUE(client->done());
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
  EXPECT_EQ(sigismember(&pending, SIGPIPE), 0) << "it waits to be unblocked";
}

// Terminals ------------------------------------------------------------------------------

// A read of a terminal ends with a line, though there may be more.
TEST_P(NativeContract, ATerminalIsReadLineByLine) {
  const auto [master, slave] = open_terminal();
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

// Where its flags are others' too it is opened once more, and that is closed along with it.
TEST_P(NativeContract, ATerminalThatIsClosedLeavesNothingOpen) {
  const auto [master, slave] = open_terminal();
  owned(master);
  const std::size_t before = open_descriptors();
  auto& buffer = make_buffer<8>();
  Probe& r = start("r", op::read(slave, buffer.bytes));
  look();
  Probe& c = start("c", op::close(slave));
  run();
  EXPECT_END(r, Errc::operation_canceled);
  EXPECT_END(c, Result(0));
  EXPECT_EQ(open_descriptors(), before - 1);
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

// Threads ----------------------------------------------------------------------------

// The thread that has woken a loop may still be inside of the call when the loop has
// seen what it was woken for, and is gone.
TEST_P(NativeContract, ALoopMayBeDestroyedByWhatItsLastNotificationBrought) {
  for (int i = 0; i < 300; ++i) {
    const bool by_post = i % 2 == 0;
    auto loop = rig().loop();
    std::optional<Async> async(*loop);
    Completion waiting;
    Completion posted;
    bool told = false;
    const Callback on_told = [](void* told, Loop&, Completion&, Result) {
      *static_cast<bool*>(told) = true;
      return Action::disarm;
    };
    loop->add(waiting, op::async_wait(*async), &told, on_told);
    std::thread thread([&] {
      if (by_post) {
        loop->post(posted, &told, on_told);
      } else {
        async->notify();
      }
    });
    while (!told) EXPECT_TRUE(rig().tick(*loop));
    loop->cancel(waiting);
    EXPECT_TRUE(loop->drain());
    loop->detach(*async);
    async.reset();
    loop.reset();
    thread.join();
  }
}

// As where a task ends whose variables were handles in use.
TEST_P(NativeContract, ALoopClosesWhatWasLetGoOfBeforeItIsGone) {
  auto loop = rig().loop();
  const std::array<int, 2> ends = open_pipe(Blocks::yes);
  owned(ends[1]);
  std::array<std::byte, 8> buffer{};
  Request reading;
  int ended = 0;
  {
    const Stream stream(*loop, ends[0]);
    reading.start(stream.read_some(buffer), [&ended](Expected<std::size_t>) { ++ended; });
    EXPECT_TRUE(loop->tick(RunMode::no_wait));
  }
  while (ended == 0) EXPECT_TRUE(rig().tick(*loop));
  loop.reset();
  EXPECT_EQ(::fcntl(ends[0], F_GETFD), -1);
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

namespace {

// What threads wait in until it is opened. Outlives them.
class Barrier {
 public:
  void open() {
    open_ = true;
    open_.notify_all();
  }
  static Result wait(void* self) noexcept {
    auto& barrier = *static_cast<Barrier*>(self);
    ++barrier.waiting_;
    barrier.waiting_.notify_all();
    barrier.open_.wait(false);
    return 1;
  }
  void until_waiting(int count) {
    for (int now = waiting_; now < count; now = waiting_) waiting_.wait(now);
  }

 private:
  std::atomic<bool> open_{false};
  std::atomic<int> waiting_{0};
};

}  // namespace

TEST_P(NativeContract, FilesDoNotWaitForWhatTheProgramRuns) {
  const int fd = file("abc");
  std::vector<Probe*> functions;
  auto& buffer = make_buffer<8>();
  Probe& r = probe("r");
  Probe& size = probe("size");
  Barrier barrier;
  for (unsigned i = 0; i < 3 * ThreadPool::Options().threads; ++i) {
    functions.push_back(&start({}, op::run_blocking(Barrier::wait, &barrier)));
  }
  look();
  barrier.until_waiting(ThreadPool::Options().threads);
  add(r, op::pread(fd, buffer.bytes, 0));
  add(size, op::size(fd));
  run_until([&] { return r.calls() > 0 && size.calls() > 0; });
  EXPECT_END(r, Result(3));
  EXPECT_END(size, Result(3));
  for (Probe* function : functions) cancel(*function);
  barrier.open();
  run();
}

TEST_P(NativeContract, AFunctionRunsOnThePoolThatItIsGiven) {
  Barrier barrier;
  ThreadPool pool({.threads = 1});
  Probe& first = start("first", op::run_blocking(pool, Barrier::wait, &barrier));
  Probe& second = start("second", op::run_blocking(pool, Barrier::wait, &barrier));
  look();
  barrier.until_waiting(1);
  EXPECT_EQ(pool.threads(), 1u);
  Probe& other =
      start("other", op::run_blocking([](void*) noexcept -> Result { return 2; }, nullptr));
  run_until([&] { return other.calls() > 0; });
  EXPECT_END(other, Result(2));
  cancel(second);  // it stands behind the first
  run_until([&] { return second.calls() > 0; });
  EXPECT_END(second, Errc::operation_canceled);
  barrier.open();
  run();
  EXPECT_END(first, Result(1));
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

// At a file's own position ------------------------------------------------------------------

namespace {

// Files of this process end there while this is alive, as where a disk is full.
class SmallFiles {
 public:
  explicit SmallFiles(rlim_t most) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit few{most, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &few);
  }
  ~SmallFiles() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }
  SmallFiles(const SmallFiles&) = delete;
  SmallFiles& operator=(const SmallFiles&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

std::string counting(std::size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i) text += std::to_string(i) + " ";
  text.resize(size);
  return text;
}

std::string contents_of(int fd) {
  std::string all(100'000, '\0');
  const ssize_t size = ::pread(fd, all.data(), all.size(), 0);
  all.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  return all;
}

}  // namespace

// What fits is written and told, and nothing is written over it.
TEST_P(NativeContract, AFileThatGetsNoLargerKeepsWhatItWasToldToHold) {
  constexpr std::size_t room = 10'000;
  const std::string text = counting(3 * room);
  for (const bool vectored : {false, true}) {
    const int fd = file("");
    std::size_t told = 0;
    std::vector<IoVec> rest;
    const auto write = [&] {
      const auto left = bytes_of(text).subspan(told);
      if (!vectored) return op::write(fd, left);
      rest = {left.first(left.size() / 2), left.subspan(left.size() / 2)};
      return op::writev(fd, rest);
    };
    {
      const SmallFiles small(room);
      Probe& w = probe("w", [&](Probe& self) {
        told += self.result().value_or(0);
        if (self.result() && self.calls() < 20) add(self, write());
        return Action::disarm;
      });
      add(w, write());
      run();
      EXPECT_END(w, std::errc::file_too_large);
    }
    EXPECT_EQ(told, room);
    EXPECT_EQ(contents_of(fd), text.substr(0, room));
    EXPECT_EQ(::lseek(fd, 0, SEEK_CUR), room);
    // There is room again.
    Probe& more = start("more", op::write(fd, bytes_of(text).subspan(room, 100)));
    run();
    EXPECT_END(more, Result(100));
    EXPECT_EQ(contents_of(fd), text.substr(0, room + 100));
  }
}

TEST_P(NativeContract, AllOfABufferThatDoesNotFitIsWrittenAsFarAsItDoes) {
  constexpr std::size_t room = 10'000;
  const std::string text = counting(2 * room);
  const int fd = file("");
  {
    const SmallFiles small(room);
    (void)start("all", op::whole(op::write(fd, bytes_of(text))));
    run();
    Probe& next = start("next", op::write(fd, bytes_of("x")));
    run();
    EXPECT_END(next, std::errc::file_too_large);
  }
  EXPECT_EQ(contents_of(fd), text.substr(0, room));
}

// The position is the open file's, which others may have as well.
TEST_P(NativeContract, WhatTwoDescriptorsOfOneFileWriteStandsBehindEachOther) {
  // Of a directory: one in memory alone has a position that Linux does not lock.
  std::string path = "wev-test-XXXXXX";
  const int fd = owned(::mkstemp(path.data()));
  ASSERT_EQ(::unlink(path.c_str()), 0);
  const int twin = owned(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  constexpr std::size_t each = 200;
  const std::string a(500, 'a');
  const std::string b(500, 'b');
  const auto again = [](Probe& self) {
    EXPECT_EQ(self.result(), Result(500));
    return self.calls() < each ? Action::rearm : Action::disarm;
  };
  Probe& first = probe("first", again);
  Probe& second = probe("second", again);
  add(first, op::write(fd, bytes_of(a)));
  add(second, op::write(twin, bytes_of(b)));
  run();
  EXPECT_EQ(::lseek(fd, 0, SEEK_END), 2 * each * 500);
}

// The first page can be filled and the second cannot.
TEST_P(NativeContract, AReadThatFailsInTheMiddleIsReadOnFromThere) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const int fd = file(std::string(page, 'a') + std::string(page, 'b'));
  void* memory =
      ::mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* bytes = static_cast<std::byte*>(memory);
  ASSERT_EQ(::mprotect(bytes + page, page, PROT_NONE), 0);
  Probe& half = start("half", op::read(fd, {bytes, 2 * page}));
  run();
  EXPECT_END(half, Result(page));
  Probe& rest = start("rest", op::read(fd, {bytes, page}));
  run();
  EXPECT_END(rest, Result(page));
  EXPECT_EQ(bytes[0], std::byte{'b'});
  EXPECT_EQ(::munmap(memory, 2 * page), 0);
}

// Being short tells nothing ------------------------------------------------------------------

// More buffers than one system call takes: the rest is still there.
TEST_P(NativeContract, MoreBuffersThanOneCallTakesLeaveTheRestForTheNext) {
  const auto [reader, writer] = pipe();
  EXPECT_EQ(rig().write(writer, std::string(3000, 'x')), Result(3000));
  auto& buffer = make_buffer<3000>();
  std::vector<IoVec> vectors;
  for (std::size_t i = 0; i < most_buffers + 100; ++i) {
    vectors.emplace_back(std::span(buffer.bytes).subspan(i, 1));
  }
  Probe& first = start("first", op::readv(reader, vectors));
  Probe& second = start("second", op::readv(reader, vectors));
  Probe& rest = start("rest", op::read(reader, buffer.bytes));
  run();
  EXPECT_END(first, Result(most_buffers));
  EXPECT_END(second, Result(most_buffers));
  EXPECT_END(rest, Result(3000 - 2 * most_buffers));
}

// Closing ------------------------------------------------------------------------------------

TEST_P(NativeContract, AListenerInUseGivesItsAddressBackInTheTurnOfItsClose) {
  Address address;
  const int listener = listen_at(address);
  Probe& accepting = start("accepting", op::accept(listener));
  look();
  Probe& closed = start("closed", op::close(listener));
  look();
  EXPECT_END(accepting, Errc::operation_canceled);
  EXPECT_END(closed, Result(0));
  EXPECT_EQ(perform(op::bind(socket(), address)), Result(0));
}

// Connecting ---------------------------------------------------------------------------------

// The error of a connection is the connect's, not that of a receive beside it.
TEST_P(NativeContract, AReceiveBesideAConnectLeavesItItsError) {
  const int taken = socket();
  const Address address = bind(taken);  // and does not listen
  auto& buffer = make_buffer<8>();
  const int fd = socket();
  Probe& c = start("c", op::connect(fd, address));
  Probe& r = start("r", op::recv(fd, buffer.bytes));
  run();
  EXPECT_END(c, std::errc::connection_refused);
  EXPECT_NE(r.result(), Result(1));
  EXPECT_FALSE(ended_with(r, std::errc::connection_refused));
}

// A Unix socket's queue is full: nothing tells when that changes, and the loop
// does not spin to find out.
TEST_P(NativeContract, ADatagramThatItsReceiverHasNoRoomForIsRefused) {
  const int receiver = socket(SocketFamily::unix_path, SocketType::datagram);
  const int sender = socket(SocketFamily::unix_path, SocketType::datagram);
  Message to{.address = bind(receiver, SocketFamily::unix_path)};
  int sent = 0;
  Probe& s = probe("s", [&](Probe& self) {
    sent += self.result() ? 1 : 0;
    return self.result() ? Action::rearm : Action::disarm;
  });
  add(s, op::send_to(sender, bytes_of("x"), to));
  run();
  EXPECT_END(s, std::errc::resource_unavailable_try_again);
  EXPECT_GT(sent, 0);
  auto& buffer = make_buffer<8>();
  Message from;
  Probe& r = start("r", op::recv_from(receiver, buffer.bytes, from));
  run();
  EXPECT_END(r, Result(1));
  add(s, op::send_to(sender, bytes_of("x"), to));
  run();
}

// Others' descriptors --------------------------------------------------------------------------

TEST_P(NativeContract, PollingSomeoneElsesDescriptorLeavesItAsItIs) {
  const std::array<int, 2> ends = open_pipe(Blocks::yes);
  owned(ends[0]);
  owned(ends[1]);
  Probe& p = start("p", op::poll_writable(ends[1]));
  Probe& q = start("q", op::poll_readable(ends[0]));
  look();
  EXPECT_EQ(rig().write(ends[1], "x"), Result(1));
  run();
  EXPECT_END(p, Result(writable));
  EXPECT_END(q, Result(readable));
  EXPECT_EQ(::fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(::fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
  // And then it is read after all.
  auto& buffer = make_buffer<8>();
  Probe& r = start("r", op::read(ends[0], buffer.bytes));
  Probe& more = start("more", op::read(ends[0], buffer.bytes));
  Probe& t = probe({}, [&](Probe&) {
    EXPECT_EQ(::write(ends[1], "y", 1), 1);
    return Action::disarm;
  });
  timer(t, 2ms);
  run();
  EXPECT_END(r, Result(1));
  EXPECT_END(more, Result(1));
}

// Closed without a word while a duplicate kept what was registered.
TEST_P(NativeContract, ANumberThatWasForgottenLateIsTakenUpAgain) {
  const auto [reader, writer] = pipe();
  const int twin = owned(::fcntl(reader, F_DUPFD_CLOEXEC, 0));
  auto& buffer = make_buffer<8>();
  Probe& r = start("r", op::read(reader, buffer.bytes));
  look();
  cancel(r);
  run();
  ::close(reader);
  EXPECT_TRUE(loop().forget(reader));
  ASSERT_EQ(::dup2(twin, reader), reader);
  Probe& again = start("again", op::read(reader, buffer.bytes));
  look();
  EXPECT_EQ(rig().write(writer, "x"), Result(1));
  run();
  EXPECT_END(again, Result(1));
}

// The kernel may close it while the loop does not look.
TEST_P(NativeContract, AClosedFilesNumberMayBeAnothersBeforeTheLoopHearsOfIt) {
  auto& buffer = make_buffer<8>();
  const int file = open_file();
  Probe& read = start("read", op::pread(file, buffer.bytes, 0));
  run();
  EXPECT_END(read, Result(0));
  Probe& close = start("close", op::close(file));
  int next = -1;
  while (next != file) {
    const bool last = close.calls() > 0;
    look();
    next = open_file();
    if (next != file) ::close(next);
    ASSERT_TRUE(next == file || !last) << "somebody else has the number";
  }
  owned(next);
  EXPECT_EQ(::pwrite(next, "next", 4, 0), 4);
  Probe& of_next = start("of the next", op::pread(next, buffer.bytes, 0));
  run();
  EXPECT_END(close, Result(0));
  EXPECT_END(of_next, Result(4));
}

}  // namespace wev::test
