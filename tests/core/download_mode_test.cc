#include "engine/core/download_mode.h"

#include <array>
#include <string>

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

constexpr std::array kAll{DownloadMode::cdn_only, DownloadMode::lan,    DownloadMode::group,
                          DownloadMode::internet, DownloadMode::simple, DownloadMode::bypass};

TEST(DownloadMode, IsNamedByItsPublishedNumberOrItsName) {
  EXPECT_EQ(parse_download_mode("0"), DownloadMode::cdn_only);
  EXPECT_EQ(parse_download_mode("99"), DownloadMode::simple);
  EXPECT_EQ(parse_download_mode("100"), DownloadMode::bypass);
  for (const DownloadMode mode : kAll) {
    EXPECT_EQ(parse_download_mode(to_string(mode)), mode);
    EXPECT_EQ(parse_download_mode(std::to_string(static_cast<int>(mode))), mode);
  }
  for (const char* text : {"", "4", "01", "LAN", " lan", "1 ", "-1", "unknown"}) {
    EXPECT_FALSE(parse_download_mode(text)) << text;
  }
}

TEST(DownloadMode, AllowsWhatTheTableSays) {
  struct Row {
    DownloadMode mode;
    bool peers, members_only, look_up, keep;
  };
  for (const Row& row : {Row{DownloadMode::cdn_only, false, false, true, true},
                         Row{DownloadMode::lan, true, false, true, true},
                         Row{DownloadMode::group, true, true, true, true},
                         Row{DownloadMode::internet, false, false, false, false},
                         Row{DownloadMode::simple, false, false, false, true},
                         Row{DownloadMode::bypass, false, false, false, false}}) {
    const ModeRules rules = rules_of(row.mode);
    EXPECT_EQ(rules.peers, row.peers) << to_string(row.mode);
    EXPECT_EQ(rules.members_only, row.members_only) << to_string(row.mode);
    EXPECT_EQ(rules.look_up, row.look_up) << to_string(row.mode);
    EXPECT_EQ(rules.keep, row.keep) << to_string(row.mode);
  }
}

TEST(DownloadMode, WithoutAWordFitsTheRest) {
  EXPECT_EQ(*choose_mode({}, {}), DownloadMode::lan);
  EXPECT_EQ(*choose_mode({}, {.group = true}), DownloadMode::group);
  EXPECT_EQ(*choose_mode({}, {.peers = false}), DownloadMode::cdn_only);
  EXPECT_EQ(*choose_mode({}, {.peers = false, .group = true, .listen = true, .share_cached = true}),
            DownloadMode::cdn_only);
}

TEST(DownloadMode, ContradictionsAreErrorsThatNameBothSides) {
  struct Row {
    DownloadMode mode;
    ModeWishes wishes;
    const char* named;  // what the message is about
  };
  for (const Row& row :
       {Row{DownloadMode::group, {}, "--group"}, Row{DownloadMode::lan, {.group = true}, "--group"},
        Row{DownloadMode::cdn_only, {.group = true}, "--group"},
        Row{DownloadMode::lan, {.peers = false}, "--no-peers"},
        Row{DownloadMode::cdn_only, {.listen = true}, "--listen"},
        Row{DownloadMode::simple, {.listen = true}, "--listen"},
        Row{DownloadMode::bypass, {.share_cached = true}, "cache"}}) {
    const auto chosen = choose_mode(row.mode, row.wishes);
    ASSERT_FALSE(chosen) << to_string(row.mode);
    EXPECT_EQ(chosen.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(chosen.error().message.find(row.named), std::string::npos) << chosen.error().message;
    EXPECT_NE(chosen.error().message.find(to_string(row.mode)), std::string::npos);
  }
  const auto internet = choose_mode(DownloadMode::internet, {});
  ASSERT_FALSE(internet);
  EXPECT_EQ(internet.error().code, ErrorCode::unsupported);
  for (const DownloadMode mode :
       {DownloadMode::cdn_only, DownloadMode::simple, DownloadMode::bypass}) {
    EXPECT_EQ(*choose_mode(mode, {.peers = false}), mode);
    EXPECT_EQ(*choose_mode(mode, {}), mode);
  }
  EXPECT_EQ(*choose_mode(DownloadMode::group, {.group = true, .listen = true}),
            DownloadMode::group);
}

}  // namespace
}  // namespace lanward::core
