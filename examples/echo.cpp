// echo: sends back whatever comes in, and measures how fast.
//
//   echo serve [PORT]                        on 127.0.0.1; prints the port it has;
//                                            until stdin ends
//   echo load PORT CONNECTIONS ROUND_TRIPS   so many of each, of 64 bytes, all
//                                            connections at once
//
// Exit codes: 0 all went well; 1 wrong usage; 2 the system or the network failed.
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "wev/tcp.hpp"
#include "wev/timer.hpp"

namespace {

using namespace std::chrono_literals;
using wev::Address;
using wev::Expected;
using wev::Loop;
using wev::Request;
using wev::TcpListener;
using wev::TcpStream;

int fail(const char* what, wev::Error error) {
  std::fprintf(stderr, "echo: %s failed (error %d)\n", what, error.code());
  return 2;
}

// The server -----------------------------------------------------------------------

// Owns itself until its connection ends.
class Peer {
 public:
  explicit Peer(TcpStream stream) : stream_(std::move(stream)) {}

  void receive() {
    request_.start(stream_.read_some(buffer_), [this](Expected<std::size_t> size) {
      if (!size || *size == 0) return end();
      send(*size);
    });
  }

 private:
  void send(std::size_t size) {
    request_.start(stream_.write_all(std::span(buffer_).first(size)),
                   [this, size](Expected<std::size_t> sent) {
                     if (!sent || *sent < size) return end();
                     receive();
                   });
  }

  void end() { delete this; }

  TcpStream stream_;
  Request request_;
  std::array<std::byte, 4096> buffer_{};
};

class Server {
 public:
  Server(Loop& loop, TcpListener listener) : listener_(std::move(listener)), retry_(loop) {
    accept();
    watch_stdin();
  }

 private:
  void accept() {
    accepting_.start(listener_.accept(), [this](Expected<TcpStream> stream) {
      if (stream) {
        (new Peer(std::move(*stream)))->receive();
        accept();
      } else if (stream.error() != wev::Errc::operation_canceled) {
        // Out of descriptors, perhaps: others will end.
        retry_.after(50ms, [this](std::size_t) { accept(); });
      }
    });
  }

  void watch_stdin() {
    watching_.start(input_.read_some(ignored_), [this](Expected<std::size_t> size) {
      if (size && *size > 0) return watch_stdin();
      listener_.loop().stop();
    });
  }

  TcpListener listener_;
  wev::Timer retry_;
  wev::Stream input_ = wev::Stream::standard_input(listener_.loop());
  Request accepting_, watching_;
  std::array<std::byte, 256> ignored_{};
};

int serve(std::uint16_t port) {
  Loop loop;
  auto listener = TcpListener::listen(loop, Address::loopback(port));
  if (!listener) return fail("listening", listener.error());
  const auto address = listener->local_address();
  if (!address) return fail("listening", address.error());
  std::printf("%d\n", address->port());
  std::fflush(stdout);
  Server server(loop, std::move(*listener));
  if (const auto ran = loop.run(); !ran) return fail("running", ran.error());
  if (const auto drained = loop.drain(); !drained) return fail("ending", drained.error());
  return 0;
}

// The load -------------------------------------------------------------------------

struct Load {
  std::uint64_t round_trips;  // that each connection has to make
  std::uint64_t made = 0;
  int failed = 0;
};

class Client {
 public:
  Client(Loop& loop, const Address& address, Load& load) : load_(load) {
    request_.start(TcpStream::connect(loop, address), [this](Expected<TcpStream> stream) {
      if (!stream) return give_up();
      stream_ = std::move(*stream);
      send();
    });
  }

 private:
  static constexpr std::size_t message_size = 64;

  void send() {
    request_.start(stream_.write_all(message_), [this](Expected<std::size_t> size) {
      if (!size || *size < message_size) return give_up();
      receive();
    });
  }

  void receive() {
    request_.start(stream_.read_exactly(message_), [this](Expected<std::size_t> size) {
      if (!size || *size < message_size) return give_up();
      ++load_.made;
      if (++made_ < load_.round_trips) return send();
      stream_ = TcpStream();  // closed
    });
  }

  void give_up() { ++load_.failed; }

  Load& load_;
  TcpStream stream_;
  Request request_;
  std::uint64_t made_ = 0;
  std::array<std::byte, message_size> message_{};
};

int load(std::uint16_t port, std::size_t connections, std::uint64_t round_trips) {
  Loop loop;
  Load load{round_trips};
  const Address address = Address::loopback(port);
  const wev::Instant began = loop.backend().now();
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 0; i < connections; ++i) {
    clients.push_back(std::make_unique<Client>(loop, address, load));
  }
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
