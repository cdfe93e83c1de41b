#include "simulator/swarm.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <memory>

#include "tests/simulator/recorded_facts.h"

namespace lanward::simulator {
namespace {

constexpr std::uint32_t kPiece = core::kCanonicalPieceBytesMin;
constexpr std::uint64_t kLan = 100'000'000;
constexpr std::uint32_t kPieces = 40;
constexpr core::Duration kEstablished = std::chrono::milliseconds{100};
constexpr core::PieceSpan kAll{core::PieceIndex{0}, core::PieceIndex{kPieces}};

struct TestMachine {
  TestMachine(EventQueue& queue, Network& network, Site& site, std::uint32_t host)
      : loop(queue),
        store(queue, {}),
        place{host, network.add_link(core::ByteRate{kLan}), network.add_link(core::ByteRate{kLan})},
        swarm(site, loop, place) {}

  SimLoop loop;
  SimPieceStore store;
  Place place;
  SimSwarm swarm;
  RecordedFacts facts;
  std::shared_ptr<SimContentStore> content;
  std::unique_ptr<ports::SwarmMember> member;
};

//  machines 0, 1, 2 ... on one switch, 100 MB/s each way; a scripted stand-in for the engine
//  announces what is verified
class SwarmTest : public ::testing::Test {
 protected:
  explicit SwarmTest(const SwarmSettings& settings = {})
      : settings_(settings), site_(queue_, network_, settings, core::Seed{1}) {}
  TestMachine& add(bool seed) {
    const auto host = static_cast<std::uint32_t>(machines_.size());
    machines_.push_back(std::make_unique<TestMachine>(queue_, network_, site_, host));
    TestMachine& m = *machines_.back();
    m.content = open_content(queue_, m.store, manifest_.content, m.facts);
    if (seed) {
      for (std::uint32_t i = 0; i < kPieces; ++i) {
        m.content->put_missing(core::PieceIndex{i}, kPiece, core::SourceId{0}, Payload::intact);
      }
      run_for(queue_, std::chrono::seconds{1});
      m.facts.events.clear();
    }
    m.member = m.swarm.join({manifest_, m.content, {}, {}}, [&m](core::Event event) {
      m.facts.events.push_back(std::move(event));
    });
    return m;
  }
  // Runs until `done`, announcing what becomes verified.
  bool run_until(const std::function<bool()>& done) {
    const core::Instant deadline = queue_.now() + std::chrono::minutes{1};
    while (!done()) {
      if (queue_.now() > deadline || !queue_.step()) return false;
      for (const auto& m : machines_) {
        const core::PieceSet verified = m->content->verified();
        for (auto p = verified.next(core::PieceIndex{0}); p && m->member != nullptr;
             p = verified.next(*p + 1)) {
          m->member->announce(*p);
        }
      }
    }
    return true;
  }
  static core::SourceId peer_of(const TestMachine& m) {
    return m.facts.all<core::PeerJoined>().at(0).peer;
  }

  EventQueue queue_;
  Network network_{queue_};
  const SwarmSettings settings_;
  Site site_;
  core::Manifest manifest_ = test_manifest(kPieces);
  std::vector<std::unique_ptr<TestMachine>> machines_;
};

TEST_F(SwarmTest, BothSidesLearnOfEachOtherAndOfWhatTheyHave) {
  TestMachine& seed = add(true);
  TestMachine& empty = add(false);
  run_for(queue_, kEstablished);
  ASSERT_EQ(seed.facts.count<core::PeerJoined>(), 1U);
  ASSERT_EQ(empty.facts.count<core::PeerJoined>(), 1U);
  EXPECT_TRUE(core::is_peer(peer_of(seed)));
  const auto told = empty.facts.all<core::PeerHasPieces>();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_TRUE(told[0].pieces.full());
  EXPECT_TRUE(seed.facts.all<core::PeerHasPieces>().at(0).pieces.empty());
}

TEST_F(SwarmTest, FetchesNothingThatIsReserved) {
  add(true);
  TestMachine& empty = add(false);
  run_for(queue_, std::chrono::seconds{10});
  EXPECT_TRUE(empty.content->ledger().empty());
  empty.member->allow({core::PieceIndex{3}, core::PieceIndex{5}});
  run_for(queue_, std::chrono::seconds{10});
  EXPECT_EQ(empty.content->verified().count(), 2U);
}

TEST_F(SwarmTest, FetchesAllowedPiecesAtTheRateOfTheLink) {
  add(true);
  TestMachine& empty = add(false);
  run_for(queue_, kEstablished);
  const core::Instant begin = queue_.now();
  empty.member->allow(kAll);
  ASSERT_TRUE(run_until([&] { return empty.content->verified().full(); }));
  const double expected = static_cast<double>(kPieces) * kPiece / static_cast<double>(kLan);
  EXPECT_NEAR(std::chrono::duration<double>(queue_.now() - begin).count(), expected,
              expected / 100);
  run_for(queue_, std::chrono::seconds{1});
  const auto progress = empty.facts.all<core::PeerProgressed>();
  ASSERT_FALSE(progress.empty());
  EXPECT_EQ(progress.back().received.value, std::uint64_t{kPieces} * kPiece);
  EXPECT_EQ(progress.back().wasted.value, 0U);
  EXPECT_EQ(machines_[0]->facts.all<core::PeerProgressed>().back().served.value,
            std::uint64_t{kPieces} * kPiece);
  EXPECT_EQ(network_.carried(machines_[0]->place.uplink).value, site_.traffic().received);
}

TEST_F(SwarmTest, ManyMachinesSpreadAFileFasterThanItsSeedCouldServeThemAll) {
  constexpr std::uint32_t kOthers = 6;
  add(true);
  for (std::uint32_t i = 0; i < kOthers; ++i) add(false);
  run_for(queue_, kEstablished);
  const core::Instant begin = queue_.now();
  for (std::uint32_t i = 1; i <= kOthers; ++i) machines_[i]->member->allow(kAll);
  ASSERT_TRUE(run_until([&] {
    return std::all_of(machines_.begin(), machines_.end(),
                       [](const auto& m) { return m->content->verified().full(); });
  }));
  const double alone = static_cast<double>(kPieces) * kPiece * kOthers / kLan;
  EXPECT_LT(std::chrono::duration<double>(queue_.now() - begin).count(), alone / 2);
  for (std::uint32_t i = 1; i <= kOthers; ++i) {
    const StoreTotals totals = machines_[i]->store.totals(manifest_.content.id);
    EXPECT_EQ(totals.received(), std::uint64_t{kPieces} * kPiece);
  }
}

TEST_F(SwarmTest, ReservingAPieceOnItsWayKeepsTheBlocksThatHaveCome) {
  add(true);
  TestMachine& empty = add(false);
  run_for(queue_, kEstablished);
  const core::PieceIndex piece{7};
  empty.member->allow({piece, piece + 1});
  run_for(queue_, std::chrono::microseconds{1500});  // 150 kB of 256 KiB
  empty.member->reserve({piece, piece + 1});
  const std::uint64_t missing = empty.content->missing_bytes(piece);
  EXPECT_LT(missing, kPiece);
  EXPECT_GT(missing, 0U);
  run_for(queue_, std::chrono::seconds{1});
  EXPECT_EQ(empty.content->missing_bytes(piece), missing);
  const auto progress = empty.facts.all<core::PeerProgressed>().back();
  EXPECT_EQ(progress.received.value - progress.wasted.value, kPiece - missing);
}

TEST_F(SwarmTest, ABannedPeerIsGoneOnBothSidesForGood) {
  TestMachine& seed = add(true);
  TestMachine& empty = add(false);
  run_for(queue_, kEstablished);
  empty.member->ban(peer_of(empty));
  empty.member->allow(kAll);
  run_for(queue_, std::chrono::seconds{10});
  EXPECT_EQ(empty.facts.count<core::PeerLeft>(), 1U);
  EXPECT_EQ(seed.facts.count<core::PeerLeft>(), 1U);
  EXPECT_TRUE(empty.content->verified().empty());
  seed.member = seed.swarm.join({manifest_, seed.content, {}, {}}, seed.facts.sink());
  run_for(queue_, std::chrono::seconds{10});
  EXPECT_TRUE(empty.content->verified().empty());
}

TEST_F(SwarmTest, AfterLeavingTheStoreIsNoLongerTouched) {
  TestMachine& seed = add(true);
  TestMachine& empty = add(false);
  run_for(queue_, kEstablished);
  empty.member->allow(kAll);
  run_for(queue_, std::chrono::milliseconds{20});
  bool left = false;
  empty.member->leave([&] { left = true; });
  EXPECT_FALSE(left);
  const StoreTotals before = empty.store.totals(manifest_.content.id);
  EXPECT_GT(before.peer_received, 0U);
  run_for(queue_, std::chrono::seconds{1});
  EXPECT_TRUE(left);
  EXPECT_EQ(empty.store.totals(manifest_.content.id).received(), before.received());
  EXPECT_EQ(seed.facts.count<core::PeerLeft>(), 1U);
  empty.member = empty.swarm.join({manifest_, empty.content, {}, {}}, empty.facts.sink());
  empty.member->allow(kAll);
  ASSERT_TRUE(run_until([&] { return empty.content->verified().full(); }));
}

TEST_F(SwarmTest, WhatASourceSentBeforeItLeftStaysAndAnotherSendsTheRest) {
  TestMachine& first = add(true);
  TestMachine& empty = add(false);
  run_for(queue_, kEstablished);
  const core::PieceIndex piece{7};
  empty.member->allow({piece, piece + 1});
  run_for(queue_, std::chrono::microseconds{1500});  // 150 kB of 256 KiB
  first.member.reset();
  EXPECT_LT(empty.content->missing_bytes(piece), kPiece);
  add(true);
  ASSERT_TRUE(run_until([&] { return empty.content->verified().contains(piece); }));
  const StoreTotals totals = empty.store.totals(manifest_.content.id);
  EXPECT_EQ(totals.received(), kPiece);
  EXPECT_EQ(empty.facts.all<core::PieceVerified>().at(0).from.size(), 2U);
}

TEST_F(SwarmTest, DestroyingAMemberLeavesToo) {
  TestMachine& seed = add(true);
  TestMachine& empty = add(false);
  run_for(queue_, kEstablished);
  empty.member.reset();
  EXPECT_EQ(seed.facts.count<core::PeerLeft>(), 1U);
}

TEST_F(SwarmTest, MachinesOfDifferentContentsDoNotMeet) {
  TestMachine& one = add(true);
  manifest_ = test_manifest(kPieces);
  manifest_.infohash = simulated_digest(9, 9);
  add(true);
  run_for(queue_, kEstablished);
  EXPECT_EQ(one.facts.count<core::PeerJoined>(), 0U);
}

// Thirty machines, too many for a full mesh.
class CrowdTest : public SwarmTest {
 protected:
  static constexpr std::uint32_t kMachines = 30;

  CrowdTest() : SwarmTest({.connections_max = 6, .connections_out = 2}) {}
  // `seeds` of them have the file.
  void gather(std::uint32_t seeds = 0) {
    for (std::uint32_t host = 0; host < kMachines; ++host) {
      add(host < seeds);
      run_for(queue_, std::chrono::milliseconds{30});
    }
    run_for(queue_, kEstablished);
  }
};

TEST_F(CrowdTest, TakesNoMoreConnectionsThanAllowed) {
  gather();
  for (const auto& m : machines_) {
    EXPECT_GE(m->facts.count<core::PeerJoined>(), settings_.connections_out);
    EXPECT_LE(m->facts.count<core::PeerJoined>(), settings_.connections_max);
  }
}

class LargeSiteTest : public SwarmTest {
 protected:
  static constexpr std::uint32_t kFirst = 6;

  LargeSiteTest() : SwarmTest({.connections_max = 6, .connections_out = 2, .machines = 30}) {}
};

// They would have no room for those that come later, and be a site of their own.
TEST_F(LargeSiteTest, ItsFirstMachinesDoNotAllConnectToOneAnother) {
  for (std::uint32_t host = 0; host < kFirst; ++host) add(false);
  run_for(queue_, kEstablished);
  std::uint32_t ends = 0;
  for (std::uint32_t host = 0; host < kFirst; ++host) {
    EXPECT_GE(site_.connections(host), settings_.connections_out) << host;
    ends += site_.connections(host);
  }
  EXPECT_LE(ends, kFirst * 2 * settings_.connections_out);
}

TEST_F(LargeSiteTest, PassesOnWhatTheFirstMachineHas) {
  add(true);
  for (std::uint32_t host = 1; host < kFirst; ++host) add(false).member->allow(kAll);
  run_for(queue_, std::chrono::minutes{1});
  for (const auto& m : machines_) EXPECT_GE(m->content->verified().count(), kPieces - 1);
}

// News reach the engine in batches there; none may be left behind.
TEST_F(CrowdTest, HearsOfEveryPieceOfItsNeighbours) {
  gather();
  for (std::uint32_t p = 0; p < kPieces; ++p) {
    machines_.front()->member->announce(core::PieceIndex{p});
    run_for(queue_, std::chrono::milliseconds{3});
  }
  run_for(queue_, settings_.crowd_tell_interval + settings_.news_interval + settings_.latency_max);
  std::size_t heard = 0;
  for (const auto& m : machines_) {
    for (const auto& fact : m->facts.all<core::PeersReport>()) heard += fact.news.size();
    heard += m->facts.count<core::PeerHasPiece>();
  }
  EXPECT_EQ(heard, kPieces * machines_.front()->facts.count<core::PeerJoined>());
}

// No engine announces anything here: pieces go on as soon as they are verified, but for the last
// piece of each machine, so that one may be missing where all neighbours had it last.
TEST_F(CrowdTest, PassesPiecesOnAndTellsEachVerdictAndEachByteOnce) {
  gather(1);
  for (std::uint32_t host = 1; host < kMachines; ++host) machines_[host]->member->allow(kAll);
  run_for(queue_, std::chrono::minutes{1});
  for (std::uint32_t host = 1; host < kMachines; ++host) {
    const TestMachine& m = *machines_[host];
    const std::uint32_t verified = m.content->verified().count();
    EXPECT_GE(verified, kPieces - 1) << host;
    std::size_t told = m.facts.count<core::PieceVerified>();
    std::map<core::SourceId, std::uint64_t> received;
    for (const auto& report : m.facts.all<core::PeersReport>()) {
      told += report.brought.size();
      for (const core::PeerProgressed& total : report.totals) {
        received[total.peer] = total.received.value;
      }
    }
    EXPECT_EQ(told, verified) << host;
    std::uint64_t bytes = 0;
    for (const auto& [peer, total] : received) bytes += total;
    if (verified < kPieces) {
      EXPECT_EQ(bytes, std::uint64_t{verified} * kPiece) << host;
    }
  }
}

// Who claims something needs to know at once what there is.
TEST_F(CrowdTest, AClaimBringsTheNewsAtOnce) {
  gather();
  TestMachine& m = *machines_.back();
  run_for(queue_, settings_.crowd_tell_interval);
  for (const auto& other : machines_) {
    if (other.get() != &m) other->member->announce(core::PieceIndex{3});
  }
  run_for(queue_, settings_.latency_max);
  const std::array to{peer_of(m)};
  m.facts.events.clear();
  m.member->send(to, core::Claim{.run = 1, .pieces = {core::PieceIndex{3}, core::PieceIndex{4}}});
  run_for(queue_, std::chrono::milliseconds{1});
  const auto reports = m.facts.all<core::PeersReport>();
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_GE(reports[0].news.size(), settings_.connections_out);
}

}  // namespace
}  // namespace lanward::simulator
