#include "engine/core/bencode.h"

#include <string>

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

TEST(Bencode, ReadsEveryKindOfValue) {
  const std::string text = "d1:ai-7e1:bl3:one0:e1:cd1:xi0eee";
  const auto document = BencodeDocument::parse(bytes_of(text));
  ASSERT_TRUE(document) << document.error().message;
  const BencodeValue root = document->root();
  ASSERT_EQ(root.type(), BencodeType::dictionary);
  EXPECT_EQ(root.find("a")->integer(), -7);
  const auto list = root.find("b")->list();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].string(), "one");
  EXPECT_EQ(list[1].string(), "");
  EXPECT_EQ(root.find("c")->find("x")->integer(), 0);
  EXPECT_FALSE(root.find("x").has_value()) << "keys of inner dictionaries are not ours";
  const auto entries = root.dictionary();
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[2].first, "c");
}

TEST(Bencode, TellsWhichBytesAValueTakes) {
  const std::string text = "d4:infod1:ai1ee4:listl1:xee";
  const auto document = BencodeDocument::parse(bytes_of(text));
  ASSERT_TRUE(document);
  const BencodeValue info = *document->root().find("info");
  EXPECT_EQ(info.offset(), 7U);
  const auto encoded = info.encoded();
  EXPECT_EQ(std::string(encoded.begin(), encoded.end()), "d1:ai1ee");
  EXPECT_EQ(document->root().encoded().size(), text.size());
}

TEST(Bencode, ReadsTheLimitsOfSixtyFourBits) {
  for (const std::string text : {"i9223372036854775807e", "i-9223372036854775808e"}) {
    const auto document = BencodeDocument::parse(bytes_of(text));
    ASSERT_TRUE(document) << text;
    EXPECT_EQ("i" + std::to_string(document->root().integer()) + "e", text);
  }
}

struct Bad {
  const char* text;
  const char* message;
};

TEST(Bencode, RefusesWhatIsNotInTheOneCanonicalForm) {
  const Bad cases[] = {
      {"", "at byte 0: the document ends"},
      {"i", "at byte 1: the document ends"},
      {"i12", "at byte 3: the document ends"},
      {"ie", "at byte 0: a number is malformed"},
      {"i-e", "at byte 0: a number is malformed"},
      {"i+1e", "at byte 0: a number is malformed"},
      {"i 1e", "at byte 0: a number is malformed"},
      {"i1.5e", "at byte 0: a number is malformed"},
      {"i01e", "at byte 0: a number is not in its shortest form"},
      {"i-0e", "at byte 0: a number is not in its shortest form"},
      {"i-01e", "at byte 0: a number is not in its shortest form"},
      {"i9223372036854775808e", "at byte 0: a number does not fit 64 bits"},
      {"i-9223372036854775809e", "at byte 0: a number does not fit 64 bits"},
      {"3:ab", "at byte 0: a string of 3 bytes where only 2 are left"},
      {"99999999999999999999:a", "at byte 0: a number does not fit 64 bits"},
      {"18446744073709551615:a", "at byte 0: a string of 18446744073709551615 bytes"},
      {"03:abc", "at byte 0: a number is not in its shortest form"},
      {"3abc", "at byte 0: a number is malformed"},
      {"-1:a", "at byte 0: a value must begin with"},
      {"x", "at byte 0: a value must begin with"},
      {"e", "at byte 0: a value must begin with"},
      {"l", "at byte 1: the document ends"},
      {"li1e", "at byte 4: the document ends"},
      {"d", "at byte 1: the document ends"},
      {"d1:a", "at byte 4: the document ends"},
      {"d1:ae", "at byte 4: a dictionary key has no value"},
      {"di1ei2ee", "at byte 1: a dictionary key must be a string"},
      {"dlei1ee", "at byte 1: a dictionary key must be a string"},
      {"d1:ai1e1:ai2ee", "at byte 7: a dictionary key appears twice"},
      {"d0:i1e0:i2ee", "at byte 6: a dictionary key appears twice"},
      {"d1:bi1e1:ai2ee", "at byte 7: dictionary keys are not sorted"},
      {"d2:aai1e1:ai2ee", "at byte 8: dictionary keys are not sorted"},
      {"i1ei2e", "at byte 3: there are bytes after the end"},
      {"le\n", "at byte 2: there are bytes after the end"},
  };
  for (const Bad& bad : cases) {
    const auto document = BencodeDocument::parse(bytes_of(bad.text));
    ASSERT_FALSE(document) << bad.text;
    EXPECT_EQ(document.error().code, ErrorCode::manifest_invalid) << bad.text;
    EXPECT_EQ(document.error().message.find(bad.message), 0U)
        << bad.text << " gave: " << document.error().message;
  }
}

TEST(Bencode, ComparesKeysAsUnsignedBytes) {
  EXPECT_TRUE(BencodeDocument::parse(bytes_of("d1:zi1e1:\xffi2ee")));
  EXPECT_FALSE(BencodeDocument::parse(bytes_of("d1:\xffi1e1:zi2ee")));
}

TEST(Bencode, RefusesNestingAtItsBoundHoweverLongTheDocument) {
  const std::string deepest =
      std::string(kBencodeDepthMax, 'l') + std::string(kBencodeDepthMax, 'e');
  EXPECT_TRUE(BencodeDocument::parse(bytes_of(deepest)));
  for (const char* open : {"l", "d1:a"}) {
    std::string text;
    while (text.size() < 100'000'000) text += open;
    const auto document = BencodeDocument::parse(bytes_of(text));
    ASSERT_FALSE(document);
    const std::size_t at = kBencodeDepthMax * std::string_view(open).size();
    EXPECT_EQ(document.error().message,
              "at byte " + std::to_string(at) + ": nested deeper than 32 levels");
  }
}

TEST(Bencode, RefusesMoreValuesThanItsBound) {
  std::string text = "l";
  for (std::size_t i = 1; i < kBencodeValuesMax; ++i) text += "0:";
  EXPECT_TRUE(BencodeDocument::parse(bytes_of(text + "e")));
  const auto document = BencodeDocument::parse(bytes_of(text + "0:e"));
  ASSERT_FALSE(document);
  EXPECT_NE(document.error().message.find("more than 65536 values"), std::string::npos);
}

TEST(Bencode, ReadsANumberOfAHundredMillionDigitsAsTooLarge) {
  const std::string text = "i" + std::string(100'000'000, '9') + "e";
  const auto document = BencodeDocument::parse(bytes_of(text));
  ASSERT_FALSE(document);
  EXPECT_EQ(document.error().message, "at byte 0: a number does not fit 64 bits");
}

TEST(BencodeWriter, WritesWhatTheReaderAccepts) {
  BencodeWriter out;
  out.begin_dictionary();
  out.string("a");
  out.integer(-12);
  out.string("b");
  out.begin_list();
  out.string("");
  out.string(std::string_view("\0\xff", 2));
  out.end();
  out.end();
  const auto bytes = std::move(out).take();
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()), std::string("d1:ai-12e1:bl0:2:\0\xff"
                                                                 "ee",
                                                                 21));
  EXPECT_TRUE(BencodeDocument::parse(bytes));
}

}  // namespace
}  // namespace lanward::core
