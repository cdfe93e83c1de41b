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

TEST(PeerOptions, TheDownloadModeIsANumberOrAName) {
  EngineOptions engine;
  apply(parsed<GetOptions>({"get", "s"}).peer_options, engine);
  EXPECT_FALSE(engine.download_mode);
  apply(parsed<GetOptions>({"get", "s", "--download-mode", "99"}).peer_options, engine);
  EXPECT_EQ(engine.download_mode, DownloadMode::simple);
  const auto jobs = parsed<JobsOptions>({"jobs", "run", "--download-mode", "http-only"});
  EXPECT_EQ(std::get<JobsRun>(jobs.command).peer_options.mode, DownloadMode::cdn_only);
  for (const Arguments& wrong :
       {Arguments{"get", "s", "--download-mode", "7"},
        Arguments{"get", "s", "--download-mode", "Lan"},
        Arguments{"get", "s", "--download-mode", "0", "--share", "1"},
        Arguments{"get", "s", "--download-mode", "99", "--no-origin"},
        Arguments{"get", "s", "--download-mode", "0", "--peer", "1.2.3.4:5"},
        Arguments{"get", "s", "--download-mode", "100", "--cache", "c"},
        Arguments{"jobs", "run", "--download-mode", "0", "--keep-going"}}) {
    EXPECT_TRUE(refused(wrong)) << wrong.back();
  }
}

TEST(CacheOptions, SayWhatIsShared) {
  const auto shared = parsed<CacheCommand>({"cache", "share", "abcdef", "123456"});
  EXPECT_TRUE(std::get<CacheShare>(shared.command).shared);
  EXPECT_EQ(std::get<CacheShare>(shared.command).ids.size(), 2U);
  const auto kept = parsed<CacheCommand>({"cache", "unshare", "abcdef"});
  EXPECT_FALSE(std::get<CacheShare>(kept.command).shared);
  const auto import = parsed<CacheCommand>({"cache", "import", "f"});
  EXPECT_TRUE(std::get<CacheImport>(import.command).share);
  const auto secret = parsed<CacheCommand>({"cache", "import", "f", "--private"});
  EXPECT_FALSE(std::get<CacheImport>(secret.command).share);
  EXPECT_TRUE(refused({"cache", "share"}));
  EXPECT_TRUE(parsed<PublishOptions>({"publish", "f", "--share-private"}).share_private);
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

TEST(PeerOptions, SayWhenAndToHowManyIsGiven) {
  const auto limits = [](const Arguments& more) {
    Arguments all{"get", "s"};
    all.insert(all.end(), more.begin(), more.end());
    return parsed<GetOptions>(all).peer_options.limits;
  };
  EXPECT_EQ(limits({"--peer-upload-slots", "4"}).upload_slots, 4U);
  EXPECT_TRUE(limits({}).puller);
  EXPECT_FALSE(limits({"--no-puller"}).puller);
  const SharingRules rules = limits({"--peer-min-memory", "4GB", "--peer-min-disk", "32GB",
                                     "--peer-min-free", "1GiB", "--peer-battery", "40"})
                                 .sharing;
  EXPECT_EQ(rules.min_memory_bytes, 4'000'000'000U);
  EXPECT_EQ(rules.min_disk_bytes, 32'000'000'000U);
  EXPECT_EQ(rules.min_free_bytes, 1U << 30U);
  EXPECT_TRUE(rules.on_battery);
  EXPECT_EQ(rules.min_battery_percent, 40U);
  EXPECT_FALSE(limits({"--peer-battery", "never"}).sharing.on_battery);
  const auto jobs = parsed<JobsOptions>({"jobs", "run", "--peer-upload-monthly", "20GB"});
  EXPECT_EQ(std::get<JobsRun>(jobs.command).peer_options.limits.upload_bytes_per_month,
            20'000'000'000U);
}

TEST(PeerOptions, WhatMakesNoSenseIsRefused) {
  EXPECT_TRUE(refused({"get", "s", "--peer-battery", "101"}));
  EXPECT_TRUE(refused({"get", "s", "--peer-battery", "always"}));
  EXPECT_TRUE(refused({"get", "s", "--peer-min-memory", "much"}));
  EXPECT_TRUE(refused({"get", "s", "--peer-upload-slots", "-1"}));
  // There is no state directory to count in.
  EXPECT_TRUE(refused({"get", "s", "--peer-upload-monthly", "20GB"}));
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
