// Digests as text, and which of several counts.
#include "engine/core/digest.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

ExpectedDigest digest_of(DigestAlgorithm algorithm, std::uint8_t fill, std::string source = "s") {
  return {algorithm, std::vector<std::uint8_t>(size_of(algorithm), fill), std::move(source)};
}

TEST(Digest, AlgorithmsAreKnownByTheirUsualNames) {
  for (const char* name : {"sha-256", "SHA-256", "sha256", "SHA256"}) {
    EXPECT_EQ(parse_digest_algorithm(name), DigestAlgorithm::sha256) << name;
  }
  EXPECT_EQ(parse_digest_algorithm("sha"), DigestAlgorithm::sha1);
  EXPECT_EQ(parse_digest_algorithm("SHA-1"), DigestAlgorithm::sha1);
  EXPECT_EQ(parse_digest_algorithm("MD5"), DigestAlgorithm::md5);
  EXPECT_EQ(parse_digest_algorithm("sha-512"), DigestAlgorithm::sha512);
  for (const char* name : {"", "crc32c", "unixsum", "id-sha-256", "sha-224", "sha 256"}) {
    EXPECT_FALSE(parse_digest_algorithm(name)) << name;
  }
}

TEST(Digest, OnlyThoseThatCannotBeForgedAreStrong) {
  EXPECT_TRUE(is_weak(DigestAlgorithm::md5));
  EXPECT_TRUE(is_weak(DigestAlgorithm::sha1));
  EXPECT_FALSE(is_weak(DigestAlgorithm::sha256));
  EXPECT_FALSE(is_weak(DigestAlgorithm::sha512));
}

TEST(Digest, TextComesBackAsItWas) {
  const ExpectedDigest digest = digest_of(DigestAlgorithm::sha256, 0xa5);
  const auto again = parse_digest(to_string(digest), "s");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, digest);
  const auto upper = parse_digest("SHA-1=" + std::string(40, 'A'), "s");
  ASSERT_TRUE(upper);
  EXPECT_EQ(upper->bytes, std::vector<std::uint8_t>(20, 0xaa));
}

struct BadText {
  std::string text;
  std::string named;  // what the message must name
};

TEST(Digest, WhatIsWrongWithATextIsSaid) {
  const std::vector<BadText> table = {{"", "ALGORITHM=HEX"},
                                      {std::string(64, 'a'), "ALGORITHM=HEX"},
                                      {"crc32=00000000", "crc32"},
                                      {"sha-256=", "64 hexadecimal digits"},
                                      {"sha-256=" + std::string(63, 'a'), "64 hexadecimal digits"},
                                      {"sha-256=" + std::string(65, 'a'), "64 hexadecimal digits"},
                                      {"sha-256=" + std::string(66, 'a'), "64 hexadecimal digits"},
                                      {"md5=" + std::string(31, 'a') + "g", "32 hexadecimal"},
                                      {"md5=" + std::string(100'000, 'a'), "32 hexadecimal"}};
  for (const BadText& bad : table) {
    const auto parsed = parse_digest(bad.text, "s");
    ASSERT_FALSE(parsed) << bad.text.substr(0, 80);
    EXPECT_EQ(parsed.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(parsed.error().message.find(bad.named), std::string::npos) << parsed.error().message;
    EXPECT_LT(parsed.error().message.size(), 200U);
  }
}

TEST(Digest, Base64IsReadStrictly) {
  const std::vector<std::uint8_t> abc = {'a', 'b', 'c'};
  EXPECT_EQ(from_base64("YWJj", 3), abc);
  EXPECT_EQ(from_base64("YWI=", 3), (std::vector<std::uint8_t>{'a', 'b'}));
  EXPECT_EQ(from_base64("YQ==", 3), (std::vector<std::uint8_t>{'a'}));
  EXPECT_EQ(from_base64("", 3), std::vector<std::uint8_t>{});
  for (const char* bad :
       {"YWJ", "YW=j", "YR==", "YWK=", "Y===", "====", "YW J", "YWJj\n", "YW-_"}) {
    EXPECT_FALSE(from_base64(bad, 3)) << bad;
  }
  EXPECT_FALSE(from_base64("YWJjYWJj", 3)) << "more bytes than asked for";
}

TEST(Digest, TheStrongestCounts) {
  const std::vector<ExpectedDigest> all = {
      digest_of(DigestAlgorithm::sha256, 1), digest_of(DigestAlgorithm::md5, 2),
      digest_of(DigestAlgorithm::sha512, 3), digest_of(DigestAlgorithm::sha1, 4)};
  EXPECT_EQ(choose_digest(all).digest, all[2]);
  EXPECT_FALSE(choose_digest({}).digest);
}

TEST(Digest, AnAlgorithmThatContradictsItselfIsIgnoredAndSaidSo) {
  const std::vector<ExpectedDigest> all = {digest_of(DigestAlgorithm::sha256, 1, "one"),
                                           digest_of(DigestAlgorithm::sha256, 2, "another"),
                                           digest_of(DigestAlgorithm::md5, 3)};
  EXPECT_EQ(contradiction_in(all), DigestAlgorithm::sha256);
  const DigestChoice choice = choose_digest(all);
  EXPECT_EQ(choice.digest, all[2]);
  EXPECT_NE(choice.note.find("sha-256"), std::string::npos);
  EXPECT_NE(choice.note.find("one"), std::string::npos);
  EXPECT_NE(choice.note.find("another"), std::string::npos);
}

TEST(Digest, TheSameTwiceIsNoContradiction) {
  const std::vector<ExpectedDigest> all = {digest_of(DigestAlgorithm::sha256, 1, "one"),
                                           digest_of(DigestAlgorithm::sha256, 1, "another")};
  EXPECT_FALSE(contradiction_in(all));
  EXPECT_TRUE(choose_digest(all).note.empty());
}

TEST(Digest, AMismatchNamesAlgorithmExpectedFoundAndWhoSaidSo) {
  const ExpectedDigest expected = digest_of(DigestAlgorithm::sha1, 0x11, "Digest of http://h/f");
  const Error error = digest_mismatch("http://h/f", expected, std::vector<std::uint8_t>(20, 0x22));
  EXPECT_EQ(error.code, ErrorCode::integrity);
  for (const std::string& part :
       {std::string("sha-1"), to_hex(expected.bytes), std::string(40, '2'), expected.source}) {
    EXPECT_NE(error.message.find(part), std::string::npos) << error.message;
  }
}

}  // namespace
}  // namespace lanward::core
