// An engine over fakes of every port, which can be killed and started again on what it left.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "engine/core/merkle.h"
#include "engine/core/metainfo.h"
#include "engine/jobs/engine.h"
#include "engine/store/digest.h"
#include "engine/store/sha256.h"
#include "tests/support/fake_journal.h"
#include "tests/support/fake_loop.h"
#include "tests/support/fake_origins.h"
#include "tests/support/fake_store.h"
#include "tests/support/fake_swarm.h"

namespace lanward::jobs {

// A file of four is longer than what one request asks for at once.
inline constexpr std::uint32_t kPiece = 512 * 1024;
inline constexpr std::uint32_t kPieces = 4;
inline constexpr std::uint64_t kFileBytes = std::uint64_t{kPieces} * kPiece;

// The manifest of content number `n`.
inline core::Manifest manifest_of(std::uint8_t n, std::uint32_t pieces = kPieces) {
  core::Content content;
  content.layout = core::PieceLayout(core::ByteCount{std::uint64_t{pieces} * kPiece}, kPiece);
  content.piece_hashes.resize(pieces);
  for (core::Digest& hash : content.piece_hashes) hash.fill(n);
  content.id = core::pieces_root(content.piece_hashes, content.layout, &store::sha256);
  auto manifest = core::parse_metainfo(
      core::write_metainfo({.content = content, .name = "f", .web_seeds = {}, .trackers = {}}),
      &store::sha256);
  return std::move(manifest.value());
}

inline core::Digest content_id(std::uint8_t n) { return manifest_of(n).content.id; }
inline std::string url_of(std::uint8_t n) { return "http://cdn/" + std::to_string(n); }

// A file of content number `n` with its manifest at hand.
inline FileSpec file_of(std::uint8_t n, const std::string& destination) {
  return {.source = url_of(n),
          .urls = {{.url = url_of(n)}},
          .destination = destination,
          .manifest = manifest_of(n),
          .manifest_url = {},
          .peers = {},
          .trackers = {}};
}

// What became of a call: nothing while it is under way.
class Answer {
 public:
  [[nodiscard]] Job::Done sink() {
    return [slot = slot_](Result<void> result) {
      EXPECT_FALSE(slot->has_value()) << "answered twice";
      *slot = std::move(result);
    };
  }
  [[nodiscard]] bool is_there() const { return slot_->has_value(); }
  [[nodiscard]] bool ok() const { return is_there() && (*slot_)->has_value(); }
  // Nothing while it is under way, or when it went well.
  [[nodiscard]] std::optional<ErrorCode> error() const {
    if (!is_there() || ok()) return std::nullopt;
    return (*slot_)->error().code;
  }

 private:
  std::shared_ptr<std::optional<Result<void>>> slot_ =
      std::make_shared<std::optional<Result<void>>>();
};

class JobWorld {
 public:
  explicit JobWorld(EngineSettings with = {}) : settings(std::move(with)) {
    settings.wall_clock = [this] { return wall(); };
    start();
  }

  // The engine dies; the next one finds what is on disk.
  void kill() {
    engine.reset();
    journal.crash();
    store.crash();
    loop.run();  // what is posted belongs to the dead
  }
  // With the journal's records.
  void start() {
    engine.emplace(Ports{.loop = loop,
                         .origins = origins,
                         .store = store,
                         .swarm = &swarm,
                         .sha256 = &store::sha256,
                         .journal = &journal,
                         .hasher = &store::make_hasher,
                         .metalink = metalink},
                   settings, core::Seed{++seed_});
    engine->restore(journal.records());
    loop.run();
  }
  void restart() {
    kill();
    start();
  }
  // In an orderly way.
  void close() {
    bool closed = false;
    engine->close([&] { closed = true; });
    loop.run();
    EXPECT_TRUE(closed);
  }

  JobId create(const std::string& name = "job") {
    std::optional<JobId> id;
    engine->create_job(
        name, [this](const JobEvent& event) { events.push_back(event); },
        [&](Result<Job*> job) {
          if (job) id = (*job)->id();
        });
    loop.run();
    EXPECT_TRUE(id);
    return id.value_or(JobId{});
  }
  Job& job(const JobId& id) { return *engine->find(id).value(); }
  JobState state(const JobId& id) { return job(id).state(); }
  JobState durable(const JobId& id) {
    const auto record = journal.record(id);
    EXPECT_TRUE(record) << "the journal does not know the job";
    return record ? record->state : JobState::error;
  }

  Answer call(const JobId& id, void (Job::*method)(Job::Done)) {
    Answer answer;
    (job(id).*method)(answer.sink());
    return answer;
  }
  Answer add(const JobId& id, FileSpec file) {
    std::vector<FileSpec> files;
    files.push_back(std::move(file));
    Answer answer;
    job(id).add_files(std::move(files), answer.sink());
    return answer;
  }
  Answer change(const JobId& id, const JobChange& change) {
    Answer answer;
    job(id).change(change, answer.sink());
    return answer;
  }

  // Calls that are to succeed before this returns.
  void run(const JobId& id, void (Job::*method)(Job::Done)) {
    const Answer answer = call(id, method);
    loop.run();
    EXPECT_TRUE(answer.ok());
  }
  void run_add(const JobId& id, FileSpec file) {
    const Answer answer = add(id, std::move(file));
    loop.run();
    EXPECT_TRUE(answer.ok());
  }
  void run_change(const JobId& id, const JobChange& with) {
    const Answer answer = change(id, with);
    loop.run();
    EXPECT_TRUE(answer.ok());
  }
  // A job with one file of content number `n`, resumed.
  JobId start_job(std::uint8_t n, const std::string& destination) {
    const JobId id = create();
    run_add(id, file_of(n, destination));
    run(id, &Job::resume);
    return id;
  }
  // One request is answered with its bytes. False: none is open.
  bool serve_one() {
    if (origins.open.empty()) return false;
    origins.serve();
    loop.run();
    return true;
  }
  void serve_all() {
    for (int n = 0; n < 1000 && serve_one(); ++n) {
    }
    EXPECT_TRUE(origins.open.empty()) << "the origin is asked without end";
  }
  std::size_t requests_for(std::uint8_t n) {
    std::size_t count = 0;
    for (const auto& [id, request] : origins.open) count += request.url == url_of(n) ? 1 : 0;
    return count;
  }
  // Pieces of content number `n` in the cache, as far as nobody has it open.
  std::uint32_t cached(std::uint8_t n) {
    const auto it = store.pieces.find(content_id(n));
    return it == store.pieces.end() ? 0 : it->second.count();
  }
  bool is_cached(std::uint8_t n) { return store.pieces.contains(content_id(n)); }
  std::chrono::system_clock::time_point wall() const {
    return std::chrono::system_clock::time_point{std::chrono::hours{24 * 365 * 50}} +
           std::chrono::duration_cast<std::chrono::system_clock::duration>(
               loop.now().time_since_epoch());
  }

  testing::FakeLoop loop;
  testing::FakeOrigins origins;
  testing::FakeStore store;
  testing::FakeSwarm swarm;
  testing::FakeJournal journal;
  EngineSettings settings;
  std::vector<JobEvent> events;         // of jobs made here; a restart ends them
  core::MetalinkFn metalink = nullptr;  // of engines started from now on
  std::optional<Engine> engine;

 private:
  std::uint64_t seed_ = 0;
};

}  // namespace lanward::jobs
