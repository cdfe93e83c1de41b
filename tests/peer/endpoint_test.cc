#include "peer/endpoint.h"

#include <gtest/gtest.h>

namespace lanward::peer {
namespace {

TEST(Endpoint, ReadsWhatItWrites) {
  for (const char* text : {"127.0.0.1:6881", "0.0.0.0:0", "[::1]:65535", "[2001:db8::7]:80"}) {
    const auto endpoint = parse_endpoint(text);
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(to_string(*endpoint), text);
  }
}

TEST(Endpoint, RefusesWhatIsNotAnAddressAndPort) {
  for (const char* text :
       {"", ":", "127.0.0.1", "127.0.0.1:", ":6881", "127.0.0.1:65536", "127.0.0.1:-1",
        "127.0.0.1:+1", "127.0.0.1: 1", "127.0.0.1:1x", "127.0.0.1.5:1", "::1:6881", "[::1]",
        "[127.0.0.1]:1", "[]:1", "host:1", "[::1]6881", "127.0.0.1:0x1"}) {
    const auto endpoint = parse_endpoint(text);
    ASSERT_FALSE(endpoint) << text;
    EXPECT_EQ(endpoint.error().code, ErrorCode::invalid_argument);
  }
}

TEST(Endpoint, AnAddressOfALinkNeedsTheInterface) {
  const lt::tcp::endpoint bare = *parse_endpoint("[fe80::1]:7");
  EXPECT_TRUE(lacks_link(bare));
  const lt::tcp::endpoint full = with_link(bare, 3);
  EXPECT_FALSE(lacks_link(full));
  EXPECT_NE(full, bare);
  EXPECT_EQ(full.address().to_v6().scope_id(), 3U);
  EXPECT_EQ(without_link(full), bare);
  for (const char* text : {"[fd00::1]:7", "[::1]:7", "10.0.0.1:7"}) {
    EXPECT_FALSE(lacks_link(*parse_endpoint(text))) << text;
  }
  EXPECT_EQ(with_link(*parse_endpoint("10.0.0.1:7"), 3), *parse_endpoint("10.0.0.1:7"));
}

TEST(Endpoint, AStandInTellsItsNumberAndIsNobodysAddress) {
  for (const std::uint32_t number : {0U, 1U, 255U, 256U, 1023U, ~0U}) {
    EXPECT_EQ(stand_in_number(stand_in(number, 7)), number);
    EXPECT_EQ(stand_in(number, 7).port(), 7);
  }
  for (const char* text : {"[fe80::1]:7", "[100:0:0:1::1]:7", "[100::1:0:0:1]:7", "1.0.0.0:7"}) {
    EXPECT_EQ(stand_in_number(*parse_endpoint(text)), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace lanward::peer
