// stdin, stdout and stderr: the open files are others' as well, and they may be missing.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>

#include "rig/native.hpp"
#include "support/fd.hpp"
#include "support/stdio.hpp"
#include "support/system.hpp"
#include "wev/io/process.hpp"
#include "wev/io/signal.hpp"

namespace wev::test {

namespace {

bool is_nonblocking(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }

void set_nonblocking(int fd, bool on) {
  const int flags = ::fcntl(fd, F_GETFL);
  ASSERT_EQ(::fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK), 0);
}

// What a program may have as its stdio, which blocks, and this test's other sides of it,
// which do not.
struct World {
  std::string name;
  Fd in, feeds;    // what is written to `feeds` is read from `in`
  Fd out, drains;  // what is written to `out` is read from `drains`

  void prepare() {
    set_nonblocking(feeds, true);
    set_nonblocking(drains, true);
  }
};

Fd copy(int fd) { return Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 3)); }

std::array<World, 3> worlds() {
  std::array<World, 3> all;
  World& pipes = all[0];
  pipes.name = "pipes";
  const auto first = open_pipe(Blocks::yes);
  const auto second = open_pipe(Blocks::yes);
  pipes.in = Fd(first[0]);
  pipes.feeds = Fd(first[1]);
  pipes.out = Fd(second[1]);
  pipes.drains = Fd(second[0]);
  World& terminal = all[1];
  terminal.name = "a terminal";
  const auto sides = open_terminal();
  terminal.in = Fd(sides[1]);
  terminal.out = copy(sides[1]);
  terminal.feeds = Fd(sides[0]);
  terminal.drains = copy(sides[0]);
  World& socket = all[2];
  socket.name = "a socket";
  const auto ends = open_socket_pair(Blocks::yes);
  socket.in = Fd(ends[0]);
  socket.out = copy(ends[0]);
  socket.feeds = Fd(ends[1]);
  socket.drains = copy(ends[1]);
  for (World& world : all) world.prepare();
  return all;
}

}  // namespace

class StdioContract : public NativeContract {
 protected:
  // As a slow reader does it, some every 100 us until `writing` has ended.
  std::string drain_slowly(int fd, const Probe& writing) {
    std::string all;
    Probe& drains = probe({}, [&](Probe&) {
      std::array<char, 4096> buffer;
      const ssize_t size = ::read(fd, buffer.data(), buffer.size());
      if (size > 0) all.append(buffer.data(), static_cast<std::size_t>(size));
      return writing.calls() == 0 || size > 0 ? Action::rearm : Action::disarm;
    });
    timer(drains, 100us);
    run_until([&] { return drains.state() == Completion::State::dead; });
    return all;
  }
  void forget_stdio() {
    EXPECT_TRUE(loop().forget(0));
    EXPECT_TRUE(loop().forget(1));
  }
};

TEST_P(StdioContract, TheFlagsOfWhatOthersShareStayAsTheyAre) {
  for (const World& world : worlds()) {
    SCOPED_TRACE(world.name);
    const auto blocks = [&] { return !is_nonblocking(world.in) && !is_nonblocking(world.out); };
    const Stdio stdio(world.in, world.out);
    auto& buffer = make_buffer<8>();
    Probe& r = start("r", op::read(0, buffer.bytes));
    Probe& w = start("w", op::write(1, bytes_of("x\n")));
    look();
    EXPECT_TRUE(blocks()) << "while it reads";
    ASSERT_EQ(::write(world.feeds, "y\n", 2), 2);
    run();
    EXPECT_END(r, Result(2));
    EXPECT_END(w, Result(2));
    EXPECT_TRUE(blocks()) << "between";
    const std::array<IoVec, 2> pieces = {bytes_of("a"), bytes_of("b\n")};
    Probe& v = start("v", op::writev(1, pieces));
    run();
    EXPECT_TRUE(v.result());
    forget_stdio();
    EXPECT_TRUE(blocks()) << "when the loop has let go of it";
  }
}

// As any program does at its end that has set it, or does not know it.
TEST_P(StdioContract, ALoopDoesNotWaitThoughSomebodyHasClearedTheFlag) {
  for (const World& world : worlds()) {
    SCOPED_TRACE(world.name);
    set_nonblocking(world.in, true);
    set_nonblocking(world.out, true);
    const Stdio stdio(world.in, world.out);
    auto& buffer = make_buffer<8>();
    Probe& first = start("first", op::read(0, buffer.bytes));
    ASSERT_EQ(::write(world.feeds, "a\n", 2), 2);
    run();
    EXPECT_END(first, Result(2));
    const std::string much(500'000, 'x');
    Probe& w = start("w", op::whole(op::write(1, bytes_of(much))));
    look();
    set_nonblocking(world.in, false);
    set_nonblocking(world.out, false);
    const std::string arrived = drain_slowly(world.drains, w);
    EXPECT_END(w, Result(much.size()));
    // A terminal also echoes what it is fed.
    EXPECT_GE(arrived.size(), much.size());
    EXPECT_FALSE(is_nonblocking(world.out));
    Probe& second = start("second", op::read(0, buffer.bytes));
    look();
    EXPECT_EQ(second.calls(), 0u);
    ASSERT_EQ(::write(world.feeds, "b\n", 2), 2);
    run();
    EXPECT_END(second, Result(2));
    forget_stdio();
  }
}

TEST_P(StdioContract, ALoopThatEndsLeavesTheOthersOfItsStdioAsTheyAre) {
  const World world = std::move(worlds()[0]);
  const Stdio stdio(world.in, world.out);
  const std::string much(500'000, 'x');
  Probe& w = start("w", op::whole(op::write(1, bytes_of(much))));
  look();
  {
    auto other = rig().loop();
    Request writing;
    writing.start(Stream::standard_output(*other).write_some(bytes_of("y")).within(1ms),
                  [](Expected<std::size_t>) {});
    EXPECT_TRUE(rig().run(*other));
  }
  const std::string arrived = drain_slowly(world.drains, w);
  EXPECT_END(w, Result(much.size()));
  EXPECT_GE(arrived.size(), much.size());
  forget_stdio();
}

// It is used to a stdout that blocks.
TEST_P(StdioContract, AChildInheritsAStdoutThatBlocks) {
  for (const World& world : worlds()) {
    SCOPED_TRACE(world.name);
    const Stdio stdio(world.in, world.out);
    Probe& w = start("w", op::write(1, bytes_of("x")));
    run();
    EXPECT_END(w, Result(1));
    const std::string_view arguments[] = {"-c", "300000", "/dev/zero"};
    auto child = Process::spawn(loop(), {.program = "head", .arguments = arguments});
    ASSERT_TRUE(child);
    Probe& ended = probe("ended");
    Request waiting;
    ExitStatus status{-1, 0};
    waiting.start(child->wait(), [&](Expected<ExitStatus> its) {
      if (its) status = *its;
      timer(ended, 0ms);
    });
    const std::string arrived = drain_slowly(world.drains, ended);
    EXPECT_EQ(status, ExitStatus());
    EXPECT_EQ(arrived.size(), 300'001u);
    forget_stdio();
  }
}

TEST_P(StdioContract, SocketsDoNotWaitThoughSomebodyHasClearedTheirFlag) {
  const int listener = listen();
  const int client = connect(listener);
  Probe& first = start("first", op::accept(listener));
  run();
  ASSERT_TRUE(first.result());
  const int connection = owned(static_cast<int>(*first.result()));
  set_nonblocking(listener, false);
  set_nonblocking(connection, false);
  std::array<int, 4> accepted{};
  Probe& more = start("more", op::accept_many(listener, accepted));
  auto& buffer = make_buffer<8>();
  Probe& r = start("r", op::recv(connection, buffer.bytes));
  const std::string much(10'000'000, 'x');
  Probe& w = start("w", op::whole(op::send(connection, bytes_of(much))));
  for (int i = 0; i < 3; ++i) look();
  EXPECT_EQ(more.calls() + r.calls() + w.calls(), 0u);
  (void)connect(listener);
  EXPECT_EQ(rig().write(client, "y"), Result(1));
  run_until([&] { return more.calls() > 0 && r.calls() > 0; });
  EXPECT_END(more, Result(1));
  owned(accepted[0]);
  EXPECT_END(r, Result(1));
  cancel(w);
  run();
  EXPECT_TRUE(w.result());
}

// Missing --------------------------------------------------------------------------------

TEST_P(StdioContract, NothingTheLibraryMakesTakesTheNumbersOfMissingStdio) {
  auto& buffer = make_buffer<8>();
  std::array<int, 3> taken{};
  std::vector<Result> missing;
  Result opened = 0;
  std::size_t accepted = 0;
  Expected<ExitStatus> status = ExitStatus{-1, 0};
  {
    const ClosedStdio closed;
    auto loop = rig().loop();
    (void)loop->pollable();
    auto signal = Signal::open(*loop, SIGUSR1);
    std::array<int, 2> ends{};
    const Result piped = loop->perform(op::pipe(ends));
    const int listener = rig().listen();
    const int client = rig().connect(listener);
    Request request;
    int connection = -1;
    const auto perform = [&](const Operation& operation) {
      Result result = 0;
      request.start(*loop, Awaitable<>(*loop, operation),
                    [&](const Result& ended) { result = ended; });
      (void)rig().run(*loop);
      return result;
    };
    accepted = perform(op::accept_many(listener, std::span(&connection, 1))).value_or(0);
    opened = perform(op::open(op::working_directory, "/dev/null", open_read));
    for (const Operation& operation :
         {op::read(0, buffer.bytes), op::write(1, bytes_of("x")), op::write(2, bytes_of("x"))}) {
      missing.push_back(perform(operation));
    }
    // Of the child's own the first three are missing as well.
    const std::string_view arguments[] = {
        "-c", "for i in 0 1 2; do test -e /dev/fd/$i && exit 1; done; exit 0"};
    if (auto child = Process::spawn(*loop, {.program = "/bin/sh", .arguments = arguments})) {
      Request waiting;
      waiting.start(child->wait(), [&](Expected<ExitStatus> its) { status = its; });
      (void)rig().run(*loop);
    }
    for (int i = 0; i < 3; ++i) taken[static_cast<std::size_t>(i)] = ::fcntl(i, F_GETFD);
    if (piped) {
      for (const int fd : ends) ::close(fd);
    }
    for (const int fd : {listener, client, connection}) ::close(fd);
    if (opened) ::close(static_cast<int>(*opened));
    signal = std::unexpected(Errc::closed);
    (void)loop->drain();
  }
  EXPECT_EQ(taken, (std::array{-1, -1, -1}));
  EXPECT_EQ(accepted, 1u);
  EXPECT_TRUE(opened);
  for (const Result& result : missing) {
    EXPECT_EQ(result, Result(std::unexpected(std::errc::bad_file_descriptor)));
  }
  EXPECT_EQ(status, ExitStatus());
}

namespace {

INSTANTIATE_TEST_SUITE_P(Native, StdioContract, testing::ValuesIn(native_rigs()),
                         [](const auto& info) { return info.param.name; });

}  // namespace

}  // namespace wev::test
