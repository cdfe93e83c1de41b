// What the cache offers to peers while no job wants it.
#include <chrono>
#include <cstdint>

#include <gtest/gtest.h>

#include "tests/jobs/job_world.h"

namespace lanward::jobs {
namespace {

using namespace std::chrono_literals;

// Longer than the sharer takes to look at the cache again.
constexpr auto kNextLook = 11s;

core::PieceSet all_pieces() {
  core::PieceSet set(kPieces);
  for (std::uint32_t p = 0; p < kPieces; ++p) set.insert(core::PieceIndex{p});
  return set;
}

class SharerTest : public ::testing::Test, protected JobWorld {
 protected:
  SharerTest() : JobWorld({.shared_contents_max = 3}) {}
  void TearDown() override { EXPECT_EQ(store.misuses, 0) << "the store was used against its word"; }

  void put_in_cache(std::uint8_t n) {
    store.lendable.push_back(manifest_of(n));
    store.shared.insert(content_id(n));
    store.pieces[content_id(n)] = all_pieces();
  }
  void let_look() {
    loop.advance(kNextLook);
    loop.run();
  }
  [[nodiscard]] std::uint32_t shared() const { return engine->sharing().contents; }
  void tell(std::uint8_t n, const core::Event& event) {
    store.lent_facts.at(content_id(n))(event);
    loop.run();
  }
};

TEST_F(SharerTest, OffersWhatIsInTheCacheAtTheStart) {
  put_in_cache(1);
  put_in_cache(2);
  restart();
  EXPECT_EQ(shared(), 2U);
  EXPECT_EQ(swarm.members, 2);
}

TEST_F(SharerTest, OffersWhatComesToTheCacheLater) {
  EXPECT_EQ(shared(), 0U);
  put_in_cache(1);
  let_look();
  EXPECT_EQ(shared(), 1U);
}

TEST_F(SharerTest, OffersNoMoreThanTold) {
  for (std::uint8_t n = 1; n <= 5; ++n) put_in_cache(n);
  restart();
  let_look();
  EXPECT_EQ(shared(), 3U);
}

TEST_F(SharerTest, OffersNothingUnlessTold) {
  settings.shared_contents_max = 0;
  put_in_cache(1);
  restart();
  let_look();
  EXPECT_EQ(store.opens, 0);
}

TEST_F(SharerTest, LeavesAContentToAJobThatWantsItAndTakesItBack) {
  put_in_cache(1);
  restart();
  ASSERT_EQ(shared(), 1U);
  const JobId id = start_job(1, "/out/a");
  EXPECT_EQ(state(id), JobState::transferred);
  EXPECT_EQ(origins.bytes_served, 0U) << "it is all there";
  EXPECT_EQ(shared(), 0U);
  EXPECT_EQ(swarm.members, 1) << "the job serves it";
  run(id, &Job::complete);
  let_look();
  EXPECT_EQ(shared(), 1U);
  EXPECT_EQ(swarm.members, 1);
}

TEST_F(SharerTest, KeepsNoJobWaitingThatComesWhileItIsOpening) {
  put_in_cache(1);
  store.hold = true;
  restart();
  const JobId id = start_job(1, "/out/a");
  store.hold = false;
  while (store.release_one()) loop.run();
  loop.run();
  EXPECT_EQ(state(id), JobState::transferred);
  EXPECT_EQ(shared(), 0U);
}

TEST_F(SharerTest, KeepsACancelledJobFromNothing) {
  put_in_cache(1);
  restart();
  const JobId id = create();
  run_add(id, file_of(1, "/out/a"));
  run(id, &Job::cancel);
  EXPECT_EQ(state(id), JobState::cancelled);
  EXPECT_FALSE(is_cached(1)) << "it is gone from the cache";
  EXPECT_EQ(swarm.members, 0);
}

TEST_F(SharerTest, GivesAContentBackWhenTheCacheWantsTheSpace) {
  put_in_cache(1);
  restart();
  tell(1, core::StoreFailed{{ErrorCode::cancelled, "wanted back"}});
  EXPECT_EQ(shared(), 0U);
  EXPECT_TRUE(store.open_contents.empty());
  EXPECT_EQ(swarm.members, 0);
}

TEST_F(SharerTest, OffersWhatIsLeftOfADamagedContent) {
  put_in_cache(1);
  restart();
  tell(1, core::PieceLost{core::PieceIndex{2}});
  EXPECT_EQ(swarm.members, 0) << "the lost piece is offered no more";
  let_look();
  EXPECT_EQ(shared(), 1U);
}

TEST_F(SharerTest, CountsWhatItServes) {
  put_in_cache(1);
  restart();
  const core::SourceId peer{core::kFirstPeerSource};
  swarm.facts(core::PeerJoined{peer, "10.0.0.1:1", {}, true});
  swarm.facts(core::PeerProgressed{peer, {}, {}, core::ByteCount{5000}});
  loop.run();
  EXPECT_EQ(engine->sharing(), (SharingStatus{1, 1, 5000}));
  tell(1, core::StoreFailed{{ErrorCode::cancelled, "wanted back"}});
  EXPECT_EQ(engine->sharing(), (SharingStatus{0, 0, 5000}));
}

TEST_F(SharerTest, AsksAgainForWhatWasRefusedButNotWithoutEnd) {
  put_in_cache(1);
  put_in_cache(2);
  store.open_error = Error{ErrorCode::disk_io, "it cannot be read"};
  restart();
  EXPECT_EQ(shared(), 0U);
  EXPECT_EQ(store.opens, 2);
  store.open_error.reset();
  let_look();
  EXPECT_EQ(shared(), 2U);
}

TEST_F(SharerTest, OffersNothingWhilePeersAreGivenNothing) {
  put_in_cache(1);
  restart();
  ASSERT_EQ(shared(), 1U);
  swarm.upload = {.bar = UploadBar::on_battery, .reason = "the machine runs on its battery"};
  EXPECT_EQ(engine->sharing().upload, swarm.upload);
  let_look();
  EXPECT_EQ(shared(), 0U);
  EXPECT_EQ(swarm.members, 0);
  EXPECT_TRUE(store.open_contents.empty());
  let_look();
  EXPECT_EQ(shared(), 0U);
  swarm.upload = {};
  let_look();
  EXPECT_EQ(shared(), 1U);
}

TEST_F(SharerTest, EndsWithTheEngine) {
  put_in_cache(1);
  put_in_cache(2);
  restart();
  close();
  EXPECT_EQ(swarm.members, 0);
  EXPECT_TRUE(store.open_contents.empty());
}

}  // namespace
}  // namespace lanward::jobs
