#include "io/dns_server.hpp"

#include <algorithm>
#include <charconv>
#include <span>
#include <stdexcept>

#include <gtest/gtest.h>

namespace wev::test {

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t header_size = 12;
enum Type : std::uint16_t { a = 1, aaaa = 28 };
enum Rcode : std::uint8_t { no_error = 0, servfail = 2, nxdomain = 3, refused = 5 };

std::array<std::uint8_t, 4> ipv4_bytes(unsigned number) {
  return {10, 0, static_cast<std::uint8_t>(number / 256), static_cast<std::uint8_t>(number % 256)};
}
std::array<std::uint8_t, 16> ipv6_bytes(unsigned number) {
  return {0xfd,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          static_cast<std::uint8_t>(number / 256),
          static_cast<std::uint8_t>(number % 256)};
}

struct Question {
  std::string name;
  std::string label;  // the first one of it
  Type type;
  std::size_t end;
};

Question parse(const Bytes& message) {
  Question question{};
  std::size_t at = header_size;
  const std::size_t size = message.at(at);
  question.label.assign(message.begin() + static_cast<std::ptrdiff_t>(at) + 1,
                        message.begin() + static_cast<std::ptrdiff_t>(at + 1 + size));
  while (message.at(at) != 0) {
    const auto begin = message.begin() + static_cast<std::ptrdiff_t>(at) + 1;
    question.name += (question.name.empty() ? "" : ".") + std::string(begin, begin + message[at]);
    at += message[at] + 1u;
  }
  question.type = static_cast<Type>(message.at(at + 1) << 8 | message.at(at + 2));
  question.end = at + 5;
  return question;
}

unsigned number_of(std::string_view label) {
  const std::size_t digits = label.find_first_of("0123456789");
  unsigned number = 0;
  if (digits != std::string_view::npos) {
    std::from_chars(label.data() + digits, label.data() + label.size(), number);
  }
  return number;
}

// Of the name in the question, for a minute.
void add_record(Bytes& message, Type type, std::span<const std::uint8_t> data) {
  ++message[7];
  const Bytes head = {0xc0, header_size, 0, static_cast<std::uint8_t>(type),       0, 1, 0, 0,
                      0,    60,          0, static_cast<std::uint8_t>(data.size())};
  message.insert(message.end(), head.begin(), head.end());
  message.insert(message.end(), data.begin(), data.end());
}

void add_loopback(Bytes& message, Type type) {
  constexpr std::array<std::uint8_t, 4> ipv4 = {127, 0, 0, 1};
  constexpr std::array<std::uint8_t, 16> ipv6 = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  if (type == a) add_record(message, type, ipv4);
  if (type == aaaa) add_record(message, type, ipv6);
}

void add_address(Bytes& message, Type type, unsigned number) {
  if (type == a) add_record(message, type, ipv4_bytes(number));
  if (type == aaaa) add_record(message, type, ipv6_bytes(number));
}

// The question with the flags of an answer and nothing behind it.
Bytes begin_answer(Bytes message, std::size_t question_end, Rcode rcode) {
  message.resize(question_end);
  message[2] = 0x81;  // an answer, recursion was desired
  message[3] = static_cast<std::uint8_t>(0x80 | rcode);
  std::fill(message.begin() + 6, message.begin() + header_size, 0);
  return message;
}

}  // namespace

Address ipv4_of(unsigned number, std::uint16_t port) {
  return Address::ipv4(ipv4_bytes(number), port);
}
Address ipv6_of(unsigned number, std::uint16_t port) {
  return Address::ipv6(ipv6_bytes(number), port);
}

DnsServer::DnsServer(Loop& loop, const Address& at) : loop_(loop) {
  const bool ipv4 = at.family() == Address::Family::ipv4;
  const SocketFamily family = ipv4 ? SocketFamily::ipv4 : SocketFamily::ipv6;
  const auto socket = [&](SocketType type) {
    return static_cast<int>(loop_.perform(op::socket(family, type)).value());
  };
  // Another program may have the same number on the other protocol.
  for (int tries = 0;; ++tries) {
    udp_ = socket(SocketType::datagram);
    tcp_ = socket(SocketType::stream);
    address_ = at;
    EXPECT_TRUE(loop_.perform(op::bind(udp_, address_)));
    EXPECT_TRUE(loop_.perform(op::local_address(udp_, address_)));
    if (loop_.perform(op::bind(tcp_, address_))) break;
    (void)loop_.perform(op::close(udp_));
    (void)loop_.perform(op::close(tcp_));
    if (tries == 100) throw std::runtime_error("no port for a DNS server");
  }
  EXPECT_TRUE(loop_.perform(op::listen(tcp_)));
  loop_.add(receiving_, op::recv_from(udp_, buffer_, message_), this, on_datagram);
  loop_.unref(receiving_);
  loop_.add(accepting_, op::accept(tcp_), this, on_connection);
  loop_.unref(accepting_);
}

DnsServer::~DnsServer() {
  for (const int fd : {udp_, tcp_}) {
    EXPECT_TRUE(loop_.forget(fd));
    EXPECT_TRUE(loop_.perform(op::close(fd)));
  }
  for (const Connection& connection : connections_) {
    EXPECT_TRUE(loop_.forget(connection.fd));
    EXPECT_TRUE(loop_.perform(op::close(connection.fd)));
  }
}

Action DnsServer::on_datagram(void* self, Loop& loop, Completion&, Result size) {
  auto& server = *static_cast<DnsServer*>(self);
  if (!size) return Action::disarm;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(server.buffer_.data());
  const Bytes reply = server.answer({bytes, bytes + *size}, false);
  if (!reply.empty()) {
    (void)loop.perform(op::send_to(server.udp_, std::as_bytes(std::span(reply)), server.message_));
  }
  return Action::rearm;
}

Action DnsServer::on_connection(void* self, Loop&, Completion&, Result fd) {
  auto& server = *static_cast<DnsServer*>(self);
  if (!fd) return Action::disarm;
  server.receive(server.connections_.emplace_back(server, static_cast<int>(*fd)));
  return Action::rearm;
}

void DnsServer::receive(Connection& connection) {
  loop_.add(connection.receiving, op::recv(connection.fd, connection.buffer), &connection,
            on_bytes);
  loop_.unref(connection.receiving);
}

// Each message has its size in two bytes before it.
Action DnsServer::on_bytes(void* self, Loop& loop, Completion&, Result size) {
  auto& connection = *static_cast<Connection*>(self);
  if (!size || *size == 0) return Action::disarm;
  Bytes& received = connection.received;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(connection.buffer.data());
  received.insert(received.end(), bytes, bytes + *size);
  while (received.size() >= 2) {
    const std::size_t length = static_cast<std::size_t>(received[0] << 8 | received[1]);
    if (received.size() < 2 + length) break;
    const auto end = received.begin() + static_cast<std::ptrdiff_t>(2 + length);
    Bytes reply = connection.server.answer({received.begin() + 2, end}, true);
    received.erase(received.begin(), end);
    if (reply.empty()) continue;
    reply.insert(reply.begin(), {static_cast<std::uint8_t>(reply.size() >> 8),
                                 static_cast<std::uint8_t>(reply.size())});
    EXPECT_EQ(loop.perform(op::send(connection.fd, std::as_bytes(std::span(reply)))),
              Result(reply.size()));
  }
  return Action::rearm;
}

Bytes DnsServer::answer(Bytes message, bool tcp) {
  ++questions_;
  if (tcp) ++tcp_questions_;
  const Question question = parse(message);
  const std::string& label = question.label;
  if (!tcp && (names_.empty() || names_.back() != question.name)) names_.push_back(question.name);
  if (label == "silent" || (label == "stuck" && tcp)) return {};
  if (label.starts_with("lossy") && heard_.insert(label + std::to_string(question.type)).second) {
    return {};
  }
  const Rcode rcode = label == "missing"   ? nxdomain
                      : label == "broken"  ? servfail
                      : label == "refused" ? refused
                                           : no_error;
  Bytes reply = begin_answer(std::move(message), question.end, rcode);
  if (rcode != no_error || label == "empty") return reply;
  if (label == "garbled") {
    add_address(reply, question.type, 1);
    reply.pop_back();
  } else if ((label.starts_with("large") || label == "stuck") && !tcp) {
    reply[2] |= 2;
  } else if (label == "local") {
    add_loopback(reply, question.type);
  } else if (!(label == "only4" && question.type == aaaa) &&
             !(label == "only6" && question.type == a)) {
    add_address(reply, question.type, number_of(label));
  }
  return reply;
}

}  // namespace wev::test
