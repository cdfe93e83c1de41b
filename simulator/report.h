// What a run is told as: text for people, JSON for programs. Functions of the result alone, so
// equal runs print equal bytes.
#pragma once

#include <span>
#include <string>

#include "simulator/simulation.h"

namespace lanward::simulator {

// The line that must be out before anything can go wrong.
[[nodiscard]] std::string seed_line(const Scenario& scenario);
[[nodiscard]] std::string to_text(const SimulationResult& result);
[[nodiscard]] std::string to_json(const SimulationResult& result);

// Of several runs that differ in their seed: a head, a row for each, and a summary. The seed of a
// row comes before the run, the rest after it. `replay` is the command line without seed that a row
// with violations tells to run again.
[[nodiscard]] std::string table_head(const Scenario& scenario);
[[nodiscard]] std::string table_seed(std::uint64_t seed);
[[nodiscard]] std::string table_row(const SimulationResult& result, const std::string& replay);

// What is left of a run when many are compared.
struct RunSummary {
  std::uint64_t seed = 0;
  std::uint64_t egress = 0;    // ratio to the file
  std::uint64_t makespan = 0;  // ratio to the bound
  RatioSummary ratios;
  core::Duration worst_stall{0};
  std::size_t violations = 0;
};
[[nodiscard]] RunSummary summary_of(const SimulationResult& result);
[[nodiscard]] std::string table_foot(std::span<const RunSummary> runs);
// As the value of "summary" in an object that has the runs in "runs".
[[nodiscard]] std::string summary_json(std::span<const RunSummary> runs);

}  // namespace lanward::simulator
