// Options of who may be a peer; `lanward group` and `lanward peers`.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "api/cli/options.h"

namespace lanward::cli {
namespace {

using Arguments = std::vector<const char*>;

Command parse(const Arguments& arguments) {
  std::vector<const char*> argv{"lanward"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return parse_command_line(static_cast<int>(argv.size()), argv.data(), "1.2.3");
}

template <class Options>
Options parsed(const Arguments& arguments) {
  const Command command = parse(arguments);
  if (const auto* error = std::get_if<UsageError>(&command)) ADD_FAILURE() << error->message;
  const auto* options = std::get_if<Options>(&command);
  EXPECT_NE(options, nullptr);
  return options != nullptr ? *options : Options{};
}

bool refused(const Arguments& arguments) {
  return std::holds_alternative<UsageError>(parse(arguments));
}

TEST(PeerOptions, EverybodyIsAPeerByDefault) {
  EngineOptions engine;
  apply(parsed<GetOptions>({"get", "s"}).peer_options, engine);
  EXPECT_EQ(engine.group_file, "");
  EXPECT_EQ(engine.peer_rules_file, "");
  EXPECT_EQ(engine.peer_limits, PeerLimits{});
}

TEST(PeerOptions, AreThoseOfTheEngine) {
  EngineOptions engine;
  apply(parsed<GetOptions>({"get", "s", "--group", "g", "--peer-rules", "r", "--peer-upload-rate",
                            "2MB", "--peer-download-rate", "1000", "--no-upload",
                            "--peer-connections", "7"})
            .peer_options,
        engine);
  EXPECT_EQ(engine.group_file, "g");
  EXPECT_EQ(engine.peer_rules_file, "r");
  EXPECT_EQ(engine.peer_limits.upload_bytes_per_s, 2'000'000U);
  EXPECT_EQ(engine.peer_limits.download_bytes_per_s, 1000U);
  EXPECT_FALSE(engine.peer_limits.upload);
  EXPECT_EQ(engine.peer_limits.connections_max, 7U);
  const auto jobs = parsed<JobsOptions>({"jobs", "run", "--group", "g"});
  EXPECT_EQ(std::get<JobsRun>(jobs.command).peer_options.group, "g");
}

TEST(PeerOptions, WhatMakesNoSenseIsRefused) {
  EXPECT_TRUE(refused({"get", "s", "--group", "g", "--no-peers"}));
  EXPECT_TRUE(refused({"get", "s", "--peer-upload-rate", "fast"}));
  EXPECT_TRUE(refused({"get", "s", "--peer-connections", "1"}));
}

TEST(GroupCommand, HasItsThreeForms) {
  const auto init = parsed<GroupCommand>({"group", "init", "-o", "f"});
  EXPECT_EQ(init.action, GroupCommand::Action::init);
  EXPECT_EQ(init.file, "f");
  const auto rotate = parsed<GroupCommand>({"group", "rotate", "f"});
  EXPECT_EQ(rotate.action, GroupCommand::Action::rotate);
  EXPECT_EQ(rotate.overlap, std::chrono::hours{7 * 24});
  EXPECT_EQ(parsed<GroupCommand>({"group", "rotate", "f", "--overlap-days", "1"}).overlap,
            std::chrono::hours{24});
  EXPECT_FALSE(parsed<GroupCommand>({"group", "rotate", "--now", "f"}).overlap);
  const auto show = parsed<GroupCommand>({"group", "show", "f", "--json"});
  EXPECT_EQ(show.action, GroupCommand::Action::show);
  EXPECT_TRUE(show.json);
  for (const Arguments& wrong :
       {Arguments{"group"}, Arguments{"group", "init"}, Arguments{"group", "rotate"},
        Arguments{"group", "show"}, Arguments{"group", "rotate", "f", "--overlap-days", "0"},
        Arguments{"group", "rotate", "f", "--now", "--overlap-days", "1"}}) {
    EXPECT_TRUE(refused(wrong));
  }
}

TEST(PeersCommand, HasItsFiveForms) {
  const auto ban = parsed<PeersCommand>({"peers", "ban", "10.0.0.1", "10.0.0.2", "--state", "d"});
  EXPECT_EQ(ban.action, PeersCommand::Action::ban);
  EXPECT_EQ(ban.addresses, (std::vector<std::string>{"10.0.0.1", "10.0.0.2"}));
  EXPECT_EQ(ban.state, "d");
  EXPECT_EQ(parsed<PeersCommand>({"peers", "unban", "::1"}).action, PeersCommand::Action::unban);
  EXPECT_EQ(parsed<PeersCommand>({"peers", "stop"}).action, PeersCommand::Action::stop);
  EXPECT_EQ(parsed<PeersCommand>({"peers", "start"}).action, PeersCommand::Action::start);
  EXPECT_EQ(parsed<PeersCommand>({"peers", "show", "--rules", "f"}).rules, "f");
  EXPECT_TRUE(refused({"peers"}));
  EXPECT_TRUE(refused({"peers", "ban"}));
}

}  // namespace
}  // namespace lanward::cli
