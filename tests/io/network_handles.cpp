// TCP, Unix and UDP handles.
#include <array>
#include <deque>
#include <optional>

#include "io/network.hpp"
#include "wev/io/pipe.hpp"
#include "wev/io/tcp.hpp"
#include "wev/io/udp.hpp"
#include "wev/io/unix.hpp"

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
    request.start(
        ends.server->read_exactly(buffer),
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

}  // namespace wev::test
