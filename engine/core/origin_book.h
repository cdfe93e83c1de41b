// The origins of a transfer: which one to ask, when, and why others are out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/core/backoff.h"
#include "engine/core/events.h"
#include "engine/core/policy.h"
#include "engine/core/prng.h"
#include "engine/core/rate_meter.h"
#include "engine/core/units.h"

namespace lanward::core {

class OriginBook {
 public:
  struct Origin {
    SourceId id;
    Instant ready_at;
    Backoff backoff;
    std::uint32_t failures = 0;  // in a row, without a byte in between
    std::uint32_t bad_pieces = 0;
    std::uint32_t bad_shares = 0;
    std::uint32_t run_pieces = 1;  // length of the next range; doubles while ranges succeed
    bool no_ranges = false;
    std::optional<Error> dead;
    RateMeter rate;
    ByteRate measured;  // at the end of the latest range; zero: unknown
  };

  OriginBook(const Policy& policy, std::vector<std::string> names, Instant now);

  [[nodiscard]] Origin& at(SourceId id) { return origins_[id.value]; }
  // The first in order of preference that is not waiting out a failure; else the one ready soonest.
  // Null when every one is dead.
  [[nodiscard]] Origin* preferred();
  [[nodiscard]] bool none() const { return origins_.empty(); }

  void progressed(Origin& origin, ByteCount bytes, Instant now);
  void finished(Origin& origin, std::uint32_t pieces_max, Instant now);
  void failed(Origin& origin, const Failure& failure, bool whole_file, Prng& prng, Instant now);
  // Counts a bad piece, which `what` describes; true when that was one too many.
  bool blame(Origin& origin, const std::string& what, bool alone);

  // Why every origin is dead; null while one lives, or if there never was one.
  [[nodiscard]] const Error* death_of_all() const;
  [[nodiscard]] const std::optional<Error>& last_transient() const { return last_transient_; }

 private:
  const Policy& policy_;
  const std::vector<std::string> names_;  // for messages; SourceId n is names_[n]
  std::vector<Origin> origins_;
  std::optional<Error> last_transient_;
};

}  // namespace lanward::core
