// Rules which addresses may be peers, and how soon they hold.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <deque>

#include "peer/peer_filter.h"
#include "peer/rules_file.h"
#include "tests/peer/fixture.h"
#include "tests/support/temporary_directory.h"

namespace lanward::test {
namespace {

constexpr std::uint32_t kPiece = 64 * 1024;
constexpr std::size_t kNeighbours = 8;

core::PeerRules banning(const char* address) {
  core::PeerRules rules;
  rules.ban = {*core::parse_network(address)};
  return rules;
}

class PeerRules : public testing::Test {
 protected:
  // Writes the rules and measures until every neighbour has lost us.
  void expect_all_cut(const core::PeerRules& rules) {
    TestPeer seed(file_, "127.0.0.1:0", false, {}, false, path_);
    seed.put_all();
    seed.join();
    std::deque<TestPeer> neighbours;
    for (std::size_t i = 0; i < kNeighbours; ++i) {
      neighbours.emplace_back(file_).join({seed.address()});
    }
    ASSERT_TRUE(seed.facts.wait_for<core::PeerJoined>(kNeighbours));
    for (TestPeer& one : neighbours) ASSERT_TRUE(one.facts.wait_for<core::PeerJoined>(1));
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_TRUE(peer::write_peer_rules(path_, rules));
    for (TestPeer& one : neighbours) ASSERT_TRUE(one.facts.wait_for<core::PeerLeft>(1));
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
    std::printf("%zu peers were cut after %.1f ms\n", kNeighbours, took.count());
    // Nothing is served any more, and nobody comes back.
    for (TestPeer& one : neighbours) one.allow_all();
    TestPeer newcomer(file_);
    newcomer.join({seed.address()});
    newcomer.allow_all();
    ASSERT_TRUE(seed.leave());
    for (TestPeer& one : neighbours) EXPECT_TRUE(one.store->verified().empty());
    EXPECT_TRUE(newcomer.store->verified().empty());
    EXPECT_EQ(seed.facts.all<core::PeerJoined>().size(), kNeighbours);
  }

  const TestFile file_ = TestFile::make(20 * kPiece, kPiece, 100);
  support::TemporaryDirectory directory_;
  const std::string path_ = directory_.path("peers.rules");
};

TEST_F(PeerRules, TheSwitchCutsEverybodyAtOnce) {
  core::PeerRules off;
  off.serving = false;
  expect_all_cut(off);
}

TEST_F(PeerRules, ABanCutsThoseWhomItConcerns) { expect_all_cut(banning("127.0.0.0/8")); }

TEST_F(PeerRules, WhoIsBannedComesBackWhenTheBanIsLifted) {
  ASSERT_TRUE(peer::write_peer_rules(path_, banning("127.0.0.1")));
  TestPeer seed(file_, "127.0.0.1:0", false, {}, false, path_), leech(file_);
  seed.put_all();
  seed.join();
  leech.join({seed.address()});
  leech.allow_all();
  ASSERT_TRUE(peer::write_peer_rules(path_, banning("192.0.2.1")));
  EXPECT_TRUE(leech.complete());
}

TEST_F(PeerRules, AMemberThatLeavesIsMissedAtOnce) {
  TestPeer seed(file_);
  seed.put_all();
  seed.join();
  std::deque<TestPeer> neighbours;
  for (std::size_t i = 0; i < kNeighbours; ++i) {
    neighbours.emplace_back(file_).join({seed.address()});
  }
  ASSERT_TRUE(seed.facts.wait_for<core::PeerJoined>(kNeighbours));
  for (TestPeer& one : neighbours) ASSERT_TRUE(one.facts.wait_for<core::PeerJoined>(1));
  const auto begin = std::chrono::steady_clock::now();
  seed.member->leave({});
  for (TestPeer& one : neighbours) ASSERT_TRUE(one.facts.wait_for<core::PeerLeft>(1));
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  std::printf("%zu peers missed it after %.1f ms\n", kNeighbours, took.count());
}

TEST_F(PeerRules, TheFilterSaysWhatTheRulesSay) {
  core::PeerRules listed = banning("10.1.1.1");
  listed.allow = {*core::parse_network("10.0.0.0/8"), *core::parse_network("2001:db8::/32")};
  listed.deny = {*core::parse_network("10.9.0.0/16"), *core::parse_network("2001:db8:9::/48")};
  core::PeerRules any = banning("203.0.113.1"), off;
  any.private_only = false;
  off.serving = false;
  for (const core::PeerRules& rules : {core::PeerRules{}, listed, any, off}) {
    const lt::ip_filter filter = peer::to_filter(rules);
    for (const char* text :
         {"10.0.0.1", "10.1.1.1", "10.9.3.3", "192.168.3.4", "8.8.8.8", "203.0.113.1", "127.0.0.1",
          "255.255.255.255", "0.0.0.0", "2001:db8::1", "2001:db8:9::1", "fe80::1", "::1", "::"}) {
      const bool blocked = (filter.access(lt::make_address(text)) & lt::ip_filter::blocked) != 0;
      EXPECT_EQ(blocked, core::peer_fault(rules, core::parse_network(text)->address) != nullptr)
          << text;
    }
  }
}

TEST_F(PeerRules, AFileThatMakesNoSenseIsRefusedAtTheStart) {
  std::FILE* const file = std::fopen(path_.c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fputs("lanward-peers 1\nban everybody\n", file);
  std::fclose(file);
  const auto refused =
      peer::LibtorrentSwarm::create({.listen = "127.0.0.1:0", .rules_file = path_});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("line 2"), std::string::npos);
}

// ---- limits ------------------------------------------------------------------------------------

TEST(PeerLimits, WhoGivesNothingServesNobodyAndStillTakes) {
  const TestFile file = TestFile::make(20 * kPiece, kPiece, 101);
  const peer::SwarmLimits no_upload{.upload = false};
  TestPeer seed(file), taker(file, "127.0.0.1:0", false, {}, false, {}, no_upload), other(file);
  seed.put_all();
  seed.join();
  taker.join({seed.address()});
  taker.allow_all();
  ASSERT_TRUE(taker.complete());
  other.join({taker.address()});
  other.allow_all();
  ASSERT_TRUE(other.facts.wait_for<core::PeerHasPieces>(1));
  TestPeer late(file);
  late.put_all();
  late.join({other.address()});
  ASSERT_TRUE(other.complete());
  for (const auto& verified : other.facts.all<core::PieceVerified>()) {
    ASSERT_EQ(verified.from.size(), 1U);
    EXPECT_NE(verified.from[0], other.facts.all<core::PeerJoined>()[0].peer);
  }
}

TEST(PeerLimits, ARateHoldsForPeersOfTheLocalNetworkToo) {
  const TestFile file = TestFile::make(20 * kPiece, kPiece, 102);
  const peer::SwarmLimits slow{.upload_bytes_per_s = 1'000'000};
  TestPeer seed(file, "127.0.0.1:0", false, {}, false, {}, slow), leech(file);
  seed.put_all();
  seed.join();
  leech.join({seed.address()});
  ASSERT_TRUE(leech.facts.wait_for<core::PeerHasPieces>(1));
  const auto begin = std::chrono::steady_clock::now();
  leech.allow_all();
  ASSERT_TRUE(leech.complete());
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  // 1.3 s, less what may pass at once.
  EXPECT_GT(took.count(), 0.6);
}

}  // namespace
}  // namespace lanward::test
