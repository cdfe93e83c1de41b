// Content that came by credentials stays with who has them; and why there are no peers.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/jobs/job_world.h"

namespace lanward::jobs {
namespace {

core::Manifest with_permission(core::Manifest manifest) {
  auto read = core::parse_metainfo(
      core::write_metainfo({.content = manifest.content, .name = "f", .share_private = true}),
      &store::sha256);
  return std::move(read.value());
}

// The oldest request is a probe, and is answered.
void probed(JobWorld& world, std::uint64_t size) {
  ASSERT_EQ(world.origins.oldest().kind, "probe");
  world.origins.answer_probe({.url = world.origins.oldest().url,
                              .size_known = true,
                              .size = core::ByteCount{size},
                              .ranges = true,
                              .strong_etag = "\"v1\"",
                              .links = {},
                              .digests = {}});
}

class PrivateTest : public ::testing::Test, protected JobWorld {
 protected:
  void TearDown() override { EXPECT_EQ(store.misuses, 0) << "the store was used against its word"; }

  JobId start_file(FileSpec file, const JobChange& change = {}) {
    const JobId id = create();
    run_change(id, change);
    run_add(id, std::move(file));
    run(id, &Job::resume);
    return id;
  }
  // A job that sends credentials, with content number 1.
  JobId start_private(const std::string& destination = "/out/a") {
    return start_file(file_of(1, destination),
                      {.custom_headers = std::vector<std::string>{"Authorization: Basic eA=="}});
  }
  // As start_private(), to its end, with its pieces left in the cache.
  void fetch_privately() {
    const JobId id = start_private();
    serve_all();
    EXPECT_EQ(state(id), JobState::transferred);
    run(id, &Job::complete);
    EXPECT_TRUE(is_cached(1));
  }
  // A job whose manifest is found beside the URL, after that was probed.
  JobId start_discovering(std::uint64_t told_size = kFileBytes) {
    FileSpec file = file_of(1, "/out/b");
    const core::Manifest manifest = *std::exchange(file.manifest, std::nullopt);
    const JobId id = start_file(std::move(file));
    probed(*this, told_size);
    loop.run();
    origins.answer_document(manifest.metainfo);
    loop.run();
    return id;
  }
  PeersReason reason(const JobId& id) { return job(id).files()[0].peers_answer.reason; }
  bool is_shared() { return store.shared.contains(content_id(1)); }
};

// ---- who joins a swarm -------------------------------------------------------------------------

TEST_F(PrivateTest, WhatIsAskedWithCredentialsHasNoPeersAndIsNotForLater) {
  struct Row {
    const char* what;
    JobChange change;
    const char* url;
  };
  for (const Row& row : {Row{"a header",
                             {.custom_headers = std::vector<std::string>{"Cookie: a=b"}},
                             "http://cdn/1"},
                         Row{"a certificate", {.client_certificate = "/a.pem"}, "http://cdn/1"},
                         Row{"a user", {}, "http://user:secret@cdn/1"},
                         Row{"a signature", {}, "http://cdn/1?sig=abc"}}) {
    FileSpec file = file_of(1, "/out/a");
    file.source = file.urls[0].url = row.url;
    const JobId id = start_file(std::move(file), row.change);
    EXPECT_EQ(state(id), JobState::transferring) << row.what;
    EXPECT_EQ(reason(id), PeersReason::private_content) << row.what;
    serve_all();
    EXPECT_EQ(state(id), JobState::transferred) << row.what;
    EXPECT_EQ(reason(id), PeersReason::private_content) << row.what;
    EXPECT_EQ(swarm.joins, 0) << row.what;
    EXPECT_FALSE(is_shared()) << row.what;
    run(id, &Job::cancel);
  }
}

TEST_F(PrivateTest, WhatAJobWouldSendIsKnownBeforeItBegins) {
  const JobChange none{.custom_headers = std::vector<std::string>{}};
  const JobChange some{.custom_headers = std::vector<std::string>{"X-Pass: 1"}};
  const JobId id = create();
  run_add(id, file_of(1, "/out/a"));
  EXPECT_EQ(reason(id), PeersReason::idle);
  run_change(id, some);
  EXPECT_EQ(reason(id), PeersReason::private_content);
  run_change(id, none);
  EXPECT_EQ(reason(id), PeersReason::idle);
  run_change(id, {.client_certificate = "/etc/me.pem"});
  EXPECT_EQ(reason(id), PeersReason::private_content);
  run_change(id, {.client_certificate = ""});
  // What has begun keeps to what it was told.
  run_change(id, some);
  run(id, &Job::resume);
  run_change(id, none);
  EXPECT_EQ(reason(id), PeersReason::private_content);
  run(id, &Job::suspend);
  EXPECT_EQ(reason(id), PeersReason::idle);
}

TEST_F(PrivateTest, AHeaderThatOpensNoDoorDoesNoHarm) {
  const JobId id = start_file(file_of(1, "/out/a"),
                              {.custom_headers = std::vector<std::string>{"User-Agent: lanward"}});
  EXPECT_EQ(swarm.joins, 1);
  serve_all();
  EXPECT_EQ(state(id), JobState::transferred);
  EXPECT_TRUE(is_shared());
}

TEST_F(PrivateTest, AJobWithoutPeersKeepsItsContentForItself) {
  FileSpec file = file_of(1, "/out/a");
  file.use_peers = false;
  const JobId id = start_file(std::move(file));
  EXPECT_EQ(reason(id), PeersReason::not_asked);
  serve_all();
  EXPECT_EQ(swarm.joins, 0);
  EXPECT_FALSE(is_shared());
}

TEST_F(PrivateTest, ThePublisherMayLetItBeShared) {
  FileSpec file = file_of(1, "/out/a");
  file.manifest = with_permission(*file.manifest);
  const JobId id =
      start_file(std::move(file), {.custom_headers = std::vector<std::string>{"Cookie: a=b"}});
  EXPECT_EQ(swarm.joins, 1);
  EXPECT_EQ(reason(id), PeersReason::looking);
  EXPECT_TRUE(is_shared());
}

TEST_F(PrivateTest, APermissionCountsOnlyWhereTheFileComesFromAlsoAfterARestart) {
  for (const bool elsewhere : {false, true}) {
    JobWorld world;
    FileSpec file = file_of(1, "/out/a");
    file.manifest = with_permission(*file.manifest);
    file.manifest_elsewhere = elsewhere;
    const JobId id = world.create();
    world.run_change(id, {.custom_headers = std::vector<std::string>{"Cookie: a=b"}});
    world.run_add(id, file);
    world.run(id, &Job::resume);
    EXPECT_EQ(world.swarm.joins, elsewhere ? 0 : 1);
    world.restart();
    EXPECT_EQ(world.swarm.joins, elsewhere ? 0 : 2);
  }
}

// ---- the same content, asked by others ---------------------------------------------------------

TEST_F(PrivateTest, WhatTheCacheHasByCredentialsIsNotSharedByWhoHasAManifestOnly) {
  fetch_privately();
  const JobId id = start_file(file_of(1, "/out/b"));
  EXPECT_EQ(state(id), JobState::transferred);
  EXPECT_EQ(swarm.joins, 0) << "nobody has shown that the bytes can be had without credentials";
  EXPECT_FALSE(is_shared());
  EXPECT_EQ(reason(id), PeersReason::private_content);
}

TEST_F(PrivateTest, ASourceThatTellsOfTheFileWithoutCredentialsOpensIt) {
  fetch_privately();
  const JobId id = start_discovering();
  EXPECT_EQ(state(id), JobState::transferred);
  EXPECT_EQ(swarm.joins, 1);
  EXPECT_TRUE(is_shared());
  EXPECT_EQ(reason(id), PeersReason::serving);
}

TEST_F(PrivateTest, ASourceThatHasAFileOfAnotherLengthDoesNot) {
  fetch_privately();
  start_discovering(kFileBytes + 1);
  EXPECT_EQ(swarm.joins, 0);
  EXPECT_FALSE(is_shared());
}

TEST_F(PrivateTest, APieceThatCameWithoutCredentialsOpensTheContentForLater) {
  const JobId first = start_private();
  serve_one();
  run(first, &Job::suspend);
  const JobId second = start_file(file_of(1, "/out/b"));
  EXPECT_EQ(swarm.joins, 0) << "a part of it is private so far";
  EXPECT_FALSE(is_shared());
  serve_one();
  EXPECT_TRUE(is_shared());
  serve_all();
  EXPECT_EQ(state(second), JobState::transferred);
}

TEST_F(PrivateTest, APublicJobThatJoinsAPrivateDownloadHasNoPeersEither) {
  start_private();
  serve_one();
  const JobId other = start_file(file_of(1, "/out/b"));
  serve_all();
  EXPECT_EQ(state(other), JobState::transferred);
  EXPECT_EQ(swarm.joins, 0);
  EXPECT_FALSE(is_shared());
  EXPECT_EQ(reason(other), PeersReason::private_content);
}

TEST_F(PrivateTest, APrivateJobThatJoinsAPublicDownloadChangesNothingForIt) {
  start_file(file_of(1, "/out/b"));
  serve_one();
  const JobId mine = start_private();
  serve_all();
  EXPECT_EQ(state(mine), JobState::transferred);
  EXPECT_EQ(swarm.joins, 1);
  EXPECT_TRUE(is_shared()) << "every byte came without credentials";
}

TEST_F(PrivateTest, CredentialsThatAreTakenAwayDoNotOpenWhatTheyBrought) {
  FileSpec file = file_of(1, "/out/a");
  const core::Manifest manifest = *std::exchange(file.manifest, std::nullopt);
  const JobId id =
      start_file(std::move(file), {.custom_headers = std::vector<std::string>{"Cookie: a=b"}});
  probed(*this, kFileBytes);
  loop.run();
  origins.answer_document(manifest.metainfo);
  loop.run();
  serve_one();
  run(id, &Job::suspend);
  run_change(id, {.custom_headers = std::vector<std::string>{}});
  run(id, &Job::resume);
  EXPECT_EQ(state(id), JobState::transferring);
  EXPECT_EQ(swarm.joins, 0) << "the source was probed with them";
  EXPECT_FALSE(is_shared());
}

// ---- the answer --------------------------------------------------------------------------------

TEST_F(PrivateTest, TheAnswerFollowsTheSwarm) {
  const JobId id = start_job(1, "/out/a");
  EXPECT_EQ(reason(id), PeersReason::looking);
  swarm.view.refused_by_rules = 1;
  EXPECT_EQ(reason(id), PeersReason::addresses_refused);
  swarm.view.serving = false;
  EXPECT_EQ(job(id).progress().peers_answer.reason, PeersReason::rules_stopped);
  swarm.facts(core::PeerJoined{core::SourceId{core::kFirstPeerSource}, "p", {}, false});
  loop.run();
  EXPECT_EQ(reason(id), PeersReason::connected);
  swarm.facts(core::PeerLeft{core::SourceId{core::kFirstPeerSource}});
  swarm.view = {};
  loop.run();
  serve_all();
  EXPECT_EQ(reason(id), PeersReason::serving);
  run(id, &Job::complete);
  EXPECT_EQ(reason(id), PeersReason::looking) << "as it was when the last byte came";
}

TEST_F(PrivateTest, TheAnswerOfASwarmThatDoesNotRun) {
  swarm.readiness_now = core::SwarmReadiness::missing;
  const JobId id = start_job(1, "/out/a");
  EXPECT_EQ(reason(id), PeersReason::module_missing);
  swarm.readiness_now = core::SwarmReadiness::not_started;
  EXPECT_EQ(reason(id), PeersReason::not_started);
}

TEST_F(PrivateTest, ModesWithoutPeersJoinNothingAndSimpleAsksNothingElse) {
  for (const DownloadMode mode : {DownloadMode::cdn_only, DownloadMode::simple}) {
    EngineSettings with;
    with.mode = mode;
    JobWorld world(with);
    FileSpec file = file_of(1, "/out/a");
    file.manifest.reset();
    const JobId id = world.create();
    world.run_add(id, std::move(file));
    world.run(id, &Job::resume);
    probed(world, kFileBytes);
    world.loop.run();
    EXPECT_EQ(world.origins.oldest().kind, mode == DownloadMode::simple ? "range" : "document");
    EXPECT_EQ(world.swarm.joins, 0);
    if (mode != DownloadMode::simple) continue;
    world.serve_all();
    EXPECT_EQ(world.state(id), JobState::transferred);
    EXPECT_EQ(world.job(id).files()[0].peers_answer.reason, PeersReason::mode);
  }
}

TEST_F(PrivateTest, BypassTakesNothingFromTheCacheAndIsAnotherContentThere) {
  store.pieces[content_id(1)] = core::PieceSet(kPieces);
  for (core::PieceIndex p{0}; p.value < kPieces; p = p + 1) store.pieces[content_id(1)].insert(p);
  settings.mode = DownloadMode::bypass;
  settings.keep_delivered = false;
  restart();
  const JobId id = start_job(1, "/out/a");
  serve_all();
  EXPECT_EQ(origins.bytes_served, kFileBytes);
  EXPECT_TRUE(store.hints.bypass);
  EXPECT_EQ(store.hints.metainfo, nullptr);
  run(id, &Job::complete);
  EXPECT_TRUE(store.delivered.contains("/out/a"));
  EXPECT_EQ(store.pieces.size(), 1U) << "the cache has what it had";
  EXPECT_TRUE(is_cached(1));
}

}  // namespace
}  // namespace lanward::jobs
