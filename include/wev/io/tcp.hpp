// tcp.hpp: TCP connections.
//
//   auto listener = wev::TcpListener::listen(loop, wev::Address::loopback(8080));
//   wev::Expected<wev::TcpStream> peer = co_await listener->accept();
//
//   auto stream = co_await wev::TcpStream::connect(loop, address).within(5s);
//
// To a name, or to the first of several addresses that answers: connect.hpp, resolve.hpp.
//
// Errors     Those of op::connect, op::bind and op::accept (operation.hpp). Where
//            the system makes no sockets (WASI 0.1), operation_not_supported.
#pragma once

#include "wev/io/socket.hpp"

namespace wev {

class TcpStream : public StreamSocket {
 public:
  using StreamSocket::StreamSocket;

  /// Ends with a TcpStream. `address` stays alive until then.
  static Awaitable<ToConnected<TcpStream>> connect(Loop& loop, const Address& address) noexcept {
    return {loop, op::connect(-1, address)};
  }
  static Awaitable<ToConnected<TcpStream>> connect(Loop& loop, const Address&& address) = delete;

  /// Small pieces are sent at once, instead of waiting to be filled up.
  Expected<void> set_no_delay(bool on) { return set_option(SocketOption::no_delay, on ? 1 : 0); }
  /// A peer that vanished without a word is noticed, in hours.
  Expected<void> set_keep_alive(bool on) {
    return set_option(SocketOption::keep_alive, on ? 1 : 0);
  }
};

using TcpListener = Listener<TcpStream>;

}  // namespace wev
