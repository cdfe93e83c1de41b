// Limits, properties, time limits and what is told of a job.
#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/jobs/job_properties.h"
#include "tests/jobs/job_world.h"

namespace lanward::jobs {
namespace {

using namespace std::chrono_literals;

class PropertiesTest : public ::testing::Test, protected JobWorld {
 protected:
  [[nodiscard]] std::size_t told(bool (*of_interest)(const JobEvent&)) const {
    return static_cast<std::size_t>(std::count_if(events.begin(), events.end(), of_interest));
  }
};

TEST_F(PropertiesTest, TheQueueHoldsNoMoreJobsThanItsLimit) {
  settings.jobs_max = 2;
  restart();
  const JobId first = create();
  create();
  std::optional<ErrorCode> error;
  const auto third = [&](Result<Job*> job) {
    error = job ? std::nullopt : std::optional(job.error().code);
  };
  engine->create_job("third", {}, third);
  EXPECT_EQ(error, ErrorCode::too_many_jobs);
  run(first, &Job::cancel);
  engine->create_job("third", {}, third);
  loop.run();
  EXPECT_FALSE(error) << "a job that has ended does not count";
}

TEST_F(PropertiesTest, AJobHoldsNoMoreFilesThanItsLimitAndAllOrNone) {
  settings.files_per_job_max = 2;
  restart();
  const JobId id = create();
  run_add(id, file_of(1, "/out/a"));
  Answer two;
  job(id).add_files({file_of(2, "/out/b"), file_of(3, "/out/c")}, two.sink());
  loop.run();
  EXPECT_EQ(two.error(), ErrorCode::too_many_files);
  EXPECT_EQ(job(id).file_count(), 1U);
  run_add(id, file_of(2, "/out/b"));
}

TEST_F(PropertiesTest, AFileHasNoMoreRangesThanItsLimit) {
  settings.ranges_per_file_max = 2;
  restart();
  const JobId id = create();
  FileSpec file = file_of(1, "/out/a");
  file.ranges = {{0, 1}, {10, 1}, {20, 1}};
  const Answer many = add(id, file);
  file.ranges = {{0, 10}, {5, 10}};
  const Answer crossing = add(id, file);
  file.ranges = {{0, 1}, {10, 1}};
  const Answer two = add(id, file);
  loop.run();
  EXPECT_EQ(many.error(), ErrorCode::too_many_ranges);
  EXPECT_EQ(crossing.error(), ErrorCode::overlapping_ranges);
  EXPECT_TRUE(two.ok());
}

TEST_F(PropertiesTest, ADestinationOrAnIdIsTakenOnce) {
  const JobId id = create();
  FileSpec file = file_of(1, "/out/a");
  file.id = "one";
  run_add(id, file);
  const Answer same_place = add(id, file_of(2, "/out/a"));
  file.destination = "/out/b";
  const Answer same_id = add(id, file);
  loop.run();
  EXPECT_EQ(same_place.error(), ErrorCode::duplicate_file);
  EXPECT_EQ(same_id.error(), ErrorCode::duplicate_file);
}

TEST_F(PropertiesTest, AddingToATransferredJobSuspendsIt) {
  const JobId id = start_job(1, "/out/a");
  serve_all();
  ASSERT_EQ(state(id), JobState::transferred);
  run_add(id, file_of(2, "/out/b"));
  EXPECT_EQ(state(id), JobState::suspended);
  EXPECT_EQ(durable(id), JobState::suspended);
  EXPECT_TRUE(origins.open.empty());
  run(id, &Job::resume);
  serve_all();
  EXPECT_EQ(state(id), JobState::transferred);
  EXPECT_EQ(origins.bytes_served, 2 * kFileBytes) << "the first file was not fetched again";
}

TEST_F(PropertiesTest, AChangeTakesEffectAndIsDurable) {
  const JobId id = create("before");
  run_change(id, {.display_name = "after", .description = "why", .priority = Priority::low});
  const JobProperties& now = job(id).properties();
  EXPECT_EQ(now.display_name, "after");
  EXPECT_EQ(now.description, "why");
  EXPECT_EQ(now.priority, Priority::low);
  EXPECT_EQ(journal.record(id)->properties.display_name, "after");
}

TEST_F(PropertiesTest, AChangeThatIsRefusedChangesNothingElse) {
  const JobId id = create("before");
  const Answer changed =
      change(id, {.display_name = std::string(kDisplayNameMax + 1, 'x'), .description = "d"});
  loop.run();
  EXPECT_EQ(changed.error(), ErrorCode::invalid_argument);
  EXPECT_EQ(job(id).properties().description, "");
}

TEST_F(PropertiesTest, HeadersAndProxyGoToTheNamedHostsOnly) {
  const JobId id = create();
  run_add(id, file_of(1, "/out/a"));
  run_change(id, {.proxy = ProxySettings{.usage = ProxySettings::Usage::none},
                  .custom_headers = std::vector<std::string>{"X-Key: 1"}});
  run(id, &Job::resume);
  ASSERT_FALSE(origins.settings.empty());
  const ports::OriginSettings& given = origins.settings.back();
  EXPECT_EQ(given.headers, std::vector<std::string>{"X-Key: 1"});
  EXPECT_EQ(given.proxy.usage, ProxySettings::Usage::none);
  EXPECT_EQ(given.header_hosts.size(), 1U);
}

TEST_F(PropertiesTest, AnotherUrlIsUsedAndVerifiedPiecesStay) {
  const JobId id = start_job(1, "/out/a");
  serve_one();
  Answer named;
  job(id).set_remote_name(FileId{0}, "http://other/1", named.sink());
  loop.run();
  ASSERT_TRUE(named.ok());
  ASSERT_FALSE(origins.open.empty());
  for (const auto& [key, request] : origins.open) EXPECT_EQ(request.url, "http://other/1");
  serve_all();
  EXPECT_EQ(state(id), JobState::transferred);
  EXPECT_EQ(origins.bytes_served, kFileBytes);
  Answer unknown;
  job(id).set_remote_name(FileId{7}, "http://other/1", unknown.sink());
  loop.run();
  EXPECT_EQ(unknown.error(), ErrorCode::file_unavailable);
}

TEST_F(PropertiesTest, AnotherUrlDoesNotStartAJobThatIsSuspended) {
  const JobId id = create();
  run_add(id, file_of(1, "/out/a"));
  Answer named;
  job(id).set_remote_name(FileId{0}, "http://other/1", named.sink());
  loop.run();
  EXPECT_TRUE(named.ok());
  EXPECT_EQ(state(id), JobState::suspended);
  EXPECT_TRUE(origins.open.empty());
  run(id, &Job::resume);
  EXPECT_EQ(origins.oldest().url, "http://other/1");
}

TEST_F(PropertiesTest, OnlyWhatTheFlagsNameIsTold) {
  const auto count_for = [&](std::uint32_t flags, std::uint8_t content) {
    const JobId id = create();
    run_change(id, {.notify_flags = flags});
    events.clear();
    run_add(id, file_of(content, "/out/" + std::to_string(content)));
    run(id, &Job::resume);
    loop.advance(1s);
    serve_all();
    return events.size();
  };
  EXPECT_EQ(count_for(NotifyFlags::kTransferred, 1), 1U);
  EXPECT_TRUE(events[0].state_changed);
  EXPECT_EQ(events[0].state, JobState::transferred);
  EXPECT_EQ(count_for(NotifyFlags::kFileTransferred, 2), 1U);
  EXPECT_EQ(events[0].file_transferred, FileId{0});
  EXPECT_EQ(count_for(NotifyFlags::kAll | NotifyFlags::kDisable, 3), 0U);
  EXPECT_GT(count_for(NotifyFlags::kModification, 4), 2U);
  EXPECT_EQ(told([](const JobEvent& e) { return e.state == JobState::transferred; }), 0U);
}

TEST_F(PropertiesTest, AnErrorIsToldWithItsCause) {
  store.open_error = Error{ErrorCode::disk_full, "no space"};
  const JobId id = create();
  run_change(id, {.notify_flags = NotifyFlags::kError});
  events.clear();
  run_add(id, file_of(1, "/out/a"));
  run(id, &Job::resume);
  ASSERT_EQ(events.size(), 1U);
  ASSERT_TRUE(events[0].error);
  EXPECT_EQ(events[0].error->code, ErrorCode::disk_full);
  EXPECT_EQ(events[0].error->file, FileId{0});
  EXPECT_EQ(job(id).status().error_count, 1U);
}

TEST_F(PropertiesTest, EveryInterruptionIsCounted) {
  const JobId id = start_job(1, "/out/a");
  for (std::uint32_t n = 1; n <= 3; ++n) {
    while (!origins.open.empty()) origins.fail(core::FailureClass::transient);
    loop.run();
    ASSERT_EQ(state(id), JobState::transient_error);
    EXPECT_EQ(job(id).status().error_count, n);
    while (origins.open.empty()) loop.advance(1s);
    serve_one();
    ASSERT_EQ(state(id), JobState::transferring);
  }
}

TEST_F(PropertiesTest, WithoutProgressItEndsInError) {
  const JobId id = start_job(1, "/out/a");
  run_change(id, {.no_progress_timeout = 60s});
  loop.advance(59s);
  serve_one();
  loop.advance(59s);
  EXPECT_EQ(state(id), JobState::transferring) << "the time begins anew with every byte";
  loop.advance(2s);
  EXPECT_EQ(state(id), JobState::error);
  EXPECT_EQ(job(id).error()->code, ErrorCode::no_progress);
  EXPECT_TRUE(origins.open.empty());
  EXPECT_EQ(durable(id), JobState::error);
  EXPECT_EQ(journal.record(id)->error->code, ErrorCode::no_progress);
  EXPECT_EQ(cached(1), 1U);
  run(id, &Job::resume);
  serve_all();
  EXPECT_EQ(state(id), JobState::transferred);
}

TEST_F(PropertiesTest, AJobThatIsNotTransferredInTimeEndsInError) {
  const JobId id = start_job(1, "/out/a");
  run_change(id, {.maximum_download_time = 100s});
  loop.advance(101s);
  EXPECT_EQ(state(id), JobState::error);
  EXPECT_EQ(job(id).error()->code, ErrorCode::download_time_up);
  run_change(id, {.maximum_download_time = 1000s});
  run(id, &Job::resume);
  EXPECT_EQ(state(id), JobState::transferring);
}

TEST_F(PropertiesTest, AJobThatIsTooOldIsCancelled) {
  settings.job_age_max = 1h;
  restart();
  const JobId running = start_job(1, "/out/a");
  const JobId waiting = create();
  loop.advance(1h + 1s);
  for (const JobId& id : {running, waiting}) {
    EXPECT_EQ(state(id), JobState::cancelled);
    EXPECT_EQ(durable(id), JobState::cancelled);
  }
  EXPECT_FALSE(is_cached(1));
  EXPECT_TRUE(origins.open.empty());
}

TEST_F(PropertiesTest, AnEngineThatOnlyKeepsTheQueueFetchesNothing) {
  settings.run_jobs = false;
  restart();
  const JobId id = start_job(1, "/out/a");
  loop.advance(10s);
  EXPECT_EQ(state(id), JobState::queued);
  EXPECT_EQ(origins.requests, 0);
  EXPECT_EQ(store.opens, 0);
  settings.run_jobs = true;
  restart();
  serve_all();
  EXPECT_EQ(state(id), JobState::transferred);
}

}  // namespace
}  // namespace lanward::jobs
