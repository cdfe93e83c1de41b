// Peers in one process: a swarm, a store in memory, and everything that was told about them.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/core/metainfo.h"
#include "engine/store/sha256.h"
#include "peer/swarm.h"
#include "tests/support/memory_store.h"

namespace lanward::test {

// For conditions that come within milliseconds; a sanitizer on a busy machine takes longer.
inline constexpr std::chrono::seconds kPatience{60};

// A file and its manifest.
struct TestFile {
  std::vector<std::byte> bytes;
  core::Manifest manifest;

  static TestFile make(std::uint64_t size, std::uint32_t piece_bytes, std::uint32_t seed) {
    std::printf("file of %llu bytes from seed %u\n", static_cast<unsigned long long>(size), seed);
    TestFile file;
    file.bytes.resize(size);
    std::mt19937 random(seed);
    for (std::byte& b : file.bytes) b = static_cast<std::byte>(random());
    core::MetainfoParts parts;
    parts.content.layout = core::PieceLayout(core::ByteCount{size}, piece_bytes);
    parts.content.piece_hashes = piece_hashes(file.bytes, parts.content.layout);
    parts.content.id =
        core::pieces_root(parts.content.piece_hashes, parts.content.layout, &store::sha256);
    parts.name = "file";
    const auto metainfo = core::write_metainfo(parts);
    auto manifest = core::parse_metainfo(metainfo, &store::sha256);
    if (!manifest) {
      ADD_FAILURE() << manifest.error().message;
    } else {
      file.manifest = std::move(*manifest);
    }
    return file;
  }

  static std::vector<core::Digest> piece_hashes(const std::vector<std::byte>& bytes,
                                                const core::PieceLayout& layout) {
    std::vector<core::Digest> hashes;
    for (core::PieceIndex p{0}; p.value < layout.piece_count(); ++p) {
      std::vector<core::Digest> leaves;
      const core::ByteSpan span = layout.bytes(p);
      for (std::uint64_t at = span.begin; at < span.end; at += core::kBlockBytes) {
        const auto length = std::min<std::uint64_t>(core::kBlockBytes, span.end - at);
        leaves.push_back(store::sha256({bytes.data() + at, length}));
      }
      hashes.push_back(
          core::merkle_root(leaves, layout.leaves_per_piece(), core::Digest{}, &store::sha256));
    }
    return hashes;
  }
};

// Facts in order, from any thread.
class FactLog {
 public:
  ports::FactSink sink() {
    return [this](core::Event event) {
      const std::lock_guard lock(mutex_);
      facts_.push_back(std::move(event));
      changed_.notify_all();
    };
  }

  template <class Fact>
  [[nodiscard]] std::vector<Fact> all() const {
    const std::lock_guard lock(mutex_);
    return collect<Fact>();
  }

  // Waits until enough facts of one kind have come; false if that takes too long.
  template <class Fact>
  [[nodiscard]] bool wait_for(std::size_t count, std::chrono::milliseconds patience = kPatience) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return collect<Fact>().size() >= count; });
  }
  template <class Fact, class Predicate>
  [[nodiscard]] bool wait_until(Predicate predicate) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] {
      for (const Fact& fact : collect<Fact>()) {
        if (predicate(fact)) return true;
      }
      return false;
    });
  }
  [[nodiscard]] std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return facts_.size();
  }

 private:
  template <class Fact>
  [[nodiscard]] std::vector<Fact> collect() const {
    std::vector<Fact> found;
    for (const core::Event& event : facts_) {
      if (const auto* fact = std::get_if<Fact>(&event)) found.push_back(*fact);
    }
    return found;
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<core::Event> facts_;
};

// One peer. As the engine does, it announces every piece that its store verifies.
class TestPeer {
 public:
  explicit TestPeer(const TestFile& file, std::string listen = "127.0.0.1:0",
                    bool local_discovery = false, std::string group_file = {}, bool beacon = false,
                    std::string rules_file = {}, peer::SwarmLimits limits = {},
                    peer::SwarmOptions options = {})
      : file_(file) {
    options.listen = std::move(listen);
    options.local_discovery = local_discovery;
    options.group_file = std::move(group_file);
    options.sha256 = &store::sha256;
    options.beacon = beacon;
    options.rules_file = std::move(rules_file);
    options.limits = limits;
    auto made = peer::LibtorrentSwarm::create(options);
    if (!made) {
      ADD_FAILURE() << made.error().message;
      return;
    }
    swarm = std::move(*made);
    store = std::make_shared<MemoryStore>(file.manifest.content, [this](core::Event event) {
      if (const auto* verified = std::get_if<core::PieceVerified>(&event))
        announce(verified->piece);
      facts.sink()(std::move(event));
    });
  }
  ~TestPeer() {
    std::unique_ptr<ports::SwarmMember> leaving;
    {
      const std::lock_guard lock(member_mutex);
      leaving = std::move(member);
    }
    leaving.reset();
    swarm.reset();
    store.reset();  // its worker announces pieces until then
  }

  void put_all() {
    for (core::PieceIndex p{0}; p.value < file_.manifest.content.layout.piece_count(); ++p) put(p);
  }
  void put(core::PieceIndex piece) { store->put(piece, file_.bytes); }

  void join(std::vector<std::string> peers = {}, std::vector<std::string> trackers = {}) {
    auto joined =
        swarm->join({file_.manifest, store, std::move(peers), std::move(trackers)}, facts.sink());
    const std::lock_guard lock(member_mutex);
    member = std::move(joined);
  }
  void allow_all() { member->allow(file_.manifest.content.layout.all()); }
  void announce(core::PieceIndex piece) {
    const std::lock_guard lock(member_mutex);
    if (member) member->announce(piece);
  }
  // Leaves and waits for the store to be let go of.
  [[nodiscard]] bool leave() {
    const auto state = std::make_shared<std::pair<std::mutex, std::condition_variable>>();
    const auto done = std::make_shared<bool>(false);
    member->leave([state, done] {
      const std::lock_guard lock(state->first);
      *done = true;
      state->second.notify_all();
    });
    std::unique_lock lock(state->first);
    return state->second.wait_for(lock, kPatience, [&] { return *done; });
  }

  // What the store has taken from the source.
  [[nodiscard]] ports::SourceLedger ledger(core::SourceId source) const {
    for (const ports::SourceLedger& entry : store->ledger()) {
      if (entry.source == source) return entry;
    }
    return {};
  }

  [[nodiscard]] std::string address() const {
    return "127.0.0.1:" + std::to_string(swarm->listen_port().value_or(0));
  }
  [[nodiscard]] bool complete() {
    return facts.wait_for<core::PieceVerified>(file_.manifest.content.layout.piece_count());
  }

  FactLog facts;
  std::unique_ptr<peer::LibtorrentSwarm> swarm;
  std::shared_ptr<MemoryStore> store;
  std::mutex member_mutex;
  std::unique_ptr<ports::SwarmMember> member;

 private:
  const TestFile& file_;
};

}  // namespace lanward::test
