// Several origins at once, in virtual time: what they give together, and what a slow, stalled, dead
// or lying one costs. Times are compared with what the rates alone would allow.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <numeric>
#include <string>

#include <gtest/gtest.h>

#include "engine/core/scheduler.h"
#include "tests/core/origin_world.h"

namespace lanward::core {
namespace {

using namespace std::chrono_literals;
using Mirror = OriginPlan::Mirror;
using Spell = OriginPlan::Spell;

constexpr std::uint64_t kMB = 1'000'000;

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }
double size_of(const OriginPlan& plan) {
  return static_cast<double>(std::uint64_t{plan.pieces} * plan.piece_bytes);
}
double bytes_of(const OriginOutcome& outcome) {
  return static_cast<double>(
      std::accumulate(outcome.brought.begin(), outcome.brought.end(), std::uint64_t{0}));
}
OriginPlan plan_of(std::vector<Mirror> mirrors) {
  OriginPlan plan;
  plan.mirrors = std::move(mirrors);
  return plan;
}
OriginOutcome run(const OriginPlan& plan) {
  OriginOutcome outcome = run_origin_world(plan);
  EXPECT_FALSE(outcome.violation) << *outcome.violation << "; " << plan.describe();
  return outcome;
}
// The same, and it must finish.
OriginOutcome finish(const OriginPlan& plan) {
  OriginOutcome outcome = run(plan);
  EXPECT_TRUE(outcome.complete) << plan.describe() << "; "
                                << (outcome.gave_up ? outcome.gave_up->message : "");
  return outcome;
}
// Time that the mirrors need at full rate / time that it took.
double share_of_sum(const OriginPlan& plan, const OriginOutcome& outcome) {
  double sum = 0;
  for (const Mirror& mirror : plan.mirrors) sum += static_cast<double>(mirror.rate);
  return size_of(plan) / sum / seconds(outcome.took);
}
const std::vector<Mirror> kThree = {{.rate = 20 * kMB}, {.rate = 10 * kMB}, {.rate = 5 * kMB}};

// ---- as text -----------------------------------------------------------------------------------

TEST(OriginText, APriorityStandsBehindTheUrl) {
  EXPECT_EQ(parse_origin("http://h/f;pri=7"), (OriginSpec{.url = "http://h/f", .priority = 7}));
  EXPECT_EQ(parse_origin("http://h/f"), (OriginSpec{.url = "http://h/f"}));
  for (const char* url : {"http://h/f;pri=", "http://h/f;pri=x", "http://h/f;pri=1000000",
                          "http://h/f;pri=7/g", "http://h/f;pri=-1"}) {
    EXPECT_EQ(parse_origin(url), (OriginSpec{.url = url}));
  }
}

TEST(OriginText, IsReadAsItWasWritten) {
  for (const char* url : {"http://h/f", "http://h/f;pri=7", "http://h/f;pri=0", ""}) {
    for (const std::uint32_t priority : {0U, 1U, 999'999U}) {
      const OriginSpec spec{.url = url, .priority = priority};
      EXPECT_EQ(parse_origin(origin_text(spec)), spec) << origin_text(spec);
    }
  }
}

// ---- rates -------------------------------------------------------------------------------------

TEST(Origins, MirrorsTogetherGiveTheSumOfTheirRates) {
  const OriginPlan plan = plan_of(kThree);
  EXPECT_GE(share_of_sum(plan, finish(plan)), 0.95);
}

TEST(Origins, FarMirrorsTogetherGiveTheSumOfTheirRates) {
  OriginPlan plan = plan_of(kThree);
  for (Mirror& mirror : plan.mirrors) mirror.latency = 80ms;
  EXPECT_GE(share_of_sum(plan, finish(plan)), 0.95);
}

TEST(Origins, MirrorsBehindOneLinkGiveWhatTheLinkGives) {
  OriginPlan plan = plan_of(kThree);
  plan.link = 12 * kMB;
  const OriginOutcome outcome = finish(plan);
  EXPECT_GE(size_of(plan) / static_cast<double>(plan.link) / seconds(outcome.took), 0.95);
}

TEST(Origins, MoreMirrorsThanRequestsAreSharedOutByRate) {
  OriginPlan plan = plan_of({});
  for (std::uint64_t i = 1; i <= 8; ++i) plan.mirrors.push_back({.rate = i * kMB});
  const OriginOutcome outcome = finish(plan);
  EXPECT_LE(outcome.most_at_once, plan.policy.requests_max);
  EXPECT_GE(share_of_sum(plan, outcome), 0.9);
}

TEST(Origins, ASlowMirrorCostsNothingWhateverTheOrder) {
  for (const std::uint32_t pieces : {8U, 32U, 256U}) {
    OriginPlan best = plan_of({{.rate = 20 * kMB}});
    best.pieces = pieces;
    const double alone = seconds(finish(best).took);
    for (const bool slow_first : {false, true}) {
      OriginPlan plan = plan_of({{.rate = 20 * kMB}, {.rate = kMB / 5}});
      plan.pieces = pieces;
      if (slow_first) std::reverse(plan.mirrors.begin(), plan.mirrors.end());
      EXPECT_LE(seconds(finish(plan).took), alone * 1.05 + 0.05) << pieces << " pieces";
    }
  }
}

TEST(Origins, BytesComeInProportionToTheRates) {
  const OriginPlan plan = plan_of(kThree);
  const OriginOutcome outcome = finish(plan);
  for (std::size_t i = 0; i < plan.mirrors.size(); ++i) {
    const double share = static_cast<double>(outcome.brought[i]) / bytes_of(outcome);
    EXPECT_NEAR(share, static_cast<double>(plan.mirrors[i].rate) / (35.0 * kMB), 0.03) << i;
  }
}

TEST(Origins, APullerOfASiteUsesThemTogether) {
  OriginPlan plan = plan_of(kThree);
  plan.with_peer = true;
  EXPECT_GE(share_of_sum(plan, finish(plan)), 0.95);
}

TEST(Origins, RangesOfDifferentMirrorsEndTogetherWithoutBeingCut) {
  EXPECT_TRUE(finish(plan_of(kThree)).cancelled.empty());
}

TEST(Origins, ASlowMirrorIsNotGivenWhatOthersWouldHaveToTakeBack) {
  OriginPlan plan = plan_of({{.rate = 20 * kMB}, {.rate = kMB / 2}});
  plan.pieces = 64;
  plan.piece_bytes = 4U << 20U;
  // But the pieces that it got while its rate was unknown.
  EXPECT_LE(finish(plan).cancelled.size(), std::size_t{plan.policy.origin_requests_max});
}

TEST(Origins, PriorityDecidesWhomToAskFirst) {
  OriginPlan plan = plan_of(kThree);
  for (std::uint32_t i = 0; i < 3; ++i) plan.mirrors[i].spec.priority = 3 - i;
  plan.policy.origin_requests_max = 1;
  const OriginOutcome outcome = finish(plan);
  EXPECT_EQ(outcome.asked[0].mirror, 2U);
  EXPECT_EQ(outcome.asked[1].mirror, 1U);
  EXPECT_EQ(outcome.asked[2].mirror, 0U);
  // And no more once rates are known.
  EXPECT_GT(outcome.brought[0], outcome.brought[1] + outcome.brought[2]);
}

TEST(Origins, ABackgroundTransferKeepsToItsFewRequests) {
  OriginPlan plan = plan_of(kThree);
  plan.background = true;
  EXPECT_EQ(finish(plan).most_at_once, plan.policy.background_requests_max);
}

// ---- slow, stalled, dead -----------------------------------------------------------------------

// Half way through.
constexpr Duration kMiddle = 3'800ms;

TEST(Origins, AMirrorThatDiesCostsItsRateAndNoMore) {
  for (std::size_t who = 0; who < kThree.size(); ++who) {
    for (const int way : {0, 1, 2}) {
      const bool stall = way > 0;
      const bool with_peer = way > 1;
      OriginPlan plan = plan_of(kThree);
      plan.mirrors[who].spells = {{.from = kMiddle, .stall = stall}};
      plan.with_peer = with_peer;
      const OriginOutcome outcome = finish(plan);
      const double before = seconds(kMiddle) * 35 * kMB;
      const double left = static_cast<double>(35 * kMB - plan.mirrors[who].rate);
      const double ideal = seconds(kMiddle) + (size_of(plan) - before) / left;
      EXPECT_LE(seconds(outcome.took), ideal * 1.05) << plan.describe();
      EXPECT_LE(static_cast<double>(outcome.wasted), size_of(plan) * 0.02) << plan.describe();
    }
  }
}

TEST(Origins, AMirrorThatTurnsSlowGivesItsPieceUnderWayAway) {
  OriginPlan plan = plan_of({{.rate = 20 * kMB}, {.rate = 5 * kMB}});
  plan.pieces = 4;
  plan.piece_bytes = 16U << 20U;
  plan.mirrors[1].spells = {{.from = 500ms, .stall = true}};
  const OriginOutcome outcome = finish(plan);
  // What had come before the stall is not fetched again.
  EXPECT_LE(outcome.wasted, kMB);
  EXPECT_LE(seconds(outcome.took), size_of(plan) / (20.0 * kMB) * 1.15);
}

TEST(Origins, AStalledMirrorLosesItsPiecesWhileThereIsOtherWork) {
  OriginPlan plan = plan_of({{.rate = 5 * kMB}, {.rate = 5 * kMB}});
  plan.mirrors[1].spells = {{.from = 3s, .stall = true}};
  const OriginOutcome outcome = finish(plan);
  const std::uint64_t piece = plan.piece_bytes;
  EXPECT_TRUE(std::any_of(outcome.asked.begin(), outcome.asked.end(), [&](const auto& a) {
    const bool continues = a.range.span.begin % piece != 0;
    return a.mirror == 0 && continues && a.at >= 5s && a.at < 20s;
  }));
}

TEST(Origins, AMirrorThatFailedIsTriedWithOneRequest) {
  OriginPlan plan = plan_of(kThree);
  plan.mirrors[0].spells = {{.from = 1s, .until = 6s}};
  const OriginOutcome outcome = finish(plan);
  const auto tries = std::count_if(outcome.asked.begin(), outcome.asked.end(), [](const auto& a) {
    return a.mirror == 0 && a.at > 1s && a.at < 6s;
  });
  // At least half of 0.25 s, doubled each time.
  EXPECT_GE(tries, 1);
  EXPECT_LE(tries, 8);
}

TEST(Origins, AMirrorThatReturnsIsUsedAgain) {
  OriginPlan plan = plan_of(kThree);
  plan.mirrors[0].spells = {{.from = 1s, .until = 3s, .stall = true}};
  const OriginOutcome outcome = finish(plan);
  EXPECT_GE(outcome.brought[0], outcome.brought[1]);
}

TEST(Origins, OnASlowLinkRequestsDoNotChangeHandsAllTheTime) {
  OriginPlan plan = plan_of(kThree);
  plan.link = 40'000;
  plan.pieces = 8;
  plan.piece_bytes = 256 * 1024;
  const OriginOutcome outcome = finish(plan);
  EXPECT_LE(outcome.asked.size(), 3U * plan.pieces);
  EXPECT_LE(static_cast<double>(outcome.wasted), size_of(plan) * 0.05);
}

TEST(Origins, APauseOnASlowLinkIsNotTakenForAStall) {
  OriginPlan plan = plan_of(kThree);
  plan.link = 40'000;
  plan.pieces = 16;
  plan.piece_bytes = 256 * 1024;
  plan.mirrors[1].spells = {{.from = 20s, .until = 22'500ms, .stall = true}};
  const OriginOutcome outcome = finish(plan);
  for (const Duration when : outcome.cancelled) EXPECT_GT(when, 30s);
}

TEST(Origins, AnOutageOfAllIsWaitedOut) {
  OriginPlan plan = plan_of(kThree);
  for (Mirror& mirror : plan.mirrors) mirror.spells = {{.from = 2s, .until = 7s, .stall = true}};
  const OriginOutcome outcome = finish(plan);
  EXPECT_LE(seconds(outcome.took), size_of(plan) / (35.0 * kMB) + 5 + 1);
  EXPECT_LE(outcome.cancelled.size(), 24U);
}

// ---- lies --------------------------------------------------------------------------------------

TEST(Origins, ALyingMirrorIsStruckOffByNameAndTheOthersGoOn) {
  OriginPlan plan = plan_of(kThree);
  plan.mirrors[0].lies = true;
  plan.mirrors[0].spec.url = "http://user:secret@mirror0/f?token=secret";
  const OriginOutcome outcome = finish(plan);
  ASSERT_EQ(outcome.bans.size(), 1U);
  EXPECT_EQ(outcome.bans[0].reason.find("secret"), std::string::npos);
  EXPECT_EQ(outcome.bans[0].source, SourceId{0});
  EXPECT_NE(outcome.bans[0].reason.find("http://mirror0/f"), std::string::npos);
  EXPECT_LE(seconds(outcome.took), size_of(plan) / (15.0 * kMB) * 1.1);
}

TEST(Origins, AMirrorWithAnotherFileIsStruckOffByName) {
  for (const FailureClass kind : {FailureClass::changed, FailureClass::protocol}) {
    OriginPlan plan = plan_of(kThree);
    plan.mirrors[1].spells = {{.from = 2s, .failure = {.kind = kind, .message = {}}}};
    const OriginOutcome outcome = finish(plan);
    ASSERT_EQ(outcome.bans.size(), 1U);
    EXPECT_EQ(outcome.bans[0].source, SourceId{1});
    EXPECT_NE(outcome.bans[0].reason.find("http://mirror1/f"), std::string::npos);
    EXPECT_FALSE(outcome.first_asked(1, 2'100ms));
  }
}

TEST(Origins, AChangedFileAtTheOnlyOriginIsAnError) {
  OriginPlan plan = plan_of({{.rate = 20 * kMB}});
  plan.mirrors[0].spells = {
      {.from = 2s, .failure = {.kind = FailureClass::changed, .message = {}}}};
  const OriginOutcome outcome = run(plan);
  ASSERT_TRUE(outcome.gave_up);
  EXPECT_EQ(outcome.gave_up->code, ErrorCode::content_changed);
}

TEST(Origins, APieceOfTwoHandsThatIsWrongBansNeitherByItself) {
  // Three pieces; the liar stalls in the middle of its first, the other one continues.
  OriginPlan plan = plan_of({{.rate = 4 * kMB, .lies = true}, {.rate = 8 * kMB}});
  plan.pieces = 8;
  plan.piece_bytes = 4U << 20U;
  plan.mirrors[0].spells = {{.from = 300ms, .until = 10s, .stall = true}};
  const OriginOutcome outcome = finish(plan);
  for (const BanSource& ban : outcome.bans) EXPECT_EQ(ban.source, SourceId{0}) << ban.reason;
}

// ---- classes -----------------------------------------------------------------------------------

TEST(Origins, ACostlyOriginIsNotAskedWhileACheaperOneServes) {
  OriginPlan plan =
      plan_of({{.rate = 50 * kMB, .spec = {.price = PriceClass::costly}}, {.rate = 5 * kMB}});
  plan.pieces = 32;
  const OriginOutcome outcome = finish(plan);
  EXPECT_EQ(outcome.brought[0], 0U);
}

TEST(Origins, AHiccupOfTheCheapOneCostsNoMoney) {
  OriginPlan plan =
      plan_of({{.rate = 50 * kMB, .spec = {.price = PriceClass::costly}}, {.rate = 5 * kMB}});
  plan.pieces = 32;
  plan.mirrors[1].spells = {{.from = 1s, .until = 2s}};
  const OriginOutcome outcome = finish(plan);
  EXPECT_EQ(outcome.brought[0], 0U);
}

TEST(Origins, ACostlyOriginHelpsOutUntilTheCheapOneIsBack) {
  OriginPlan plan =
      plan_of({{.rate = 5 * kMB, .spec = {.price = PriceClass::costly}}, {.rate = 5 * kMB}});
  plan.mirrors[1].spells = {{.from = 1s, .until = 20s}};
  const OriginOutcome outcome = finish(plan);
  EXPECT_GT(outcome.brought[0], 0U);
  EXPECT_GT(*outcome.first_asked(0), 2s);
  EXPECT_TRUE(outcome.first_asked(1, 20s));
  EXPECT_FALSE(outcome.first_asked(0, 30s));
}

TEST(Origins, AnOriginWithoutRangesIsUsedOnlyWhenNobodyElseIsLeft) {
  OriginPlan plan = plan_of({{.rate = 50 * kMB, .no_ranges = true}, {.rate = 5 * kMB}});
  plan.pieces = 64;
  const OriginOutcome outcome = finish(plan);
  EXPECT_EQ(outcome.brought[0], 0U);

  plan.mirrors[1].spells = {
      {.from = 2s, .failure = {.kind = FailureClass::permanent, .message = {}}}};
  const OriginOutcome other = finish(plan);
  EXPECT_TRUE(std::any_of(other.asked.begin(), other.asked.end(),
                          [](const auto& a) { return a.range.whole_file && a.mirror == 0; }));
}

}  // namespace
}  // namespace lanward::core
