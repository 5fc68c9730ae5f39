// socket.hpp: what TCP and Unix stream sockets have in common.
//
// Use TcpStream and TcpListener (tcp.hpp), UnixStream and UnixListener
// (unix.hpp).
#pragma once

#include "wev/address.hpp"
#include "wev/stream.hpp"

namespace wev {

/// Of a listener; what does not apply to its family is ignored.
struct ListenOptions {
  std::uint32_t backlog = 4096;  ///< connections that wait for accept()
  bool reuse_address = true;     ///< also while connections of before linger
  bool reuse_port = false;       ///< several listeners share one port
  bool ipv6_only = false;        ///< an IPv6 listener takes no IPv4
};

class StreamSocket : public Stream {
 public:
  StreamSocket() = default;
  /// Takes a connected socket over.
  StreamSocket(Loop& loop, int fd) noexcept : Stream(loop, fd, Use::socket) {}

  /// Ends one direction or both, after the writes that were asked for before:
  /// callback(Expected<void>). After Shutdown::send the peer reads an end.
  template <class F>
  void shutdown(Request& request, Shutdown how, F callback) {
    request.start(loop(), op::shutdown(fd(), how), never, std::move(callback), ToNothing{});
  }

  [[nodiscard]] Expected<Address> local_address() const;
  [[nodiscard]] Expected<Address> remote_address() const;

  /// See SocketOption for what each takes.
  Expected<void> set_option(SocketOption option, int value) const {
    return perform(op::set_option(fd(), option, value));
  }

 protected:
  // A new socket of this family; its connection is under way while `connection`
  // is lent. The callback gets a Socket that owns it.
  template <class Socket, class F>
  static void connect(Request& request, Loop& loop, const Address& address, F callback,
                      Instant deadline);
};

/// Accepts connections of one kind.
template <class Socket>
class Listener : public Handle {
 public:
  Listener() = default;
  /// Takes a listening socket over, one that a WASI host has opened for example.
  Listener(Loop& loop, int fd) noexcept : Handle(loop, fd) {}

  /// callback(Expected<Socket>). too_many_files_open and connection_aborted pass:
  /// wait a little and accept again.
  template <class F>
  void accept(Request& request, F callback, Instant deadline = never) {
    request.start(loop(), op::accept(fd()), deadline, std::move(callback), ToSocket{});
  }

  /// With the port that was chosen, if 0 was asked for.
  [[nodiscard]] Expected<Address> local_address() const {
    Address address;
    const auto found = this->perform(op::local_address(fd(), address));
    if (!found) return std::unexpected(found.error());
    return address;
  }

 private:
  struct ToSocket {
    Expected<Socket> operator()(Request& request, Result fd) const noexcept {
      if (!fd) return std::unexpected(fd.error());
      return Socket(request.loop(), static_cast<int>(*fd));
    }
  };
};

namespace internal {

/// A new socket of the address's family. address_family_not_supported: it has none.
Expected<int> make_socket(Loop& loop, const Address& address, SocketType type);
/// One that listens. Closed again where that fails.
Expected<int> make_listener(Loop& loop, const Address& address, const ListenOptions& options);
/// Closes what will have no handle; -1 is nothing.
void discard(Loop& loop, int fd) noexcept;

}  // namespace internal

template <class Socket, class F>
void StreamSocket::connect(Request& request, Loop& loop, const Address& address, F callback,
                           Instant deadline) {
  struct ToSocket {
    Expected<Socket> operator()(Request& its_request, Result result) const noexcept {
      const int fd = its_request.operation().io.fd;
      if (result) return Socket(its_request.loop(), fd);
      internal::discard(its_request.loop(), fd);
      return std::unexpected(result.error());
    }
  };
  const Expected<int> fd = internal::make_socket(loop, address, SocketType::stream);
  if (!fd) return request.fail(loop, fd.error(), std::move(callback), ToSocket{});
  request.start(loop, op::connect(*fd, address), deadline, std::move(callback), ToSocket{});
}

}  // namespace wev
