#include "simulator/scenario.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "simulator/simulation.h"

namespace lanward::simulator {
namespace {

using namespace std::chrono_literals;

Scenario read(std::string_view text, std::vector<std::string> overrides = {}) {
  auto scenario = parse_scenario("s.toml", text, overrides);
  EXPECT_TRUE(scenario.has_value()) << scenario.error().message;
  return scenario.value_or(Scenario{});
}

std::string error_of(std::string_view text, std::vector<std::string> overrides = {}) {
  const auto scenario = parse_scenario("s.toml", text, overrides);
  EXPECT_FALSE(scenario.has_value()) << text;
  return scenario ? "" : scenario.error().message;
}

constexpr std::string_view kFile = "[file]\nsize = \"1MiB\"\n";

std::string error_with(std::string_view more) { return error_of(std::string(kFile).append(more)); }

// The key and what is said of it, on the third line.
void expect_error(std::string_view more, std::string_view text) {
  const std::string message = error_with(more);
  EXPECT_NE(message.find(text), std::string::npos) << message;
}

TEST(Scenario, ASizeIsAllThatAFileNeeds) {
  const Scenario s = read(kFile);
  EXPECT_EQ(s.size.value, core::kMiB);
  EXPECT_EQ(s.peers, Scenario{}.peers);
  EXPECT_EQ(s.join.within, 100ms);
  EXPECT_EQ(s.seed, 1U);
}

constexpr std::string_view kAll = R"(
title = "all of it"
seed = 7
[file]
size = "256MiB"
piece = "512KiB"
[site]
peers = 12
wan = "12MiB/s"
lan = "1Gbit"
connections = 40
latency = ["1ms", "2ms"]
jitter = "3ms"
loss = "0.5%"
reorder = "10%"
[origin]
rtt = "50ms"
connection_rate = "80Mbit"
[join]
within = "200ms"
late = "50%"
late_within = "3s"
[policy]
http_delay = "2s"
min_rate = "1MiB/s"
pullers = 4
[[fault]]
at = "3s"
kind = "kill"
peers = 2
who = "pullers"
[[fault]]
at = "4s"
kind = "leave"
who = [0, 3]
[[fault]]
at = "5s"
kind = "wan_down"
for = "5s"
[churn]
rate = "10%"
[[adversary]]
kind = "fake_progress"
count = 2
lowest_rank = true
)";

TEST(Scenario, ReadsSiteOriginAndPolicy) {
  const Scenario s = read(kAll);
  EXPECT_EQ(s.title, "all of it");
  EXPECT_EQ(s.seed, 7U);
  EXPECT_EQ(s.piece_bytes, 512 * 1024U);
  EXPECT_EQ(s.peers, 12U);
  EXPECT_EQ(s.wan.value, 12 * core::kMiB);
  EXPECT_EQ(s.swarm.connections_max, 40U);
  EXPECT_EQ(s.swarm.latency_min, 1ms);
  EXPECT_EQ(s.swarm.latency_max, 2ms);
  EXPECT_EQ(s.swarm.message_jitter, 3ms);
  EXPECT_EQ(s.swarm.message_loss_ppm, 5'000U);
  EXPECT_EQ(s.swarm.message_reorder_ppm, 100'000U);
  EXPECT_EQ(s.origin.rtt, 50ms);
  EXPECT_EQ(s.origin.connection_rate.value, 10'000'000U);
  EXPECT_EQ(s.join.within, 200ms);
  EXPECT_EQ(s.join.late_ppm, kWhole / 2);
  EXPECT_EQ(s.join.late_within, 3s);
  EXPECT_EQ(s.policy.http_delay, 2s);
  EXPECT_EQ(s.policy.min_rate.value, core::kMiB);
  EXPECT_EQ(s.policy.pullers, 4U);
}

TEST(Scenario, ReadsWhatGoesWrong) {
  const Scenario s = read(kAll);
  ASSERT_EQ(s.faults.size(), 3U);
  EXPECT_EQ(s.faults[0].kind, FaultKind::kill);
  EXPECT_EQ(s.faults[0].who, FaultWho::pullers);
  EXPECT_EQ(s.faults[0].peers, 2U);
  EXPECT_EQ(s.faults[1].listed, (std::vector<std::uint32_t>{0, 3}));
  EXPECT_EQ(s.faults[2].lasts, 5s);
  EXPECT_EQ(s.churn_ppm, kWhole / 10);
  ASSERT_EQ(s.adversaries.size(), 1U);
  EXPECT_EQ(s.adversaries[0].kind, AdversaryKind::fake_progress);
  EXPECT_TRUE(s.adversaries[0].lowest_rank);
}

TEST(Scenario, NamesFileLineAndKeyOfWhatIsWrong) {
  EXPECT_EQ(error_with("[site]\nwan = \"100Mbyte\"\n").find("s.toml:4: site.wan: "), 0U);
  EXPECT_EQ(error_with("[site]\n\n\npeers = 0\n"),
            "s.toml:6: site.peers: 0: it must be from 1 to 100000");
  EXPECT_EQ(error_of("[file]\nsize = 5\n"),
            "s.toml:2: file.size: this must be a string such as \"256MiB\"");
  EXPECT_EQ(error_of("[file]\nsize = \"1MiB\"\npiece = \"48KiB\"\n"),
            "s.toml:3: file.piece: 49152 bytes: it must be a power of two");
}

TEST(Scenario, TellsTheFirstOfSeveralErrors) {
  const std::string message = error_with("[origin]\nrtt = 4\n[churn]\nrate = 1\n[site]\nwan = 2\n");
  EXPECT_EQ(message.find("s.toml:4: origin.rtt"), 0U) << message;
}

TEST(Scenario, NamesTheKnownKeyNextToAnUnknownOne) {
  EXPECT_EQ(error_with("[site]\npers = 3\n"),
            "s.toml:4: site.pers: there is no such key; is it peers?");
  expect_error("[site]\nflavour = 3\n", "there are peers, wan, lan");
  expect_error("[sit]\n", "sit: there is no such key; is it site?");
  expect_error("[policy]\nhttp_dellay = \"1s\"\n", "is it http_delay?");
}

TEST(Scenario, RefusesWrongTypes) {
  expect_error("site = 3\n", "file.site: there is no such key");
  EXPECT_NE(error_of("site = 3\n[file]\nsize = \"1MiB\"\n").find("s.toml:1: site: this must be"),
            std::string::npos);
  expect_error("[site]\npeers = \"8\"\n", "this must be a whole number");
  expect_error("[site]\npeers = -8\n", "-8: it must be from 1");
  expect_error("[site]\nlatency = \"1ms\"\n", "this must be a list of two");
  expect_error("[site]\nlatency = [\"3ms\", \"1ms\"]\n", "the first must not exceed");
  expect_error("[site]\nloss = \"200%\"\n", "at most 100%");
  expect_error("[site]\nloss = \"5\"\n", "the unit is missing");
  expect_error("[[adversary]]\nkind = \"hog\"\nlowest_rank = 1\n", "true or false");
  expect_error("[fault]\nat = \"1s\"\n", "write it as [[fault]]");
}

TEST(Scenario, RefusesWhatContradictsItself) {
  expect_error("[join]\nevery = \"2s\"\nwithin = \"1s\"\n", "join.within: this contradicts");
  expect_error("[join]\nlate_within = \"2s\"\n", "join.late is missing");
  expect_error("[[fault]]\nkind = \"kill\"\npeers = 1\n", "fault.at: this is missing");
  expect_error("[[fault]]\nat = \"1s\"\n", "fault.kind: this is missing");
  expect_error("[[fault]]\nat = \"1s\"\nkind = \"kill\"\n", "how many?");
  expect_error("[[fault]]\nat = \"1s\"\nkind = \"kill\"\npeers = 9\n", "from 1 to 8");
  expect_error("[[fault]]\nat = \"1s\"\nkind = \"kill\"\nwho = [8]\n", "from 0 to 7");
  expect_error("[[fault]]\nat = \"1s\"\nkind = \"kill\"\npeers = 1\nwho = [1]\n", "the list in");
  expect_error("[[fault]]\nat = \"1s\"\nkind = \"kill\"\npeers = 1\nfor = \"1s\"\n", "not last");
  expect_error("[[fault]]\nat = \"1s\"\nkind = \"wan_down\"\npeers = 1\n", "no single machine");
  expect_error("[[fault]]\nat = \"1s\"\nkind = \"origin_429\"\n", "needs `for`");
  expect_error("[[fault]]\nat = \"1s\"\nkind = \"meteor\"\n", "it must be one of kill leave");
  expect_error("[[adversary]]\nkind = \"hog\"\ncount = 8\n", "one must be honest");
  expect_error("[[adversary]]\nkind = \"slow\"\nlowest_rank = true\n", "slow machines are honest");
  EXPECT_NE(error_of("title = \"no file\"\n").find("file.size is missing"), std::string::npos);
}

TEST(Scenario, TellsWhereTheSyntaxIsBroken) {
  EXPECT_EQ(error_with("[site]\npeers = = 3\n").find("s.toml:4: "), 0U);
  EXPECT_EQ(error_with("\n[site\n").find("s.toml:4: "), 0U);
  EXPECT_EQ(error_with("[site]\npeers = 3\npeers = 4\n").find("s.toml:"), 0U);
}

TEST(Scenario, RefusesWhatIsNotUtf8) {
  EXPECT_EQ(error_of("a = 1\n'\x87'.b = 1\n"), "s.toml:2: this is not UTF-8");
  EXPECT_EQ(read(std::string("title = \"caf\u00e9\"\n").append(kFile)).title, "caf\u00e9");
}

TEST(Scenario, RefusesTextsThatWouldExhaustAParser) {
  EXPECT_NE(error_of(std::string(100'000, 'a')).find("at most 64 KiB"), std::string::npos);
  EXPECT_NE(error_of("a = " + std::string(40, '[')).find("s.toml:1:"), std::string::npos);
  std::string hidden = "a = [\n";
  for (int i = 0; i < 100; ++i) hidden += "\"]\", [\n";
  EXPECT_NE(error_of(hidden).find("too many brackets"), std::string::npos);
  EXPECT_NE(error_of("# " + std::string(2000, '.')).find("too long"), std::string::npos);
}

TEST(Scenario, AnOverrideWinsOverTheFile) {
  const Scenario s =
      read(kFile, {"site.peers=32", "file.size=2GiB", "seed = 9", "join.late=25%", "title=a cell"});
  EXPECT_EQ(s.peers, 32U);
  EXPECT_EQ(s.size.value, 2048 * core::kMiB);
  EXPECT_EQ(s.seed, 9U);
  EXPECT_EQ(s.join.late_ppm, kWhole / 4);
  EXPECT_EQ(s.title, "a cell");
  EXPECT_EQ(read("", {"file.size=1MiB"}).size.value, core::kMiB);
}

TEST(Scenario, AnErrorInAnOverrideNamesIt) {
  const auto error = [](const std::string& text) { return error_of(kFile, {text}); };
  EXPECT_EQ(error("site.peers=none").find("--set site.peers=none: site.peers: "), 0U);
  EXPECT_EQ(error("nonsense").find("--set nonsense: write table.key=VALUE"), 0U);
  EXPECT_EQ(error("a b c=3").find("--set a b c=3:1: "), 0U);
}

TEST(Scenario, EveryFileThatComesWithTheSimulatorIsSound) {
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(LANWARD_SCENARIOS)) {
    const auto scenario = load_scenario(entry.path().string());
    EXPECT_TRUE(scenario.has_value()) << scenario.error().message;
    EXPECT_FALSE(!scenario || scenario->title.empty()) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 20U);
}

TEST(Scenario, AMissingFileIsAnError) {
  const auto scenario = load_scenario("/nonexistent/lanward.toml");
  ASSERT_FALSE(scenario.has_value());
  EXPECT_EQ(scenario.error().code, ErrorCode::not_found);
}

TEST(Scenario, OnlyAQuietSiteIsUndisturbed) {
  EXPECT_TRUE(undisturbed(read(kFile)));
  EXPECT_FALSE(undisturbed(read(kFile, {"site.loss=1%"})));
  EXPECT_FALSE(undisturbed(read(kFile, {"join.every=1s"})));
  EXPECT_FALSE(undisturbed(read(kFile, {"site.peers=200"})));
  EXPECT_FALSE(undisturbed(read(kFile, {"churn.rate=1%"})));
}

TEST(Scenario, TheBoundLeavesOutWhoWantsNoCopy) {
  Scenario s = read("[file]\nsize=\"1GB\"\n[site]\npeers=40\nwan=\"800Mbit\"\nlan=\"800Mbit\"\n");
  const core::Duration all = bound(s);
  s.adversaries.push_back({.kind = AdversaryKind::have_liar, .count = 39});
  EXPECT_EQ(honest_peers(s), 1U);
  EXPECT_EQ(bound(s), all);  // the WAN
  EXPECT_EQ(bound(s), 10s);
}

}  // namespace
}  // namespace lanward::simulator
