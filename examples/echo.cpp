// echo: sends back whatever comes in, and measures how fast.
//
//   echo serve [PORT]                        on 127.0.0.1; prints the port it has;
//                                            until stdin ends
//   echo load PORT CONNECTIONS ROUND_TRIPS   so many of each, of 64 bytes, all
//                                            connections at once
//
// Exit codes: 0 all went well; 1 wrong usage; 2 the system or the network failed.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "wev/address.hpp"
#include "wev/loop.hpp"

namespace {

using wev::Action;
using wev::Address;
using wev::Completion;
using wev::Loop;
using wev::Result;

int fail(const char* what, wev::Error error) {
  std::fprintf(stderr, "echo: %s failed (error %d)\n", what, error.code());
  return 2;
}

// One side of a connection: receives into its buffer, and hands on what came.
struct Connection {
  explicit Connection(int its_fd) : fd(its_fd) {}

  int fd;
  Completion completion;
  std::array<std::byte, 4096> buffer{};
  std::span<const std::byte> left;  // to be sent
};

// The server -----------------------------------------------------------------------

struct Peer : Connection {
  using Connection::Connection;

  static Action on_received(void* self, Loop& loop, Completion&, Result result) {
    auto& peer = *static_cast<Peer*>(self);
    if (!result || *result == 0) {
      loop.add(peer.completion, wev::op::close(peer.fd), self, on_closed);
      return Action::disarm;
    }
    peer.left = std::span(peer.buffer).first(*result);
    loop.add(peer.completion, wev::op::send(peer.fd, peer.left), self, on_sent);
    return Action::disarm;
  }

  static Action on_sent(void* self, Loop& loop, Completion&, Result result) {
    auto& peer = *static_cast<Peer*>(self);
    if (!result) {
      loop.add(peer.completion, wev::op::close(peer.fd), self, on_closed);
      return Action::disarm;
    }
    peer.left = peer.left.subspan(*result);
    if (peer.left.empty()) {
      peer.receive(loop);
    } else {
      loop.add(peer.completion, wev::op::send(peer.fd, peer.left), self, on_sent);
    }
    return Action::disarm;
  }

  void receive(Loop& loop) { loop.add(completion, wev::op::recv(fd, buffer), this, on_received); }

  static Action on_closed(void* self, Loop&, Completion&, Result) {
    delete static_cast<Peer*>(self);
    return Action::disarm;
  }
};

struct Server {
  int listener = -1;
  Completion accepting, retrying, stdin_ended;
  std::array<int, 64> batch{};
  std::array<std::byte, 256> ignored{};

  static Action on_accepted(void* self, Loop& loop, Completion&, Result result) {
    auto& server = *static_cast<Server*>(self);
    if (!result) {
      if (result.error() == wev::Errc::operation_canceled) return Action::disarm;
      // Out of descriptors, perhaps: others will end.
      loop.timer(server.retrying, std::chrono::milliseconds(50), self, on_retry);
      return Action::disarm;
    }
    for (std::size_t i = 0; i < *result; ++i) (new Peer(server.batch[i]))->receive(loop);
    return Action::rearm;
  }

  void accept(Loop& loop) {
    loop.add(accepting, wev::op::accept_many(listener, batch), this, on_accepted);
  }

  static Action on_retry(void* self, Loop& loop, Completion&, Result result) {
    if (result) static_cast<Server*>(self)->accept(loop);
    return Action::disarm;
  }

  static Action on_stdin(void*, Loop& loop, Completion&, Result result) {
    if (result && *result > 0) return Action::rearm;
    loop.stop();
    return Action::disarm;
  }
};

int serve(std::uint16_t port) {
  Loop loop;
  Server server;
  const Result fd = loop.perform(wev::op::socket(wev::SocketFamily::ipv4, wev::SocketType::stream));
  if (!fd) return fail("making a socket", fd.error());
  server.listener = static_cast<int>(*fd);
  Address address = Address::loopback(port);
  const wev::Operation setup[] = {
      wev::op::set_option(server.listener, wev::SocketOption::reuse_address, 1),
      wev::op::bind(server.listener, address), wev::op::listen(server.listener),
      wev::op::local_address(server.listener, address)};
  for (const wev::Operation& operation : setup) {
    if (const Result done = loop.perform(operation); !done) return fail("listening", done.error());
  }
  std::printf("%d\n", address.port());
  std::fflush(stdout);
  server.accept(loop);
  loop.add(server.stdin_ended, wev::op::read(0, server.ignored), &server, Server::on_stdin);
  if (const auto ran = loop.run(); !ran) return fail("running", ran.error());
  if (const auto drained = loop.drain(); !drained) return fail("ending", drained.error());
  return 0;
}

// The load -------------------------------------------------------------------------

constexpr std::size_t message_size = 64;

struct Load {
  std::uint64_t round_trips;  // that each connection has to make
  std::uint64_t made = 0;
  int failed = 0;
};

struct Client : Connection {
  Client(int its_fd, Load& its_load) : Connection(its_fd), load(its_load) {}

  Load& load;
  std::uint64_t made = 0;
  std::size_t received = 0;
  std::array<std::byte, message_size> message{};

  Action give_up() {
    ++load.failed;
    return Action::disarm;
  }

  void send(Loop& loop) { loop.add(completion, wev::op::send(fd, left), this, on_sent); }

  static Action on_connected(void* self, Loop& loop, Completion&, Result result) {
    auto& client = *static_cast<Client*>(self);
    if (!result) return client.give_up();
    client.left = client.message;
    client.send(loop);
    return Action::disarm;
  }

  static Action on_sent(void* self, Loop& loop, Completion&, Result result) {
    auto& client = *static_cast<Client*>(self);
    if (!result) return client.give_up();
    client.left = client.left.subspan(*result);
    if (client.left.empty()) {
      loop.add(client.completion, wev::op::recv(client.fd, client.buffer), self, on_received);
    } else {
      client.send(loop);
    }
    return Action::disarm;
  }

  static Action on_received(void* self, Loop& loop, Completion&, Result result) {
    auto& client = *static_cast<Client*>(self);
    if (!result || *result == 0) return client.give_up();
    client.received += *result;
    if (client.received < message_size) return Action::rearm;
    client.received = 0;
    ++client.load.made;
    if (++client.made == client.load.round_trips) {
      loop.add(client.completion, wev::op::close(client.fd), self, on_closed);
      return Action::disarm;
    }
    client.left = client.message;
    client.send(loop);
    return Action::disarm;
  }

  static Action on_closed(void*, Loop&, Completion&, Result) { return Action::disarm; }
};

int load(std::uint16_t port, std::size_t connections, std::uint64_t round_trips) {
  Loop loop;
  Load load{round_trips};
  const Address address = Address::loopback(port);
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 0; i < connections; ++i) {
    const Result fd =
        loop.perform(wev::op::socket(wev::SocketFamily::ipv4, wev::SocketType::stream));
    if (!fd) return fail("making a socket", fd.error());
    Client& client = *clients.emplace_back(new Client(static_cast<int>(*fd), load));
    loop.add(client.completion, wev::op::connect(client.fd, address), &client,
             Client::on_connected);
  }
  const wev::Instant began = loop.backend().now();
  if (const auto ran = loop.run(); !ran) return fail("running", ran.error());
  const std::chrono::duration<double> took = loop.backend().now() - began;
  std::printf("%llu round trips on %zu connections in %.3f s: %.0f a second\n",
              static_cast<unsigned long long>(load.made), connections, took.count(),
              static_cast<double>(load.made) / took.count());
  if (load.failed > 0) std::fprintf(stderr, "echo: %d connections failed\n", load.failed);
  return load.failed > 0 ? 2 : 0;
}

int usage() {
  std::fprintf(stderr, "usage: echo serve [PORT]\n       echo load PORT CONNECTIONS ROUND_TRIPS\n");
  return 1;
}

// A whole number from `least` to `most`; else nothing.
bool parse(const char* text, std::uint64_t least, std::uint64_t most, std::uint64_t& number) {
  char* end = nullptr;
  number = std::strtoull(text, &end, 10);
  return *text >= '0' && *text <= '9' && *end == '\0' && number >= least && number <= most;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t port = 0;
  std::uint64_t connections = 0;
  std::uint64_t round_trips = 0;
  const bool serves = argc >= 2 && argc <= 3 && std::strcmp(argv[1], "serve") == 0;
  if (serves && (argc == 2 || parse(argv[2], 0, 65535, port))) {
    return serve(static_cast<std::uint16_t>(port));
  }
  if (argc == 5 && std::strcmp(argv[1], "load") == 0 && parse(argv[2], 1, 65535, port) &&
      parse(argv[3], 1, 1'000'000, connections) &&
      parse(argv[4], 1, 1'000'000'000'000, round_trips)) {
    return load(static_cast<std::uint16_t>(port), connections, round_trips);
  }
  return usage();
}
