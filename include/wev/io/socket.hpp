// socket.hpp: what TCP and Unix stream sockets have in common.
//
// Use TcpStream and TcpListener (tcp.hpp), UnixStream and UnixListener
// (unix.hpp).
#pragma once

#include "wev/base/address.hpp"
#include "wev/io/stream.hpp"

namespace wev {

/// Of a listener; what does not apply to its family is ignored.
struct ListenOptions {
  std::uint32_t backlog = 4096;  ///< connections that wait for accept()
  bool reuse_address = true;     ///< also while connections of before linger
  bool reuse_port = false;       ///< several listeners share one port
  bool ipv6_only = false;        ///< an IPv6 listener takes no IPv4
};

namespace internal {

/// A new socket of the address's family. address_family_not_supported: it has none.
Expected<int> make_socket(Loop& loop, const Address& address, SocketType type);
/// One that listens. Closed again where that fails.
Expected<int> make_listener(Loop& loop, const Address& address, const ListenOptions& options);
/// op::local_address or op::remote_address.
using AddressOperation = Operation (*)(int fd, Address& address);
Expected<Address> address_of(const Handle& socket, AddressOperation which);

}  // namespace internal

class StreamSocket : public Stream {
 public:
  StreamSocket() = default;
  /// Takes a connected socket over.
  StreamSocket(Loop& loop, int fd) noexcept : Stream(loop, fd, Use::socket) {}

  /// Ends one direction or both, after the writes that were asked for before; ends
  /// with nothing. After Shutdown::send the peer reads an end.
  Awaitable<ToNothing> shutdown(Shutdown how) const noexcept {
    return {loop(), op::shutdown(fd(), how)};
  }

  [[nodiscard]] Expected<Address> local_address() const {
    return internal::address_of(*this, op::local_address);
  }
  [[nodiscard]] Expected<Address> remote_address() const {
    return internal::address_of(*this, op::remote_address);
  }

  /// See SocketOption for what each takes.
  Expected<void> set_option(SocketOption option, int value) const {
    return perform(op::set_option(fd(), option, value));
  }
};

/// A socket that is made when its connection begins.
template <class Socket>
struct ToConnected {
  static Expected<void> prepare(RequestBase& request, Operation& operation) {
    const auto fd =
        internal::make_socket(request.loop(), *operation.io.address, SocketType::stream);
    if (!fd) return std::unexpected(fd.error());
    operation.io.fd = *fd;
    return {};
  }
  Expected<Socket> operator()(RequestBase& request, Result result) const noexcept {
    if (result) return Socket(request.loop(), request.operation().io.fd);
    if (request.operation().on_descriptor()) {
      request.loop().discard(request.operation().io.fd);
    }
    return std::unexpected(result.error());
  }
};

/// Accepts connections of one kind.
template <class Socket>
class Listener : public Handle {
 public:
  Listener() = default;
  /// Takes a listening socket over, one that a WASI host has opened for example.
  Listener(Loop& loop, int fd) noexcept : Handle(loop, fd) {}

  /// At once; nothing waits. Port 0: the system chooses one, see local_address().
  static Expected<Listener> listen(Loop& loop, const Address& address,
                                   const ListenOptions& options = {}) {
    const Expected<int> fd = internal::make_listener(loop, address, options);
    if (!fd) return std::unexpected(fd.error());
    return Listener(loop, *fd);
  }

  /// Ends with a Socket. too_many_files_open and connection_aborted pass: wait a
  /// little and accept again.
  Awaitable<ToOwned<Socket>> accept() const noexcept { return {loop(), op::accept(fd())}; }

  /// With the port that was chosen, if 0 was asked for.
  [[nodiscard]] Expected<Address> local_address() const {
    return internal::address_of(*this, op::local_address);
  }
};

}  // namespace wev
