#include "engine/core/beacon.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "engine/core/interface_rules.h"
#include "engine/store/sha256.h"

namespace lanward::core {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ContentId = BeaconSchedule::ContentId;

const WallTime kNow{seconds{1'795'000'000}};
constexpr Instant kStart{seconds{1000}};

GroupKey key(std::uint8_t n) {
  GroupKey made{.id = n};
  made.secret.fill(n);
  return made;
}
BeaconMessage sample(std::size_t tags = 3) {
  BeaconMessage message{.sender = 0x0102030405060708, .sequence = 9, .time = kNow, .port = 6881};
  for (std::size_t i = 0; i < tags; ++i) message.tags.push_back(1000 + i);
  return message;
}

TEST(BeaconMessage, IsReadBackByMembersAndByNobodyElse) {
  const std::vector keys{key(1), key(2)};
  for (const std::size_t tags : {std::size_t{1}, kBeaconTagsMax}) {
    const auto bytes = write_beacon(sample(tags), keys, &store::sha256);
    EXPECT_LE(bytes.size(), kBeaconBytesMax);
    EXPECT_LE(bytes.size(), 1200U);
    for (const auto& theirs :
         {std::vector{key(1)}, std::vector{key(2)}, std::vector{key(3), key(2)}}) {
      EXPECT_EQ(read_beacon(bytes, theirs, &store::sha256), sample(tags));
    }
    for (const auto& theirs : {std::vector{key(3)}, std::vector<GroupKey>{}}) {
      const auto refused = read_beacon(bytes, theirs, &store::sha256);
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().code, ErrorCode::access_denied);
    }
  }
  const auto open = write_beacon(sample(), {}, &store::sha256);
  EXPECT_EQ(read_beacon(open, {}, &store::sha256), sample());
  EXPECT_FALSE(read_beacon(open, keys, &store::sha256));
}

TEST(BeaconMessage, EveryChangedOrMissingByteIsRefused) {
  const std::vector keys{key(1)};
  const auto bytes = write_beacon(sample(), keys, &store::sha256);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto changed = bytes;
    changed[i] ^= 1U;
    EXPECT_FALSE(read_beacon(changed, keys, &store::sha256)) << i;
    EXPECT_FALSE(read_beacon(std::span(bytes).first(i), keys, &store::sha256)) << i;
  }
}

TEST(BeaconTag, TellsOfNoContentAndChangesByTheHour) {
  Digest one{}, other{};
  other[31] = 1;
  EXPECT_NE(beacon_tag(one, kNow, &store::sha256), beacon_tag(other, kNow, &store::sha256));
  const WallTime hour = std::chrono::floor<std::chrono::hours>(kNow);
  EXPECT_EQ(beacon_tag(one, hour, &store::sha256),
            beacon_tag(one, hour + seconds{3599}, &store::sha256));
  EXPECT_NE(beacon_tag(one, hour, &store::sha256),
            beacon_tag(one, hour + seconds{3600}, &store::sha256));
}

TEST(BeaconMemory, WhatWasHeardOrIsOldIsNoNews) {
  BeaconMemory memory;
  BeaconMessage message = sample();
  const auto hear = [&](std::uint32_t sequence) {
    message.sequence = sequence;
    return memory.is_news(message, kNow);
  };
  EXPECT_TRUE(hear(100));
  EXPECT_FALSE(hear(100));
  EXPECT_TRUE(hear(102));
  EXPECT_TRUE(hear(101));  // datagrams overtake each other
  EXPECT_FALSE(hear(101));
  EXPECT_FALSE(hear(102));
  EXPECT_TRUE(hear(500));
  EXPECT_FALSE(hear(102));  // too far behind to know
  message.sender = 2;
  EXPECT_TRUE(hear(100));
  for (const auto skew : {seconds{300}, seconds{-300}}) {
    message.sequence += 1;
    message.time = kNow + skew;
    EXPECT_TRUE(memory.is_news(message, kNow));
  }
  for (const auto skew : {seconds{301}, seconds{-301}}) {
    message.sequence += 1;
    message.time = kNow + skew;
    EXPECT_FALSE(memory.is_news(message, kNow));
  }
}

TEST(BeaconMemory, RemembersNoMoreThanItsBound) {
  BeaconMemory memory;
  BeaconMessage message = sample();
  for (std::uint64_t i = 0; i < 2 * BeaconMemory::kSendersMax; ++i) {
    message.sender = i;
    EXPECT_TRUE(memory.is_news(message, kNow));
  }
  EXPECT_EQ(memory.size(), BeaconMemory::kSendersMax);
  EXPECT_FALSE(memory.is_news(message, kNow));
}

TEST(BeaconSchedule, AContentIsToldAtOnceThenSoonAgainThenNowAndThen) {
  BeaconSchedule schedule(1);
  schedule.add(ContentId{7}, kStart);
  std::vector<Duration> gaps;
  Instant now = kStart;
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(schedule.due(now), std::vector{ContentId{7}}) << i;
    EXPECT_TRUE(schedule.due(now).empty());
    gaps.push_back(*schedule.next() - now);
    EXPECT_TRUE(schedule.due(*schedule.next() - milliseconds{1}).empty() ||
                gaps.back() > seconds{9});
    now = *schedule.next();
  }
  EXPECT_EQ(gaps[0], milliseconds{100});
  EXPECT_EQ(gaps[1], milliseconds{400});
  EXPECT_EQ(gaps[2], milliseconds{1600});
  for (std::size_t i = 3; i < gaps.size(); ++i) {
    EXPECT_GE(gaps[i], BeaconSchedule::kPeriod * 3 / 4);
    EXPECT_LE(gaps[i], BeaconSchedule::kPeriod * 5 / 4);
  }
}

TEST(BeaconSchedule, AThousandContentsTakeFewDatagramsAndNoMoreThanTheRate) {
  BeaconSchedule schedule(2);
  for (std::uint64_t i = 0; i < 1000; ++i) schedule.add(ContentId{i}, kStart);
  std::set<ContentId> told;
  int first = 0;
  for (auto due = schedule.due(kStart); !due.empty(); due = schedule.due(kStart)) {
    EXPECT_LE(due.size(), kBeaconTagsMax);
    told.insert(due.begin(), due.end());
    ++first;
  }
  EXPECT_EQ(first, 8);
  EXPECT_EQ(told.size(), 1000U);
  // An hour, as a driver would spend it.
  int datagrams = first;
  Instant now = kStart;
  while (now < kStart + std::chrono::hours{1}) {
    now = std::max(now + milliseconds{1}, *schedule.next());
    while (!schedule.due(now).empty()) ++datagrams;
  }
  // 60 rounds of 8 if they were gathered perfectly.
  EXPECT_LE(datagrams, 60 * 24);
  EXPECT_GE(datagrams, 60 * 8 / 2);
}

TEST(BeaconSchedule, WhoComesAndGoesAllTheTimeIsHeldToTheRate) {
  BeaconSchedule schedule(3);
  std::uint32_t datagrams = 0;
  for (int ms = 0; ms < 10'000; ++ms) {
    const Instant now = kStart + milliseconds{ms};
    schedule.add(ContentId{1}, now);
    if (!schedule.due(now).empty()) ++datagrams;
  }
  EXPECT_LE(datagrams, BeaconSchedule::kBurst + 10 * BeaconSchedule::kPerSecond + 1);
  EXPECT_GE(datagrams, 10 * BeaconSchedule::kPerSecond);
}

TEST(BeaconSchedule, WhatIsRemovedIsNotTold) {
  BeaconSchedule schedule(4);
  schedule.add(ContentId{1}, kStart);
  schedule.add(ContentId{2}, kStart);
  schedule.remove(ContentId{1});
  EXPECT_EQ(schedule.due(kStart), std::vector{ContentId{2}});
  schedule.remove(ContentId{2});
  EXPECT_FALSE(schedule.next());
  schedule.add(ContentId{3}, kStart);
  static_cast<void>(schedule.due(kStart));
  schedule.restart(kStart + seconds{1});
  EXPECT_EQ(schedule.due(kStart + seconds{1}), std::vector{ContentId{3}});
}

TEST(BeaconAnswer, OfManyNeighboursSomeDial) {
  Prng random(Seed{5});
  for (std::uint32_t n = 0; n < kBeaconNeighbours; ++n) EXPECT_TRUE(answers_beacon(n, random));
  int dials = 0;
  for (int i = 0; i < 1000; ++i) dials += answers_beacon(999, random) ? 1 : 0;
  EXPECT_GT(dials, 10);
  EXPECT_LT(dials, 64);
}

TEST(InterfaceRules, TunnelsAndWhatIsDownAreLeftOut) {
  const InterfaceFacts lan{.index = 2, .up = true, .multicast = true};
  const InterfaceFacts loopback{.index = 1, .up = true, .loopback = true};
  auto down = lan, vpn = lan, modem = lan, mute = lan, bridge = lan;
  down.up = false;
  vpn.kind = "wireguard";
  modem.point_to_point = true;
  mute.multicast = false;
  bridge.kind = "bridge";
  bridge.index = 7;
  EXPECT_EQ(choose_interfaces({loopback, down, vpn, lan, modem, mute, bridge}),
            (std::vector<std::uint32_t>{2, 7}));
  EXPECT_EQ(choose_interfaces({loopback, down, vpn, modem, mute}), std::vector<std::uint32_t>{1});
  EXPECT_TRUE(choose_interfaces({down, vpn}).empty());
}

}  // namespace
}  // namespace lanward::core
