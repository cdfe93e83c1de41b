// Metalinks: what is read, what is passed over, what is refused and how that is told.
#include "cdn/metalink.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace lanward::cdn {
namespace {

using core::Metalink;

constexpr const char* kHead =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\n";

Result<Metalink> parse(const std::string& text) {
  return parse_metalink({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()},
                        "http://h/x.meta4");
}
Result<Metalink> parse_files(const std::string& files) {
  return parse(kHead + files + "</metalink>");
}
std::string file_of(const std::string& inner, const std::string& name = "a.iso") {
  return "<file name=\"" + name + "\">" + inner + "</file>\n";
}
const std::string kSha256(64, 'a');
const std::string kUrl = "<url>http://one/a.iso</url>";

TEST(Metalink, IsReadAsTheStandardWritesIt) {
  const auto metalink = parse_files(
      "  <published>2009-05-15T12:23:23Z</published>\n"
      "  <file name=\"example.ext\">\n"
      "    <size>14471447</size>\n"
      "    <identity>Example</identity>\n"
      "    <hash type=\"sha-256\">\n" +
      kSha256 +
      "\n</hash>\n"
      "    <hash type=\"md5\">" +
      std::string(32, 'B') +
      "</hash>\n"
      "    <hash type=\"sha-224\">anything</hash>\n"
      "    <pieces length=\"1048576\" type=\"sha-1\"><hash>x</hash></pieces>\n"
      "    <url location=\"de\" priority=\"2\"> https://two/example.ext </url>\n"
      "    <url priority=\"1\">http://one/example.ext</url>\n"
      "    <url>ftp://three/example.ext</url>\n"
      "    <url>http://four/example.ext</url>\n"
      "    <url priority=\"9\">http://one/example.ext</url>\n"
      "    <metaurl mediatype=\"torrent\" priority=\"2\">http://h/example.torrent</metaurl>\n"
      "    <metaurl mediatype=\"http\">http://h/other</metaurl>\n"
      "  </file>\n");
  ASSERT_TRUE(metalink) << metalink.error().message;
  ASSERT_EQ(metalink->files.size(), 1U);
  const Metalink::File& file = metalink->files[0];
  EXPECT_EQ(file.name, "example.ext");
  EXPECT_EQ(file.size, core::ByteCount{14'471'447});
  ASSERT_EQ(file.digests.size(), 2U);
  EXPECT_EQ(core::to_string(file.digests[0]), "sha-256=" + kSha256);
  EXPECT_EQ(file.digests[0].source, "Metalink http://h/x.meta4");
  EXPECT_EQ(file.urls, (std::vector<Metalink::Url>{
                           {"http://one/example.ext", 1, ""},
                           {"https://two/example.ext", 2, "de"},
                           {"http://four/example.ext", core::kMetalinkPriorityMax, ""}}));
  EXPECT_EQ(file.manifests, std::vector<std::string>{"http://h/example.torrent"});
}

TEST(Metalink, PrefixesAreUnderstoodAndOtherNamespacesPassedOver) {
  const auto metalink = parse(
      "<m:metalink xmlns:m=\"urn:ietf:params:xml:ns:metalink\" xmlns:x=\"urn:x\">"
      "<x:file name=\"no\"><x:url>http://no/</x:url></x:file><file name=\"no\"/>"
      "<m:file name=\"yes\"><m:url>http://one/yes</m:url><url>http://no/</url></m:file>"
      "</m:metalink>");
  ASSERT_TRUE(metalink) << metalink.error().message;
  ASSERT_EQ(metalink->files.size(), 1U);
  EXPECT_EQ(metalink->files[0].urls.size(), 1U);
}

TEST(Metalink, ADirectoryInANameIsLeftOut) {
  const auto metalink = parse_files(file_of(kUrl, "debian/12/a.iso"));
  ASSERT_TRUE(metalink) << metalink.error().message;
  EXPECT_EQ(metalink->files[0].name, "a.iso");
}

TEST(Metalink, EntitiesOfADoctypeAreNotExpanded) {
  const auto metalink = parse(
      "<!DOCTYPE metalink [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">"
      "<!ENTITY f SYSTEM \"file:///etc/passwd\">]>"
      "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"x&b;&f;\">"
      "<url>http://one/x&amp;y</url></file></metalink>");
  ASSERT_TRUE(metalink) << metalink.error().message;
  EXPECT_EQ(metalink->files[0].name, "x&b;&f;");
  EXPECT_EQ(metalink->files[0].urls[0].url, "http://one/x&y");
}

struct Bad {
  const char* what;
  std::string text;
  std::string named;  // what the message must name
  ErrorCode code = ErrorCode::manifest_invalid;
};

std::vector<Bad> bad_documents() {
  const auto in_file = [](const std::string& inner) {
    return kHead + file_of(inner) + "</metalink>";
  };
  const auto named = [](const std::string& name) {
    return kHead + file_of(kUrl, name) + "</metalink>";
  };
  return {
      {"empty", "", "line 1"},
      {"no XML", "hello", "line 1"},
      {"cut off", std::string(kHead) + "<file name=\"a\">\n<size>", "line "},
      {"another document", "<html/>", "<html>"},
      {"no namespace", "<metalink><file/></metalink>", "namespace"},
      {"version 3", "<metalink version=\"3.0\" xmlns=\"http://www.metalinker.org/\"/>", "version 4",
       ErrorCode::unsupported},
      {"no file", std::string(kHead) + "</metalink>", "no file"},
      {"no name", kHead + std::string("<file>") + kUrl + "</file></metalink>", "element file"},
      {"climbing name", named("../../etc/passwd"), "names a directory"},
      {"climbing within", named("a/../../b"), "names a directory"},
      {"absolute name", named("/etc/passwd"), "absolute"},
      {"backslash", named("..\\b"), "separator"},
      {"newline", named("a&#10;b"), "control"},
      {"twice", kHead + file_of(kUrl, "x/a") + file_of(kUrl, "y/a") + "</metalink>", "two files"},
      {"size", in_file("<size>-1</size>" + kUrl), "line 3, element size"},
      {"sizes", in_file("<size>1</size><size>2</size>" + kUrl), "two sizes"},
      {"hash", in_file("<hash type=\"sha-256\">abc</hash>" + kUrl), "element hash"},
      {"hashes",
       in_file("<hash type=\"md5\">" + std::string(32, '0') + "</hash><hash type=\"md5\">" +
               std::string(32, '1') + "</hash>" + kUrl),
       "two different md5"},
      {"URL", in_file("<url>/a.iso</url>"), "element url: the URL"},
      {"priority", in_file("<url priority=\"0\">http://one/a</url>"), "priority"},
      {"no way", in_file("<url>ftp://one/a</url>"), "no http", ErrorCode::unsupported},
  };
}

TEST(Metalink, WhatIsWrongIsSaidWithItsPlace) {
  for (const Bad& bad : bad_documents()) {
    const auto metalink = parse(bad.text);
    ASSERT_FALSE(metalink) << bad.what;
    EXPECT_EQ(metalink.error().code, bad.code) << bad.what;
    const std::string& message = metalink.error().message;
    EXPECT_NE(message.find(bad.named), std::string::npos) << bad.what << ": " << message;
    EXPECT_NE(message.find("http://h/x.meta4"), std::string::npos) << message;
    EXPECT_LT(message.size(), 400U) << bad.what;
  }
}

std::string repeated(const std::string& text, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += text;
  return out;
}

TEST(Metalink, TheBoundsHold) {
  EXPECT_FALSE(parse(std::string(core::kMetalinkBytesMax + 1, ' ')));
  EXPECT_FALSE(parse_files(repeated("<a>", 100'000) + repeated("</a>", 100'000)));
  EXPECT_FALSE(parse_files(file_of(repeated(kUrl, core::kMetalinkUrlsMax + 1))));
  std::string files;
  for (std::size_t i = 0; i <= core::kMetalinkFilesMax; ++i) {
    files += file_of(kUrl, std::to_string(i));
  }
  const auto many = parse_files(files);
  ASSERT_FALSE(many);
  EXPECT_NE(many.error().message.find("more than 1000 files"), std::string::npos);
  std::string urls;
  for (int i = 0; i < 200; ++i) urls += "<url>http://one/" + std::to_string(i) + "</url>";
  const auto best = parse_files(file_of(urls));
  ASSERT_TRUE(best) << best.error().message;
  EXPECT_EQ(best->files[0].urls.size(), core::kMetalinkUrlsUsedMax);
}

TEST(Metalink, IsKnownByItsName) {
  EXPECT_TRUE(core::is_metalink_name("http://h/a.meta4?x=.torrent"));
  EXPECT_TRUE(core::is_metalink_name("dir/A.META4"));
  EXPECT_FALSE(core::is_metalink_name("http://h/a?b.meta4"));
  EXPECT_FALSE(core::is_metalink_name("http://h.meta4"));
  EXPECT_FALSE(core::is_metalink_name(".meta4"));
}

TEST(Metalink, OfSeveralFilesTheOneOfTheNameIsMeant) {
  const auto metalink = parse_files(file_of(kUrl, "a") + file_of(kUrl, "b"));
  ASSERT_TRUE(metalink);
  EXPECT_EQ(core::file_at(*metalink, "http://h/dir/b?x=1"), &metalink->files[1]);
  EXPECT_EQ(core::file_at(*metalink, "http://h/dir/c"), nullptr);
}

}  // namespace
}  // namespace lanward::cdn
