#include "engine/core/group.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "engine/core/digest.h"
#include "engine/core/hmac.h"
#include "engine/store/sha256.h"

namespace lanward::core {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

const WallTime kNow{seconds{1'795'000'000}};

std::vector<std::uint8_t> bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

FreshKey fresh(std::uint8_t n) {
  FreshKey key{.id = 0xa0000000U + n};
  key.secret.fill(n);
  return key;
}
Group sample() {
  Secret veil{};
  veil.fill(0x77);
  return make_group({1, 2, 3}, veil, fresh(1), kNow);
}

TEST(Hmac, AgreesWithThePublishedVectors) {
  // RFC 4231, cases 2 and 6 (a key longer than a block).
  EXPECT_EQ(to_hex(hmac_sha256(bytes_of("Jefe"), bytes_of("what do ya want for nothing?"),
                               &store::sha256)),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  const std::vector<std::uint8_t> long_key(131, 0xaa);
  EXPECT_EQ(to_hex(hmac_sha256(long_key,
                               bytes_of("Test Using Larger Than Block-Size Key - Hash Key First"),
                               &store::sha256)),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Hmac, SecretsAreEqualOrNot) {
  const auto a = bytes_of("abcd");
  EXPECT_TRUE(equal_secrets(a, bytes_of("abcd")));
  EXPECT_FALSE(equal_secrets(a, bytes_of("abcx")));
  EXPECT_FALSE(equal_secrets(a, bytes_of("xbcd")));
  EXPECT_FALSE(equal_secrets(a, bytes_of("abc")));
  EXPECT_TRUE(equal_secrets({}, {}));
}

TEST(GroupFile, IsReadBackAsItWasWritten) {
  Group group = sample();
  EXPECT_EQ(parse_group(format_group(group)), group);
  group = *rotate_group(group, fresh(2), hours{24}, kNow + hours{1});
  ASSERT_EQ(group.keys.size(), 2U);
  EXPECT_EQ(parse_group(format_group(group)), group);
  EXPECT_LT(format_group(group).size(), kGroupFileBytesMax);
}

TEST(GroupFile, TimesAreWrittenForPeople) {
  EXPECT_EQ(time_text(WallTime{seconds{0}}), "1970-01-01T00:00:00Z");
  EXPECT_EQ(time_text(WallTime{seconds{1'709'210'096}}), "2024-02-29T12:34:56Z");
}

TEST(GroupFile, ErrorsNameLineAndFieldAndNoSecret) {
  const std::string good = format_group(sample());
  const std::string secret(64, '1');
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  const std::string key = good.substr(good.find("key "));
  struct Case {
    std::string text;
    std::string expected;
  };
  const Case cases[] = {
      {"", "line 1: the file is empty"},
      {"hello\n", "line 1: not a group file"},
      {with("lanward-group 1", "lanward-group 2"), "a version of the format that is not known"},
      {with("id 01", "id 0g"), "line 3: the id is not 32 hexadecimal digits"},
      {with("id 01", "id x 01"), "line 3: expected 'id ID'"},
      {with("veil 77", "veil 7"), "line 4: the veil is not 64 hexadecimal digits"},
      {with("veil 77", "fail 77"), "line 4: expected 'id', 'veil' or 'key'"},
      {with("key a0", "key zz"), "line 5: the key's id is not 8 hexadecimal digits"},
      {with("01010101", "0101010"), "line 5: the key's secret is not 64 hexadecimal digits"},
      {with("until never", "until ever"), "line 5: the time after 'until' is neither"},
      {with("until never", "until 1999-01-01T00:00:00Z"),
       "line 5: the time after 'until' is not after"},
      {with("from 20", "from 2O"), "line 5: the time after 'from' is not like"},
      {with("from 2026-11", "from 2026-13"), "line 5: the time after 'from' is not like"},
      {with("from ", "since "), "line 5: expected 'key ID SECRET from TIME until TIME|never'"},
      {with("key ", "# "), "line 6: no 'key' line"},
      {with("id ", "# "), "line 6: no 'id' line"},
      {with("veil ", "# "), "line 6: no 'veil' line"},
      {good + good.substr(good.find("id ")), "line 6: a second id"},
      {good + key, "line 6: two keys have the same id"},
      {good.substr(0, good.size() - 1), "line 5: the file is cut off"},
      {good + std::string(kGroupFileBytesMax, '#'), "bytes, at most 4096"},
  };
  for (const Case& c : cases) {
    const auto parsed = parse_group(c.text);
    ASSERT_FALSE(parsed) << c.expected;
    EXPECT_NE(parsed.error().message.find(c.expected), std::string::npos) << parsed.error().message;
    EXPECT_EQ(parsed.error().message.find("0101"), std::string::npos) << parsed.error().message;
    EXPECT_EQ(parsed.error().message.find("7777"), std::string::npos) << parsed.error().message;
  }
}

TEST(GroupFile, EveryCutIsRefused) {
  const std::string good = format_group(sample());
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(parse_group(good.substr(0, length))) << length;
  }
}

TEST(GroupKeys, TheNewestIsPreferredAndBothAreAcceptedWhileTheyOverlap) {
  const Group group = *rotate_group(sample(), fresh(2), hours{24}, kNow + hours{10});
  const auto ids = [&](WallTime at) {
    std::vector<std::uint32_t> found;
    for (const GroupKey& key : accepted_keys(group, at)) found.push_back(key.id & 0xffU);
    return found;
  };
  EXPECT_EQ(ids(kNow + hours{10}), (std::vector<std::uint32_t>{2, 1}));
  EXPECT_EQ(ids(kNow + hours{34} - seconds{1}), (std::vector<std::uint32_t>{2, 1}));
  EXPECT_EQ(ids(kNow + hours{34}), (std::vector<std::uint32_t>{2}));
  // A machine whose clock is behind accepts the new key, too.
  EXPECT_EQ(ids(kNow + hours{9}), (std::vector<std::uint32_t>{1, 2}));
}

TEST(GroupKeys, OfTwoOfTheSameSecondTheOneAddedLaterIsPreferred) {
  for (const std::uint8_t newer : {std::uint8_t{0}, std::uint8_t{2}}) {
    const Group group = *rotate_group(sample(), fresh(newer), hours{24}, kNow);
    EXPECT_EQ(accepted_keys(group, kNow)[0].id, fresh(newer).id);
  }
}

TEST(GroupKeys, AThirdIsRefusedUntilTheFirstHasExpired) {
  Group group = *rotate_group(sample(), fresh(2), hours{24}, kNow);
  const auto refused = rotate_group(group, fresh(3), hours{24}, kNow + hours{23});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("a0000001"), std::string::npos);
  EXPECT_NE(refused.error().message.find(time_text(kNow + hours{24})), std::string::npos);
  group = *rotate_group(group, fresh(3), hours{24}, kNow + hours{24});
  EXPECT_EQ(group.keys.size(), 2U);
  EXPECT_EQ(group.keys[0].id, fresh(2).id);
  EXPECT_EQ(group.keys[1].id, fresh(3).id);
  EXPECT_FALSE(rotate_group(sample(), fresh(1), hours{24}, kNow));
}

TEST(GroupKeys, WithoutAnOverlapTheOldOnesGoAtOnce) {
  const Group group = *rotate_group(sample(), fresh(2), hours{24}, kNow);
  const Group cut = *rotate_group(group, fresh(3), std::nullopt, kNow);
  ASSERT_EQ(cut.keys.size(), 1U);
  EXPECT_EQ(cut.keys[0].id, fresh(3).id);
  EXPECT_EQ(cut.veil, group.veil);
  EXPECT_EQ(cut.id, group.id);
}

TEST(GroupVeil, TwoGroupsCallOneContentByDifferentNames) {
  Digest infohash{};
  infohash.fill(5);
  Secret other{};
  other.fill(0x78);
  const Digest name = veiled_name(sample().veil, infohash, &store::sha256);
  EXPECT_NE(name, infohash);
  EXPECT_NE(name, veiled_name(other, infohash, &store::sha256));
  EXPECT_EQ(name, veiled_name(sample().veil, infohash, &store::sha256));
}

}  // namespace
}  // namespace lanward::core
