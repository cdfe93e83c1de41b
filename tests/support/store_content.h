// Contents with known bytes for tests of piece stores, and a record of what a store reports.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/core/content.h"
#include "engine/core/events.h"
#include "engine/core/merkle.h"
#include "engine/ports/content_store.h"
#include "engine/store/sha256.h"

namespace lanward::test {

inline constexpr core::SourceId kOrigin{0};
inline constexpr core::SourceId kMirror{1};
inline constexpr core::SourceId kPeerA{core::kFirstPeerSource};
inline constexpr core::SourceId kPeerB{core::kFirstPeerSource + 1};

struct TestFile {
  core::Content content;
  std::vector<std::byte> bytes;

  [[nodiscard]] std::span<const std::byte> piece(std::uint32_t p) const {
    const core::ByteSpan span = content.layout.bytes(core::PieceIndex{p});
    return std::span(bytes).subspan(span.begin, span.size().value);
  }
};

// The bytes are a pure function of seed and position.
inline std::vector<std::byte> make_bytes(std::uint64_t size, std::uint64_t seed) {
  std::vector<std::byte> bytes(size);
  std::uint64_t x = seed * 0x9E3779B97F4A7C15ULL + 1;
  for (std::uint64_t i = 0; i < size; ++i) {
    if (i % 8 == 0) {
      x ^= x << 13;
      x ^= x >> 7;
      x ^= x << 17;
    }
    bytes[i] = static_cast<std::byte>(x >> (i % 8 * 8));
  }
  return bytes;
}

inline std::vector<core::Digest> leaves_of(std::span<const std::byte> bytes) {
  std::vector<core::Digest> leaves;
  for (std::size_t at = 0; at < bytes.size(); at += core::kBlockBytes) {
    leaves.push_back(store::sha256(
        bytes.subspan(at, std::min<std::size_t>(core::kBlockBytes, bytes.size() - at))));
  }
  return leaves;
}

inline TestFile make_file(std::uint64_t size, std::uint32_t piece_bytes, std::uint64_t seed = 1,
                          bool with_manifest = true) {
  TestFile file;
  file.bytes = make_bytes(size, seed);
  file.content.layout = core::PieceLayout(core::ByteCount{size}, piece_bytes);
  file.content.id = store::sha256(file.bytes);
  if (!with_manifest) return file;
  for (std::uint32_t p = 0; p < file.content.layout.piece_count(); ++p) {
    file.content.piece_hashes.push_back(core::merkle_root(leaves_of(file.piece(p)),
                                                          file.content.layout.leaves_per_piece(),
                                                          core::Digest{}, &store::sha256));
  }
  return file;
}

// Facts and completions of a store, waited for from the test's thread.
class StoreRecord {
 public:
  [[nodiscard]] ports::FactSink sink() {
    return [this](core::Event event) {
      change([&] {
        if (auto* good = std::get_if<core::PieceVerified>(&event)) verified.push_back(*good);
        if (auto* bad = std::get_if<core::PieceFailed>(&event)) failed.push_back(*bad);
        if (auto* end = std::get_if<core::StoreFailed>(&event)) errors.push_back(end->error);
      });
    };
  }

  template <class Change>
  void change(const Change& what) {
    const std::lock_guard lock(mutex_);
    what();
    changed_.notify_all();
  }
  // Whether the condition came true before the deadline. It is looked at under the lock.
  template <class Condition>
  [[nodiscard]] bool wait(const Condition& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), condition);
  }
  template <class Look>
  [[nodiscard]] auto look(const Look& what) {
    const std::lock_guard lock(mutex_);
    return what();
  }

  // Under look(), wait() or change() only.
  std::vector<core::PieceVerified> verified;
  std::vector<core::PieceFailed> failed;
  std::vector<Error> errors;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
};

}  // namespace lanward::test
