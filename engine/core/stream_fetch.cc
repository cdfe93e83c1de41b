#include "engine/core/stream_fetch.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "engine/core/failure.h"

namespace lanward::core {

void StreamFetch::handle(const Event& event, Instant now) {
  if (outcome_ || !in_flight_) return;
  if (const auto* progress = std::get_if<RangeProgressed>(&event)) {
    if (progress->request != request_) return;
    received_.value = std::max(received_.value, progress->end);
    waiting_for_.reset();
  } else if (const auto* finished = std::get_if<RangeFinished>(&event)) {
    if (finished->request == request_) outcome_ = Result<void>{};
  } else if (const auto* failed = std::get_if<RequestFailed>(&event)) {
    if (failed->request == request_) fail_try(failed->failure, now);
  }
}

void StreamFetch::fail_try(const Failure& failure, Instant now) {
  in_flight_ = false;
  wasted_.value += std::exchange(received_, {}).value;
  Error error = error_of(failure);
  const bool passing =
      failure.kind == FailureClass::transient || failure.kind == FailureClass::rate_limited;
  // Every try begins anew: bytes in between are no progress, so they do not start a new count.
  if (!passing || ++failures_ >= policy_.origin_failures_max) {
    outcome_ = tl::unexpected(std::move(error));
    return;
  }
  waiting_for_ = std::move(error);
  ready_at_ = now + std::max(failure.retry_after, backoff_.next(policy_, prng_));
}

std::optional<RequestId> StreamFetch::poll_request(Instant now) {
  if (outcome_ || in_flight_ || now < ready_at_) return std::nullopt;
  in_flight_ = true;
  request_ = RequestId{request_.value + 1};
  return request_;
}

std::optional<Instant> StreamFetch::next_wakeup() const {
  if (outcome_ || in_flight_) return std::nullopt;
  return ready_at_;
}

}  // namespace lanward::core
