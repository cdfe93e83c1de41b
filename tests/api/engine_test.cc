// The embedding API as its users see it: a real engine, a real cache directory, an origin that does
// as it is told.
#include <lanward/engine.h>
#include <lanward/publish.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "engine/core/policy.h"
#include "tests/support/fault_origin.h"
#include "tests/support/temporary_directory.h"

namespace lanward {
namespace {

using namespace std::chrono_literals;

// Far above what any step takes; only a hang runs into it.
constexpr auto kDeadline = 30s;
constexpr std::size_t kSize = 3 * 1024 * 1024 + 5;

class EngineTest : public ::testing::Test {
 protected:
  EngineTest() : content_(test::make_content(kSize)) { origin_.serve("/file", content_, "\"v1\""); }

  EngineOptions options(const std::string& cache = "cache") {
    return {.cache_directory = directory_.path(cache),
            .listen = "127.0.0.1:0",
            .local_discovery = false,
            .progress_interval = 10ms};
  }
  FileRequest request(const std::string& name = "out") {
    return {.source = origin_.url("/file"), .destination = directory_.path(name)};
  }
  // Puts the manifest beside the file on the origin.
  void publish_manifest() {
    const std::string path = directory_.path("published");
    std::ofstream(path, std::ios::binary) << *content_;
    ASSERT_TRUE(publish({.file = path, .output = path + ".torrent"}));
    std::ifstream manifest(path + ".torrent", std::ios::binary);
    origin_.serve("/file.torrent",
                  std::make_shared<const std::string>(std::istreambuf_iterator<char>(manifest),
                                                      std::istreambuf_iterator<char>()),
                  "\"m\"");
  }
  JobCallback watcher() {
    return [this](const JobEvent& event) {
      const std::lock_guard lock(mutex_);
      latest_ = event.state;
      changed_.notify_all();
    };
  }
  bool wait_for(JobState state) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kDeadline, [&] { return latest_ == state; });
  }
  std::string read(const std::string& name) {
    std::ifstream file(directory_.path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  bool exists(const std::string& name) { return std::ifstream(directory_.path(name)).good(); }

  support::TemporaryDirectory directory_;
  test::Content content_;
  test::FaultOrigin origin_;
  std::mutex mutex_;
  std::condition_variable changed_;
  JobState latest_ = JobState::suspended;
};

TEST_F(EngineTest, SettingsThatMakeNoSenseAreRefusedByName) {
  const auto refusal = [&](auto change) {
    EngineOptions wrong = options();
    change(wrong);
    const auto opened = Engine::open(wrong);
    if (opened) return std::string("it was opened");
    EXPECT_EQ(opened.error().code, ErrorCode::invalid_argument);
    return opened.error().message;
  };
  const auto names = [](const std::string& message, const char* field) {
    EXPECT_NE(message.find(field), std::string::npos) << message;
  };
  names(refusal([](auto& o) { o.bandwidth.always.background.percent = 101; }),
        "bandwidth.always.background.percent");
  names(refusal([](auto& o) { o.caches.hosts = {"http://cache"}; }), "cache host 'http://cache'");
  names(refusal([](auto& o) { o.caches.maps = {{"http://a", "b"}}; }), "cache map 'http://a=b'");
  names(refusal([](auto& o) { o.peer_delay = -1s; }), "peer_delay");
  names(refusal([](auto& o) { o.cache_fallback_background = 31 * 24h; }),
        "cache_fallback_background");
}

TEST_F(EngineTest, ACacheOfAFileThatCannotBeOneIsRefused) {
  auto engine = Engine::open(options());
  ASSERT_TRUE(engine);
  auto job = engine->create_job("job");
  ASSERT_TRUE(job);
  FileRequest wrong = request();
  wrong.caches.hosts = {"cache:0"};
  const auto added = job->add_file(wrong);
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, ErrorCode::invalid_argument);
}

TEST_F(EngineTest, FetchesVerifiesAndDeliversAFile) {
  publish_manifest();
  auto engine = Engine::open(options());
  ASSERT_TRUE(engine) << engine.error().message;
  auto job = engine->create_job("test", watcher());
  ASSERT_TRUE(job);
  EXPECT_EQ(*job->state(), JobState::suspended);
  ASSERT_TRUE(job->add_file(request()));
  ASSERT_TRUE(job->resume());
  ASSERT_TRUE(wait_for(JobState::transferred));
  EXPECT_FALSE(exists("out"));
  const auto delivered = job->complete();
  ASSERT_TRUE(delivered) << delivered.error().message;
  EXPECT_EQ(read("out"), *content_);
  EXPECT_EQ(job->files()->front().integrity, Integrity::manifest);
  const Progress progress = *job->progress();
  EXPECT_EQ(progress.verified_bytes, kSize);
  EXPECT_EQ(progress.origin_bytes, kSize + progress.wasted_bytes);
  EXPECT_EQ(*job->state(), JobState::acknowledged);
}

TEST_F(EngineTest, TwoEnginesExchangePiecesWithoutTheOrigin) {
  publish_manifest();
  auto first = Engine::open(options("a"));
  ASSERT_TRUE(first) << first.error().message;
  auto seeding = first->create_job("first", watcher());
  FileRequest shared = request("first");
  shared.share_after_complete = true;
  ASSERT_TRUE(seeding->add_file(shared));
  ASSERT_TRUE(seeding->resume());
  ASSERT_TRUE(wait_for(JobState::transferred));
  ASSERT_TRUE(seeding->complete());
  const auto asked = origin_.counts().requests;

  auto second = Engine::open(options("b"));
  ASSERT_TRUE(second) << second.error().message;
  auto job = second->create_job("second", watcher());
  ASSERT_TRUE(job->add_file({.source = directory_.path("published.torrent"),
                             .destination = directory_.path("second"),
                             .peers = {"127.0.0.1:" + std::to_string(*first->listen_port())},
                             .use_origin = false}));
  ASSERT_TRUE(job->resume());
  ASSERT_TRUE(wait_for(JobState::transferred));
  ASSERT_TRUE(job->complete());
  EXPECT_EQ(read("second"), *content_);
  EXPECT_EQ(job->progress()->peer_bytes, kSize + job->progress()->wasted_bytes);
  EXPECT_EQ(origin_.counts().requests, asked);
}

TEST_F(EngineTest, SaysSoWhenThereIsNoManifest) {
  auto engine = Engine::open(options());
  auto job = engine->create_job("test", watcher());
  ASSERT_TRUE(job->add_file(request()));
  ASSERT_TRUE(job->resume());
  ASSERT_TRUE(wait_for(JobState::transferred));
  EXPECT_EQ(job->files()->front().integrity, Integrity::transport);
  EXPECT_NE(job->files()->front().note.find("no manifest found"), std::string::npos);
  ASSERT_TRUE(job->complete());
  EXPECT_EQ(read("out"), *content_);
}

TEST_F(EngineTest, WrongBytesAreNeverDelivered) {
  publish_manifest();
  std::string wrong = *content_;
  wrong[kSize / 2] = static_cast<char>(wrong[kSize / 2] ^ 1);
  origin_.serve("/file", std::make_shared<const std::string>(wrong), "\"v1\"");
  EngineOptions no_peers = options();
  no_peers.peers_enabled = false;
  auto engine = Engine::open(no_peers);
  auto job = engine->create_job("test", watcher());
  ASSERT_TRUE(job->add_file(request()));
  ASSERT_TRUE(job->resume());
  ASSERT_TRUE(wait_for(JobState::error));
  const auto error = job->error();
  ASSERT_TRUE(error && *error);
  EXPECT_EQ((*error)->code, ErrorCode::integrity);
  EXPECT_NE((*error)->message.find("piece "), std::string::npos) << (*error)->message;
  EXPECT_NE((*error)->message.find(origin_.url("/file")), std::string::npos);
  EXPECT_TRUE(job->complete()) << "drops what is not there";
  EXPECT_FALSE(exists("out"));
}

TEST_F(EngineTest, CancelLeavesNothingAndAsksForNothingMore) {
  publish_manifest();
  origin_.route("/file", [this](const test::FaultRequest& asked) {
    test::FaultReply reply = test::honest_reply(asked, content_, "\"v1\"");
    if (reply.body_size > 1) {  // the probe is answered, ranges stay half done
      reply.stop_after = reply.body_size / 2;
      reply.then = test::FaultReply::Then::hold;
    }
    return reply;
  });
  auto engine = Engine::open(options());
  auto job = engine->create_job("test", watcher());
  ASSERT_TRUE(job->add_file(request()));
  ASSERT_TRUE(job->resume());
  // The probe, the manifest, and as many ranges as are asked for at once: no more are on their way.
  const std::uint64_t all = 2 + core::Policy{}.origin_requests_max;
  ASSERT_TRUE(origin_.wait_until([all](const auto& counts) { return counts.requests == all; }));
  ASSERT_TRUE(job->cancel());
  EXPECT_EQ(*job->state(), JobState::cancelled);
  EXPECT_EQ(job->cancel().error().code, ErrorCode::invalid_state);
  EXPECT_EQ(job->resume().error().code, ErrorCode::invalid_state);
  origin_.release();
  ASSERT_TRUE(origin_.wait_until([](const auto& counts) { return counts.open_connections == 0; }));
  EXPECT_EQ(origin_.counts().requests, all);
  engine->close();
  std::size_t left = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(directory_.path("cache") + "/data")) {
    left += entry.is_regular_file() ? 1U : 0U;
  }
  EXPECT_EQ(left, 0U);
}

TEST_F(EngineTest, CallsFromACallbackAreRefusedInsteadOfHanging) {
  auto engine = Engine::open(options());
  ErrorCode seen = ErrorCode::internal;
  Job* handle = nullptr;
  auto job = engine->create_job("test", [&](const JobEvent& event) {
    if (event.state == JobState::transferred && event.state_changed) {
      seen = handle->state().error().code;
    }
    const std::lock_guard lock(mutex_);
    latest_ = event.state;
    changed_.notify_all();
  });
  handle = &*job;
  ASSERT_TRUE(job->add_file(request()));
  ASSERT_TRUE(job->resume());
  ASSERT_TRUE(wait_for(JobState::transferred));
  EXPECT_EQ(seen, ErrorCode::invalid_state);
}

TEST_F(EngineTest, AfterCloseEveryCallIsRefused) {
  auto engine = Engine::open(options());
  auto job = engine->create_job("test");
  engine->close();
  engine->close();
  EXPECT_EQ(job->state().error().code, ErrorCode::invalid_state);
  EXPECT_EQ(job->cancel().error().code, ErrorCode::invalid_state);
  EXPECT_EQ(engine->create_job("more").error().code, ErrorCode::invalid_state);
  EXPECT_TRUE(engine->jobs().empty());
}

TEST_F(EngineTest, ClosingWhileOthersCallHangsNobody) {
  auto engine = Engine::open(options());
  auto job = engine->create_job("test");
  std::vector<std::thread> callers;
  for (int n = 0; n < 4; ++n) {
    callers.emplace_back([&job] {
      while (job->state()) {
      }
    });
  }
  engine->close();
  for (std::thread& caller : callers) caller.join();
}

TEST_F(EngineTest, OneEngineOwnsACacheDirectory) {
  auto first = Engine::open(options());
  ASSERT_TRUE(first);
  auto second = Engine::open(options());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::in_use);
  EXPECT_NE(second.error().message.find(directory_.path("cache")), std::string::npos);
}

TEST_F(EngineTest, ABusyListenAddressIsAnErrorThatNamesIt) {
  auto first = Engine::open(options("a"));
  ASSERT_TRUE(first);
  EngineOptions same = options("b");
  same.listen = "127.0.0.1:" + std::to_string(*first->listen_port());
  auto second = Engine::open(same);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::network);
  EXPECT_NE(second.error().message.find(same.listen), std::string::npos);
}

struct BadRequest {
  const char* name;
  FileRequest request;
  ErrorCode code;
  const char* says;
};

class BadRequests : public ::testing::TestWithParam<BadRequest> {};

TEST_P(BadRequests, AreRefusedAtOnceWithTheFieldNamed) {
  const support::TemporaryDirectory directory;
  auto engine = Engine::open({.cache_directory = directory.path("cache"), .peers_enabled = false});
  ASSERT_TRUE(engine);
  auto job = engine->create_job("test");
  FileRequest request = GetParam().request;
  if (request.destination.empty()) request.destination = directory.path("out");
  const auto result = job->add_file(request);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, GetParam().code);
  EXPECT_NE(result.error().message.find(GetParam().says), std::string::npos)
      << result.error().message;
  EXPECT_EQ(job->resume().error().code, ErrorCode::job_empty) << "the job has no file";
}

const char* const kGood = "http://h/f";
INSTANTIATE_TEST_SUITE_P(
    Table, BadRequests,
    ::testing::Values(
        BadRequest{"EmptySource", {}, ErrorCode::no_url, "source"},
        BadRequest{"UnknownScheme", {.source = "ftp://h/f"}, ErrorCode::invalid_argument, "ftp"},
        BadRequest{"Magnet", {.source = "magnet:?xt=urn:btmh:1"}, ErrorCode::unsupported, "magnet"},
        BadRequest{"NoHost", {.source = "http://"}, ErrorCode::invalid_argument, "source"},
        BadRequest{"Spaces", {.source = "http://h/a b"}, ErrorCode::invalid_argument, "spaces"},
        BadRequest{
            "MissingFile", {.source = "/nowhere/f.torrent"}, ErrorCode::not_found, "f.torrent"},
        BadRequest{"ADirectory", {.source = "/"}, ErrorCode::invalid_argument, "regular file"},
        BadRequest{
            "NoManifest", {.source = "/proc/version"}, ErrorCode::manifest_invalid, "version"},
        BadRequest{
            "Mirror", {.source = kGood, .mirrors = {"x"}}, ErrorCode::invalid_argument, "mirror"},
        BadRequest{
            "Peer", {.source = kGood, .peers = {"host:1"}}, ErrorCode::invalid_argument, "host:1"},
        BadRequest{"PeerPort",
                   {.source = kGood, .peers = {"1.2.3.4:99999"}},
                   ErrorCode::invalid_argument,
                   "99999"},
        BadRequest{"Tracker",
                   {.source = kGood, .trackers = {"ftp://t"}},
                   ErrorCode::invalid_argument,
                   "tracker"},
        BadRequest{"TwoManifests",
                   {.source = "http://h/f.torrent", .manifest = "http://h/m"},
                   ErrorCode::invalid_argument,
                   "manifest"},
        BadRequest{"NothingToFetchFrom",
                   {.source = kGood, .use_origin = false},
                   ErrorCode::invalid_argument,
                   "switched off"},
        BadRequest{"NoSuchDirectory",
                   {.source = kGood, .destination = "/nowhere/at/all"},
                   ErrorCode::destination,
                   "/nowhere/at"}),
    [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace lanward
