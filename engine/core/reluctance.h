// Of a peer that leaves the origin to others as long as one of them is willing to ask it.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/core/policy.h"
#include "engine/core/units.h"

namespace lanward::core {

// Where all leave the origin to others, those begin that wait the least, one or a few. Of these the
// higher ranks give way at once and the lowest stays, so they do not take turns for ever. Whoever
// else is willing relieves it after a while.
class Reluctance {
 public:
  // `place`: the peer's rank as a share of 2^32. From `start` on origins may be asked at all.
  Reluctance(const Policy& policy, std::uint32_t place, Instant start);

  // `others`: somebody else would ask the origin; `lower_rank`: somebody of a lower rank. True:
  // this peer does not.
  [[nodiscard]] bool leaves(bool others, bool lower_rank, Instant now);
  // When to decide again although nothing has changed; nothing: no need.
  [[nodiscard]] std::optional<Instant> next_due() const { return due_; }

 private:
  const Duration absence_;
  const Duration spread_;
  bool needed_ = false;                   // nobody else was willing
  Instant others_at_;                     // until then others were willing, or might have been
  std::optional<Instant> relieved_from_;  // it was needed, and since then others are willing
  std::optional<Instant> due_;
};

}  // namespace lanward::core
