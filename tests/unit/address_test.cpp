// Addresses are Linux's sockaddr, byte for byte.
#include "wev/address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <string>

#include <gtest/gtest.h>

namespace wev::test {

TEST(Address, AnIpv4AddressIsASockaddrIn) {
  const Address address = Address::ipv4({192, 0, 2, 1}, 8080);
  EXPECT_EQ(address.family(), Address::Family::ipv4);
  EXPECT_EQ(address.port(), 8080);
  ASSERT_EQ(address.size(), sizeof(sockaddr_in));
  const auto& native = *static_cast<const sockaddr_in*>(address.data());
  EXPECT_EQ(native.sin_family, AF_INET);
  EXPECT_EQ(ntohs(native.sin_port), 8080);
  EXPECT_EQ(ntohl(native.sin_addr.s_addr), 0xc0000201u);
}

TEST(Address, AnIpv6AddressIsASockaddrIn6) {
  const Address address =
      Address::ipv6({0xfe, 0x80, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}, 1, 3);
  EXPECT_EQ(address.family(), Address::Family::ipv6);
  ASSERT_EQ(address.size(), sizeof(sockaddr_in6));
  const auto& native = *static_cast<const sockaddr_in6*>(address.data());
  EXPECT_EQ(native.sin6_family, AF_INET6);
  EXPECT_EQ(ntohs(native.sin6_port), 1);
  EXPECT_EQ(native.sin6_scope_id, 3u);
  EXPECT_EQ(native.sin6_addr.s6_addr[0], 0xfe);
  EXPECT_EQ(native.sin6_addr.s6_addr[15], 8);
}

TEST(Address, APathIsASockaddrUn) {
  const auto address = Address::unix_path("/tmp/socket");
  ASSERT_TRUE(address);
  EXPECT_EQ(address->family(), Address::Family::unix_path);
  EXPECT_EQ(address->path(), "/tmp/socket");
  EXPECT_EQ(address->port(), 0);
  const auto& native = *static_cast<const sockaddr_un*>(address->data());
  EXPECT_EQ(native.sun_family, AF_UNIX);
  EXPECT_STREQ(native.sun_path, "/tmp/socket");
  EXPECT_EQ(address->size(), offsetof(sockaddr_un, sun_path) + sizeof "/tmp/socket");
}

TEST(Address, AnAbstractNameHasNoEnd) {
  const std::string name("\0name", 5);
  const auto address = Address::unix_path(name);
  ASSERT_TRUE(address);
  EXPECT_EQ(address->path(), name);
  EXPECT_EQ(address->size(), offsetof(sockaddr_un, sun_path) + 5);
}

TEST(Address, APathHasALimit) {
  EXPECT_FALSE(Address::unix_path(""));
  const std::string longest(Address::longest_path, 'x');
  const auto address = Address::unix_path(longest);
  ASSERT_TRUE(address);
  EXPECT_EQ(address->path(), longest);
  EXPECT_LE(address->size(), sizeof(sockaddr_un));
  EXPECT_FALSE(Address::unix_path(longest + "x"));
}

TEST(Address, EqualityIsOfAllThatIsUsed) {
  EXPECT_EQ(Address::loopback(1), Address::loopback(1));
  EXPECT_FALSE(Address::loopback(1) == Address::loopback(2));
  EXPECT_FALSE(Address::loopback(1) == Address::loopback_ipv6(1));
  EXPECT_EQ(Address(), Address());
  EXPECT_EQ(Address().family(), Address::Family::none);
  Address moved = Address::loopback(1);
  moved.set_port(2);
  EXPECT_EQ(moved, Address::loopback(2));
}

}  // namespace wev::test
