// Calls on jobs whose changes must be durable: order, failure, cancellation.
#include <chrono>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/jobs/job_world.h"

namespace lanward::jobs {
namespace {

using namespace std::chrono_literals;

class QueueTest : public ::testing::Test, protected JobWorld {
 protected:
  // Of whatever the test did.
  void TearDown() override { EXPECT_EQ(store.misuses, 0) << "the store was used against its word"; }
};

// ---- durability --------------------------------------------------------------------------------

TEST_F(QueueTest, ACallReturnsOnlyAfterItsSave) {
  const JobId id = create();
  journal.hold = true;
  const Answer added = add(id, file_of(1, "/out/a"));
  loop.run();
  EXPECT_FALSE(added.is_there());
  EXPECT_EQ(job(id).file_count(), 0U);
  journal.release();
  loop.run();
  EXPECT_TRUE(added.ok());
  EXPECT_EQ(job(id).file_count(), 1U);

  const Answer resumed = call(id, &Job::resume);
  loop.advance(10s);
  EXPECT_FALSE(resumed.is_there());
  EXPECT_EQ(state(id), JobState::suspended);
  EXPECT_EQ(origins.requests, 0) << "nothing is fetched before that is durable";
  journal.release();
  loop.run();
  EXPECT_TRUE(resumed.ok());
  EXPECT_EQ(state(id), JobState::transferring);
  EXPECT_EQ(durable(id), JobState::queued);
}

TEST_F(QueueTest, AJobIsThereForCallersOnlyOnceItIsDurable) {
  journal.hold = true;
  bool created = false;
  engine->create_job("n", {}, [&](Result<Job*> job) { created = job.has_value(); });
  loop.run();
  EXPECT_FALSE(created);
  journal.release();
  loop.run();
  EXPECT_TRUE(created);
}

TEST_F(QueueTest, AJobThatCannotBeSavedIsNotCreated) {
  journal.error = Error{ErrorCode::disk_full, "no space"};
  std::optional<ErrorCode> error;
  engine->create_job("n", {}, [&](Result<Job*> job) {
    if (!job) error = job.error().code;
  });
  loop.run();
  EXPECT_EQ(error, ErrorCode::disk_full);
  EXPECT_TRUE(engine->ids(true).empty());
}

TEST_F(QueueTest, AFailedSaveChangesNothing) {
  const JobId id = create("before");
  run_add(id, file_of(1, "/out/a"));
  journal.error = Error{ErrorCode::disk_full, "no space"};

  const Answer added = add(id, file_of(2, "/out/b"));
  const Answer changed = change(id, {.display_name = "after"});
  const Answer resumed = call(id, &Job::resume);
  const Answer cancelled = call(id, &Job::cancel);
  loop.run();
  for (const Answer& answer : {added, changed, resumed, cancelled}) {
    EXPECT_EQ(answer.error(), ErrorCode::disk_full);
  }
  EXPECT_EQ(job(id).file_count(), 1U);
  EXPECT_EQ(job(id).properties().display_name, "before");
  EXPECT_EQ(state(id), JobState::suspended);
  EXPECT_EQ(origins.requests, 0);

  journal.error.reset();
  run(id, &Job::resume);
  EXPECT_EQ(state(id), JobState::transferring);
}

TEST_F(QueueTest, AFailedSaveOfSuspendLeavesTheJobRunning) {
  const JobId id = start_job(1, "/out/a");
  journal.error = Error{ErrorCode::disk_io, "broken"};
  const Answer suspended = call(id, &Job::suspend);
  loop.run();
  EXPECT_EQ(suspended.error(), ErrorCode::disk_io);
  EXPECT_EQ(state(id), JobState::transferring);
  serve_all();
  EXPECT_EQ(state(id), JobState::transferred);
}

TEST_F(QueueTest, ACancelThatCannotBeSavedPurgesNothing) {
  const JobId id = start_job(1, "/out/a");
  serve_one();
  journal.error = Error{ErrorCode::disk_full, "no space"};
  const Answer cancelled = call(id, &Job::cancel);
  loop.run();
  EXPECT_EQ(cancelled.error(), ErrorCode::disk_full);
  EXPECT_EQ(store.purges, 0);
  journal.error.reset();
  serve_all();
  EXPECT_EQ(origins.bytes_served, kFileBytes);
  EXPECT_EQ(state(id), JobState::transferred);
}

TEST_F(QueueTest, CallsMadeMeanwhileAreCarriedOutInOrder) {
  const JobId id = create();
  journal.hold = true;
  std::vector<int> order;
  std::vector<FileSpec> files{file_of(1, "/out/a")};
  job(id).add_files(files, [&](Result<void> r) { order.push_back(r ? 1 : -1); });
  job(id).resume([&](Result<void> r) { order.push_back(r ? 2 : -2); });
  job(id).change({.display_name = "x"}, [&](Result<void> r) { order.push_back(r ? 3 : -3); });
  job(id).suspend([&](Result<void> r) { order.push_back(r ? 4 : -4); });
  EXPECT_TRUE(order.empty());
  for (int n = 0; n < 20; ++n) {
    EXPECT_LE(journal.waiting(), 1U) << "one save of a job at a time";
    journal.release_one();
    loop.run();
  }
  EXPECT_EQ(order, (std::vector{1, 2, 3, 4})) << "resume found the file that was added before it";
  EXPECT_EQ(state(id), JobState::suspended);
  EXPECT_EQ(durable(id), JobState::suspended);
}

TEST_F(QueueTest, WhatHappensDuringASaveIsNotForgottenByIt) {
  const JobId id = start_job(1, "/out/a");
  journal.hold = true;
  const Answer changed = change(id, {.display_name = "x"});
  while (!origins.open.empty()) origins.fail(core::FailureClass::transient);
  loop.run();
  ASSERT_EQ(state(id), JobState::transient_error);
  EXPECT_EQ(job(id).status().error_count, 1U);
  journal.hold = false;
  journal.release();
  loop.run();
  EXPECT_TRUE(changed.ok());
  EXPECT_EQ(job(id).status().error_count, 1U);
  EXPECT_EQ(journal.record(id)->error_count, 1U);
}

TEST_F(QueueTest, TheTimeOfTheTransferIsKeptThroughASaveThatWasUnderWay) {
  const JobId id = start_job(1, "/out/a");
  journal.hold = true;
  const Answer changed = change(id, {.display_name = "x"});
  serve_all();
  ASSERT_EQ(state(id), JobState::transferred);
  journal.hold = false;
  journal.release();
  loop.run();
  EXPECT_TRUE(job(id).status().times.transferred);
  EXPECT_TRUE(journal.record(id)->times.transferred);
  EXPECT_EQ(durable(id), JobState::transferred);
}

TEST_F(QueueTest, CloseKeepsTheDurableStateQueued) {
  const JobId id = start_job(1, "/out/a");
  serve_one();
  close();
  EXPECT_EQ(durable(id), JobState::queued);
  EXPECT_EQ(cached(1), 1U);
  EXPECT_EQ(swarm.members, 0);
  EXPECT_TRUE(origins.open.empty());
}

// ---- cancel ------------------------------------------------------------------------------------

TEST_F(QueueTest, CancelWaitsForTheSaveOfResumeAndThenIsFinal) {
  const JobId id = create();
  run_add(id, file_of(1, "/out/a"));
  journal.hold = true;
  const Answer resumed = call(id, &Job::resume);
  const Answer cancelled = call(id, &Job::cancel);
  const Answer again = call(id, &Job::resume);
  loop.run();
  EXPECT_FALSE(cancelled.is_there());
  journal.hold = false;
  journal.release();
  loop.run();
  EXPECT_TRUE(resumed.ok());
  EXPECT_TRUE(cancelled.ok());
  EXPECT_EQ(again.error(), ErrorCode::invalid_state);
  EXPECT_EQ(durable(id), JobState::cancelled);
  EXPECT_TRUE(origins.open.empty());
  EXPECT_FALSE(is_cached(1));
  EXPECT_TRUE(job(id).is_swept());
  EXPECT_TRUE(journal.record(id)->purged);
}

TEST_F(QueueTest, AfterCancelReturnsNothingIsAskedForAnyMore) {
  const JobId id = start_job(1, "/out/a");
  serve_one();
  store.hold = true;
  swarm.hold_leave = true;
  const Answer cancelled = call(id, &Job::cancel);
  loop.run();
  EXPECT_TRUE(cancelled.ok()) << "before the cleaning up has ended";
  EXPECT_EQ(durable(id), JobState::cancelled);
  EXPECT_FALSE(job(id).status().purged);
  EXPECT_TRUE(origins.open.empty());
  const int requests = origins.requests;
  while (swarm.release_leave() || store.release_one()) loop.advance(1s);
  EXPECT_EQ(origins.requests, requests);
  EXPECT_TRUE(job(id).status().purged);
  EXPECT_FALSE(is_cached(1));
  EXPECT_EQ(store.swept, std::vector<std::string>{"/out/a"});
}

TEST_F(QueueTest, EveryCallAfterOrWhileCancellingIsRefused) {
  const JobId id = start_job(1, "/out/a");
  store.hold = true;
  run(id, &Job::cancel);
  for (int round = 0; round < 2; ++round) {
    for (const auto method : {&Job::cancel, &Job::complete, &Job::resume, &Job::suspend}) {
      const Answer answer = call(id, method);
      loop.run();
      EXPECT_EQ(answer.error(), ErrorCode::invalid_state);
    }
    const Answer changed = change(id, {.display_name = "x"});
    const Answer added = add(id, file_of(2, "/out/b"));
    Answer named;
    job(id).set_remote_name(FileId{0}, "http://cdn/new", named.sink());
    loop.run();
    for (const Answer& answer : {changed, added, named}) {
      EXPECT_EQ(answer.error(), ErrorCode::invalid_state);
    }
    EXPECT_EQ(state(id), JobState::cancelled);
    EXPECT_EQ(job(id).is_swept(), round == 1) << "the second round comes after the cleaning up";
    while (store.release_one()) loop.run();
  }
}

TEST_F(QueueTest, CancelWhileTheContentIsBeingOpenedLeavesNothing) {
  store.hold = true;
  const JobId id = start_job(1, "/out/a");
  ASSERT_EQ(state(id), JobState::connecting);
  run(id, &Job::cancel);
  while (store.release_one()) loop.run();
  EXPECT_TRUE(job(id).is_swept());
  EXPECT_TRUE(store.open_contents.empty());
  EXPECT_FALSE(is_cached(1));
  EXPECT_EQ(origins.requests, 0);
}

TEST_F(QueueTest, CancelWhileLookingForTheManifestEndsTheSearch) {
  const JobId id = create();
  FileSpec file = file_of(1, "/out/a");
  file.manifest.reset();
  run_add(id, file);
  run(id, &Job::resume);
  ASSERT_EQ(origins.open.size(), 1U);
  run(id, &Job::cancel);
  EXPECT_TRUE(origins.open.empty());
  EXPECT_TRUE(job(id).is_swept());
}

class CancelDuringDelivery : public QueueTest {
 protected:
  // A transferred job that is just being completed.
  void begin(bool shared) {
    FileSpec file = file_of(1, "/out/a");
    file.share_after_complete = shared;
    id_ = create();
    run_add(id_, file);
    run(id_, &Job::resume);
    serve_all();
  }
  // Everything that is held back goes on, until nothing is.
  void finish() {
    store.hold = false;
    swarm.hold_leave = false;
    for (bool more = true; more;) {
      loop.run();
      more = swarm.release_leave() || store.release_one();
    }
  }
  void expect_cancelled(const Answer& completed, const Answer& cancelled) {
    EXPECT_TRUE(cancelled.ok());
    EXPECT_EQ(completed.error(), ErrorCode::cancelled) << "complete() must be answered";
    EXPECT_EQ(state(id_), JobState::cancelled);
    EXPECT_TRUE(job(id_).is_swept());
    EXPECT_TRUE(journal.record(id_)->purged);
    EXPECT_EQ(durable(id_), JobState::cancelled);
    EXPECT_TRUE(store.open_contents.empty());
    EXPECT_EQ(swarm.members, 0);
  }

  JobId id_;
};

TEST_F(CancelDuringDelivery, BeforeTheFileHasItsNameItNeverGetsIt) {
  begin(false);
  store.hold_delivery = true;
  const Answer completed = call(id_, &Job::complete);
  loop.run();
  ASSERT_FALSE(completed.is_there());
  const Answer cancelled = call(id_, &Job::cancel);
  loop.run();
  EXPECT_TRUE(cancelled.ok());
  EXPECT_FALSE(store.delivered.contains("/out/a"));
  store.held();
  finish();
  EXPECT_TRUE(store.delivered.empty());
  expect_cancelled(completed, cancelled);
  EXPECT_FALSE(is_cached(1));
}

TEST_F(CancelDuringDelivery, AfterTheFileHasItsNameItStaysAndTheJobIsCancelled) {
  begin(false);
  store.hold = true;
  const Answer completed = call(id_, &Job::complete);
  loop.run();
  ASSERT_TRUE(store.delivered.contains("/out/a"));
  ASSERT_FALSE(completed.is_there());
  const Answer cancelled = call(id_, &Job::cancel);
  loop.run();
  finish();
  expect_cancelled(completed, cancelled);
  EXPECT_TRUE(job(id_).files()[0].completed);
}

TEST_F(CancelDuringDelivery, WhileTheSessionsOfAFileThatIsGivenAwayEnd) {
  settings.keep_delivered = false;
  restart();
  begin(false);
  swarm.hold_leave = true;
  const Answer completed = call(id_, &Job::complete);
  loop.run();
  ASSERT_FALSE(completed.is_there());
  const Answer cancelled = call(id_, &Job::cancel);
  loop.run();
  finish();
  EXPECT_TRUE(store.delivered.empty());
  expect_cancelled(completed, cancelled);
  EXPECT_FALSE(is_cached(1));
}

TEST_F(CancelDuringDelivery, OfAFileThatWasGivenAway) {
  settings.keep_delivered = false;
  restart();
  begin(false);
  store.hold = true;
  const Answer completed = call(id_, &Job::complete);
  loop.run();
  ASSERT_EQ(store.delivered.at("/out/a"), ports::Delivery::consume);
  const Answer cancelled = call(id_, &Job::cancel);
  finish();
  expect_cancelled(completed, cancelled);
}

TEST_F(CancelDuringDelivery, OfAFileThatIsShared) {
  begin(true);
  store.hold = true;
  const Answer completed = call(id_, &Job::complete);
  loop.run();
  const Answer cancelled = call(id_, &Job::cancel);
  finish();
  expect_cancelled(completed, cancelled);
}

TEST_F(CancelDuringDelivery, WhileTheEndIsBeingSavedCancelComesTooLate) {
  begin(false);
  journal.hold = true;
  const Answer completed = call(id_, &Job::complete);
  loop.run();
  while (!store.delivered.contains("/out/a")) {
    ASSERT_TRUE(journal.release_one());
    loop.run();
  }
  // The next saves are that the file is delivered and that the job is acknowledged.
  journal.release_one();
  loop.run();
  const Answer cancelled = call(id_, &Job::cancel);
  journal.hold = false;
  journal.release();
  loop.run();
  EXPECT_TRUE(completed.ok());
  EXPECT_EQ(cancelled.error(), ErrorCode::invalid_state);
  EXPECT_EQ(durable(id_), JobState::acknowledged);
}

TEST_F(CancelDuringDelivery, CallsDuringCompleteDoNotDisturbIt) {
  begin(false);
  store.hold_delivery = true;
  const Answer completed = call(id_, &Job::complete);
  loop.run();
  const Answer again = call(id_, &Job::complete);
  const Answer added = add(id_, file_of(2, "/out/b"));
  const Answer resumed = call(id_, &Job::resume);
  loop.run();
  EXPECT_EQ(again.error(), ErrorCode::invalid_state);
  EXPECT_EQ(added.error(), ErrorCode::invalid_state);
  EXPECT_TRUE(resumed.ok());
  store.held();
  loop.run();
  EXPECT_TRUE(completed.ok());
  EXPECT_EQ(state(id_), JobState::acknowledged);
}

TEST_F(QueueTest, CallsThatTheDiskDoesNotKeepUpWithAreRefusedInTheEnd) {
  const JobId id = start_job(1, "/out/a");
  journal.hold = true;
  std::vector<Answer> answers;
  while (answers.size() < 10'000 && (answers.empty() || !answers.back().is_there())) {
    answers.push_back(call(id, &Job::suspend));
  }
  EXPECT_EQ(answers.back().error(), ErrorCode::disk_io);
  answers.pop_back();
  journal.hold = false;
  journal.release();
  loop.run();
  for (const Answer& answer : answers) EXPECT_TRUE(answer.ok());
  run(id, &Job::resume);
}

TEST_F(CancelDuringDelivery, CloseDuringADeliveryWaitsForIt) {
  begin(false);
  store.hold_delivery = true;
  const Answer completed = call(id_, &Job::complete);
  loop.run();
  bool closed = false;
  engine->close([&] { closed = true; });
  loop.run();
  EXPECT_FALSE(closed) << "the store is still at work";
  store.held();
  loop.run();
  EXPECT_TRUE(closed);
  EXPECT_TRUE(store.open_contents.empty());
}

}  // namespace
}  // namespace lanward::jobs
