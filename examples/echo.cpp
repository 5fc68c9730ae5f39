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
#include <span>
#include <utility>

#include "wev/io.hpp"
#include "wev/task.hpp"

namespace {

using namespace std::chrono_literals;
using wev::Address;
using wev::Expected;
using wev::Loop;
using wev::ok;
using wev::Task;
using wev::TcpListener;
using wev::TcpStream;

int fail(const char* what, wev::Error error) {
  std::fprintf(stderr, "echo: %s failed: %s\n", what, error.message().c_str());
  return 2;
}

// What was printed has arrived, or not.
int flushed() {
  if (std::fflush(stdout) == 0) return 0;
  std::perror("echo: printing failed");
  return 2;
}

// The server -----------------------------------------------------------------------

Task<> echo(TcpStream peer) {
  std::array<std::byte, 4096> buffer;
  for (;;) {
    const auto size = co_await peer.read_some(buffer);
    if (!size || *size == 0) co_return;  // an error, or the peer is done
    const auto sent = co_await peer.write_all(std::span(buffer).first(*size));
    if (!sent || *sent < *size) co_return;
  }
}

Task<> serve(TcpListener listener) {
  co_await wev::with_group(wev::isolate, [&](wev::TaskGroup& connections) -> Task<> {
    for (;;) {
      auto peer = co_await listener.accept();
      if (peer) {
        connections.spawn(echo(std::move(*peer)));
      } else if (!co_await wev::sleep(50ms)) {  // out of descriptors, perhaps: others will end
        co_return;
      }
    }
  });
}

Task<> end_of_stdin(Loop& loop) {
  const auto input = wev::Stream::standard_input(loop);
  std::array<std::byte, 256> ignored;
  while ((co_await input.read_some(ignored)).value_or(0) > 0) {
  }
}

int serve(std::uint16_t port) {
  Loop loop;
  auto listener = TcpListener::listen(loop, Address::loopback(port));
  if (!listener) return fail("listening", listener.error());
  const auto address = listener->local_address();
  if (!address) return fail("listening", address.error());
  std::printf("%d\n", address->port());
  if (const int failed = flushed()) return failed;
  const auto ran = wev::run(loop, wev::when_any(serve(std::move(*listener)), end_of_stdin(loop)));
  return ran ? 0 : fail("running", ran.error());
}

// The load -------------------------------------------------------------------------

struct Load {
  std::uint64_t round_trips;  // that each connection has to make
  std::uint64_t made = 0;
  int failed = 0;
};

Task<Expected<void>> make_round_trips(Loop& loop, const Address& address, Load& load) {
  TcpStream stream = co_await ok(TcpStream::connect(loop, address));
  std::array<std::byte, 64> message{};
  for (std::uint64_t i = 0; i < load.round_trips; ++i) {
    co_await ok(stream.write_all(message));
    const std::size_t size = co_await ok(stream.read_exactly(message));
    if (size < message.size()) co_return std::unexpected(std::errc::connection_reset);
    ++load.made;
  }
  co_return {};
}

Task<> make_connection(Loop& loop, const Address& address, Load& load) {
  const auto made = co_await make_round_trips(loop, address, load);
  if (!made) ++load.failed;
}

int load(std::uint16_t port, std::size_t connections, std::uint64_t round_trips) {
  Loop loop;
  Load load{round_trips};
  const Address address = Address::loopback(port);
  const wev::Instant began = loop.backend().now();
  const auto ran =
      wev::run(loop, wev::with_group(wev::isolate, [&](wev::TaskGroup& group) -> Task<> {
                 for (std::size_t i = 0; i < connections; ++i) {
                   if (!group.spawn(make_connection(loop, address, load))) ++load.failed;
                 }
                 co_return;
               }));
  if (!ran) return fail("running", ran.error());
  const std::chrono::duration<double> took = loop.backend().now() - began;
  std::printf("%llu round trips on %zu connections in %.3f s: %.0f a second\n",
              static_cast<unsigned long long>(load.made), connections, took.count(),
              static_cast<double>(load.made) / took.count());
  if (load.failed > 0) std::fprintf(stderr, "echo: %d connections failed\n", load.failed);
  const int printed = flushed();
  return load.failed > 0 ? 2 : printed;
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
