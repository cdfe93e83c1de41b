#include "engine/core/peer_book.h"

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

// Peers that have a share in pieces that turn out bad.
class PeerBookTest : public ::testing::Test {
 protected:
  PeerBookTest() {
    for (const SourceId peer : {kFirst, kSecond}) book_.joined({.peer = peer});
  }
  // Whether one of so many pieces in which the peer had a share was one too many.
  bool blame(SourceId peer, std::uint32_t shares) {
    bool banned = false;
    for (std::uint32_t i = 0; i < shares; ++i) banned = book_.blame(peer, false) || banned;
    return banned;
  }

  static constexpr SourceId kFirst{kFirstPeerSource};
  static constexpr SourceId kSecond{kFirstPeerSource + 1};
  const Policy policy_;
  const PieceLayout layout_{ByteCount{8 * 65536}, 65536};
  Commands commands_;
  PieceBoard board_{layout_, PieceSet(layout_.piece_count()), true, commands_};
  PeerBook book_{policy_, layout_, board_};
  const std::uint32_t borne_ = policy_.bad_shares_max - 1;
};

TEST_F(PeerBookTest, SharesInBadPiecesAddUpToABan) {
  EXPECT_FALSE(blame(kFirst, borne_));
  EXPECT_TRUE(blame(kFirst, 1));
  EXPECT_TRUE(book_.banned(kFirst));
  EXPECT_FALSE(book_.connected(kFirst));
  EXPECT_FALSE(book_.banned(kSecond));
}

TEST_F(PeerBookTest, AGoodPieceOfItsOwnClearsWhatOthersMayHaveSpoilt) {
  for (int round = 0; round < 5; ++round) {
    EXPECT_FALSE(blame(kFirst, borne_)) << round;
    book_.cleared(kFirst);
  }
  EXPECT_FALSE(book_.banned(kFirst));
  EXPECT_TRUE(blame(kFirst, borne_ + 1)) << "and no more than that";
}

TEST_F(PeerBookTest, OnlyWhoDeliveredItIsCleared) {
  EXPECT_FALSE(blame(kFirst, borne_));
  book_.cleared(kSecond);
  EXPECT_TRUE(blame(kFirst, 1));
}

TEST_F(PeerBookTest, BadPiecesThatAreItsOwnAloneAreNotCleared) {
  for (std::uint32_t i = 1; i < policy_.bad_pieces_max; ++i) {
    EXPECT_FALSE(book_.blame(kFirst, true));
    book_.cleared(kFirst);
  }
  EXPECT_TRUE(book_.blame(kFirst, true));
}

TEST_F(PeerBookTest, ABanIsNotLiftedByAGoodPiece) {
  EXPECT_TRUE(blame(kFirst, borne_ + 1));
  book_.cleared(kFirst);
  EXPECT_TRUE(book_.banned(kFirst));
  book_.cleared(SourceId{kFirstPeerSource + 7});  // never heard of
}

}  // namespace
}  // namespace lanward::core
