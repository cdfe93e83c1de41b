// Cache hosts and ordinary origins: who is asked when, and whom a failure bans.
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "engine/core/host_bans.h"
#include "engine/core/scheduler.h"
#include "tests/core/origin_world.h"

namespace lanward::core {
namespace {

using namespace std::chrono_literals;
using Mirror = OriginPlan::Mirror;
using Spell = OriginPlan::Spell;

constexpr std::uint64_t kMB = 1'000'000;
constexpr std::size_t kCache = 0;
constexpr std::size_t kOrdinary = 1;

const Failure kBroken{.kind = FailureClass::transient, .message = {}};
const Failure kUnreachable{.kind = FailureClass::transient, .message = {}, .unreachable = true};
const Failure kRefused{.kind = FailureClass::permanent, .message = {}, .refused = true};

// A cache host that suffers `spells`, and an ordinary origin. A fresh plan's transfer takes 6 s.
OriginPlan plan_of(std::vector<Spell> spells, std::optional<Duration> fallback = std::nullopt) {
  OriginPlan plan;
  plan.mirrors = {{.rate = 10 * kMB,
                   .spec = {.url = "http://cache/f?cacheHostOrigin=cdn",
                            .price = PriceClass::cache_host,
                            .cache_host = "cache",
                            .original_host = "cdn"},
                   .spells = std::move(spells)},
                  {.rate = 10 * kMB, .spec = {.url = "http://cdn/f"}}};
  plan.pieces = 60;
  plan.policy.cache_host_fallback_foreground = fallback;
  return plan;
}
OriginOutcome finish(const OriginPlan& plan) {
  OriginOutcome outcome = run_origin_world(plan);
  EXPECT_FALSE(outcome.violation) << *outcome.violation << "; " << plan.describe();
  EXPECT_TRUE(outcome.complete) << plan.describe();
  return outcome;
}

TEST(CacheHosts, AWorkingCacheHostIsAllThatIsAsked) {
  for (const auto fallback :
       {std::optional<Duration>(), std::optional<Duration>(1s), std::optional<Duration>(-1s)}) {
    const OriginOutcome outcome = finish(plan_of({}, fallback));
    EXPECT_EQ(outcome.brought[kOrdinary], 0U);
    EXPECT_TRUE(outcome.host_bans.empty());
  }
}

TEST(CacheHosts, TheFirstFailureSendsTheTransferToTheOrdinaryOriginsAtOnce) {
  const OriginOutcome outcome =
      finish(plan_of({{.from = 2s, .until = 2500ms, .failure = kBroken}}));
  ASSERT_TRUE(outcome.first_asked(kOrdinary));
  EXPECT_LE(*outcome.first_asked(kOrdinary), 2010ms);
  EXPECT_FALSE(outcome.first_asked(kCache, 2010ms));
}

TEST(CacheHosts, TwoFailuresWithoutAByteSendItBackAndForth) {
  OriginPlan plan = plan_of({{.from = 2s, .until = 3s, .failure = kBroken}});
  plan.mirrors[kOrdinary].spells = {{.from = 0s, .failure = kBroken}};
  const OriginOutcome outcome = finish(plan);
  std::uint32_t ordinary = 0;
  for (const auto& asked : outcome.asked) ordinary += asked.mirror == kOrdinary ? 1U : 0U;
  EXPECT_GE(ordinary, plan.policy.cache_host_attempts_min);
  EXPECT_TRUE(outcome.first_asked(kCache, *outcome.first_asked(kOrdinary)));
}

TEST(CacheHosts, OneFailureOfTheOrdinaryOriginsDoesNotSendItBack) {
  OriginPlan plan = plan_of({{.from = 2s, .until = 2100ms, .failure = kBroken}});
  plan.mirrors[kOrdinary].spells = {{.from = 3s, .until = 3100ms, .failure = kBroken}};
  EXPECT_FALSE(finish(plan).first_asked(kCache, 2010ms));
}

TEST(CacheHosts, ADelayIsWaitedOutAtTheCacheHostAndThenItIsLeftForGood) {
  const OriginOutcome outcome = finish(plan_of({{.from = 1s, .failure = kBroken}}, 10s));
  EXPECT_GE(*outcome.first_asked(kOrdinary), 10s);
  EXPECT_LE(*outcome.first_asked(kOrdinary), 10s + 50ms);
  EXPECT_FALSE(outcome.first_asked(kCache, 10s + 50ms));
}

TEST(CacheHosts, NotEvenAnOutageOfTheOrdinaryOriginsSendsItBackAfterTheDelay) {
  OriginPlan plan = plan_of({{.from = 1s, .until = 12s, .failure = kBroken}}, 10s);
  plan.mirrors[kOrdinary].spells = {{.from = 11s, .until = 40s, .failure = kBroken}};
  EXPECT_FALSE(finish(plan).first_asked(kCache, 10s + 50ms));
}

TEST(CacheHosts, ACacheHostThatComesWithinTheDelayIsUsed) {
  const OriginOutcome outcome =
      finish(plan_of({{.from = 0s, .until = 4s, .failure = kUnreachable}}, 10s));
  EXPECT_EQ(outcome.brought[kOrdinary], 0U);
  // Others are told all the same.
  ASSERT_FALSE(outcome.host_bans.empty());
  EXPECT_EQ(outcome.host_bans[0].host, "cache");
  EXPECT_EQ(outcome.host_bans[0].original, "");
}

TEST(CacheHosts, AWorkingCacheHostIsKeptBeyondTheDelayUntilItFails) {
  const OriginOutcome outcome =
      finish(plan_of({{.from = 4s, .until = 4100ms, .failure = kBroken}}, 1s));
  EXPECT_GE(*outcome.first_asked(kOrdinary), 4s);
  EXPECT_LE(*outcome.first_asked(kOrdinary), 4010ms);
  EXPECT_FALSE(outcome.first_asked(kCache, 4010ms));
}

TEST(CacheHosts, BackgroundTransfersHaveADelayOfTheirOwn) {
  OriginPlan plan = plan_of({{.from = 1s, .failure = kBroken}}, 60s);
  plan.policy.cache_host_fallback_background = 3s;
  plan.background = true;
  const OriginOutcome outcome = finish(plan);
  EXPECT_GE(*outcome.first_asked(kOrdinary), 3s);
  EXPECT_LE(*outcome.first_asked(kOrdinary), 3050ms);
}

TEST(CacheHosts, ARefusalEndsTheDelayAndBansTheHostForThatServer) {
  for (const auto fallback : {std::optional<Duration>(), std::optional<Duration>(1h)}) {
    const OriginOutcome outcome = finish(plan_of({{.from = 2s, .failure = kRefused}}, fallback));
    EXPECT_LE(*outcome.first_asked(kOrdinary), 2050ms);
    ASSERT_FALSE(outcome.host_bans.empty());
    EXPECT_EQ(outcome.host_bans[0].host, "cache");
    EXPECT_EQ(outcome.host_bans[0].original, "cdn");
    EXPECT_EQ(outcome.host_bans[0].duration, Duration{15min});
  }
}

TEST(CacheHosts, AnUnreachableHostIsBannedForAll) {
  const OriginOutcome outcome = finish(plan_of({{.failure = kUnreachable}}));
  EXPECT_LE(*outcome.first_asked(kOrdinary), 50ms);
  ASSERT_FALSE(outcome.host_bans.empty());
  EXPECT_EQ(outcome.host_bans[0].original, "");
  EXPECT_EQ(outcome.host_bans[0].duration, Duration{15min});
}

TEST(CacheHosts, WithoutFallbackOnlyCacheHostsAreEverAsked) {
  const OriginOutcome outcome =
      finish(plan_of({{.from = 1s, .until = 20s, .failure = kUnreachable}}, -1s));
  EXPECT_EQ(outcome.brought[kOrdinary], 0U);
}

TEST(CacheHosts, WithoutFallbackARefusalIsTheEnd) {
  const OriginOutcome outcome = run_origin_world(plan_of({{.failure = kRefused}}, -1s));
  ASSERT_TRUE(outcome.gave_up);
  EXPECT_EQ(outcome.gave_up->code, ErrorCode::origin_rejected);
  EXPECT_FALSE(outcome.first_asked(kOrdinary));
}

TEST(CacheHosts, ABannedHostIsPassedOver) {
  OriginPlan plan = plan_of({});
  plan.mirrors[kCache].spec.banned_until = Instant{1min};
  const OriginOutcome outcome = finish(plan);
  EXPECT_EQ(outcome.brought[kCache], 0U);
}

TEST(CacheHosts, ABannedHostIsAskedAgainWhenTheBanIsOver) {
  OriginPlan plan = plan_of({});
  plan.mirrors[kCache].spec.banned_until = Instant{2s};
  const OriginOutcome outcome = finish(plan);
  EXPECT_GE(*outcome.first_asked(kCache), 2s);
  EXPECT_FALSE(outcome.first_asked(kOrdinary, 2050ms));
}

// A ban spares a transfer a wait; it never leaves it with nobody to ask.
TEST(CacheHosts, ABannedHostIsAskedWhenNobodyElseMayBe) {
  OriginPlan plan = plan_of({}, -1s);
  plan.mirrors[kCache].spec.banned_until = Instant{1h};
  EXPECT_EQ(finish(plan).brought[kOrdinary], 0U);

  OriginPlan dead = plan_of({});
  dead.mirrors[kCache].spec.banned_until = Instant{1h};
  dead.mirrors[kOrdinary].spells = {{.failure = kRefused}};
  EXPECT_GT(finish(dead).brought[kCache], 0U);
}

// ---- the table of bans -------------------------------------------------------------------------

constexpr Instant at(Duration d) { return Instant{d}; }

TEST(HostBans, ABanEndsInItsTime) {
  HostBans bans;
  bans.ban("cache", "", at(10s), at(0s));
  EXPECT_EQ(bans.banned_until("cache", "cdn", at(9s)), at(10s));
  EXPECT_FALSE(bans.banned_until("cache", "cdn", at(10s)));
}

TEST(HostBans, ABanForOneServerLeavesTheOthersAlone) {
  HostBans bans;
  bans.ban("cache", "cdn", at(10s), at(0s));
  EXPECT_TRUE(bans.banned_until("cache", "cdn", at(1s)));
  EXPECT_FALSE(bans.banned_until("cache", "other", at(1s)));
  EXPECT_FALSE(bans.banned_until("cache2", "cdn", at(1s)));
}

TEST(HostBans, TheLongerBanCounts) {
  HostBans bans;
  bans.ban("cache", "cdn", at(20s), at(0s));
  bans.ban("cache", "cdn", at(10s), at(1s));
  bans.ban("cache", "", at(15s), at(1s));
  EXPECT_EQ(bans.banned_until("cache", "cdn", at(2s)), at(20s));
  EXPECT_EQ(bans.banned_until("cache", "other", at(2s)), at(15s));
}

TEST(HostBans, TheTableIsBoundedAndKeepsTheLatestEnds) {
  HostBans bans;
  for (std::size_t i = 0; i <= HostBans::kBansMax; ++i) {
    bans.ban("cache" + std::to_string(i), "", at(10s + Duration{i}), at(0s));
  }
  EXPECT_FALSE(bans.banned_until("cache0", "", at(1s)));
  EXPECT_TRUE(bans.banned_until("cache1", "", at(1s)));
  EXPECT_TRUE(bans.banned_until("cache" + std::to_string(HostBans::kBansMax), "", at(1s)));
}

}  // namespace
}  // namespace lanward::core
