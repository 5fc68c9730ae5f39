// unix.hpp: stream sockets between programs of one machine, as tcp.hpp.
//
// Their addresses are Address::unix_path's. A path that is a file stays there when
// the listener is closed: removing it, also before listening, is the program's.
#pragma once

#include "wev/io/socket.hpp"

namespace wev {

class UnixStream : public StreamSocket {
 public:
  using StreamSocket::StreamSocket;

  /// Ends with a UnixStream. `address` stays alive until then.
  static Awaitable<ToConnected<UnixStream>> connect(Loop& loop, const Address& address) noexcept {
    return {loop, op::connect(-1, address)};
  }
  static Awaitable<ToConnected<UnixStream>> connect(Loop& loop, const Address&& address) = delete;
};

using UnixListener = Listener<UnixStream>;

}  // namespace wev
