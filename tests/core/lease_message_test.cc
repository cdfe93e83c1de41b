#include "engine/core/lease_message.h"

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint32_t kMax32 = std::numeric_limits<std::uint32_t>::max();

// Version and kind, then fields of the given widths in little-endian order.
struct Field {
  std::uint64_t value;
  int bytes;
};
Bytes raw(std::initializer_list<Field> fields) {
  Bytes out;
  for (const Field& f : fields) {
    for (int i = 0; i < f.bytes; ++i) {
      out.push_back(static_cast<std::uint8_t>(f.value >> (8 * i)));
    }
  }
  return out;
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

PieceSpan span(std::uint32_t begin, std::uint32_t end) {
  return {PieceIndex{begin}, PieceIndex{end}};
}

Roster roster_of(std::size_t count) {
  Roster roster;
  for (std::size_t i = 0; i < count; ++i) {
    Roster::Entry entry{.key = PeerKey{0xfedc'ba98'7654'3210U + i},
                        .endpoint = {},
                        .beat = kMax32 - static_cast<std::uint32_t>(i),
                        .rate_kib = 12'800,
                        .pullers = static_cast<std::uint16_t>(0xfffe - i)};
    entry.endpoint.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
    entry.endpoint.port = static_cast<std::uint16_t>(6881 + i);
    roster.entries.push_back(entry);
  }
  return roster;
}

struct Named {
  const char* name;
  LeaseMessage message;
  std::size_t bytes;
};

// One of every kind, and the ends of every range.
std::vector<Named> every_kind() {
  constexpr std::uint64_t kMax64 = std::numeric_limits<std::uint64_t>::max();
  return {
      {"hello", Hello{PeerKey{0x0123'4567'89ab'cdef}, true}, 11},
      {"hello_unwilling", Hello{PeerKey{kMax64}, false}, 11},
      {"claim", Claim{7, span(16, 24), ClaimMode::lease, 1500}, 19},
      {"claim_solo", Claim{0, span(0, 1), ClaimMode::solo, 0}, 19},
      {"claim_hedge", Claim{kMax32, span(0, kMax32), ClaimMode::hedge, kMax32}, 19},
      {"claim_of_the_last_number", Claim{1, span(kMax32 - 1, kMax32), ClaimMode::lease, 1}, 19},
      {"claim_under_way", Claim{1, span(2, 3), ClaimMode::under_way, 5}, 19},
      {"unclaim", Unclaim{7, span(20, 24)}, 14},
      {"progress", ClaimProgress{7, kMax64, 250}, 18},
      {"split_request", SplitRequest{kMax32}, 6},
      {"roster_empty", Roster{}, 3},
      {"roster_of_two", roster_of(2), 3 + 2 * 36},
      {"roster_full", roster_of(kRosterEntriesMax), kLeaseMessageBytesMax},
  };
}

TEST(LeaseMessage, EveryKindSurvivesTheWire) {
  for (const Named& c : every_kind()) {
    SCOPED_TRACE(c.name);
    const Bytes bytes = encode(c.message);
    EXPECT_EQ(bytes.size(), c.bytes);
    EXPECT_LE(bytes.size(), kLeaseMessageBytesMax);
    const auto back = decode(bytes);
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_TRUE(*back == c.message);
  }
}

// The format is read by other versions and other machines: these bytes are for ever.
TEST(LeaseMessage, TheFormatIsLittleEndianInTheOrderOfTheFields) {
  EXPECT_EQ(encode(Claim{0x01020304, span(5, 7), ClaimMode::hedge, 0x0a0b0c0d}),
            (Bytes{1, 2, 4, 3, 2, 1, 5, 0, 0, 0, 2, 0, 0, 0, 2, 0x0d, 0x0c, 0x0b, 0x0a}));
  EXPECT_EQ(encode(Hello{PeerKey{2}, true}), (Bytes{1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 1}));
  EXPECT_EQ(encode(SplitRequest{9}), (Bytes{1, 5, 9, 0, 0, 0}));
  const Bytes roster = encode(roster_of(1));
  EXPECT_EQ(Bytes(roster.begin() + 11, roster.begin() + 29),
            (Bytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1, 0xe1, 0x1a}))
      << "address in network order, then the port";
}

TEST(LeaseMessage, AMessageCutAnywhereIsRefusedAndTellsWhere) {
  for (const Named& c : every_kind()) {
    const Bytes whole = encode(c.message);
    for (std::size_t n = 0; n < whole.size(); ++n) {
      SCOPED_TRACE(std::string(c.name) + " cut to " + std::to_string(n));
      const auto message = decode(Bytes(whole.begin(), whole.begin() + static_cast<long>(n)));
      ASSERT_FALSE(message);
      EXPECT_EQ(message.error().code, ErrorCode::invalid_argument);
      EXPECT_NE(message.error().message.find(" of " + std::to_string(n) + " bytes"),
                std::string::npos)
          << message.error().message;
    }
  }
}

TEST(LeaseMessage, BytesAfterTheEndAreRefused) {
  for (const Named& c : every_kind()) {
    const auto message = decode(encode(c.message) + Bytes{0});
    ASSERT_FALSE(message) << c.name;
    EXPECT_EQ(message.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(message.error().message.find("end of message at byte " + std::to_string(c.bytes)),
              std::string::npos)
        << message.error().message;
  }
}

struct Malformed {
  const char* name;
  Bytes bytes;
  const char* what;  // part of the sentence
};
std::ostream& operator<<(std::ostream& out, const Malformed& m) { return out << m.name; }

class MalformedLeaseMessage : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedLeaseMessage, IsRefusedAndNamesTheField) {
  const auto message = decode(GetParam().bytes);
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().code, ErrorCode::invalid_argument);
  EXPECT_NE(message.error().message.find(GetParam().what), std::string::npos)
      << message.error().message;
}

Bytes claim_bytes(std::uint64_t begin, std::uint64_t count, std::uint64_t mode) {
  return raw({{1, 1}, {2, 1}, {7, 4}, {begin, 4}, {count, 4}, {mode, 1}, {9, 4}});
}
Bytes unclaim_bytes(std::uint64_t begin, std::uint64_t count) {
  return raw({{1, 1}, {3, 1}, {7, 4}, {begin, 4}, {count, 4}});
}
Bytes roster_bytes(std::uint8_t count, std::size_t entries) {
  return raw({{1, 1}, {6, 1}, {count, 1}}) + Bytes(entries * 36, 0x11);
}

INSTANTIATE_TEST_SUITE_P(
    Inputs, MalformedLeaseMessage,
    testing::Values(
        Malformed{"Nothing", {}, "wrong version at byte 0"},
        Malformed{"VersionAlone", {1}, "wrong kind at byte 1"},
        Malformed{"KindAlone", {1, 1}, "wrong key at byte 2"},
        Malformed{"FlagOfTwo", raw({{1, 1}, {1, 1}, {5, 8}, {2, 1}}), "wrong willing at byte 10"},
        Malformed{"FlagOf255", raw({{1, 1}, {1, 1}, {5, 8}, {255, 1}}), "wrong willing at byte 10"},
        Malformed{"ClaimOfNothing", claim_bytes(3, 0, 0), "wrong number of pieces"},
        Malformed{"ClaimPastTheLastNumber", claim_bytes(2, kMax32 - 1, 0),
                  "wrong number of pieces"},
        Malformed{"ClaimFromTheLastNumber", claim_bytes(kMax32, 1, 0), "wrong number of pieces"},
        Malformed{"ClaimOfUnknownMode", claim_bytes(3, 1, 4), "wrong mode at byte 14"},
        Malformed{"UnclaimOfNothing", unclaim_bytes(3, 0), "wrong number of pieces"},
        Malformed{"UnclaimPastTheLastNumber", unclaim_bytes(kMax32, kMax32),
                  "wrong number of pieces"},
        Malformed{"RosterOfTooMany", roster_bytes(kRosterEntriesMax + 1, kRosterEntriesMax + 1),
                  "wrong number of entries at byte 2"},
        Malformed{"RosterOf255", roster_bytes(255, 1), "wrong number of entries at byte 2"},
        Malformed{"RosterShortOfAnEntry", roster_bytes(2, 1), "wrong key at byte 39"},
        Malformed{"RosterTornInAnAddress", roster_bytes(1, 0) + Bytes(10, 0x11),
                  "wrong address at byte 13"},
        Malformed{"RosterWithOneMore", roster_bytes(1, 2), "wrong end of message at byte 39"}),
    [](const auto& test) { return test.param.name; });

TEST(LeaseMessage, AnotherVersionOrKindIsUnsupportedWhateverFollows) {
  for (int value = 0; value < 256; ++value) {
    const auto byte = static_cast<std::uint8_t>(value);
    if (byte != kLeaseWireVersion) {
      for (const Bytes& bytes : {Bytes{byte}, Bytes{byte, 1}, Bytes{byte, 200, 1, 2, 3}}) {
        const auto message = decode(bytes);
        ASSERT_FALSE(message) << value;
        EXPECT_EQ(message.error().code, ErrorCode::unsupported) << value;
      }
    }
    if (byte < 1 || byte > 6) {
      for (const Bytes& bytes :
           {Bytes{kLeaseWireVersion, byte}, Bytes{kLeaseWireVersion, byte, 1}}) {
        const auto message = decode(bytes);
        ASSERT_FALSE(message) << value;
        EXPECT_EQ(message.error().code, ErrorCode::unsupported) << value;
        EXPECT_NE(message.error().message.find(std::to_string(value)), std::string::npos);
      }
    }
  }
}

TEST(LeaseMessage, ALongInputIsRefusedWhateverItsKind) {
  for (std::uint8_t kind = 1; kind <= 6; ++kind) {
    Bytes bytes(kLeaseMessageBytesMax + 1, 1);
    bytes[1] = kind;
    EXPECT_FALSE(decode(bytes)) << int{kind};
  }
}

}  // namespace
}  // namespace lanward::core
