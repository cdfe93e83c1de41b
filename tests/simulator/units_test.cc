#include "simulator/units.h"

#include <gtest/gtest.h>

namespace lanward::simulator {
namespace {

using std::chrono::nanoseconds;

TEST(Units, ReadsSizes) {
  EXPECT_EQ(parse_size("--size", "64MiB")->value, 64U << 20U);
  EXPECT_EQ(parse_size("--size", "1.5KiB")->value, 1536U);
  EXPECT_EQ(parse_size("--size", "3GB")->value, 3'000'000'000U);
  EXPECT_EQ(parse_size("--size", "17")->value, 17U);
  EXPECT_EQ(parse_size("--size", "17B")->value, 17U);
}

TEST(Units, ReadsRatesInBytesPerSecond) {
  EXPECT_EQ(parse_rate("--wan", "100Mbit")->value, 12'500'000U);
  EXPECT_EQ(parse_rate("--wan", "2.5Gbit")->value, 312'500'000U);
  EXPECT_EQ(parse_rate("--wan", "8kbit")->value, 1'000U);
  EXPECT_EQ(parse_rate("--wan", "12MiB/s")->value, 12U << 20U);
}

TEST(Units, ReadsDurations) {
  EXPECT_EQ(*parse_duration("--rtt", "20ms"), nanoseconds{20'000'000});
  EXPECT_EQ(*parse_duration("--rtt", "1.5s"), nanoseconds{1'500'000'000});
  EXPECT_EQ(*parse_duration("--rtt", "0us"), nanoseconds{0});
}

TEST(Units, ReadsSharesInPartsOfAMillion) {
  EXPECT_EQ(*parse_share("--loss", "50%"), 500'000U);
  EXPECT_EQ(*parse_share("--loss", "0.5%"), 5'000U);
  EXPECT_EQ(*parse_share("--loss", "0%"), 0U);
  EXPECT_FALSE(parse_share("--loss", "5"));
  EXPECT_FALSE(parse_share("--loss", "%"));
}

TEST(Units, NamesTheOptionTheValueAndAWayOutInEveryError) {
  for (const char* text :
       {"", "MiB", "-1MiB", "64 MiB", "64mib", "1e3MiB", "1.MiB", ".5MiB", "1..5MiB",
        "99999999999999999999MiB", "9999999999TiB", "1.0000000001MiB"}) {
    const auto parsed = parse_size("--size", text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(parsed.error().message.find("--size"), std::string::npos) << parsed.error().message;
    EXPECT_NE(parsed.error().message.find(text), std::string::npos) << parsed.error().message;
    EXPECT_NE(parsed.error().message.find("64MiB"), std::string::npos) << parsed.error().message;
  }
}

TEST(Units, DemandsAUnitWhereNoneIsUsual) {
  EXPECT_FALSE(parse_rate("--wan", "100"));
  EXPECT_FALSE(parse_duration("--rtt", "20"));
}

}  // namespace
}  // namespace lanward::simulator
