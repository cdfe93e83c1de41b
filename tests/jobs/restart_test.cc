// What the next engine makes of the records that the last one left.
#include <chrono>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/jobs/job_world.h"

namespace lanward::jobs {
namespace {

using namespace std::chrono_literals;

class RestartTest : public ::testing::Test, protected JobWorld {
 protected:
  void TearDown() override { EXPECT_EQ(store.misuses, 0) << "the store was used against its word"; }
};

TEST_F(RestartTest, AQueuedJobGoesOnFromItsPieces) {
  const JobId id = start_job(1, "/out/a");
  serve_one();
  restart();
  EXPECT_EQ(state(id), JobState::transferring);
  serve_all();
  EXPECT_EQ(state(id), JobState::transferred);
  EXPECT_EQ(origins.bytes_served, kFileBytes);
  EXPECT_EQ(job(id).progress().cached_bytes, std::uint64_t{kPiece});
}

TEST_F(RestartTest, AJobWithoutAManifestLooksForItAgain) {
  const JobId id = create();
  FileSpec file = file_of(1, "/out/a");
  file.manifest.reset();
  run_add(id, file);
  run(id, &Job::resume);
  restart();
  EXPECT_EQ(state(id), JobState::connecting);
  ASSERT_EQ(origins.open.size(), 1U);
  EXPECT_EQ(origins.oldest().kind, "probe");
}

TEST_F(RestartTest, MirrorsThatTheOriginLinkedToStayWithTheManifest) {
  const JobId id = create();
  FileSpec file = file_of(1, "/out/a");
  file.manifest.reset();
  run_add(id, file);
  run(id, &Job::resume);
  core::OriginFacts facts;
  facts.url = origins.oldest().url;
  facts.ranges = facts.size_known = true;
  facts.size = core::ByteCount{100};
  facts.links = {{"duplicate", "http://mirror.example/f", ""}};
  origins.answer_probe(facts);
  loop.run();
  core::Content content{
      .id = {}, .layout = core::PieceLayout(core::ByteCount{100}, kPiece), .piece_hashes = {}};
  content.id.fill(9);
  content.piece_hashes = {content.id};
  origins.answer_document(
      core::write_metainfo({.content = content, .name = "n", .web_seeds = {}, .trackers = {}}));
  loop.run();
  restart();
  ASSERT_FALSE(origins.open.empty());
  EXPECT_EQ(origins.oldest().kind, "range");
  origins.fail(core::FailureClass::permanent);
  loop.run();
  ASSERT_FALSE(origins.open.empty());
  EXPECT_EQ(origins.oldest().url, "http://mirror.example/f");
}

TEST_F(RestartTest, ASuspendedJobStaysSo) {
  const JobId id = start_job(1, "/out/a");
  serve_one();
  run(id, &Job::suspend);
  restart();
  loop.advance(1min);
  EXPECT_EQ(state(id), JobState::suspended);
  EXPECT_TRUE(origins.open.empty());
  EXPECT_EQ(cached(1), 1U);
  run(id, &Job::resume);
  serve_all();
  EXPECT_EQ(origins.bytes_served, kFileBytes);
}

TEST_F(RestartTest, AFileThatWasGivenAnotherSourceHasIt) {
  const JobId id = create();
  run_add(id, file_of(1, "/out/a"));
  const std::string url = "http://cdn.example/signed-anew";
  Answer renamed;
  job(id).set_remote_name(FileId{0}, url, renamed.sink());
  loop.run();
  ASSERT_TRUE(renamed.ok());
  restart();
  run(id, &Job::resume);
  ASSERT_FALSE(origins.open.empty());
  EXPECT_EQ(origins.oldest().url, url);
}

TEST_F(RestartTest, AResumeThatWasNotDurableDidNotHappen) {
  const JobId id = create();
  run_add(id, file_of(1, "/out/a"));
  journal.hold = true;
  (void)call(id, &Job::resume);
  loop.run();
  kill();
  journal.hold = false;
  start();
  EXPECT_EQ(state(id), JobState::suspended);
  EXPECT_EQ(origins.requests, 0);
}

TEST_F(RestartTest, ATransferredJobCanBeCompletedAndOpensItsContentFirst) {
  const JobId id = start_job(1, "/out/a");
  serve_all();
  restart();
  EXPECT_EQ(state(id), JobState::transferred);
  EXPECT_EQ(job(id).progress().verified_bytes, kFileBytes);
  EXPECT_TRUE(store.open_contents.empty()) << "nothing is opened before it is needed";
  const int opens = store.opens;
  run(id, &Job::complete);
  EXPECT_EQ(store.opens, opens + 1);
  EXPECT_TRUE(store.delivered.contains("/out/a"));
  EXPECT_EQ(state(id), JobState::acknowledged);
  EXPECT_EQ(origins.bytes_served, kFileBytes);
}

TEST_F(RestartTest, ATransferredJobWithoutAManifestCanBeCompletedToo) {
  const JobId id = create();
  FileSpec file = file_of(1, "/out/a");
  file.manifest.reset();
  run_add(id, file);
  run(id, &Job::resume);
  core::OriginFacts facts;
  facts.url = url_of(1);
  facts.ranges = facts.size_known = true;
  facts.size = core::ByteCount{1000};
  origins.answer_probe(facts);
  loop.run();
  origins.fail(core::FailureClass::permanent);  // there is no manifest beside it
  loop.run();
  serve_all();
  ASSERT_EQ(state(id), JobState::transferred);
  restart();
  const int requests = origins.requests;
  EXPECT_EQ(job(id).files()[0].integrity, Integrity::transport);
  run(id, &Job::complete);
  EXPECT_EQ(state(id), JobState::acknowledged);
  EXPECT_TRUE(store.delivered.contains("/out/a"));
  EXPECT_EQ(origins.requests, requests) << "what is all there is not asked for again";
}

TEST_F(RestartTest, WhatCompleteHadDeliveredIsNotDeliveredAgain) {
  const JobId id = create();
  run_add(id, file_of(1, "/out/a"));
  run_add(id, file_of(2, "/out/b"));
  run(id, &Job::resume);
  serve_all();
  store.refused_destination = "/out/b";
  const Answer failed = call(id, &Job::complete);
  loop.run();
  ASSERT_EQ(failed.error(), ErrorCode::destination);
  store.delivered.clear();
  store.refused_destination.clear();
  restart();
  EXPECT_EQ(state(id), JobState::transferred);
  EXPECT_TRUE(job(id).files()[0].completed);
  EXPECT_FALSE(job(id).files()[1].completed);
  run(id, &Job::complete);
  EXPECT_FALSE(store.delivered.contains("/out/a"));
  EXPECT_TRUE(store.delivered.contains("/out/b"));
}

TEST_F(RestartTest, AFileThatCompleteDroppedStaysDropped) {
  const JobId id = create();
  run_add(id, file_of(1, "/out/a"));
  run_add(id, file_of(2, "/out/b"));
  run(id, &Job::resume);
  for (std::uint32_t n = 0; n < kPieces; ++n) serve_one();
  ASSERT_TRUE(job(id).files()[0].transferred);
  store.refused_destination = "/out/a";
  const Answer failed = call(id, &Job::complete);
  loop.run();
  ASSERT_EQ(failed.error(), ErrorCode::destination);
  EXPECT_EQ(state(id), JobState::transferred);
  store.refused_destination.clear();
  restart();
  EXPECT_EQ(state(id), JobState::transferred);
  EXPECT_TRUE(origins.open.empty());
  run(id, &Job::complete);
  EXPECT_EQ(store.delivered.size(), 1U);
  EXPECT_EQ(state(id), JobState::acknowledged);
}

TEST_F(RestartTest, AFileIsDroppedForGoodBeforeAnythingIsDelivered) {
  const JobId id = create();
  run_add(id, file_of(1, "/out/a"));
  run_add(id, file_of(2, "/out/b"));
  run(id, &Job::resume);
  for (std::uint32_t n = 0; n < kPieces; ++n) serve_one();
  ASSERT_TRUE(job(id).files()[0].transferred);
  store.hold_delivery = true;
  const Answer unanswered = call(id, &Job::complete);
  loop.run();
  ASSERT_FALSE(unanswered.is_there());
  restart();
  EXPECT_EQ(state(id), JobState::transferred);
  EXPECT_TRUE(origins.open.empty()) << "the dropped file is fetched again";
  run(id, &Job::complete);
  EXPECT_EQ(store.delivered.size(), 1U);
  EXPECT_EQ(state(id), JobState::acknowledged);
}

TEST_F(RestartTest, AJobAllOfWhoseFilesWereDroppedCanOnlyBeEnded) {
  const JobId id = start_job(1, "/out/a");
  serve_one();
  store.hold = true;  // the pieces of the dropped file are not gone yet
  (void)call(id, &Job::complete);
  loop.run();
  kill();
  store.hold = false;
  start();
  EXPECT_EQ(state(id), JobState::transferred);
  run(id, &Job::complete);
  EXPECT_EQ(state(id), JobState::acknowledged);
  EXPECT_TRUE(store.delivered.empty());
  EXPECT_FALSE(is_cached(1));
}

TEST_F(RestartTest, ACancelledJobThatWasNotCleanedUpIsCleanedUp) {
  const JobId id = start_job(1, "/out/a");
  serve_one();
  run(id, &Job::suspend);
  store.hold = true;
  run(id, &Job::cancel);
  store.pieces[content_id(1)] = core::PieceSet(kPieces);  // the process died before they went
  kill();
  store.hold = false;
  store.swept.clear();
  const int forgets = store.forgets;
  ASSERT_FALSE(journal.record(id)->purged);
  start();
  EXPECT_EQ(state(id), JobState::cancelled);
  EXPECT_EQ(store.forgets, forgets + 1);
  EXPECT_FALSE(is_cached(1));
  EXPECT_EQ(store.swept, std::vector<std::string>{"/out/a"});
  EXPECT_TRUE(journal.record(id)->purged);
  restart();
  EXPECT_EQ(store.forgets, forgets + 1) << "once is enough";
}

TEST_F(RestartTest, PiecesThatAnotherJobRefersToSurviveTheCleaningUp) {
  const JobId kept = start_job(1, "/out/a");
  serve_one();
  run(kept, &Job::suspend);
  const JobId gone = start_job(1, "/out/b");
  store.hold = true;
  run(gone, &Job::cancel);
  kill();
  store.hold = false;
  start();
  EXPECT_EQ(cached(1), 1U);
  EXPECT_TRUE(job(gone).is_swept());
  run(kept, &Job::resume);
  serve_all();
  EXPECT_EQ(origins.bytes_served, kFileBytes);
}

TEST_F(RestartTest, AJobCreatedLaterStillKeepsItsPiecesFromAnEarlierOnesCleaningUp) {
  const JobId gone = start_job(1, "/out/b");
  const JobId kept = start_job(1, "/out/a");
  serve_one();
  run(kept, &Job::suspend);
  store.hold = true;
  run(gone, &Job::cancel);
  kill();
  store.hold = false;
  start();
  EXPECT_EQ(cached(1), 1U);
  EXPECT_EQ(state(kept), JobState::suspended);
}

TEST_F(RestartTest, ACancelThatWasNotDurableDidNotHappen) {
  const JobId id = start_job(1, "/out/a");
  serve_one();
  journal.hold = true;
  (void)call(id, &Job::cancel);
  kill();
  journal.hold = false;
  start();
  EXPECT_EQ(state(id), JobState::transferring);
  serve_all();
  EXPECT_EQ(origins.bytes_served, kFileBytes) << "its piece was still there";
}

TEST_F(RestartTest, AnErrorStaysWithItsCause) {
  store.open_error = Error{ErrorCode::disk_full, "no space"};
  const JobId id = start_job(1, "/out/a");
  ASSERT_EQ(state(id), JobState::error);
  const JobError before = *job(id).error();
  store.open_error.reset();
  restart();
  loop.advance(1min);
  EXPECT_EQ(state(id), JobState::error);
  ASSERT_TRUE(job(id).error());
  EXPECT_EQ(job(id).error()->code, before.code);
  EXPECT_EQ(job(id).error()->message, before.message);
  EXPECT_EQ(job(id).error()->context, before.context);
  EXPECT_EQ(job(id).error()->file, before.file);
  EXPECT_EQ(job(id).status().error_count, 1U);
  EXPECT_TRUE(origins.open.empty());
  run(id, &Job::resume);
  serve_all();
  EXPECT_EQ(state(id), JobState::transferred);
}

TEST_F(RestartTest, AnAcknowledgedJobStaysAndKeepsWhatTheCacheHas) {
  const JobId id = start_job(1, "/out/a");
  serve_all();
  run(id, &Job::complete);
  const int before = store.purges + store.forgets;
  restart();
  EXPECT_EQ(state(id), JobState::acknowledged);
  EXPECT_EQ(cached(1), kPieces);
  EXPECT_EQ(store.purges + store.forgets, before);
  EXPECT_TRUE(engine->ids(false).empty());
  EXPECT_EQ(engine->ids(true), std::vector<JobId>{id});
  const Answer again = call(id, &Job::complete);
  EXPECT_EQ(again.error(), ErrorCode::invalid_state);
}

TEST_F(RestartTest, AnAcknowledgedJobDoesNotKeepPiecesFromBeingPurged) {
  const JobId done = start_job(1, "/out/a");
  serve_all();
  run(done, &Job::complete);
  restart();
  const JobId other = start_job(1, "/out/b");
  run(other, &Job::cancel);
  EXPECT_FALSE(is_cached(1));
}

TEST_F(RestartTest, ACancelledJobDoesNotKeepPiecesFromBeingPurged) {
  const JobId gone = start_job(1, "/out/a");
  run(gone, &Job::cancel);
  restart();
  const JobId other = start_job(1, "/out/b");
  serve_one();
  run(other, &Job::cancel);
  EXPECT_FALSE(is_cached(1));
}

TEST_F(RestartTest, PropertiesTimesAndOrderStay) {
  const JobId first = create("first");
  const JobId second = create("second");
  run_change(first, {.description = "d", .priority = Priority::low, .minimum_retry_delay = 7s});
  const JobTimes times = job(first).status().times;
  restart();
  EXPECT_EQ(engine->ids(true), (std::vector<JobId>{first, second}));
  EXPECT_EQ(job(first).properties().display_name, "first");
  EXPECT_EQ(job(first).properties().minimum_retry_delay, 7s);
  EXPECT_EQ(job(first).properties().priority, Priority::low);
  EXPECT_EQ(job(first).status().times.created, times.created);
  const JobId third = create("third");
  EXPECT_EQ(engine->ids(true), (std::vector<JobId>{first, second, third}));
}

TEST_F(RestartTest, TheTimeSinceTheFirstResumeCountsAcrossRestarts) {
  const JobId id = start_job(1, "/out/a");
  run_change(id, {.maximum_download_time = 100s});
  loop.advance(60s);
  restart();
  loop.advance(60s);
  EXPECT_EQ(state(id), JobState::error);
  EXPECT_EQ(job(id).error()->code, ErrorCode::download_time_up);
}

TEST_F(RestartTest, AJobTooOldWhenTheEngineStartsIsCancelled) {
  settings.job_age_max = 1h;
  restart();
  const JobId id = start_job(1, "/out/a");
  kill();
  loop.advance(2h);
  start();
  EXPECT_EQ(state(id), JobState::cancelled);
  EXPECT_TRUE(origins.open.empty());
  EXPECT_FALSE(is_cached(1));
}

TEST_F(RestartTest, JobsOfOthersAreDeniedUnlessTheEngineIsRoots) {
  settings.user_id = 1000;
  restart();
  const JobId id = create();
  settings.user_id = 1001;
  restart();
  const Result<Job*> found = engine->find(id);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::access_denied);
  settings.user_id = 0;
  restart();
  EXPECT_TRUE(engine->find(id));
}

TEST_F(RestartTest, WhatRootDeliversForAnotherUserIsThatUsers) {
  settings.user_id = 1000;
  restart();
  const JobId theirs = start_job(1, "/out/theirs");
  settings.user_id = 0;
  restart();
  const JobId own = start_job(2, "/out/own");
  serve_all();
  run(theirs, &Job::complete);
  run(own, &Job::complete);
  EXPECT_EQ(store.delivered_owners.at("/out/theirs"), 1000U);
  EXPECT_EQ(store.delivered_owners.at("/out/own"), std::nullopt);
}

TEST_F(RestartTest, AManifestThatCannotBeReadAnyMoreIsAnErrorOfTheJob) {
  const JobId id = start_job(1, "/out/a");
  kill();
  ports::JobRecord record = *journal.record(id);
  record.files[0].metainfo = std::make_shared<const std::vector<std::uint8_t>>(9, std::uint8_t{7});
  journal.save(record, [](const Result<void>&) {});
  start();
  EXPECT_EQ(state(id), JobState::error);
  ASSERT_TRUE(job(id).error());
  EXPECT_EQ(job(id).error()->code, ErrorCode::manifest_invalid);
  run(id, &Job::cancel);
  EXPECT_TRUE(job(id).is_swept());
}

}  // namespace
}  // namespace lanward::jobs
