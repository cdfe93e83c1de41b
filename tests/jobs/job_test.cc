// The life of a job over fakes of every port.
#include "engine/jobs/job.h"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/core/metainfo.h"
#include "engine/jobs/engine.h"
#include "engine/store/sha256.h"
#include "tests/support/fake_loop.h"
#include "tests/support/fake_origins.h"
#include "tests/support/fake_store.h"
#include "tests/support/fake_swarm.h"

namespace lanward::jobs {
namespace {

using namespace std::chrono_literals;

// A file of four is longer than what one request asks for at once.
constexpr std::uint32_t kPiece = 512 * 1024;
constexpr std::uint32_t kPieces = 4;
const std::string kUrl = "http://cdn/file";
constexpr core::SourceId kPeer{core::kFirstPeerSource};

core::Manifest manifest() {
  core::Manifest m;
  m.content.id.fill(1);
  m.content.layout = core::PieceLayout(core::ByteCount{kPieces * kPiece}, kPiece);
  m.content.piece_hashes.resize(kPieces);
  m.name = "file.bin";
  return m;
}

class JobTest : public ::testing::Test {
 protected:
  JobTest() { restart({}); }

  void restart(EngineSettings settings) {
    engine_.emplace(Ports{.loop = loop_,
                          .origins = origins_,
                          .store = store_,
                          .swarm = &swarm_,
                          .sha256 = &store::sha256},
                    settings, core::Seed{1});
    job_ = create("test");
  }
  Job* create(const std::string& name) {
    Job* created = nullptr;
    engine_->create_job(
        name,
        [this](const JobEvent& event) {
          if (event.state_changed) states_.push_back(event.state);
          last_error_ = event.error;
        },
        [&](Result<Job*> job) { created = job.value_or(nullptr); });
    return created;
  }
  // Without a journal calls are carried out at once.
  Result<void> add(FileSpec file, Job* job = nullptr) {
    std::vector<FileSpec> files;
    files.push_back(std::move(file));
    Result<void> result;
    (job == nullptr ? job_ : job)->add_files(std::move(files), [&](Result<void> r) { result = r; });
    return result;
  }
  Result<void> resume(Job* job = nullptr) {
    Result<void> result;
    (job == nullptr ? job_ : job)->resume([&](Result<void> r) { result = r; });
    return result;
  }
  Result<void> suspend(Job* job = nullptr) {
    Result<void> result;
    (job == nullptr ? job_ : job)->suspend([&](Result<void> r) { result = r; });
    return result;
  }
  FileSpec spec() {
    return {.source = kUrl,
            .urls = {{.url = kUrl}},
            .destination = "/out/file",
            .manifest = manifest(),
            .manifest_url = {},
            .peers = {},
            .trackers = {}};
  }
  void start(FileSpec file) {
    ASSERT_TRUE(add(std::move(file)));
    ASSERT_TRUE(resume());
    loop_.run();
  }
  void serve_all() {
    for (int n = 0; n < 100 && !origins_.open.empty(); ++n) {
      origins_.serve();
      loop_.run();
    }
  }
  std::optional<Result<void>> finish(void (Job::*call)(Job::Done)) {
    std::optional<Result<void>> result;
    (job_->*call)([&result](Result<void> r) { result = std::move(r); });
    loop_.run();
    return result;
  }

  testing::FakeLoop loop_;
  testing::FakeOrigins origins_;
  testing::FakeStore store_;
  testing::FakeSwarm swarm_;
  std::vector<JobState> states_;
  std::optional<JobError> last_error_;
  std::optional<Engine> engine_;
  Job* job_ = nullptr;
};

TEST_F(JobTest, IsBornSuspendedAndAsksForNothing) {
  ASSERT_TRUE(add(spec()));
  loop_.advance(10s);
  EXPECT_EQ(job_->state(), JobState::suspended);
  EXPECT_EQ(origins_.requests, 0);
}

TEST_F(JobTest, WithoutFilesItCannotBeResumed) {
  const auto result = resume();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::job_empty);
}

TEST_F(JobTest, WalksThroughItsStatesToAcknowledged) {
  start(spec());
  EXPECT_EQ(job_->state(), JobState::transferring);
  serve_all();
  EXPECT_EQ(job_->state(), JobState::transferred);
  EXPECT_TRUE(store_.delivered.empty()) << "nothing at the destination before complete()";
  ASSERT_TRUE(*finish(&Job::complete));
  EXPECT_EQ(states_, (std::vector{JobState::queued, JobState::connecting, JobState::transferring,
                                  JobState::transferred, JobState::acknowledged}));
  EXPECT_EQ(store_.delivered.count("/out/file"), 1U);
  EXPECT_EQ(store_.closes, 1);
  EXPECT_EQ(swarm_.members, 0);
}

TEST_F(JobTest, BytesBySourceAddUpToTheFile) {
  start(spec());
  serve_all();
  const Progress progress = job_->progress();
  EXPECT_EQ(progress.verified_bytes, kPieces * kPiece);
  EXPECT_EQ(progress.origin_bytes, kPieces * kPiece);
  EXPECT_EQ(progress.origin_bytes + progress.peer_bytes,
            progress.total_bytes - progress.cached_bytes + progress.wasted_bytes);
  ASSERT_TRUE(*finish(&Job::complete));
  EXPECT_EQ(job_->progress().origin_bytes, kPieces * kPiece) << "figures outlive the transfer";
}

TEST_F(JobTest, VerifiedPiecesAreOfferedToPeers) {
  start(spec());
  origins_.serve();
  loop_.run();
  EXPECT_EQ(swarm_.announced.size(), 1U);
}

TEST_F(JobTest, PiecesOfPeersAreAllowedAndNotAskedFromTheOrigin) {
  FileSpec file = spec();
  file.peers = {"10.0.0.1:1"};
  start(std::move(file));
  swarm_.facts(core::PeerJoined{.peer = kPeer, .address = "10.0.0.1:1"});
  core::PieceSet all(kPieces);
  for (std::uint32_t i = 0; i < kPieces; ++i) all.insert(core::PieceIndex{i});
  swarm_.facts(core::PeerHasPieces{kPeer, all});
  loop_.run();
  EXPECT_EQ(swarm_.allowed.size(), kPieces);
  EXPECT_EQ(origins_.requests, 0);
  std::vector<std::byte> block(core::kBlockBytes);
  for (std::uint32_t i = 0; i < kPieces * kPiece / core::kBlockBytes; ++i) {
    const std::uint32_t per_piece = kPiece / core::kBlockBytes;
    (void)swarm_.store->write_block(
        core::PieceIndex{i / per_piece}, i % per_piece * core::kBlockBytes, block, kPeer,
        [](Result<void>) {}, [] {});
  }
  loop_.run();
  EXPECT_EQ(job_->state(), JobState::transferred);
  EXPECT_EQ(job_->progress().peer_bytes, kPieces * kPiece);
  EXPECT_EQ(job_->sources().back().name, "10.0.0.1:1");
}

TEST_F(JobTest, FindsTheManifestBesideTheFile) {
  FileSpec file = spec();
  file.manifest.reset();
  start(std::move(file));
  EXPECT_EQ(job_->state(), JobState::connecting);
  EXPECT_EQ(origins_.oldest().kind, "probe");
  core::OriginFacts facts;
  facts.url = kUrl;
  facts.ranges = facts.size_known = true;
  facts.size = core::ByteCount{100};
  facts.strong_etag = "\"e\"";
  origins_.answer_probe(facts);
  loop_.run();
  EXPECT_EQ(origins_.oldest().url, kUrl + ".torrent");
  core::Content content{
      .id = {}, .layout = core::PieceLayout(core::ByteCount{100}, kPiece), .piece_hashes = {}};
  content.id.fill(9);
  content.piece_hashes = {content.id};
  origins_.answer_document(
      core::write_metainfo({.content = content, .name = "n", .web_seeds = {}, .trackers = {}}));
  loop_.run();
  ASSERT_EQ(origins_.oldest().kind, "range");
  EXPECT_EQ(origins_.oldest().validator, "") << "pieces tell whether the bytes are right";
  serve_all();
  EXPECT_EQ(job_->state(), JobState::transferred);
  EXPECT_EQ(job_->files()[0].integrity, Integrity::manifest);
}

TEST_F(JobTest, WithoutAManifestItIsHttpOnlyAndSaysSo) {
  FileSpec file = spec();
  file.manifest.reset();
  file.urls.push_back({.url = "http://mirror/file"});
  start(std::move(file));
  core::OriginFacts facts;
  facts.url = kUrl;
  facts.ranges = facts.size_known = true;
  facts.size = core::ByteCount{1000};
  origins_.answer_probe(facts);
  loop_.run();
  origins_.fail(core::FailureClass::permanent);
  loop_.run();
  EXPECT_EQ(swarm_.joins, 0);
  serve_all();
  EXPECT_EQ(job_->state(), JobState::transferred);
  EXPECT_EQ(job_->files()[0].integrity, Integrity::transport);
  EXPECT_NE(job_->files()[0].note.find("no manifest found"), std::string::npos);
}

TEST_F(JobTest, SuspendKeepsPiecesAndResumeGoesOnFromThem) {
  start(spec());
  origins_.serve();
  loop_.run();
  ASSERT_TRUE(suspend());
  loop_.run();
  EXPECT_EQ(job_->state(), JobState::suspended);
  EXPECT_TRUE(origins_.open.empty());
  EXPECT_EQ(swarm_.members, 0);
  ASSERT_TRUE(resume());
  loop_.run();
  serve_all();
  EXPECT_EQ(job_->state(), JobState::transferred);
  EXPECT_EQ(origins_.bytes_served, kPieces * kPiece) << "no byte was fetched twice";
}

TEST_F(JobTest, CancelStopsRequestsAtOnceThenLeavesAndPurges) {
  start(spec());
  origins_.serve();
  loop_.run();
  std::optional<Result<void>> result;
  job_->cancel([&](Result<void> r) { result = std::move(r); });
  EXPECT_TRUE(origins_.open.empty()) << "before anything else runs";
  EXPECT_EQ(job_->state(), JobState::cancelled);
  loop_.run();
  ASSERT_TRUE(result && *result);
  EXPECT_EQ(swarm_.members, 0);
  EXPECT_EQ(store_.purges, 1);
  EXPECT_TRUE(store_.pieces.empty());
}

TEST_F(JobTest, CancelOfASuspendedJobPurgesItsPiecesToo) {
  start(spec());
  origins_.serve();
  loop_.run();
  ASSERT_TRUE(suspend());
  loop_.run();
  EXPECT_FALSE(store_.pieces.empty());
  ASSERT_TRUE(*finish(&Job::cancel));
  EXPECT_TRUE(store_.pieces.empty());
}

TEST_F(JobTest, CancelRightAfterSuspendPurgesToo) {
  start(spec());
  origins_.serve();
  loop_.run();
  ASSERT_TRUE(suspend());
  ASSERT_TRUE(*finish(&Job::cancel));
  EXPECT_TRUE(store_.pieces.empty());
}

TEST_F(JobTest, EveryCallIsRefusedAfterCancelAndAfterAcknowledge) {
  start(spec());
  serve_all();
  ASSERT_TRUE(*finish(&Job::complete));
  EXPECT_EQ(finish(&Job::cancel)->error().code, ErrorCode::invalid_state);
  EXPECT_EQ(finish(&Job::complete)->error().code, ErrorCode::invalid_state);
  EXPECT_EQ(resume().error().code, ErrorCode::invalid_state);
  EXPECT_EQ(suspend().error().code, ErrorCode::invalid_state);
  EXPECT_EQ(add(spec()).error().code, ErrorCode::invalid_state);
}

TEST_F(JobTest, CompleteBeforeTheEndDropsWhatIsNotThere) {
  start(spec());
  origins_.serve();
  loop_.run();
  ASSERT_TRUE(*finish(&Job::complete));
  EXPECT_EQ(job_->state(), JobState::acknowledged);
  EXPECT_TRUE(origins_.open.empty());
  EXPECT_TRUE(store_.delivered.empty());
  EXPECT_TRUE(store_.pieces.empty());
}

TEST_F(JobTest, AFailedDeliveryLeavesTheJobTransferredAndCanBeRepeated) {
  start(spec());
  serve_all();
  store_.deliver_error = Error{ErrorCode::disk_full, "no space"};
  EXPECT_EQ(finish(&Job::complete)->error().code, ErrorCode::disk_full);
  EXPECT_EQ(job_->state(), JobState::transferred);
  store_.deliver_error.reset();
  EXPECT_TRUE(*finish(&Job::complete));
}

TEST_F(JobTest, ALyingOriginEndsInErrorAndKeepsTheGoodPieces) {
  store_.bad_pieces = {{2, 100}};
  start(spec());
  serve_all();
  loop_.advance(core::Policy{}.peer_grace);  // peers might have had the piece
  EXPECT_EQ(job_->state(), JobState::error);
  ASSERT_TRUE(job_->error());
  EXPECT_EQ(job_->error()->code, ErrorCode::integrity);
  EXPECT_EQ(last_error_, job_->error());
  EXPECT_EQ(store_.pieces.begin()->second.count(), kPieces - 1);
  EXPECT_TRUE(job_->sources()[0].banned);
}

TEST_F(JobTest, AJobInErrorCanBeResumed) {
  store_.open_error = Error{ErrorCode::disk_full, "no space"};
  start(spec());
  EXPECT_EQ(job_->state(), JobState::error);
  store_.open_error.reset();
  ASSERT_TRUE(resume());
  loop_.run();
  serve_all();
  EXPECT_EQ(job_->state(), JobState::transferred);
}

TEST_F(JobTest, WaitingOutAnOriginIsATransientError) {
  start(spec());
  while (!origins_.open.empty()) origins_.fail(core::FailureClass::transient);
  loop_.run();
  EXPECT_EQ(job_->state(), JobState::transient_error);
  loop_.advance(5s);
  EXPECT_FALSE(origins_.open.empty());
  serve_all();
  EXPECT_EQ(job_->state(), JobState::transferred);
}

TEST_F(JobTest, ASharedFileStaysInTheSwarmAfterComplete) {
  FileSpec file = spec();
  file.share_after_complete = true;
  start(std::move(file));
  serve_all();
  ASSERT_TRUE(*finish(&Job::complete));
  EXPECT_EQ(swarm_.members, 1);
  bool closed = false;
  engine_->close([&] { closed = true; });
  loop_.run();
  EXPECT_TRUE(closed);
  EXPECT_EQ(swarm_.members, 0);
}

TEST_F(JobTest, AConsumingEngineGivesTheDataFileAway) {
  restart({.keep_delivered = false});
  start(spec());
  serve_all();
  ASSERT_TRUE(*finish(&Job::complete));
  EXPECT_EQ(store_.delivered.at("/out/file"), ports::Delivery::consume);
  EXPECT_TRUE(store_.pieces.empty());
}

TEST_F(JobTest, AConsumingEngineSharesTheFileItHasGivenAway) {
  restart({.keep_delivered = false});
  FileSpec file = spec();
  file.share_after_complete = true;
  start(std::move(file));
  serve_all();
  const std::uint64_t received = job_->progress().origin_bytes;
  ASSERT_TRUE(*finish(&Job::complete));
  EXPECT_EQ(store_.delivered.at("/out/file"), ports::Delivery::share);
  EXPECT_EQ(swarm_.members, 1);
  EXPECT_EQ(store_.closes, 0) << "peers still read it";
  EXPECT_EQ(job_->progress().origin_bytes, received);
  engine_->close([] {});
  loop_.run();
  EXPECT_EQ(swarm_.members, 0);
  EXPECT_EQ(store_.closes, 1);
  EXPECT_EQ(store_.purges, 0);
  EXPECT_TRUE(store_.pieces.empty());
}

TEST_F(JobTest, CancellingAJobOfWhichAFileIsSharedLetsGoOfThatFile) {
  restart({.keep_delivered = false});
  FileSpec first = spec();
  first.share_after_complete = true;
  FileSpec second = spec();
  second.manifest->content.id.fill(2);
  second.destination = "/out/second";
  ASSERT_TRUE(add(first));
  ASSERT_TRUE(add(second));
  ASSERT_TRUE(resume());
  loop_.run();
  serve_all();
  store_.refused_destination = "/out/second";
  ASSERT_FALSE(*finish(&Job::complete));
  EXPECT_EQ(store_.delivered.at("/out/file"), ports::Delivery::share);
  ASSERT_TRUE(*finish(&Job::cancel));
  EXPECT_EQ(swarm_.members, 0);
  EXPECT_EQ(store_.closes, 1) << "of the shared file";
  EXPECT_EQ(store_.purges, 1) << "of the other";
  EXPECT_TRUE(store_.pieces.empty());
}

TEST_F(JobTest, AKeepingEngineSharesFromItsCache) {
  FileSpec file = spec();
  file.share_after_complete = true;
  start(std::move(file));
  serve_all();
  ASSERT_TRUE(*finish(&Job::complete));
  EXPECT_EQ(store_.delivered.at("/out/file"), ports::Delivery::keep);
  engine_->close([] {});
  loop_.run();
  EXPECT_EQ(store_.pieces.size(), 1U);
}

TEST_F(JobTest, FilesAreFetchedOneAfterTheOther) {
  FileSpec second = spec();
  second.manifest->content.id.fill(2);
  second.destination = "/out/second";
  ASSERT_TRUE(add(spec()));
  ASSERT_TRUE(add(second));
  ASSERT_TRUE(resume());
  loop_.run();
  EXPECT_EQ(store_.opens, 1);
  serve_all();
  EXPECT_EQ(store_.opens, 2);
  EXPECT_EQ(job_->state(), JobState::transferred);
  EXPECT_EQ(job_->progress().files_transferred, 2U);
  ASSERT_TRUE(*finish(&Job::complete));
  EXPECT_EQ(store_.delivered.size(), 2U);
}

TEST_F(JobTest, FactsOfAnEarlierRunAreDropped) {
  start(spec());
  const ports::FactSink stale = swarm_.facts;
  ASSERT_TRUE(suspend());
  loop_.run();
  ASSERT_TRUE(resume());
  loop_.run();
  stale(core::PieceVerified{core::PieceIndex{0}, {kPeer}});
  stale(core::StoreFailed{{ErrorCode::disk_io, "late"}});
  loop_.run();
  EXPECT_EQ(job_->progress().verified_bytes, 0U);
  EXPECT_EQ(job_->state(), JobState::transferring);
}

}  // namespace
}  // namespace lanward::jobs
