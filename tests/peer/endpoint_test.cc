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

}  // namespace
}  // namespace lanward::peer
