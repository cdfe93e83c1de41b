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

void add_rate(CLI::App& app, const char* name, std::uint64_t& rate, const char* help) {
  const CLI::Validator check(
      [](std::string& text) {
        const auto parsed = parse_rate(text);
        const auto* problem = std::get_if<std::string>(&parsed);
        return problem != nullptr ? *problem : std::string();
      },
      "");
  app.add_option_function<std::string>(
         name,
         [&rate](const std::string& text) {
           const auto parsed = parse_rate(text);
           if (const auto* value = std::get_if<std::uint64_t>(&parsed)) rate = *value;
         },
         help)
      ->type_name("RATE")
      ->check(check);
}

void add_limits(CLI::App& app, PeerLimits& limits) {
  add_rate(app, "--peer-upload-rate", limits.upload_bytes_per_s,
           "Bytes to all peers together per second, e.g. 1.5MB or 10Mbit");
  add_rate(app, "--peer-download-rate", limits.download_bytes_per_s, "Likewise, from them");
  app.add_flag_callback(
      "--no-upload", [&limits] { limits.upload = false; }, "Take from peers and give them nothing");
  app.add_option("--peer-connections", limits.connections_max, "Peers at a time; default 1000")
      ->type_name("N")
      ->check(CLI::Range(2, 10'000));
}

}  // namespace

void add_peer_options(CLI::App& app, PeerOptions& options) {
  add_limits(app, options.limits);
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

void apply(const PeerOptions& from, EngineOptions& to) {
  to.group_file = from.group;
  to.peer_rules_file = from.rules;
  to.peer_limits = from.limits;
}

std::string group_id(const PeerOptions& options) {
  if (options.group.empty()) return {};
  const auto group = describe_group(options.group);
  return group ? group->id : std::string();
}

}  // namespace lanward::cli
