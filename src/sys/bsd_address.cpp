#include "sys/bsd_address.hpp"

#include <algorithm>
#include <cstring>

namespace wev::sys {

namespace {

constexpr std::uint8_t af_unix = 1;
constexpr std::uint8_t af_inet6_of_linux = 10;

// Behind the family.
constexpr std::size_t path_at = 2;

std::uint8_t* bytes_of(Address& address) noexcept {
  return static_cast<std::uint8_t*>(address.data());
}

}  // namespace

Address to_bsd(Address address, std::uint8_t af_inet6) noexcept {
  if (address.size() < path_at) return address;
  const bool ipv6 = address.family() == Address::Family::ipv6;
  std::uint16_t family = 0;
  std::memcpy(&family, address.data(), sizeof family);
  bytes_of(address)[0] = static_cast<std::uint8_t>(address.size());
  bytes_of(address)[1] = ipv6 ? af_inet6 : static_cast<std::uint8_t>(family);
  return address;
}

void from_bsd(Address& address, std::uint8_t af_inet6) noexcept {
  if (address.size() < path_at) return;
  const std::uint8_t told = bytes_of(address)[1];
  const std::uint16_t family = told == af_inet6 ? af_inet6_of_linux : told;
  std::memcpy(address.data(), &family, sizeof family);
  if (family != af_unix) return;
  // Linux tells the size of the path with its zero, and of none nothing; others, of what it
  // could have been.
  const std::uint8_t* path = bytes_of(address) + path_at;
  const std::uint8_t* end = bytes_of(address) + address.size();
  const auto size = static_cast<std::size_t>(std::find(path, end, 0) - path);
  address.set_size(size == 0 ? path_at : path_at + size + 1);
}

}  // namespace wev::sys
