#include "wev/io/socket.hpp"

namespace wev {

namespace internal {

Expected<Address> address_of(const Handle& socket, AddressOperation which) {
  WEV_ASSERT(socket.is_open(), "Handle: it is not open");
  Address address;
  const Result found = socket.loop().perform(which(socket.fd(), address));
  if (!found) return std::unexpected(found.error());
  return address;
}

Expected<int> make_socket(Loop& loop, const Address& address, SocketType type) {
  SocketFamily family{};
  switch (address.family()) {
    case Address::Family::none: return std::unexpected(std::errc::address_family_not_supported);
    case Address::Family::ipv4: family = SocketFamily::ipv4; break;
    case Address::Family::ipv6: family = SocketFamily::ipv6; break;
    case Address::Family::unix_path: family = SocketFamily::unix_path; break;
  }
  const Result fd = loop.perform(op::socket(family, type));
  if (!fd) return std::unexpected(fd.error());
  return static_cast<int>(*fd);
}

Expected<int> make_listener(Loop& loop, const Address& address, const ListenOptions& options) {
  const Expected<int> fd = make_socket(loop, address, SocketType::stream);
  if (!fd) return fd;
  const bool ip = address.family() != Address::Family::unix_path;
  const bool ipv6 = address.family() == Address::Family::ipv6;
  const struct {
    bool applies;
    Operation operation;
  } steps[] = {
      {ip && options.reuse_address, op::set_option(*fd, SocketOption::reuse_address, 1)},
      {ip && options.reuse_port, op::set_option(*fd, SocketOption::reuse_port, 1)},
      {ipv6, op::set_option(*fd, SocketOption::ipv6_only, options.ipv6_only ? 1 : 0)},
      {true, op::bind(*fd, address)},
      {true, op::listen(*fd, options.backlog)},
  };
  for (const auto& [applies, operation] : steps) {
    if (!applies) continue;
    if (const Result done = loop.perform(operation); !done) {
      loop.discard(*fd);
      return std::unexpected(done.error());
    }
  }
  return fd;
}

}  // namespace internal
}  // namespace wev
