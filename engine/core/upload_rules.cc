#include "engine/core/upload_rules.h"

#include <charconv>

namespace lanward::core {
namespace {

constexpr std::uint32_t kPercentMax = 100;

std::optional<std::uint32_t> percent_of(const std::string& text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > kPercentMax) {
    return std::nullopt;
  }
  return value;
}

bool falls_short(const std::optional<std::uint64_t>& have, std::uint64_t least) {
  return least > 0 && (!have || *have < least);
}

UploadVerdict short_of(UploadBar bar, const char* what, const std::optional<std::uint64_t>& have,
                       std::uint64_t least) {
  return {bar, std::string(what) + (have ? " " + std::to_string(*have) + " bytes" : " unknown") +
                   ", the rule wants " + std::to_string(least)};
}

}  // namespace

PowerFacts power_facts(std::span<const PowerSupply> supplies) {
  PowerFacts facts;
  bool online = false;
  std::uint32_t sum = 0;
  std::uint32_t count = 0;
  for (const PowerSupply& supply : supplies) {
    if (supply.scope == "Device") continue;
    if (supply.type != "Battery") {
      // 2: a supply of a kind that can be programmed.
      online = online || (!supply.online.empty() && supply.online != "0");
      continue;
    }
    facts.on_battery = facts.on_battery || supply.status == "Discharging";
    if (const auto percent = percent_of(supply.capacity)) {
      sum += *percent;
      ++count;
    }
  }
  facts.on_battery = facts.on_battery && !online;
  if (count > 0) facts.percent = sum / count;
  return facts;
}

Result<void> check_rules(const SharingRules& rules) {
  if (rules.min_battery_percent <= kPercentMax) return {};
  return fail(ErrorCode::invalid_argument, "min_battery_percent: expected 0 to 100");
}

bool any_rule(const SharingRules& rules) { return rules != SharingRules{}; }

UploadVerdict judge_upload(const SharingRules& rules, const MachineFacts& facts) {
  if (falls_short(facts.memory_bytes, rules.min_memory_bytes)) {
    return short_of(UploadBar::memory, "memory of the machine:", facts.memory_bytes,
                    rules.min_memory_bytes);
  }
  if (falls_short(facts.disk_bytes, rules.min_disk_bytes)) {
    return short_of(UploadBar::disk_size, "size of the cache's disk:", facts.disk_bytes,
                    rules.min_disk_bytes);
  }
  if (falls_short(facts.disk_free_bytes, rules.min_free_bytes)) {
    return short_of(UploadBar::disk_free, "free on the cache's disk:", facts.disk_free_bytes,
                    rules.min_free_bytes);
  }
  if (!facts.power.on_battery) return {};
  if (!rules.on_battery) return {UploadBar::on_battery, "the machine runs on its battery"};
  if (facts.power.percent.value_or(0) >= rules.min_battery_percent) return {};
  return {UploadBar::battery,
          "battery: " +
              (facts.power.percent ? std::to_string(*facts.power.percent) + " %" : "unknown") +
              ", the rule wants " + std::to_string(rules.min_battery_percent) + " %"};
}

}  // namespace lanward::core
