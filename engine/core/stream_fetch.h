// Fetches a file whose length its origin does not tell: one request for the whole of it, again from
// the start when that breaks. Pure: same protocol as Scheduler.
#pragma once

#include <cstdint>
#include <optional>

#include <lanward/error.h>

#include "engine/core/backoff.h"
#include "engine/core/events.h"
#include "engine/core/policy.h"
#include "engine/core/prng.h"
#include "engine/core/units.h"

namespace lanward::core {

class StreamFetch {
 public:
  StreamFetch(const Policy& policy, Seed seed) : policy_(policy), prng_(seed) {}

  void handle(const Event& event, Instant now);
  // The request that is to be made now, after each handle().
  [[nodiscard]] std::optional<RequestId> poll_request(Instant now);
  [[nodiscard]] std::optional<Instant> next_wakeup() const;

  // Of the present try / of those that broke: nothing of them is of use.
  [[nodiscard]] ByteCount received() const { return received_; }
  [[nodiscard]] ByteCount wasted() const { return wasted_; }
  // Set once, after which nothing is asked any more: the whole file has come, or never will.
  [[nodiscard]] const std::optional<Result<void>>& outcome() const { return outcome_; }
  // The failure that is being waited out.
  [[nodiscard]] const std::optional<Error>& waiting_for() const { return waiting_for_; }

 private:
  void fail_try(const Failure& failure, Instant now);

  const Policy policy_;
  Prng prng_;
  Backoff backoff_;
  RequestId request_;  // the last one that was made
  bool in_flight_ = false;
  Instant ready_at_{};
  std::uint32_t failures_ = 0;
  ByteCount received_;
  ByteCount wasted_;
  std::optional<Error> waiting_for_;
  std::optional<Result<void>> outcome_;
};

}  // namespace lanward::core
