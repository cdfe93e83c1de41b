// A fact sink that remembers.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "engine/core/events.h"
#include "engine/ports/loop.h"
#include "simulator/store.h"

namespace lanward::simulator {

class RecordedFacts {
 public:
  [[nodiscard]] ports::FactSink sink() {
    return [this](core::Event event) { events.push_back(std::move(event)); };
  }
  template <class Fact>
  [[nodiscard]] std::vector<Fact> all() const {
    std::vector<Fact> result;
    for (const core::Event& event : events) {
      if (const auto* fact = std::get_if<Fact>(&event)) result.push_back(*fact);
    }
    return result;
  }
  template <class Fact>
  [[nodiscard]] std::size_t count() const {
    return all<Fact>().size();
  }

  std::vector<core::Event> events;
};

// A manifest of `pieces` pieces of 256 KiB, the last one short by `cut` bytes.
[[nodiscard]] inline core::Manifest test_manifest(std::uint32_t pieces, std::uint32_t cut = 0) {
  constexpr std::uint32_t kPiece = core::kCanonicalPieceBytesMin;
  core::Manifest manifest;
  manifest.content.layout = {core::ByteCount{std::uint64_t{pieces} * kPiece - cut}, kPiece};
  manifest.content.id = simulated_digest(1, pieces);
  manifest.infohash = simulated_digest(2, pieces);
  for (std::uint32_t i = 0; i < pieces; ++i) {
    manifest.content.piece_hashes.push_back(simulated_digest(3, i));
  }
  return manifest;
}

// Runs everything that is due within the time.
inline void run_for(EventQueue& queue, core::Duration time) {
  const core::Instant end = queue.now() + time;
  bool over = false;
  queue.at(end, [&over] { over = true; });
  queue.run_until([&over] { return over; }, end, 10'000'000);
}

[[nodiscard]] inline std::shared_ptr<SimContentStore> open_content(EventQueue& queue,
                                                                   SimPieceStore& store,
                                                                   const core::Content& content,
                                                                   RecordedFacts& facts) {
  std::shared_ptr<SimContentStore> opened;
  bool answered = false;
  store.open(content, facts.sink(), [&](Result<std::shared_ptr<ports::ContentStore>> result) {
    answered = true;
    if (result) opened = std::static_pointer_cast<SimContentStore>(*result);
  });
  queue.run_until([&] { return answered; }, core::Instant::max(), 1000);
  return opened;
}

}  // namespace lanward::simulator
