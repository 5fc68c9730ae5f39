// bsd_address.hpp: addresses as BSDs lay them out: a byte for the size and one for the family,
// where Linux has sixteen bits for the family. The rest is the same.
#pragma once

#include <cstdint>

#include "wev/base/address.hpp"

namespace wev::sys {

/// `af_inet6`: the system's number; those of the other families are Linux's.
Address to_bsd(Address address, std::uint8_t af_inet6) noexcept;
/// In place.
void from_bsd(Address& address, std::uint8_t af_inet6) noexcept;

}  // namespace wev::sys
