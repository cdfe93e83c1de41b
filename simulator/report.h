// What a run is told as: text for people, JSON for programs. Functions of the result alone, so
// equal runs print equal bytes.
#pragma once

#include <string>

#include "simulator/simulation.h"

namespace lanward::simulator {

// The line that must be out before anything can go wrong.
[[nodiscard]] std::string seed_line(const Scenario& scenario);
[[nodiscard]] std::string to_text(const SimulationResult& result);
[[nodiscard]] std::string to_json(const SimulationResult& result);

}  // namespace lanward::simulator
