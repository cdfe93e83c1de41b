#include "api/cli/options.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <string_view>

#include "api/cli/exit_code.h"
#include "api/cli/options_common.h"

namespace lanward::cli {
namespace {

constexpr const char* kForever = "forever";

std::string share_problem(const std::string& text) {
  if (text == kForever) return {};
  const auto seconds = parse_whole(text);
  if (seconds && *seconds >= 0 && *seconds <= kSecondsMax) return {};
  return "'" + text + "' is neither a number of seconds nor '" + kForever + "'";
}

Share parse_share(const std::string& text) {
  if (text == kForever) return Share{};
  return Share{std::chrono::seconds{parse_whole(text).value_or(0)}};
}

CLI::App& add_publish(CLI::App& app, PublishOptions& options) {
  CLI::App& command =
      *app.add_subcommand("publish", "Hash FILE and write its manifest, a BitTorrent v2 .torrent");
  command.add_option("FILE", options.file, "File to describe")->type_name("")->required();
  add_list(command, "--url", options.urls, "URL", "Where the bytes can be fetched (repeatable)");
  add_list(command, "--tracker", options.trackers, "URL", "Announce URL (repeatable)");
  command.add_flag("--share-private", options.share_private,
                   "Who fetches it with credentials may share it with peers");
  command.add_option("-o,--output", options.output, "Where to write; default FILE.torrent")
      ->type_name("FILE.torrent");
  add_json_option(command, options.json);
  command.add_flag("--quiet", options.quiet, "Print errors only");
  return command;
}

CLI::App& add_get(CLI::App& app, GetOptions& options, std::string& share) {
  CLI::App& command =
      *app.add_subcommand("get", "Fetch one file from its origin and from peers at once");
  const CLI::Validator sharing([](std::string& text) { return share_problem(text); }, "");
  add_file_options(command, options);
  command
      .add_option("--cache", options.cache,
                  "Piece cache that stays; default: a working directory beside PATH, removed after "
                  "delivery")
      ->type_name("DIR");
  add_cache_policy_options(command, options.cache_policy);
  add_listen_option(command, options.listen);
  add_peer_options(command, options.peer_options);
  add_origin_options(command, options.origin);
  add_request_options(command, options.change);
  command.add_option("--share", share, "Keep serving peers after delivery")
      ->type_name("SECONDS|forever")
      ->check(sharing);
  add_json_option(command, options.json);
  command.add_flag("--quiet", options.quiet, "Print errors only");
  return command;
}

std::string contradiction_of(const GetOptions& options) {
  if (auto problem = contradiction_of(static_cast<const FileOptions&>(options)); !problem.empty()) {
    return problem;
  }
  if (auto problem = cli::contradiction_of(options.change); !problem.empty()) return problem;
  if (options.peer_options.mode == DownloadMode::bypass && !options.cache.empty()) {
    return "--cache contradicts --download-mode bypass";
  }
  if (!may_have_peers(options.peer_options)) {
    if (options.share) return "--share contradicts this --download-mode: it has no peers";
    if (!options.peers.empty()) return "--peer contradicts this --download-mode: it has no peers";
    if (!options.use_origin) return "--no-origin contradicts this --download-mode: it has no peers";
  }
  if (options.use_peers) return {};
  if (!options.listen.empty()) return "--listen contradicts --no-peers";
  if (options.share) return "--share contradicts --no-peers";
  if (!options.peer_options.group.empty()) return "--group contradicts --no-peers";
  if (options.peer_options.dns_sd) return "--dns-sd contradicts --no-peers";
  return {};
}

// Help of the innermost command that was named.
std::string help_of(const CLI::App& app) {
  const CLI::App* chosen = &app;
  std::string before;
  while (!chosen->get_subcommands().empty()) {
    before += (before.empty() ? "" : " ") + chosen->get_name();
    chosen = chosen->get_subcommands().front();
  }
  return chosen->help(before);
}

// `Options` is what the command was parsed into.
template <class Options>
Command checked(const Options& options) {
  if (std::string problem = contradiction_of(options); !problem.empty()) {
    return UsageError{problem};
  }
  return options;
}

// Describing a command's options takes longer than reading them: a command line that names its
// command at once has only that one described.
class Chosen {
 public:
  Chosen(int argc, const char* const* argv) : name_(argc > 1 ? argv[1] : "") {
    if (std::find(kCommands.begin(), kCommands.end(), name_) == kCommands.end()) name_ = {};
  }
  // Adds the command with add(), if it may be the one.
  template <class Add>
  CLI::App* add(std::string_view name, const Add& add) const {
    return name_.empty() || name_ == name ? &add() : nullptr;
  }

 private:
  static constexpr std::array<std::string_view, 6> kCommands{"publish", "get",   "jobs",
                                                             "cache",   "peers", "group"};
  std::string_view name_;  // empty: not clear
};

bool is_given(const CLI::App* command) { return command != nullptr && command->parsed(); }

// The command was named, but not which of its own.
bool lacks_command(const CLI::App* command) {
  return is_given(command) && command->get_subcommands().empty();
}

}  // namespace

Command parse_command_line(int argc, const char* const* argv, const char* version) {
  CLI::App app("Fetches files from an HTTP origin and from peers on the local network at once.",
               "lanward");
  app.set_version_flag("--version", std::string("lanward ") + version);
  app.require_subcommand(0, 1);
  app.footer(exit_code_help());
  PublishOptions publish;
  GetOptions get;
  JobsOptions jobs;
  std::string share;
  CacheCommand cache;
  PeersCommand peers;
  GroupCommand group;
  const Chosen chosen(argc, argv);
  const CLI::App* const publish_command =
      chosen.add("publish", [&]() -> CLI::App& { return add_publish(app, publish); });
  const CLI::App* const get_command =
      chosen.add("get", [&]() -> CLI::App& { return add_get(app, get, share); });
  const CLI::App* const jobs_command =
      chosen.add("jobs", [&]() -> CLI::App& { return add_jobs(app, jobs); });
  const CLI::App* const cache_command =
      chosen.add("cache", [&]() -> CLI::App& { return add_cache(app, cache); });
  const CLI::App* const peers_command =
      chosen.add("peers", [&]() -> CLI::App& { return add_peers(app, peers); });
  const CLI::App* const group_command =
      chosen.add("group", [&]() -> CLI::App& { return add_group(app, group); });
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForVersion& call) {
    return ShowText{std::string(call.what()) + "\n"};
  } catch (const CLI::CallForHelp&) {
    return ShowText{help_of(app)};
  } catch (const CLI::ParseError& error) {
    return UsageError{error.what()};
  }
  if (is_given(publish_command)) return publish;
  if (lacks_command(jobs_command)) {
    return UsageError{
        "a command of jobs is missing: create, add-file, list, show, set, resume, suspend, cancel, "
        "complete or run"};
  }
  if (is_given(jobs_command)) return checked(jobs);
  if (lacks_command(cache_command)) {
    return UsageError{
        "a command of cache is missing: status, list, pin, unpin, share, unshare, expire, delete, "
        "trim, verify, import or export"};
  }
  if (is_given(cache_command)) return checked(cache);
  if (lacks_command(group_command)) {
    return UsageError{"a command of group is missing: init, rotate or show"};
  }
  if (is_given(group_command)) return group;
  if (lacks_command(peers_command)) {
    return UsageError{"a command of peers is missing: show, ban, unban, stop or start"};
  }
  if (is_given(peers_command)) return peers;
  if (!is_given(get_command)) {
    return UsageError{"a command is missing: publish, get, jobs, cache, group or peers"};
  }
  if (!share.empty()) get.share = parse_share(share);
  return checked(get);
}

}  // namespace lanward::cli
