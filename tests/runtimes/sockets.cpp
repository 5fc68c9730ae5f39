// The guest of sockets_test.py: echoes on the connections of descriptor 3.
//
//   sockets N    serves N connections at once, until each has ended
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "wev/loop/loop.hpp"

namespace {

using wev::Action;
using wev::Completion;
using wev::Loop;
using wev::Result;

constexpr int listener = 3;

int served = 0;

void report(const char* what, Result result = 0) {
  std::fprintf(stderr, "%s %d\n", what, static_cast<int>(result ? *result : result.error().code()));
}

// recv, send what came, and so on; at the end shutdown, then close.
struct Connection {
  int fd;
  Completion completion;
  std::byte buffer[16384];
  std::span<const std::byte> left;

  void receive(Loop& loop) { loop.add(completion, wev::op::recv(fd, buffer), this, on_received); }

  static Action on_received(void* self, Loop& loop, Completion&, Result result) {
    auto& c = *static_cast<Connection*>(self);
    if (!result) report("recv failed", result);
    if (!result || *result == 0) {
      loop.add(c.completion, wev::op::shutdown(c.fd, wev::Shutdown::send), self, on_shut_down);
      return Action::disarm;
    }
    c.left = std::span(c.buffer).first(*result);
    loop.add(c.completion, wev::op::send(c.fd, c.left), self, on_sent);
    return Action::disarm;
  }

  static Action on_sent(void* self, Loop& loop, Completion&, Result result) {
    auto& c = *static_cast<Connection*>(self);
    if (!result) {
      report("send failed", result);
      loop.add(c.completion, wev::op::close(c.fd), self, on_closed);
      return Action::disarm;
    }
    c.left = c.left.subspan(*result);
    if (c.left.empty()) {
      c.receive(loop);
    } else {
      loop.add(c.completion, wev::op::send(c.fd, c.left), self, on_sent);
    }
    return Action::disarm;
  }

  static Action on_shut_down(void* self, Loop& loop, Completion&, Result result) {
    auto& c = *static_cast<Connection*>(self);
    if (!result) report("shutdown failed", result);
    loop.add(c.completion, wev::op::close(c.fd), self, on_closed);
    return Action::disarm;
  }

  static Action on_closed(void*, Loop&, Completion&, Result result) {
    if (!result) report("close failed", result);
    ++served;
    return Action::disarm;
  }
};

struct Server {
  Completion accepting;
  std::size_t expected;
  std::vector<std::unique_ptr<Connection>> connections;

  static Action on_accepted(void* self, Loop& loop, Completion&, Result result) {
    auto& server = *static_cast<Server*>(self);
    if (!result) {
      report("accept failed", result);
      return Action::disarm;
    }
    auto& connection = server.connections.emplace_back(new Connection);
    connection->fd = static_cast<int>(*result);
    connection->receive(loop);
    return server.connections.size() < server.expected ? Action::rearm : Action::disarm;
  }
};

}  // namespace

int main(int, char** argv) {
  Loop loop;
  Server server;
  server.expected = static_cast<std::size_t>(std::atoi(argv[1]));
  loop.add(server.accepting, wev::op::accept(listener), &server, Server::on_accepted);
  report("ready");
  if (!loop.run()) return 1;
  report("served", static_cast<std::size_t>(served));
  return 0;
}
