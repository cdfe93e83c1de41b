// Lease messages, and what goes wrong on the LAN.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "simulator/swarm.h"
#include "tests/simulator/recorded_facts.h"

namespace lanward::simulator {
namespace {

constexpr std::uint32_t kPiece = core::kCanonicalPieceBytesMin;
constexpr std::uint64_t kLan = 100'000'000;
constexpr std::uint32_t kPieces = 40;
constexpr core::Duration kEstablished = std::chrono::milliseconds{100};
constexpr core::PieceSpan kAll{core::PieceIndex{0}, core::PieceIndex{kPieces}};

struct Box {
  Box(EventQueue& queue, Network& network, Site& site, std::uint32_t host, std::uint64_t lan)
      : loop(queue),
        store(queue, {}),
        place{host, network.add_link(core::ByteRate{lan}), network.add_link(core::ByteRate{lan})},
        swarm(site, loop, place) {}

  SimLoop loop;
  SimPieceStore store;
  Place place;
  SimSwarm swarm;
  RecordedFacts facts;
  std::shared_ptr<SimContentStore> content;
  std::unique_ptr<ports::SwarmMember> member;
};

class SwarmFaultsTest : public ::testing::Test {
 protected:
  void begin(const SwarmSettings& settings) {
    site_ = std::make_unique<Site>(queue_, network_, settings, core::Seed{1});
  }
  // A machine that has pieces but does not announce new ones: there is no engine.
  Box& add(core::PieceSpan pieces, std::uint64_t lan = kLan) {
    if (site_ == nullptr) begin({});
    const auto host = static_cast<std::uint32_t>(boxes_.size());
    boxes_.push_back(std::make_unique<Box>(queue_, network_, *site_, host, lan));
    Box& box = *boxes_.back();
    box.content = open_content(queue_, box.store, manifest_.content, box.facts);
    for (core::PieceIndex p = pieces.begin; p < pieces.end; ++p) {
      box.content->put_missing(p, kPiece, core::SourceId{0}, Payload::intact);
    }
    run_for(queue_, std::chrono::seconds{1});
    box.facts.events.clear();
    join(box);
    return box;
  }
  void join(Box& box) {
    box.member = box.swarm.join({manifest_, box.content, {}, {}}, box.facts.sink());
  }
  void wait(core::Duration time) { run_for(queue_, time); }
  // What `box` calls the other machine.
  static core::SourceId source_of(const Box& box, const Box& other) {
    core::SourceId found;
    for (const auto& fact : box.facts.all<core::PeerJoined>()) {
      if (fact.endpoint == endpoint_of(other.place.host)) found = fact.peer;
    }
    EXPECT_TRUE(core::is_peer(found));
    return found;
  }
  static std::uint64_t received_from(const Box& box, core::SourceId source) {
    for (const auto& line : box.content->ledger()) {
      if (line.source == source) return line.received.value;
    }
    return 0;
  }
  void say(Box& from, Box& to, std::uint32_t number) {
    const std::array peers{source_of(from, to)};
    from.member->send(peers, core::SplitRequest{number});
  }
  static std::vector<std::uint32_t> heard(const Box& box) {
    std::vector<std::uint32_t> numbers;
    for (const auto& fact : box.facts.all<core::PeerMessage>()) {
      numbers.push_back(std::get<core::SplitRequest>(fact.message).run);
    }
    return numbers;
  }
  // What `count` messages sent 0.1 ms apart become.
  std::vector<std::uint32_t> conversation(const SwarmSettings& settings, std::uint32_t count) {
    boxes_.clear();
    begin(settings);
    Box& one = add({});
    Box& two = add({});
    wait(kEstablished);
    for (std::uint32_t i = 0; i < count; ++i) {
      say(one, two, i);
      wait(std::chrono::microseconds{100});
    }
    wait(kEstablished);
    return heard(two);
  }

  EventQueue queue_;
  Network network_{queue_};
  std::unique_ptr<Site> site_;
  core::Manifest manifest_ = test_manifest(kPieces);
  std::vector<std::unique_ptr<Box>> boxes_;
};

// ---- lease messages ----------------------------------------------------------------------------

TEST_F(SwarmFaultsTest, AMessageArrivesOnceAndNamesItsSender) {
  Box& one = add({});
  Box& two = add({});
  Box& three = add({});
  wait(kEstablished);
  for (const auto& fact : one.facts.all<core::PeerJoined>()) EXPECT_TRUE(fact.leases);
  say(one, two, 7);
  EXPECT_TRUE(heard(two).empty());
  wait(SwarmSettings{}.latency_max);
  EXPECT_EQ(heard(two), std::vector{7U});
  EXPECT_EQ(two.facts.all<core::PeerMessage>()[0].peer, source_of(two, one));
  EXPECT_TRUE(heard(three).empty());
}

TEST_F(SwarmFaultsTest, MessagesOfAConnectionStayInOrderInSpiteOfJitter) {
  SwarmSettings settings;
  settings.message_jitter = std::chrono::milliseconds{20};
  const auto numbers = conversation(settings, 100);
  EXPECT_EQ(numbers.size(), 100U);
  EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end()));
}

TEST_F(SwarmFaultsTest, LossAndReorderingFollowFromTheSeed) {
  SwarmSettings settings;
  settings.message_loss_ppm = 300'000;
  settings.message_reorder_ppm = 500'000;
  const auto numbers = conversation(settings, 200);
  EXPECT_NEAR(static_cast<double>(numbers.size()), 140, 30);
  EXPECT_FALSE(std::is_sorted(numbers.begin(), numbers.end()));
  EXPECT_EQ(conversation(settings, 200), numbers);
}

TEST_F(SwarmFaultsTest, ADialledPeerJoinsWhereDiscoveryWouldNot) {
  SwarmSettings settings;
  settings.connections_max = 0;  // nobody connects of himself
  begin(settings);
  Box& one = add({});
  Box& two = add({});
  wait(kEstablished);
  EXPECT_EQ(site_->connections(0), 0U);
  one.member->connect(endpoint_of(two.place.host));
  one.member->connect(endpoint_of(99));
  one.member->connect(endpoint_of(one.place.host));
  wait(kEstablished);
  EXPECT_EQ(one.facts.count<core::PeerJoined>(), 1U);
  EXPECT_EQ(two.facts.count<core::PeerJoined>(), 1U);
  one.member->connect(endpoint_of(two.place.host));
  wait(kEstablished);
  EXPECT_EQ(one.facts.count<core::PeerJoined>(), 1U);
  one.member->ban(source_of(one, two));
  two.member->connect(endpoint_of(one.place.host));
  wait(kEstablished);
  EXPECT_EQ(site_->connections(0), 0U);
}

// ---- death and partition -----------------------------------------------------------------------

TEST_F(SwarmFaultsTest, ASilentDeathStopsTheFlowsAtOnceAndIsNoticedLater) {
  Box& seed = add(kAll);
  Box& reader = add({});
  wait(kEstablished);
  const core::SourceId source = source_of(reader, seed);
  reader.member->allow(kAll);
  wait(std::chrono::milliseconds{20});
  site_->kill(seed.place.host);
  const std::uint64_t taken = received_from(reader, source);
  EXPECT_GT(taken, 0U);
  wait(std::chrono::milliseconds{1490});
  EXPECT_EQ(reader.facts.count<core::PeerLeft>(), 0U);
  wait(std::chrono::milliseconds{20});
  EXPECT_EQ(reader.facts.count<core::PeerLeft>(), 1U);
  EXPECT_EQ(received_from(reader, source), taken);
  EXPECT_EQ(seed.facts.count<core::PeerLeft>(), 0U);
  seed.member.reset();
  wait(kEstablished);
  EXPECT_EQ(reader.facts.count<core::PeerLeft>(), 1U);
}

TEST_F(SwarmFaultsTest, AnotherSourceTakesOverWhatADeadOneOwes) {
  Box& seed = add(kAll);
  Box& reader = add({});
  wait(kEstablished);
  reader.member->allow({core::PieceIndex{7}, core::PieceIndex{8}});
  wait(std::chrono::milliseconds{1});
  site_->kill(seed.place.host);
  add(kAll);  // takes a second to come
  wait(std::chrono::milliseconds{200});
  EXPECT_TRUE(reader.content->verified().contains(core::PieceIndex{7}));
  EXPECT_EQ(reader.store.totals(manifest_.content.id).received(), kPiece);
}

TEST_F(SwarmFaultsTest, AMachineThatComesBackAfterItsDeathIsTheSameSource) {
  Box& seed = add(kAll);
  Box& reader = add({});
  wait(kEstablished);
  const core::SourceId source = source_of(reader, seed);
  site_->kill(seed.place.host);
  wait(std::chrono::milliseconds{10});
  seed.facts.events.clear();
  join(seed);  // before anybody has noticed
  wait(kEstablished);
  EXPECT_EQ(reader.facts.count<core::PeerLeft>(), 1U);
  const auto joined = reader.facts.all<core::PeerJoined>();
  ASSERT_EQ(joined.size(), 2U);
  EXPECT_EQ(joined[1].peer, source);
  reader.member->allow(kAll);
  wait(std::chrono::seconds{3});
  EXPECT_EQ(received_from(reader, source), std::uint64_t{kPieces} * kPiece);
  EXPECT_EQ(reader.facts.count<core::PeerLeft>(), 1U);
}

TEST_F(SwarmFaultsTest, APartitionCutsTheConnectionsBetweenItsSidesUntilItIsHealed) {
  Box& left = add(kAll);
  Box& left_too = add({});
  Box& right = add({});
  wait(kEstablished);
  site_->partition([](std::uint32_t host) { return host < 2 ? 0U : 1U; });
  say(left, right, 1);
  say(left, left_too, 1);
  right.member->allow(kAll);
  wait(std::chrono::milliseconds{1490});
  EXPECT_EQ(right.facts.count<core::PeerLeft>(), 0U);
  wait(std::chrono::milliseconds{20});
  EXPECT_EQ(right.facts.count<core::PeerLeft>(), 2U);
  EXPECT_EQ(left.facts.count<core::PeerLeft>(), 1U);
  EXPECT_TRUE(heard(right).empty());
  EXPECT_EQ(heard(left_too).size(), 1U);
  left.member->connect(endpoint_of(right.place.host));
  wait(kEstablished);
  EXPECT_EQ(site_->connections(right.place.host), 0U);
  EXPECT_TRUE(right.content->verified().empty());
  site_->heal();
  wait(std::chrono::seconds{2});
  EXPECT_EQ(site_->connections(right.place.host), 2U);
  EXPECT_TRUE(right.content->verified().full());
}

// ---- sources that do not deliver ---------------------------------------------------------------

TEST_F(SwarmFaultsTest, ALiarIsAskedOnceAndThenLeftAlone) {
  begin({});
  site_->set_behaviour(0, {.serves = false, .advertises_all = true});
  Box& liar = add({});
  Box& reader = add({});
  wait(kEstablished);
  EXPECT_TRUE(reader.facts.all<core::PeerHasPieces>().at(0).pieces.full());
  const core::PieceIndex piece{3};
  reader.member->allow({piece, piece + 1});
  Box& honest = add(kAll);  // comes a second later: the time-out has passed
  wait(kEstablished);
  EXPECT_TRUE(reader.content->verified().contains(piece));
  EXPECT_EQ(received_from(reader, source_of(reader, liar)), 0U);
  // While it is avoided, nothing waits for it.
  reader.member->allow({core::PieceIndex{4}, core::PieceIndex{20}});
  wait(std::chrono::milliseconds{400});
  EXPECT_EQ(reader.content->verified().count(), 17U);
  EXPECT_EQ(received_from(reader, source_of(reader, honest)), std::uint64_t{17} * kPiece);
}

TEST_F(SwarmFaultsTest, SilenceDoesNotCountWhileTheDownlinkIsFull) {
  begin({});
  site_->set_behaviour(0, {.serves = false, .advertises_all = true});
  Box& mute = add({});
  Box& reader = add({});
  wait(kEstablished);
  // Something else fills the downlink.
  const FlowId flood = network_.start(std::array{reader.place.downlink},
                                      core::ByteCount{1ULL << 40U}, [] { return 0; });
  reader.member->allow(kAll);
  wait(std::chrono::milliseconds{600});
  network_.stop(flood);
  // Asked again after a pause, and now the silence counts; a member that avoided it for a minute
  // would still have nothing.
  site_->kill(mute.place.host);
  mute.member.reset();
  site_->set_behaviour(0, {});
  for (core::PieceIndex p = kAll.begin; p < kAll.end; ++p) {
    mute.content->put_missing(p, kPiece, core::SourceId{0}, Payload::intact);
  }
  wait(std::chrono::seconds{1});
  join(mute);
  wait(std::chrono::seconds{1});
  EXPECT_TRUE(reader.content->verified().full());
}

TEST_F(SwarmFaultsTest, APieceMovesAwayFromAVerySlowSource) {
  Box& slow = add(kAll, kLan / 1000);
  Box& reader = add({});
  wait(kEstablished);
  const core::PieceIndex piece{3};
  reader.member->allow({piece, piece + 1});  // would take 2.6 s
  Box& fast = add(kAll);
  wait(kEstablished);
  wait(std::chrono::milliseconds{200});
  EXPECT_TRUE(reader.content->verified().contains(piece));
  EXPECT_GT(received_from(reader, source_of(reader, slow)), 0U);
  EXPECT_GT(received_from(reader, source_of(reader, fast)), 0U);
}

}  // namespace
}  // namespace lanward::simulator
