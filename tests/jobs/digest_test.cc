// Files that rest on a digest of the whole.
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/jobs/job_world.h"

namespace lanward::jobs {
namespace {

using namespace std::chrono_literals;
using core::DigestAlgorithm;
using core::ExpectedDigest;

// What the fakes serve: zeros.
ExpectedDigest right_digest(DigestAlgorithm algorithm = DigestAlgorithm::sha256,
                            std::uint64_t bytes = kFileBytes) {
  const auto hasher = store::make_hasher(algorithm);
  hasher->update(std::vector<std::byte>(bytes));
  return {algorithm, hasher->finish(), "the test"};
}
ExpectedDigest wrong_digest(DigestAlgorithm algorithm = DigestAlgorithm::sha256) {
  return {algorithm, std::vector<std::uint8_t>(core::size_of(algorithm), 0xee), "the test"};
}

core::OriginFacts facts_of(std::uint8_t n, std::vector<ExpectedDigest> digests = {}) {
  core::OriginFacts facts;
  facts.url = url_of(n);
  facts.size_known = true;
  facts.size = core::ByteCount{kFileBytes};
  facts.ranges = true;
  facts.strong_etag = "\"v\"";
  facts.digests = std::move(digests);
  return facts;
}

// Two files in one document.
Result<core::Metalink> two_files(std::span<const std::uint8_t>, const std::string&) {
  core::Metalink metalink;
  for (const std::uint8_t n : {1, 2}) {
    metalink.files.push_back({.name = std::string("file") + std::to_string(n),
                              .size = core::ByteCount{kFileBytes},
                              .digests = {right_digest()},
                              .urls = {{url_of(n), 1, ""}},
                              .manifests = {}});
  }
  return metalink;
}

class DigestTest : public ::testing::Test, protected JobWorld {
 protected:
  void TearDown() override { EXPECT_EQ(store.misuses, 0) << "the store was used against its word"; }

  static FileSpec file_without_manifest(std::vector<ExpectedDigest> digests) {
    FileSpec file = file_of(1, "/out/a");
    file.manifest.reset();
    file.digests = std::move(digests);
    return file;
  }
  JobId begin(FileSpec file) {
    const JobId id = create();
    run_add(id, std::move(file));
    run(id, &Job::resume);
    return id;
  }
  // Answers what is asked until bytes are.
  void answer_search(const core::OriginFacts& facts) {
    while (!origins.open.empty() && origins.oldest().kind != "range") {
      if (origins.oldest().kind == "probe") {
        origins.answer_probe(facts);
      } else {
        origins.fail(core::FailureClass::permanent);
      }
      loop.run();
    }
  }
  JobId fetch(FileSpec file, const core::OriginFacts& facts) {
    const JobId id = begin(std::move(file));
    answer_search(facts);
    serve_all();
    return id;
  }
  FileStatus file(const JobId& id) { return job(id).files().at(0); }
};

TEST_F(DigestTest, TheRightFileIsTransferredAndSaysWhatItRestsOn) {
  for (const auto algorithm : {DigestAlgorithm::md5, DigestAlgorithm::sha1, DigestAlgorithm::sha256,
                               DigestAlgorithm::sha512}) {
    const ExpectedDigest digest = right_digest(algorithm);
    const JobId id = fetch(file_without_manifest({digest}), facts_of(1));
    EXPECT_EQ(state(id), JobState::transferred);
    EXPECT_EQ(file(id).integrity, Integrity::digest);
    EXPECT_EQ(file(id).digest, core::to_string(digest));
    EXPECT_EQ(file(id).note.find("accidents") != std::string::npos, digest.is_weak());
    run(id, &Job::cancel);
  }
}

TEST_F(DigestTest, TheWrongFileIsAnErrorItsPiecesAreDroppedAndARetryFetchesAnew) {
  const JobId id = fetch(file_without_manifest({wrong_digest()}), facts_of(1));
  EXPECT_EQ(state(id), JobState::error);
  const auto error = job(id).error();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, ErrorCode::integrity);
  for (const std::string& part :
       {std::string("sha-256"), core::to_hex(wrong_digest().bytes),
        core::to_hex(right_digest().bytes), std::string("the test"), url_of(1)}) {
    EXPECT_NE(error->message.find(part), std::string::npos) << error->message;
  }
  EXPECT_TRUE(store.pieces.empty());
  EXPECT_TRUE(store.delivered.empty());
  run(id, &Job::resume);
  answer_search(facts_of(1));
  const std::uint64_t before = origins.bytes_served;
  serve_all();
  EXPECT_EQ(origins.bytes_served - before, kFileBytes);
  EXPECT_EQ(state(id), JobState::error);
}

TEST_F(DigestTest, WhatTheOriginSaysIsCheckedToo) {
  const JobId bad = fetch(file_without_manifest({}), facts_of(1, {wrong_digest()}));
  EXPECT_EQ(state(bad), JobState::error);
  run(bad, &Job::cancel);
  const JobId good = fetch(file_without_manifest({}), facts_of(1, {right_digest()}));
  EXPECT_EQ(state(good), JobState::transferred);
  EXPECT_EQ(file(good).integrity, Integrity::digest);
}

TEST_F(DigestTest, TheCallersDigestGoesBeforeTheOrigins) {
  const JobId id = fetch(file_without_manifest({right_digest()}), facts_of(1, {wrong_digest()}));
  EXPECT_EQ(state(id), JobState::transferred);
}

TEST_F(DigestTest, BesidesAManifestItIsCheckedAndThePiecesStay) {
  FileSpec both = file_of(1, "/out/a");
  both.digests = {right_digest()};
  const JobId good = begin(both);
  serve_all();
  EXPECT_EQ(state(good), JobState::transferred);
  EXPECT_EQ(file(good).integrity, Integrity::manifest);
  EXPECT_EQ(file(good).digest, core::to_string(right_digest()));
  run(good, &Job::cancel);

  both.digests = {wrong_digest()};
  const JobId bad = begin(both);
  serve_all();
  EXPECT_EQ(state(bad), JobState::error);
  EXPECT_NE(job(bad).error()->message.find("manifest"), std::string::npos);
  EXPECT_EQ(cached(1), kPieces) << "they are what the manifest says";
}

TEST_F(DigestTest, RangesAreNotCheckedAndTheStatusSaysSo) {
  FileSpec part = file_without_manifest({wrong_digest()});
  part.ranges = {{0, 1000}};
  const JobId id = fetch(std::move(part), facts_of(1));
  EXPECT_EQ(state(id), JobState::transferred);
  EXPECT_EQ(file(id).integrity, Integrity::transport);
  EXPECT_TRUE(file(id).digest.empty());
  EXPECT_NE(file(id).note.find("ranges"), std::string::npos) << file(id).note;
}

TEST_F(DigestTest, IntegrityThatIsMandatoryMayRestOnAStrongDigestThatWasDemanded) {
  for (const auto& [digests, ok] :
       {std::pair{std::vector{right_digest()}, true},
        std::pair{std::vector{right_digest(DigestAlgorithm::sha1)}, false},
        std::pair{std::vector<ExpectedDigest>{}, false}}) {
    FileSpec file = file_without_manifest(digests);
    file.integrity_mandatory = true;
    const JobId id = fetch(std::move(file), facts_of(1, {right_digest()}));
    EXPECT_EQ(state(id), ok ? JobState::transferred : JobState::error);
    if (!ok) {
      EXPECT_EQ(job(id).error()->code, ErrorCode::manifest_missing);
    }
    run(id, &Job::cancel);
  }
}

TEST_F(DigestTest, ItIsNotTransferredBeforeItIsChecked) {
  store.hold_work = true;
  const JobId id = fetch(file_without_manifest({right_digest()}), facts_of(1));
  EXPECT_EQ(state(id), JobState::transferring);
  ASSERT_EQ(store.latest->work.size(), 1U);
  ports::Task work = std::move(store.latest->work.front());
  store.latest->work.clear();
  work();
  loop.run();
  EXPECT_EQ(state(id), JobState::transferred);
}

TEST_F(DigestTest, ARestartDoesNotSkipTheCheck) {
  store.hold_work = true;
  const JobId id = fetch(file_without_manifest({wrong_digest()}), facts_of(1));
  close();  // with all bytes in the cache, and none of them checked
  EXPECT_EQ(durable(id), JobState::queued);
  store.hold_work = false;
  restart();
  answer_search(facts_of(1));
  EXPECT_TRUE(origins.open.empty()) << "every byte is there";
  EXPECT_EQ(state(id), JobState::error);
  EXPECT_EQ(job(id).error()->code, ErrorCode::integrity);
}

TEST_F(DigestTest, WhatWasCheckedIsRememberedAcrossARestart) {
  const JobId id = fetch(file_without_manifest({}), facts_of(1, {right_digest()}));
  restart();
  EXPECT_EQ(state(id), JobState::transferred);
  EXPECT_EQ(file(id).integrity, Integrity::digest);
  EXPECT_EQ(file(id).digest, core::to_string(right_digest()));
  run(id, &Job::complete);
  EXPECT_TRUE(store.delivered.contains("/out/a"));
}

TEST_F(DigestTest, SuspendingDuringTheCheckEndsItAndResumeChecksAnew) {
  store.hold_work = true;
  const JobId id = fetch(file_without_manifest({right_digest()}), facts_of(1));
  auto late = store.latest;
  run(id, &Job::suspend);
  EXPECT_EQ(state(id), JobState::suspended);
  for (ports::Task& work : late->work) work();
  loop.run();
  EXPECT_EQ(state(id), JobState::suspended) << "the check that was given up tells nothing";
  store.hold_work = false;
  run(id, &Job::resume);
  answer_search(facts_of(1));
  EXPECT_EQ(state(id), JobState::transferred);
}

TEST_F(DigestTest, AfterAMismatchEachOfSeveralOriginsIsTriedAlone) {
  FileSpec spec = file_without_manifest({wrong_digest()});
  spec.urls.push_back({.url = url_of(2)});
  spec.found_urls.push_back({.url = url_of(3)});
  const JobId id = begin(std::move(spec));
  answer_search(facts_of(1));
  std::vector<std::string> asked;
  for (int n = 0; n < 1000 && !origins.open.empty(); ++n) {
    if (origins.oldest().kind == "probe") break;
    if (asked.empty() || asked.back() != origins.oldest().url) {
      asked.push_back(origins.oldest().url);
    }
    serve_one();
  }
  EXPECT_EQ(state(id), JobState::error);
  EXPECT_EQ(job(id).error()->code, ErrorCode::integrity);
  EXPECT_EQ(origins.bytes_served, 4 * kFileBytes) << "together, and three times alone";
  EXPECT_TRUE(store.pieces.empty());
}

TEST_F(DigestTest, SuspendingBetweenTwoTriesIsHeeded) {
  FileSpec spec = file_without_manifest({wrong_digest()});
  spec.urls.push_back({.url = url_of(2)});
  const JobId id = begin(std::move(spec));
  answer_search(facts_of(1));
  store.hold = true;  // the purge of the wrong pieces takes long
  while (origins.bytes_served < kFileBytes && serve_one()) {
  }
  loop.run();
  (void)call(id, &Job::suspend);
  loop.run();
  store.hold = false;
  while (store.release_one()) loop.run();
  loop.run();
  EXPECT_EQ(state(id), JobState::suspended);
  EXPECT_TRUE(origins.open.empty());
}

TEST_F(DigestTest, HeadersAreNotForOriginsThatAMetalinkNames) {
  FileSpec spec = file_without_manifest({right_digest()});
  spec.found_urls.push_back({.url = "http://mirror.example/f"});
  (void)begin(std::move(spec));
  ASSERT_FALSE(origins.settings.empty());
  for (const ports::OriginSettings& how : origins.settings) {
    for (const std::string& host : how.header_hosts) {
      EXPECT_EQ(host.find("mirror.example"), std::string::npos);
    }
  }
}

// ---- Metalinks ---------------------------------------------------------------------------------

class MetalinkJobTest : public DigestTest {
 protected:
  MetalinkJobTest() {
    metalink = &two_files;
    restart();  // the engine at hand reads none
  }

  static FileSpec source(const std::string& destination) {
    return {.source = "http://cdn/x.meta4",
            .destination = destination,
            .metalink_url = "http://cdn/x.meta4"};
  }
};

TEST_F(MetalinkJobTest, ItsFilesBecomeTheFilesOfTheJob) {
  const JobId id = begin(source("/out/"));
  ASSERT_EQ(origins.oldest().kind, "document");
  EXPECT_EQ(origins.oldest().url, "http://cdn/x.meta4");
  origins.answer_document({'x'});
  loop.run();
  ASSERT_EQ(job(id).file_count(), 2U);
  EXPECT_EQ(job(id).files()[0].destination, "/out/file1");
  EXPECT_EQ(job(id).files()[1].destination, "/out/file2");
  for (const std::uint8_t n : {1, 2}) {
    answer_search(facts_of(n));
    while (!origins.open.empty() && origins.oldest().kind == "range") serve_one();
  }
  EXPECT_EQ(state(id), JobState::transferred);
  EXPECT_EQ(job(id).files()[1].integrity, Integrity::digest);
}

TEST_F(MetalinkJobTest, WhatItStandsForIsDurable) {
  const JobId id = begin(source("/out/"));
  origins.answer_document({'x'});
  loop.run();
  restart();
  ASSERT_EQ(job(id).file_count(), 2U);
  EXPECT_EQ(job(id).files()[1].destination, "/out/file2");
  ASSERT_FALSE(origins.open.empty());
  EXPECT_EQ(origins.oldest().kind, "probe");
  EXPECT_EQ(origins.oldest().url, url_of(1));
}

TEST_F(MetalinkJobTest, BeforeItIsFetchedARestartFetchesItAgain) {
  const JobId id = begin(source("/out/"));
  restart();
  EXPECT_EQ(job(id).file_count(), 1U);
  ASSERT_FALSE(origins.open.empty());
  EXPECT_EQ(origins.oldest().url, "http://cdn/x.meta4");
}

TEST_F(MetalinkJobTest, SeveralFilesNeedADirectory) {
  const JobId id = begin(source("/out/one-name"));
  origins.answer_document({'x'});
  loop.run();
  EXPECT_EQ(state(id), JobState::error);
  EXPECT_EQ(job(id).error()->code, ErrorCode::invalid_argument);
  EXPECT_NE(job(id).error()->message.find("directory"), std::string::npos);
}

TEST_F(MetalinkJobTest, ANameThatTheJobHasAlreadyIsRefused) {
  const JobId id = create();
  run_add(id, source("/out/"));
  run_add(id, file_of(3, "/out/file2"));
  run(id, &Job::resume);
  origins.answer_document({'x'});
  loop.run();
  EXPECT_EQ(state(id), JobState::error);
  EXPECT_EQ(job(id).error()->code, ErrorCode::duplicate_file);
  EXPECT_EQ(job(id).file_count(), 2U);
}

}  // namespace
}  // namespace lanward::jobs
