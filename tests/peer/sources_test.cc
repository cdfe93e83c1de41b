#include "peer/sources.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lanward::peer {
namespace {

Sources::Identity who(std::size_t number) {
  return {.key = std::to_string(number), .address = "192.0.2.1:" + std::to_string(number)};
}

TEST(Sources, IdentitiesWithoutABytePassAndKeepNobodyOut) {
  Sources sources({});
  for (std::size_t n = 0; n < 2 * kPeersMax; ++n) {
    Peer* const peer = sources.connected(who(n));
    ASSERT_NE(peer, nullptr) << n;
    EXPECT_EQ(peer->address, who(n).address);
    EXPECT_LT(peer->id.value, core::kFirstPeerSource + kPeersMax);
    sources.disconnected(*peer);
  }
}

TEST(Sources, WhoIsThereOrGaveOrTookOrIsBannedIsNotForgotten) {
  Sources sources([](const core::Event&) {});
  std::vector<Peer*> peers;
  for (std::size_t n = 0; n < kPeersMax; ++n) peers.push_back(sources.connected(who(n)));
  EXPECT_EQ(sources.connected(who(kPeersMax)), nullptr) << "all are connected";
  for (std::size_t n = 0; n < kPeersMax; ++n) {
    if (n % 3 == 0) sources.ban(peers[n]->id);
    if (n % 3 == 1) (void)sources.received(*peers[n], 1, true);
    if (n % 3 == 2) sources.served(*peers[n], 1);
    sources.disconnected(*peers[n]);
  }
  EXPECT_EQ(sources.connected(who(kPeersMax)), nullptr);
  EXPECT_TRUE(sources.is_banned("0"));
  EXPECT_EQ(sources.connected(who(1)), peers[1]) << "it comes back as the same source";
}

}  // namespace
}  // namespace lanward::peer
