// How long to wait before asking a failing source again.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/core/policy.h"
#include "engine/core/prng.h"
#include "engine/core/units.h"

namespace lanward::core {

// Doubles from Policy::retry_delay_min to retry_delay_max; half of each delay is chance, so that
// the peers of a site do not return to a recovering origin in step.
class Backoff {
 public:
  [[nodiscard]] Duration next(const Policy& policy, Prng& prng) {
    const Duration full =
        std::min(policy.retry_delay_max, policy.retry_delay_min * (std::int64_t{1} << failures_));
    if (failures_ < kDoublingsMax) ++failures_;
    const auto half = static_cast<std::uint64_t>(full.count() / 2);
    return Duration{static_cast<std::int64_t>(half + prng.below(half + 1))};
  }
  void reset() { failures_ = 0; }

 private:
  // Enough to get from 10 ms to an hour; also keeps the shift defined.
  static constexpr std::uint32_t kDoublingsMax = 20;
  std::uint32_t failures_ = 0;
};

}  // namespace lanward::core
