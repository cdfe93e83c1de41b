#include "engine/core/upload_rules.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lanward::core {
namespace {

constexpr std::uint64_t kGb = 1'000'000'000;

PowerSupply mains(const char* online) { return {.type = "Mains", .online = online}; }
PowerSupply battery(const char* status, const char* capacity) {
  return {.type = "Battery", .status = status, .capacity = capacity};
}

// ---- power -------------------------------------------------------------------------------------

struct PowerCase {
  const char* name;
  std::vector<PowerSupply> supplies;
  PowerFacts expected;
};

class Power : public testing::TestWithParam<PowerCase> {};

TEST_P(Power, IsToldByItsSupplies) {
  EXPECT_EQ(power_facts(GetParam().supplies), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    All, Power,
    testing::Values(
        PowerCase{"NoSupplyAtAll", {}, {false, {}}},
        PowerCase{"MainsOnly", {mains("1")}, {false, {}}},
        PowerCase{"LaptopPluggedIn", {mains("1"), battery("Charging", "31")}, {false, 31}},
        PowerCase{"LaptopUnplugged", {mains("0"), battery("Discharging", "64")}, {true, 64}},
        PowerCase{"TooWeakASupply", {mains("1"), battery("Discharging", "64")}, {false, 64}},
        PowerCase{
            "ByUsb", {{.type = "USB", .online = "1"}, battery("Discharging", "50")}, {false, 50}},
        PowerCase{"FullAndNothingOnline", {mains("0"), battery("Full", "100")}, {false, 100}},
        PowerCase{
            "TwoBatteries", {battery("Discharging", "20"), battery("Unknown", "81")}, {true, 50}},
        PowerCase{
            "AMouse",
            {{.type = "Battery", .scope = "Device", .status = "Discharging", .capacity = "3"}},
            {false, {}}},
        PowerCase{"ChargeUnknown", {battery("Discharging", "")}, {true, {}}},
        PowerCase{"ChargeNonsense", {battery("Discharging", "130")}, {true, {}}},
        PowerCase{"ChargeNoNumber", {battery("Discharging", "5x")}, {true, {}}}),
    [](const auto& test) { return std::string(test.param.name); });

// ---- rules -------------------------------------------------------------------------------------

struct RuleCase {
  const char* name;
  SharingRules rules;
  MachineFacts facts;
  UploadBar expected;
};

class UploadRule : public testing::TestWithParam<RuleCase> {};

TEST_P(UploadRule, SaysWhetherAndWhy) {
  const UploadVerdict verdict = judge_upload(GetParam().rules, GetParam().facts);
  EXPECT_EQ(verdict.bar, GetParam().expected) << to_string(verdict.bar);
  EXPECT_EQ(verdict.reason.empty(), verdict.bar == UploadBar::none) << verdict.reason;
}

MachineFacts machine() {
  return {.memory_bytes = 4 * kGb, .disk_bytes = 32 * kGb, .disk_free_bytes = kGb, .power = {}};
}
MachineFacts with_power(PowerFacts power) {
  MachineFacts facts = machine();
  facts.power = power;
  return facts;
}

INSTANTIATE_TEST_SUITE_P(
    All, UploadRule,
    testing::Values(
        RuleCase{"NoRules", {}, machine(), UploadBar::none},
        RuleCase{"NoRulesAndNothingKnown", {}, {}, UploadBar::none},
        RuleCase{"NoRulesOnBattery", {}, with_power({true, 0}), UploadBar::none},
        RuleCase{"JustEnoughMemory", {.min_memory_bytes = 4 * kGb}, machine(), UploadBar::none},
        RuleCase{
            "TooLittleMemory", {.min_memory_bytes = 4 * kGb + 1}, machine(), UploadBar::memory},
        RuleCase{"MemoryUnknown", {.min_memory_bytes = 1}, {}, UploadBar::memory},
        RuleCase{"JustEnoughDisk", {.min_disk_bytes = 32 * kGb}, machine(), UploadBar::none},
        RuleCase{
            "TooSmallADisk", {.min_disk_bytes = 32 * kGb + 1}, machine(), UploadBar::disk_size},
        RuleCase{"DiskUnknown", {.min_disk_bytes = 1}, {}, UploadBar::disk_size},
        RuleCase{"JustEnoughFree", {.min_free_bytes = kGb}, machine(), UploadBar::none},
        RuleCase{"TooLittleFree", {.min_free_bytes = kGb + 1}, machine(), UploadBar::disk_free},
        RuleCase{"FreeUnknown", {.min_free_bytes = 1}, {}, UploadBar::disk_free},
        RuleCase{"NotOnBattery", {.on_battery = false}, machine(), UploadBar::none},
        RuleCase{
            "OnBattery", {.on_battery = false}, with_power({true, 100}), UploadBar::on_battery},
        RuleCase{"BatteryJustFullEnough",
                 {.min_battery_percent = 40},
                 with_power({true, 40}),
                 UploadBar::none},
        RuleCase{"BatteryTooLow",
                 {.min_battery_percent = 40},
                 with_power({true, 39}),
                 UploadBar::battery},
        RuleCase{"BatteryUnknown",
                 {.min_battery_percent = 40},
                 with_power({true, {}}),
                 UploadBar::battery},
        RuleCase{"LowButPluggedIn",
                 {.min_battery_percent = 40},
                 with_power({false, 3}),
                 UploadBar::none},
        RuleCase{"MemoryIsToldFirst",
                 {.min_memory_bytes = 5 * kGb, .on_battery = false},
                 with_power({true, 5}),
                 UploadBar::memory}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(UploadRules, AreCheckedAndCounted) {
  EXPECT_TRUE(check_rules({}));
  EXPECT_TRUE(check_rules({.min_battery_percent = 100}));
  const auto refused = check_rules({.min_battery_percent = 101});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("min_battery_percent"), std::string::npos);
  EXPECT_FALSE(any_rule({}));
  EXPECT_TRUE(any_rule({.on_battery = false}));
  EXPECT_TRUE(any_rule({.min_free_bytes = 1}));
}

}  // namespace
}  // namespace lanward::core
