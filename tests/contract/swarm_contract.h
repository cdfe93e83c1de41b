// What every Swarm must do. Include it in one test file per implementation and write
//   INSTANTIATE_TEST_SUITE_P(MySwarm, SwarmContract, testing::Values(&make_my_swarm));
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "engine/ports/swarm.h"
#include "tests/support/watch.h"

namespace lanward::test {

// A machine with a store and at most one membership in the swarm of the content. As an engine does,
// the world announces every piece that the store verifies while it is a member.
class Peer {
 public:
  virtual ~Peer() = default;
  virtual void join() = 0;
  // REQUIRES: joined.
  [[nodiscard]] virtual ports::SwarmMember& member() = 0;
  [[nodiscard]] virtual const ports::ContentStore& store() const = 0;
  // An origin brings the piece.
  virtual void put(core::PieceIndex piece) = 0;

  // Of swarm and store, in order; guarded by the watch.
  std::vector<core::Event> facts;
  // Where the latest membership begins in `facts`: sources are scoped to one.
  std::size_t joined_at = 0;
};

// A local network on which every machine finds those that joined before it.
class SwarmWorld {
 public:
  virtual ~SwarmWorld() = default;
  [[nodiscard]] virtual Peer& add() = 0;
  [[nodiscard]] virtual const core::PieceLayout& layout() const = 0;
  // Lets the machines work until the condition holds; false when it never will.
  [[nodiscard]] virtual bool wait(const std::function<bool()>& condition) = 0;
  // Why the cases about lease messages cannot be run; null: they can.
  [[nodiscard]] virtual const char* why_no_leases() const {
    return "this world does not say that its members carry lease messages";
  }

  Watch watch;
};

using SwarmFactory = std::unique_ptr<SwarmWorld> (*)();

inline constexpr std::uint32_t kSwarmPieces = 40;  // of the content of every world

class SwarmContract : public testing::TestWithParam<SwarmFactory> {
 protected:
  void SetUp() override { world_ = GetParam()(); }
  void TearDown() override {
    for (const Peer* peer : peers_) expect_sense(*peer);
  }

  // A machine that joins with these pieces.
  Peer& add(core::PieceSpan pieces) {
    Peer& peer = world_->add();
    peers_.push_back(&peer);
    for (core::PieceIndex p = pieces.begin; p < pieces.end; ++p) peer.put(p);
    EXPECT_TRUE(wait([&] { return all<core::PieceVerified>(peer).size() == pieces.size(); }));
    join(peer);
    return peer;
  }
  void join(Peer& peer) {
    expect_sense(peer);  // of the membership before, if any
    world_->watch.change([&] { peer.joined_at = peer.facts.size(); });
    peer.join();
  }
  Peer& add_full() { return add(span(0, kSwarmPieces)); }
  Peer& add_empty() { return add({}); }
  [[nodiscard]] static core::PieceSpan span(std::uint32_t begin, std::uint32_t end) {
    return {core::PieceIndex{begin}, core::PieceIndex{end}};
  }

  [[nodiscard]] bool wait(const std::function<bool()>& condition) {
    return world_->wait(condition);
  }
  template <class Fact>
  [[nodiscard]] std::vector<Fact> all(const Peer& peer) const {
    return world_->watch.look([&] {
      std::vector<Fact> found;
      for (const core::Event& event : peer.facts) {
        if (const auto* fact = std::get_if<Fact>(&event)) found.push_back(*fact);
      }
      return found;
    });
  }
  template <class Fact>
  [[nodiscard]] bool wait_for(const Peer& peer, std::size_t count) {
    return wait([&] { return all<Fact>(peer).size() >= count; });
  }
  // Waits until the peer knows of a neighbour with so many pieces; SourceId{} if that fails.
  [[nodiscard]] core::SourceId wait_neighbour(const Peer& peer, std::uint32_t pieces) {
    core::SourceId found;
    const bool heard = wait([&] {
      for (const auto& told : all<core::PeerHasPieces>(peer)) {
        if (told.pieces.count() == pieces) found = told.peer;
      }
      return core::is_peer(found);
    });
    EXPECT_TRUE(heard);
    return found;
  }
  // Lets everything happen that could: a new member fetches all of the file from the others.
  void settle() {
    Peer& barrier = add_empty();
    barrier.member().allow(span(0, kSwarmPieces));
    ASSERT_TRUE(wait([&] { return barrier.store().verified().full(); }));
  }

  static ports::SourceLedger ledger(const Peer& peer, core::SourceId source) {
    for (const ports::SourceLedger& line : peer.store().ledger()) {
      if (line.source == source) return line;
    }
    return {source, {}, {}, {}};
  }
  static std::uint64_t from_peers(const Peer& peer) {
    std::uint64_t bytes = 0;
    for (const ports::SourceLedger& line : peer.store().ledger()) {
      if (core::is_peer(line.source)) bytes += line.received.value;
    }
    return bytes;
  }
  [[nodiscard]] std::size_t count_swarm_facts(const Peer& peer) const {
    return world_->watch.look([&] {
      return std::count_if(peer.facts.begin(), peer.facts.end(), [](const core::Event& event) {
        return !std::holds_alternative<core::PieceVerified>(event);
      });
    });
  }
  [[nodiscard]] std::uint64_t bytes_of(core::PieceSpan pieces) const {
    std::uint64_t bytes = 0;
    for (core::PieceIndex p = pieces.begin; p < pieces.end; ++p) {
      bytes += world_->layout().size_of(p);
    }
    return bytes;
  }

  // Leaves and waits for the end.
  void leave(Peer& peer) {
    bool done = false;
    peer.member().leave([this, &done] { world_->watch.change([&] { done = true; }); });
    ASSERT_TRUE(wait([&] { return done; }));
  }

  // Nobody has pieces who has not joined, or who has left; totals never go back.
  void expect_sense(const Peer& peer) const {
    std::map<core::SourceId, int> joined;
    std::map<core::SourceId, core::PeerProgressed> totals;
    const auto facts = world_->watch.look([&] {
      const auto begin = peer.facts.begin() + static_cast<std::ptrdiff_t>(peer.joined_at);
      return std::vector<core::Event>(begin, peer.facts.end());
    });
    for (const core::Event& event : facts) {
      if (const auto* in = std::get_if<core::PeerJoined>(&event)) {
        EXPECT_TRUE(core::is_peer(in->peer));
        EXPECT_FALSE(in->address.empty());
        ++joined[in->peer];
      } else if (const auto* out = std::get_if<core::PeerLeft>(&event)) {
        EXPECT_EQ(joined[out->peer]--, 1);
      } else if (const auto* has = std::get_if<core::PeerHasPieces>(&event)) {
        EXPECT_EQ(joined[has->peer], 1);
        EXPECT_EQ(has->pieces.universe(), kSwarmPieces);
      } else if (const auto* one = std::get_if<core::PeerHasPiece>(&event)) {
        EXPECT_EQ(joined[one->peer], 1);
        EXPECT_LT(one->piece.value, kSwarmPieces);
      } else if (const auto* said = std::get_if<core::PeerMessage>(&event)) {
        EXPECT_EQ(joined[said->peer], 1);
      } else if (const auto* now = std::get_if<core::PeerProgressed>(&event)) {
        EXPECT_TRUE(joined.contains(now->peer));
        const core::PeerProgressed before = std::exchange(totals[now->peer], *now);
        EXPECT_GE(now->received, before.received);
        EXPECT_GE(now->wasted, before.wasted);
        EXPECT_GE(now->served, before.served);
      }
    }
  }

  std::unique_ptr<SwarmWorld> world_;
  std::vector<const Peer*> peers_;
};

TEST_P(SwarmContract, MembersHearOfEachOtherAndOfWhatTheyHave) {
  Peer& some = add(span(3, 7));
  Peer& none = add_empty();
  const core::SourceId source = wait_neighbour(none, 4);
  ASSERT_TRUE(wait_for<core::PeerHasPieces>(some, 1));
  for (const Peer* peer : {&some, &none}) {
    EXPECT_EQ(all<core::PeerJoined>(*peer).size(), 1U);
    EXPECT_TRUE(all<core::PeerLeft>(*peer).empty());
  }
  EXPECT_EQ(all<core::PeerJoined>(none)[0].peer, source);
  EXPECT_EQ(all<core::PeerHasPieces>(none).back().pieces, some.store().verified());
  EXPECT_TRUE(all<core::PeerHasPieces>(some).back().pieces.empty());
}

TEST_P(SwarmContract, NothingArrivesWhileAllIsReserved) {
  add_full();
  Peer& patient = add_empty();
  static_cast<void>(wait_neighbour(patient, kSwarmPieces));
  settle();
  EXPECT_EQ(from_peers(patient), 0U);
  EXPECT_TRUE(patient.store().verified().empty());
}

TEST_P(SwarmContract, AllowedPiecesArriveAndNoOthers) {
  add_full();
  Peer& picky = add_empty();
  const core::SourceId source = wait_neighbour(picky, kSwarmPieces);
  picky.member().allow(span(4, 6));
  picky.member().allow(span(kSwarmPieces - 1, kSwarmPieces));
  ASSERT_TRUE(wait_for<core::PieceVerified>(picky, 3));
  settle();
  const auto verified = all<core::PieceVerified>(picky);
  EXPECT_EQ(verified.size(), 3U);
  for (const auto& fact : verified) EXPECT_EQ(fact.from, std::vector{source});
  EXPECT_EQ(from_peers(picky),
            bytes_of(span(4, 6)) + bytes_of(span(kSwarmPieces - 1, kSwarmPieces)));
}

TEST_P(SwarmContract, WhatIsReservedAgainDoesNotArrive) {
  add_full();
  Peer& peer = add_empty();
  peer.member().allow(span(0, kSwarmPieces));
  peer.member().reserve(span(10, 20));  // before anybody can have been found
  ASSERT_TRUE(wait_for<core::PieceVerified>(peer, kSwarmPieces - 10));
  settle();
  EXPECT_EQ(peer.store().verified().count(), kSwarmPieces - 10);
  EXPECT_EQ(from_peers(peer), bytes_of(span(0, 10)) + bytes_of(span(20, kSwarmPieces)));
  peer.member().allow(span(10, 20));
  ASSERT_TRUE(wait([&] { return peer.store().verified().full(); }));
}

TEST_P(SwarmContract, APieceAnnouncedLaterIsHeardAndFetched) {
  Peer& puller = add_empty();
  Peer& reader = add_empty();
  reader.member().allow(span(0, kSwarmPieces));
  const core::SourceId source = wait_neighbour(reader, 0);
  puller.put(core::PieceIndex{7});
  ASSERT_TRUE(wait_for<core::PeerHasPiece>(reader, 1));
  EXPECT_EQ(all<core::PeerHasPiece>(reader)[0].peer, source);
  EXPECT_EQ(all<core::PeerHasPiece>(reader)[0].piece, core::PieceIndex{7});
  ASSERT_TRUE(wait_for<core::PieceVerified>(reader, 1));
  EXPECT_EQ(all<core::PieceVerified>(reader)[0].piece, core::PieceIndex{7});
  EXPECT_EQ(all<core::PieceVerified>(reader)[0].from, std::vector{source});
}

TEST_P(SwarmContract, AnnouncingTwiceSaysItOnce) {
  Peer& puller = add(span(0, 1));
  Peer& reader = add_empty();
  static_cast<void>(wait_neighbour(reader, 1));
  puller.put(core::PieceIndex{7});
  ASSERT_TRUE(wait_for<core::PeerHasPiece>(reader, 1));
  for (const std::uint32_t p : {0U, 7U, 7U}) puller.member().announce(core::PieceIndex{p});
  puller.put(core::PieceIndex{8});  // messages stay in order
  ASSERT_TRUE(wait([&] {
    const auto told = all<core::PeerHasPiece>(reader);
    return std::any_of(told.begin(), told.end(),
                       [](const auto& f) { return f.piece == core::PieceIndex{8}; });
  }));
  EXPECT_EQ(all<core::PeerHasPiece>(reader).size(), 2U);
}

TEST_P(SwarmContract, WhatCameFromOnePeerIsOfferedToTheNext) {
  Peer& first = add(span(0, 3));
  Peer& second = add_empty();
  second.member().allow(span(0, kSwarmPieces));
  ASSERT_TRUE(wait_for<core::PieceVerified>(second, 3));
  leave(first);
  Peer& third = add_empty();
  third.member().allow(span(0, kSwarmPieces));
  ASSERT_TRUE(wait_for<core::PieceVerified>(third, 3));
  EXPECT_EQ(third.store().verified(), second.store().verified());
}

TEST_P(SwarmContract, LeavingEndsWithDoneAndTheOthersHearOfIt) {
  Peer& seed = add_full();
  Peer& leaver = add_empty();
  const core::SourceId source = wait_neighbour(leaver, kSwarmPieces);
  leaver.member().allow(span(0, 5));
  ASSERT_TRUE(wait_for<core::PieceVerified>(leaver, 5));
  leave(leaver);
  const std::size_t told = count_swarm_facts(leaver);
  const std::uint64_t taken = from_peers(leaver);
  EXPECT_EQ(ledger(leaver, source).received.value, taken);
  ASSERT_TRUE(wait_for<core::PeerLeft>(seed, 1));
  settle();
  EXPECT_EQ(count_swarm_facts(leaver), told);
  EXPECT_EQ(from_peers(leaver), taken);
}

TEST_P(SwarmContract, LeavingInTheMiddleLetsGoOfTheStore) {
  add_full();
  Peer& leaver = add_empty();
  leaver.member().allow(span(0, kSwarmPieces));
  ASSERT_TRUE(wait_for<core::PieceVerified>(leaver, 1));
  leave(leaver);
  const std::size_t told = count_swarm_facts(leaver);
  const std::uint64_t taken = from_peers(leaver);
  settle();
  EXPECT_EQ(count_swarm_facts(leaver), told);
  EXPECT_EQ(from_peers(leaver), taken);
  // The membership is over; the machine may come again.
  join(leaver);
  leaver.member().allow(span(0, kSwarmPieces));
  ASSERT_TRUE(wait([&] { return leaver.store().verified().full(); }));
}

TEST_P(SwarmContract, ABannedPeerDeliversNoMore) {
  Peer& seed = add_full();
  Peer& victim = add_empty();
  const core::SourceId banned = wait_neighbour(victim, kSwarmPieces);
  victim.member().allow(span(0, 2));
  ASSERT_TRUE(wait_for<core::PieceVerified>(victim, 2));
  victim.member().ban(banned);
  victim.member().allow(span(0, kSwarmPieces));
  ASSERT_TRUE(wait_for<core::PeerLeft>(victim, 1));
  EXPECT_EQ(all<core::PeerLeft>(victim)[0].peer, banned);
  ASSERT_TRUE(wait_for<core::PeerLeft>(seed, 1));
  // Others are as welcome as before, and they are the only ones that bring anything.
  add(span(20, 25));
  ASSERT_TRUE(wait_for<core::PieceVerified>(victim, 2 + 5));
  EXPECT_EQ(ledger(victim, banned).received.value, bytes_of(span(0, 2)));
  EXPECT_EQ(victim.store().verified().count(), 2U + 5U);
}

TEST_P(SwarmContract, ABanInTheMiddleStopsWhatIsOnItsWay) {
  add_full();
  Peer& victim = add_empty();
  const core::SourceId banned = wait_neighbour(victim, kSwarmPieces);
  victim.member().allow(span(0, kSwarmPieces));
  ASSERT_TRUE(wait_for<core::PieceVerified>(victim, 1));
  victim.member().ban(banned);
  ASSERT_TRUE(wait_for<core::PeerLeft>(victim, 1));
  const std::uint64_t taken = ledger(victim, banned).received.value;
  settle();  // of which the victim gets the rest from the newcomer
  ASSERT_TRUE(wait([&] { return victim.store().verified().full(); }));
  EXPECT_EQ(ledger(victim, banned).received.value, taken);
}

TEST_P(SwarmContract, TotalsAreTheBytesThatTheStoreReceived) {
  Peer& seed = add_full();
  Peer& reader = add_empty();
  reader.member().allow(span(0, kSwarmPieces));
  ASSERT_TRUE(wait([&] { return reader.store().verified().full(); }));
  const std::uint64_t size = world_->layout().size().value;
  const auto last_is = [&](const Peer& peer, core::ByteCount core::PeerProgressed::*total) {
    const auto told = all<core::PeerProgressed>(peer);
    return !told.empty() && (told.back().*total).value == size;
  };
  ASSERT_TRUE(wait([&] { return last_is(reader, &core::PeerProgressed::received); }));
  ASSERT_TRUE(wait([&] { return last_is(seed, &core::PeerProgressed::served); }));
  const auto last = all<core::PeerProgressed>(reader).back();
  EXPECT_EQ(last.wasted.value, 0U);
  EXPECT_EQ(last.served.value, 0U);
  EXPECT_EQ(ledger(reader, last.peer).received.value, size);
  EXPECT_EQ(all<core::PeerProgressed>(seed).back().received.value, 0U);
}

TEST_P(SwarmContract, TheLastTotalsAreToldBeforeLeavingIsDone) {
  add_full();
  Peer& leaver = add_empty();
  leaver.member().allow(span(0, kSwarmPieces));
  ASSERT_TRUE(wait_for<core::PieceVerified>(leaver, 1));
  leave(leaver);
  const auto told = all<core::PeerProgressed>(leaver);
  ASSERT_FALSE(told.empty());
  const auto& last = told.back();
  EXPECT_EQ(last.received.value - last.wasted.value, from_peers(leaver));
}

TEST_P(SwarmContract, APeerThatComesBackIsTheSameSource) {
  Peer& seed = add_full();
  Peer& reader = add_empty();
  reader.member().allow(span(0, 2));
  ASSERT_TRUE(wait_for<core::PieceVerified>(reader, 2));
  leave(seed);
  ASSERT_TRUE(wait_for<core::PeerLeft>(reader, 1));
  join(seed);
  reader.member().allow(span(0, 4));
  ASSERT_TRUE(wait_for<core::PieceVerified>(reader, 4));
  const auto joined = all<core::PeerJoined>(reader);
  for (const auto& again : joined) EXPECT_EQ(again.peer, joined[0].peer);
  // Totals are those of all its sessions.
  const std::uint64_t expected = bytes_of(span(0, 4));
  EXPECT_TRUE(wait([&] {
    const auto told = all<core::PeerProgressed>(reader);
    return !told.empty() && told.back().received.value == expected;
  }));
}

// ---- lease messages ----------------------------------------------------------------------------

inline core::LeaseMessage numbered(std::uint32_t run) { return core::SplitRequest{run}; }
inline std::uint32_t number_of(const core::PeerMessage& fact) {
  return std::get<core::SplitRequest>(fact.message).run;
}

TEST_P(SwarmContract, MembersTellWhereTheyListenAndThatTheyUnderstandLeases) {
  if (const char* why = world_->why_no_leases()) GTEST_SKIP() << why;
  Peer& first = add_full();
  Peer& second = add_empty();
  ASSERT_TRUE(wait_for<core::PeerJoined>(first, 1));
  ASSERT_TRUE(wait_for<core::PeerJoined>(second, 1));
  const core::PeerJoined theirs = all<core::PeerJoined>(first)[0];
  const core::PeerJoined ours = all<core::PeerJoined>(second)[0];
  for (const auto& joined : {theirs, ours}) {
    EXPECT_TRUE(joined.leases);
    EXPECT_NE(joined.endpoint.port, 0);
  }
  EXPECT_NE(theirs.endpoint, ours.endpoint);
}

TEST_P(SwarmContract, LeaseMessagesArriveInOrder) {
  if (const char* why = world_->why_no_leases()) GTEST_SKIP() << why;
  constexpr std::uint32_t kMessages = 100;
  Peer& first = add_full();
  Peer& second = add_empty();
  const core::SourceId to_first = wait_neighbour(second, kSwarmPieces);
  const core::SourceId to_second = wait_neighbour(first, 0);
  for (std::uint32_t i = 0; i < kMessages; ++i) {
    first.member().send(std::vector{to_second}, numbered(i));
    second.member().send(std::vector{to_first}, numbered(1000 + i));
  }
  ASSERT_TRUE(wait_for<core::PeerMessage>(first, kMessages));
  ASSERT_TRUE(wait_for<core::PeerMessage>(second, kMessages));
  for (std::uint32_t i = 0; i < kMessages; ++i) {
    EXPECT_EQ(all<core::PeerMessage>(first)[i].peer, to_second);
    EXPECT_EQ(number_of(all<core::PeerMessage>(first)[i]), 1000 + i);
    EXPECT_EQ(all<core::PeerMessage>(second)[i].peer, to_first);
    EXPECT_EQ(number_of(all<core::PeerMessage>(second)[i]), i);
  }
}

TEST_P(SwarmContract, LeaseMessagesAreHeardByThoseWhoAreNamedOnly) {
  if (const char* why = world_->why_no_leases()) GTEST_SKIP() << why;
  Peer& teller = add(span(0, 1));
  Peer& one = add(span(0, 2));
  Peer& other = add(span(0, 3));
  const core::SourceId to_one = wait_neighbour(teller, 2);
  const core::SourceId to_other = wait_neighbour(teller, 3);
  const core::SourceId nobody{to_other.value + to_one.value};
  teller.member().send(std::vector{to_other}, numbered(1));
  teller.member().send(std::vector<core::SourceId>{}, numbered(2));
  teller.member().send(std::vector{nobody, to_one}, numbered(3));
  teller.member().send(std::vector{to_one, to_other}, numbered(4));
  ASSERT_TRUE(wait_for<core::PeerMessage>(one, 2));
  ASSERT_TRUE(wait_for<core::PeerMessage>(other, 2));
  EXPECT_EQ(number_of(all<core::PeerMessage>(one)[0]), 3U);
  EXPECT_EQ(number_of(all<core::PeerMessage>(one)[1]), 4U);
  EXPECT_EQ(number_of(all<core::PeerMessage>(other)[0]), 1U);
  EXPECT_EQ(number_of(all<core::PeerMessage>(other)[1]), 4U);
  EXPECT_TRUE(all<core::PeerMessage>(teller).empty());
}

TEST_P(SwarmContract, LeaseMessagesAreNotHeardAfterLeaving) {
  if (const char* why = world_->why_no_leases()) GTEST_SKIP() << why;
  Peer& stayer = add_full();
  Peer& leaver = add_empty();
  const core::SourceId to_leaver = wait_neighbour(stayer, 0);
  const core::SourceId to_stayer = wait_neighbour(leaver, kSwarmPieces);
  stayer.member().send(std::vector{to_leaver}, numbered(1));
  leave(leaver);
  const std::size_t told = count_swarm_facts(leaver);
  stayer.member().send(std::vector{to_leaver}, numbered(2));
  leaver.member().send(std::vector{to_stayer}, numbered(3));
  settle();
  EXPECT_EQ(count_swarm_facts(leaver), told);
  EXPECT_TRUE(all<core::PeerMessage>(stayer).empty());
}

TEST_P(SwarmContract, ConnectingToANeighbourChangesNothing) {
  if (const char* why = world_->why_no_leases()) GTEST_SKIP() << why;
  add_full();
  Peer& peer = add_empty();
  const core::SourceId source = wait_neighbour(peer, kSwarmPieces);
  peer.member().connect(all<core::PeerJoined>(peer)[0].endpoint);
  peer.member().connect({});
  peer.member().allow(span(0, kSwarmPieces));
  ASSERT_TRUE(wait([&] { return peer.store().verified().full(); }));
  EXPECT_EQ(all<core::PeerJoined>(peer).size(), 1U);
  EXPECT_EQ(all<core::PeerJoined>(peer)[0].peer, source);
}

}  // namespace lanward::test
