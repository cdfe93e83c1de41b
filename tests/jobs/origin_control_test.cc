// Limits of bandwidth and caches of a site, as the downloads of an engine know them.
#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/core/bandwidth_governor.h"
#include "tests/jobs/job_world.h"

namespace lanward::jobs {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMega = 1'000'000;

std::vector<std::uint64_t> rates(const JobWorld& world) {
  std::vector<std::uint64_t> list;
  for (const auto& [client, rate] : world.origins.rates) list.push_back(rate.value);
  return list;
}

EngineSettings limited(BandwidthRule rule) {
  EngineSettings settings;
  settings.bandwidth.always = rule;
  return settings;
}

std::vector<std::string> open_urls(const JobWorld& world) {
  std::vector<std::string> urls;
  for (const auto& [id, request] : world.origins.open) urls.push_back(request.url);
  return urls;
}

TEST(Bandwidth, WithoutLimitsNoClientIsGivenOne) {
  JobWorld world;
  world.start_job(1, "/d/1");
  EXPECT_TRUE(world.origins.rates.empty());
  world.serve_all();
}

TEST(Bandwidth, ALimitIsToldBeforeTheFirstRequest) {
  JobWorld world(limited({.total_bytes_per_s = kMega}));
  world.start_job(1, "/d/1");
  EXPECT_EQ(rates(world), (std::vector<std::uint64_t>{kMega}));
}

TEST(Bandwidth, DownloadsShareALimitAndTheLastHasItAlone) {
  JobWorld world(limited({.total_bytes_per_s = kMega}));
  world.start_job(1, "/d/1");
  const JobId second = world.start_job(2, "/d/2");
  ASSERT_EQ(rates(world).size(), 2U);
  EXPECT_EQ(rates(world)[0] + rates(world)[1], kMega);
  EXPECT_GT(rates(world)[0], 0U);
  EXPECT_GT(rates(world)[1], 0U);
  world.run(second, &Job::suspend);
  world.loop.advance(core::BandwidthGovernor::kStep);
  EXPECT_EQ(rates(world), (std::vector<std::uint64_t>{kMega}));
}

TEST(Bandwidth, OriginsWaitWhileACancelIsBeingRecorded) {
  JobWorld world;
  const JobId id = world.start_job(1, "/d/1");
  world.journal.hold = true;
  const Answer cancelled = world.call(id, &Job::cancel);
  world.loop.run();
  EXPECT_EQ(rates(world), (std::vector<std::uint64_t>{kHeldRate.value}));
  EXPECT_FALSE(cancelled.is_there());
  world.journal.hold = false;
  world.journal.release();
  world.loop.run();
  EXPECT_TRUE(cancelled.ok());
  EXPECT_TRUE(world.origins.open.empty());
}

TEST(Bandwidth, ACancelThatCannotBeRecordedLeavesTheLimitAsItWas) {
  JobWorld world(limited({.total_bytes_per_s = kMega}));
  const JobId id = world.start_job(1, "/d/1");
  world.journal.hold = true;
  const Answer cancelled = world.call(id, &Job::cancel);
  world.loop.run();
  ASSERT_EQ(rates(world), (std::vector<std::uint64_t>{kHeldRate.value}));
  world.journal.error = Error{ErrorCode::disk_full, "no space"};
  world.journal.release();
  world.loop.run();
  EXPECT_EQ(cancelled.error(), ErrorCode::disk_full);
  EXPECT_EQ(rates(world), (std::vector<std::uint64_t>{kMega}));
  EXPECT_EQ(world.state(id), JobState::transferring);
  world.journal.error.reset();
  world.journal.hold = false;
  world.serve_all();
  EXPECT_EQ(world.state(id), JobState::transferred);
}

TEST(Bandwidth, OriginsDoNotWaitForACancelWhenAnotherJobWantsTheContent) {
  JobWorld world;
  const JobId first = world.start_job(1, "/d/1");
  const JobId second = world.start_job(1, "/d/2");
  world.journal.hold = true;
  const Answer cancelled = world.call(first, &Job::cancel);
  world.loop.run();
  for (const std::uint64_t rate : rates(world)) EXPECT_EQ(rate, 0U);
  world.journal.hold = false;
  world.journal.release();
  world.loop.run();
  EXPECT_TRUE(cancelled.ok());
  world.serve_all();
  EXPECT_EQ(world.state(second), JobState::transferred);
}

TEST(Bandwidth, TheForegroundGoesFirstAndPrioritiesMayChange) {
  JobWorld world(limited({.total_bytes_per_s = kMega}));
  world.start_job(1, "/d/1");
  const JobId second = world.start_job(2, "/d/2");
  world.run_change(second, {.priority = Priority::foreground});
  world.loop.advance(core::BandwidthGovernor::kStep);
  ASSERT_EQ(rates(world).size(), 2U);
  EXPECT_LE(rates(world)[0], kMega / core::BandwidthGovernor::kBackgroundShare);
  EXPECT_GE(rates(world)[1], kMega - kMega / core::BandwidthGovernor::kBackgroundShare);
  world.run_change(second, {.priority = Priority::low});
  world.loop.advance(core::BandwidthGovernor::kStep);
  EXPECT_EQ(rates(world)[0] + rates(world)[1], kMega);
  EXPECT_GT(rates(world)[0], kMega / 3);
  EXPECT_GT(rates(world)[1], kMega / 3);
}

TEST(Bandwidth, LimitsOfBackgroundJobsLeaveForegroundJobsAlone) {
  JobWorld world(limited({.background = {.bytes_per_s = kMega}}));
  world.start_job(1, "/d/1");
  EXPECT_EQ(rates(world), (std::vector<std::uint64_t>{kMega}));
  const JobId second = world.create();
  world.run_change(second, {.priority = Priority::foreground});
  world.run_add(second, file_of(2, "/d/2"));
  world.run(second, &Job::resume);
  EXPECT_EQ(rates(world), (std::vector<std::uint64_t>{kMega})) << "the second has no limit";
}

TEST(Bandwidth, ATransferredFileLeavesItsShareToTheOthers) {
  JobWorld world(limited({.total_bytes_per_s = kMega}));
  const JobId first = world.start_job(1, "/d/1");
  world.serve_all();
  EXPECT_EQ(world.state(first), JobState::transferred);
  EXPECT_TRUE(world.origins.rates.empty());
  world.start_job(2, "/d/2");
  EXPECT_EQ(rates(world), (std::vector<std::uint64_t>{kMega}));
}

TEST(Bandwidth, NoTimerRunsWhenNothingIsFetched) {
  JobWorld world(limited({.total_bytes_per_s = kMega}));
  world.start_job(1, "/d/1");
  world.serve_all();
  world.close();
  world.loop.advance(10s);
  EXPECT_TRUE(world.origins.rates.empty());
}

// ---- caches ------------------------------------------------------------------------------------

EngineSettings cached(CacheHosts caches) {
  EngineSettings settings;
  settings.caches = std::move(caches);
  return settings;
}

TEST(Caches, AreAskedBeforeTheOrigin) {
  JobWorld world(cached({.hosts = {"cache"}, .maps = {}}));
  const JobId id = world.start_job(1, "/d/1");
  ASSERT_FALSE(world.origins.open.empty());
  for (const std::string& url : open_urls(world)) {
    EXPECT_EQ(url, "http://cache/1?cacheHostOrigin=cdn");
  }
  world.serve_all();
  EXPECT_EQ(world.state(id), JobState::transferred);
}

TEST(Caches, OfAFileGoBeforeThoseOfTheEngine) {
  JobWorld world(cached({.hosts = {"cache"}, .maps = {}}));
  const JobId id = world.create();
  FileSpec file = file_of(1, "/d/1");
  file.caches.maps = {{"http://cdn/", "http://near/cdn/"}};
  world.run_add(id, std::move(file));
  world.run(id, &Job::resume);
  ASSERT_FALSE(world.origins.open.empty());
  EXPECT_EQ(open_urls(world).front(), "http://near/cdn/1");
}

TEST(Caches, OfAFileSurviveARestart) {
  JobWorld world;
  const JobId id = world.create();
  FileSpec file = file_of(1, "/d/1");
  file.caches.hosts = {"cache:99"};
  world.run_add(id, std::move(file));
  world.run(id, &Job::resume);
  world.restart();
  ASSERT_FALSE(world.origins.open.empty());
  EXPECT_EQ(open_urls(world).front(), "http://cache:99/1?cacheHostOrigin=cdn");
}

TEST(Caches, GetNoHeadersOfTheCaller) {
  JobWorld world(cached({.hosts = {"cache"}, .maps = {}}));
  const JobId id = world.create();
  world.run_change(id, {.custom_headers = std::vector<std::string>{"Authorization: secret"}});
  world.run_add(id, file_of(1, "/d/1"));
  world.run(id, &Job::resume);
  const std::vector<std::string>& hosts = world.origins.settings.back().header_hosts;
  EXPECT_NE(std::find(hosts.begin(), hosts.end(), "cdn:80"), hosts.end());
  EXPECT_EQ(std::find(hosts.begin(), hosts.end(), "cache:80"), hosts.end());
}

TEST(Caches, ThatRefuseAFileAreLeftAloneByTheNextOne) {
  JobWorld world(cached({.hosts = {"cache"}, .maps = {}}));
  world.start_job(1, "/d/1");
  ASSERT_FALSE(world.origins.open.empty());
  while (!world.origins.open.empty() &&
         world.origins.oldest().url == "http://cache/1?cacheHostOrigin=cdn") {
    world.origins.refuse();
    world.loop.run();
  }
  ASSERT_FALSE(world.origins.open.empty()) << "the origin is asked at once";
  EXPECT_EQ(open_urls(world).front(), url_of(1));
  world.serve_all();
  world.start_job(2, "/d/2");
  ASSERT_FALSE(world.origins.open.empty());
  EXPECT_EQ(open_urls(world).front(), url_of(2)) << "the ban holds for every file of that server";
  world.serve_all();
  world.loop.advance(core::Policy{}.cache_host_ban + 1s);
  world.start_job(3, "/d/3");
  ASSERT_FALSE(world.origins.open.empty());
  EXPECT_EQ(open_urls(world).front(), "http://cache/3?cacheHostOrigin=cdn") << "and then it ends";
}

// A cache that refuses the file of a job of this priority: what is asked then.
std::vector<std::string> asked_after_refusal(Priority priority) {
  EngineSettings settings = cached({.hosts = {"cache"}, .maps = {}});
  settings.policy.cache_host_fallback_background = -1s;
  JobWorld world(settings);
  const JobId id = world.create();
  world.run_change(id, {.priority = priority});
  world.run_add(id, file_of(1, "/d/1"));
  world.run(id, &Job::resume);
  while (!world.origins.open.empty() && world.origins.oldest().url != url_of(1)) {
    world.origins.refuse();
    world.loop.run();
  }
  return open_urls(world);
}

TEST(Caches, HowLongAJobStaysWithThemGoesByItsPriority) {
  EXPECT_TRUE(asked_after_refusal(Priority::normal).empty()) << "for ever";
  EXPECT_FALSE(asked_after_refusal(Priority::foreground).empty()) << "goes over at once";
}

// ---- how requests are made ---------------------------------------------------------------------

TEST(RequestSettings, CertificateAndRedirectsOfAJobReachItsRequestsAlsoAfterARestart) {
  JobWorld world;
  const JobId id = world.create();
  world.run_change(id, {.client_certificate = "/c.pem",
                        .client_key = "/k.pem",
                        .allow_https_to_http_redirects = true});
  world.run_add(id, file_of(1, "/d/1"));
  world.run(id, &Job::resume);
  for (int run = 0; run < 2; ++run) {
    SCOPED_TRACE(run);
    ASSERT_FALSE(world.origins.settings.empty());
    EXPECT_EQ(world.origins.settings.back().client_certificate, "/c.pem");
    EXPECT_EQ(world.origins.settings.back().client_key, "/k.pem");
    EXPECT_TRUE(world.origins.settings.back().allow_https_to_http_redirects);
    world.origins.settings.clear();
    world.restart();
  }
}

TEST(RequestSettings, PathsThatCannotBeOpenedLaterAreRefused) {
  JobWorld world;
  const JobId id = world.create();
  const auto error = [&](const JobChange& change) {
    const Answer answer = world.change(id, change);
    world.loop.run();
    return answer.error();
  };
  EXPECT_EQ(error({.client_certificate = "c.pem"}), ErrorCode::invalid_argument);
  EXPECT_EQ(error({.client_certificate = "/" + std::string(4095, 'c')}),
            ErrorCode::invalid_argument);
  EXPECT_EQ(error({.client_key = "/k.pem"}), ErrorCode::invalid_argument) << "no certificate";
  EXPECT_FALSE(error({.client_certificate = "/c.pem", .client_key = ""}));
}

}  // namespace
}  // namespace lanward::jobs
