// dns_server.hpp: a DNS server for tests, on the loop of the test.
//
// What it answers is in the first label of the name that is asked for:
//
//   h<N>       both families: 10.0.N/256.N%256 and fd00::N
//   local      127.0.0.1 and ::1
//   only4, only6   one of them
//   empty      neither: no data
//   missing    NXDOMAIN
//   broken     SERVFAIL
//   refused    REFUSED
//   garbled    an answer that ends in the middle
//   silent     nothing at all
//   lossy<N>   as h<N>, but nothing when it is asked for the first time
//   large<N>   as h<N>, over TCP only: over UDP the answer is cut off
//   stuck      cut off over UDP, nothing over TCP
//
// Serving does not hold run() open.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "wev/base/address.hpp"
#include "wev/loop/loop.hpp"

namespace wev::test {

/// The addresses of h<N>.
Address ipv4_of(unsigned number, std::uint16_t port);
Address ipv6_of(unsigned number, std::uint16_t port);

class DnsServer {
 public:
  /// On 127.0.0.1, or ::1.
  explicit DnsServer(Loop& loop, const Address& at = Address::loopback());
  /// REQUIRES: the loop was drained.
  ~DnsServer();
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  [[nodiscard]] const Address& address() const { return address_; }
  /// How many questions came, over UDP and TCP.
  [[nodiscard]] std::size_t questions() const { return questions_; }
  [[nodiscard]] std::size_t tcp_questions() const { return tcp_questions_; }
  /// What was asked for over UDP, each once where it came again at once.
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }

 private:
  struct Connection {
    DnsServer& server;
    int fd;
    Completion receiving;
    std::vector<std::uint8_t> received;
    std::array<std::byte, 512> buffer;
  };

  static Action on_datagram(void* self, Loop&, Completion&, Result size);
  static Action on_connection(void* self, Loop&, Completion&, Result fd);
  static Action on_bytes(void* connection, Loop&, Completion&, Result size);
  void receive(Connection& connection);
  /// Empty: no answer.
  std::vector<std::uint8_t> answer(std::vector<std::uint8_t> question, bool tcp);

  Loop& loop_;
  int udp_ = -1;
  int tcp_ = -1;
  Address address_;
  std::size_t questions_ = 0;
  std::size_t tcp_questions_ = 0;
  std::vector<std::string> names_;
  Completion receiving_;
  Completion accepting_;
  std::array<std::byte, 1024> buffer_{};
  Message message_;
  std::set<std::string> heard_;  // of lossy names
  std::list<Connection> connections_;
};

}  // namespace wev::test
