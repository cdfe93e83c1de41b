#include "peer/swarm.h"

#include <gtest/gtest.h>

#include <atomic>

#include "tests/peer/fixture.h"

namespace lanward::test {
namespace {

constexpr std::uint32_t kPiece = 64 * 1024;

core::PieceSpan span(std::uint32_t begin, std::uint32_t end) {
  return {core::PieceIndex{begin}, core::PieceIndex{end}};
}

TEST(LibtorrentSwarm, MovesAWholeFileFromPeerToPeer) {
  const TestFile file = TestFile::make(8 * core::kMiB + 12345, 256 * 1024, 1);
  TestPeer seed(file), leech(file);
  seed.put_all();
  seed.join();
  leech.join({seed.address()});
  leech.allow_all();
  ASSERT_TRUE(leech.complete());
  EXPECT_EQ(leech.store->bytes(), file.bytes);
}

TEST(LibtorrentSwarm, MovesFilesOfEveryAwkwardLength) {
  std::uint32_t seed_number = 20;
  for (const std::uint64_t size : {1ULL, 16384ULL, 16385ULL, 65536ULL, 65537ULL, 200'000ULL}) {
    const TestFile file = TestFile::make(size, kPiece, seed_number++);
    TestPeer seed(file), leech(file);
    seed.put_all();
    seed.join();
    leech.join({seed.address()});
    leech.allow_all();
    ASSERT_TRUE(leech.complete()) << size;
    EXPECT_EQ(leech.store->bytes(), file.bytes);
  }
}

TEST(LibtorrentSwarm, TellsWhoJoinedAndWhatTheyHave) {
  const TestFile file = TestFile::make(10 * kPiece, kPiece, 2);
  TestPeer some(file), none(file);
  some.put(core::PieceIndex{2});
  some.put(core::PieceIndex{9});
  some.join();
  none.join({some.address()});
  ASSERT_TRUE(none.facts.wait_for<core::PeerHasPieces>(1));
  ASSERT_TRUE(some.facts.wait_for<core::PeerHasPieces>(1));

  const auto joined = none.facts.all<core::PeerJoined>();
  ASSERT_EQ(joined.size(), 1U);
  EXPECT_EQ(joined[0].address, some.address());
  EXPECT_TRUE(core::is_peer(joined[0].peer));
  const auto has = none.facts.all<core::PeerHasPieces>().back();
  EXPECT_EQ(has.peer, joined[0].peer);
  EXPECT_EQ(has.pieces, some.store->verified());
  // The one that was dialled knows the other by the address it listens on, too.
  EXPECT_EQ(some.facts.all<core::PeerJoined>()[0].address, none.address());
  EXPECT_TRUE(some.facts.all<core::PeerHasPieces>()[0].pieces.empty());
}

TEST(LibtorrentSwarm, FetchesOnlyWhatIsAllowed) {
  const TestFile file = TestFile::make(20 * kPiece, kPiece, 3);
  TestPeer seed(file), leech(file);
  seed.put_all();
  seed.join();
  leech.join({seed.address()});
  ASSERT_TRUE(leech.facts.wait_for<core::PeerHasPieces>(1));
  leech.member->allow(span(4, 6));
  ASSERT_TRUE(leech.facts.wait_for<core::PieceVerified>(2));
  // Allowed and taken back at once: the order of calls counts.
  leech.member->allow(span(10, 20));
  leech.member->reserve(span(10, 19));
  ASSERT_TRUE(leech.facts.wait_for<core::PieceVerified>(3));

  const core::SourceId source = leech.facts.all<core::PeerJoined>()[0].peer;
  EXPECT_EQ(leech.ledger(source).received.value, 3U * kPiece);
  const core::PieceSet got = leech.store->verified();
  for (const std::uint32_t piece : {4U, 5U, 19U}) {
    EXPECT_TRUE(got.contains(core::PieceIndex{piece}));
  }
}

TEST(LibtorrentSwarm, OffersAPieceThatCameFromAnOrigin) {
  const TestFile file = TestFile::make(20 * kPiece, kPiece, 4);
  TestPeer puller(file), leech(file);
  puller.join();
  leech.join({puller.address()});
  leech.allow_all();
  ASSERT_TRUE(leech.facts.wait_for<core::PeerHasPieces>(1));
  puller.put(core::PieceIndex{7});
  ASSERT_TRUE(leech.facts.wait_for<core::PeerHasPiece>(1));
  EXPECT_EQ(leech.facts.all<core::PeerHasPiece>()[0].piece.value, 7U);
  ASSERT_TRUE(leech.facts.wait_for<core::PieceVerified>(1));
  // Many at once, each told twice.
  puller.put_all();
  puller.put_all();
  ASSERT_TRUE(leech.complete());
  EXPECT_EQ(leech.store->bytes(), file.bytes);
}

TEST(LibtorrentSwarm, ServesWhatItHadBeforeItJoined) {
  const TestFile file = TestFile::make(5 * kPiece + 1, kPiece, 5);
  TestPeer resumed(file), leech(file);
  for (const std::uint32_t piece : {1U, 5U}) resumed.put(core::PieceIndex{piece});
  resumed.join();
  leech.join({resumed.address()});
  leech.allow_all();
  ASSERT_TRUE(leech.facts.wait_for<core::PieceVerified>(2));
  EXPECT_EQ(leech.store->verified(), resumed.store->verified());
}

TEST(LibtorrentSwarm, CountsEveryByteOnce) {
  const TestFile file = TestFile::make(40 * kPiece + 777, kPiece, 6);
  TestPeer seed(file), leech(file);
  seed.put_all();
  seed.join();
  leech.join({seed.address()});
  leech.allow_all();
  ASSERT_TRUE(leech.complete());
  ASSERT_TRUE(leech.facts.wait_until<core::PeerProgressed>(
      [&](const core::PeerProgressed& p) { return p.received.value == file.bytes.size(); }));
  ASSERT_TRUE(seed.facts.wait_until<core::PeerProgressed>(
      [&](const core::PeerProgressed& p) { return p.served.value == file.bytes.size(); }));
  const auto last = leech.facts.all<core::PeerProgressed>().back();
  EXPECT_EQ(last.wasted.value, 0U);
  EXPECT_EQ(last.served.value, 0U);
  EXPECT_EQ(leech.ledger(last.peer).received.value, file.bytes.size());
}

TEST(LibtorrentSwarm, CountsAsWastedWhatTheOriginDeliveredFirst) {
  const TestFile file = TestFile::make(200 * kPiece, kPiece, 7);
  TestPeer seed(file), leech(file);
  seed.put_all();
  seed.join();
  leech.join({seed.address()});
  leech.allow_all();
  ASSERT_TRUE(leech.facts.wait_for<core::PieceVerified>(1));
  leech.put_all();  // everything, while blocks are on their way
  ASSERT_TRUE(leech.leave());
  // The last totals are told before leave() returns.
  const auto last = leech.facts.all<core::PeerProgressed>().back();
  EXPECT_EQ(last.received.value - last.wasted.value, leech.ledger(last.peer).received.value);
  EXPECT_EQ(leech.store->bytes(), file.bytes);
}

TEST(LibtorrentSwarm, ReadsColdPiecesOnAWorker) {
  const TestFile file = TestFile::make(9 * kPiece, kPiece, 8);
  TestPeer seed(file), leech(file);
  seed.put_all();
  seed.store->forget_cache();
  seed.join();
  leech.join({seed.address()});
  leech.allow_all();
  ASSERT_TRUE(leech.complete());
  EXPECT_EQ(leech.store->bytes(), file.bytes);
}

TEST(LibtorrentSwarm, GoesOnAfterAStoreThatAskedForAPause) {
  const TestFile file = TestFile::make(50 * kPiece, kPiece, 9);
  TestPeer seed(file), leech(file);
  seed.put_all();
  seed.join();
  leech.store->lag();
  leech.join({seed.address()});
  leech.allow_all();
  ASSERT_TRUE(leech.complete());
  EXPECT_EQ(leech.store->bytes(), file.bytes);
}

TEST(LibtorrentSwarm, ConnectsToAPeerThatStartsLater) {
  const TestFile file = TestFile::make(3 * kPiece, kPiece, 10);
  auto seed = std::make_unique<TestPeer>(file);
  const std::string address = seed->address();
  seed.reset();  // its port is free now
  TestPeer leech(file);
  leech.join({address, "nonsense", "127.0.0.1:0"});
  leech.allow_all();
  seed = std::make_unique<TestPeer>(file, address);
  ASSERT_NE(seed->swarm, nullptr);
  seed->put_all();
  seed->join();
  ASSERT_TRUE(leech.complete());
  // The same peer, back after a break, is the same source.
  seed->member.reset();
  ASSERT_TRUE(leech.facts.wait_for<core::PeerLeft>(1));
}

TEST(LibtorrentSwarm, KnowsAPeerThatComesBack) {
  const TestFile file = TestFile::make(10 * kPiece, kPiece, 11);
  TestPeer seed(file), leech(file);
  seed.put_all();
  seed.join();
  leech.join({seed.address()});
  leech.member->allow(span(0, 3));
  ASSERT_TRUE(leech.facts.wait_for<core::PieceVerified>(3));
  ASSERT_TRUE(seed.leave());
  ASSERT_TRUE(leech.facts.wait_for<core::PeerLeft>(1));
  seed.join();
  leech.allow_all();
  ASSERT_TRUE(leech.complete());
  for (const auto& joined : leech.facts.all<core::PeerJoined>()) {
    EXPECT_EQ(joined.peer.value, core::kFirstPeerSource);
  }
}

TEST(LibtorrentSwarm, KeepsOneConnectionWhenBothDial) {
  const TestFile file = TestFile::make(30 * kPiece, kPiece, 12);
  TestPeer a(file), b(file);
  a.put(core::PieceIndex{0});
  b.put(core::PieceIndex{1});
  a.join({b.address()});
  b.join({a.address()});
  a.allow_all();
  b.allow_all();
  ASSERT_TRUE(a.facts.wait_for<core::PieceVerified>(2));
  ASSERT_TRUE(b.facts.wait_for<core::PieceVerified>(2));
  for (TestPeer* peer : {&a, &b}) {
    EXPECT_TRUE(peer->facts.all<core::PeerLeft>().empty());
    for (const auto& joined : peer->facts.all<core::PeerJoined>()) {
      EXPECT_EQ(joined.peer.value, core::kFirstPeerSource);
    }
  }
}

TEST(LibtorrentSwarm, SpreadsPiecesAmongThree) {
  const TestFile file = TestFile::make(60 * kPiece, kPiece, 13);
  TestPeer a(file), b(file), c(file);
  a.join();
  b.join({a.address()});
  c.join({a.address(), b.address()});
  for (TestPeer* peer : {&a, &b, &c}) peer->allow_all();
  for (std::uint32_t i = 0; i < 60; ++i) {
    (i % 3 == 0 ? a : i % 3 == 1 ? b : c).put(core::PieceIndex{i});
  }
  for (TestPeer* peer : {&a, &b, &c}) {
    ASSERT_TRUE(peer->complete());
    EXPECT_EQ(peer->store->bytes(), file.bytes);
  }
}

TEST(LibtorrentSwarm, CarriesTwoContentsAtOnce) {
  const TestFile one = TestFile::make(30 * kPiece, kPiece, 14);
  const TestFile two = TestFile::make(30 * kPiece, kPiece, 15);
  TestPeer seed(one), leech(one);
  seed.put_all();
  FactLog seed_log, leech_log;
  const auto seed_store = std::make_shared<MemoryStore>(two.manifest.content, seed_log.sink());
  const auto leech_store = std::make_shared<MemoryStore>(two.manifest.content, leech_log.sink());
  for (core::PieceIndex p{0}; p.value < 30; ++p) seed_store->put(p, two.bytes);
  seed.join();
  const auto seed_two = seed.swarm->join({two.manifest, seed_store, {}, {}}, seed_log.sink());
  leech.join({seed.address()});
  const auto leech_two =
      leech.swarm->join({two.manifest, leech_store, {seed.address()}, {}}, leech_log.sink());
  leech.allow_all();
  leech_two->allow(two.manifest.content.layout.all());
  ASSERT_TRUE(leech.complete());
  ASSERT_TRUE(leech_log.wait_for<core::PieceVerified>(30));
  EXPECT_EQ(leech.store->bytes(), one.bytes);
  EXPECT_EQ(leech_store->bytes(), two.bytes);
}

// ---- leaving -----------------------------------------------------------------------------------

TEST(LibtorrentSwarm, LetsGoOfTheStoreAndCanComeBack) {
  const TestFile file = TestFile::make(100 * kPiece, kPiece, 16);
  TestPeer seed(file), leech(file);
  seed.put_all();
  seed.join();
  leech.join({seed.address()});
  leech.allow_all();
  ASSERT_TRUE(leech.facts.wait_for<core::PieceVerified>(5));
  ASSERT_TRUE(leech.leave());
  const std::size_t told = leech.facts.all<core::PeerProgressed>().size() +
                           leech.facts.all<core::PeerLeft>().size() +
                           leech.facts.all<core::PeerHasPiece>().size();
  const auto taken = leech.ledger(core::SourceId{core::kFirstPeerSource}).received;
  ASSERT_TRUE(seed.facts.wait_for<core::PeerLeft>(1));
  EXPECT_EQ(leech.facts.all<core::PeerProgressed>().size() +
                leech.facts.all<core::PeerLeft>().size() +
                leech.facts.all<core::PeerHasPiece>().size(),
            told);
  EXPECT_EQ(leech.ledger(core::SourceId{core::kFirstPeerSource}).received, taken);

  leech.join({seed.address()});
  leech.allow_all();
  ASSERT_TRUE(leech.complete());
  EXPECT_EQ(leech.store->bytes(), file.bytes);
}

TEST(LibtorrentSwarm, SaysDoneOnlyWhenTheStoreIsThroughWithItsJobs) {
  const TestFile file = TestFile::make(100 * kPiece, kPiece, 17);
  TestPeer seed(file), leech(file);
  seed.put_all();
  seed.join();
  leech.store->freeze();
  leech.join({seed.address()});
  leech.allow_all();
  // Blocks are in the store's hands and stay there.
  ASSERT_TRUE(leech.facts.wait_until<core::PeerProgressed>(
      [](const core::PeerProgressed& p) { return p.received.value > 0; }));
  std::atomic<bool> done = false;
  leech.member->leave([&done] { done = true; });
  ASSERT_TRUE(seed.facts.wait_for<core::PeerLeft>(1));  // the sessions do not wait
  EXPECT_FALSE(done);
  leech.store->thaw();
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!done && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_TRUE(done);
}

TEST(LibtorrentSwarm, EndsInTimeWhileTheStoreHangs) {
  const TestFile file = TestFile::make(100 * kPiece, kPiece, 18);
  TestPeer seed(file), leech(file);
  seed.put_all();
  seed.join();
  leech.store->freeze();
  leech.join({seed.address()});
  leech.allow_all();
  ASSERT_TRUE(leech.facts.wait_until<core::PeerProgressed>(
      [](const core::PeerProgressed& p) { return p.received.value > 0; }));
  const auto begin = std::chrono::steady_clock::now();
  leech.swarm.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(4));
  leech.member->announce(core::PieceIndex{0});  // harmless after the swarm
  leech.store->thaw();
  EXPECT_TRUE(leech.leave());
}

TEST(LibtorrentSwarm, EndsWhileItIsBusy) {
  const TestFile file = TestFile::make(16 * core::kMiB, 256 * 1024, 19);
  TestPeer seed(file), leech(file);
  seed.put_all();
  seed.join();
  leech.join({seed.address()});
  leech.allow_all();
  ASSERT_TRUE(leech.facts.wait_for<core::PieceVerified>(2));
  const auto begin = std::chrono::steady_clock::now();
  seed.swarm.reset();
  leech.swarm.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(8));
}

// ---- listening ---------------------------------------------------------------------------------

TEST(LibtorrentSwarm, RefusesAPortThatIsTaken) {
  peer::SwarmOptions options;
  options.listen = "127.0.0.1:0";
  options.local_discovery = false;
  const auto first = peer::LibtorrentSwarm::create(options);
  ASSERT_TRUE(first);
  options.listen = "127.0.0.1:" + std::to_string((*first)->listen_port().value_or(0));
  const auto second = peer::LibtorrentSwarm::create(options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::network);
  EXPECT_NE(second.error().message.find(options.listen), std::string::npos);
}

TEST(LibtorrentSwarm, RefusesAnAddressThatIsNotOurs) {
  peer::SwarmOptions options;
  options.listen = "192.0.2.1:0";
  const auto swarm = peer::LibtorrentSwarm::create(options);
  ASSERT_FALSE(swarm);
  EXPECT_EQ(swarm.error().code, ErrorCode::network);
  options.listen = "everywhere";
  const auto nonsense = peer::LibtorrentSwarm::create(options);
  ASSERT_FALSE(nonsense);
  EXPECT_EQ(nonsense.error().code, ErrorCode::invalid_argument);
}

TEST(LibtorrentSwarm, FindsPeersByMulticast) {
  const TestFile file = TestFile::make(4 * kPiece, kPiece, 30);
  TestPeer seed(file, "127.0.0.1:0", true), leech(file, "127.0.0.1:0", true);
  seed.put_all();
  seed.join();
  leech.join();
  leech.allow_all();
  ASSERT_TRUE(leech.complete());
  EXPECT_EQ(leech.store->bytes(), file.bytes);
}

}  // namespace
}  // namespace lanward::test
