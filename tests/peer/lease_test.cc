// Lease messages between members, and from those who speak them badly.
#include <gtest/gtest.h>

#include <array>

#include "peer/endpoint.h"
#include "peer/lease_inbox.h"
#include "tests/peer/raw_peer.h"

namespace lanward::test {
namespace {

constexpr std::uint32_t kPiece = 64 * 1024;
// A peer that understands lease messages as number 9 and listens on port 9 (nobody does).
constexpr const char* kSpeaker = "d5:lw_id8:aaaaaaaa1:md8:lw_leasei9ee1:pi9ee";
constexpr const char* kStranger = "d1:mde1:pi9ee";

core::Endpoint endpoint_of(const TestPeer& peer) {
  return peer::to_core(*peer::parse_endpoint(peer.address()));
}
std::uint16_t port_of(const TestPeer& peer) { return peer.swarm->listen_port().value_or(0); }
core::SourceId first_peer(TestPeer& peer) {
  EXPECT_TRUE(peer.facts.wait_for<core::PeerJoined>(1));
  return peer.facts.all<core::PeerJoined>().at(0).peer;
}
void say(TestPeer& from, core::SourceId to, const core::LeaseMessage& message) {
  from.member->send(std::array{to}, message);
}
core::Hello hello(std::uint64_t key) { return {core::PeerKey{key}, true}; }

std::vector<core::LeaseMessage> one_of_each() {
  const core::PieceSpan pieces{core::PieceIndex{3}, core::PieceIndex{7}};
  core::Roster roster;
  for (std::uint32_t i = 0; i < core::kRosterEntriesMax; ++i) {
    roster.entries.push_back({core::PeerKey{i}, {}, i, 100 + i, 4});
  }
  return {hello(1),
          core::Claim{1, pieces, core::ClaimMode::lease, 1500},
          core::Claim{2, pieces, core::ClaimMode::solo, 0},
          core::Unclaim{1, pieces},
          core::ClaimProgress{1, 1ULL << 40U, 20},
          core::SplitRequest{1},
          core::Roster{},
          roster};
}

TEST(LeaseMessages, ArriveInOrderWhateverTheirKind) {
  const TestFile file = TestFile::make(10 * kPiece, kPiece, 60);
  TestPeer a(file), b(file);
  a.join();
  b.join({a.address()});
  const core::SourceId to_b = first_peer(a), to_a = first_peer(b);
  const auto messages = one_of_each();
  for (const auto& message : messages) {
    say(a, to_b, message);
    say(b, to_a, message);
  }
  for (TestPeer* peer : {&a, &b}) {
    ASSERT_TRUE(peer->facts.wait_for<core::PeerMessage>(messages.size()));
    const auto got = peer->facts.all<core::PeerMessage>();
    for (std::size_t i = 0; i < messages.size(); ++i) {
      EXPECT_EQ(got[i].peer, first_peer(*peer));
      EXPECT_EQ(got[i].message, messages[i]);
    }
  }
}

TEST(LeaseMessages, GoToThoseWhoAreNamedOnly) {
  const TestFile file = TestFile::make(10 * kPiece, kPiece, 61);
  TestPeer a(file), b(file), c(file);
  a.join();
  b.join({a.address()});
  const core::SourceId to_b = first_peer(a);
  c.join({a.address()});
  ASSERT_TRUE(a.facts.wait_for<core::PeerJoined>(2));
  const core::SourceId to_c = a.facts.all<core::PeerJoined>()[1].peer;
  const core::SourceId nobody{to_c.value + 1};
  a.member->send(std::array{nobody, to_c}, hello(1));
  a.member->send(std::array{to_c, to_b, to_b}, hello(2));
  a.member->send({}, hello(3));
  a.member->send(std::array{to_b, to_c}, hello(4));
  const auto keys = [](TestPeer& peer, std::size_t count) {
    EXPECT_TRUE(peer.facts.wait_for<core::PeerMessage>(count));
    std::vector<std::uint64_t> found;
    for (const auto& fact : peer.facts.all<core::PeerMessage>()) {
      found.push_back(std::get<core::Hello>(fact.message).key.value);
    }
    return found;
  };
  EXPECT_EQ(keys(b, 2), (std::vector<std::uint64_t>{2, 4}));
  EXPECT_EQ(keys(c, 3), (std::vector<std::uint64_t>{1, 2, 4}));
}

TEST(LeaseMessages, PeersTellWhereTheyListenAndThatTheyUnderstand) {
  const TestFile file = TestFile::make(10 * kPiece, kPiece, 62);
  TestPeer a(file), b(file);
  a.join();
  b.join({a.address()});
  ASSERT_TRUE(a.facts.wait_for<core::PeerJoined>(1));
  ASSERT_TRUE(b.facts.wait_for<core::PeerJoined>(1));
  EXPECT_TRUE(a.facts.all<core::PeerJoined>()[0].leases);
  EXPECT_TRUE(b.facts.all<core::PeerJoined>()[0].leases);
  EXPECT_EQ(a.facts.all<core::PeerJoined>()[0].endpoint, endpoint_of(b));
  EXPECT_EQ(b.facts.all<core::PeerJoined>()[0].endpoint, endpoint_of(a));
}

TEST(LeaseMessages, AreNotSentToAClientThatDoesNotKnowThem) {
  const TestFile file = TestFile::make(10 * kPiece, kPiece, 63);
  TestPeer us(file);
  us.join();
  RawPeer stock(file, port_of(us), kStranger);
  const core::SourceId peer = first_peer(us);
  EXPECT_FALSE(us.facts.all<core::PeerJoined>()[0].leases);
  say(us, peer, hello(1));
  us.put(core::PieceIndex{4});
  // HAVE comes after all that could have been said.
  for (auto frame = stock.next(); frame->type != 4; frame = stock.next()) {
    EXPECT_TRUE(frame->type != 20 || frame->body.front() == 0);
  }
  EXPECT_TRUE(us.facts.all<core::PeerLeft>().empty());
}

TEST(LeaseMessages, OfOtherVersionsAreIgnored) {
  const TestFile file = TestFile::make(10 * kPiece, kPiece, 64);
  TestPeer us(file);
  us.join();
  RawPeer newer(file, port_of(us), kSpeaker);
  ASSERT_TRUE(newer.hears_id());
  for (int i = 0; i < 3 * peer::LeaseInbox::kNonsenseMax; ++i) {
    newer.send_lease(std::array<std::uint8_t, 2>{99, 1});
    newer.send_lease(std::array<std::uint8_t, 2>{core::kLeaseWireVersion, 99});
    newer.send_lease({});
  }
  newer.send_lease(core::encode(hello(5)));
  ASSERT_TRUE(us.facts.wait_for<core::PeerMessage>(1));
  EXPECT_EQ(us.facts.all<core::PeerMessage>()[0].message, core::LeaseMessage(hello(5)));
  EXPECT_TRUE(us.facts.all<core::PeerJoined>()[0].leases);
}

TEST(LeaseMessages, OfSomebodyWhoTalksNonsenseEndTheConnectionForGood) {
  const TestFile file = TestFile::make(10 * kPiece, kPiece, 65);
  const std::vector<std::uint8_t> cut_short{core::kLeaseWireVersion, 1, 0};
  const std::vector<std::uint8_t> too_long(core::kLeaseMessageBytesMax + 1, 1);
  for (const auto& nonsense : {cut_short, too_long}) {
    TestPeer us(file);
    us.join();
    {
      RawPeer babbler(file, port_of(us), kSpeaker);
      ASSERT_TRUE(babbler.hears_id());
      for (int i = 1; i < peer::LeaseInbox::kNonsenseMax; ++i) babbler.send_lease(nonsense);
      babbler.send_lease(core::encode(hello(6)));
      ASSERT_TRUE(us.facts.wait_for<core::PeerMessage>(1));  // a few are borne
      babbler.send_lease(nonsense);
      EXPECT_TRUE(babbler.ends());
    }
    ASSERT_TRUE(us.facts.wait_for<core::PeerLeft>(1));
    RawPeer again(file, port_of(us), kSpeaker);
    EXPECT_TRUE(again.ends());
    EXPECT_EQ(us.facts.all<core::PeerJoined>().size(), 1U);
  }
}

TEST(LeaseMessages, AFloodIsCutDownToABurst) {
  const TestFile file = TestFile::make(10 * kPiece, kPiece, 66);
  TestPeer us(file);
  us.join();
  RawPeer flooder(file, port_of(us), kSpeaker);
  ASSERT_TRUE(flooder.hears_id());
  const auto begin = std::chrono::steady_clock::now();
  const std::vector<std::uint8_t> message = core::encode(hello(7));
  for (int i = 0; i < 5 * peer::LeaseInbox::kBurstMax; ++i) flooder.send_lease(message);
  flooder.send(4,
               std::string("\0\0\0\5", 4));  // HAVE: the connection is alive, and this is the end
  ASSERT_TRUE(us.facts.wait_for<core::PeerHasPiece>(1));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  const auto told = static_cast<double>(us.facts.all<core::PeerMessage>().size());
  EXPECT_GE(told, peer::LeaseInbox::kBurstMax);
  EXPECT_LE(told, peer::LeaseInbox::kBurstMax + took.count() * peer::LeaseInbox::kPerSecond + 1);
}

TEST(LeaseMessages, AreNotToldAfterLeaving) {
  const TestFile file = TestFile::make(10 * kPiece, kPiece, 67);
  TestPeer a(file), b(file);
  a.join();
  b.join({a.address()});
  const core::SourceId to_b = first_peer(a), to_a = first_peer(b);
  say(b, to_a, hello(1));
  ASSERT_TRUE(a.facts.wait_for<core::PeerMessage>(1));
  std::thread talker([&] {
    for (std::uint64_t i = 2; i < 200; ++i) say(b, to_a, hello(i));
  });
  ASSERT_TRUE(a.leave());
  const std::size_t told = a.facts.size();
  talker.join();
  say(a, to_b, hello(1));  // harmless
  ASSERT_TRUE(b.facts.wait_for<core::PeerLeft>(1));
  EXPECT_EQ(a.facts.size(), told);
  EXPECT_TRUE(b.facts.all<core::PeerMessage>().empty());
}

TEST(LeaseMessages, OfTheFirstMomentSurviveTwoPeersThatDialEachOther) {
  const TestFile file = TestFile::make(10 * kPiece, kPiece, 68);
  TestPeer a(file), b(file);
  for (std::uint64_t round = 1; round <= 30; ++round) {
    std::thread other([&] { b.join({a.address()}); });
    a.join({b.address()});
    other.join();
    ASSERT_TRUE(a.facts.wait_for<core::PeerJoined>(round));
    ASSERT_TRUE(b.facts.wait_for<core::PeerJoined>(round));
    say(a, a.facts.all<core::PeerJoined>().back().peer, hello(round));
    say(b, b.facts.all<core::PeerJoined>().back().peer, hello(round));
    for (TestPeer* peer : {&a, &b}) {
      ASSERT_TRUE(peer->facts.wait_for<core::PeerMessage>(round));
      EXPECT_EQ(peer->facts.all<core::PeerJoined>().size(), round);
    }
    ASSERT_TRUE(a.leave());
    ASSERT_TRUE(b.leave());
  }
}

// ---- dialling for the engine -------------------------------------------------------------------

TEST(ConnectPeer, DialsAPeerThatNobodyNamed) {
  const TestFile file = TestFile::make(10 * kPiece, kPiece, 69);
  TestPeer seed(file), leech(file), other(file);
  seed.put_all();
  seed.join();
  leech.join();
  leech.member->connect({});                  // port 0
  leech.member->connect(endpoint_of(leech));  // ourselves
  leech.member->connect(endpoint_of(other));  // not a member (yet)
  leech.member->connect(endpoint_of(seed));
  leech.member->connect(endpoint_of(seed));
  leech.allow_all();
  ASSERT_TRUE(leech.complete());
  leech.member->connect(endpoint_of(seed));  // is connected
  leech.member->connect(endpoint_of(leech));
  other.join();
  leech.member->connect(endpoint_of(other));
  ASSERT_TRUE(leech.facts.wait_for<core::PeerJoined>(2));
  EXPECT_EQ(leech.facts.all<core::PeerJoined>()[0].endpoint, endpoint_of(seed));
  EXPECT_EQ(leech.facts.all<core::PeerJoined>()[1].endpoint, endpoint_of(other));
  EXPECT_TRUE(leech.facts.all<core::PeerLeft>().empty());
  EXPECT_EQ(seed.facts.all<core::PeerJoined>().size(), 1U);
}

TEST(ConnectPeer, DoesNotDialABannedPeer) {
  const TestFile file = TestFile::make(10 * kPiece, kPiece, 70);
  TestPeer seed(file), other(file), leech(file);
  seed.join();
  other.join();
  leech.join({seed.address()});
  leech.member->ban(first_peer(leech));
  ASSERT_TRUE(leech.facts.wait_for<core::PeerLeft>(1));
  ASSERT_TRUE(seed.facts.wait_for<core::PeerLeft>(1));
  leech.member->connect(endpoint_of(seed));
  leech.member->connect(endpoint_of(other));
  ASSERT_TRUE(leech.facts.wait_for<core::PeerJoined>(2));
  EXPECT_EQ(leech.facts.all<core::PeerJoined>()[1].endpoint, endpoint_of(other));
  EXPECT_EQ(seed.facts.all<core::PeerJoined>().size(), 1U);
}

}  // namespace
}  // namespace lanward::test
