// Random schedules over a few schedulers: whatever messages are late, lost or lies and whoever
// dies, the rules of a LeaseWorld hold. LEASE_RUNS=n tries more schedules, LEASE_SEED=n one of them
// with its log, LEASE_CUT=... what a failure printed: a simpler schedule that fails as well.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "engine/core/prng.h"
#include "tests/core/lease_world.h"

namespace lanward::core {
namespace {

using namespace std::chrono_literals;
using Role = LeasePlan::Role;

// ---- schedules ---------------------------------------------------------------------------------

Duration between(Prng& chance, Duration low, Duration high) {
  return low + Duration{static_cast<Duration::rep>(
                   chance.below(static_cast<std::uint64_t>((high - low).count()) + 1))};
}
bool one_in(Prng& chance, std::uint64_t n) { return chance.below(n) == 0; }

// A site without faults: some join late, some have a policy that makes them wait.
LeasePlan clean_plan(std::uint64_t seed) {
  Prng chance(Seed{seed});
  LeasePlan plan{.seed = chance.next(), .machines = {}, .policy = {}, .cuts = {}, .outages = {}};
  const std::uint64_t machines = 2 + chance.below(7);
  plan.pieces = static_cast<std::uint32_t>(8 + chance.below(57));
  plan.wan_piece = between(chance, 5ms, 120ms);
  plan.lan_piece = between(chance, 2ms, 40ms);
  plan.message_min = 100us;
  plan.message_max = between(chance, 500us, 20ms);
  constexpr std::uint32_t kPullers[] = {1, 2, 3, 8};
  plan.policy.pullers = kPullers[chance.below(4)];
  plan.policy.pullers_max = plan.policy.pullers;  // a trial of more would be allowed otherwise
  if (one_in(chance, 6)) plan.policy.http_delay = between(chance, 100ms, 2s);
  const Duration spread = one_in(chance, 3) ? Duration{2s} : Duration{30ms};
  for (std::uint64_t i = 0; i < machines; ++i) {
    LeasePlan::Machine m{.seed = Seed{chance.next()}, .joins = between(chance, 0s, spread)};
    if (one_in(chance, 10)) m.slowness = 4;
    plan.machines.push_back(m);
  }
  return plan;
}

// The same with something wrong, most of the time with several things.
LeasePlan faulty_plan(std::uint64_t seed) {
  LeasePlan plan = clean_plan(seed);
  Prng chance(Seed{~seed});
  const Duration span = plan.wan_piece * plan.pieces + 1s;
  const auto machines = static_cast<std::uint32_t>(plan.machines.size());
  if (one_in(chance, 3)) plan.loss_percent = static_cast<std::uint32_t>(chance.below(60));
  if (one_in(chance, 3)) plan.duplicate_percent = static_cast<std::uint32_t>(chance.below(60));
  plan.reorder = one_in(chance, 3);
  plan.sparse = one_in(chance, 4);
  if (one_in(chance, 4)) plan.message_max = between(chance, 20ms, 400ms);
  for (LeasePlan::Machine& m : plan.machines) {
    if (one_in(chance, 4)) m.dies = between(chance, 0s, span);
    if (one_in(chance, 8)) m.leaves = between(chance, 0s, span);
    if (one_in(chance, 4)) m.role = static_cast<Role>(1 + chance.below(5));
  }
  // Somebody must be left to look at.
  plan.machines[0] = {.seed = plan.machines[0].seed, .joins = plan.machines[0].joins};
  while (one_in(chance, 2)) {
    plan.cuts.push_back({static_cast<std::uint32_t>(chance.below(machines)),
                         static_cast<std::uint32_t>(chance.below(machines)),
                         between(chance, 0s, span), between(chance, 1ms, 3s)});
  }
  std::erase_if(plan.cuts, [](const auto& cut) { return cut.a == cut.b; });
  if (one_in(chance, 5)) {
    plan.outages.push_back({between(chance, 0s, span), between(chance, 100ms, 8s)});
  }
  return plan;
}

// Two of three have faults.
LeasePlan plan_of(std::uint64_t seed) {
  return seed % 3 == 0 ? clean_plan(seed) : faulty_plan(seed);
}

// ---- simpler schedules -------------------------------------------------------------------------

// What is left of a schedule: "pieces/faults left out/machines left out", the latter two as bits.
struct CutDown {
  std::uint32_t pieces = 999;
  std::uint64_t faults = 0;  // in the order in which apply() meets them
  std::uint64_t machines = 0;

  [[nodiscard]] std::string text() const {
    return std::to_string(pieces) + "/" + std::to_string(faults) + "/" + std::to_string(machines);
  }
  static CutDown from(const char* text) {
    CutDown cut;
    char* rest = nullptr;
    cut.pieces = static_cast<std::uint32_t>(std::strtoul(text, &rest, 10));
    if (*rest == '/') cut.faults = std::strtoull(rest + 1, &rest, 10);
    if (*rest == '/') cut.machines = std::strtoull(rest + 1, &rest, 10);
    return cut;
  }
};
constexpr std::uint32_t kCutDownBits = 48;

void leave_out_machines(LeasePlan& plan, std::uint64_t which) {
  std::vector<LeasePlan::Machine> left;
  std::vector<std::uint32_t> number(plan.machines.size(), 999);
  for (std::size_t i = 0; i < plan.machines.size(); ++i) {
    if (((which >> i) & 1U) != 0) continue;
    number[i] = static_cast<std::uint32_t>(left.size());
    left.push_back(plan.machines[i]);
  }
  plan.machines = left;
  for (LeasePlan::Cut& cut : plan.cuts) cut = {number[cut.a], number[cut.b], cut.at, cut.lasts};
  std::erase_if(plan.cuts, [](const auto& c) { return c.a == 999 || c.b == 999; });
}

LeasePlan apply(LeasePlan plan, const CutDown& cut) {
  std::uint32_t fault = 0;
  const auto left_out = [&] { return ((cut.faults >> fault++) & 1U) != 0; };
  if (left_out()) plan.loss_percent = 0;
  if (left_out()) plan.duplicate_percent = 0;
  if (left_out()) plan.reorder = false;
  if (left_out()) plan.sparse = false;
  if (left_out()) plan.message_max = std::min<Duration>(plan.message_max, 10ms);
  for (LeasePlan::Machine& m : plan.machines) {
    if (left_out()) m.dies.reset();
    if (left_out()) m.leaves.reset();
    if (left_out()) m.role = Role::honest;
    if (left_out()) m.slowness = 1;
  }
  std::erase_if(plan.cuts, [&](const auto&) { return left_out(); });
  std::erase_if(plan.outages, [&](const auto&) { return left_out(); });
  leave_out_machines(plan, cut.machines);
  plan.pieces = std::min(plan.pieces, cut.pieces);
  return plan;
}

// Fewer machines, faults and pieces, as long as some rule is broken.
CutDown shrink(std::uint64_t seed) {
  const LeasePlan plan = plan_of(seed);
  CutDown best;
  const auto try_out = [&](const CutDown& cut) {
    const LeasePlan less = apply(plan, cut);
    if (less.machines.empty() || !run_lease_world(less).violation) return false;
    best = cut;
    return true;
  };
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < plan.machines.size(); ++i) {
      CutDown cut = best;
      cut.machines |= std::uint64_t{1} << i;
      if (cut.machines != best.machines) try_out(cut);
    }
    for (std::uint32_t bit = 0; bit < kCutDownBits; ++bit) {
      CutDown cut = best;
      cut.faults |= std::uint64_t{1} << bit;
      if (cut.faults != best.faults) try_out(cut);
    }
    for (std::uint32_t pieces = 1; pieces < std::min(plan.pieces, best.pieces); ++pieces) {
      CutDown cut = best;
      cut.pieces = pieces;
      if (try_out(cut)) break;
    }
  }
  return best;
}

const char* environment(const char* name) { return std::getenv(name); }

constexpr std::size_t kLogLinesShown = 200;

void report(std::uint64_t seed, const CutDown& cut) {
  const LeasePlan plan = apply(plan_of(seed), cut);
  const LeaseOutcome outcome = run_lease_world(plan, true);
  const std::size_t lines = outcome.log.size();
  const bool all = environment("LEASE_SEED") != nullptr;
  for (std::size_t i = all || lines < kLogLinesShown ? 0 : lines - kLogLinesShown; i < lines; ++i) {
    std::cout << outcome.log[i] << "\n";
  }
  std::cout << "plan: " << plan.describe() << "\n";
  ADD_FAILURE() << outcome.violation.value_or("no rule is broken")
                << "\nreplay with LEASE_SEED=" << seed << " LEASE_CUT=" << cut.text();
}

// ---- the tests ---------------------------------------------------------------------------------

constexpr std::uint64_t kRuns = 300;
constexpr std::size_t kFailuresShown = 3;

TEST(LeaseProperty, RulesHoldOnRandomSchedules) {
  if (const char* seed = environment("LEASE_SEED")) {
    const char* cut = environment("LEASE_CUT");
    const std::uint64_t number = std::strtoull(seed, nullptr, 10);
    const CutDown less = cut != nullptr ? CutDown::from(cut) : CutDown{};
    if (run_lease_world(apply(plan_of(number), less)).violation) report(number, less);
    return;
  }
  const char* more = environment("LEASE_RUNS");
  const std::uint64_t runs = more != nullptr ? std::strtoull(more, nullptr, 10) : kRuns;
  std::vector<std::uint64_t> failed;
  std::uint64_t steps = 0;
  for (std::uint64_t seed = 1; seed <= runs; ++seed) {
    const LeaseOutcome outcome = run_lease_world(plan_of(seed));
    steps += outcome.steps;
    if (!outcome.violation) continue;
    failed.push_back(seed);
    std::cout << "seed " << seed << (plan_of(seed).clean() ? " clean: " : ": ")
              << *outcome.violation << std::endl;
  }
  std::cout << runs << " schedules, " << steps << " steps\n";
  for (std::size_t i = 0; i < failed.size() && i < kFailuresShown; ++i) {
    report(failed[i], shrink(failed[i]));
  }
  EXPECT_EQ(failed.size(), 0U);
}

// A claim beyond the limit of runs that was forgotten, more under way than a stranger may claim, a
// claim whose hearers had died, and a puller that failed once and lost its place.
TEST(LeaseProperty, SchedulesThatBrokeARuleOnce) {
  for (const std::uint64_t seed : {899, 1639, 3405, 3919, 3972}) {
    const LeaseOutcome outcome = run_lease_world(plan_of(seed));
    EXPECT_FALSE(outcome.violation) << *outcome.violation << "\nreplay with LEASE_SEED=" << seed;
  }
}

// Relations between runs: no name or place in the order is special, and company costs nothing.
constexpr std::uint64_t kRelatedRuns = 20;

std::uint64_t origin_bytes(const LeasePlan& plan) { return run_lease_world(plan).origin_bytes; }

std::uint64_t apart(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : b - a; }

TEST(LeaseProperty, TheOrderOfThePeersDoesNotMatter) {
  for (std::uint64_t seed = 1; seed <= kRelatedRuns; ++seed) {
    LeasePlan plan = clean_plan(seed);
    const std::uint64_t bytes = origin_bytes(plan);
    std::reverse(plan.machines.begin(), plan.machines.end());
    EXPECT_LE(apart(origin_bytes(plan), bytes), kLeasePieceBytes) << "seed " << seed;
    std::rotate(plan.machines.begin(), plan.machines.begin() + 1, plan.machines.end());
    EXPECT_LE(apart(origin_bytes(plan), bytes), kLeasePieceBytes) << "seed " << seed;
  }
}

TEST(LeaseProperty, OneMoreHonestPeerCostsTheOriginNothing) {
  for (std::uint64_t seed = 1; seed <= kRelatedRuns; ++seed) {
    LeasePlan plan = clean_plan(seed);
    const std::uint64_t bytes = origin_bytes(plan);
    plan.machines.push_back({.seed = Seed{mix64(seed)}, .joins = 20ms});
    EXPECT_LE(origin_bytes(plan), bytes + kLeasePieceBytes) << "seed " << seed;
  }
}

// What one machine that breaks the rules may cost the others, above the time they need without it.
struct Price {
  Role role;
  const char* name;
  Duration most;
};
// Where one puller is enough, a silent one costs the whole patience of the others.
constexpr std::uint32_t kPullersOfASite = 8;
constexpr Price kPrices[] = {
    {Role::liar, "liar", 8s},
    {Role::hog, "hog", 10s},
    {Role::zeno, "zeno", 15s},
    {Role::babbler, "babbler", 8s},
};

TEST(LeaseProperty, OneLiarOrHogDelaysTheOthersLittle) {
  for (const Price& price : kPrices) {
    Duration worst{0};
    std::uint64_t worst_seed = 0;
    for (std::uint64_t seed = 1; seed <= kRelatedRuns; ++seed) {
      LeasePlan plan = clean_plan(seed);
      plan.policy.pullers = kPullersOfASite;
      const Duration before = run_lease_world(plan).finished;
      plan.machines.push_back({.role = price.role, .seed = Seed{mix64(seed + 1000)}, .joins = 1ms});
      const LeaseOutcome outcome = run_lease_world(plan);
      EXPECT_FALSE(outcome.violation) << price.name << " seed " << seed << *outcome.violation;
      const Duration more = outcome.finished - before;
      if (more > worst) worst_seed = seed;
      worst = std::max(worst, more);
    }
    std::cout << price.name << " costs at most "
              << std::chrono::duration_cast<std::chrono::milliseconds>(worst).count()
              << " ms, seed " << worst_seed << "\n";
    EXPECT_LE(worst, price.most) << price.name << ", seed " << worst_seed;
  }
}

}  // namespace
}  // namespace lanward::core
