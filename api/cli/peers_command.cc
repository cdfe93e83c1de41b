#include <fmt/format.h>
#include <lanward/peers.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "api/cli/commands.h"
#include "api/cli/json_stream.h"
#include "api/cli/paths.h"

namespace lanward::cli {
namespace {

void tell_people(const PeerRules& rules, const std::string& file) {
  fmt::print("rules of peers ({})\n", file);
  if (!rules.serving) fmt::print("peers are switched off\n");
  if (rules.allow.empty()) {
    fmt::print("allowed: {}\n", rules.private_only ? "addresses for local use" : "all addresses");
  }
  for (const auto& [word, list] :
       {std::pair{"allowed", &rules.allow}, std::pair{"denied", &rules.deny},
        std::pair{"banned", &rules.ban}}) {
    for (const std::string& address : *list) fmt::print("{}: {}\n", word, address);
  }
}

void tell_programs(const PeerRules& rules, const std::string& file) {
  JsonStream(stdout).emit("peer_rules", {{"file", file},
                                         {"serving", rules.serving},
                                         {"private_only", rules.private_only},
                                         {"allow", rules.allow},
                                         {"deny", rules.deny},
                                         {"ban", rules.ban}});
}

// Bans the address, or lifts its ban.
Result<void> set_ban(PeerRules& rules, const std::string& text, bool banned) {
  const auto address = peer_network(text);
  if (!address) return tl::unexpected(address.error());
  const auto erased = std::erase(rules.ban, *address);
  if (banned) rules.ban.push_back(*address);
  if (!banned && erased == 0) {
    return fail(ErrorCode::invalid_argument, "'" + text + "' is not banned");
  }
  return {};
}

Result<void> change(PeerRules& rules, const PeersCommand& options) {
  switch (options.action) {
    case PeersCommand::Action::ban:
    case PeersCommand::Action::unban:
      for (const std::string& address : options.addresses) {
        auto set = set_ban(rules, address, options.action == PeersCommand::Action::ban);
        if (!set) return set;
      }
      break;
    case PeersCommand::Action::stop:
      rules.serving = false;
      break;
    case PeersCommand::Action::start:
      rules.serving = true;
      break;
    case PeersCommand::Action::show:
      break;
  }
  return {};
}

ExitCode end_failed(const Error& error) {
  fmt::print(stderr, "lanward: {}\n", error.message);
  return exit_code_of(error.code);
}

}  // namespace

ExitCode run_peers(const PeersCommand& options) {
  std::string file = options.rules;
  if (file.empty()) {
    const auto state = options.state.empty() ? default_state_directory(state_environment())
                                             : Result<std::string>(options.state);
    if (!state) return end_failed(state.error());
    file = *state + "/peers.rules";
  }
  auto rules = read_peer_rules(file);
  if (!rules) return end_failed(rules.error());
  if (options.action != PeersCommand::Action::show) {
    if (auto changed = change(*rules, options); !changed) return end_failed(changed.error());
    if (auto written = write_peer_rules(file, *rules); !written) {
      return end_failed(written.error());
    }
  }
  (options.json ? tell_programs : tell_people)(*rules, file);
  return ExitCode::done;
}

}  // namespace lanward::cli
