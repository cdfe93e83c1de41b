// What a manifest says about who may share the file.
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/core/metainfo.h"
#include "engine/store/sha256.h"

namespace lanward::core {
namespace {

std::vector<std::uint8_t> sample(bool share_private) {
  Content content;
  content.layout = PieceLayout(ByteCount{100}, kBlockBytes);
  content.piece_hashes.resize(1);
  content.piece_hashes[0].fill(7);
  content.id = pieces_root(content.piece_hashes, content.layout, &store::sha256);
  return write_metainfo({.content = content, .name = "f", .share_private = share_private});
}

// `text` with the first `from` replaced.
std::vector<std::uint8_t> replaced(const std::vector<std::uint8_t>& bytes, const std::string& from,
                                   const std::string& to) {
  std::string text(bytes.begin(), bytes.end());
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos);
  text.replace(at, from.size(), to);
  return {text.begin(), text.end()};
}

TEST(ManifestFlags, ThePermissionIsOutsideOfWhatNamesTheContent) {
  const auto plain = parse_metainfo(sample(false), &store::sha256);
  const auto shared = parse_metainfo(sample(true), &store::sha256);
  ASSERT_TRUE(plain && shared);
  EXPECT_FALSE(plain->share_private);
  EXPECT_TRUE(shared->share_private);
  EXPECT_EQ(plain->infohash, shared->infohash);
  EXPECT_EQ(shared->name, "f");
  EXPECT_FALSE(plain->tracker_only || shared->tracker_only);
}

TEST(ManifestFlags, ThePermissionIsOneOrZeroAndNothingElse) {
  const auto no =
      parse_metainfo(replaced(sample(true), "5:sharei1e", "5:sharei0e"), &store::sha256);
  ASSERT_TRUE(no);
  EXPECT_FALSE(no->share_private);
  for (const char* odd : {"5:sharei2e", "5:sharei-1e", "5:share1:1", "5:sharele", "5:sharede"}) {
    const auto refused = parse_metainfo(replaced(sample(true), "5:sharei1e", odd), &store::sha256);
    ASSERT_FALSE(refused) << odd;
    EXPECT_EQ(refused.error().code, ErrorCode::manifest_invalid);
    EXPECT_NE(refused.error().message.find("lanward.share"), std::string::npos);
  }
}

TEST(ManifestFlags, BepTwentySevenIsRead) {
  const std::string before = "12:piece lengthi16384e";
  const auto with = [&](const char* flag) {
    return parse_metainfo(replaced(sample(false), before, before + flag), &store::sha256);
  };
  const auto yes = with("7:privatei1e");
  ASSERT_TRUE(yes) << yes.error().message;
  EXPECT_TRUE(yes->tracker_only);
  const auto no = with("7:privatei0e");
  ASSERT_TRUE(no);
  EXPECT_FALSE(no->tracker_only);
  for (const char* odd : {"7:privatei2e", "7:private1:1"}) {
    const auto refused = with(odd);
    ASSERT_FALSE(refused) << odd;
    EXPECT_NE(refused.error().message.find("info.private"), std::string::npos);
  }
}

}  // namespace
}  // namespace lanward::core
