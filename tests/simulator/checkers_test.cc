#include "simulator/checkers.h"

#include <gtest/gtest.h>

namespace lanward::simulator {
namespace {

using namespace std::chrono_literals;
using core::ClaimMode;
using core::PieceIndex;
using core::RequestId;

constexpr std::uint64_t kPiece = 256 * core::kKiB;

// A site of sixteen pieces, whose machines are played by the test.
class Checkers : public testing::Test {
 protected:
  Checkers() {
    scenario_.size = core::ByteCount{16 * kPiece};
    scenario_.peers = 8;
    layout_ = core::PieceLayout(scenario_.size, kPiece);
  }
  SiteChecker& site() {
    if (!site_) site_.emplace(scenario_, layout_, queue_);
    return *site_;
  }
  MachineChecker& machine(std::uint32_t host) { return site().add(host); }
  // With somebody around, for long enough.
  MachineChecker& acquainted(std::uint32_t host) {
    MachineChecker& m = machine(host);
    m.on_fact(core::PeerMessage{core::SourceId{2}, core::Hello{.key = {}, .willing = true}});
    wait(100ms);
    return m;
  }
  void wait(core::Duration time) {
    queue_.after(time, [] {});
    queue_.step();
  }
  static core::PieceSpan pieces(std::uint32_t begin, std::uint32_t end) {
    return {PieceIndex{begin}, PieceIndex{end}};
  }
  void claim(MachineChecker& m, std::uint32_t run, core::PieceSpan span,
             ClaimMode mode = ClaimMode::lease) {
    m.on_send(1, core::Claim{.run = run, .pieces = span, .mode = mode});
  }
  void fetch(MachineChecker& m, std::uint64_t request, core::PieceSpan span) {
    ports::RangeRequest range;
    range.span = layout_.bytes(span);
    m.on_fetch(RequestId{request}, range);
  }
  void finish(MachineChecker& m, std::uint64_t request, core::PieceSpan span) {
    m.on_fact(core::RangeProgressed{RequestId{request}, layout_.bytes(span).end});
    m.on_fact(core::RangeFinished{RequestId{request}});
    for (PieceIndex p = span.begin; p < span.end; ++p) gets(m, p.value);
  }
  void fetch_whole(MachineChecker& m, std::uint64_t request, core::PieceSpan span) {
    fetch(m, request, span);
    finish(m, request, span);
  }
  // Claimed long enough before.
  void claim_and_fetch(MachineChecker& m, std::uint32_t run, core::PieceSpan span) {
    claim(m, run, span);
    wait(1s);
    fetch(m, run, span);
  }
  static void gets(MachineChecker& m, std::uint32_t piece) {
    m.on_fact(core::PieceVerified{PieceIndex{piece}, {}});
  }
  // The rules that were broken, one word for each time.
  std::string broken() {
    std::string rules;
    for (const std::string& v : site().violations()) {
      rules += (rules.empty() ? "" : " ") + v.substr(0, 2);
    }
    return rules;
  }

  Scenario scenario_;
  core::PieceLayout layout_;
  EventQueue queue_;
  std::optional<SiteChecker> site_;
};

TEST_F(Checkers, AnOrderlyRunBreaksNothing) {
  MachineChecker& a = acquainted(0);
  claim(a, 1, pieces(0, 4));
  wait(scenario_.policy.lease_settle);
  fetch(a, 1, pieces(0, 4));
  EXPECT_TRUE(a.pulling());
  claim(a, 2, pieces(4, 8));
  wait(100ms);
  finish(a, 1, pieces(0, 4));
  fetch_whole(a, 2, pieces(4, 8));
  EXPECT_FALSE(a.pulling());
  a.complete();
  site().finish(8 * kPiece);
  EXPECT_EQ(broken(), "");
  EXPECT_EQ(site().figures().claims, 2U);
  EXPECT_EQ(site().figures().run_lengths[2], 2U);
  EXPECT_EQ(site().figures().pullers_most, 1U);
}

TEST_F(Checkers, S1TellsOfPiecesAskedTwiceByOneMachine) {
  MachineChecker& a = machine(0);
  fetch(a, 1, pieces(0, 4));
  fetch(a, 2, pieces(3, 5));
  EXPECT_NE(broken().find("S1"), std::string::npos);
}

TEST_F(Checkers, S1TellsOfPiecesThatAreThere) {
  MachineChecker& a = machine(0);
  gets(a, 3);
  fetch(a, 1, pieces(2, 3));
  wait(1ms);
  EXPECT_EQ(broken(), "");
  fetch(a, 2, pieces(3, 4));
  EXPECT_EQ(broken(), "S1");
}

TEST_F(Checkers, S1AllowsWhatTheEngineCannotKnowYet) {
  MachineChecker& a = machine(0);
  gets(a, 3);
  fetch(a, 1, pieces(3, 4));
  EXPECT_EQ(broken(), "");
}

TEST_F(Checkers, S2WantsClaimsToSettle) {
  MachineChecker& a = acquainted(0);
  fetch(a, 1, pieces(0, 1));
  EXPECT_EQ(broken(), "S2");
  claim(a, 1, pieces(4, 6));
  wait(scenario_.policy.lease_settle - 1ms);
  fetch(a, 2, pieces(4, 6));
  EXPECT_EQ(broken(), "S2 S2");
}

TEST_F(Checkers, S2AsksNoSettlingOfSoloClaimsNorOfWhoIsAlone) {
  MachineChecker& a = acquainted(0);
  claim(a, 1, pieces(0, 1), ClaimMode::solo);
  fetch(a, 1, pieces(0, 1));
  MachineChecker& alone = machine(1);
  fetch(alone, 1, pieces(4, 8));
  EXPECT_EQ(broken(), "");
  EXPECT_EQ(site().figures().solo_bytes, kPiece);
}

TEST_F(Checkers, S3TellsOfBytesAskedByTwoMachines) {
  fetch(machine(0), 1, pieces(0, 2));
  MachineChecker& b = acquainted(1);
  claim_and_fetch(b, 1, pieces(1, 3));
  EXPECT_EQ(broken(), "S3");
}

TEST_F(Checkers, S3AsksNothingOfWhoKnowsNobody) {
  fetch(machine(0), 1, pieces(0, 2));
  fetch(machine(1), 1, pieces(1, 3));
  EXPECT_EQ(broken(), "");
  EXPECT_EQ(site().figures().blind_bytes, 4 * kPiece);
}

TEST_F(Checkers, S3TakesBackWhatWasCancelledOrLost) {
  MachineChecker& a = machine(0);
  fetch(a, 1, pieces(0, 4));
  a.on_fact(core::RangeProgressed{RequestId{1}, kPiece});
  a.on_cancel(RequestId{1});
  MachineChecker& b = machine(1);
  fetch(b, 1, pieces(1, 3));
  b.gone();
  MachineChecker& c = acquainted(2);
  claim_and_fetch(c, 1, pieces(1, 4));
  EXPECT_EQ(broken(), "");
}

TEST_F(Checkers, S3HoldsInUndisturbedScenariosOnly) {
  scenario_.swarm.message_loss_ppm = 1;
  fetch(machine(0), 1, pieces(0, 2));
  fetch(machine(1), 1, pieces(0, 2));
  EXPECT_EQ(broken(), "");
}

TEST_F(Checkers, S3ComparesTheEgressWithTheFile) {
  site().finish(16 * kPiece + 1);
  EXPECT_EQ(broken(), "S3");
}

TEST_F(Checkers, S4LimitsHedgesOverTheSite) {
  for (std::uint32_t host = 0; host < 3; ++host) {
    MachineChecker& m = acquainted(host);
    claim(m, 1, pieces(host, host + 1), ClaimMode::hedge);
    fetch(m, 1, pieces(host, host + 1));
  }
  site().finish(0);
  EXPECT_EQ(broken(), "S4");
  EXPECT_EQ(site().figures().hedge_bytes, 3 * kPiece);
}

TEST_F(Checkers, S5AllowsOneRunMoreThanRangesAtOnce) {
  scenario_.policy.origin_requests_max = 1;
  MachineChecker& a = acquainted(0);
  claim(a, 1, pieces(0, 1));
  claim(a, 2, pieces(1, 2));
  a.on_send(1, core::Unclaim{.run = 1, .pieces = pieces(0, 1)});
  claim(a, 3, pieces(2, 3));
  EXPECT_EQ(broken(), "");
  claim(a, 4, pieces(3, 4));
  EXPECT_EQ(broken(), "S5");
}

TEST_F(Checkers, S8LimitsMachinesThatFetchLeasedRuns) {
  scenario_.policy.pullers_max = 2;
  for (std::uint32_t host = 0; host < 3; ++host) {
    MachineChecker& m = acquainted(host);
    claim_and_fetch(m, 1, pieces(host, host + 1));
  }
  EXPECT_EQ(broken(), "S8");
  EXPECT_EQ(site().figures().pullers_most, 3U);
}

TEST_F(Checkers, S9WaitsForThePolicyDelayAndEndsWithTheTransfer) {
  scenario_.policy.http_delay = 2s;
  MachineChecker& a = machine(0);
  wait(1s);
  fetch(a, 1, pieces(0, 1));
  EXPECT_EQ(broken(), "S9");
  wait(1s);
  fetch(a, 2, pieces(1, 2));
  EXPECT_EQ(broken(), "S9");
  a.complete();
  fetch(a, 3, pieces(2, 3));
  EXPECT_EQ(broken(), "S9 S9");
}

TEST_F(Checkers, L1TellsOfAWaitBeyondAllPatience) {
  MachineChecker& a = machine(0);
  wait(20s);
  gets(a, 0);
  EXPECT_EQ(broken(), "");
  EXPECT_EQ(a.worst_stall(), 20s);
  wait(25s);
  gets(a, 1);
  EXPECT_EQ(broken(), "L1");
}

TEST_F(Checkers, L1BlamesNobodyForAnOutage) {
  MachineChecker& a = machine(0);
  wait(1s);
  site().set_origin_up(false);
  wait(60s);
  site().set_origin_up(true);
  wait(20s);
  gets(a, 1);
  EXPECT_EQ(broken(), "");
  EXPECT_EQ(a.worst_stall(), 81s);
}

TEST_F(Checkers, L1LooksAtWhoNeverEndsButNotAtWhoIsGone) {
  MachineChecker& a = machine(0);
  machine(1);
  a.gone();
  wait(60s);
  site().finish(0);
  EXPECT_EQ(broken(), "L1 L3");
}

// The first pieces are fetched, and then nobody fetches for so long.
TEST_F(Checkers, L3WantsSomebodyToFetchWhatNobodyHas) {
  MachineChecker& a = machine(0);
  fetch_whole(a, 1, pieces(0, 4));
  wait(1s);
  fetch_whole(a, 2, pieces(4, 5));
  EXPECT_EQ(broken(), "");
  wait(3s);
  fetch(a, 3, pieces(5, 6));
  EXPECT_EQ(broken(), "L3");
  EXPECT_EQ(site().figures().idle_most, 3s);
}

TEST_F(Checkers, L3AsksNothingWhenTheSiteHasEverything) {
  MachineChecker& a = machine(0);
  MachineChecker& b = machine(1);
  fetch_whole(a, 1, pieces(0, 16));
  a.complete();
  wait(10s);
  fetch(b, 1, pieces(0, 1));
  EXPECT_EQ(broken(), "");
  // Its pieces are gone with it, and nobody fetches them.
  a.gone();
  b.on_cancel(RequestId{1});
  wait(10s);
  fetch(b, 2, pieces(0, 1));
  EXPECT_EQ(broken(), "L3");
}

TEST_F(Checkers, L3BlamesNobodyForAnOutageNorForTheDelay) {
  scenario_.policy.http_delay = 20s;
  MachineChecker& a = machine(0);
  wait(20s);
  fetch_whole(a, 1, pieces(0, 1));
  site().set_origin_up(false);
  wait(8s);
  site().set_origin_up(true);
  wait(8s);
  fetch(a, 2, pieces(1, 2));
  EXPECT_EQ(broken(), "");
}

TEST_F(Checkers, S7GivesLiarsTheirCreditAndNoMore) {
  scenario_.adversaries = {{.kind = AdversaryKind::have_liar, .count = 2}};
  MachineChecker& a = machine(0);
  wait(2s);
  fetch_whole(a, 1, pieces(0, 1));
  EXPECT_EQ(broken(), "");
  wait(3s);
  fetch(a, 2, pieces(1, 2));
  EXPECT_EQ(broken(), "S7");
}

TEST_F(Checkers, S6AndL2LetHogsHoldLittleAndNotForLong) {
  scenario_.adversaries = {{.kind = AdversaryKind::hog, .count = 1}};
  MachineChecker& a = machine(0);
  wait(3s);
  fetch(a, 1, pieces(0, 8));
  EXPECT_EQ(broken(), "S6");
  finish(a, 1, pieces(0, 8));
  // As many as a stranger may claim.
  wait(7s);
  fetch_whole(a, 2, pieces(8, 9));
  EXPECT_EQ(broken(), "S6");
  wait(10s);
  fetch(a, 3, pieces(9, 10));
  EXPECT_EQ(broken(), "S6 L2");
}

TEST_F(Checkers, ConflictsArePiecesClaimedByTwo) {
  MachineChecker& a = machine(0);
  MachineChecker& b = machine(1);
  claim(a, 1, pieces(0, 4));
  claim(b, 1, pieces(2, 6));
  EXPECT_EQ(site().figures().conflicts, 2U);
  // Told again to somebody new it is no second claim.
  claim(a, 1, pieces(0, 4));
  EXPECT_EQ(site().figures().conflicts, 2U);
  EXPECT_EQ(site().figures().claims, 2U);
}

TEST_F(Checkers, ManyViolationsOfOneRuleAreCounted) {
  scenario_.policy.http_delay = 1h;
  MachineChecker& a = machine(0);
  for (std::uint32_t i = 0; i < 10; ++i) fetch(a, i + 1, pieces(i, i + 1));
  site().finish(0);
  EXPECT_EQ(broken(), "S9 S9 S9 S9 S9");
  EXPECT_EQ(site().violations().back(), "S9: 6 more of the kind");
  EXPECT_NE(site().violations().front().find("machine 0: piece 0 asked"), std::string::npos);
}

}  // namespace
}  // namespace lanward::simulator
