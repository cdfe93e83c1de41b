#include "engine/core/units.h"

#include <concepts>
#include <type_traits>
#include <unordered_set>

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

template <class A, class B>
concept Addable = requires(A a, B b) {
  a + b;
};
template <class A, class B>
concept Comparable = requires(A a, B b) {
  a == b;
};

static_assert(!std::is_convertible_v<std::uint64_t, ByteCount>);
static_assert(!std::is_convertible_v<std::uint32_t, PieceIndex>);
static_assert(!Addable<PieceIndex, PieceIndex>);
static_assert(!Addable<ByteCount, ByteRate>);
static_assert(!Addable<RequestId, RequestId>);
static_assert(!Comparable<RequestId, SourceId>);
static_assert(!Comparable<ByteCount, ByteRate>);

TEST(Units, PieceIndexMinusPieceIndexIsACount) {
  PieceIndex p{5};
  EXPECT_EQ((p + 3) - p, 3U);
  EXPECT_EQ(++p, PieceIndex{6});
}

TEST(Units, ByteCountsAddAndSubtract) {
  ByteCount n{10};
  n += ByteCount{5};
  n -= ByteCount{1};
  EXPECT_EQ(n + ByteCount{1} - ByteCount{15}, ByteCount{0});
}

TEST(Units, SpansAreHalfOpen) {
  const PieceSpan pieces{PieceIndex{2}, PieceIndex{4}};
  EXPECT_EQ(pieces.size(), 2U);
  EXPECT_FALSE(pieces.contains(PieceIndex{1}));
  EXPECT_TRUE(pieces.contains(PieceIndex{2}));
  EXPECT_FALSE(pieces.contains(PieceIndex{4}));
  EXPECT_TRUE((PieceSpan{PieceIndex{4}, PieceIndex{4}}).empty());
  EXPECT_EQ((ByteSpan{10, 30}).size(), ByteCount{20});
  EXPECT_TRUE((ByteSpan{30, 30}).empty());
}

TEST(Units, TheKindOfASourceIsReadFromItsId) {
  EXPECT_FALSE(is_peer(SourceId{0}));
  EXPECT_FALSE(is_peer(SourceId{kFirstPeerSource - 1}));
  EXPECT_TRUE(is_peer(SourceId{kFirstPeerSource}));
}

TEST(Units, IdsCanBeKeptInHashedSets) {
  const std::unordered_set<RequestId> ids{RequestId{1}, RequestId{2}, RequestId{1}};
  EXPECT_EQ(ids.size(), 2U);
}

}  // namespace
}  // namespace lanward::core
