// Peers that mean harm, or are broken: what they cost is bounded, and honest peers get on.
#include <gtest/gtest.h>

#include <cstdio>
#include <deque>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/peer/raw_peer.h"

namespace lanward::test {
namespace {

constexpr std::uint32_t kPiece = 64 * 1024;
constexpr const char* kStranger = "d1:mde1:pi9ee";
constexpr const char* kSpeaker = "d5:lw_id8:aaaaaaaa1:md8:lw_leasei9ee1:pi9ee";

class HostilePeers : public testing::Test {
 protected:
  static std::uint16_t port_of(const TestPeer& peer) {
    return peer.swarm->listen_port().value_or(0);
  }
  // The victim still exchanges with those who behave.
  void expect_alive(TestPeer& victim) {
    TestPeer honest(file_);
    honest.join({victim.address()});
    honest.allow_all();
    EXPECT_TRUE(honest.complete());
  }

  const TestFile file_ = TestFile::make(20 * kPiece, kPiece, 110);
};

TEST_F(HostilePeers, AMessageOfTenMegabytesEndsTheConnection) {
  TestPeer seed(file_);
  seed.put_all();
  seed.join();
  const std::string garbage(10'000'000, 'x');
  for (const std::uint8_t type : {std::uint8_t{4}, std::uint8_t{20}, std::uint8_t{99}}) {
    RawPeer babbler(file_, port_of(seed), kStranger);
    babbler.send(type, garbage);
    EXPECT_TRUE(babbler.ends());
  }
  {
    RawPeer talker(file_, port_of(seed), kSpeaker);
    ASSERT_TRUE(talker.hears_id());
    const std::vector<std::uint8_t> lease(garbage.begin(), garbage.end());
    talker.send_lease(lease);
    EXPECT_TRUE(talker.ends());
  }
  expect_alive(seed);
}

TEST_F(HostilePeers, ConnectionsThatSayNothingKeepNobodyOut) {
  TestPeer seed(file_);
  seed.put_all();
  seed.join();
  const std::string wrong(20, 'w');
  std::deque<RawPeer> flood;
  for (int i = 0; i < 200; ++i) flood.emplace_back(wrong, port_of(seed));
  for (RawPeer& one : flood) EXPECT_TRUE(one.ends());
  expect_alive(seed);
}

TEST_F(HostilePeers, WhoClaimsEverythingAndGivesNothingDelaysOnlyWhatItWasAskedFor) {
  TestPeer leech(file_), seed(file_);
  leech.join();
  std::deque<RawPeer> liars;
  for (int i = 0; i < 5; ++i) {
    RawPeer& liar =
        liars.emplace_back(file_, port_of(leech), "d1:mde1:pi" + std::to_string(10 + i) + "ee",
                           static_cast<char>('a' + i));
    // Three bytes, of which the last four bits are beyond the file.
    liar.send(5, std::string("\xff\xff\xf0", 3));
  }
  ASSERT_TRUE(leech.facts.wait_for<core::PeerHasPieces>(liars.size()));
  leech.allow_all();
  seed.put_all();
  seed.join({leech.address()});
  EXPECT_TRUE(leech.complete());
}

// Sends what it is asked for, but with wrong bytes.
void corrupt(RawPeer& peer) {
  peer.send(5, std::string("\xff\xff\xf0", 3));
  peer.send(1, "");  // unchoke
  while (const auto frame = peer.next()) {
    if (frame->type != 6 || frame->body.size() != 12) continue;
    peer.send(7, frame->body.substr(0, 8) + std::string(16 * 1024, 'c'));
  }
}

TEST_F(HostilePeers, FiveThatCorruptAreBannedAndTheFileComesWhole) {
  TestPeer leech(file_), seed(file_);
  leech.join();
  std::deque<RawPeer> liars;
  std::vector<std::thread> threads;
  for (int i = 0; i < 5; ++i) {
    liars.emplace_back(file_, port_of(leech), "d1:mde1:pi" + std::to_string(10 + i) + "ee",
                       static_cast<char>('a' + i));
  }
  ASSERT_TRUE(leech.facts.wait_for<core::PeerJoined>(liars.size()));
  for (RawPeer& liar : liars) threads.emplace_back([&liar] { corrupt(liar); });
  ASSERT_TRUE(leech.facts.wait_for<core::PeerHasPieces>(liars.size()));
  leech.allow_all();
  // As the engine does: whoever sent all of a bad piece is out.
  std::size_t looked_at = 0;
  std::set<core::SourceId> banned;
  while (banned.size() < liars.size()) {
    ASSERT_TRUE(leech.facts.wait_for<core::PieceFailed>(looked_at + 1));
    const auto failed = leech.facts.all<core::PieceFailed>();
    for (; looked_at < failed.size(); ++looked_at) {
      for (const core::SourceId source : failed[looked_at].from) {
        if (banned.insert(source).second) leech.member->ban(source);
      }
    }
  }
  seed.put_all();
  seed.join({leech.address()});
  EXPECT_TRUE(leech.complete());
  for (std::thread& thread : threads) thread.join();  // every one has been cut off
  const std::size_t bad = leech.facts.all<core::PieceFailed>().size();
  std::printf("%zu bad pieces of 5 peers\n", bad);
}

}  // namespace
}  // namespace lanward::test
