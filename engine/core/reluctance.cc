#include "engine/core/reluctance.h"

#include <algorithm>

namespace lanward::core {

Reluctance::Reluctance(const Policy& policy, std::uint32_t place, Instant start)
    : absence_(policy.puller_absence),
      spread_((policy.puller_absence.count() / 1024) * static_cast<std::int64_t>(place >> 22U)),
      others_at_(start) {}

bool Reluctance::leaves(bool others, bool lower_rank, Instant now) {
  due_.reset();
  if (!needed_) {
    if (others) others_at_ = std::max(others_at_, now);
    const Instant until = others_at_ + absence_ + spread_;
    if (others) return true;
    if (now < until) {
      due_ = until;
      return true;
    }
    needed_ = true;
    relieved_from_.reset();
    return false;
  }
  if (!others) {
    relieved_from_.reset();
    return false;
  }
  if (!relieved_from_) relieved_from_ = now;
  const Instant relieved = *relieved_from_ + 2 * absence_;
  if (!lower_rank && now < relieved) {
    due_ = relieved;
    return false;
  }
  needed_ = false;
  others_at_ = now;
  return true;
}

}  // namespace lanward::core
