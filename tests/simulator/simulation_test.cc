#include "simulator/simulation.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "engine/core/prng.h"
#include "simulator/report.h"

namespace lanward::simulator {
namespace {

using namespace std::chrono_literals;

double seconds(core::Duration d) { return std::chrono::duration<double>(d).count(); }

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

TEST(Simulation, OneMachineIsAPlainDownloadOverTheWan) {
  Scenario s;
  s.peers = 1;
  const SimulationResult r = simulate(s);
  EXPECT_TRUE(r.violations.empty()) << joined(r.violations);
  ASSERT_TRUE(r.peers.at(0).transferred);
  // Connection set-up and request come on top of the bytes.
  const double expected = static_cast<double>(s.size.value) / static_cast<double>(s.wan.value) +
                          2 * seconds(s.origin.rtt);
  EXPECT_NEAR(seconds(*r.peers[0].transferred - r.peers[0].joined), expected, expected / 100);
  EXPECT_EQ(r.peers[0].origin_bytes, s.size.value);
  EXPECT_EQ(r.egress.total, s.size.value);
  EXPECT_EQ(r.lan_bytes, 0U);
}

TEST(Simulation, EightMachinesAreTransferredAndEveryByteIsAccountedFor) {
  const Scenario s;
  const SimulationResult r = simulate(s);
  EXPECT_TRUE(r.violations.empty()) << joined(r.violations);
  ASSERT_EQ(r.peers.size(), s.peers);
  for (const PeerResult& peer : r.peers) {
    EXPECT_EQ(peer.state, JobState::transferred);
    EXPECT_EQ(peer.origin_bytes + peer.peer_bytes, s.size.value + peer.wasted_bytes);
  }
  EXPECT_GE(r.egress.total, s.size.value);
  EXPECT_GT(r.lan_bytes, s.size.value);
  EXPECT_GE(r.makespan, r.bound);
  // Sharing must beat eight plain downloads through one link by far.
  EXPECT_LT(r.makespan, r.bound * static_cast<int>(s.peers) / 2);
}

TEST(Simulation, MachinesThatLeaveTheOriginToOthersAskItForNothing) {
  Scenario s;
  s.peers = 16;
  s.never_pullers = 12;
  for (const std::uint64_t seed : {1, 2, 3}) {
    s.seed = seed;
    const SimulationResult r = simulate(s);
    EXPECT_TRUE(r.violations.empty()) << joined(r.violations) << "seed " << seed;
    for (std::size_t i = 0; i < r.peers.size(); ++i) {
      EXPECT_EQ(r.peers[i].state, JobState::transferred) << i << " seed " << seed;
      if (i < s.never_pullers) {
        EXPECT_EQ(r.peers[i].origin_bytes, 0U) << i << " seed " << seed;
      }
    }
  }
}

TEST(Simulation, ASiteOfNothingButSuchMachinesFetchesAllTheSame) {
  Scenario s;
  s.never_pullers = s.peers;
  for (const std::uint64_t seed : {1, 2, 3}) {
    s.seed = seed;
    const SimulationResult r = simulate(s);
    for (const PeerResult& peer : r.peers) EXPECT_EQ(peer.state, JobState::transferred) << seed;
    EXPECT_TRUE(r.violations.empty()) << joined(r.violations) << "seed " << seed;
    // Some may begin at the same time; in the end one fetches for all.
    EXPECT_LT(r.egress.total, 2 * s.size.value) << seed;
  }
}

// Hedges beyond the budget of the site; what was given away of a range on its way and asked anew.
TEST(Simulation, AHealedPartitionBreaksNoRule) {
  const auto scenario = load_scenario(LANWARD_SCENARIOS "/partition.toml");
  ASSERT_TRUE(scenario.has_value()) << scenario.error().message;
  Scenario s = *scenario;
  for (const std::uint64_t seed : {3, 5, 7}) {
    s.seed = seed;
    const SimulationResult r = simulate(s);
    EXPECT_TRUE(r.violations.empty()) << joined(r.violations) << "seed " << seed;
  }
}

TEST(Simulation, EqualScenariosPrintEqualBytesAndOtherSeedsOthers) {
  Scenario s;
  s.size = core::ByteCount{16 * core::kMiB};
  s.seed = 7;
  const std::string text = to_text(simulate(s));
  const std::string json = to_json(simulate(s));
  EXPECT_EQ(to_text(simulate(s)), text);
  EXPECT_EQ(to_json(simulate(s)), json);
  s.seed = 8;
  EXPECT_NE(to_text(simulate(s)), text);
}

// Everything but the size of the machine is drawn.
TEST(Simulation, HoldsItsInvariantsInDrawnScenarios) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    core::Prng prng(core::Seed{seed});
    Scenario s;
    s.seed = seed;
    s.peers = static_cast<std::uint32_t>(1 + prng.below(12));
    s.size = core::ByteCount{1 + prng.below(24 * core::kMiB)};
    s.wan = core::ByteRate{200'000 + prng.below(50'000'000)};
    s.lan = core::ByteRate{2'000'000 + prng.below(200'000'000)};
    s.join.within = core::Duration{static_cast<std::int64_t>(prng.below(5'000'000'000))};
    s.origin.rtt = core::Duration{static_cast<std::int64_t>(prng.below(200'000'000))};
    if (prng.below(2) == 0) s.origin.connection_rate = core::ByteRate{s.wan.value / 3};
    if (prng.below(3) == 0) s.piece_bytes = 16U << (10 + prng.below(6));
    const SimulationResult r = simulate(s);
    EXPECT_TRUE(r.violations.empty()) << joined(r.violations);
    EXPECT_GE(r.egress.total, s.size.value);
  }
}

TEST(Simulation, AWrongCopyAtTheOriginIsReportedAndNeverDelivered) {
  Scenario s;
  s.peers = 3;
  s.size = core::ByteCount{8 * core::kMiB};
  s.corrupt = {{5'000'000, 5'000'001}};
  const SimulationResult r = simulate(s);
  ASSERT_FALSE(r.violations.empty());
  for (const PeerResult& peer : r.peers) {
    EXPECT_FALSE(peer.transferred);
    EXPECT_EQ(peer.state, JobState::error);
    EXPECT_NE(peer.error.find("piece 19"), std::string::npos) << peer.error;
  }
  for (const std::string& v : r.violations) {
    EXPECT_EQ(v.find("wrong bytes"), std::string::npos) << v;
    EXPECT_NE(v.find("not transferred"), std::string::npos) << v;
  }
}

TEST(Simulation, TheBoundIsTheTightestOfItsThreeLinks) {
  Scenario s;
  s.peers = 4;
  s.size = core::ByteCount{1'000'000'000};
  s.wan = core::ByteRate{10'000'000};
  s.lan = core::ByteRate{100'000'000};
  EXPECT_EQ(bound(s), std::chrono::seconds{100});  // the WAN
  s.wan = core::ByteRate{1'000'000'000};
  s.peers = 1;
  EXPECT_EQ(bound(s), std::chrono::seconds{10});  // the downlink
  s.peers = 40;
  s.wan = core::ByteRate{100'000'000};
  s.lan = core::ByteRate{100'000'000};
  // all uplinks together: 40 GB over 0.1 + 4 GB/s
  EXPECT_NEAR(seconds(bound(s)), 40.0 / 4.1, 0.01 + 10.0 - 40.0 / 4.1);
}

TEST(Simulation, RefusesScenariosThatItCannotRun) {
  const auto refused = [](auto change) {
    Scenario s;
    change(s);
    return !validate(s).has_value();
  };
  EXPECT_TRUE(validate(Scenario{}).has_value());
  EXPECT_TRUE(refused([](Scenario& s) { s.peers = 0; }));
  EXPECT_TRUE(refused([](Scenario& s) { s.size = core::ByteCount{0}; }));
  EXPECT_TRUE(refused([](Scenario& s) { s.wan = core::ByteRate{0}; }));
  EXPECT_TRUE(refused([](Scenario& s) { s.lan = core::ByteRate{1ULL << 62U}; }));
  EXPECT_TRUE(refused([](Scenario& s) { s.piece_bytes = 100'000; }));
  EXPECT_TRUE(refused([](Scenario& s) { s.origin.rtt = std::chrono::hours{2}; }));
}

Scenario small(std::uint32_t peers) {
  Scenario s;
  s.peers = peers;
  s.size = core::ByteCount{32 * core::kMiB};
  return s;
}

TEST(Simulation, KilledMachinesAreNotMissedAndTheOthersFinish) {
  Scenario s = small(6);
  s.faults.push_back({.at = 1s, .kind = FaultKind::kill, .who = FaultWho::pullers, .peers = 2});
  s.faults.push_back({.at = 1500ms, .kind = FaultKind::leave, .peers = 1});
  const SimulationResult r = simulate(s);
  EXPECT_TRUE(r.violations.empty()) << joined(r.violations);
  std::map<Fate, int> fates;
  for (const PeerResult& peer : r.peers) {
    ++fates[peer.fate];
    EXPECT_EQ(peer.fate == Fate::stayed, peer.transferred.has_value());
  }
  EXPECT_EQ(fates[Fate::killed], 2);
  EXPECT_EQ(fates[Fate::left], 1);
}

TEST(Simulation, ListedMachinesAreTheOnesThatAreHit) {
  Scenario s = small(4);
  s.faults.push_back(
      {.at = 500ms, .kind = FaultKind::kill, .who = FaultWho::listed, .listed = {0, 3}});
  const SimulationResult r = simulate(s);
  EXPECT_TRUE(r.violations.empty()) << joined(r.violations);
  EXPECT_EQ(r.peers[0].fate, Fate::killed);
  EXPECT_EQ(r.peers[1].fate, Fate::stayed);
  EXPECT_EQ(r.peers[3].fate, Fate::killed);
}

TEST(Simulation, MachinesJoinInTurnOrLateAsTold) {
  Scenario s = small(4);
  s.join.every = 2s;
  SimulationResult r = simulate(s);
  EXPECT_TRUE(r.violations.empty()) << joined(r.violations);
  for (std::uint32_t i = 0; i < 4; ++i) EXPECT_EQ(r.peers[i].joined - kStart, 2s * i);
  // Who comes when all is there only waits for its own link.
  EXPECT_LT(r.peers[3].bound, r.bound);
  s = small(8);
  s.join.late_ppm = kWhole / 4;
  s.join.late_within = 60s;
  r = simulate(s);
  const auto late = std::count_if(r.peers.begin(), r.peers.end(), [&](const PeerResult& peer) {
    return peer.joined - kStart > s.join.within;
  });
  EXPECT_EQ(late, 2);
}

TEST(Simulation, AnOutageOfTheWanTakesItsTime) {
  Scenario s = small(4);
  const SimulationResult calm = simulate(s);
  s.faults.push_back({.at = 1s, .kind = FaultKind::wan_down, .lasts = 3s});
  const SimulationResult r = simulate(s);
  EXPECT_TRUE(r.violations.empty()) << joined(r.violations);
  EXPECT_GT(r.makespan, calm.makespan + 2s);
  EXPECT_LT(r.makespan, calm.makespan + 5s);
}

TEST(Simulation, ChurnReplacesTheDeadAndEverybodyFinishes) {
  Scenario s = small(6);
  s.size = core::ByteCount{128 * core::kMiB};
  s.churn_ppm = 2 * kWhole;
  const SimulationResult r = simulate(s);
  EXPECT_TRUE(r.violations.empty()) << joined(r.violations);
  EXPECT_GT(r.peers.size(), s.peers);
  std::size_t killed = 0;
  std::size_t replacements = 0;
  for (const PeerResult& peer : r.peers) {
    killed += peer.fate == Fate::killed ? 1U : 0U;
    replacements += peer.replacement ? 1U : 0U;
  }
  EXPECT_EQ(killed, replacements);
}

TEST(Simulation, HostileMachinesNeedNotFinishAndStopNobody) {
  for (const AdversaryKind kind : {AdversaryKind::have_liar, AdversaryKind::hog,
                                   AdversaryKind::fake_progress, AdversaryKind::slow}) {
    SCOPED_TRACE(static_cast<int>(kind));
    Scenario s = small(6);
    s.adversaries.push_back({.kind = kind, .count = 2, .lowest_rank = kind != AdversaryKind::slow});
    const SimulationResult r = simulate(s);
    EXPECT_TRUE(r.violations.empty()) << joined(r.violations);
    std::size_t finished = 0;
    for (const PeerResult& peer : r.peers) finished += peer.transferred ? 1U : 0U;
    EXPECT_EQ(finished, kind == AdversaryKind::slow ? 6U : 4U);
  }
}

TEST(Simulation, NothingIsFetchedBeforeThePolicyDelay) {
  Scenario s = small(4);
  s.policy.http_delay = 3s;
  const SimulationResult r = simulate(s);
  for (const PeerResult& peer : r.peers) {
    ASSERT_TRUE(peer.transferred);
    EXPECT_GT(*peer.transferred - peer.joined, 3s);
    // The delay is not the site's fault.
    EXPECT_LT(*peer.ratio, 2 * kRatioUnit);
  }
}

TEST(Report, TellsTheSeedOfAViolation) {
  SimulationResult r;
  r.scenario.seed = 42;
  r.violations = {"something \"odd\""};
  EXPECT_NE(to_text(r).find("VIOLATION (seed 42): something \"odd\""), std::string::npos);
  EXPECT_NE(to_json(r).find(R"("violations":["something \"odd\""])"), std::string::npos);
  EXPECT_EQ(seed_line(r.scenario), "seed 42\n");
  EXPECT_NE(table_row(r, "lanward-sim run x.toml").find("replay: lanward-sim run x.toml --seed 42"),
            std::string::npos);
}

TEST(Report, SummarisesManyRuns) {
  RunSummary one{.seed = 1, .egress = 10'000, .ratios = {.p99 = 10'200}};
  RunSummary two{.seed = 2, .egress = 10'100, .ratios = {.p99 = 10'100}, .violations = 1};
  const std::vector<RunSummary> runs{one, two};
  const std::string foot = table_foot(runs);
  EXPECT_NE(foot.find("mean   1.0050"), std::string::npos) << foot;
  EXPECT_NE(foot.find("worst   1.0100"), std::string::npos) << foot;
  EXPECT_NE(foot.find("1 of 2 runs with violations"), std::string::npos) << foot;
  EXPECT_NE(summary_json(runs).find(R"("worst":{"egress_ratio":1.0100)"), std::string::npos);
}

}  // namespace
}  // namespace lanward::simulator
