#include "engine/core/peer_rules.h"

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

Address address(const char* text) { return parse_network(text)->address; }

TEST(Network, IsReadAndWritten) {
  for (const char* text : {"192.0.2.1", "192.0.2.0/24", "0.0.0.0/0", "10.0.0.0/8"}) {
    const auto network = parse_network(text);
    ASSERT_TRUE(network) << text;
    EXPECT_EQ(to_string(*network), text);
  }
  for (const auto& [text, written] :
       {std::pair{"2001:db8::/32", "2001:db8:0:0:0:0:0:0/32"}, std::pair{"::1", "0:0:0:0:0:0:0:1"},
        std::pair{"::/0", "0:0:0:0:0:0:0:0/0"}, std::pair{"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
        std::pair{"::ffff:192.0.2.1", "192.0.2.1"}, std::pair{"fe80::", "fe80:0:0:0:0:0:0:0"}}) {
    const auto network = parse_network(text);
    ASSERT_TRUE(network) << text;
    EXPECT_EQ(to_string(*network), written);
    EXPECT_EQ(parse_network(to_string(*network)), network);
  }
}

TEST(Network, NonsenseIsRefused) {
  for (const char* text : {"",
                           "1",
                           "1.2.3",
                           "1.2.3.4.5",
                           "1.2.3.256",
                           "1.2.3.4/33",
                           "1.2.3.4/",
                           "1.2.3.4/x",
                           "1.2.3.4/24",
                           ":",
                           ":::",
                           "1::2::3",
                           "12345::",
                           "1:2:3:4:5:6:7",
                           "1:2:3:4:5:6:7:8:9",
                           "::/129",
                           "fe80::1/10",
                           "::1.2.3",
                           "1:2:3:4:5:6:7:",
                           "1.2.3.4\n",
                           "-1.2.3.4",
                           "1:2:3:4:5:6:7::8",
                           "host.example"}) {
    const auto network = parse_network(text);
    EXPECT_FALSE(network) << text;
    if (!network) {
      EXPECT_EQ(network.error().message.find('\n'), std::string::npos);
    }
  }
}

TEST(Network, ContainsItsAddresses) {
  const Network network = *parse_network("10.20.0.0/15");
  EXPECT_TRUE(network.contains(address("10.20.0.0")));
  EXPECT_TRUE(network.contains(address("10.21.255.255")));
  EXPECT_FALSE(network.contains(address("10.22.0.0")));
  EXPECT_FALSE(network.contains(address("::1")));
  EXPECT_FALSE(parse_network("::/0")->contains(address("10.0.0.1")));
  EXPECT_TRUE(parse_network("::/0")->contains(address("2001:db8::1")));
  EXPECT_EQ(network.last(), address("10.21.255.255"));
}

TEST(PeerRules, OnlyLocalAddressesByDefault) {
  const PeerRules rules;
  for (const char* text : {"10.1.2.3", "172.31.0.1", "192.168.1.1", "169.254.3.4", "127.0.0.1",
                           "fd00::1", "fe80::1", "::1", "100.100.1.1"}) {
    EXPECT_EQ(peer_fault(rules, address(text)), nullptr) << text;
  }
  for (const char* text : {"8.8.8.8", "172.32.0.1", "192.169.0.1", "2001:db8::1", "0.0.0.0"}) {
    EXPECT_NE(peer_fault(rules, address(text)), nullptr) << text;
  }
}

TEST(PeerRules, DenyAndBanGoBeforeAllowAndAllowBeforeTheScope) {
  PeerRules rules;
  rules.allow = {*parse_network("203.0.113.0/24"), *parse_network("10.0.0.0/8")};
  rules.deny = {*parse_network("10.9.0.0/16")};
  rules.ban = {*parse_network("10.1.1.1")};
  EXPECT_EQ(peer_fault(rules, address("203.0.113.5")), nullptr);
  EXPECT_EQ(peer_fault(rules, address("10.1.1.2")), nullptr);
  EXPECT_STREQ(peer_fault(rules, address("10.1.1.1")), "is banned");
  EXPECT_STREQ(peer_fault(rules, address("10.9.1.1")), "is denied");
  EXPECT_STREQ(peer_fault(rules, address("192.168.0.1")), "is not among those that are allowed");
  rules.serving = false;
  EXPECT_STREQ(peer_fault(rules, address("10.1.1.2")), "peers are switched off");
  PeerRules any;
  any.private_only = false;
  EXPECT_EQ(peer_fault(any, address("8.8.8.8")), nullptr);
}

TEST(PeerRulesFile, IsReadBackAsItWasWritten) {
  PeerRules rules;
  rules.serving = rules.private_only = false;
  rules.allow = {*parse_network("10.0.0.0/8")};
  rules.deny = {*parse_network("2001:db8::/32")};
  rules.ban = {*parse_network("10.1.1.1"), *parse_network("fe80::1")};
  EXPECT_EQ(parse_peer_rules(format_peer_rules(rules)), rules);
  EXPECT_EQ(parse_peer_rules(format_peer_rules({})), PeerRules{});
}

TEST(PeerRulesFile, ErrorsNameTheLine) {
  for (const auto& [text, expected] :
       {std::pair{"", "the file is empty"}, std::pair{"x\n", "line 1: it must begin with"},
        std::pair{"lanward-peers 2\n", "a version that is not known"},
        std::pair{"lanward-peers 1\n\nban 1.2.3\n", "line 3: '1.2.3' is no address"},
        std::pair{"lanward-peers 1\nserving on\n", "line 2: expected 'serving off'"},
        std::pair{"lanward-peers 1\nallow 1.2.3.4/24\n", "line 2: '1.2.3.4/24' has bits beyond"},
        std::pair{"lanward-peers 1\nserving off", "line 2: the file is cut off"}}) {
    const auto parsed = parse_peer_rules(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(parsed.error().message.find(expected), std::string::npos) << parsed.error().message;
  }
}

}  // namespace
}  // namespace lanward::core
