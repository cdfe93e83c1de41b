// What header fields say of a file's digest.
#include "cdn/digest_fields.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cdn/header_facts.h"
#include "cdn/reply_rules.h"

namespace lanward::cdn {
namespace {

using core::DigestAlgorithm;
using core::ExpectedDigest;

// Of "hello world\n", or any other bytes: what counts is that they come back.
const std::string kSha256 = "qUiQTy8PR5uPgZdpSzAYSw0u0cHNKh7A+4XSmaGSpEc=";
const std::string kSha256Hex = "a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447";
const std::string kMd5 = "sZRgZmGz8pvBWaQUFwSVXA==";
const std::string kSha512 =
    "YMnv+C9TsSCh4YtdSdWLL4vXzsZNXZqMOwLz7XxYBAXQxYbPYNbTnHZLJYBW0kRBAQJpgBFFbcWBDPhH2sf5jQ==";

std::vector<ExpectedDigest> dictionary(const std::string& value) {
  std::vector<ExpectedDigest> out;
  parse_digest_dictionary("Repr-Digest", value, out);
  return out;
}

TEST(ReprDigest, IsReadAsADictionaryOfByteSequences) {
  const auto one = dictionary("sha-256=:" + kSha256 + ":");
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0].algorithm, DigestAlgorithm::sha256);
  EXPECT_EQ(core::to_hex(one[0].bytes), kSha256Hex);
  EXPECT_EQ(one[0].source, "Repr-Digest");
  const auto two = dictionary("  sha-256=:" + kSha256 + ": ,\tunixsum=:YQ==:,sha-512=:" + kSha512 +
                              ":;x=\",\" ");
  ASSERT_EQ(two.size(), 2U);
  EXPECT_EQ(two[1].algorithm, DigestAlgorithm::sha512);
  EXPECT_EQ(dictionary("sha-256=:" + kSha256 + ":;a;b=1;c=tok, md5=:" + kMd5 + ":").size(), 2U);
}

TEST(ReprDigest, AFieldThatIsNoDictionaryCountsForNothing) {
  const std::string good = "sha-256=:" + kSha256 + ":";
  for (const std::string& bad :
       {std::string(), std::string(","), good + ",", "," + good, good + " x",
        good + "," + good + ";", "sha-256=" + kSha256, "sha-256=:" + kSha256,
        "SHA-256=:" + kSha256 + ":", good + ", md5=1", good + ", md5",
        "sha-256=\"" + kSha256 + "\"", good + ";a=\"unterminated"}) {
    EXPECT_TRUE(dictionary(bad).empty()) << bad;
  }
}

TEST(ReprDigest, AValueOfTheWrongLengthOrAlphabetIsNone) {
  EXPECT_TRUE(dictionary("sha-256=:" + kMd5 + ":").empty());
  EXPECT_TRUE(dictionary("sha-256=:" + kSha256.substr(0, 40) + ":").empty());
  EXPECT_TRUE(dictionary("sha-256=:" + kSha256.substr(0, 43) + ":").empty()) << "no padding";
  std::string url_alphabet = kSha256;
  url_alphabet[0] = '_';
  EXPECT_TRUE(dictionary("sha-256=:" + url_alphabet + ":").empty());
}

TEST(ReprDigest, NoMoreAreKeptThanTheBound) {
  std::vector<ExpectedDigest> out;
  for (int i = 0; i < 100; ++i) {
    std::vector<std::uint8_t> bytes(16, static_cast<std::uint8_t>(i));
    std::string base64 = "AAAAAAAAAAAAAAAAAAAAAA==";
    base64[0] = static_cast<char>('A' + i % 26);
    base64[1] = static_cast<char>('A' + i / 26);
    parse_content_md5(base64, out);
  }
  EXPECT_EQ(out.size(), kDigestsMax);
}

TEST(InstanceDigest, IsAListAndPartsThatCannotBeReadArePassedOver) {
  std::vector<ExpectedDigest> out;
  parse_instance_digests("UNIXsum=30637, SHA-256=" + kSha256 + ",sha=junk, ,=, MD5 = " + kMd5, out);
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(core::to_hex(out[0].bytes), kSha256Hex);
  EXPECT_EQ(out[1].algorithm, DigestAlgorithm::md5);
  EXPECT_EQ(out[0].source, "Digest");
}

core::OriginFacts probe(const std::string& status, const std::string& fields) {
  const auto reply = parse_reply_headers("HTTP/1.1 " + status + "\r\n" + fields + "\r\n", {});
  const auto facts = judge_probe_reply(reply);
  return facts ? *facts : core::OriginFacts{};
}

const std::string kFields = "Repr-Digest: sha-256=:" + kSha256 +
                            ":\r\nContent-Digest: sha-512=:" + kSha512 +
                            ":\r\nContent-MD5: " + kMd5 + "\r\n";

TEST(ProbeDigests, OfAPartOnlyThoseOfTheWholeFileCount) {
  const auto facts = probe("206 Partial Content",
                           "Content-Range: bytes 0-0/100\r\nContent-Length: 1\r\n" + kFields);
  ASSERT_EQ(facts.digests.size(), 1U);
  EXPECT_EQ(facts.digests[0].source, "Repr-Digest");
}

TEST(ProbeDigests, OfAWholeReplyThoseOfTheBodyCountToo) {
  const auto facts = probe("200 OK", "Content-Length: 100\r\n" + kFields);
  ASSERT_EQ(facts.digests.size(), 3U);
  EXPECT_EQ(facts.digests[1].source, "Content-Digest");
  EXPECT_EQ(facts.digests[2].source, "Content-MD5");
}

TEST(ProbeDigests, SeveralFieldsAreAllKept) {
  const auto facts =
      probe("206 Partial Content", "Content-Range: bytes 0-0/100\r\nDigest: SHA-256=" + kSha256 +
                                       "\r\nDigest: MD5=" + kMd5 + "\r\n");
  EXPECT_EQ(facts.digests.size(), 2U);
}

TEST(MirrorLinks, HavePriorityAndPlace) {
  std::vector<LinkValue> links;
  parse_links(
      "<http://m/f>; rel=duplicate; pri=2; geo=GB; depth=3, "
      "<http://n/f>; rel=\"duplicate\"; pri=0; geo=xyz, <http://o/f>; rel=duplicate; "
      "pri=1000000; pri=5; geo=\"d1\"",
      links);
  ASSERT_EQ(links.size(), 3U);
  EXPECT_EQ(links[0], (LinkValue{"duplicate", "http://m/f", "", 2, "gb"}));
  EXPECT_EQ(links[1], (LinkValue{"duplicate", "http://n/f", "", 0, ""}));
  EXPECT_EQ(links[2], (LinkValue{"duplicate", "http://o/f", "", 5, ""}));
}

}  // namespace
}  // namespace lanward::cdn
