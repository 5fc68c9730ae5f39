// The network suite: sockets on every backend that has them. Loopback only.
#include "io/network.hpp"

#include <algorithm>
#include <array>
#include <set>

namespace wev::test {

// The fixture -----------------------------------------------------------------------

int Network::socket(SocketFamily family, SocketType type) {
  const Result fd = perform(op::socket(family, type));
  EXPECT_TRUE(fd) << describe(fd);
  return owned(static_cast<int>(fd.value_or(0)));
}

Address Network::free_address(SocketFamily family) {
  switch (family) {
    case SocketFamily::ipv4: return Address::loopback();
    case SocketFamily::ipv6: return Address::loopback_ipv6();
    case SocketFamily::unix_path: break;
  }
  // A name that is no file, and this process's alone.
  static std::uint64_t next = 0;
  std::string name(1, '\0');
  name += "wev-test-" + std::to_string(reinterpret_cast<std::uintptr_t>(&next)) + "-" +
          std::to_string(next++);
  return *Address::unix_path(name);
}

Address Network::local_address(int fd) {
  Address address;
  EXPECT_EQ(perform(op::local_address(fd, address)), Result(0));
  return address;
}

Address Network::bind(int fd, SocketFamily family) {
  EXPECT_EQ(perform(op::bind(fd, free_address(family))), Result(0));
  return local_address(fd);
}

int Network::listen_at(Address& address, SocketFamily family, std::uint32_t backlog) {
  const int fd = socket(family);
  address = bind(fd, family);
  EXPECT_EQ(perform(op::listen(fd, backlog)), Result(0));
  return fd;
}

Address Network::answering(SocketFamily family) {
  Address address;
  listen_at(address, family);
  return address;
}

Address Network::silent(SocketFamily family) {
  Address address;
  listen_at(address, family, 0);
  Probe& first = start({}, op::connect(socket(family), address));
  run_until([&] { return first.calls() > 0; });
  EXPECT_END(first, Result(0));
  return address;
}

Address Network::refusing(SocketFamily family) { return bind(socket(family), family); }

Contract::Pair Network::connection(SocketFamily family) {
  Address address;
  const int listener = listen_at(address, family);
  const int client = socket(family);
  Probe& c = start({}, op::connect(client, address));
  Probe& a = start({}, op::accept(listener));
  run_until([&] { return c.calls() > 0 && a.calls() > 0; });
  EXPECT_END(c, Result(0));
  EXPECT_TRUE(a.result());
  return {client, owned(static_cast<int>(a.result().value_or(0)))};
}

// Echo --------------------------------------------------------------------------------

struct EchoServer::Connection {
  EchoServer& server;
  const int fd;
  Completion completion;
  std::array<std::byte, 4096> buffer{};
  std::span<const std::byte> left;

  void receive() { add(op::recv(fd, buffer), &Connection::on_received); }

  using Handler = void (Connection::*)(Result);
  Handler handler = nullptr;
  void add(const Operation& operation, Handler its_handler) {
    handler = its_handler;
    server.loop_.add(completion, operation, this,
                     [](void* self, Loop&, Completion&, Result result) {
                       auto& connection = *static_cast<Connection*>(self);
                       (connection.*connection.handler)(result);
                       return Action::disarm;
                     });
  }

  void on_received(Result result) {
    EXPECT_TRUE(result) << describe(result);
    if (!result || *result == 0) {
      return add(op::shutdown(fd, Shutdown::send), &Connection::on_shut_down);
    }
    left = std::span<const std::byte>(buffer).first(*result);
    add(op::send(fd, left), &Connection::on_sent);
  }
  void on_sent(Result result) {
    ASSERT_TRUE(result) << describe(result);
    left = left.subspan(*result);
    if (left.empty()) return receive();
    add(op::send(fd, left), &Connection::on_sent);
  }
  void on_shut_down(Result) { add(op::close(fd), &Connection::on_closed); }
  void on_closed(Result result) {
    EXPECT_EQ(result, Result(0));
    ++server.closed_;
  }
};

EchoServer::EchoServer(Loop& loop, int listener, std::size_t expected)
    : loop_(loop), expected_(expected), batch_(16) {
  loop.add(accepting_, op::accept_many(listener, batch_), this,
           [](void* self, Loop&, Completion&, Result result) {
             return static_cast<EchoServer*>(self)->on_accepted(result);
           });
}

EchoServer::~EchoServer() = default;

Action EchoServer::on_accepted(Result result) {
  EXPECT_TRUE(result) << describe(result);
  if (!result) return Action::disarm;
  for (std::size_t i = 0; i < *result; ++i) {
    connections_.emplace_back(new Connection{*this, batch_[i], {}, {}, {}, {}})->receive();
  }
  if (on_accept) on_accept(*result);
  return connections_.size() < expected_ ? Action::rearm : Action::disarm;
}

EchoClient::EchoClient(Loop& loop, int fd, const Address& address, std::uint64_t number,
                       std::size_t size)
    : loop_(loop),
      fd_(fd),
      address_(address),
      number_(number),
      size_(size),
      out_(std::min<std::size_t>(size, 3000)),
      in_(std::min<std::size_t>(size, 5000)) {
  loop.add(sending_, op::connect(fd, address_), this,
           [](void* self, Loop&, Completion&, Result result) {
             EXPECT_EQ(result, Result(0)) << describe(result);
             if (!result) return Action::disarm;
             static_cast<EchoClient*>(self)->send();
             static_cast<EchoClient*>(self)->receive();
             return Action::disarm;
           });
}

std::byte EchoClient::byte(std::size_t i) const {
  return static_cast<std::byte>((number_ * 31 + i * 7 + i / 251) & 0xff);
}

void EchoClient::send() {
  const std::size_t count = std::min(out_.size(), size_ - sent_);
  if (count == 0) {
    all_sent_ = true;
    if (held_) return;
    return loop_.add(sending_, op::shutdown(fd_, Shutdown::send), this,
                     [](void* self, Loop&, Completion&, Result result) {
                       EXPECT_EQ(result, Result(0)) << describe(result);
                       static_cast<EchoClient*>(self)->shut_down_ = true;
                       static_cast<EchoClient*>(self)->finish();
                       return Action::disarm;
                     });
  }
  for (std::size_t i = 0; i < count; ++i) out_[i] = byte(sent_ + i);
  loop_.add(sending_, op::send(fd_, std::span(out_).first(count)), this,
            [](void* self, Loop&, Completion&, Result result) {
              EXPECT_TRUE(result) << describe(result);
              auto& client = *static_cast<EchoClient*>(self);
              if (!result) return Action::disarm;
              client.sent_ += *result;
              client.send();
              return Action::disarm;
            });
}

void EchoClient::let_go() {
  held_ = false;
  if (all_sent_) send();
}

void EchoClient::receive() {
  loop_.add(receiving_, op::recv(fd_, in_), this,
            [](void* self, Loop&, Completion&, Result result) {
              EXPECT_TRUE(result) << describe(result);
              auto& client = *static_cast<EchoClient*>(self);
              if (!result || *result == 0) {
                EXPECT_EQ(client.received_, client.size_) << "of client " << client.number_;
                client.ended_ = true;
                client.finish();
                return Action::disarm;
              }
              bool right = client.received_ + *result <= client.size_;
              for (std::size_t i = 0; i < *result && right; ++i) {
                right = client.in_[i] == client.byte(client.received_ + i);
              }
              EXPECT_TRUE(right) << "wrong bytes came back to client " << client.number_;
              client.received_ += *result;
              return right ? Action::rearm : Action::disarm;
            });
}

void EchoClient::finish() {
  if (!shut_down_ || !ended_) return;
  loop_.add(sending_, op::close(fd_), this, [](void* self, Loop&, Completion&, Result result) {
    EXPECT_EQ(result, Result(0));
    static_cast<EchoClient*>(self)->done_ = true;
    return Action::disarm;
  });
}

namespace {

struct Echo {
  std::unique_ptr<EchoServer> server;
  std::vector<std::unique_ptr<EchoClient>> clients;
};

constexpr SocketFamily families[] = {SocketFamily::ipv4, SocketFamily::ipv6,
                                     SocketFamily::unix_path};

}  // namespace

TEST_P(Network, OneConnectionIsEchoedInEachFamily) {
  for (const SocketFamily family : families) {
    Address address;
    const int listener = listen_at(address, family);
    EchoServer server(loop(), listener, 1);
    EchoClient client(loop(), socket(family), address, 1, 10'000);
    run();
    EXPECT_TRUE(client.done());
    EXPECT_EQ(server.closed(), 1u);
  }
}

TEST_P(Network, AHundredConnectionsAreKeptApart) {
  Address address;
  EchoServer server(loop(), listen_at(address), 100);
  std::vector<std::unique_ptr<EchoClient>> clients;
  for (std::size_t i = 0; i < 100; ++i) {
    clients.emplace_back(new EchoClient(loop(), socket(), address, i, 2000 + i * 17));
  }
  run();
  for (const auto& client : clients) EXPECT_TRUE(client->done());
  EXPECT_EQ(server.closed(), 100u);
}

TEST_P(Network, ManyConnectionsAtOnceAreKeptApart) {
  const std::size_t count = traits().many_connections;
  Address address;
  EchoServer server(loop(), listen_at(address), count);
  std::vector<std::unique_ptr<EchoClient>> clients;
  const auto connect = [&](std::size_t more) {
    for (; more > 0 && clients.size() < count; --more) {
      clients.emplace_back(new EchoClient(loop(), socket(), address, clients.size(), 64));
      clients.back()->hold();
    }
  };
  // One for each that was accepted: where the backlog overflows, systems make
  // connections wait for minutes, and reset some.
  server.on_accept = [&](std::size_t accepted) {
    connect(accepted);
    if (server.accepted() < count) return;
    for (const auto& client : clients) client->let_go();
  };
  connect(1000);
  run();
  EXPECT_EQ(std::ranges::count_if(clients, [](const auto& client) { return client->done(); }),
            static_cast<std::ptrdiff_t>(count));
  EXPECT_EQ(server.closed(), count);
}

TEST_P(Network, ALargeTransferIsWholeInBothDirections) {
  Address address;
  EchoServer server(loop(), listen_at(address), 1);
  EchoClient client(loop(), socket(), address, 7, 4'000'000);
  run();
  EXPECT_TRUE(client.done());
}

// Connecting ---------------------------------------------------------------------------

TEST_P(Network, AConnectionKnowsBothItsAddresses) {
  for (const SocketFamily family : {SocketFamily::ipv4, SocketFamily::ipv6}) {
    const auto [client, server] = connection(family);
    Address there;
    Address here;
    EXPECT_EQ(perform(op::remote_address(client, there)), Result(0));
    EXPECT_EQ(perform(op::remote_address(server, here)), Result(0));
    EXPECT_EQ(there, local_address(server));
    EXPECT_EQ(here, local_address(client));
    EXPECT_NE(there.port(), here.port());
  }
}

TEST_P(Network, AConnectWhereNobodyListensIsRefused) {
  const int taken = socket();
  const Address address = bind(taken);  // and does not listen
  Probe& c = start("c", op::connect(socket(), address));
  const Address missing = free_address(SocketFamily::unix_path);
  Probe& u = start("u", op::connect(socket(SocketFamily::unix_path), missing));
  run();
  EXPECT_END(c, std::errc::connection_refused);
  EXPECT_FALSE(u.result());
}

TEST_P(Network, AnUnreachableNetworkIsToldSo) {
  NEEDS(unreachable);
  const int fd = owned(rig().unreachable_socket());
  const Address address = Address::loopback(1);
  Probe& c = start("c", op::connect(fd, address));
  run();
  EXPECT_END(c, std::errc::network_unreachable);
}

// The backlog is full, so that nobody answers.
TEST_P(Network, AConnectThatNobodyAnswersEndsAtItsDeadline) {
  Address address;
  listen_at(address, SocketFamily::ipv4, 0);
  Probe& first = start("first", op::connect(socket(), address));
  run();
  EXPECT_END(first, Result(0));
  const int fd = socket();
  Probe& late = start("late", op::connect(fd, address), loop().now() + 30ms);
  Probe& canceled = start("canceled", op::connect(socket(), address));
  Probe& t = probe({}, [&](Probe&) {
    cancel(canceled);
    return Action::disarm;
  });
  timer(t, 5ms);
  run();
  EXPECT_END(late, Errc::timed_out);
  EXPECT_END(canceled, Errc::operation_canceled);
}

TEST_P(Network, WhatIsNotConnectedNeitherSendsNorReceives) {
  auto& buffer = make_buffer<8>();
  const int fd = socket();
  Probe& r = start("r", op::recv(fd, buffer.bytes));
  Probe& s = start("s", op::send(fd, bytes_of("x")));
  run();
  EXPECT_END(r, std::errc::not_connected);
  EXPECT_FALSE(s.result());
}

// Accepting ----------------------------------------------------------------------------

TEST_P(Network, AcceptManyTakesAsManyAsThereAre) {
  Address address;
  const int listener = listen_at(address);
  std::vector<Probe*> connecting;
  for (int i = 0; i < 7; ++i) connecting.push_back(&start({}, op::connect(socket(), address)));
  run();
  for (const Probe* p : connecting) EXPECT_END(*p, Result(0));
  std::array<int, 3> batch{};
  std::set<int> all;
  Probe& a = probe("a", [&](Probe& self) {
    EXPECT_TRUE(self.result());
    EXPECT_GE(self.result().value_or(0), 1u);
    for (std::size_t i = 0; i < self.result().value_or(0); ++i) {
      EXPECT_TRUE(all.insert(owned(batch[i])).second);
    }
    return all.size() < 7 ? Action::rearm : Action::disarm;
  });
  add(a, op::accept_many(listener, batch));
  run();
  EXPECT_EQ(all.size(), 7u);
  EXPECT_GE(a.calls(), 3u);
}

TEST_P(Network, AcceptManyWithoutRoomEndsAtOnceAndTakesNone) {
  Address address;
  const int listener = listen_at(address);
  std::array<int, 2> room = {-7, -7};
  Probe& idle = start("idle", op::accept_many(listener, std::span(room).first(0)));
  run();
  EXPECT_END(idle, Result(0));
  Probe& c = start("c", op::connect(socket(), address));
  run();
  EXPECT_END(c, Result(0));
  Probe& none = start("none", op::accept_many(listener, std::span(room).first(0)));
  run();
  EXPECT_END(none, Result(0));
  EXPECT_EQ(room, (std::array<int, 2>{-7, -7}));
  Probe& one = start("one", op::accept_many(listener, room));
  run();
  EXPECT_END(one, Result(1));
  owned(room[0]);
}

TEST_P(Network, AcceptManyLeavesSomeForTheNextTurn) {
  constexpr std::size_t all = most_connections + 5;
  Address address;
  const int listener = listen_at(address);
  std::vector<Probe*> connecting;
  for (std::size_t i = 0; i < all; ++i) {
    connecting.push_back(&start({}, op::connect(socket(), address)));
  }
  run();
  for (const Probe* p : connecting) ASSERT_TRUE(ended_with(*p, Result(0)));
  std::array<int, 2 * most_connections> room{};
  std::size_t accepted = 0;
  Probe& a = probe("a", [&](Probe& self) {
    const std::size_t count = self.result().value_or(0);
    EXPECT_GE(count, 1u);
    EXPECT_LE(count, most_connections);
    for (std::size_t i = 0; i < count; ++i) owned(room[i]);
    accepted += count;
    return count > 0 && accepted < all ? Action::rearm : Action::disarm;
  });
  add(a, op::accept_many(listener, room));
  run();
  EXPECT_EQ(accepted, all);
}

TEST_P(Network, AcceptsWaitInOrderAndCanBeCanceled) {
  Address address;
  const int listener = listen_at(address);
  Probe& first = start("first", op::accept(listener));
  Probe& second = start("second", op::accept(listener));
  Probe& third = start("third", op::accept(listener), loop().now() + 1h);
  look();
  cancel(second);
  Probe& c = start({}, op::connect(socket(), address));
  run_until([&] { return first.calls() > 0 && second.calls() > 0 && c.calls() > 0; });
  EXPECT_TRUE(first.result());
  owned(static_cast<int>(first.result().value_or(0)));
  EXPECT_END(second, Errc::operation_canceled);
  EXPECT_EQ(third.calls(), 0u);
  Probe& closed = start({}, op::close(listener));
  run();
  EXPECT_END(third, Errc::operation_canceled);
  EXPECT_END(closed, Result(0));
}

// Ending -------------------------------------------------------------------------------

TEST_P(Network, AHalfClosedConnectionStillCarriesTheOtherDirection) {
  const auto [client, server] = connection();
  auto& buffer = make_buffer<64>();
  Probe& s = start("s", op::send(client, bytes_of("question")));
  Probe& down = start("down", op::shutdown(client, Shutdown::send));
  run();
  ASSERT_TRUE(s.result());
  EXPECT_END(down, Result(0));
  std::string question;
  Probe& r = probe("r", [&](Probe& self) {
    if (!self.result() || *self.result() == 0) return Action::disarm;
    question += buffer.text(*self.result());
    return Action::rearm;
  });
  add(r, op::recv(server, buffer.bytes));
  run();
  EXPECT_END(r, Result(0));
  EXPECT_EQ(question, std::string("question").substr(0, *s.result()));
  Probe& answer = start("answer", op::send(server, bytes_of("a")));
  run();
  EXPECT_END(answer, Result(1));
  Probe& got = start("got", op::recv(client, buffer.bytes));
  run();
  EXPECT_END(got, Result(1));
  EXPECT_EQ(buffer.text(1), "a");
}

// Bytes and the end are there before anyone looked: neither may hide the other.
TEST_P(Network, BytesAndTheEndThatCameTogetherAreBothSeen) {
  for (int round = 0; round < 3; ++round) {
    const auto [client, server] = connection();
    auto& buffer = make_buffer<64>();
    if (round == 1) {  // the other descriptor is known already
      Probe& canceled = start({}, op::recv(server, buffer.bytes));
      look();
      cancel(canceled);
      run();
    }
    EXPECT_EQ(rig().write(client, "last"), Result(4));
    EXPECT_EQ(perform(op::shutdown(client, Shutdown::send)), Result(0));
    if (round == 2) look();
    std::string all;
    Probe& r = probe("r", [&](Probe& self) {
      if (!self.result() || *self.result() == 0) return Action::disarm;
      all += buffer.text(*self.result());
      return Action::rearm;
    });
    add(r, op::recv(server, buffer.bytes));
    run();
    EXPECT_EQ(all, "last");
    EXPECT_END(r, Result(0));
  }
}

TEST_P(Network, AConnectionThatItsPeerResetsSaysSo) {
  const auto [client, server] = connection();
  auto& buffer = make_buffer<8>();
  Probe& r = start("r", op::recv(server, buffer.bytes));
  look();
  EXPECT_EQ(perform(op::set_option(client, SocketOption::linger, 0)), Result(0));
  Probe& c = start("c", op::close(client));
  run();
  EXPECT_END(c, Result(0));
  EXPECT_END(r, std::errc::connection_reset);
  Probe& s = start("s", op::send(server, bytes_of("x")));
  run();
  EXPECT_END(s, std::errc::broken_pipe);
}

TEST_P(Network, ClosingEndsWhatIsInFlightInBothDirections) {
  const auto [client, server] = connection();
  (void)fill(client);
  auto& buffer = make_buffer<8>();
  Probe& r = start("r", op::recv(client, buffer.bytes));
  Probe& s = start("s", op::send(client, bytes_of("x")), loop().now() + 1h);
  Probe& again = start("again", op::send(client, bytes_of("x")));
  Probe& other = start("other", op::recv(server, buffer.bytes));
  run_until([&] { return other.calls() > 0; });  // is undisturbed
  Probe& c = start("c", op::close(client));
  run();
  EXPECT_END(r, Errc::operation_canceled);
  // What the peer has read made room for the first, perhaps.
  EXPECT_TRUE(s.result() == Result(1) || ended_with(s, Errc::operation_canceled));
  EXPECT_TRUE(again.result() == Result(1) || ended_with(again, Errc::operation_canceled));
  EXPECT_END(c, Result(0));
}

TEST_P(Network, ANumberThatIsReusedAtOnceIsANewConnection) {
  auto& buffer = make_buffer<8>();
  for (int round = 0; round < 10; ++round) {
    const auto [client, server] = connection();
    Probe& old_read = start({}, op::recv(server, buffer.bytes));
    look();
    EXPECT_EQ(rig().write(client, "old"), Result(3));
    int reused = -1;
    Probe& c = probe({}, [&](Probe&) {
      EXPECT_EQ(old_read.calls(), 1u);
      reused = socket();
      return Action::disarm;
    });
    add(c, op::close(server));
    run_until([&] { return reused >= 0; });
    Probe& unconnected = start({}, op::recv(reused, buffer.bytes));
    run();
    EXPECT_END(unconnected, std::errc::not_connected);
    for (const int fd : {client, reused}) {
      Probe& closed = start({}, op::close(fd));
      run();
      EXPECT_END(closed, Result(0));
    }
  }
}

// A peer that stops reading ---------------------------------------------------------------

TEST_P(Network, APeerThatStopsReadingStopsOnlyItsOwnConnection) {
  const auto [client, server] = connection();
  const auto [other_client, other_server] = connection();
  const std::string held = fill(client);
  std::string_view more = "and this";
  std::size_t sent = 0;
  Probe& s = probe("s", [&, client = client](Probe& self) {
    EXPECT_TRUE(self.result());
    sent += self.result().value_or(0);
    if (sent < more.size()) add(self, op::send(client, bytes_of(more.substr(sent))));
    return Action::disarm;
  });
  add(s, op::send(client, bytes_of(more)));
  auto& buffer = make_buffer<4096>();
  Probe& other = start("other", op::recv(other_server, buffer.bytes));
  Probe& t = probe("t", [&, other_client = other_client](Probe&) {
    EXPECT_EQ(rig().write(other_client, "x"), Result(1));
    return Action::disarm;
  });
  timer(t, 5ms);
  run_until([&] { return other.calls() > 0; });
  EXPECT_END(other, Result(1));
  EXPECT_EQ(s.calls(), 0u);
  std::string all;
  Probe& r = probe("r", [&](Probe& self) {
    EXPECT_TRUE(self.result());
    all += buffer.text(self.result().value_or(0));
    return all.size() < held.size() + more.size() ? Action::rearm : Action::disarm;
  });
  add(r, op::recv(server, buffer.bytes));
  run();
  EXPECT_TRUE(all == held + std::string(more)) << all.size() << " of " << held.size();
}

// Several buffers ---------------------------------------------------------------------------

TEST_P(Network, SeveralBuffersAreMovedInOneOperation) {
  const auto [client, server] = connection();
  const std::array<IoVec, 4> out = {bytes_of("one "), bytes_of(""), bytes_of("two "),
                                    bytes_of("three")};
  Probe& w = start("w", op::writev(client, out));
  run();
  ASSERT_TRUE(w.result());
  auto& first = make_buffer<5>();
  auto& second = make_buffer<100>();
  const std::array<IoVec, 2> in = {first.bytes, second.bytes};
  std::string received;
  Probe& r = probe("r", [&](Probe& self) {
    const std::size_t size = self.result().value_or(0);
    received += first.text(std::min<std::size_t>(size, 5));
    received += second.text(size - std::min<std::size_t>(size, 5));
    return received.size() < *w.result() ? Action::rearm : Action::disarm;
  });
  add(r, op::readv(server, in));
  run();
  EXPECT_EQ(received, std::string("one two three").substr(0, *w.result()));
  const std::array<IoVec, 1> nothing = {bytes_of("")};
  Probe& empty = start("empty", op::writev(client, nothing));
  Probe& none = start("none", op::readv(server, {}));
  run();
  EXPECT_END(empty, Result(0));
  EXPECT_END(none, Result(0));
}

// Datagrams ---------------------------------------------------------------------------------

TEST_P(Network, DatagramsArriveWholeAndSayWhereTheyAreFrom) {
  for (const SocketFamily family : families) {
    const int first = socket(family, SocketType::datagram);
    const int second = socket(family, SocketType::datagram);
    const Address first_address = bind(first, family);
    const Address second_address = bind(second, family);
    auto& buffer = make_buffer<64>();
    Message from;
    Probe& r = start("r", op::recv_from(second, buffer.bytes, from));
    look();
    Message to{.address = second_address};
    Probe& s = start("s", op::send_to(first, bytes_of("hello"), to));
    run();
    EXPECT_END(s, Result(5));
    ASSERT_EQ(r.result(), Result(5));
    EXPECT_EQ(buffer.text(5), "hello");
    EXPECT_EQ(from.address, first_address);
    // An answer to where it came from; what does not fit is lost.
    auto& small = make_buffer<3>();
    Probe& answered = start("answered", op::recv_from(first, small.bytes, to));
    Probe& answer = start("answer", op::send_to(second, bytes_of("answer"), from));
    run();
    EXPECT_END(answer, Result(6));
    EXPECT_END(answered, Result(3));
    EXPECT_EQ(small.text(3), "ans");
  }
}

TEST_P(Network, DatagramsOfNoBytesAreDatagrams) {
  const int fd = socket(SocketFamily::ipv4, SocketType::datagram);
  Message to{.address = bind(fd)};
  Message from;
  auto& buffer = make_buffer<8>();
  Probe& s = start("s", op::send_to(fd, {}, to));
  Probe& r = start("r", op::recv_from(fd, buffer.bytes, from));
  run();
  EXPECT_END(s, Result(0));
  EXPECT_END(r, Result(0));
  EXPECT_EQ(from.address, to.address);
}

TEST_P(Network, ADatagramThatIsTooLargeIsRefused) {
  const int fd = socket(SocketFamily::ipv4, SocketType::datagram);
  Message to{.address = bind(fd)};
  const std::vector<std::byte> huge(100'000);
  Probe& s = start("s", op::send_to(fd, huge, to));
  run();
  EXPECT_END(s, std::errc::message_size);
}

TEST_P(Network, AConnectedDatagramSocketSendsAndReceives) {
  const int first = socket(SocketFamily::ipv4, SocketType::datagram);
  const int second = socket(SocketFamily::ipv4, SocketType::datagram);
  const Address first_address = bind(first);
  const Address second_address = bind(second);
  Probe& a = start({}, op::connect(first, second_address));
  Probe& b = start({}, op::connect(second, first_address));
  run();
  EXPECT_END(a, Result(0));
  EXPECT_END(b, Result(0));
  auto& buffer = make_buffer<8>();
  for (int i = 0; i < 5; ++i) {
    const std::string text = std::to_string(i);
    Probe& s = start({}, op::send(first, bytes_of(text)));
    Probe& r = start({}, op::recv(second, buffer.bytes));
    run();
    EXPECT_END(s, Result(1));
    EXPECT_END(r, Result(1));
    EXPECT_EQ(buffer.text(1), text);
  }
}

TEST_P(Network, AConnectedDatagramSocketSendsAndReceivesDatagramsOfNoBytes) {
  const int first = socket(SocketFamily::ipv4, SocketType::datagram);
  const int second = socket(SocketFamily::ipv4, SocketType::datagram);
  const Address second_address = bind(second);
  Probe& connected = start({}, op::connect(first, second_address));
  run();
  EXPECT_END(connected, Result(0));
  auto& buffer = make_buffer<8>();
  for (const std::string_view text : {"", "a", ""}) {
    Probe& s = start({}, op::send(first, bytes_of(text)));
    run();
    EXPECT_END(s, Result(text.size()));
  }
  Probe& peeked = start({}, op::recv(second, {}, recv_peek));
  run();
  EXPECT_END(peeked, Result(0));
  for (const std::size_t size : {0u, 1u, 0u}) {
    Probe& r = start({}, op::recv(second, buffer.bytes));
    run();
    EXPECT_END(r, Result(size));
  }
  // Without a buffer, too, a receive waits for a datagram and takes it.
  Message from;
  for (const bool with_address : {false, true}) {
    Probe& r = start({}, with_address ? op::recv_from(second, {}, from) : op::recv(second, {}));
    look();
    EXPECT_EQ(r.calls(), 0u);
    Probe& s = start({}, op::send(first, bytes_of("lost")));
    run();
    EXPECT_END(s, Result(4));
    EXPECT_END(r, Result(0));
  }
  Probe& next = start({}, op::recv(second, buffer.bytes));
  look();
  EXPECT_EQ(next.calls(), 0u);
  // A read and a write of nothing do nothing.
  Probe& written = start({}, op::write(first, {}));
  Probe& read = start({}, op::read(first, {}));
  run_until([&] { return written.calls() > 0 && read.calls() > 0; });
  EXPECT_END(written, Result(0));
  EXPECT_END(read, Result(0));
  Probe& s = start({}, op::send(first, bytes_of("kept")));
  run();
  EXPECT_END(s, Result(4));
  EXPECT_END(next, Result(4));
}

TEST_P(Network, AConnectedDatagramSocketHearsOnlyItsPeer) {
  const int first = socket(SocketFamily::ipv4, SocketType::datagram);
  const int second = socket(SocketFamily::ipv4, SocketType::datagram);
  const int stranger = socket(SocketFamily::ipv4, SocketType::datagram);
  const Address first_address = bind(first);
  Message to{.address = bind(second)};
  bind(stranger);
  Probe& connected = start({}, op::connect(second, first_address));
  run();
  EXPECT_END(connected, Result(0));
  Probe& theirs = start({}, op::send_to(stranger, bytes_of("theirs"), to));
  run();
  EXPECT_END(theirs, Result(6));
  Probe& ours = start({}, op::send_to(first, bytes_of("our"), to));
  auto& buffer = make_buffer<8>();
  Probe& received = start({}, op::recv(second, buffer.bytes));
  run();
  EXPECT_END(ours, Result(3));
  EXPECT_END(received, Result(3));
  EXPECT_EQ(buffer.text(3), "our");
}

// Wrong addresses -----------------------------------------------------------------------------

TEST_P(Network, AnAddressInUseIsToldSo) {
  Address address;
  listen_at(address);
  Probe& p = start("p", op::bind(socket(), address));
  run();
  EXPECT_END(p, std::errc::address_in_use);
}

TEST_P(Network, AnAddressIsTakenThoughNobodyListensAtItYet) {
  for (const SocketType type : {SocketType::stream, SocketType::datagram}) {
    const Address address = bind(socket(SocketFamily::ipv4, type));
    Probe& p = start("p", op::bind(socket(SocketFamily::ipv4, type), address));
    run();
    EXPECT_END(p, std::errc::address_in_use);
  }
}

TEST_P(Network, AListenerAtEveryAddressIsReachedAtEach) {
  const int listener = socket();
  EXPECT_EQ(perform(op::bind(listener, Address::ipv4({}, 0))), Result(0));
  EXPECT_EQ(perform(op::listen(listener, 8)), Result(0));
  const Address address = Address::loopback(local_address(listener).port());
  Probe& c = start("c", op::connect(socket(), address));
  Probe& a = start("a", op::accept(listener));
  run();
  EXPECT_END(c, Result(0));
  ASSERT_TRUE(a.result());
  EXPECT_EQ(local_address(owned(static_cast<int>(*a.result()))), address);
}

TEST_P(Network, AnAddressOfAnotherFamilyIsRefused) {
  const auto address = Address::unix_path("/tmp/x");
  Probe& p = start("p", op::bind(socket(), *address));
  Probe& c = start("c", op::connect(socket(SocketFamily::ipv6), *address));
  Probe& d = start("d", op::connect(socket(SocketFamily::ipv4, SocketType::datagram), *address));
  run();
  EXPECT_FALSE(p.result());
  EXPECT_FALSE(c.result());
  EXPECT_FALSE(d.result());
}

TEST_P(Network, AUnixSocketSaysThatItsPeerIsFullOrGone) {
  Address address;
  const int listener = listen_at(address, SocketFamily::unix_path, 1);
  std::vector<Probe*> connects;
  for (int i = 0; i < 4; ++i) {
    connects.push_back(&start({}, op::connect(socket(SocketFamily::unix_path), address)));
    run();
  }
  EXPECT_END(*connects.front(), Result(0));
  EXPECT_END(*connects.back(), std::errc::resource_unavailable_try_again);
  EXPECT_EQ(perform(op::close(listener)), Result(0));
  Probe& gone = start("gone", op::connect(socket(SocketFamily::unix_path), address));
  Message to{.address = address};
  Probe& sent = start("sent", op::send_to(socket(SocketFamily::unix_path, SocketType::datagram),
                                          bytes_of("x"), to));
  run();
  EXPECT_END(gone, std::errc::connection_refused);
  EXPECT_END(sent, std::errc::connection_refused);
}

// Warm ------------------------------------------------------------------------------------------

TEST_P(Network, OptionsAreTaken) {
  const int fd = socket();
  const std::pair<SocketOption, int> options[] = {
      {SocketOption::reuse_address, 1},  {SocketOption::reuse_port, 1},
      {SocketOption::no_delay, 1},       {SocketOption::keep_alive, 1},
      {SocketOption::send_buffer, 8192}, {SocketOption::receive_buffer, 8192},
      {SocketOption::ttl, 10},           {SocketOption::linger, -1}};
  for (const auto& [option, value] : options) {
    EXPECT_EQ(perform(op::set_option(fd, option, value)), Result(0)) << static_cast<int>(option);
  }
  const int six = socket(SocketFamily::ipv6);
  EXPECT_EQ(perform(op::set_option(six, SocketOption::ipv6_only, 1)), Result(0));
  EXPECT_EQ(perform(op::set_option(six, SocketOption::ttl, 10)), Result(0));
  const int datagram = socket(SocketFamily::ipv4, SocketType::datagram);
  EXPECT_EQ(perform(op::set_option(datagram, SocketOption::broadcast, 1)), Result(0));
}

TEST_P(Network, OptionsOfOtherSocketsAreRefused) {
  const int datagram = socket(SocketFamily::ipv4, SocketType::datagram);
  EXPECT_FALSE(perform(op::set_option(datagram, SocketOption::no_delay, 1)));
  EXPECT_FALSE(perform(op::set_option(socket(), SocketOption::ipv6_only, 1)));
  const int path = socket(SocketFamily::unix_path);
  EXPECT_FALSE(perform(op::set_option(path, SocketOption::no_delay, 1)));
  EXPECT_FALSE(perform(op::set_option(path, SocketOption::ttl, 1)));
}

}  // namespace wev::test
