#include "engine/core/metainfo.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/core/metainfo_samples.h"

namespace lanward::core {
namespace {

using samples::content_of;
using samples::foreign_tree;
using samples::parse;
using samples::random_bytes;
using samples::small_content;
using samples::Tree;

MetainfoParts canonical_parts(std::size_t size) {
  const std::uint32_t piece_bytes = canonical_piece_bytes(ByteCount{size});
  return {content_of(random_bytes(size), piece_bytes), "Name.iso", {}, {}};
}

TEST(WriteMetainfo, ReadsBackForEverySizeAroundAPiece) {
  for (const std::size_t size : {0, 1, 16384, 16385, 262143, 262144, 262145, 524288, 700001}) {
    MetainfoParts parts = canonical_parts(size);
    parts.web_seeds = {"https://a/x?y=1", "http://b/x"};
    parts.trackers = {"udp://t:6969/announce", "https://t/announce"};
    const auto document = write_metainfo(parts);
    const auto manifest = parse(document);
    ASSERT_TRUE(manifest) << size << ": " << manifest.error().message;
    EXPECT_EQ(manifest->content.id, parts.content.id);
    EXPECT_EQ(manifest->content.layout, parts.content.layout);
    EXPECT_EQ(manifest->content.piece_hashes, parts.content.piece_hashes);
    EXPECT_EQ(manifest->name, "Name.iso");
    EXPECT_EQ(manifest->web_seeds, parts.web_seeds);
    EXPECT_EQ(manifest->trackers, parts.trackers);
    EXPECT_EQ(manifest->metainfo, document);
  }
}

TEST(WriteMetainfo, GivesEqualBytesTheEqualInfohashWhateverTheirNameAndUrls) {
  MetainfoParts parts = canonical_parts(300'000);
  const auto first = parse(write_metainfo(parts));
  parts.name = "another name";
  parts.web_seeds = {"http://elsewhere/file"};
  parts.trackers = {"http://tracker/announce"};
  const auto second = parse(write_metainfo(parts));
  parts.name.clear();
  const auto nameless = parse(write_metainfo(parts));
  ASSERT_TRUE(first && second && nameless);
  EXPECT_EQ(first->infohash, second->infohash);
  EXPECT_EQ(first->infohash, nameless->infohash);
  EXPECT_EQ(nameless->name, "") << "the hexadecimal root is no name for a person";
}

TEST(WriteMetainfo, WritesTheDocumentedForm) {
  MetainfoParts parts{content_of({}, kCanonicalPieceBytesMin), "x", {"http://a/x"}, {"udp://t:1"}};
  const auto document = write_metainfo(parts);
  const std::string id = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  EXPECT_EQ(std::string(document.begin(), document.end()),
            "d8:announce9:udp://t:113:announce-listll9:udp://t:1ee"
            "4:infod9:file treed64:" +
                id +
                "d0:d6:lengthi0eeee"
                "12:meta versioni2e4:name64:" +
                id +
                "12:piece lengthi262144ee"
                "7:lanwardd4:name1:xe12:piece layersde8:url-listl10:http://a/xee");
}

TEST(ParseMetainfo, TakesTheInfohashOverTheBytesAsTheyStand) {
  Tree tree = foreign_tree(small_content());
  tree["info"]["source"] = "another key that we do not know";
  const auto manifest = parse(tree);
  ASSERT_TRUE(manifest) << manifest.error().message;
  const auto info = tree["info"].encode();
  EXPECT_EQ(manifest->infohash, store::sha256(std::as_bytes(std::span(info))));
}

TEST(ParseMetainfo, ReadsAForeignManifestWithItsName) {
  const Content content = small_content();
  const auto manifest = parse(foreign_tree(content,
                                           "Gr\xc3\xbc\xc3\x9f"
                                           "e.iso"));
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(manifest->name,
            "Gr\xc3\xbc\xc3\x9f"
            "e.iso");
  EXPECT_EQ(manifest->content.piece_hashes, content.piece_hashes);
}

TEST(ParseMetainfo, ReadsTheSecondHalfOfAHybridManifest) {
  Tree tree = foreign_tree(small_content());
  tree["info"]["pieces"] = std::string(100, 'x');
  tree["info"]["length"] = 4 * 16384 + 1000;
  EXPECT_TRUE(parse(tree));
}

TEST(ParseMetainfo, IgnoresKeysItDoesNotKnow) {
  Tree tree = foreign_tree(small_content());
  tree["comment"] = "x";
  tree["creation date"] = 5;
  tree["lanward"]["later"] = 1;
  tree["info"]["file tree"]["data.bin"][""]["attr"] = "x";
  const auto manifest = parse(tree);
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(manifest->name, "data.bin");
}

TEST(ParseMetainfo, ReadsOneWebSeedOrAListOfThem) {
  Tree tree = foreign_tree(small_content());
  tree["url-list"] = "http://a/data.bin";
  EXPECT_EQ(parse(tree)->web_seeds, std::vector<std::string>{"http://a/data.bin"});
  tree["url-list"] = Tree::List{"http://a/x", "HTTPS://b/y", "http://a/x"};
  EXPECT_EQ(parse(tree)->web_seeds, (std::vector<std::string>{"http://a/x", "HTTPS://b/y"}));
  tree["url-list"] = "";
  EXPECT_TRUE(parse(tree)->web_seeds.empty());
}

TEST(ParseMetainfo, CompletesAWebSeedThatNamesADirectory) {
  Tree tree = foreign_tree(small_content(), "a b#1.bin");
  tree["url-list"] = "http://a/dir/";
  EXPECT_EQ(parse(tree)->web_seeds, std::vector<std::string>{"http://a/dir/a%20b%231.bin"});
  tree["info"]["name"] = "folder";  // now a directory of one file
  EXPECT_EQ(parse(tree)->web_seeds, std::vector<std::string>{"http://a/dir/folder/a%20b%231.bin"});
  tree["url-list"] = "http://a/dir";
  EXPECT_EQ(parse(tree)->web_seeds, std::vector<std::string>{"http://a/dir/folder/a%20b%231.bin"});
}

TEST(ParseMetainfo, LeavesOutUrlsOfOtherSchemes) {
  Tree tree = foreign_tree(small_content());
  tree["url-list"] = Tree::List{"ftp://a/x", "file://h/etc/passwd", "http://a/x"};
  tree["announce"] = "wss://t/announce";
  tree["announce-list"] = Tree::List{Tree(Tree::List{"udp://t:1", "dht://x"})};
  const auto manifest = parse(tree);
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(manifest->web_seeds, std::vector<std::string>{"http://a/x"});
  EXPECT_EQ(manifest->trackers, std::vector<std::string>{"udp://t:1"});
}

TEST(ParseMetainfo, MergesTrackersOfEveryTierWithoutRepeats) {
  Tree tree = foreign_tree(small_content());
  tree["announce"] = "http://t1/a";
  tree["announce-list"] = Tree::List{Tree(Tree::List{"http://t2/a", "http://t1/a"}),
                                     Tree(Tree::List{""}), Tree(Tree::List{"udp://t3:1"})};
  EXPECT_EQ(parse(tree)->trackers,
            (std::vector<std::string>{"http://t1/a", "http://t2/a", "udp://t3:1"}));
}

TEST(ParseMetainfo, TakesListsAtTheirLimit) {
  Tree tree = foreign_tree(small_content());
  Tree::List urls;
  for (std::size_t i = 0; i < kManifestUrlsMax; ++i)
    urls.push_back("http://a/" + std::to_string(i));
  tree["url-list"] = urls;
  EXPECT_EQ(parse(tree)->web_seeds.size(), kManifestUrlsMax);
}

}  // namespace
}  // namespace lanward::core
