// Options of who may be a peer, and of `lanward group`.
#include <lanward/group.h>

#include <variant>

#include "api/cli/limits.h"
#include "api/cli/options_common.h"

namespace lanward::cli {
namespace {

constexpr std::int64_t kOverlapDays = 7;
constexpr std::int64_t kOverlapDaysMax = 366;

void add_file(CLI::App& command, GroupCommand& options, const char* help) {
  command.add_option("FILE", options.file, help)->type_name("")->required();
}

// The least charge on battery, or "never".
std::string battery_problem(const std::string& text) {
  if (text == "never") return {};
  const auto percent = parse_whole(text);
  if (percent && *percent >= 0 && *percent <= 100) return {};
  return "expected 0 to 100, or never";
}

void add_sharing_rules(CLI::App& app, SharingRules& rules) {
  add_parsed(app, "--peer-min-memory", "SIZE",
             "Give to peers only on a machine with so much memory, e.g. 4GB", parse_size,
             rules.min_memory_bytes);
  add_parsed(app, "--peer-min-disk", "SIZE", "Likewise, with a cache disk of this size", parse_size,
             rules.min_disk_bytes);
  add_parsed(app, "--peer-min-free", "SIZE", "Likewise, with so much free on that disk", parse_size,
             rules.min_free_bytes);
  app.add_option_function<std::string>(
         "--peer-battery",
         [&rules](const std::string& text) {
           rules.on_battery = text != "never";
           rules.min_battery_percent = static_cast<std::uint32_t>(parse_whole(text).value_or(0));
         },
         "On battery, give to peers only from so many per cent on, or never")
      ->type_name("PERCENT|never")
      ->check(CLI::Validator([](std::string& text) { return battery_problem(text); }, ""));
}

void add_limits(CLI::App& app, PeerLimits& limits) {
  add_parsed(app, "--peer-upload-rate", "RATE",
             "Bytes to all peers together per second, e.g. 1.5MB or 10Mbit", parse_rate,
             limits.upload_bytes_per_s);
  add_parsed(app, "--peer-download-rate", "RATE", "Likewise, from them", parse_rate,
             limits.download_bytes_per_s);
  app.add_flag_callback(
      "--no-upload", [&limits] { limits.upload = false; }, "Take from peers and give them nothing");
  app.add_option("--peer-connections", limits.connections_max, "Peers at a time; default 1000")
      ->type_name("N")
      ->check(CLI::Range(2, 10'000));
  app.add_option("--peer-upload-slots", limits.upload_slots,
                 "Give to so many peers at a time, in turn; default: to all")
      ->type_name("N")
      ->check(CLI::Range(0, 10'000));
  app.add_flag_callback(
      "--no-puller", [&limits] { limits.puller = false; },
      "Leave the origins to other peers as long as one of them asks these");
  add_sharing_rules(app, limits.sharing);
}

}  // namespace

void add_monthly_limit(CLI::App& app, PeerLimits& limits) {
  add_parsed(app, "--peer-upload-monthly", "SIZE",
             "Give peers no more than this in a calendar month, e.g. 20GB", parse_size,
             limits.upload_bytes_per_month);
}

void add_peer_options(CLI::App& app, PeerOptions& options) {
  app.add_option_function<std::string>(
         "--download-mode",
         [&options](const std::string& text) { options.mode = parse_download_mode(text); },
         "0 http-only, 1 lan, 2 group, 99 simple or 100 bypass; default 1, with --group 2")
      ->type_name("MODE")
      ->check(CLI::Validator(
          [](std::string& text) {
            return parse_download_mode(text)
                       ? std::string()
                       : "'" + text + "' is no download mode: 0, 1, 2, 99, 100, or a name of one";
          },
          ""));
  add_limits(app, options.limits);
  app.add_flag("--dns-sd", options.dns_sd,
               "Find peers by DNS-SD, too, through the Avahi daemon of this machine");
  app.add_option("--group", options.group,
                 "Only members of this group are peers; made by lanward group init")
      ->type_name("FILE");
  app.add_option("--peer-rules", options.rules,
                 "Rules which addresses may be peers; default: peers.rules in the state directory")
      ->type_name("FILE");
}

CLI::App& add_peers(CLI::App& app, PeersCommand& options) {
  using Action = PeersCommand::Action;
  CLI::App& peers = *app.add_subcommand("peers", "Rule which addresses may be peers");
  peers.require_subcommand(0, 1);
  const auto add = [&](const char* name, const char* help, Action action) {
    CLI::App& command = *peers.add_subcommand(name, help);
    command.add_option("--state", options.state, "State directory whose rules are meant")
        ->type_name("DIR");
    command.add_option("--rules", options.rules, "The rules; default: peers.rules in DIR")
        ->type_name("FILE");
    add_json_option(command, options.json);
    command.callback([&options, action] { options.action = action; });
    return &command;
  };
  add("show", "Tell the rules", Action::show);
  for (const auto& [command, help] :
       {std::pair{add("ban", "End the sessions of an address, and refuse it", Action::ban),
                  "Addresses or networks"},
        std::pair{add("unban", "Lift its ban", Action::unban), "As they were banned"}}) {
    command->add_option("ADDRESS", options.addresses, help)->type_name("")->required();
  }
  add("stop", "End the sessions of all peers at once, and have none", Action::stop);
  add("start", "Have peers again", Action::start);
  return peers;
}

CLI::App& add_group(CLI::App& app, GroupCommand& options) {
  CLI::App& group = *app.add_subcommand("group", "Make and change groups of peers");
  group.require_subcommand(0, 1);
  CLI::App& init = *group.add_subcommand("init", "Write the secret of a new group to a file");
  init.add_option("-o,--output", options.file, "Where to write; must not exist")
      ->type_name("FILE")
      ->required();
  init.callback([&options] { options.action = GroupCommand::Action::init; });
  CLI::App& rotate = *group.add_subcommand(
      "rotate", "Give the group a new key; copy FILE to every member while both are accepted");
  add_file(rotate, options, "The group");
  options.overlap = std::chrono::hours{24 * kOverlapDays};
  auto* const days = rotate.add_option_function<std::int64_t>(
      "--overlap-days",
      [&options](std::int64_t value) { options.overlap = std::chrono::hours{24 * value}; },
      "How long the old key is accepted; default 7");
  days->type_name("N")->check(CLI::Range(std::int64_t{1}, kOverlapDaysMax));
  rotate
      .add_flag_callback(
          "--now", [&options] { options.overlap.reset(); },
          "The old keys are not accepted any more: who lacks the new file is out")
      ->excludes(days);
  rotate.callback([&options] { options.action = GroupCommand::Action::rotate; });
  CLI::App& show = *group.add_subcommand("show", "Tell what is in FILE, without its secrets");
  add_file(show, options, "The group");
  show.callback([&options] { options.action = GroupCommand::Action::show; });
  for (CLI::App* command : {&init, &rotate, &show}) add_json_option(*command, options.json);
  return group;
}

bool may_have_peers(const PeerOptions& options) {
  return !options.mode || *options.mode == DownloadMode::lan ||
         *options.mode == DownloadMode::group || *options.mode == DownloadMode::internet;
}

void apply(const PeerOptions& from, EngineOptions& to) {
  to.download_mode = from.mode;
  to.group_file = from.group;
  to.peer_rules_file = from.rules;
  to.peer_limits = from.limits;
  to.dns_sd = from.dns_sd;
}

std::string group_id(const PeerOptions& options) {
  if (options.group.empty()) return {};
  const auto group = describe_group(options.group);
  return group ? group->id : std::string();
}

}  // namespace lanward::cli
