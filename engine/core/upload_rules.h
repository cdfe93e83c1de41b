// Whether this machine gives anything to peers, as far as the machine itself decides that
// (docs/security.md).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include <lanward/error.h>
#include <lanward/types.h>

namespace lanward::core {

// One entry of /sys/class/power_supply, its files as they are read; empty: there is no such file.
struct PowerSupply {
  std::string type;      // "Battery", "Mains", "USB", "UPS", "Wireless"
  std::string scope;     // "Device": of a mouse or the like
  std::string online;    // "0", "1" and so on: of what brings power
  std::string status;    // "Discharging", "Charging", "Full", ...: of a battery
  std::string capacity;  // of a battery, per cent
};

struct PowerFacts {
  bool on_battery = false;
  std::optional<std::uint32_t> percent;  // mean of the batteries; nothing: none tells

  friend bool operator==(const PowerFacts&, const PowerFacts&) = default;
};
// On battery: no supply is online, and a battery of the machine discharges.
[[nodiscard]] PowerFacts power_facts(std::span<const PowerSupply> supplies);

struct MachineFacts {
  // Nothing: cannot be told.
  std::optional<std::uint64_t> memory_bytes;
  std::optional<std::uint64_t> disk_bytes;
  std::optional<std::uint64_t> disk_free_bytes;
  PowerFacts power;
};

// Errors: invalid_argument (names the field).
[[nodiscard]] Result<void> check_rules(const SharingRules& rules);
[[nodiscard]] bool any_rule(const SharingRules& rules);

struct UploadVerdict {
  UploadBar bar = UploadBar::none;
  std::string reason;  // empty: none
};
// A fact that cannot be told does not meet a rule about it; a charge that cannot be told does not
// either.
[[nodiscard]] UploadVerdict judge_upload(const SharingRules& rules, const MachineFacts& facts);

}  // namespace lanward::core
