// udp.hpp: datagrams.
//
// Order      Receives end in the order of their calls, and so do sends; what the
//            network does to datagrams in between is its own business.
// Sizes      A datagram of no bytes is one: to send it takes an empty buffer, and a receive
//            of it ends with 0, which is no end as it is of a stream. A receive into an empty
//            buffer waits for a datagram too, and loses all of it.
#pragma once

#include "wev/base/address.hpp"
#include "wev/base/buffer.hpp"
#include "wev/io/socket.hpp"

namespace wev {

class UdpSocket : public Handle {
 public:
  UdpSocket() = default;
  /// Takes a datagram socket over.
  UdpSocket(Loop& loop, int fd) noexcept : Handle(loop, fd) {}

  /// At once. Port 0: the system chooses one. A Unix path makes a Unix datagram
  /// socket.
  static Expected<UdpSocket> bind(Loop& loop, const Address& address) {
    const Expected<int> fd = internal::make_socket(loop, address, SocketType::datagram);
    if (!fd) return std::unexpected(fd.error());
    UdpSocket socket(loop, *fd);
    const auto bound = socket.perform(op::bind(*fd, address));
    if (!bound) return std::unexpected(bound.error());
    return socket;
  }

  /// From now on send() goes there, and only what comes from there is received.
  Expected<void> connect(const Address& address) { return perform(op::connect(fd(), address)); }

  /// Ends with the datagram's size, at most buffer.size(); what does not fit is lost.
  /// message.address is whom it came from.
  Awaitable<> receive_from(MutableBuffer buffer, Message& message) const noexcept {
    return {loop(), op::recv_from(fd(), buffer, message)};
  }
  /// Sends one datagram to message.address; ends with its size.
  Awaitable<> send_to(ConstBuffer buffer, Message& message) const noexcept {
    return {loop(), op::send_to(fd(), buffer, message)};
  }
  /// The same on a connected socket.
  Awaitable<> receive(MutableBuffer buffer) const noexcept {
    return {loop(), op::recv(fd(), buffer)};
  }
  Awaitable<> send(ConstBuffer buffer) const noexcept { return {loop(), op::send(fd(), buffer)}; }

  [[nodiscard]] Expected<Address> local_address() const {
    return internal::address_of(*this, op::local_address);
  }
  /// See SocketOption for what each takes.
  Expected<void> set_option(SocketOption option, int value) const {
    return perform(op::set_option(fd(), option, value));
  }
};

}  // namespace wev
