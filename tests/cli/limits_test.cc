#include "api/cli/limits.h"

#include <gtest/gtest.h>

#include <string>

namespace lanward::cli {
namespace {

std::uint64_t rate(const char* text) {
  const auto parsed = parse_rate(text);
  if (const auto* problem = std::get_if<std::string>(&parsed)) ADD_FAILURE() << *problem;
  const auto* value = std::get_if<std::uint64_t>(&parsed);
  return value == nullptr ? 0 : *value;
}

std::string problem(const Parsed<std::uint64_t>& parsed) {
  const auto* text = std::get_if<std::string>(&parsed);
  return text == nullptr ? "" : *text;
}

TEST(Rate, HasUnitsOfBytesAndOfBits) {
  EXPECT_EQ(rate("1"), 1U);
  EXPECT_EQ(rate("2000000"), 2'000'000U);
  EXPECT_EQ(rate("500kB"), 500'000U);
  EXPECT_EQ(rate("500KB"), 500'000U);
  EXPECT_EQ(rate("1.5MB"), 1'500'000U);
  EXPECT_EQ(rate("2MiB"), 2'097'152U);
  EXPECT_EQ(rate("0.5GiB"), 536'870'912U);
  EXPECT_EQ(rate("10Mbit"), 1'250'000U);
  EXPECT_EQ(rate("10Mbps"), 1'250'000U);
  EXPECT_EQ(rate("2.5Gbit"), 312'500'000U);
  EXPECT_EQ(rate("64kbit/s"), 8'000U);
  EXPECT_EQ(rate("3MB/s"), 3'000'000U);
  EXPECT_EQ(rate("8bit"), 1U);
  EXPECT_EQ(rate("0.000001MB"), 1U);
  EXPECT_EQ(rate("1000GB"), 1'000'000'000'000U);
}

TEST(Size, HasUnitsOfBytesOnly) {
  const auto size = [](const char* text) {
    const auto parsed = parse_size(text);
    const auto* value = std::get_if<std::uint64_t>(&parsed);
    return value == nullptr ? ~std::uint64_t{0} : *value;
  };
  EXPECT_EQ(size("0"), 0U);
  EXPECT_EQ(size("700"), 700U);
  EXPECT_EQ(size("1.5GiB"), 1'610'612'736U);
  EXPECT_EQ(size("2TB"), 2'000'000'000'000U);
  EXPECT_EQ(size("0.5TiB"), 549'755'813'888U);
  for (const char* text : {"", "GB", "-1", "1Gbit", "10%", "1 GB", "full"}) {
    EXPECT_NE(problem(parse_size(text)).find("'" + std::string(text) + "' is not a size"),
              std::string::npos)
        << text;
  }
  EXPECT_NE(problem(parse_size("2000000TB")).find("more than any disk"), std::string::npos);
}

TEST(Rate, WhatIsNoRateIsRefusedWithItsText) {
  for (const char* text : {"",     "MB",      "fast",        "-1",
                           "+1",   "1 MB",    "1,5MB",       "1.MB",
                           ".5MB", "1.2.3MB", "1.1234567MB", "0x10",
                           "1e6",  "10Mb",    "1m",          "1kb",
                           "1k",   "1MB/m",   "1MBs",        "99999999999999999999"}) {
    EXPECT_NE(problem(parse_rate(text)).find("'" + std::string(text) + "' is not a rate"),
              std::string::npos)
        << text;
  }
}

TEST(Rate, TooSmallAndTooLargeAreToldApart) {
  for (const char* text : {"0", "0MB", "7bit", "0.1B"}) {
    EXPECT_NE(problem(parse_rate(text)).find("less than a byte"), std::string::npos) << text;
  }
  for (const char* text : {"1001GB", "1000000000000GiB", "9000Gbit"}) {
    EXPECT_EQ(problem(parse_rate(text)).find("less"), std::string::npos) << text;
    EXPECT_NE(problem(parse_rate(text)), "") << text;
  }
}

TEST(Limit, IsARateOrAPercentage) {
  EXPECT_EQ(std::get<BandwidthLimit>(parse_limit("1MB")),
            (BandwidthLimit{.bytes_per_s = 1'000'000, .percent = 0}));
  EXPECT_EQ(std::get<BandwidthLimit>(parse_limit("80%")),
            (BandwidthLimit{.bytes_per_s = 0, .percent = 80}));
  for (const char* text : {"0%", "101%", "%", "1.5%", "-1%"}) {
    EXPECT_TRUE(std::holds_alternative<std::string>(parse_limit(text))) << text;
  }
}

BandwidthHours hours(const char* text) {
  const auto parsed = parse_hours(text);
  if (const auto* why = std::get_if<std::string>(&parsed)) ADD_FAILURE() << *why;
  const auto* value = std::get_if<BandwidthHours>(&parsed);
  return value == nullptr ? BandwidthHours{} : *value;
}

TEST(Hours, HaveDaysASpanAndALimit) {
  const BandwidthHours office = hours("mon-fri 08:00-18:30 1MB");
  EXPECT_EQ(office.weekdays, 0x1f);
  EXPECT_EQ(office.begin_minute, 480);
  EXPECT_EQ(office.end_minute, 18 * 60 + 30);
  EXPECT_EQ(office.rule.total_bytes_per_s, 1'000'000U);
  EXPECT_EQ(office.rule.foreground, BandwidthLimit{});
}

TEST(Hours, WithoutDaysAreOfEveryDay) {
  const BandwidthHours night = hours("22:00-6:00 50%");
  EXPECT_EQ(night.weekdays, BandwidthHours::kEveryDay);
  EXPECT_EQ(night.begin_minute, 22 * 60);
  EXPECT_EQ(night.end_minute, 360);
  EXPECT_EQ(night.rule.total_bytes_per_s, 0U);
  EXPECT_EQ(night.rule.foreground.percent, 50U);
  EXPECT_EQ(night.rule.background.percent, 50U);
}

TEST(Hours, DaysAreAListOfDaysAndSpans) {
  EXPECT_EQ(hours("sat,sun 00:00-24:00 none").weekdays, 0x60);
  EXPECT_EQ(hours("Mon,wed-thu 00:00-24:00 none").weekdays, 0x0d);
  EXPECT_EQ(hours("fri-mon 00:00-24:00 none").weekdays, 0x71);
  EXPECT_EQ(hours("sat 00:00-24:00 none").rule, BandwidthRule{});
  EXPECT_EQ(hours("sat 00:00-24:00 none").end_minute, 1440);
}

TEST(Hours, WhatMakesNoSenseIsRefused) {
  for (const char* text :
       {"", "08:00-18:00", "mon-fri 08:00 1MB", "mon-frid 08:00-18:00 1MB", "mon 8-18 1MB",
        "mon 08:60-18:00 1MB", "mon 25:00-26:00 1MB", "mon 24:00-06:00 1MB", "mon 00:00-24:01 1MB",
        "mon 08:00-18:00 fast", "mon 08:00-18:00 1MB now", ", 08:00-18:00 1MB",
        "mon 08:0-18:00 1MB", "mon 08:00-18:00-19:00 1MB"}) {
    EXPECT_TRUE(std::holds_alternative<std::string>(parse_hours(text))) << text;
  }
}

}  // namespace
}  // namespace lanward::cli
