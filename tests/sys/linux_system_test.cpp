// Operations carried out through Linux system calls.
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/fd.hpp"
#include "sys/posix.hpp"
#include "wev/loop/operation.hpp"

namespace wev::test {

namespace {

std::pair<Fd, Fd> pipe(int flags = O_NONBLOCK) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), flags), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

std::pair<Fd, Fd> socket_pair(int flags = SOCK_NONBLOCK) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | flags, 0, ends.data()), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

Fd file(std::string_view contents = {}) {
  std::string name = testing::TempDir() + "wev-XXXXXX";
  Fd fd(::mkstemp(name.data()));
  EXPECT_GE(fd, 0);
  EXPECT_EQ(::unlink(name.c_str()), 0);
  EXPECT_EQ(::pwrite(fd, contents.data(), contents.size(), 0),
            static_cast<ssize_t>(contents.size()));
  return fd;
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

struct Buffer {
  std::byte bytes[16] = {};
  [[nodiscard]] std::string_view text(const Result& result) const {
    return {reinterpret_cast<const char*>(bytes), result.value_or(0)};
  }
};

Result perform(const Operation& operation) { return operation.perform(); }

bool is_nonblocking(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }

Result error(std::errc code) { return std::unexpected(Error(code)); }

const Result would_block = error(std::errc::resource_unavailable_try_again);
const Result bad = error(std::errc::bad_file_descriptor);

}  // namespace

TEST(LinuxSystem, EveryTypeIsDescribedByWhatItDoes) {
  using enum OperationKind;
  struct Row {
    const OperationType& type;
    OperationKind kind;
    Direction direction;
    bool performs;
    bool examines;
  };
  const Row rows[] = {
      {op::noop_type, noop, Direction::unordered, false, false},
      {op::cancel_type, cancel, Direction::unordered, false, false},
      {op::timer_type, timer, Direction::unordered, false, false},
      {op::async_wait_type, async_wait, Direction::unordered, false, false},
      {op::foreign_type, foreign, Direction::unordered, false, false},
      {op::duplicate_type, OperationKind::duplicate, Direction::unordered, true, true},
      {op::run_blocking_type, run_blocking, Direction::unordered, true, false},
      {op::open_type, OperationKind::open, Direction::unordered, true, true},
      {op::socket_type, OperationKind::socket, Direction::unordered, true, true},
      {op::poll_in_type, poll, Direction::in, true, true},
      {op::poll_out_type, poll, Direction::out, true, true},
      {op::readv_type, OperationKind::readv, Direction::in, true, true},
      {op::writev_type, OperationKind::writev, Direction::out, true, true},
      {op::recv_from_type, recv_from, Direction::in, true, true},
      {op::send_to_type, send_to, Direction::out, true, true},
      {op::accept_many_type, accept_many, Direction::in, true, true},
      {op::connect_type, OperationKind::connect, Direction::out, true, true},
      {op::bind_type, OperationKind::bind, Direction::unordered, true, true},
      {op::listen_type, OperationKind::listen, Direction::unordered, true, true},
      {op::local_address_type, local_address, Direction::unordered, true, true},
      {op::remote_address_type, remote_address, Direction::unordered, true, true},
      {op::set_option_type, set_option, Direction::unordered, true, true},
      {op::size_type, OperationKind::size, Direction::unordered, true, true},
      {op::read_type, read, Direction::in, true, true},
      {op::pread_type, pread, Direction::unordered, true, true},
      {op::write_type, write, Direction::out, true, true},
      {op::pwrite_type, pwrite, Direction::unordered, true, true},
      {op::recv_type, recv, Direction::in, true, true},
      {op::send_type, send, Direction::out, true, true},
      {op::accept_type, accept, Direction::in, true, true},
      {op::shutdown_type, shutdown, Direction::out, true, true},
      {op::fsync_type, fsync, Direction::out, true, true},
      {op::spawn_type, OperationKind::spawn, Direction::unordered, true, true},
      {op::wait_process_type, wait_process, Direction::in, true, true},
      {op::kill_process_type, kill_process, Direction::unordered, true, true},
      {op::release_process_type, release_process, Direction::unordered, true, true},
      {op::watch_signal_type, watch_signal, Direction::unordered, true, true},
      {op::wait_signal_type, wait_signal, Direction::in, true, true},
      {op::unwatch_signal_type, unwatch_signal, Direction::unordered, true, true},
      {op::close_type, close, Direction::unordered, true, false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(static_cast<int>(row.kind));
    EXPECT_EQ(row.type.kind, row.kind);
    EXPECT_EQ(row.type.direction, row.direction);
    EXPECT_EQ(row.type.perform != nullptr, row.performs);
    EXPECT_EQ(row.type.examine != nullptr, row.examines);
  }
}

TEST(LinuxSystem, ReadAndWriteOnAPipe) {
  auto [reader, writer] = pipe();
  Buffer buffer;
  EXPECT_EQ(perform(op::read(reader, buffer.bytes)), would_block);
  EXPECT_EQ(perform(op::write(writer, bytes_of("hello"))), Result(5));
  const Result read = perform(op::read(reader, std::span(buffer.bytes).first(3)));
  EXPECT_EQ(buffer.text(read), "hel");
  EXPECT_EQ(buffer.text(perform(op::read(reader, buffer.bytes))), "lo");
  EXPECT_EQ(perform(op::read(reader, {})), Result(0));
  // Each end has its direction.
  EXPECT_EQ(perform(op::read(writer, buffer.bytes)), bad);
  EXPECT_EQ(perform(op::write(reader, bytes_of("x"))), bad);
  writer.reset();
  EXPECT_EQ(perform(op::read(reader, buffer.bytes)), Result(0));
}

TEST(LinuxSystem, AFullPipeWouldBlock) {
  const auto [reader, writer] = pipe();
  const std::string much(1 << 16, 'x');
  while (perform(op::write(writer, bytes_of(much)))) {
  }
  EXPECT_EQ(perform(op::write(writer, bytes_of("x"))), would_block);
}

TEST(LinuxSystem, AWriteThatNobodyWillReadIsABrokenPipe) {
  auto [reader, writer] = pipe();
  reader.reset();
  // What a program does that uses write on pipes.
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  EXPECT_EQ(perform(op::write(writer, bytes_of("x"))), error(std::errc::broken_pipe));
  (void)std::signal(SIGPIPE, before);
}

TEST(LinuxSystem, PositionalOperationsLeaveAFilesPositionAlone) {
  const Fd fd = file("0123456789");
  Buffer buffer;
  EXPECT_EQ(buffer.text(perform(op::pread(fd, std::span(buffer.bytes).first(3), 4))), "456");
  EXPECT_EQ(perform(op::pwrite(fd, bytes_of("ab"), 1)), Result(2));
  EXPECT_EQ(buffer.text(perform(op::read(fd, std::span(buffer.bytes).first(4)))), "0ab3");
  EXPECT_EQ(perform(op::write(fd, bytes_of("XY"))), Result(2));
  EXPECT_EQ(buffer.text(perform(op::pread(fd, buffer.bytes, 0))), "0ab3XY6789");
  EXPECT_EQ(perform(op::pread(fd, buffer.bytes, 10)), Result(0));
  // Beyond 32 bits, in a file of holes.
  const std::uint64_t far = (std::uint64_t{1} << 32) + 5;
  EXPECT_EQ(perform(op::pwrite(fd, bytes_of("far"), far)), Result(3));
  EXPECT_EQ(buffer.text(perform(op::pread(fd, buffer.bytes, far))), "far");
  EXPECT_EQ(perform(op::fsync(fd)), Result(0));
}

TEST(LinuxSystem, PositionalOperationsOnAPipeAreInvalidSeeks) {
  const auto [reader, writer] = pipe();
  Buffer buffer;
  EXPECT_EQ(perform(op::pread(reader, buffer.bytes, 0)), error(std::errc::invalid_seek));
  EXPECT_EQ(perform(op::pwrite(writer, bytes_of("x"), 0)), error(std::errc::invalid_seek));
  EXPECT_EQ(perform(op::fsync(writer)), error(std::errc::invalid_argument));
}

TEST(LinuxSystem, SendRecvAndPeekOnASocket) {
  const auto [first, second] = socket_pair();
  Buffer buffer;
  EXPECT_EQ(perform(op::recv(second, buffer.bytes)), would_block);
  EXPECT_EQ(perform(op::send(first, bytes_of("hello"))), Result(5));
  EXPECT_EQ(buffer.text(perform(op::recv(second, buffer.bytes, recv_peek))), "hello");
  buffer = {};
  EXPECT_EQ(buffer.text(perform(op::recv(second, buffer.bytes))), "hello");
  EXPECT_EQ(perform(op::recv(second, buffer.bytes)), would_block);
  // And as a stream.
  EXPECT_EQ(perform(op::write(second, bytes_of("back"))), Result(4));
  EXPECT_EQ(buffer.text(perform(op::read(first, buffer.bytes))), "back");
}

// Without the program being killed by SIGPIPE.
TEST(LinuxSystem, SendingToAClosedPeerIsAnError) {
  auto [first, second] = socket_pair();
  second.reset();
  EXPECT_EQ(perform(op::send(first, bytes_of("x"))), error(std::errc::broken_pipe));
}

TEST(LinuxSystem, ShutdownClosesTheDirectionsThatItNames) {
  Buffer buffer;
  {
    const auto [first, second] = socket_pair();
    EXPECT_EQ(perform(op::shutdown(first, Shutdown::send)), Result(0));
    EXPECT_EQ(perform(op::recv(second, buffer.bytes)), Result(0));
    EXPECT_EQ(perform(op::send(first, bytes_of("x"))), error(std::errc::broken_pipe));
    EXPECT_EQ(perform(op::send(second, bytes_of("x"))), Result(1));
    EXPECT_EQ(perform(op::recv(first, buffer.bytes)), Result(1));
  }
  {
    const auto [first, second] = socket_pair();
    EXPECT_EQ(perform(op::shutdown(first, Shutdown::receive)), Result(0));
    EXPECT_EQ(perform(op::recv(first, buffer.bytes)), Result(0));
    EXPECT_EQ(perform(op::send(first, bytes_of("x"))), Result(1));
    EXPECT_EQ(perform(op::recv(second, buffer.bytes)), Result(1));
  }
  {
    const auto [first, second] = socket_pair();
    EXPECT_EQ(perform(op::shutdown(first, Shutdown::both)), Result(0));
    EXPECT_EQ(perform(op::recv(first, buffer.bytes)), Result(0));
    EXPECT_EQ(perform(op::recv(second, buffer.bytes)), Result(0));
    EXPECT_EQ(perform(op::send(first, bytes_of("x"))), error(std::errc::broken_pipe));
  }
}

TEST(LinuxSystem, SocketOperationsOnAPipeAreRefused) {
  const auto [reader, writer] = pipe();
  Buffer buffer;
  const Result refused = error(std::errc::not_a_socket);
  EXPECT_EQ(perform(op::recv(reader, buffer.bytes)), refused);
  EXPECT_EQ(perform(op::send(writer, bytes_of("x"))), refused);
  EXPECT_EQ(perform(op::accept(reader)), refused);
  EXPECT_EQ(perform(op::shutdown(writer, Shutdown::both)), refused);
}

TEST(LinuxSystem, AcceptOnALoopbackListenerMakesNonBlockingConnections) {
  Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  ASSERT_GE(listener, 0);
  if (::bind(listener, any, size) != 0) GTEST_SKIP() << "there is no loopback interface";
  ASSERT_EQ(::listen(listener, 8), 0);
  ASSERT_EQ(::getsockname(listener, any, &size), 0);
  EXPECT_EQ(perform(op::accept(listener)), would_block);

  const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(client, any, size), 0);
  pollfd ready{listener, POLLIN, 0};
  ASSERT_EQ(::poll(&ready, 1, -1), 1);
  const Result accepted = perform(op::accept(listener));
  ASSERT_TRUE(accepted);
  const Fd server(static_cast<int>(*accepted));
  EXPECT_TRUE(is_nonblocking(server));
  EXPECT_NE(::fcntl(server, F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(perform(op::accept(listener)), would_block);

  Buffer buffer;
  EXPECT_EQ(perform(op::recv(server, buffer.bytes)), would_block);
  EXPECT_EQ(perform(op::send(server, bytes_of("hello"))), Result(5));
  EXPECT_EQ(buffer.text(perform(op::recv(client, std::span(buffer.bytes).first(5)))), "hello");
}

TEST(LinuxSystem, CloseClosesOnce) {
  auto [reader, writer] = pipe();
  const int fd = reader.release();
  EXPECT_EQ(perform(op::close(fd)), Result(0));
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
  EXPECT_EQ(perform(op::close(fd)), bad);
}

TEST(LinuxSystem, NothingIsDoneOnABadDescriptor) {
  Buffer buffer;
  for (const int fd : {-1, 1'000'000'000}) {
    for (const Operation& operation :
         {op::read(fd, buffer.bytes), op::pread(fd, buffer.bytes, 0), op::write(fd, buffer.bytes),
          op::pwrite(fd, buffer.bytes, 0), op::recv(fd, buffer.bytes), op::send(fd, buffer.bytes),
          op::accept(fd), op::shutdown(fd, Shutdown::both), op::fsync(fd), op::close(fd)}) {
      EXPECT_EQ(perform(operation), bad) << static_cast<int>(operation.kind());
    }
    const auto traits = op::read_type.examine(fd, true, nullptr);
    ASSERT_FALSE(traits);
    EXPECT_EQ(traits.error(), std::errc::bad_file_descriptor);
  }
}

// Examining ----------------------------------------------------------------------------

namespace {

DescriptorTraits examine(int fd) {
  const auto traits = op::read_type.examine(fd, true, nullptr);
  EXPECT_TRUE(traits);
  return traits.value_or(DescriptorTraits{});
}

}  // namespace

TEST(LinuxSystem, ExamineMakesPipesAndSocketsNonBlocking) {
  const auto [reader, writer] = pipe(0);
  const auto [first, second] = socket_pair(0);
  for (const int fd :
       {static_cast<int>(reader), static_cast<int>(writer), static_cast<int>(first)}) {
    EXPECT_FALSE(is_nonblocking(fd));
    const DescriptorTraits traits = examine(fd);
    EXPECT_TRUE(traits.nonblocking);
    EXPECT_TRUE(is_nonblocking(fd));
    EXPECT_FALSE(traits.always_ready);
    EXPECT_EQ(traits.may_be_socket, fd == first);
  }
  EXPECT_FALSE(is_nonblocking(second)) << "it was not asked for";
}

TEST(LinuxSystem, ExamineLeavesOtherFlagsAlone) {
  const auto [reader, writer] = pipe(O_DIRECT);
  const int before = ::fcntl(writer, F_GETFL);
  EXPECT_TRUE(examine(writer).nonblocking);
  EXPECT_EQ(::fcntl(writer, F_GETFL), before | O_NONBLOCK);
  EXPECT_TRUE(examine(writer).nonblocking);  // asked again
  EXPECT_EQ(::fcntl(writer, F_GETFL), before | O_NONBLOCK);
}

TEST(LinuxSystem, ExamineTellsFilesAndDirectories) {
  const Fd regular = file("x");
  const Fd directory(::open("/", O_RDONLY | O_DIRECTORY));
  for (const int fd : {static_cast<int>(regular), static_cast<int>(directory)}) {
    const DescriptorTraits traits = examine(fd);
    EXPECT_TRUE(traits.always_ready);
    EXPECT_FALSE(traits.may_be_socket);
  }
}

TEST(LinuxSystem, ExamineOfADeviceIsNeither) {
  const Fd device(::open("/dev/null", O_RDWR));
  ASSERT_GE(device, 0);
  const DescriptorTraits traits = examine(device);
  EXPECT_TRUE(traits.nonblocking);
  EXPECT_FALSE(traits.always_ready);
  EXPECT_FALSE(traits.may_be_socket);
}

// One that is only a name takes no flags.
TEST(LinuxSystem, ExamineSaysWhereTheFlagIsRefused) {
  const Fd name(::open("/", O_PATH));
  ASSERT_GE(name, 0);
  EXPECT_FALSE(examine(name).nonblocking);
}

TEST(LinuxSystem, AllTypesExamineAlike) {
  const auto [first, second] = socket_pair(0);
  for (const OperationType* type :
       {&op::poll_in_type, &op::poll_out_type, &op::read_type, &op::pread_type, &op::write_type,
        &op::pwrite_type, &op::recv_type, &op::send_type, &op::accept_type, &op::shutdown_type,
        &op::fsync_type}) {
    const auto traits = type->examine(first, true, nullptr);
    ASSERT_TRUE(traits);
    EXPECT_TRUE(traits->nonblocking && traits->may_be_socket && !traits->always_ready);
  }
}

// Only of a stream of TCP does a short receive tell that there is no more.
TEST(LinuxSystem, ExamineTellsWhereBeingShortTells) {
  const Fd tcp(::socket(AF_INET, SOCK_STREAM, 0));
  const Fd udp(::socket(AF_INET, SOCK_DGRAM, 0));
  const auto [first, second] = socket_pair();
  const auto [reader, writer] = pipe();
  EXPECT_TRUE(examine(tcp).short_is_all);
  for (const int fd : {static_cast<int>(udp), static_cast<int>(first), static_cast<int>(reader)}) {
    EXPECT_FALSE(examine(fd).short_is_all);
  }
  // Packets, though they are called TCP's.
  const Fd raw(::socket(AF_INET, SOCK_RAW, IPPROTO_TCP));
  if (raw < 0) GTEST_SKIP() << "this user may make no raw sockets";
  EXPECT_FALSE(examine(raw).short_is_all);
}

TEST(LinuxSystem, ErrorsThatOtherSystemsNameOtherwiseAreTheSame) {
  EXPECT_EQ(sys::to_error(EDQUOT), Error(std::errc::no_space_on_device));
  EXPECT_EQ(sys::to_error(ESTALE), Error(std::errc::io_error));
  EXPECT_EQ(sys::to_error(ESHUTDOWN), Error(std::errc::broken_pipe));
  EXPECT_EQ(sys::to_error(EHOSTDOWN), Error(std::errc::host_unreachable));
}

TEST(LinuxSystem, ErrorsThatStdErrcDoesNotKnowKeepTheirNumber) {
  EXPECT_EQ(sys::to_error(ENOENT), Error(std::errc::no_such_file_or_directory));
  EXPECT_EQ(sys::to_error(EWOULDBLOCK), Error(std::errc::resource_unavailable_try_again));
  for (const int code : {EMULTIHOP, EUSERS, 255, 256, 4000}) {
    EXPECT_EQ(sys::to_error(code), Error::native(static_cast<std::uint16_t>(code)));
  }
}

}  // namespace wev::test
