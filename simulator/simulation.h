// A whole site in virtual time: machines that run the production engine over simulated ports fetch
// one file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <lanward/types.h>

#include "simulator/checkers.h"
#include "simulator/scenario.h"

namespace lanward::simulator {

// Ratios are counted in ten-thousandths, so that their digits depend on no library.
inline constexpr std::uint64_t kRatioUnit = 10'000;

enum class Fate : std::uint8_t { stayed, killed, left };

struct PeerResult {
  core::Instant joined;
  std::optional<core::Instant> transferred;
  JobState state = JobState::suspended;  // when the run was judged
  std::string error;                     // cause of an error state
  std::uint64_t origin_bytes = 0;
  std::uint64_t peer_bytes = 0;
  std::uint64_t wasted_bytes = 0;

  std::optional<AdversaryKind> adversary;
  Fate fate = Fate::stayed;
  bool replacement = false;            // of a machine lost to churn
  core::Duration bound{0};             // of this machine: a late one must wait for less of the file
  std::optional<std::uint64_t> ratio;  // time without set-up and policy delay / bound
  core::Duration worst_stall{0};       // longest time without a byte before the end
  std::uint64_t ranges = 0;            // requests to the origin

  [[nodiscard]] bool hostile() const { return adversary && *adversary != AdversaryKind::slow; }
};

// Of the ratios of all machines that had to finish; nearest rank.
struct RatioSummary {
  std::uint64_t p50 = 0;
  std::uint64_t p99 = 0;
  std::uint64_t max = 0;
};

struct SimulationResult {
  Scenario scenario;
  std::vector<PeerResult> peers;
  OriginEgress egress;
  std::uint64_t lan_bytes = 0;  // over all uplinks
  std::uint64_t wasted_bytes = 0;
  core::Duration bound{0};
  core::Duration makespan{0};  // from the first joining to the last finish
  core::Duration worst_stall{0};
  RatioSummary ratios;
  SiteFigures site;
  std::uint64_t events = 0;
  // What the checkers found wrong; empty for a good run.
  std::vector<std::string> violations;
};

// Runs until every job has been transferred and delivered, or has failed, or the deadline has
// passed. REQUIRES: validate(scenario).
[[nodiscard]] SimulationResult simulate(const Scenario& scenario);

}  // namespace lanward::simulator
