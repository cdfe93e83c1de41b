#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include <lanward/types.h>

namespace lanward {
namespace {

const std::string kText = "00112233-4455-6677-8899-aabbccddeeff";

TEST(Names, EveryStateHasItsOwn) {
  std::set<std::string> names;
  for (int i = 0; i <= static_cast<int>(JobState::cancelled); ++i) {
    names.insert(to_string(static_cast<JobState>(i)));
  }
  EXPECT_EQ(names.size(), 9U);
  EXPECT_STREQ(to_string(JobState::transient_error), "transient_error");
}

TEST(Names, OfPrioritiesAreThePublishedWords) {
  EXPECT_STREQ(to_string(Priority::foreground), "foreground");
  EXPECT_STREQ(to_string(Priority::high), "high");
  EXPECT_STREQ(to_string(Priority::normal), "normal");
  EXPECT_STREQ(to_string(Priority::low), "low");
}

TEST(Names, OfIntegrity) {
  EXPECT_STREQ(to_string(Integrity::unknown), "unknown");
  EXPECT_STREQ(to_string(Integrity::manifest), "manifest");
  EXPECT_STREQ(to_string(Integrity::transport), "transport");
  EXPECT_STREQ(to_string(Integrity::digest), "digest");
}

TEST(JobId, IsWrittenInLowerCaseWithHyphens) {
  JobId id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) {
    id.bytes[i] = static_cast<std::uint8_t>(i * 0x11U);
  }
  EXPECT_EQ(to_string(id), kText);
}

TEST(JobId, IsReadBackInEitherCaseWithOrWithoutBraces) {
  for (const std::string& text :
       {kText, "{" + kText + "}", std::string("00112233-4455-6677-8899-AABBCCDDEEFF"),
        std::string("{00112233-4455-6677-8899-aAbBcCdDeEfF}")}) {
    const auto id = parse_job_id(text);
    ASSERT_TRUE(id) << text;
    EXPECT_EQ(to_string(*id), kText);
  }
}

TEST(JobId, EveryByteSurvivesBothWays) {
  for (std::size_t at = 0; at < 16; ++at) {
    for (unsigned value = 0; value < 256; ++value) {
      JobId id;
      id.bytes[at] = static_cast<std::uint8_t>(value);
      ASSERT_EQ(parse_job_id(to_string(id)), id) << at << " " << value;
    }
  }
}

TEST(JobId, NothingShorterOrLongerIsOne) {
  for (std::size_t n = 0; n < kText.size(); ++n) {
    EXPECT_FALSE(parse_job_id(kText.substr(0, n))) << n;
  }
  for (const std::string& text :
       {kText + "0", kText + "00", kText + "}", "{" + kText, " " + kText, kText + " ",
        "{{" + kText + "}}", "{" + kText + "} ", "}" + kText + "{", "}" + kText + "}",
        "{" + kText + "{", " " + kText + " ", std::string(1000, '0')}) {
    EXPECT_FALSE(parse_job_id(text)) << text;
  }
}

TEST(JobId, NoOtherCharacterTakesThePlaceOfADigitOrAHyphen) {
  for (std::size_t at = 0; at < kText.size(); ++at) {
    for (const char c : {'g', 'G', '/', ':', '@', '`', ' ', '-', '0', '\0', '\xff'}) {
      std::string text = kText;
      text[at] = c;
      const bool hyphen = kText[at] == '-';
      const bool fits = hyphen ? c == '-' : c == '0';
      EXPECT_EQ(parse_job_id(text).has_value(), fits) << at << " " << static_cast<int>(c);
    }
  }
}

}  // namespace
}  // namespace lanward
