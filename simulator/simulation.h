// A whole site in virtual time: machines that run the production engine over simulated ports fetch
// one file at once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <lanward/types.h>

#include "engine/core/policy.h"
#include "simulator/origin.h"
#include "simulator/store.h"
#include "simulator/swarm.h"

namespace lanward::simulator {

// Everything that fixes a run. Equal scenarios give equal results, on every platform.
struct Scenario {
  std::uint64_t seed = 1;
  std::uint32_t peers = 8;
  core::ByteCount size{64 * core::kMiB};
  std::uint32_t piece_bytes = 0;    // 0: the canonical choice for the size
  core::ByteRate wan{12'500'000};   // shared by the site
  core::ByteRate lan{125'000'000};  // each machine, up and down
  core::Duration join_jitter{std::chrono::milliseconds{100}};  // all join within this time
  OriginSettings origin;
  SwarmSettings swarm;
  StoreSettings store;
  core::Policy policy;
  // Parts of the origin's copy that are wrong.
  std::vector<core::ByteSpan> corrupt;
};

inline constexpr std::uint32_t kPeersMax = 100'000;
inline constexpr core::ByteCount kSizeMax{1ULL << 44U};

// Errors: invalid_argument, naming the value.
[[nodiscard]] Result<void> validate(const Scenario& scenario);

// No site can be faster: the file must cross the WAN once, reach each machine over its downlink,
// and all copies must come from the WAN and the uplinks.
[[nodiscard]] core::Duration bound(const Scenario& scenario);

struct PeerResult {
  core::Instant joined;
  std::optional<core::Instant> transferred;
  JobState state = JobState::suspended;  // when the run was judged
  std::string error;                     // cause of an error state
  std::uint64_t origin_bytes = 0;
  std::uint64_t peer_bytes = 0;
  std::uint64_t wasted_bytes = 0;
};

struct SimulationResult {
  Scenario scenario;
  std::vector<PeerResult> peers;
  OriginEgress egress;
  std::uint64_t lan_bytes = 0;  // over all uplinks
  std::uint64_t wasted_bytes = 0;
  core::Duration bound{0};
  core::Duration makespan{0};  // from the first joining to the last finish
  std::uint64_t events = 0;
  // What the checkers found wrong; empty for a good run.
  std::vector<std::string> violations;
};

// Runs until every job has been transferred and delivered, or has failed, or the deadline has
// passed. REQUIRES: validate(scenario).
[[nodiscard]] SimulationResult simulate(const Scenario& scenario);

}  // namespace lanward::simulator
