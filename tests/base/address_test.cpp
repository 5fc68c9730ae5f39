// Addresses, and the sockaddr that each is to the system.
#include "wev/base/address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "sys/port.hpp"

namespace wev::test {

TEST(Address, AnIpv4AddressIsASockaddrIn) {
  const Address address = Address::ipv4({192, 0, 2, 1}, 8080);
  EXPECT_EQ(address.family(), Address::Family::ipv4);
  EXPECT_EQ(address.port(), 8080);
  ASSERT_EQ(address.size(), sizeof(sockaddr_in));
  const Address of_system = sys::to_native(address);
  const auto& native = *static_cast<const sockaddr_in*>(of_system.data());
  EXPECT_EQ(native.sin_family, AF_INET);
  EXPECT_EQ(ntohs(native.sin_port), 8080);
  EXPECT_EQ(ntohl(native.sin_addr.s_addr), 0xc0000201u);
}

TEST(Address, AnIpv6AddressIsASockaddrIn6) {
  const Address address =
      Address::ipv6({0xfe, 0x80, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}, 1, 3);
  EXPECT_EQ(address.family(), Address::Family::ipv6);
  ASSERT_EQ(address.size(), sizeof(sockaddr_in6));
  const Address of_system = sys::to_native(address);
  const auto& native = *static_cast<const sockaddr_in6*>(of_system.data());
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
  const Address of_system = sys::to_native(*address);
  const auto& native = *static_cast<const sockaddr_un*>(of_system.data());
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

// Systems would take it for what stands in front of the zero.
TEST(Address, APathWithAZeroInsideIsNone) {
  using namespace std::string_view_literals;
  EXPECT_FALSE(Address::unix_path("/tmp/a\0b"sv));
  EXPECT_FALSE(Address::unix_path("/tmp/a\0"sv));
  const auto parsed = Address::parse("unix:/tmp/a\0b"sv);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().position, "unix:/tmp/a"sv.size());
  const auto name = Address::unix_path("\0a\0b"sv);
  ASSERT_TRUE(name);
  EXPECT_EQ(name->path(), "\0a\0b"sv);
  EXPECT_EQ(Address::parse("unix:@a\0b"sv), *name);
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

TEST(Address, AnyIsAllOfAMachines) {
  EXPECT_EQ(Address::any(80).text().view(), "0.0.0.0:80");
  EXPECT_EQ(Address::any_ipv6(80).text().view(), "[::]:80");
  EXPECT_EQ(Address::any().port(), 0);
}

// As text -----------------------------------------------------------------------------

TEST(Address, TextIsParsedAndPrintedBack) {
  for (const char* text :
       {"127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::]:0", "[::1]:443",
        "[2001:db8::1]:8080", "[fe80::1%3]:22", "[1:2:3:4:5:6:7:8]:9", "[2001:db8:0:1:1:1:1:1]:1",
        "[1:0:0:2::3]:1", "unix:/tmp/socket", "unix:@abstract", "unix:relative"}) {
    const auto address = Address::parse(text);
    ASSERT_TRUE(address) << text << " at " << address.error().position;
    EXPECT_EQ(address->text().view(), text);
  }
}

TEST(Address, OtherSpellingsAreTakenToo) {
  const std::pair<const char*, const char*> spellings[] = {
      {"127.0.0.1", "127.0.0.1:0"},
      {"::1", "[::1]:0"},
      {"[::1]", "[::1]:0"},
      {"2001:DB8:0:0:0:0:0:1", "[2001:db8::1]:0"},
      {"::ffff:192.0.2.1", "[::ffff:c000:201]:0"},
      {"1::", "[1::]:0"},
      {"0:0:1:0:0:0:0:0", "[0:0:1::]:0"},
      {"1:2:3:4:5:6:1.2.3.4", "[1:2:3:4:5:6:102:304]:0"}};
  for (const auto& [spelling, printed] : spellings) {
    const auto address = Address::parse(spelling);
    ASSERT_TRUE(address) << spelling << " at " << address.error().position;
    EXPECT_EQ(address->text().view(), printed);
  }
}

TEST(Address, WhatIsMalformedIsRefusedWithItsPlace) {
  const std::pair<std::string, std::size_t> malformed[] = {{"", 0},
                                                           {"x", 0},
                                                           {"1.2.3", 5},
                                                           {"1.2.3.256", 8},
                                                           {"1.2.3.4.5", 7},
                                                           {"01.2.3.4", 1},
                                                           {"1.2.3.4:", 8},
                                                           {"1.2.3.4:65536", 12},
                                                           {"1.2.3.4:x", 8},
                                                           {"1.2.3.4 ", 7},
                                                           {"[::1", 4},
                                                           {"[::1]x", 5},
                                                           {"[::1]:", 6},
                                                           {"::1:2:3:4:5:6:7:8", 17},
                                                           {"1:2:3:4:5:6:7", 13},
                                                           {"1::2::3", 5},
                                                           {"12345::", 4},
                                                           {"1:2:3:4:5:6:7:8:9", 15},
                                                           {":1:2", 0},
                                                           {"::1%", 4},
                                                           {"::1%eth0", 4},
                                                           {"unix:", 5},
                                                           {"unix:" + std::string(108, 'x'), 112},
                                                           {"::1.2.3.300", 10}};
  for (const auto& [text, position] : malformed) {
    const auto address = Address::parse(text);
    ASSERT_FALSE(address) << text << " is " << address->text().view();
    EXPECT_EQ(address.error().position, position) << text;
  }
}

// The system's own functions agree, whatever the address.
TEST(Address, TheSystemAgrees) {
  std::uint64_t state = 1;
  const auto next = [&state] {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint8_t>(state >> 56);
  };
  for (int i = 0; i < 20'000; ++i) {
    std::array<std::uint8_t, 16> bytes{};
    for (std::size_t k = 0; k < 16; k += 2) {
      if (next() < 100) continue;  // gaps
      bytes[k] = next();
      bytes[k + 1] = next();
    }
    char text[INET6_ADDRSTRLEN];
    ASSERT_NE(::inet_ntop(AF_INET6, bytes.data(), text, sizeof text), nullptr);
    const auto parsed = Address::parse(text);
    ASSERT_TRUE(parsed) << text << " at " << parsed.error().position;
    EXPECT_EQ(*parsed, Address::ipv6(bytes, 0)) << text;
    if (std::string_view(text).find('.') != std::string_view::npos) continue;  // ours has none
    EXPECT_EQ(parsed->text().view(), "[" + std::string(text) + "]:0");
  }
}

}  // namespace wev::test
