// Integrity without a manifest, and Metalinks, through the embedding API: a real engine and origins
// that say what they are told to.
#include <lanward/engine.h>

#include <chrono>
#include <condition_variable>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "engine/core/digest.h"
#include "engine/store/digest.h"
#include "tests/support/fault_origin.h"
#include "tests/support/temporary_directory.h"

namespace lanward {
namespace {

using namespace std::chrono_literals;

// Far above what any step takes; only a hang runs into it.
constexpr auto kDeadline = 60s;
constexpr std::size_t kSize = 6 * 1024 * 1024 + 5;

std::string hex_of(core::DigestAlgorithm algorithm, const std::string& bytes) {
  const auto hasher = store::make_hasher(algorithm);
  hasher->update(std::as_bytes(std::span(bytes)));
  return core::to_hex(hasher->finish());
}
std::string sha256_of(const std::string& bytes) {
  return hex_of(core::DigestAlgorithm::sha256, bytes);
}

std::string base64(const std::vector<std::uint8_t>& bytes) {
  constexpr const char* kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t bits = 0;
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t k = 0; k < 3; ++k) bits = bits << 8U | (k < n ? bytes[i + k] : 0U);
    for (std::size_t k = 0; k < 4; ++k) {
      out += k <= n ? kAlphabet[bits >> (18 - 6 * k) & 63U] : '=';
    }
  }
  return out;
}

test::Content with_one_wrong_byte(const test::Content& content) {
  std::string wrong = *content;
  wrong[kSize / 2] = static_cast<char>(wrong[kSize / 2] ^ 1);
  return std::make_shared<const std::string>(std::move(wrong));
}

class DigestApiTest : public ::testing::Test {
 protected:
  DigestApiTest() : content_(test::make_content(kSize)), sha256_(sha256_of(*content_)) {
    origin_.serve("/file", content_, "\"v1\"");
    origin_.serve("/wrong/file", with_one_wrong_byte(content_), "\"w\"");
  }

  EngineOptions options() {
    EngineOptions options;
    options.cache_directory = directory_.path("cache");
    options.state_directory = directory_.path("state");
    options.peers_enabled = false;
    options.local_discovery = false;
    options.progress_interval = 10ms;
    return options;
  }
  FileRequest request(const std::string& path = "/file") {
    return {.source = origin_.url(path), .destination = directory_.path("out")};
  }
  JobCallback watcher() {
    return [this](const JobEvent& event) {
      const std::lock_guard lock(mutex_);
      latest_ = event.state;
      changed_.notify_all();
    };
  }
  JobState wait_for_end() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kDeadline, [&] {
      return latest_ == JobState::transferred || latest_ == JobState::error;
    });
    return latest_;
  }
  // A job of its own, to its end.
  JobState fetch(const FileRequest& file) {
    if (!engine_) {
      auto engine = Engine::open(options());
      EXPECT_TRUE(engine) << engine.error().message;
      engine_ = std::move(*engine);
    }
    latest_ = JobState::suspended;
    auto job = engine_->create_job("test", watcher());
    EXPECT_TRUE(job);
    job_ = std::move(*job);
    const auto added = job_->add_file(file);
    EXPECT_TRUE(added) << added.error().message;
    EXPECT_TRUE(job_->resume());
    return wait_for_end();
  }
  FileStatus status() { return job_->files()->at(0); }
  std::string read(const std::string& name) {
    std::ifstream file(directory_.path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  bool exists(const std::string& name) { return std::ifstream(directory_.path(name)).good(); }
  // An honest server that adds a field to its replies.
  void serve_with(const std::string& name, const std::string& value) {
    origin_.route("/file", [this, name, value](const test::FaultRequest& asked) {
      return test::honest_reply(asked, content_, "\"v1\"").set_header(name, value);
    });
  }
  std::string metalink_of(const std::vector<std::string>& urls, const std::string& name = "f.img") {
    std::string text = "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"" + name +
                       "\"><size>" + std::to_string(kSize) + "</size><hash type=\"sha-256\">" +
                       sha256_ + "</hash>";
    int priority = 0;
    for (const std::string& url : urls) {
      text += "<url priority=\"" + std::to_string(++priority) + "\">" + url + "</url>";
    }
    return text + "</file></metalink>";
  }

  support::TemporaryDirectory directory_;
  test::Content content_;
  const std::string sha256_;
  test::FaultOrigin origin_;
  std::mutex mutex_;
  std::condition_variable changed_;
  JobState latest_ = JobState::suspended;
  std::optional<Engine> engine_;
  std::optional<Job> job_;
};

TEST_F(DigestApiTest, TheRightFileIsDeliveredAndRestsOnItsDigest) {
  FileRequest file = request();
  file.digests = {"sha256=" + sha256_};
  ASSERT_EQ(fetch(file), JobState::transferred);
  EXPECT_EQ(status().integrity, Integrity::digest);
  EXPECT_EQ(status().digest, "sha-256=" + sha256_);
  ASSERT_TRUE(job_->complete());
  EXPECT_EQ(read("out"), *content_);
}

TEST_F(DigestApiTest, TheWrongFileIsNotDeliveredAndARetryFetchesItAnew) {
  FileRequest file = request("/wrong/file");
  file.digests = {"sha-256=" + sha256_};
  ASSERT_EQ(fetch(file), JobState::error);
  const auto error = job_->error();
  ASSERT_TRUE(error && *error);
  EXPECT_EQ((*error)->code, ErrorCode::integrity);
  EXPECT_NE((*error)->message.find(sha256_), std::string::npos);
  EXPECT_FALSE(exists("out"));
  // The origin is repaired.
  origin_.serve("/wrong/file", content_, "\"w\"");
  latest_ = JobState::suspended;
  ASSERT_TRUE(job_->resume());
  ASSERT_EQ(wait_for_end(), JobState::transferred);
  ASSERT_TRUE(job_->complete());
  EXPECT_EQ(read("out"), *content_);
}

TEST_F(DigestApiTest, TheOriginsFieldsAreChecked) {
  const auto digest = core::from_hex(sha256_);
  serve_with("Repr-Digest", "sha-256=:" + base64(*digest) + ":");
  ASSERT_EQ(fetch(request()), JobState::transferred);
  EXPECT_EQ(status().integrity, Integrity::digest);
  EXPECT_EQ(status().digest, "sha-256=" + sha256_);

  serve_with("Digest", "SHA-256=" + base64(std::vector<std::uint8_t>(32, 1)));
  ASSERT_EQ(fetch(request()), JobState::error);
  EXPECT_NE((*job_->error())->message.find("Digest of http://"), std::string::npos);
}

TEST_F(DigestApiTest, AWeakDigestIsCheckedAndCalledWeak) {
  const auto md5 = core::from_hex(hex_of(core::DigestAlgorithm::md5, *content_));
  serve_with("Digest", "MD5=" + base64(*md5));
  ASSERT_EQ(fetch(request()), JobState::transferred);
  EXPECT_EQ(status().integrity, Integrity::digest);
  EXPECT_NE(status().note.find("accidents only"), std::string::npos) << status().note;
}

TEST_F(DigestApiTest, ContentMd5OfAPartIsNotTakenForTheFile) {
  serve_with("Content-MD5", base64(std::vector<std::uint8_t>(16, 1)));
  ASSERT_EQ(fetch(request()), JobState::transferred);
  EXPECT_EQ(status().integrity, Integrity::transport);
}

TEST_F(DigestApiTest, AFileWhoseLengthIsNotToldIsCheckedToo) {
  origin_.route("/file", [this](const test::FaultRequest&) {
    test::FaultReply reply;
    reply.set_body(content_);
    reply.framing = test::FaultReply::Framing::chunked;
    return reply;
  });
  FileRequest file = request();
  file.digests = {"sha-256=" + std::string(64, '0')};
  ASSERT_EQ(fetch(file), JobState::error);
  EXPECT_EQ((*job_->error())->code, ErrorCode::integrity);
  file.digests = {"sha-256=" + sha256_};
  ASSERT_EQ(fetch(file), JobState::transferred);
  EXPECT_EQ(status().integrity, Integrity::digest);
  ASSERT_TRUE(job_->complete());
  EXPECT_EQ(read("out"), *content_);
}

TEST_F(DigestApiTest, DigestsThatContradictEachOtherAreRefusedFromACallerAndIgnoredFromAnOrigin) {
  FileRequest file = request();
  file.digests = {"md5=" + std::string(32, '0'), "md5=" + std::string(32, '1')};
  {
    auto engine = Engine::open(options());
    ASSERT_TRUE(engine);
    auto job = engine->create_job("test");
    const auto added = job->add_file(file);
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().code, ErrorCode::invalid_argument);
  }
  serve_with("Repr-Digest", "sha-256=:" + base64(std::vector<std::uint8_t>(32, 1)) +
                                ":, sha-256=:" + base64(std::vector<std::uint8_t>(32, 2)) + ":");
  ASSERT_EQ(fetch(request()), JobState::transferred);
  EXPECT_EQ(status().integrity, Integrity::transport);
  EXPECT_NE(status().note.find("different things"), std::string::npos) << status().note;
}

TEST_F(DigestApiTest, AfterARestartTheRestIsFetchedAndTheWholeIsChecked) {
  origin_.route("/file", [this](const test::FaultRequest& asked) {
    auto reply = test::honest_reply(asked, content_, "\"v1\"");
    const auto range = asked.range();
    // What lies beyond the first part does not come before release().
    if (range && range->second > 2 * 1024 * 1024) {
      reply.stop_after = 1024 * 1024;
      reply.then = test::FaultReply::Then::hold;
    }
    return reply;
  });
  {
    auto engine = Engine::open(options());
    ASSERT_TRUE(engine) << engine.error().message;
    auto job = engine->create_job("test");
    FileRequest file = request();
    file.digests = {"sha-256=" + sha256_};
    ASSERT_TRUE(job->add_file(file));
    ASSERT_TRUE(job->resume());
    ASSERT_TRUE(origin_.wait_until([](const auto& c) { return c.body_bytes > 1024 * 1024; }));
  }
  origin_.release();
  auto engine = Engine::open(options());
  ASSERT_TRUE(engine) << engine.error().message;
  engine_ = std::move(*engine);
  ASSERT_EQ(engine_->jobs().size(), 1U);
  job_ = *engine_->get_job(engine_->jobs().front());
  ASSERT_TRUE(job_->set_callback(watcher()));
  for (int i = 0; i < 6000 && *job_->state() != JobState::transferred; ++i) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, 10ms);
  }
  ASSERT_EQ(*job_->state(), JobState::transferred);
  EXPECT_EQ(status().digest, "sha-256=" + sha256_);
  ASSERT_TRUE(job_->complete());
  EXPECT_EQ(read("out"), *content_);
}

// ---- mirrors and Metalinks ---------------------------------------------------------------------

TEST_F(DigestApiTest, OfThreeMirrorsOneMayLie) {
  test::FaultOrigin honest;
  honest.serve("/file", content_, "\"h\"");
  test::FaultOrigin liar;
  liar.serve("/file", test::make_content(kSize, 2), "\"l\"");  // whatever part of it is used
  std::ofstream(directory_.path("x.meta4"))
      << metalink_of({liar.url("/file"), origin_.url("/file"), honest.url("/file")});
  ASSERT_EQ(fetch({.source = directory_.path("x.meta4"), .destination = directory_.path("")}),
            JobState::transferred)
      << (*job_->error())->message;
  EXPECT_EQ(status().integrity, Integrity::digest);
  EXPECT_GT(liar.counts().body_bytes, 100U) << "it had no chance to lie";
  EXPECT_NE(status().note.find("alone sent the right one"), std::string::npos) << status().note;
  ASSERT_TRUE(job_->complete());
  EXPECT_EQ(read("f.img"), *content_);
}

TEST_F(DigestApiTest, AMetalinkOfSeveralFilesByUrlBecomesSeveralFiles) {
  std::string both = metalink_of({origin_.url("/file")}, "one");
  const std::string two = metalink_of({origin_.url("/file")}, "two");
  both.replace(both.find("</metalink>"), 11, two.substr(two.find("<file")));
  origin_.serve("/list.meta4", std::make_shared<const std::string>(both), "\"m\"");
  ASSERT_EQ(fetch({.source = origin_.url("/list.meta4"), .destination = directory_.path("")}),
            JobState::transferred);
  ASSERT_EQ(job_->files()->size(), 2U);
  ASSERT_TRUE(job_->complete());
  EXPECT_EQ(read("one"), *content_);
  EXPECT_EQ(read("two"), *content_);
}

TEST_F(DigestApiTest, ALinkedMetalinkTellsDigestAndMirrors) {
  test::FaultOrigin mirror;
  mirror.serve("/file", content_, "\"h\"");
  origin_.serve("/file.meta4",
                std::make_shared<const std::string>(metalink_of({mirror.url("/file")})), "\"m\"");
  serve_with("Link", "</file.meta4>; rel=describedby; type=\"application/metalink4+xml\"");
  ASSERT_EQ(fetch(request()), JobState::transferred);
  EXPECT_EQ(status().digest, "sha-256=" + sha256_);
  EXPECT_NE(status().note.find("Metalink"), std::string::npos) << status().note;
}

TEST_F(DigestApiTest, MirrorsFromTheNetworkAreNotSentTheCallersHeaders) {
  test::FaultOrigin mirror;
  mirror.serve("/file", content_, "\"h\"");
  serve_with("Link", "<" + mirror.url("/file") + ">; rel=duplicate; pri=1");
  FileRequest file = request();
  file.digests = {"sha-256=" + sha256_};
  auto engine = Engine::open(options());
  ASSERT_TRUE(engine);
  engine_ = std::move(*engine);
  job_ = *engine_->create_job("test", watcher());
  ASSERT_TRUE(job_->change({.custom_headers = std::vector<std::string>{"X-Secret: 1"}}));
  ASSERT_TRUE(job_->add_file(file));
  ASSERT_TRUE(job_->resume());
  ASSERT_EQ(wait_for_end(), JobState::transferred);
  ASSERT_FALSE(origin_.requests().empty());
  EXPECT_EQ(origin_.requests().front().header("x-secret"), "1");
  for (const test::FaultRequest& asked : mirror.requests()) {
    EXPECT_EQ(asked.header("x-secret"), "") << asked.target;
  }
}

TEST_F(DigestApiTest, NothingEscapesTheDestinationsDirectory) {
  std::ofstream(directory_.path("x.meta4"))
      << metalink_of({origin_.url("/file")}, "../../escaped.img");
  auto engine = Engine::open(options());
  ASSERT_TRUE(engine);
  auto job = engine->create_job("test");
  const auto added =
      job->add_file({.source = directory_.path("x.meta4"), .destination = directory_.path("")});
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, ErrorCode::manifest_invalid);
}

}  // namespace
}  // namespace lanward
