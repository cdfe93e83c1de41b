#include "engine/core/peer_class.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

PeerClass of(const char* address, bool group = false) {
  const std::vector<Network> own{*parse_network("198.51.100.0/25"),
                                 *parse_network("2001:db8:1::/64")};
  return class_of(parse_network(address)->address, own, group);
}

TEST(PeerClass, AddressesForLocalUseAreTheLan) {
  for (const char* address : {"10.1.2.3", "192.168.0.1", "127.0.0.1", "169.254.1.1", "100.64.0.1",
                              "fd00::1", "fe80::1", "::1"}) {
    EXPECT_EQ(of(address), PeerClass::lan) << address;
    EXPECT_EQ(of(address, true), PeerClass::lan) << address;
  }
}

TEST(PeerClass, SoAreThoseOfANetworkThatThisMachineIsIn) {
  EXPECT_EQ(of("198.51.100.127"), PeerClass::lan);
  EXPECT_EQ(of("2001:db8:1::9", true), PeerClass::lan);
}

TEST(PeerClass, ElsewhereItDependsOnTheGroup) {
  for (const char* address : {"198.51.100.128", "203.0.113.1", "2001:db8:2::9"}) {
    EXPECT_EQ(of(address), PeerClass::other) << address;
    EXPECT_EQ(of(address, true), PeerClass::group) << address;
  }
}

TEST(PeerClass, HasNames) {
  EXPECT_STREQ(to_string(PeerClass::lan), "lan");
  EXPECT_STREQ(to_string(PeerClass::group), "group");
  EXPECT_STREQ(to_string(PeerClass::other), "other");
}

}  // namespace
}  // namespace lanward::core
