#include "engine/core/cache_rules.h"

#include <algorithm>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "engine/core/prng.h"

namespace lanward::test {
namespace {

using core::CacheEntry;
using core::Digest;
using core::DiskFacts;

constexpr std::int64_t kNow = 1'700'000'000;
constexpr DiskFacts kDisk{1'000'000, 400'000};

Digest id(std::uint32_t n) {
  Digest digest{};
  digest[0] = static_cast<std::uint8_t>(n >> 8);
  digest[1] = static_cast<std::uint8_t>(n);
  return digest;
}

CacheEntry entry(std::uint32_t n, std::uint64_t bytes, std::int64_t age) {
  return {.id = id(n), .bytes = bytes, .size = bytes, .last_use = kNow - age};
}

CachePolicy unlimited() {
  CachePolicy policy;
  policy.max_percent = 0;
  policy.max_age = std::chrono::seconds{0};
  return policy;
}

CachePolicy bytes_policy(std::uint64_t bytes) {
  CachePolicy policy = unlimited();
  policy.max_bytes = bytes;
  return policy;
}

TEST(CacheRules, TheQuotaIsTheLeastOfWhatIsSet) {
  CachePolicy policy = unlimited();
  EXPECT_FALSE(core::quota(policy, kDisk, 0));
  policy.max_percent = 20;
  EXPECT_EQ(core::quota(policy, kDisk, 0), 200'000U);
  policy.max_bytes = 150'000;
  EXPECT_EQ(core::quota(policy, kDisk, 0), 150'000U);
  policy.min_free_bytes = 390'000;
  EXPECT_EQ(core::quota(policy, kDisk, 30'000), 40'000U);
  policy.min_free_bytes = 10'000'000;
  EXPECT_EQ(core::quota(policy, kDisk, 30'000), 0U);
}

TEST(CacheRules, ADiskOfWhichNothingIsKnownLimitsNothing) {
  CachePolicy policy = unlimited();
  policy.max_percent = 1;
  policy.min_free_bytes = 1;
  EXPECT_FALSE(core::quota(policy, {}, 5));
}

TEST(CacheRules, EvictsTheLeastRecentlyUsedDownToTheLowMark) {
  const std::vector entries{entry(1, 400, 10), entry(2, 400, 30), entry(3, 400, 20)};
  EXPECT_TRUE(core::to_evict(entries, bytes_policy(1200), kDisk, kNow).empty());
  // 1200 of 1100 are used; 990 is the low mark.
  EXPECT_EQ(core::to_evict(entries, bytes_policy(1100), kDisk, kNow), std::vector{id(2)});
  EXPECT_EQ(core::to_evict(entries, bytes_policy(800), kDisk, kNow), (std::vector{id(2), id(3)}));
}

TEST(CacheRules, PinnedContentsNeitherGoNorCount) {
  std::vector entries{entry(1, 400, 10), entry(2, 400, 30)};
  entries[1].pinned = true;
  entries[1].expires = kNow - 5;
  EXPECT_TRUE(core::to_evict(entries, bytes_policy(400), kDisk, kNow).empty());
  EXPECT_EQ(core::to_evict(entries, bytes_policy(399), kDisk, kNow), std::vector{id(1)});
}

TEST(CacheRules, ActiveContentsCountButDoNotGo) {
  std::vector entries{entry(1, 400, 10), entry(2, 400, 3000)};
  entries[1].active = true;
  entries[1].expires = kNow - 5;
  EXPECT_EQ(core::to_evict(entries, bytes_policy(500), kDisk, kNow), std::vector{id(1)});
}

TEST(CacheRules, AgeExpiryAndSizeEndAContentWhateverTheQuota) {
  CachePolicy policy = unlimited();
  policy.max_age = std::chrono::seconds{100};
  std::vector entries{entry(1, 400, 99), entry(2, 400, 100), entry(3, 10, 1), entry(4, 400, 1)};
  EXPECT_EQ(core::to_evict(entries, policy, kDisk, kNow), std::vector{id(2)});
  policy.min_file_bytes = 11;
  EXPECT_EQ(core::to_evict(entries, policy, kDisk, kNow), (std::vector{id(2), id(3)}));
  entries[3].expires = kNow;
  entries[0].expires = kNow + 1;
  EXPECT_EQ(core::to_evict(entries, policy, kDisk, kNow), (std::vector{id(2), id(3), id(4)}));
}

TEST(CacheRules, AUseInTheFutureIsAUseNow) {
  std::vector entries{entry(1, 400, -1'000'000), entry(2, 400, -5)};
  CachePolicy policy = bytes_policy(450);
  policy.max_age = std::chrono::seconds{1};
  EXPECT_EQ(core::to_evict(entries, policy, kDisk, kNow), std::vector{id(1)});
}

TEST(CacheRules, AContentFitsBesideWhatMustStay) {
  std::vector entries{entry(1, 100, 10), entry(2, 900, 30)};
  entries[0].active = true;
  entries[0].size = 600;  // what it is going to take
  const CachePolicy policy = bytes_policy(1000);
  EXPECT_TRUE(core::fits(entries, policy, kDisk, id(9), 400));
  EXPECT_FALSE(core::fits(entries, policy, kDisk, id(9), 401));
  EXPECT_TRUE(core::fits(entries, policy, kDisk, id(1), 1000)) << "it does not count twice";
  entries[1].pinned = true;
  EXPECT_TRUE(core::fits(entries, policy, kDisk, id(2), 5000)) << "pinned";
  EXPECT_TRUE(core::fits(entries, unlimited(), kDisk, id(9), ~std::uint64_t{0}));
}

TEST(CacheRules, NamesTheFieldThatIsOutOfItsRange) {
  const auto told = [](auto change) {
    CachePolicy policy;
    change(policy);
    const auto checked = core::check_policy(policy);
    return checked ? std::string() : checked.error().message;
  };
  EXPECT_EQ(told([](CachePolicy&) {}), "");
  EXPECT_NE(told([](CachePolicy& p) { p.max_percent = 101; }).find("max_percent"),
            std::string::npos);
  EXPECT_NE(told([](CachePolicy& p) { p.max_age = std::chrono::seconds{-1}; }).find("max_age"),
            std::string::npos);
  EXPECT_NE(told([](CachePolicy& p) { p.high_percent = 0; }).find("high_percent"),
            std::string::npos);
  EXPECT_NE(told([](CachePolicy& p) { p.high_percent = 50; }).find("low_percent"),
            std::string::npos);
  EXPECT_NE(
      told([](CachePolicy& p) { p.check_interval = std::chrono::seconds{-1}; }).find("check_inter"),
      std::string::npos);
}

TEST(CacheRules, AShownUrlHoldsNoSecrets) {
  EXPECT_EQ(core::without_secrets("https://u:p@cdn.example.com/a@b/f?sig=1#x"),
            "https://cdn.example.com/a@b/f");
  EXPECT_EQ(core::without_secrets("http://cdn.example.com"), "http://cdn.example.com");
  EXPECT_EQ(core::without_secrets("/a/b.torrent"), "/a/b.torrent");
}

// Random caches and policies: what must hold whatever they are.
class CacheRulesProperty : public testing::TestWithParam<std::uint64_t> {
 protected:
  std::uint64_t below(std::uint64_t n) { return prng_.next() % n; }
  std::vector<CacheEntry> random_entries() {
    std::vector<CacheEntry> entries;
    const std::uint64_t count = below(40);
    for (std::uint32_t n = 0; n < count; ++n) {
      CacheEntry e = entry(n, below(1000), static_cast<std::int64_t>(below(500)) - 20);
      e.size = e.bytes + below(500);
      if (below(4) == 0) e.expires = kNow - 50 + static_cast<std::int64_t>(below(100));
      e.pinned = below(5) == 0;
      e.active = below(5) == 0;
      entries.push_back(e);
    }
    return entries;
  }
  CachePolicy random_policy() {
    CachePolicy policy = unlimited();
    if (below(2) == 0) policy.max_bytes = 1 + below(15'000);
    if (below(2) == 0) policy.max_percent = static_cast<std::uint32_t>(1 + below(100));
    if (below(3) == 0) policy.min_free_bytes = below(500'000);
    if (below(3) == 0) policy.max_age = std::chrono::seconds(1 + below(400));
    if (below(4) == 0) policy.min_file_bytes = below(300);
    policy.high_percent = static_cast<std::uint32_t>(1 + below(100));
    policy.low_percent = static_cast<std::uint32_t>(1 + below(policy.high_percent));
    return policy;
  }
  core::Prng prng_{core::Seed{GetParam()}};
};

TEST_P(CacheRulesProperty, EvictsWhatItMustAndNothingElse) {
  for (int round = 0; round < 200; ++round) {
    const auto entries = random_entries();
    const auto policy = random_policy();
    const DiskFacts disk{below(30'000), below(20'000)};
    const auto out = core::to_evict(entries, policy, disk, kNow);
    std::map<Digest, CacheEntry> by_id;
    std::uint64_t used = 0;
    for (const CacheEntry& e : entries) {
      by_id[e.id] = e;
      if (!e.pinned) used += e.bytes;
    }
    const auto allowed = core::quota(policy, disk, used);
    const std::set<Digest> gone(out.begin(), out.end());
    ASSERT_EQ(gone.size(), out.size()) << "one twice";
    std::uint64_t rest = used;
    std::int64_t last_lru = 0;
    const auto due = [&](const CacheEntry& e) {
      return (e.expires && *e.expires <= kNow) || e.size < policy.min_file_bytes ||
             (policy.max_age.count() > 0 &&
              kNow - std::min(e.last_use, kNow) >= policy.max_age.count());
    };
    for (const Digest& one : out) {
      const CacheEntry& e = by_id.at(one);
      ASSERT_FALSE(e.pinned || e.active);
      if (!due(e)) {
        // Each was needed: before it went the low mark was not reached.
        ASSERT_TRUE(allowed);
        ASSERT_GT(rest, *allowed / 100 * policy.low_percent);
        ASSERT_GE(std::min(e.last_use, kNow), last_lru) << "not the least recently used";
        last_lru = std::min(e.last_use, kNow);
      }
      rest -= e.bytes;
    }
    std::uint64_t cannot_go = 0;
    for (const CacheEntry& e : entries) {
      if (e.active && !e.pinned) cannot_go += e.bytes;
      if (!e.active && !e.pinned && due(e)) {
        ASSERT_TRUE(gone.contains(e.id));
      }
    }
    if (allowed) {
      ASSERT_TRUE(rest <= *allowed || rest == cannot_go) << "above the quota";
    }
  }
}

TEST_P(CacheRulesProperty, WhatFitsCanBeMadeToFit) {
  for (int round = 0; round < 200; ++round) {
    auto entries = random_entries();
    CachePolicy policy = bytes_policy(1 + below(20'000));
    const std::uint64_t size = below(10'000);
    if (!core::fits(entries, policy, {}, id(500), size)) continue;
    // It is complete, and so is every other active content.
    for (CacheEntry& e : entries) {
      if (e.active) e.bytes = std::max(e.bytes, e.size);
    }
    entries.push_back({.id = id(500), .bytes = size, .size = size, .active = true});
    std::uint64_t used = 0;
    const auto out = core::to_evict(entries, policy, {}, kNow);
    const std::set<Digest> gone(out.begin(), out.end());
    for (const CacheEntry& e : entries) {
      if (!e.pinned && !gone.contains(e.id)) used += e.bytes;
    }
    ASSERT_LE(used, policy.max_bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, CacheRulesProperty, testing::Range<std::uint64_t>(1, 11));

}  // namespace
}  // namespace lanward::test
