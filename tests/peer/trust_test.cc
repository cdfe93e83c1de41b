// Peers that lie, and what is done about them.
#include <gtest/gtest.h>

#include "tests/peer/fixture.h"

namespace lanward::test {
namespace {

constexpr std::uint32_t kPiece = 64 * 1024;

TEST(LyingPeer, IsNamedAndNothingItSentIsKept) {
  const TestFile file = TestFile::make(20 * kPiece, kPiece, 40);
  TestPeer liar(file), honest(file), leech(file);
  liar.put_all();
  liar.store->lie();
  liar.join();
  leech.join({liar.address()});
  leech.allow_all();
  ASSERT_TRUE(leech.facts.wait_for<core::PieceFailed>(1));
  const core::SourceId source = leech.facts.all<core::PeerJoined>()[0].peer;
  EXPECT_EQ(leech.facts.all<core::PieceFailed>()[0].from, std::vector<core::SourceId>{source});
  leech.member->ban(source);
  EXPECT_TRUE(leech.store->verified().empty());

  honest.put_all();
  honest.join({leech.address()});
  ASSERT_TRUE(leech.complete());
  EXPECT_EQ(leech.store->bytes(), file.bytes);
  for (const auto& failed : leech.facts.all<core::PieceFailed>()) {
    // Blocks of the liar may be left in pieces that the honest peer has completed.
    EXPECT_EQ(failed.from.front(), source);
  }
}

TEST(LyingPeer, DoesNotKeepAPieceFromComingFromAnOrigin) {
  const TestFile file = TestFile::make(20 * kPiece, kPiece, 41);
  TestPeer liar(file), leech(file), other(file);
  liar.put_all();
  liar.store->lie();
  liar.join();
  leech.join({liar.address()});
  leech.allow_all();
  ASSERT_TRUE(leech.facts.wait_for<core::PieceFailed>(1));
  leech.put_all();
  other.join({leech.address()});
  other.allow_all();
  ASSERT_TRUE(other.complete());
  EXPECT_EQ(other.store->bytes(), file.bytes);
}

TEST(BannedPeer, IsCutAndStaysCut) {
  const TestFile file = TestFile::make(20 * kPiece, kPiece, 42);
  TestPeer seed(file), leech(file), other(file);
  seed.put_all();
  leech.join();
  seed.join({leech.address()});  // it dials, again and again
  ASSERT_TRUE(leech.facts.wait_for<core::PeerHasPieces>(1));
  const core::SourceId source = leech.facts.all<core::PeerJoined>()[0].peer;
  leech.member->ban(source);
  leech.allow_all();
  ASSERT_TRUE(leech.facts.wait_for<core::PeerLeft>(1));
  ASSERT_TRUE(seed.facts.wait_for<core::PeerLeft>(1));
  // Who is refused does not believe that it has joined, however often it tries.
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(seed.leave());
    seed.join({leech.address()});
  }
  other.join({leech.address(), seed.address()});
  ASSERT_TRUE(other.facts.wait_for<core::PeerJoined>(2));
  ASSERT_TRUE(leech.facts.wait_for<core::PeerJoined>(2));
  EXPECT_EQ(seed.facts.all<core::PeerJoined>().size(), 2U);  // the leech, once, and the other
  EXPECT_NE(leech.facts.all<core::PeerJoined>()[1].peer, source);
  EXPECT_EQ(leech.facts.all<core::PeerJoined>().size(), 2U);
  EXPECT_TRUE(leech.store->verified().empty());
}

TEST(BannedPeer, IsNotDialledIntoTheSwarmAgain) {
  const TestFile file = TestFile::make(20 * kPiece, kPiece, 43);
  TestPeer seed(file), other(file), leech(file);
  seed.put_all();
  seed.join();
  leech.join({seed.address()});
  ASSERT_TRUE(leech.facts.wait_for<core::PeerHasPieces>(1));
  leech.member->ban(leech.facts.all<core::PeerJoined>()[0].peer);
  ASSERT_TRUE(leech.facts.wait_for<core::PeerLeft>(1));
  // Others are as welcome as before; they bring what they have and nothing else comes.
  other.put(core::PieceIndex{3});
  other.join({leech.address()});
  leech.allow_all();
  ASSERT_TRUE(leech.facts.wait_for<core::PieceVerified>(1));
  EXPECT_EQ(leech.facts.all<core::PeerJoined>().size(), 2U);
  EXPECT_EQ(leech.store->verified().count(), 1U);
}

TEST(Store, IsAskedBeforeAnyByteIsServed) {
  const TestFile file = TestFile::make(20 * kPiece, kPiece, 44);
  TestPeer seed(file), leech(file);
  seed.put_all();
  seed.join();
  leech.join({seed.address()});
  ASSERT_TRUE(leech.facts.wait_for<core::PeerHasPieces>(1));
  seed.store->unverify(core::PieceIndex{5});  // libtorrent still believes it has it
  leech.allow_all();
  ASSERT_TRUE(leech.facts.wait_for<core::PieceVerified>(19));
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (seed.store->reads_refused() == 0 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_GT(seed.store->reads_refused(), 0U);
  EXPECT_FALSE(leech.store->verified().contains(core::PieceIndex{5}));
}

}  // namespace
}  // namespace lanward::test
