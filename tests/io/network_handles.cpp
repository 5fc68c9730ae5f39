// TCP, Unix and UDP handles.
#include <array>
#include <deque>
#include <optional>

#include "io/network.hpp"
#include "support/allocations.hpp"
#include "wev/io/connect.hpp"
#include "wev/io/pipe.hpp"
#include "wev/io/tcp.hpp"
#include "wev/io/udp.hpp"
#include "wev/io/unix.hpp"
#include "wev/task/ok.hpp"
#include "wev/task/run.hpp"

namespace wev::test {

namespace {

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Both ends of a connection.
template <class Socket>
struct Ends {
  Expected<Socket> client = std::unexpected(Error(std::errc::no_link));
  Expected<Socket> server = std::unexpected(Error(std::errc::no_link));
  Request connecting;
  Request accepting;

  void make(Loop& loop, Listener<Socket>& listener, const Address& address) {
    connecting.start(Socket::connect(loop, address),
                     [this](Expected<Socket> socket) { client = std::move(socket); });
    accepting.start(listener.accept(),
                    [this](Expected<Socket> socket) { server = std::move(socket); });
  }
};

}  // namespace

TEST_P(Network, ATcpHandleConnectsCarriesBytesAndHalfCloses) {
  for (const Address& wanted : {Address::loopback(), Address::loopback_ipv6()}) {
    auto listener = TcpListener::listen(loop(), wanted);
    ASSERT_TRUE(listener);
    const Address address = listener->local_address().value_or(Address());
    EXPECT_NE(address.port(), 0);
    Ends<TcpStream> ends;
    ends.make(loop(), *listener, address);
    run();
    ASSERT_TRUE(ends.client);
    ASSERT_TRUE(ends.server);
    EXPECT_EQ(ends.client->remote_address(), address);
    EXPECT_EQ(ends.server->local_address(), address);
    EXPECT_TRUE(ends.client->set_no_delay(true));
    EXPECT_TRUE(ends.client->set_keep_alive(true));

    Request request;
    Request other;
    Expected<std::size_t> sent = 0;
    bool down = false;
    request.start(ends.client->write_all(bytes_of("hello")),
                  [&sent](Expected<std::size_t> size) { sent = size; });
    other.start(ends.client->shutdown(Shutdown::send),
                [&down](Expected<void> result) { down = result.has_value(); });
    run();
    EXPECT_EQ(sent, 5u);
    EXPECT_TRUE(down);
    std::array<std::byte, 16> buffer{};
    std::expected<std::size_t, TransferError> received = 0;
    request.start(ends.server->read_exactly(buffer),
                  [&received](std::expected<std::size_t, TransferError> size) { received = size; });
    run();
    ASSERT_FALSE(received);
    EXPECT_EQ(received.error(), Errc::end_of_stream);
    ASSERT_EQ(received.error().moved, 5u);
    EXPECT_EQ(text_of(std::span(buffer).first(5)), "hello");
  }
}

TEST_P(Network, AUnixHandleIsTheSame) {
  const Address address = free_address(SocketFamily::unix_path);
  auto listener = UnixListener::listen(loop(), address);
  ASSERT_TRUE(listener);
  Ends<UnixStream> ends;
  ends.make(loop(), *listener, address);
  run();
  ASSERT_TRUE(ends.client);
  ASSERT_TRUE(ends.server);
  const std::array<IoVec, 2> out = {bytes_of("ab"), bytes_of("cd")};
  std::array<std::byte, 3> first{};
  std::array<std::byte, 3> second{};
  const std::array<IoVec, 2> in = {first, second};
  Request writing;
  Request reading;
  Expected<std::size_t> sent = 0;
  Expected<std::size_t> received = 0;
  writing.start(ends.client->write_vectored(out), [&](Expected<std::size_t> size) { sent = size; });
  run();
  reading.start(ends.server->read_vectored(in),
                [&](Expected<std::size_t> size) { received = size; });
  run();
  ASSERT_TRUE(sent && received);
  EXPECT_LE(*received, *sent);
  EXPECT_EQ((text_of(first) + text_of(second)).substr(0, *received),
            std::string("abcd").substr(0, *received));
}

TEST_P(Network, WhatCannotListenOrConnectSaysWhyAndLeavesNothingOpen) {
  auto listener = TcpListener::listen(loop(), Address::loopback());
  ASSERT_TRUE(listener);
  const Address taken = listener->local_address().value_or(Address());
  const auto again = TcpListener::listen(loop(), taken);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error(), std::errc::address_in_use);
  const auto none = TcpListener::listen(loop(), Address());
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error(), std::errc::address_family_not_supported);

  listener = TcpListener();  // closed
  Request request;
  Request other;
  Error refused = std::errc{};
  Error nowhere = std::errc{};
  request.start(TcpStream::connect(loop(), taken), [&refused](Expected<TcpStream> stream) {
    if (!stream) refused = stream.error();
  });
  const Address empty;
  other.start(TcpStream::connect(loop(), empty), [&nowhere](Expected<TcpStream> stream) {
    if (!stream) nowhere = stream.error();
  });
  EXPECT_EQ(nowhere, std::errc{});  // not from inside the call
  run();
  EXPECT_EQ(refused, std::errc::connection_refused);
  EXPECT_EQ(nowhere, std::errc::address_family_not_supported);
}

TEST_P(Network, AConnectAndAnAcceptCanBeCanceled) {
  auto listener = TcpListener::listen(loop(), Address::loopback(), {.backlog = 0});
  ASSERT_TRUE(listener);
  const Address address = listener->local_address().value_or(Address());
  Ends<TcpStream> first;
  first.connecting.start(TcpStream::connect(loop(), address),
                         [&first](Expected<TcpStream> s) { first.client = std::move(s); });
  run();
  ASSERT_TRUE(first.client);
  Request waiting;  // the backlog is full
  Error error = std::errc{};
  waiting.start(TcpStream::connect(loop(), address), [&error](Expected<TcpStream> stream) {
    if (!stream) error = stream.error();
  });
  look();
  waiting.cancel();
  run();
  EXPECT_EQ(error, Errc::operation_canceled);
}

TEST_P(Network, ManyConnectionsAreAcceptedByOneHandle) {
  auto listener = TcpListener::listen(loop(), Address::loopback());
  ASSERT_TRUE(listener);
  struct Server {
    TcpListener& listener;
    Request request;
    std::deque<TcpStream> accepted;
    void accept() {
      request.start(listener.accept(), [this](Expected<TcpStream> stream) {
        ASSERT_TRUE(stream);
        accepted.push_back(std::move(*stream));
        if (accepted.size() < 20) accept();
      });
    }
  } server{*listener, {}, {}};
  server.accept();
  const Address address = listener->local_address().value_or(Address());
  std::deque<Ends<TcpStream>> clients(20);
  for (auto& client : clients) {
    client.connecting.start(TcpStream::connect(loop(), address),
                            [&client](Expected<TcpStream> s) { client.client = std::move(s); });
  }
  run();
  EXPECT_EQ(server.accepted.size(), 20u);
  for (const auto& client : clients) EXPECT_TRUE(client.client);
}

TEST_P(Network, UdpHandlesSendReceiveAndConnect) {
  auto first = UdpSocket::bind(loop(), Address::loopback());
  auto second = UdpSocket::bind(loop(), Address::loopback());
  ASSERT_TRUE(first);
  ASSERT_TRUE(second);
  Message to{.address = second->local_address().value_or(Address())};
  Message from;
  std::array<std::byte, 16> buffer{};
  Request sending;
  Request receiving;
  Expected<std::size_t> received = 0;
  const auto keep = [&received](Expected<std::size_t> size) { received = size; };
  receiving.start(second->receive_from(buffer, from), keep);
  sending.start(first->send_to(bytes_of("ping"), to),
                [](Expected<std::size_t> size) { EXPECT_EQ(size, 4u); });
  run();
  ASSERT_EQ(received, 4u);
  EXPECT_EQ(from.address, first->local_address());
  ASSERT_TRUE(second->connect(from.address));
  ASSERT_TRUE(first->connect(to.address));
  receiving.start(first->receive(buffer), keep);
  sending.start(second->send(bytes_of("pong!")), [](Expected<std::size_t>) {});
  run();
  ASSERT_EQ(received, 5u);
  EXPECT_EQ(text_of(std::span(buffer).first(5)), "pong!");
}

TEST_P(Network, APipeIsMadeWithBothItsEnds) {
  auto made = Pipe::make(loop());
  ASSERT_TRUE(made);
  std::array<std::byte, 8> buffer{};
  Request reading;
  Request writing;
  Expected<std::size_t> read = 0;
  reading.start(made->reader.read_exactly(std::span(buffer).first(4)),
                [&read](Expected<std::size_t> size) { read = size; });
  writing.start(made->writer.write_all(bytes_of("pipe")), [](Expected<std::size_t>) {});
  run();
  ASSERT_EQ(read, 4u);
  EXPECT_EQ(text_of(std::span(buffer).first(4)), "pipe");
}

// Connecting to one of several addresses ------------------------------------------------------

namespace {

Connecting<ToAddresses> connecting(Loop& loop, const std::vector<Address>& all, Duration stagger) {
  return connect(loop, all).stagger(stagger);
}

// Where that came to.
Expected<Address> reached(Loop& loop, const std::vector<Address>& all, Duration stagger) {
  const auto stream = wev::run(loop, connecting(loop, all, stagger));
  if (!stream) return std::unexpected(stream.error());
  return stream->remote_address();
}

}  // namespace

TEST_P(Network, WhereOneAddressFailsTheNextIsTriedAtOnce) {
  const Address last = answering(SocketFamily::ipv6);
  EXPECT_EQ(reached(loop(), {refusing(), refusing(), Address(), last}, 1h), last);
}

TEST_P(Network, WhereOneDoesNotAnswerTheNextIsTriedBesideIt) {
  const Address last = answering();
  const std::vector<Address> all = {silent(), last};
  loop().update_now();
  const Instant began = loop().now();
  EXPECT_EQ(reached(loop(), {all[0], all[1]}, 3ms), last);
  EXPECT_GE(loop().now() - began, 3ms);
}

TEST_P(Network, WhereOneHasAnsweredWhileTheProgramWasBusyNoOtherIsTried) {
  const std::vector<Address> all = {answering(), silent()};
  Expected<TcpStream> ended;
  ConnectRequest request;
  request.start(loop(), all, {.stagger = 5ms},
                [&](Expected<TcpStream> stream) { ended = std::move(stream); });
  rig().busy(loop(), 30ms);
  look();
  std::size_t tries = 0;
  loop().for_each_lent([&](const Completion& completion) {
    if (completion.operation().kind() != OperationKind::connect) return;
    ++tries;
    EXPECT_NE(completion.state(), Completion::State::deleting) << "it was tried in vain";
  });
  EXPECT_LE(tries, 1u);
  run();
  EXPECT_TRUE(ended);
}

// And not from when the loop last read its clock.
TEST_P(Network, ADeadlineForAllTriesCountsFromWhenTheyBegin) {
  const std::vector<Address> all = {silent(), silent()};
  Instant began;
  const auto task = [&]() -> Task<> {
    rig().busy(loop(), 30ms);
    began = loop().backend().now();
    const auto stream = co_await connecting(loop(), all, 1ms).within(32ms);
    EXPECT_FALSE(stream);
    if (!stream) {
      EXPECT_EQ(stream.error(), Errc::timed_out);
    }
  };
  EXPECT_TRUE(wev::run(loop(), task()));
  EXPECT_GE(loop().backend().now(), began + 32ms);
}

TEST_P(Network, TheFamiliesAreTriedByTurns) {
  const Address ipv4 = answering();
  EXPECT_EQ(
      reached(loop(), {refusing(SocketFamily::ipv6), answering(SocketFamily::ipv6), ipv4}, 1h),
      ipv4);
  const Address ipv6 = answering(SocketFamily::ipv6);
  EXPECT_EQ(reached(loop(), {refusing(), answering(), answering(), ipv6}, 1h), ipv6);
  const Address third = answering();
  EXPECT_EQ(reached(loop(), {refusing(), refusing(), third}, 1h), third)
      << "there is no other family";
}

TEST_P(Network, WhereAllFailTheErrorIsTheFirstAddresss) {
  const auto error_of = [&](const std::vector<Address>& all) {
    const auto stream = wev::run(loop(), connecting(loop(), all, 1h));
    return stream ? Error(std::errc{}) : stream.error();
  };
  EXPECT_EQ(error_of({refusing(), Address()}), std::errc::connection_refused);
  EXPECT_EQ(error_of({Address(), refusing()}), std::errc::address_family_not_supported);
  EXPECT_EQ(error_of({}), std::errc::address_not_available);
}

TEST_P(Network, OneDeadlineIsForAll) {
  const std::vector<Address> all = {silent(), silent(), silent(SocketFamily::ipv6)};
  loop().update_now();
  const Instant began = loop().now();
  const auto stream = wev::run(loop(), connecting(loop(), all, 2ms).within(9ms));
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error(), Errc::timed_out);
  EXPECT_GE(loop().now() - began, 9ms);
}

TEST_P(Network, ItCanBeCancelledAtAnyTimeAndUsedAgain) {
  const std::vector<Address> silent_ones = {silent(), silent(SocketFamily::ipv6)};
  const std::vector<Address> one = {answering()};
  ConnectRequest request;
  int calls = 0;
  Expected<TcpStream> ended;
  const auto begin = [&](const std::vector<Address>& all) {
    request.start(loop(), all, {.stagger = 1ms}, [&](Expected<TcpStream> stream) {
      ended = std::move(stream);
      ++calls;
    });
    EXPECT_TRUE(request.active());
  };
  for (const int looks : {0, 1, 2, 5, 20}) {
    calls = 0;
    begin(silent_ones);
    for (int i = 0; i < looks; ++i) look();
    request.cancel();
    EXPECT_EQ(calls, 0);
    request.cancel();
    run();
    EXPECT_EQ(calls, 1);
    ASSERT_FALSE(ended);
    EXPECT_EQ(ended.error(), Errc::operation_canceled);
  }
  begin(one);
  run();
  EXPECT_TRUE(ended);
}

TEST_P(Network, DrainingEndsIt) {
  const std::vector<Address> all = {silent(), silent(), silent()};
  ConnectRequest request;
  Expected<TcpStream> ended;
  request.start(loop(), all, {.stagger = 1h, .deadline = loop().now() + 1h},
                [&](Expected<TcpStream> stream) { ended = std::move(stream); });
  look();
  EXPECT_TRUE(loop().drain());
  EXPECT_FALSE(request.active());
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error(), Errc::operation_canceled);
}

TEST_P(Network, WithoutMemoryItSaysSo) {
  const std::vector<Address> all = {answering(), answering()};
  ConnectRequest request;
  Expected<TcpStream> ended;
  {
    const NoMemory none;
    request.start(loop(), all, {}, [&](Expected<TcpStream> stream) { ended = std::move(stream); });
  }
  run();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error(), std::errc::not_enough_memory);
}

TEST_P(Network, ANumericAddressNeedsNobodyToBeAsked) {
  for (const auto family : {SocketFamily::ipv4, SocketFamily::ipv6}) {
    const Address address = answering(family);
    const char* host = family == SocketFamily::ipv4 ? "127.0.0.1" : "::1";
    const auto stream = wev::run(loop(), wev::connect(loop(), host, address.port()));
    ASSERT_TRUE(stream);
    EXPECT_EQ(stream->remote_address(), address);
  }
  for (const char* host : {"example.org", "", "127.0.0.1:80", "unix:/tmp/x"}) {
    const auto stream = wev::run(loop(), wev::connect(loop(), host, 80));
    ASSERT_FALSE(stream);
    EXPECT_EQ(stream.error(), std::errc::address_not_available);
  }
}

}  // namespace wev::test
