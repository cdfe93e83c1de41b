// Random worlds of one to four origins and what may befall them: the file is whole in the end, or
// the reason names why not, and little is fetched in vain.
#include <chrono>
#include <cstdint>
#include <iostream>
#include <numeric>

#include <gtest/gtest.h>

#include "engine/core/prng.h"
#include "tests/core/origin_world.h"

namespace lanward::core {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kWorlds = 30;  // of each of the tests, which run side by side
constexpr std::uint64_t kFirstSeed = 20'000;
constexpr std::uint64_t kEndSeed = kFirstSeed + 10 * kWorlds;

Duration ms(std::uint64_t n) { return std::chrono::milliseconds{n}; }

OriginPlan::Spell random_spell(Prng& prng) {
  OriginPlan::Spell spell;
  spell.from = ms(prng.below(20'000));
  spell.until = spell.from + ms(prng.below(8'000) + 1);
  spell.stall = prng.below(2) == 0;
  if (spell.stall) return spell;
  constexpr FailureClass kKinds[] = {FailureClass::transient,    FailureClass::transient,
                                     FailureClass::rate_limited, FailureClass::permanent,
                                     FailureClass::changed,      FailureClass::protocol};
  spell.failure.kind = kKinds[prng.below(std::size(kKinds))];
  if (spell.failure.kind == FailureClass::rate_limited) spell.failure.retry_after = ms(2000);
  spell.failure.unreachable = spell.failure.kind == FailureClass::transient && prng.below(2) == 0;
  spell.failure.refused = spell.failure.kind == FailureClass::permanent;
  return spell;
}

// The last origin is honest, and what befalls it passes.
OriginPlan random_plan(std::uint64_t seed) {
  Prng prng{Seed{seed}};
  OriginPlan plan;
  plan.seed = seed;
  plan.pieces = static_cast<std::uint32_t>(1 + prng.below(120));
  plan.piece_bytes = (256U << prng.below(4)) * 1024;
  plan.limit = 30min;
  const std::uint64_t mirrors = 1 + prng.below(4);
  for (std::uint64_t i = 0; i < mirrors; ++i) {
    OriginPlan::Mirror mirror{.rate = 400'000ULL << prng.below(7), .latency = ms(prng.below(120))};
    const bool last = i + 1 == mirrors;
    mirror.spec.price = static_cast<PriceClass>(prng.below(8) == 0   ? 2
                                                : prng.below(5) == 0 ? 0
                                                                     : 1);
    if (mirror.spec.price == PriceClass::cache_host) {
      mirror.spec.cache_host = "cache" + std::to_string(i);
      mirror.spec.original_host = "cdn";
    }
    mirror.lies = !last && prng.below(6) == 0;
    mirror.no_ranges = !last && prng.below(8) == 0;
    const std::uint64_t spells = prng.below(3);
    for (std::uint64_t s = 0; s < spells; ++s) {
      OriginPlan::Spell spell = random_spell(prng);
      const FailureClass kind = spell.failure.kind;
      const bool passes = kind == FailureClass::transient || kind == FailureClass::rate_limited;
      if (last && !spell.stall && !passes) continue;
      mirror.spells.push_back(spell);
    }
    plan.mirrors.push_back(std::move(mirror));
  }
  if (prng.below(4) == 0) plan.link = 2'000'000;
  if (prng.below(3) == 0) plan.policy.cache_host_fallback_foreground = ms(prng.below(10'000));
  if (prng.below(3) == 0) plan.policy.origin_requests_max = 1;
  plan.background = prng.below(6) == 0;
  plan.with_peer = prng.below(4) == 0;
  return plan;
}

// Each lie costs its piece, each request that ends early what was on its way, and an origin without
// ranges the file from its start.
std::uint64_t waste_allowed(const OriginPlan& plan, const OriginOutcome& outcome) {
  std::uint64_t allowed = 0;
  for (const OriginPlan::Mirror& mirror : plan.mirrors) {
    const auto latency_ms = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(mirror.latency).count());
    allowed += mirror.rate * latency_ms / 1000 * outcome.cancelled.size();
    // Those under way at once may all be wrong before the second verdict.
    if (mirror.lies) {
      allowed += std::uint64_t{plan.piece_bytes} * 2 * (plan.policy.origin_requests_max + 2);
    }
    if (mirror.no_ranges) allowed += std::uint64_t{plan.pieces} * plan.piece_bytes * 2;
  }
  // Below a block, the place where a request broke off is not kept.
  return allowed + outcome.asked.size() * 16 * 1024;
}

class OriginsProperty : public testing::TestWithParam<std::uint64_t> {};

TEST_P(OriginsProperty, EveryWorldEndsWithAWholeFileAndLittleWaste) {
  for (std::uint64_t seed = GetParam(); seed < GetParam() + kWorlds; ++seed) {
    const OriginPlan plan = random_plan(seed);
    const OriginOutcome outcome = run_origin_world(plan);
    ASSERT_FALSE(outcome.violation) << *outcome.violation << "; " << plan.describe();
    ASSERT_TRUE(outcome.complete) << plan.describe() << "; "
                                  << (outcome.gave_up ? outcome.gave_up->message : "no end");
    EXPECT_LE(outcome.wasted, waste_allowed(plan, outcome)) << plan.describe();
    for (const BanSource& ban : outcome.bans) {
      EXPECT_NE(ban.source.value + 1, plan.mirrors.size()) << ban.reason << "; " << plan.describe();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, OriginsProperty, testing::Range(kFirstSeed, kEndSeed, kWorlds));

}  // namespace
}  // namespace lanward::core
