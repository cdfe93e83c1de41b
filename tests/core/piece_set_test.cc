#include "engine/core/piece_set.h"

#include <set>

#include <gtest/gtest.h>

#include "engine/core/prng.h"

namespace lanward::core {
namespace {

TEST(PieceSet, OfNoPiecesIsBothEmptyAndFull) {
  const PieceSet set;
  EXPECT_TRUE(set.empty());
  EXPECT_TRUE(set.full());
  EXPECT_FALSE(set.next(PieceIndex{0}));
  EXPECT_FALSE(set.next_missing(PieceIndex{0}));
}

TEST(PieceSet, TellsWhetherACallChangedIt) {
  PieceSet set(65);
  EXPECT_TRUE(set.insert(PieceIndex{64}));
  EXPECT_FALSE(set.insert(PieceIndex{64}));
  EXPECT_EQ(set.count(), 1U);
  EXPECT_TRUE(set.erase(PieceIndex{64}));
  EXPECT_FALSE(set.erase(PieceIndex{64}));
  EXPECT_TRUE(set.empty());
}

TEST(PieceSet, IsFullWithItsLastPiece) {
  PieceSet set(64);
  for (std::uint32_t p = 0; p < 63; ++p) set.insert(PieceIndex{p});
  EXPECT_FALSE(set.full());
  set.insert(PieceIndex{63});
  EXPECT_TRUE(set.full());
  EXPECT_FALSE(set.next_missing(PieceIndex{0}));
}

TEST(PieceSet, DoesNotSeeMissingPiecesBeyondItsEnd) {
  PieceSet set(70);
  for (std::uint32_t p = 0; p < 70; ++p) set.insert(PieceIndex{p});
  EXPECT_FALSE(set.next_missing(PieceIndex{0}));
  EXPECT_FALSE(set.next_missing(PieceIndex{69}));
  EXPECT_FALSE(set.next(PieceIndex{70}));
}

TEST(PieceSet, AgreesWithAnOrdinarySetUnderRandomChanges) {
  for (const std::uint32_t universe : {1U, 63U, 64U, 65U, 200U}) {
    Prng prng{Seed{universe}};
    PieceSet set(universe);
    std::set<std::uint32_t> model;
    for (int i = 0; i < 500; ++i) {
      const auto p = static_cast<std::uint32_t>(prng.below(universe));
      if (prng.below(2) == 0) {
        ASSERT_EQ(set.insert(PieceIndex{p}), model.insert(p).second);
      } else {
        ASSERT_EQ(set.erase(PieceIndex{p}), model.erase(p) == 1);
      }
      ASSERT_EQ(set.count(), model.size());
      const auto from = static_cast<std::uint32_t>(prng.below(universe));
      const auto next = set.next(PieceIndex{from});
      const auto expected = model.lower_bound(from);
      ASSERT_EQ(next.has_value(), expected != model.end());
      if (next) {
        ASSERT_EQ(next->value, *expected);
      }
      std::uint32_t gap = from;
      while (model.contains(gap)) ++gap;
      const auto missing = set.next_missing(PieceIndex{from});
      ASSERT_EQ(missing.has_value(), gap < universe);
      if (missing) {
        ASSERT_EQ(missing->value, gap);
      }
    }
  }
}

TEST(PieceSet, SurvivesTheWayThroughItsWords) {
  PieceSet set(130);
  for (const std::uint32_t p : {0U, 63U, 64U, 129U}) set.insert(PieceIndex{p});
  EXPECT_EQ(PieceSet::from_words(130, set.words()), set);
}

TEST(PieceSet, IgnoresBitsBeyondItsUniverseAndTakesMissingWordsAsEmpty) {
  const PieceSet set = PieceSet::from_words(70, {~std::uint64_t{0}, ~std::uint64_t{0}, 1});
  EXPECT_EQ(set.count(), 70U);
  EXPECT_TRUE(set.full());
  EXPECT_EQ(PieceSet::from_words(70, {1}).count(), 1U);
  EXPECT_EQ(PieceSet::from_words(70, {}).count(), 0U);
}

}  // namespace
}  // namespace lanward::core
