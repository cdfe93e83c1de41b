#include "engine/core/byte_ranges.h"

#include <optional>
#include <string>

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

constexpr std::uint64_t kEnd = ByteRange::kToEnd;
using Ranges = std::vector<ByteRange>;
using Spans = std::vector<ByteSpan>;

TEST(CheckRanges, AcceptsAscendingRangesWithoutOverlap) {
  for (const Ranges& ranges :
       {Ranges{}, Ranges{{0, 1}}, Ranges{{0, kEnd}}, Ranges{{5, kEnd}}, Ranges{{0, 10}, {10, 10}},
        Ranges{{0, 10}, {11, 1}, {500, kEnd}}, Ranges{{kEnd - 1, 1}}, Ranges{{0, kEnd - 1}},
        Ranges{{kEnd - 1, kEnd}}, Ranges{{0, kEnd - 1}, {kEnd - 1, kEnd}}}) {
    const auto checked = check_ranges(ranges, 3);
    EXPECT_TRUE(checked) << checked.error().message;
  }
}

TEST(CheckRanges, RefusesWithTheCauseAndNamesTheOffender) {
  const struct {
    Ranges ranges;
    ErrorCode code;
    const char* words;  // within the message
  } cases[] = {
      {{{0, 0}}, ErrorCode::invalid_range, "range 0 "},
      {{{0, 5}, {5, 0}}, ErrorCode::invalid_range, "range 1 "},
      {{{kEnd, 1}}, ErrorCode::invalid_range, "range 0 "},
      {{{kEnd, kEnd}}, ErrorCode::invalid_range, "range 0 "},
      {{{1, kEnd - 1}, {5, 1}}, ErrorCode::overlapping_ranges, "range 1 "},
      {{{2, kEnd - 1}}, ErrorCode::invalid_range, "range 0 "},
      {{{kEnd - 1, 2}}, ErrorCode::invalid_range, "range 0 "},
      {{{0, kEnd}, {5, 1}}, ErrorCode::invalid_range, "range 0 "},
      {{{0, 1}, {2, kEnd}, {7, kEnd}}, ErrorCode::invalid_range, "range 1 "},
      {{{10, 5}, {0, 5}}, ErrorCode::invalid_range, "range 1 "},
      {{{10, 5}, {9, 5}}, ErrorCode::invalid_range, "range 1 "},
      {{{10, 5}, {10, 5}}, ErrorCode::overlapping_ranges, "range 1 "},
      {{{0, 1}, {10, 5}, {14, 1}}, ErrorCode::overlapping_ranges, "range 2 "},
      {{{10, 5}, {11, 1}}, ErrorCode::overlapping_ranges, "range 0 "},
      {{{0, 1}, {1, 1}, {2, 1}, {3, 1}}, ErrorCode::too_many_ranges, "4 ranges"},
  };
  for (const auto& c : cases) {
    const auto checked = check_ranges(c.ranges, 3);
    ASSERT_FALSE(checked) << c.words;
    EXPECT_EQ(checked.error().code, c.code) << checked.error().message;
    EXPECT_NE(checked.error().message.find(c.words), std::string::npos) << checked.error().message;
  }
}

TEST(CheckRanges, CountsBeforeItLooks) {
  const Ranges ranges(501, ByteRange{0, 0});
  EXPECT_EQ(check_ranges(ranges, 500).error().code, ErrorCode::too_many_ranges);
  EXPECT_EQ(check_ranges(ranges, 501).error().code, ErrorCode::invalid_range);
}

TEST(Clip, TurnsRangesIntoBytesOfTheFile) {
  const struct {
    Ranges ranges;
    std::uint64_t size;
    Spans spans;
  } cases[] = {
      {{}, 100, {{0, 100}}},
      {{}, 0, {}},
      {{{0, 100}}, 100, {{0, 100}}},
      {{{0, kEnd}}, 100, {{0, 100}}},
      {{{99, 1}}, 100, {{99, 100}}},
      {{{99, kEnd}}, 100, {{99, 100}}},
      {{{0, 10}, {10, 10}, {50, kEnd}}, 100, {{0, 10}, {10, 20}, {50, 100}}},
      {{{kEnd - 2, 1}}, kEnd - 1, {{kEnd - 2, kEnd - 1}}},
  };
  for (const auto& c : cases) {
    const auto spans = clip(c.ranges, ByteCount{c.size});
    ASSERT_TRUE(spans) << spans.error().message;
    EXPECT_EQ(*spans, c.spans) << c.size;
  }
}

TEST(Clip, RefusesWhatTheFileDoesNotHave) {
  const struct {
    Ranges ranges;
    std::uint64_t size;
    const char* words;
  } cases[] = {
      {{{0, 1}}, 0, "range 0 "},
      {{{0, kEnd}}, 0, "range 0 "},
      {{{100, 1}}, 100, "range 0 "},
      {{{0, 10}, {100, kEnd}}, 100, "range 1 "},
      {{{0, 10}, {101, kEnd}}, 100, "range 1 "},
      {{{0, 101}}, 100, "range 0 "},
      {{{0, 1}, {99, 2}}, 100, "100 bytes"},
      {{{1, kEnd - 1}}, 100, "range 0 "},
  };
  for (const auto& c : cases) {
    const auto spans = clip(c.ranges, ByteCount{c.size});
    ASSERT_FALSE(spans) << c.size;
    EXPECT_EQ(spans.error().code, ErrorCode::invalid_range);
    EXPECT_NE(spans.error().message.find(c.words), std::string::npos) << spans.error().message;
  }
}

TEST(PiecesOf, AreThoseThatShareAByte) {
  constexpr std::uint64_t kPiece = kPieceBytesMin;
  const PieceLayout layout(ByteCount{4 * kPiece + 1}, kPieceBytesMin);
  const struct {
    Spans spans;
    std::vector<std::uint32_t> pieces;
  } cases[] = {
      {{}, {}},
      {{{0, 0}}, {}},
      {{{5, 5}, {kPiece, kPiece}}, {}},
      {{{0, 1}}, {0}},
      {{{0, kPiece}}, {0}},
      {{{0, kPiece + 1}}, {0, 1}},
      {{{kPiece - 1, kPiece}}, {0}},
      {{{kPiece - 1, kPiece + 1}}, {0, 1}},
      {{{kPiece, 2 * kPiece}}, {1}},
      {{{1, 2}, {3, 4}, {2 * kPiece + 5, 3 * kPiece + 5}}, {0, 2, 3}},
      {{{4 * kPiece, 4 * kPiece + 1}}, {4}},
      {{{0, 4 * kPiece + 1}}, {0, 1, 2, 3, 4}},
  };
  for (const auto& c : cases) {
    PieceSet expected(layout.piece_count());
    for (const std::uint32_t p : c.pieces) expected.insert(PieceIndex{p});
    EXPECT_EQ(pieces_of(c.spans, layout), expected) << testing::PrintToString(c.pieces);
  }
}

// Independent of how the set is computed: every piece against every span.
TEST(PiecesOf, AgreeWithTheBytesOfEveryPiece) {
  const PieceLayout layout(ByteCount{3 * 65536 + 777}, 65536);
  for (std::uint64_t begin = 0; begin < layout.size().value; begin += 16381) {
    for (std::uint64_t end = begin + 1; end <= layout.size().value; end += 16383) {
      const Spans spans{{begin, end}};
      const PieceSet pieces = pieces_of(spans, layout);
      for (PieceIndex p = layout.all().begin; p < layout.all().end; ++p) {
        const ByteSpan bytes = layout.bytes(p);
        ASSERT_EQ(pieces.contains(p), begin < bytes.end && bytes.begin < end)
            << begin << " " << end << " " << p.value;
      }
    }
  }
}

TEST(PiecesOf, AnEmptyFileHasNone) {
  const PieceLayout layout(ByteCount{0}, kPieceBytesMin);
  EXPECT_EQ(pieces_of(*clip({}, ByteCount{0}), layout).universe(), 0U);
}

TEST(TotalBytes, IsTheSumOfTheSpans) {
  EXPECT_EQ(total_bytes({}), ByteCount{0});
  EXPECT_EQ(total_bytes(Spans{{0, 10}, {10, 11}, {100, 200}}), ByteCount{111});
}

}  // namespace
}  // namespace lanward::core
