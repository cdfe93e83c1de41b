// A piece cache that loses pieces or does not answer: jobs end in an error that says so, and go on
// when it answers again.
#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "tests/jobs/job_world.h"

namespace lanward::jobs {
namespace {

using namespace std::chrono_literals;

class StuckStore : public ::testing::Test {
 protected:
  // Time passes as the loop's timers want it; whoever is asked for bytes gives them.
  void pass(core::Duration time) {
    for (; time > core::Duration{0}; time -= 1s) {
      world.loop.advance(1s);
      world.serve_all();
    }
  }
  std::optional<JobError> error(const JobId& id) { return world.job(id).error(); }

  JobWorld world;
  const core::Duration timeout = world.settings.policy.verdict_timeout;
};

TEST_F(StuckStore, APieceThatIsLostIsFetchedAgain) {
  world.store.lost_pieces = {2};
  const JobId id = world.start_job(1, "/out/a");
  world.serve_all();
  ASSERT_EQ(world.state(id), JobState::transferring);
  const std::uint64_t served = world.origins.bytes_served;
  // Others are judged meanwhile, so only this one is missing.
  world.store.latest->lost_pieces.clear();
  pass(timeout - 2s);
  EXPECT_EQ(world.state(id), JobState::transferring);
  EXPECT_EQ(world.origins.bytes_served, served);
  pass(4s);
  EXPECT_EQ(world.state(id), JobState::transferred);
  EXPECT_EQ(world.origins.bytes_served, served + kPiece);
}

TEST_F(StuckStore, APieceThatIsLostTwiceIsAnError) {
  world.store.lost_pieces = {2};
  const JobId id = world.start_job(1, "/out/a");
  world.serve_all();
  pass(timeout + 4s);
  EXPECT_EQ(world.state(id), JobState::transferring);
  pass(timeout + 4s);
  ASSERT_EQ(world.state(id), JobState::error);
  EXPECT_EQ(error(id)->code, ErrorCode::disk_io);
  EXPECT_EQ(world.durable(id), JobState::error);
  // The pieces that are there stay, and the next try finds a cache that works.
  world.store.lost_pieces.clear();
  world.run(id, &Job::resume);
  world.serve_all();
  EXPECT_EQ(world.state(id), JobState::transferred);
}

TEST_F(StuckStore, AStoreThatDoesNotEvenCloseTheFileDoesNotKeepTheJobFromItsError) {
  world.store.lost_pieces = {0, 1, 2, 3};
  const JobId id = world.start_job(1, "/out/a");
  world.serve_all();
  world.store.hold = true;
  pass(timeout + 4s);
  EXPECT_NE(world.state(id), JobState::error) << "it may still close in time";
  pass(timeout);
  ASSERT_EQ(world.state(id), JobState::error);
  EXPECT_EQ(error(id)->code, ErrorCode::disk_io);
  EXPECT_EQ(error(id)->file, FileId{0});
  EXPECT_EQ(world.durable(id), JobState::error);

  // As long as it hangs, whoever tries again hears so at once.
  world.run(id, &Job::resume);
  EXPECT_EQ(world.state(id), JobState::error);
  world.store.hold = false;
  world.store.lost_pieces.clear();
  ASSERT_TRUE(world.store.release_one());
  world.loop.run();
  EXPECT_EQ(world.state(id), JobState::error) << "nobody has asked for another try";
  world.run(id, &Job::resume);
  world.serve_all();
  EXPECT_EQ(world.state(id), JobState::transferred);
}

TEST_F(StuckStore, AJobOnAStuckContentIsCancelledAtOnceAllTheSame) {
  world.store.lost_pieces = {0, 1, 2, 3};
  const JobId id = world.start_job(1, "/out/a");
  world.serve_all();
  world.store.hold = true;
  pass(2 * timeout + 8s);
  ASSERT_EQ(world.state(id), JobState::error);
  world.run(id, &Job::cancel);
  EXPECT_EQ(world.state(id), JobState::cancelled);
  EXPECT_FALSE(world.job(id).status().purged);
  world.store.hold = false;
  while (world.store.release_one()) world.loop.run();
  EXPECT_TRUE(world.job(id).status().purged);
}

TEST_F(StuckStore, AnotherJobOfTheContentHearsOfItToo) {
  world.store.lost_pieces = {0, 1, 2, 3};
  const JobId first = world.start_job(1, "/out/a");
  const JobId second = world.start_job(1, "/out/b");
  world.serve_all();
  world.store.hold = true;
  pass(2 * timeout + 8s);
  EXPECT_EQ(world.state(first), JobState::error);
  EXPECT_EQ(world.state(second), JobState::error);
  const JobId third = world.start_job(1, "/out/c");
  EXPECT_EQ(world.state(third), JobState::error);
}

}  // namespace
}  // namespace lanward::jobs
