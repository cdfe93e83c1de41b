// What strangers publish: damaged, oversized, wrong-typed and hostile metainfo.
#include <algorithm>
#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "engine/core/metainfo.h"
#include "engine/core/text.h"
#include "tests/core/metainfo_samples.h"

namespace lanward::core {
namespace {

using samples::content_of;
using samples::foreign_tree;
using samples::parse;
using samples::random_bytes;
using samples::small_content;
using samples::text_of;
using samples::Tree;

struct Hostile {
  const char* what;
  std::function<void(Tree&)> spoil;
  const char* message;  // names the field and what is wrong with it
  ErrorCode code = ErrorCode::manifest_invalid;
};

Tree& file_of(Tree& tree) { return tree["info"]["file tree"]["data.bin"][""]; }

void expect_refused(const Content& content, const std::vector<Hostile>& cases) {
  ASSERT_TRUE(parse(foreign_tree(content))) << "the sample itself must be sound";
  for (const Hostile& hostile : cases) {
    Tree tree = foreign_tree(content);
    hostile.spoil(tree);
    const auto manifest = parse(tree);
    ASSERT_FALSE(manifest) << hostile.what;
    EXPECT_EQ(manifest.error().code, hostile.code) << hostile.what;
    EXPECT_NE(manifest.error().message.find(hostile.message), std::string::npos)
        << hostile.what << " gave: " << manifest.error().message;
  }
}

TEST(HostileMetainfo, IsRefusedForAFieldOfTheWrongType) {
  const std::vector<Hostile> cases = {
      {"document", [](Tree& t) { t = Tree(Tree::List{1}); }, "the document is a list"},
      {"info", [](Tree& t) { t["info"] = 1; }, "info (at byte"},
      {"meta version", [](Tree& t) { t["info"]["meta version"] = "2"; }, "info.meta version"},
      {"name", [](Tree& t) { t["info"]["name"] = 5; }, "info.name"},
      {"file tree", [](Tree& t) { t["info"]["file tree"] = Tree::List{}; }, "info.file tree"},
      {"tree entry", [](Tree& t) { t["info"]["file tree"]["data.bin"] = 1; }, "info.file tree"},
      {"file", [](Tree& t) { file_of(t) = "x"; }, "describes a file by a string"},
      {"attr", [](Tree& t) { file_of(t)["attr"] = 1; }, "info.file tree attr"},
      {"length", [](Tree& t) { file_of(t)["length"] = "9"; }, "info.file tree length"},
      {"root", [](Tree& t) { file_of(t)["pieces root"] = 1; }, "info.file tree pieces root"},
      {"piece length", [](Tree& t) { t["info"]["piece length"] = "x"; }, "info.piece length"},
      {"v1 length", [](Tree& t) { t["info"]["length"] = "x"; }, "info.length"},
      {"piece layers", [](Tree& t) { t["piece layers"] = "x"; }, "piece layers"},
      {"layer", [](Tree& t) { t["piece layers"][text_of(small_content().id)] = 1; },
       "has an entry that is an integer"},
      {"url-list", [](Tree& t) { t["url-list"] = 1; }, "url-list"},
      {"url-list of lists", [](Tree& t) { t["url-list"] = Tree::List{Tree(Tree::List{})}; },
       "url-list"},
      {"url-list dictionary", [](Tree& t) { t["url-list"] = Tree(); }, "url-list"},
      {"announce", [](Tree& t) { t["announce"] = Tree::List{}; }, "announce"},
      {"announce-list", [](Tree& t) { t["announce-list"] = "http://a/"; }, "announce-list"},
      {"tier", [](Tree& t) { t["announce-list"] = Tree::List{1}; }, "announce-list"},
      {"lanward", [](Tree& t) { t["lanward"] = "x"; }, "lanward"},
      {"lanward.name", [](Tree& t) { t["lanward"]["name"] = 1; }, "lanward.name"},
  };
  expect_refused(small_content(), cases);
}

TEST(HostileMetainfo, IsRefusedForAMissingField) {
  const std::vector<Hostile> cases = {
      {"info", [](Tree& t) { t.erase("info"); }, "info is missing"},
      {"name", [](Tree& t) { t["info"].erase("name"); }, "info.name is missing"},
      {"file tree", [](Tree& t) { t["info"].erase("file tree"); }, "info.file tree is missing"},
      {"empty tree", [](Tree& t) { t["info"]["file tree"] = Tree(); }, "info.file tree"},
      {"empty directory", [](Tree& t) { t["info"]["file tree"]["data.bin"] = Tree(); },
       "has an empty directory"},
      {"piece length", [](Tree& t) { t["info"].erase("piece length"); },
       "info.piece length is missing"},
      {"length", [](Tree& t) { file_of(t).erase("length"); }, "info.file tree length is missing"},
      {"root", [](Tree& t) { file_of(t).erase("pieces root"); },
       "info.file tree pieces root is missing"},
      {"piece layers", [](Tree& t) { t.erase("piece layers"); },
       "piece layers has no entry for the pieces root"},
      {"layer", [](Tree& t) { t["piece layers"] = Tree(); },
       "piece layers has no entry for the pieces root"},
  };
  expect_refused(small_content(), cases);
}

TEST(HostileMetainfo, IsRefusedForNumbersOutsideTheirRange) {
  std::vector<Hostile> cases = {
      {"negative length", [](Tree& t) { file_of(t)["length"] = -1; }, "is negative"},
      {"absurd length", [](Tree& t) { file_of(t)["length"] = INT64_MAX; }, "2097152 pieces"},
      {"one piece too many",
       [](Tree& t) { file_of(t)["length"] = (std::int64_t{16384} << 21) + 1; }, "2097152 pieces"},
      {"version 1", [](Tree& t) { t["info"]["meta version"] = 1; }, "meta version 1",
       ErrorCode::unsupported},
      {"version 3", [](Tree& t) { t["info"]["meta version"] = 3; }, "meta version 3",
       ErrorCode::unsupported},
      {"v1 only", [](Tree& t) { t["info"].erase("meta version"); }, "BitTorrent v1",
       ErrorCode::unsupported},
      {"another length for v1 peers", [](Tree& t) { t["info"]["length"] = 7; }, "info.length"},
  };
  for (const std::int64_t length :
       {std::int64_t{0}, std::int64_t{-16384}, std::int64_t{1}, std::int64_t{8192},
        std::int64_t{16385}, std::int64_t{49152}, std::int64_t{128} << 20, INT64_MAX, INT64_MIN}) {
    cases.push_back({"piece length", [=](Tree& t) { t["info"]["piece length"] = length; },
                     "not a power of two between 16384 and 67108864"});
  }
  expect_refused(small_content(), cases);
}

TEST(HostileMetainfo, IsRefusedForNamesThatAreNotPlainFileNames) {
  const std::string nul("a\0b", 3);
  for (const std::string& name :
       {std::string("../../etc/passwd"), std::string(".."), std::string("."), std::string(),
        std::string("/etc/passwd"), std::string("a/b"), std::string("a\\b"), nul,
        std::string("a\nb"), std::string("\xff\xfe"), std::string(256, 'x')}) {
    const Content content = small_content();
    Tree in_info = foreign_tree(content);
    in_info["info"]["name"] = name;
    Tree ours = foreign_tree(content);
    ours["lanward"]["name"] = name;
    Tree in_tree = foreign_tree(content);
    if (!name.empty()) {  // the empty key marks a file and is covered by the wrong types
      in_tree["info"]["file tree"][name] = in_tree["info"]["file tree"]["data.bin"];
      in_tree["info"]["file tree"].erase("data.bin");
    } else {
      in_tree["info"]["file tree"] = foreign_tree(content)["info"]["file tree"]["data.bin"];
    }
    const std::pair<Tree*, const char*> documents[] = {
        {&in_info, "info.name"}, {&ours, "lanward.name"}, {&in_tree, "info.file tree"}};
    for (const auto& [tree, field] : documents) {
      const auto manifest = parse(*tree);
      ASSERT_FALSE(manifest) << field << " " << name;
      EXPECT_EQ(manifest.error().code, ErrorCode::manifest_invalid) << field << " " << name;
      EXPECT_NE(manifest.error().message.find(field), std::string::npos)
          << manifest.error().message;
      EXPECT_FALSE(has_control_characters(manifest.error().message))
          << "hostile text must not reach the terminal";
    }
  }
}

TEST(HostileMetainfo, IsRefusedForMoreOrLessThanOnePlainFile) {
  const std::vector<Hostile> cases = {
      {"two files", [](Tree& t) { t["info"]["file tree"]["second"] = Tree(); }, "exactly one file",
       ErrorCode::unsupported},
      {"a directory",
       [](Tree& t) {
         Tree inner = t["info"]["file tree"];
         t["info"]["file tree"] = Tree();
         t["info"]["file tree"]["folder"] = inner;
       },
       "exactly one file", ErrorCode::unsupported},
      {"file and directory", [](Tree& t) { t["info"]["file tree"]["data.bin"]["inner"] = Tree(); },
       "both file and directory"},
      {"symbolic link", [](Tree& t) { file_of(t)["attr"] = "xl"; }, "not a plain file"},
      {"padding", [](Tree& t) { file_of(t)["attr"] = "p"; }, "not a plain file"},
  };
  expect_refused(small_content(), cases);
}

TEST(HostileMetainfo, IsRefusedForALayerThatIsNotTheFiles) {
  const std::string root = text_of(small_content().id);
  const auto layer = [root](Tree& t) -> std::string& {
    return std::get<std::string>(t["piece layers"][root].value);
  };
  const std::vector<Hostile> cases = {
      {"a hash short", [=](Tree& t) { layer(t).resize(4 * 32); }, "128 bytes where 160 belong"},
      {"a hash long", [=](Tree& t) { layer(t).append(32, 'x'); }, "192 bytes where 160 belong"},
      {"half a hash", [=](Tree& t) { layer(t).pop_back(); }, "159 bytes where 160 belong"},
      {"empty", [=](Tree& t) { layer(t).clear(); }, "0 bytes where 160 belong"},
      {"one bit", [=](Tree& t) { layer(t)[40] ^= 1; },
       "the piece layer does not hash to the pieces root"},
      {"exchanged", [=](Tree& t) { std::ranges::rotate(layer(t), layer(t).begin() + 32); },
       "the piece layer does not hash to the pieces root"},
      {"another file's", [=](Tree& t) { t["piece layers"][std::string(32, 'x')] = ""; },
       "has entries for other files"},
      {"another root", [](Tree& t) { file_of(t)["pieces root"] = std::string(32, 'x'); },
       "piece layers has no entry"},
      {"short root", [](Tree& t) { file_of(t)["pieces root"] = std::string(31, 'x'); },
       "is 31 bytes long, not 32"},
      {"long root", [](Tree& t) { file_of(t)["pieces root"] = std::string(33, 'x'); },
       "is 33 bytes long, not 32"},
      {"one piece less", [](Tree& t) { file_of(t)["length"] = 4 * 16384; },
       "160 bytes where 128 belong"},
      {"other pieces", [](Tree& t) { t["info"]["piece length"] = 32768; },
       "160 bytes where 96 belong"},
  };
  expect_refused(small_content(), cases);
}

TEST(HostileMetainfo, IsRefusedForALayerOfAFileThatHasNone) {
  const Content one_piece = content_of(random_bytes(16384), 16384);
  expect_refused(
      one_piece,
      {{"layer", [&](Tree& t) { t["piece layers"][text_of(one_piece.id)] = text_of(one_piece.id); },
        "piece layers has an entry for a file of one piece"}});
  expect_refused(
      content_of({}, 16384),
      {{"layer", [](Tree& t) { t["piece layers"][std::string(32, 'x')] = ""; }, "piece layers"},
       {"root", [](Tree& t) { file_of(t)["pieces root"] = std::string(32, 'x'); },
        "pieces root is there although the file is empty"}});
}

TEST(HostileMetainfo, IsRefusedForUrlsThatCannotBeOne) {
  std::vector<Hostile> cases;
  for (const std::string& url :
       {std::string("not a url"), std::string("/etc/passwd"), std::string("http://"),
        std::string("http://a/\r\nHost: b"), std::string("http://a b/"),
        "http://a/" + std::string(kUrlBytesMax, 'x')}) {
    for (const char* field : {"url-list", "announce"}) {
      cases.push_back({field, [=](Tree& t) { t[field] = url; }, field});
    }
  }
  for (const char* field : {"url-list", "announce-list"}) {
    cases.push_back({field,
                     [=](Tree& t) {
                       Tree::List urls;
                       for (int i = 0; i < 65; ++i) urls.push_back("http://a/" + std::to_string(i));
                       t[field] = urls;
                     },
                     "more than 64 URLs"});
  }
  expect_refused(small_content(), cases);
}

TEST(HostileMetainfo, IsRefusedWhenItIsOversized) {
  std::vector<std::uint8_t> bytes(kMetainfoBytesMax + 1, 'x');
  const auto manifest = parse(bytes);
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().code, ErrorCode::manifest_invalid);
  EXPECT_NE(manifest.error().message.find("more than 83886080"), std::string::npos);
}

TEST(HostileMetainfo, IsRefusedForAMillionNestedLists) {
  std::string text = "d4:infod4:name";
  text += std::string(1'000'000, 'l');
  const auto manifest =
      parse(std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
  ASSERT_FALSE(manifest);
  EXPECT_NE(manifest.error().message.find("the document is not bencoded: at byte"),
            std::string::npos);
}

TEST(HostileMetainfo, IsRefusedWhereverItIsCutShort) {
  const auto whole = foreign_tree(small_content()).encode();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const std::vector<std::uint8_t> prefix(whole.begin(),
                                           whole.begin() + static_cast<std::ptrdiff_t>(length));
    const auto manifest = parse(prefix);
    ASSERT_FALSE(manifest) << length;
    ASSERT_EQ(manifest.error().code, ErrorCode::manifest_invalid) << length;
    ASSERT_FALSE(manifest.error().message.empty());
  }
}

// Everything that a reader may rely on once a manifest has been accepted.
void expect_sound(const Manifest& manifest) {
  const Content& content = manifest.content;
  ASSERT_EQ(content.piece_hashes.size(), content.layout.piece_count());
  if (!content.piece_hashes.empty()) {
    ASSERT_EQ(pieces_root(content.piece_hashes, content.layout, store::sha256), content.id);
  }
  ASSERT_TRUE(manifest.name.empty() || file_name_fault(manifest.name) == nullptr);
  for (const std::string& url : manifest.web_seeds) {
    ASSERT_EQ(url_fault(url), nullptr);
    ASSERT_TRUE(url_scheme_is_one_of(url, {"http", "https"}));
  }
  for (const std::string& url : manifest.trackers) ASSERT_EQ(url_fault(url), nullptr);
}

TEST(HostileMetainfo, WithOneByteChangedIsRefusedOrStaysSound) {
  Tree tree = foreign_tree(small_content());
  tree["announce"] = "http://t/announce";
  tree["url-list"] = Tree::List{"http://a/x"};
  tree["lanward"]["name"] = "x";
  const auto original = tree.encode();
  const auto info = tree["info"].encode();
  const auto info_at = std::ranges::search(original, info).begin() - original.begin();
  const Digest infohash = parse(original)->infohash;
  std::size_t accepted = 0;
  for (std::size_t i = 0; i < original.size(); ++i) {
    const bool outside = i < static_cast<std::size_t>(info_at) ||
                         i >= static_cast<std::size_t>(info_at) + info.size();
    for (int change = 1; change < 256; change = change < 16 ? change + 1 : change * 2) {
      auto mutant = original;
      mutant[i] = static_cast<std::uint8_t>(mutant[i] ^ change);
      const auto manifest = parse(mutant);
      if (!manifest) continue;
      ++accepted;
      expect_sound(*manifest);
      ASSERT_FALSE(HasFatalFailure()) << "byte " << i << " changed by " << change;
      ASSERT_EQ(manifest->infohash == infohash, outside) << "byte " << i;
    }
  }
  EXPECT_GT(accepted, 0U) << "letters of names and URLs may change";
}

}  // namespace
}  // namespace lanward::core
