// What the rules of sharing want to know of this machine, as the kernel tells it.
#pragma once

#include <string>
#include <vector>

#include "engine/core/upload_rules.h"

namespace lanward::peer {

// Where it is read.
struct MachinePlaces {
  std::string proc = "/proc";
  std::string power = "/sys/class/power_supply";
  std::string disk;  // a directory on the cache's file system; empty: there is none
};

// What cannot be read is not told. Blocks for as long as the file system of `disk` does.
[[nodiscard]] core::MachineFacts read_machine_facts(const MachinePlaces& places);
// None where there is no such directory: a machine without a battery.
[[nodiscard]] std::vector<core::PowerSupply> read_power_supplies(const std::string& directory);

}  // namespace lanward::peer
