// Jobs and files that want the same content, parts of a content, and foreground jobs.
#include <chrono>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/jobs/job_world.h"

namespace lanward::jobs {
namespace {

using namespace std::chrono_literals;

class SharingTest : public ::testing::Test, protected JobWorld {
 protected:
  void TearDown() override { EXPECT_EQ(store.misuses, 0) << "the store was used against its word"; }

  // A job with some ranges of content number 1.
  JobId start_ranges(std::vector<ByteRange> ranges, const std::string& destination) {
    const JobId id = create();
    FileSpec file = file_of(1, destination);
    file.ranges = std::move(ranges);
    run_add(id, file);
    run(id, &Job::resume);
    return id;
  }
};

// ---- the same content --------------------------------------------------------------------------

TEST_F(SharingTest, TwoJobsWithTheSameContentFetchItOnce) {
  const JobId a = start_job(1, "/out/a");
  serve_one();
  const JobId b = start_job(1, "/out/b");
  serve_all();
  EXPECT_EQ(store.opens, 1);
  EXPECT_EQ(swarm.joins, 1);
  EXPECT_EQ(origins.bytes_served, kFileBytes);
  EXPECT_EQ(state(a), JobState::transferred);
  EXPECT_EQ(state(b), JobState::transferred);
  run(a, &Job::complete);
  run(b, &Job::complete);
  EXPECT_TRUE(store.delivered.contains("/out/a"));
  EXPECT_TRUE(store.delivered.contains("/out/b"));
}

TEST_F(SharingTest, TwoFilesOfAJobWithTheSameContentFetchItOnce) {
  const JobId id = create();
  run_add(id, file_of(1, "/out/a"));
  run_add(id, file_of(1, "/out/b"));
  run(id, &Job::resume);
  serve_all();
  EXPECT_EQ(state(id), JobState::transferred);
  EXPECT_EQ(origins.bytes_served, kFileBytes);
  EXPECT_EQ(store.opens, 1);
  run(id, &Job::complete);
  EXPECT_EQ(store.delivered.size(), 2U);
}

TEST_F(SharingTest, TheBytesOfASharedDownloadAreCountedFromWhenAJobJoined) {
  start_job(1, "/out/a");
  serve_one();
  const JobId b = start_job(1, "/out/b");
  serve_all();
  EXPECT_EQ(job(b).progress().origin_bytes, kFileBytes - kPiece);
  EXPECT_EQ(job(b).progress().verified_bytes, kFileBytes);
}

TEST_F(SharingTest, ANewUrlOfOneOfTwoJobsDisturbsNeither) {
  const JobId a = start_job(1, "/out/a");
  const JobId b = start_job(1, "/out/b");
  serve_one();
  Answer named;
  job(a).set_remote_name(FileId{0}, "http://other/1", named.sink());
  loop.run();
  ASSERT_TRUE(named.ok());
  EXPECT_EQ(state(b), JobState::transferring);
  EXPECT_EQ(requests_for(1), origins.open.size()) << "the content goes on from where it comes";
  serve_all();
  EXPECT_EQ(state(a), JobState::transferred);
  EXPECT_EQ(state(b), JobState::transferred);
  EXPECT_EQ(origins.bytes_served, kFileBytes) << "nothing was fetched twice";
  EXPECT_EQ(store.opens, 1);
  EXPECT_EQ(job(a).files()[0].source, "http://other/1");
  EXPECT_EQ(job(b).files()[0].source, url_of(1));
}

TEST_F(SharingTest, CancelOfOneKeepsPiecesAndSessionsOfTheOther) {
  const JobId a = start_job(1, "/out/a");
  const JobId b = start_job(1, "/out/b");
  serve_one();
  run(a, &Job::cancel);
  EXPECT_TRUE(job(a).is_swept());
  EXPECT_EQ(swarm.members, 1);
  EXPECT_EQ(swarm.leaves, 0);
  EXPECT_EQ(store.purges + store.forgets, 0);
  EXPECT_EQ(state(b), JobState::transferring);
  serve_all();
  EXPECT_EQ(origins.bytes_served, kFileBytes) << "nothing was fetched twice";
  EXPECT_EQ(state(b), JobState::transferred);
  run(b, &Job::cancel);
  EXPECT_FALSE(is_cached(1)) << "with the last one they go";
  EXPECT_EQ(swarm.members, 0);
}

TEST_F(SharingTest, ThePiecesOfASuspendedJobSurviveTheCancelOfAnother) {
  const JobId a = start_job(1, "/out/a");
  serve_one();
  run(a, &Job::suspend);
  const JobId b = start_job(1, "/out/b");
  serve_one();
  run(b, &Job::cancel);
  EXPECT_EQ(swarm.members, 0);
  EXPECT_EQ(cached(1), 2U);
  run(a, &Job::resume);
  serve_all();
  EXPECT_EQ(origins.bytes_served, kFileBytes);
}

TEST_F(SharingTest, CompleteOfOneLeavesTheContentOpenForTheOther) {
  settings.keep_delivered = false;
  restart();
  const JobId a = start_job(1, "/out/a");
  const JobId b = start_job(1, "/out/b");
  serve_all();
  run(a, &Job::complete);
  EXPECT_EQ(store.delivered.at("/out/a"), ports::Delivery::keep) << "another job still needs it";
  EXPECT_EQ(swarm.members, 1);
  run(b, &Job::complete);
  EXPECT_EQ(store.delivered.at("/out/b"), ports::Delivery::consume);
  EXPECT_TRUE(store.pieces.empty());
}

TEST_F(SharingTest, AJobThatComesWhileTheContentIsBeingClosedOpensItAgain) {
  const JobId a = start_job(1, "/out/a");
  serve_one();
  store.hold = true;
  run(a, &Job::suspend);
  const JobId b = start_job(1, "/out/b");
  loop.run();
  store.hold = false;
  while (store.release_one()) loop.run();
  serve_all();
  EXPECT_EQ(state(b), JobState::transferred);
  EXPECT_EQ(state(a), JobState::suspended);
  EXPECT_EQ(origins.bytes_served, kFileBytes);
}

TEST_F(SharingTest, AJobThatComesWhileTheContentIsBeingPurgedFetchesItAnew) {
  const JobId a = start_job(1, "/out/a");
  serve_one();
  store.hold = true;
  run(a, &Job::cancel);
  const JobId b = start_job(1, "/out/b");
  store.hold = false;
  while (store.release_one()) loop.run();
  loop.run();
  serve_all();
  EXPECT_TRUE(job(a).is_swept());
  EXPECT_EQ(state(b), JobState::transferred);
  run(b, &Job::complete);
  EXPECT_TRUE(store.delivered.contains("/out/b"));
}

TEST_F(SharingTest, AJobThatComesWhileTheCacheForgetsTheContentWaitsForThat) {
  const JobId a = start_job(1, "/out/a");
  serve_one();
  run(a, &Job::suspend);
  store.hold = true;
  run(a, &Job::cancel);
  const JobId b = start_job(1, "/out/b");
  store.hold = false;
  while (store.release_one()) loop.run();
  EXPECT_EQ(state(b), JobState::transferring);
  serve_all();
  EXPECT_EQ(state(b), JobState::transferred);
  EXPECT_TRUE(job(a).is_swept());
}

TEST_F(SharingTest, CancelWhileWaitingForTheCacheToForgetOpensNothing) {
  const JobId a = start_job(1, "/out/a");
  run(a, &Job::suspend);
  store.hold = true;
  run(a, &Job::cancel);
  const JobId b = start_job(1, "/out/b");
  run(b, &Job::cancel);
  const int opens = store.opens;
  store.hold = false;
  while (store.release_one()) loop.run();
  EXPECT_TRUE(job(a).is_swept());
  EXPECT_TRUE(job(b).is_swept());
  EXPECT_EQ(store.opens, opens);
  EXPECT_TRUE(store.open_contents.empty());
}

TEST_F(SharingTest, CancelOfAJobWithOneContentTwiceLeavesNothingOfIt) {
  for (const bool peers : {true, false}) {
    const JobId id = create();
    for (const char* destination : {"/out/a", "/out/b"}) {
      FileSpec file = file_of(1, destination);
      file.use_peers = peers;
      run_add(id, file);
    }
    run(id, &Job::resume);
    serve_one();
    run(id, &Job::cancel);
    EXPECT_TRUE(job(id).is_swept());
    EXPECT_FALSE(is_cached(1));
    EXPECT_TRUE(store.open_contents.empty());
  }
}

// ---- ranges ------------------------------------------------------------------------------------

TEST_F(SharingTest, OnlyThePiecesOfTheRangesAreFetched) {
  const JobId id = start_ranges({{10, 100}, {2 * kPiece + 5, 50}}, "/out/a");
  serve_all();
  EXPECT_EQ(state(id), JobState::transferred);
  EXPECT_EQ(origins.bytes_served, 2 * std::uint64_t{kPiece});
  EXPECT_EQ(job(id).files()[0].total_bytes, 150U);
  EXPECT_EQ(job(id).files()[0].verified_bytes, 150U);
  run(id, &Job::complete);
  EXPECT_EQ(store.delivered_parts.at("/out/a"),
            (std::vector<core::ByteSpan>{{10, 110}, {2 * kPiece + 5, 2 * kPiece + 55}}));
}

TEST_F(SharingTest, ARangeToTheEndIsClippedAndOneBeyondItFails) {
  const JobId tail = start_ranges({{3 * kPiece, ByteRange::kToEnd}}, "/out/a");
  serve_all();
  EXPECT_EQ(state(tail), JobState::transferred);
  EXPECT_EQ(origins.bytes_served, std::uint64_t{kPiece});
  const JobId beyond = start_ranges({{kFileBytes + 1, 5}}, "/out/b");
  EXPECT_EQ(state(beyond), JobState::error);
  EXPECT_EQ(job(beyond).error()->code, ErrorCode::invalid_range);
}

TEST_F(SharingTest, AJobThatWantsMoreOfTheContentWidensTheDownload) {
  const JobId part = start_ranges({{0, 10}}, "/out/a");
  const JobId all = start_job(1, "/out/b");
  serve_all();
  EXPECT_EQ(state(part), JobState::transferred);
  EXPECT_EQ(state(all), JobState::transferred);
  EXPECT_EQ(job(all).files()[0].verified_bytes, kFileBytes);
  run(part, &Job::complete);
  run(all, &Job::complete);
  EXPECT_EQ(store.delivered_parts.at("/out/a").size(), 1U);
  EXPECT_TRUE(store.delivered_parts.at("/out/b").empty());
}

TEST_F(SharingTest, ATransferredPartStaysSoWhenAnotherJobWantsMore) {
  const JobId part = start_ranges({{0, 10}}, "/out/a");
  serve_all();
  ASSERT_EQ(state(part), JobState::transferred);
  const JobId more = start_ranges({{kPiece, 10}}, "/out/b");
  EXPECT_EQ(state(part), JobState::transferred);
  serve_all();
  EXPECT_EQ(state(more), JobState::transferred);
  EXPECT_EQ(origins.bytes_served, 2 * std::uint64_t{kPiece});
}

TEST_F(SharingTest, ADeliveryIsNotDisturbedByAJobThatWantsMore) {
  const JobId part = start_ranges({{0, 10}}, "/out/a");
  serve_all();
  store.hold_delivery = true;
  const Answer completed = call(part, &Job::complete);
  loop.run();
  const JobId all = start_job(1, "/out/b");
  store.held();
  loop.run();
  EXPECT_TRUE(completed.ok());
  EXPECT_TRUE(store.delivered.contains("/out/a"));
  serve_all();
  EXPECT_EQ(state(all), JobState::transferred);
}

// ---- foreground --------------------------------------------------------------------------------

class ForegroundTest : public SharingTest {
 protected:
  // A background job of content number 1, which has the oldest requests, and a foreground job.
  void start_both() {
    back_ = create();
    FileSpec file = file_of(1, "/out/a");
    file.manifest = manifest_of(1, 64);
    run_add(back_, file);
    run(back_, &Job::resume);
    ASSERT_GT(requests_for(1), 1U);
    fore_ = create();
    run_add(fore_, file_of(2, "/out/b"));
    run_change(fore_, {.priority = Priority::foreground});
    run(fore_, &Job::resume);
    ASSERT_EQ(state(fore_), JobState::transferring);
  }
  // What is on its way when the foreground job comes is not broken off, but nothing follows it.
  void drain() {
    for (std::size_t n = requests_for(1); n > 1; --n) {
      serve_one();
      EXPECT_EQ(requests_for(1), n - 1);
    }
  }

  JobId back_;
  JobId fore_;
};

TEST_F(ForegroundTest, WhileItRunsABackgroundJobAsksForOneRangeAtATime) {
  start_both();
  drain();
  for (int n = 0; n < 3; ++n) {
    serve_one();
    EXPECT_EQ(requests_for(1), 1U);
  }
  EXPECT_GT(requests_for(2), 1U);
  serve_all();
  EXPECT_EQ(state(fore_), JobState::transferred);
  EXPECT_EQ(state(back_), JobState::transferred);
}

TEST_F(ForegroundTest, WhenItStopsABackgroundJobAsksForMoreAgain) {
  for (const auto stop : {&Job::suspend, &Job::cancel, &Job::complete}) {
    start_both();
    drain();
    run(fore_, stop);
    EXPECT_GT(requests_for(1), 1U);
    for (const JobId& id : engine->ids(false)) run(id, &Job::cancel);
    EXPECT_TRUE(origins.open.empty());
  }
}

TEST_F(ForegroundTest, AChangeOfItsPriorityCountsAtOnce) {
  start_both();
  drain();
  EXPECT_EQ(requests_for(1), 1U);
  run_change(fore_, {.priority = Priority::high});
  EXPECT_GT(requests_for(1), 1U);
}

TEST_F(SharingTest, AContentThatAForegroundJobWantsTooIsFetchedAtFullSpeed) {
  start_job(1, "/out/a");
  const JobId fore = create();
  run_change(fore, {.priority = Priority::foreground});
  run_add(fore, file_of(1, "/out/b"));
  run(fore, &Job::resume);
  EXPECT_GT(requests_for(1), 1U);
}

}  // namespace
}  // namespace lanward::jobs
