// The state of one machine of a LeaseWorld.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "engine/core/scheduler.h"
#include "tests/core/lease_adversary.h"
#include "tests/core/lease_conduct.h"
#include "tests/core/lease_world.h"

namespace lanward::core {

struct Range {
  ByteSpan span;
  std::uint64_t at = 0;
  Instant begun;
  bool lease = false;
};
struct Transfer {
  std::size_t source = 0;
  std::uint64_t id = 0;
};
// What one machine knows of another.
struct Link {
  bool up = false;    // from the moment the other end opens it
  bool told = false;  // this end knows
  Instant joined;
  Instant channel_free;  // messages of this direction arrive no earlier
  PieceSet has;
  ByteCount received;
  Instant snubbed_until;
  bool hello = false;  // the other end said that it is willing to pull
};

struct LeaseMachine {
  explicit LeaseMachine(const LeasePlan& plan)
      : conduct(plan.pieces, plan.policy.origin_requests_max + 1),  // at work, and the next
        verified(plan.pieces),
        allowed(plan.pieces),
        links(plan.machines.size()) {}

  std::unique_ptr<Scheduler> scheduler;  // of those that follow the rules, once they joined
  bool started = false;
  bool alive = true;
  Instant start;
  Instant last_byte;
  std::optional<Instant> wake;
  Instant last_tick;
  std::uint32_t ticks_in_a_row = 0;
  Conduct conduct;
  PieceSet verified;
  PieceSet allowed;
  std::map<RequestId, Range> ranges;
  std::map<PieceIndex, Transfer> transfers;
  std::vector<Link> links;
  LeaseAdversary adversary;
  bool acting = false;

  [[nodiscard]] bool done() const { return verified.full(); }
};

}  // namespace lanward::core
