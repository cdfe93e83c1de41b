// What the line can do, found out while limits in per cent of it are in force.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>

#include "engine/core/units.h"

namespace lanward::core {

// The best rate of a second in which nothing was held back, of the last kWindow. A wrong estimate
// does not last: while something is held back, a probe lifts the limit for a moment, soon after
// anything new and more rarely when probes bring no more. Then the estimate is what the probes saw.
class CapacityMeter {
 public:
  // Before a rate counts: what lies in buffers of the kernel arrives first, and connections that
  // were held back need some round trips to get going.
  static constexpr Duration kSettle = std::chrono::milliseconds{500};
  static constexpr Duration kMeasure = std::chrono::seconds{1};
  // Between two probes. A tenth of the time is lost to them at most, so that a limit of 80 per cent
  // is one of 82 on average.
  static constexpr Duration kProbeSoonest = std::chrono::seconds{2};
  static constexpr Duration kProbeLatest = std::chrono::seconds{15};
  // Longer than two probes are apart.
  static constexpr Duration kWindow = std::chrono::seconds{20};

  // What happened since the last look.
  enum class Hold : std::uint8_t {
    idle,  // nobody wanted bytes
    free,  // somebody had as many as the line and the servers give
    held,  // all that wanted more were held back
  };

  void observe(ByteCount bytes, Hold hold, Instant now);
  // Whoever has come may reach faster servers.
  void newcomer(Instant now);
  // Limits in per cent are lifted.
  [[nodiscard]] bool probing() const { return probe_begin_.has_value(); }
  // Nothing: not known (yet, or any more).
  [[nodiscard]] std::optional<ByteRate> capacity(Instant now) const;

 private:
  static constexpr std::int64_t kSlots = kWindow / std::chrono::seconds{1};
  struct Slot {
    std::int64_t second = -1;
    std::uint64_t best = 0;
  };

  void begin_free(std::optional<Instant> since);
  void note(ByteRate rate, Instant now);
  void end_probe(ByteRate seen, Instant now);

  std::uint64_t total_ = 0;
  std::array<Slot, kSlots> slots_{};
  // From when on rates count, and the look from which one is being measured.
  std::optional<Instant> free_since_;
  std::optional<Instant> mark_;
  std::uint64_t mark_total_ = 0;
  std::optional<Instant> probe_begin_;
  std::uint64_t before_probe_ = 0;
  Duration interval_ = kProbeSoonest;
  std::optional<Instant> next_probe_;
};

}  // namespace lanward::core
