// network.hpp: the fixture of the network suite.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rig/contract.hpp"
#include "wev/base/address.hpp"

namespace wev::test {

/// Carries out now what sets a socket up, which must work.
class Network : public Contract {
 protected:
  Result perform(const Operation& operation) { return rig().perform(operation); }

  int socket(SocketFamily family = SocketFamily::ipv4, SocketType type = SocketType::stream);
  /// An address to bind to that nobody else has.
  static Address free_address(SocketFamily family);
  Address bind(int fd, SocketFamily family = SocketFamily::ipv4);
  Address local_address(int fd);
  int listen_at(Address& address, SocketFamily family = SocketFamily::ipv4,
                std::uint32_t backlog = 4096);
  /// An address where somebody listens.
  Address answering(SocketFamily family = SocketFamily::ipv4);
  /// One where nobody answers: the backlog is full.
  Address silent(SocketFamily family = SocketFamily::ipv4);
  /// One that somebody has who does not listen.
  Address refusing(SocketFamily family = SocketFamily::ipv4);
  /// Both ends of a connection made through the loop.
  Pair connection(SocketFamily family = SocketFamily::ipv4);
};

/// Accepts connections on `listener` and sends back what comes on each, until
/// its end; then ends its own side and closes.
class EchoServer {
 public:
  EchoServer(Loop& loop, int listener, std::size_t expected);
  ~EchoServer();
  [[nodiscard]] std::size_t accepted() const { return connections_.size(); }
  [[nodiscard]] std::size_t closed() const { return closed_; }
  /// Called with how many connections have just been accepted.
  std::function<void(std::size_t)> on_accept;

 private:
  struct Connection;
  Action on_accepted(Result result);

  Loop& loop_;
  std::size_t expected_;
  std::size_t closed_ = 0;
  Completion accepting_;
  std::vector<int> batch_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

/// Connects, sends `size` bytes that its number decides and reads them back,
/// both at once, then ends its side, waits for the other's end, and closes.
class EchoClient {
 public:
  EchoClient(Loop& loop, int fd, const Address& address, std::uint64_t number, std::size_t size);
  [[nodiscard]] bool done() const { return done_; }
  /// It does not end its side before it is let go.
  void hold() { held_ = true; }
  void let_go();

 private:
  void send();
  void receive();
  void finish();
  [[nodiscard]] std::byte byte(std::size_t i) const;

  Loop& loop_;
  const int fd_;
  const Address address_;
  const std::uint64_t number_;
  const std::size_t size_;
  Completion sending_;
  Completion receiving_;
  std::vector<std::byte> out_;
  std::vector<std::byte> in_;
  std::size_t sent_ = 0;
  std::size_t received_ = 0;
  bool held_ = false;
  bool all_sent_ = false;
  bool shut_down_ = false;
  bool ended_ = false;
  bool done_ = false;
};

}  // namespace wev::test
