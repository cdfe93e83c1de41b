#include "engine/core/bandwidth_governor.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/core/prng.h"

namespace lanward::core {
namespace {

using namespace std::chrono_literals;

constexpr LocalTime kMondayNoon{.weekday = 0, .second = 12 * 3600};

// Transfers behind one line: each takes its share of the line, or what it is allowed, or all that
// its server gives, as a fluid.
class Line {
 public:
  struct Download {
    bool foreground = false;
    std::uint64_t server = 0;  // what the server gives at most; 0: anything
    bool asking = true;
    std::uint64_t received = 0;
    std::uint64_t allowed = 0;  // 0: no limit
    std::uint64_t rate = 0;
    BandwidthUser id;
  };

  Line(BandwidthLimits limits, std::uint64_t bytes_per_s, std::uint64_t seed = 1)
      : capacity(bytes_per_s), prng_(Seed{seed}), governor_(std::move(limits)) {}

  std::size_t add(Download download) {
    download.id = BandwidthUser{++ids_};
    downloads.push_back(download);
    ask();
    return downloads.size() - 1;
  }
  void ask() {
    std::vector<BandwidthFacts> facts;
    for (const Download& d : downloads) {
      facts.push_back({.user = d.id,
                       .foreground = d.foreground,
                       .asking = d.asking,
                       .received = ByteCount{d.received}});
    }
    const auto shares = governor_.decide(facts, now, local);
    ASSERT_EQ(shares.size(), downloads.size());
    for (std::size_t i = 0; i < shares.size(); ++i) {
      ASSERT_EQ(shares[i].user, downloads[i].id);
      downloads[i].allowed = shares[i].rate.value;
    }
    if (check) check();
  }
  void run(Duration time) {
    for (const Instant end = now + time; now < end; now += kTick) {
      move();
      if (const auto at = governor_.next_wakeup(); at && *at <= now) ask();
    }
  }
  // Mean rates over some time, of all downloads.
  std::vector<std::uint64_t> measure(Duration time) {
    std::vector<std::uint64_t> before;
    for (const Download& d : downloads) before.push_back(d.received);
    run(time);
    for (std::size_t i = 0; i < downloads.size(); ++i) {
      before[i] =
          (downloads[i].received - before[i]) * 1000 / static_cast<std::uint64_t>(time / 1ms);
    }
    return before;
  }

  Instant now{1h};
  LocalTime local = kMondayNoon;
  std::uint64_t capacity;
  std::uint64_t noise_percent = 0;
  std::vector<Download> downloads;
  std::function<void()> check;
  BandwidthGovernor& governor() { return governor_; }

 private:
  static constexpr Duration kTick = 50ms;

  void move() {
    std::uint64_t left = capacity;
    if (noise_percent > 0) left -= capacity / 100 * prng_.below(noise_percent + 1);
    std::vector<Download*> open;
    for (Download& d : downloads) {
      d.rate = 0;
      if (d.asking) open.push_back(&d);
    }
    const auto most = [](const Download* d) {
      const std::uint64_t a = d->allowed == 0 ? ~std::uint64_t{0} : d->allowed;
      return d->server == 0 ? a : std::min(a, d->server);
    };
    std::sort(open.begin(), open.end(),
              [&](const Download* a, const Download* b) { return most(a) < most(b); });
    for (std::size_t i = 0; i < open.size(); ++i) {
      open[i]->rate = std::min(most(open[i]), left / (open.size() - i));
      left -= open[i]->rate;
      open[i]->received += open[i]->rate * static_cast<std::uint64_t>(kTick / 1ms) / 1000;
    }
  }

  Prng prng_;
  std::uint64_t ids_ = 0;
  BandwidthGovernor governor_;
};

BandwidthLimits always(BandwidthRule rule) { return {.always = rule, .hours = {}}; }

constexpr std::uint64_t kMega = 1'000'000;

// ---- absolute limits ---------------------------------------------------------------------------

TEST(BandwidthGovernor, WithoutLimitsNobodyIsLimitedAndNoTimerRuns) {
  Line line({}, 10 * kMega);
  line.add({.foreground = true});
  line.add({.foreground = false});
  EXPECT_EQ(line.downloads[0].allowed, 0U);
  EXPECT_EQ(line.downloads[1].allowed, 0U);
  EXPECT_FALSE(line.governor().next_wakeup());
}

TEST(BandwidthGovernor, WithoutTransfersNoTimerRuns) {
  BandwidthGovernor governor(always({.total_bytes_per_s = kMega}));
  EXPECT_TRUE(governor.decide({}, Instant{1h}, kMondayNoon).empty());
  EXPECT_FALSE(governor.next_wakeup());
}

TEST(BandwidthGovernor, ALimitHoldsFromTheFirstByte) {
  Line line(always({.total_bytes_per_s = kMega}), 10 * kMega);
  line.add({.foreground = true});
  EXPECT_EQ(line.downloads[0].allowed, kMega);
}

TEST(BandwidthGovernor, WhatOneTransferDoesNotUseOthersGet) {
  Line line(always({.foreground = {.bytes_per_s = 9 * kMega}}), 100 * kMega);
  line.add({.foreground = true, .server = kMega});
  line.add({.foreground = true});
  line.add({.foreground = true});
  line.run(5s);
  const auto rates = line.measure(10s);
  EXPECT_GT(rates[0], 950'000U);
  EXPECT_GT(rates[1] + rates[2], 7'400'000U);
  EXPECT_NEAR(static_cast<double>(rates[1]), static_cast<double>(rates[2]), 200'000.0);
}

TEST(BandwidthGovernor, ASlowTransferThatBecomesFastGetsItsFairShareWithinSeconds) {
  Line line(always({.total_bytes_per_s = 8 * kMega}), 100 * kMega);
  line.add({.foreground = true, .server = 100'000});
  line.add({.foreground = true});
  line.run(10s);
  line.downloads[0].server = 0;
  line.run(10s);
  EXPECT_GT(line.measure(5s)[0], 3'800'000U);
}

TEST(BandwidthGovernor, BackgroundGetsWhatForegroundLeavesOfATotalLimit) {
  Line line(always({.total_bytes_per_s = 10 * kMega}), 100 * kMega);
  line.add({.foreground = true, .server = 4 * kMega});
  line.add({.foreground = false});
  line.run(5s);
  auto rates = line.measure(10s);
  EXPECT_GT(rates[0], 3'900'000U);
  EXPECT_GT(rates[1], 4'500'000U);
  line.downloads[0].server = 0;
  line.run(5s);
  rates = line.measure(10s);
  EXPECT_GT(rates[0], 9'000'000U);
  EXPECT_GE(rates[1], 450'000U) << "nothing stands still";
  line.downloads[0].asking = false;
  line.run(3s);
  EXPECT_GT(line.measure(5s)[1], 9'500'000U);
}

TEST(BandwidthGovernor, AnIdleForegroundTransferKeepsNothingFromABackgroundOne) {
  Line line(always({.total_bytes_per_s = 50'000}), 10 * kMega);
  line.add({.foreground = true, .asking = false});
  line.add({.foreground = false});
  line.run(3s);
  EXPECT_GT(line.measure(10s)[1], 47'000U);
}

// Any transfers, any absolute limits: the sums keep to them at every step, and nobody who is not
// limited is.
TEST(BandwidthGovernor, SharesNeverAddUpToMoreThanTheLimits) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    Prng prng{Seed{seed}};
    const auto limit = [&] { return prng.below(3) == 0 ? 0 : 10'000 + prng.below(20 * kMega); };
    const BandwidthRule rule{.total_bytes_per_s = limit(),
                             .foreground = {.bytes_per_s = limit()},
                             .background = {.bytes_per_s = limit()}};
    Line line(always(rule), 1 + prng.below(50 * kMega), seed);
    line.check = [&] {
      std::uint64_t sums[2] = {0, 0};
      for (const Line::Download& d : line.downloads) {
        const bool limited = rule.total_bytes_per_s != 0 ||
                             (d.foreground ? rule.foreground : rule.background).bytes_per_s != 0;
        ASSERT_EQ(d.allowed != 0, limited);
        sums[d.foreground ? 0 : 1] += d.allowed;
      }
      // A byte per second each is the least that can be said.
      const std::uint64_t slack = line.downloads.size();
      if (rule.foreground.bytes_per_s != 0) {
        ASSERT_LE(sums[0], rule.foreground.bytes_per_s + slack);
      }
      if (rule.background.bytes_per_s != 0) {
        ASSERT_LE(sums[1], rule.background.bytes_per_s + slack);
      }
      if (rule.total_bytes_per_s != 0) {
        ASSERT_LE(sums[0] + sums[1], rule.total_bytes_per_s + slack);
      }
    };
    for (int i = 0; i < 30; ++i) {
      line.add({.foreground = prng.below(2) == 0, .server = prng.below(2) * prng.below(5 * kMega)});
      if (prng.below(3) == 0) line.downloads.erase(line.downloads.begin());
      for (Line::Download& d : line.downloads) d.asking = prng.below(4) != 0;
      line.run(Duration{static_cast<std::int64_t>(prng.below(3'000'000'000))});
    }
  }
}

// ---- per cent ----------------------------------------------------------------------------------

struct Percent {
  const char* name;
  bool foreground;
  std::uint64_t capacity;
  std::size_t transfers;
};

class BandwidthPercent : public testing::TestWithParam<Percent> {
 protected:
  static std::uint64_t sum(const std::vector<std::uint64_t>& rates) {
    return std::accumulate(rates.begin(), rates.end(), std::uint64_t{0});
  }
  [[nodiscard]] Line make(std::uint64_t seed) const {
    BandwidthRule rule;
    (GetParam().foreground ? rule.foreground : rule.background).percent = 80;
    Line line(always(rule), GetParam().capacity, seed);
    line.noise_percent = 4;
    for (std::size_t i = 0; i < GetParam().transfers; ++i) {
      line.add({.foreground = GetParam().foreground});
    }
    return line;
  }
};

TEST_P(BandwidthPercent, TheSteadyRateIsThatPartOfTheLine) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    Line line = make(seed);
    line.run(20s);
    for (int i = 0; i < 5; ++i) {
      const std::uint64_t rate = sum(line.measure(30s));
      EXPECT_GE(rate, line.capacity / 100 * 70);
      EXPECT_LE(rate, line.capacity / 100 * 85);
    }
  }
}

TEST_P(BandwidthPercent, AFasterLineIsNoticedWithinHalfAMinute) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    Line line = make(seed);
    line.run(20s + seed * 1500ms);
    line.capacity *= 10;
    line.run(30s);
    const std::uint64_t rate = sum(line.measure(30s));
    EXPECT_GE(rate, line.capacity / 100 * 70);
    EXPECT_LE(rate, line.capacity / 100 * 88);
  }
}

TEST_P(BandwidthPercent, ASlowerLineIsNoticedWithinHalfAMinute) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    Line line = make(seed);
    line.run(20s + seed * 1500ms);
    line.capacity /= 4;
    line.run(40s);
    const std::uint64_t rate = sum(line.measure(60s));
    EXPECT_GE(rate, line.capacity / 100 * 70);
    EXPECT_LE(rate, line.capacity / 100 * 88);
  }
}

INSTANTIATE_TEST_SUITE_P(Lines, BandwidthPercent,
                         testing::Values(Percent{"AForegroundFile", true, 12'500'000, 1},
                                         Percent{"ABackgroundFile", false, 12'500'000, 1},
                                         Percent{"SeveralFiles", false, 2'000'000, 5},
                                         Percent{"ASlowLine", true, 50'000, 1},
                                         Percent{"AFastLine", false, 1'250'000'000, 3}),
                         [](const auto& line) { return std::string(line.param.name); });

TEST(BandwidthGovernor, AForegroundWithoutALimitIsNeverLimited) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Prng prng{Seed{seed}};
    const auto percent = static_cast<std::uint32_t>(prng.below(101));
    Line line(always({.background = {.bytes_per_s = prng.below(2) * prng.below(5 * kMega),
                                     .percent = percent}}),
              kMega + prng.below(20 * kMega), seed);
    line.check = [&] {
      for (const Line::Download& d : line.downloads) {
        if (d.foreground) {
          ASSERT_EQ(d.allowed, 0U);
        }
      }
    };
    for (int i = 0; i < 20; ++i) {
      line.add({.foreground = prng.below(2) == 0});
      if (line.downloads.size() > 4) line.downloads.erase(line.downloads.begin());
      line.capacity = kMega + prng.below(20 * kMega);
      line.run(7s);
    }
  }
}

TEST(BandwidthGovernor, BackgroundInPerCentMakesWayForAForegroundThatFillsTheLine) {
  Line line(always({.background = {.percent = 50}}), 10 * kMega);
  line.add({.foreground = false});
  line.run(20s);
  line.add({.foreground = true});
  line.run(10s);
  const auto rates = line.measure(10s);
  EXPECT_LE(rates[0], 1'500'000U);
  EXPECT_GE(rates[1], 8'000'000U);
}

TEST(BandwidthGovernor, BackgroundInPerCentKeepsItsPartBesideAForegroundLimitedInBytes) {
  Line line(always({.foreground = {.bytes_per_s = kMega}, .background = {.percent = 50}}),
            10 * kMega);
  line.add({.foreground = true});
  line.add({.foreground = false});
  line.run(120s);
  const auto rates = line.measure(60s);
  EXPECT_GE(rates[0], 900'000U);
  EXPECT_GE(rates[1], 4'500'000U);
  EXPECT_LE(rates[1], 6'000'000U);
}

TEST(BandwidthGovernor, BothKindsInPerCentStayBelowTheHigherLimitTogether) {
  Line line(always({.foreground = {.percent = 60}, .background = {.percent = 30}}), 10 * kMega);
  line.add({.foreground = false});
  line.add({.foreground = true});
  line.run(30s);
  const auto rates = line.measure(60s);
  EXPECT_LE(rates[0] + rates[1], 7'200'000U);
  EXPECT_GE(rates[1], 5'500'000U);
}

TEST(BandwidthGovernor, ASlowServerDoesNotHoldBackAFastOneForLong) {
  Line line(always({.foreground = {.percent = 80}}), 20 * kMega);
  line.add({.foreground = true, .server = 200'000});
  line.run(60s);
  line.add({.foreground = true});
  line.run(10s);
  EXPECT_GE(line.measure(15s)[1], 14 * kMega);
}

TEST(BandwidthGovernor, TransfersThatAskForNothingTeachNothingAboutTheLine) {
  Line line(always({.foreground = {.percent = 80}}), 10 * kMega);
  line.add({.foreground = true});
  line.run(20s);
  line.downloads[0].asking = false;  // its peers give it all
  line.run(10min);
  line.downloads[0].asking = true;
  line.run(250ms);
  EXPECT_GE(line.measure(5s)[0], 7 * kMega);
}

// ---- hours -------------------------------------------------------------------------------------

LocalTime at(std::uint32_t weekday, std::uint32_t hour, std::uint32_t minute = 0) {
  return {.weekday = weekday, .second = hour * 3600 + minute * 60};
}

TEST(BandwidthHours, HoldOnTheirDaysBetweenTheirMinutes) {
  const BandwidthLimits limits{.always = {.total_bytes_per_s = 1},
                               .hours = {{.weekdays = 0x1f,  // Monday to Friday
                                          .begin_minute = 8 * 60,
                                          .end_minute = 18 * 60,
                                          .rule = {.total_bytes_per_s = 2}}}};
  EXPECT_EQ(rule_at(limits, at(0, 7, 59)).total_bytes_per_s, 1U);
  EXPECT_EQ(rule_at(limits, at(0, 8)).total_bytes_per_s, 2U);
  EXPECT_EQ(rule_at(limits, at(4, 17, 59)).total_bytes_per_s, 2U);
  EXPECT_EQ(rule_at(limits, at(4, 18)).total_bytes_per_s, 1U);
  EXPECT_EQ(rule_at(limits, at(5, 12)).total_bytes_per_s, 1U);
}

TEST(BandwidthHours, OverMidnightBelongToTheDayTheyBegin) {
  const BandwidthLimits limits{.always = {},
                               .hours = {{.weekdays = 0x40,  // Sunday
                                          .begin_minute = 22 * 60,
                                          .end_minute = 6 * 60,
                                          .rule = {.total_bytes_per_s = 2}}}};
  EXPECT_EQ(rule_at(limits, at(6, 21, 59)).total_bytes_per_s, 0U);
  EXPECT_EQ(rule_at(limits, at(6, 22)).total_bytes_per_s, 2U);
  EXPECT_EQ(rule_at(limits, at(0, 5, 59)).total_bytes_per_s, 2U);
  EXPECT_EQ(rule_at(limits, at(0, 6)).total_bytes_per_s, 0U);
  EXPECT_EQ(rule_at(limits, at(6, 5)).total_bytes_per_s, 0U);
}

TEST(BandwidthHours, TheFirstThatContainsTheTimeCounts) {
  const BandwidthLimits limits{
      .always = {},
      .hours = {{.rule = {.total_bytes_per_s = 2}}, {.rule = {.total_bytes_per_s = 3}}}};
  EXPECT_EQ(rule_at(limits, at(3, 0)).total_bytes_per_s, 2U);
  EXPECT_EQ(rule_at(limits, at(3, 23, 59)).total_bytes_per_s, 2U);
}

TEST(BandwidthHours, BeginAndEndWhileTransfersRun) {
  Line line({.always = {},
             .hours = {{.begin_minute = 12 * 60 + 1,
                        .end_minute = 12 * 60 + 2,
                        .rule = {.total_bytes_per_s = kMega}}}},
            10 * kMega);
  line.local.second += 30;
  line.add({});
  EXPECT_EQ(line.downloads[0].allowed, 0U);
  ASSERT_EQ(line.governor().next_wakeup(), line.now + 30s);
  line.now += 30s;
  line.local.second += 30;
  line.ask();
  EXPECT_EQ(line.downloads[0].allowed, kMega);
  ASSERT_EQ(line.governor().next_wakeup(), line.now + BandwidthGovernor::kStep);
  line.now += 60s;
  line.local.second += 60;
  line.ask();
  EXPECT_EQ(line.downloads[0].allowed, 0U);
}

TEST(BandwidthLimits, ThatMakeNoSenseAreRefusedByName) {
  const auto message = [](const BandwidthLimits& limits) {
    const auto checked = check_limits(limits);
    return checked ? std::string() : checked.error().message;
  };
  EXPECT_EQ(message({}), "");
  EXPECT_NE(message(always({.foreground = {.percent = 101}})).find("always.foreground.percent"),
            std::string::npos);
  EXPECT_NE(message({.always = {}, .hours = {{}, {.weekdays = 0}}}).find("hours[1].weekdays"),
            std::string::npos);
  EXPECT_NE(message({.always = {}, .hours = {{.weekdays = 0x80}}}).find("weekdays"),
            std::string::npos);
  EXPECT_NE(message({.always = {}, .hours = {{.begin_minute = 1440}}}).find("hours[0]"),
            std::string::npos);
  EXPECT_NE(message({.always = {}, .hours = {{.end_minute = 1441}}}).find("hours[0]"),
            std::string::npos);
  EXPECT_NE(message({.always = {}, .hours = std::vector<BandwidthHours>(33)}).find("more than 32"),
            std::string::npos);
}

}  // namespace
}  // namespace lanward::core
