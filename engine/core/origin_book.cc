#include "engine/core/origin_book.h"

#include <algorithm>
#include <utility>

namespace lanward::core {
namespace {

Error error_of(const Failure& failure) {
  switch (failure.kind) {
    case FailureClass::transient:
    case FailureClass::rate_limited:
      return {ErrorCode::network, failure.message};
    case FailureClass::permanent:
    case FailureClass::protocol:
      return {ErrorCode::origin_rejected, failure.message};
    case FailureClass::changed:
      return {ErrorCode::content_changed, failure.message};
    case FailureClass::no_ranges:
    case FailureClass::local:
      break;
  }
  return {ErrorCode::internal, failure.message};
}

}  // namespace

OriginBook::OriginBook(const Policy& policy, std::vector<std::string> names, Instant now)
    : policy_(policy), names_(std::move(names)) {
  for (std::uint32_t i = 0; i < names_.size(); ++i) {
    origins_.push_back({.id = SourceId{i},
                        .ready_at = now,
                        .backoff = {},
                        .dead = {},
                        .rate = RateMeter(now),
                        .measured = {}});
  }
}

OriginBook::Origin* OriginBook::preferred() {
  Origin* best = nullptr;
  for (Origin& origin : origins_) {
    if (origin.dead) continue;
    if (best == nullptr || origin.ready_at < best->ready_at) best = &origin;
  }
  return best;
}

void OriginBook::progressed(Origin& origin, ByteCount bytes, Instant now) {
  origin.rate.add(bytes, now);
  origin.failures = 0;
  origin.backoff.reset();
}

void OriginBook::finished(Origin& origin, std::uint32_t pieces_max, Instant now) {
  origin.measured = origin.rate.rate(now);
  origin.run_pieces = std::min(origin.run_pieces * 2, pieces_max);
}

void OriginBook::failed(Origin& origin, const Failure& failure, bool whole_file, Prng& prng,
                        Instant now) {
  switch (failure.kind) {
    case FailureClass::transient:
    case FailureClass::rate_limited:
      last_transient_ = error_of(failure);
      origin.run_pieces = 1;
      if (origin.failures > 0 && origin.ready_at > now) {
        // Requests that ran side by side and broke together are one failure.
        origin.ready_at = std::max(origin.ready_at, now + failure.retry_after);
        return;
      }
      if (++origin.failures >= policy_.origin_failures_max) origin.dead = error_of(failure);
      origin.ready_at = std::max(
          origin.ready_at, now + std::max(failure.retry_after, origin.backoff.next(policy_, prng)));
      return;
    case FailureClass::no_ranges:
      if (whole_file) origin.dead = Error{ErrorCode::origin_rejected, failure.message};
      origin.no_ranges = true;
      return;
    case FailureClass::local:
      // The store reports its own failure; until it does, asking again at once would spin.
      origin.ready_at = now + origin.backoff.next(policy_, prng);
      return;
    case FailureClass::permanent:
    case FailureClass::changed:
    case FailureClass::protocol:
      origin.dead = error_of(failure);
      return;
  }
}

bool OriginBook::blame(Origin& origin, const std::string& what, bool alone) {
  (alone ? origin.bad_pieces : origin.bad_shares) += 1;
  const bool guilty =
      origin.bad_pieces >= policy_.bad_pieces_max || origin.bad_shares >= policy_.bad_shares_max;
  if (!guilty || origin.dead) return false;
  origin.dead = Error{ErrorCode::integrity, what + "; source: " + names_[origin.id.value] +
                                                "; its copy differs from what was published"};
  return true;
}

const Error* OriginBook::death_of_all() const {
  const Error* worst = nullptr;
  for (const Origin& origin : origins_) {
    if (!origin.dead) return nullptr;
    // Wrong bytes are worth more attention than a refusal elsewhere.
    if (worst == nullptr || origin.dead->code == ErrorCode::integrity) worst = &*origin.dead;
  }
  return worst;
}

}  // namespace lanward::core
