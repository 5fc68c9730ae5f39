// Addresses as BSDs lay them out, on any system.
#include "sys/bsd_address.hpp"

#include <string_view>

#include <gtest/gtest.h>

namespace wev::test {

namespace {

using sys::from_bsd;
using sys::to_bsd;

constexpr std::uint8_t af_inet6 = 30;

std::uint8_t byte(const Address& address, std::size_t i) {
  return static_cast<const std::uint8_t*>(address.data())[i];
}

// As a system fills it in, which tells more of it than there is to tell.
Address told(Address address, std::size_t size) {
  Address bsd = to_bsd(address, af_inet6);
  bsd.set_size(size);
  from_bsd(bsd, af_inet6);
  return bsd;
}

}  // namespace

TEST(BsdAddress, TheFirstTwoBytesAreTheSizeAndTheFamily) {
  const Address ipv4 = to_bsd(Address::loopback(80), af_inet6);
  EXPECT_EQ(byte(ipv4, 0), 16);
  EXPECT_EQ(byte(ipv4, 1), 2);
  EXPECT_EQ(byte(ipv4, 3), 80);
  const Address ipv6 = to_bsd(Address::loopback_ipv6(80), af_inet6);
  EXPECT_EQ(byte(ipv6, 0), 28);
  EXPECT_EQ(byte(ipv6, 1), af_inet6);
  const Address path = to_bsd(*Address::unix_path("/a"), af_inet6);
  EXPECT_EQ(byte(path, 0), 5);
  EXPECT_EQ(byte(path, 1), 1);
}

TEST(BsdAddress, ThereAndBackIsTheSame) {
  for (const Address& address :
       {Address::loopback(1), Address::ipv6({1, 2, 3}, 4, 5), *Address::unix_path("/a/path")}) {
    EXPECT_EQ(told(address, address.size()), address) << address.text().view();
  }
}

TEST(BsdAddress, APathEndsWithItsZeroWhateverSizeIsTold) {
  const Address path = *Address::unix_path("/a/path");
  EXPECT_EQ(told(path, 106), path);
  EXPECT_EQ(told(path, path.size() - 1), path) << "without its zero";
}

TEST(BsdAddress, OneWithoutAPathHasNone) {
  Address unnamed = *Address::unix_path(std::string_view("\0", 1));
  for (const std::size_t size : {2u, 16u, 106u}) {
    const Address address = told(unnamed, size);
    EXPECT_EQ(address.family(), Address::Family::unix_path);
    EXPECT_EQ(address.path(), "");
    EXPECT_EQ(address.size(), 2u);
  }
}

TEST(BsdAddress, NothingStaysNothing) {
  EXPECT_EQ(to_bsd(Address(), af_inet6), Address());
  EXPECT_EQ(told(Address(), 0).family(), Address::Family::none);
}

}  // namespace wev::test
