#include "api/cli/options.h"

#include <arpa/inet.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>

#include "api/cli/exit_code.h"

namespace lanward::cli {
namespace {

// Longer than any machine stays up; keeps deadlines far from the end of the clock.
constexpr std::int64_t kShareSecondsMax = 10LL * 365 * 24 * 3600;

constexpr const char* kForever = "forever";

std::optional<std::int64_t> parse_whole(std::string_view text) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  auto [rest, failure] = std::from_chars(text.data(), end, value);
  if (failure != std::errc{} || rest != end || text.empty()) return std::nullopt;
  return value;
}

bool is_address(const std::string& text, int family) {
  unsigned char binary[sizeof(in6_addr)];
  return inet_pton(family, text.c_str(), binary) == 1;
}

// Checks ADDRESS:PORT or [ADDRESS]:PORT. Names are not accepted: a peer is known by its address.
std::string endpoint_problem(const std::string& text, std::int64_t port_min) {
  const std::string wrong = "'" + text + "' is not ADDRESS:PORT (IPv6: [ADDRESS]:PORT)";
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return wrong;
  std::string address = text.substr(0, colon);
  const bool bracketed = address.size() >= 2 && address.front() == '[' && address.back() == ']';
  if (bracketed) address = address.substr(1, address.size() - 2);
  if (!is_address(address, bracketed ? AF_INET6 : AF_INET)) return wrong;
  const auto port = parse_whole(std::string_view(text).substr(colon + 1));
  if (!port || *port < port_min || *port > 65535) {
    return "'" + text + "' has no port from " + std::to_string(port_min) + " to 65535";
  }
  return {};
}

std::string share_problem(const std::string& text) {
  if (text == kForever) return {};
  const auto seconds = parse_whole(text);
  if (seconds && *seconds >= 0 && *seconds <= kShareSecondsMax) return {};
  return "'" + text + "' is neither a number of seconds nor '" + kForever + "'";
}

Share parse_share(const std::string& text) {
  if (text == kForever) return Share{};
  return Share{std::chrono::seconds{parse_whole(text).value_or(0)}};
}

// One value per occurrence, so that a positional argument may follow.
void add_list(CLI::App& app, const char* name, std::vector<std::string>& values, const char* type,
              const char* help, const CLI::Validator& check = {}) {
  app.add_option(name, values, help)->type_name(type)->allow_extra_args(false)->check(check);
}

CLI::App& add_publish(CLI::App& app, PublishOptions& options) {
  CLI::App& command =
      *app.add_subcommand("publish", "Hash FILE and write its manifest, a BitTorrent v2 .torrent");
  command.add_option("FILE", options.file, "File to describe")->type_name("")->required();
  add_list(command, "--url", options.urls, "URL", "Where the bytes can be fetched (repeatable)");
  add_list(command, "--tracker", options.trackers, "URL", "Announce URL (repeatable)");
  command.add_option("-o,--output", options.output, "Where to write; default FILE.torrent")
      ->type_name("FILE.torrent");
  command.add_flag("--json", options.json, "One JSON object per event on standard output");
  command.add_flag("--quiet", options.quiet, "Print errors only");
  return command;
}

CLI::App& add_get(CLI::App& app, GetOptions& options, std::string& share) {
  CLI::App& command =
      *app.add_subcommand("get", "Fetch one file from its origin and from peers at once");
  const CLI::Validator peer([](std::string& text) { return endpoint_problem(text, 1); }, "");
  const CLI::Validator listen([](std::string& text) { return endpoint_problem(text, 0); }, "");
  const CLI::Validator sharing([](std::string& text) { return share_problem(text); }, "");
  command.add_option("SOURCE", options.source, "URL of the file, or path or URL of its .torrent")
      ->type_name("")
      ->required();
  command.add_option("-o,--output", options.output, "Destination; a directory keeps the name")
      ->type_name("PATH");
  command.add_option("--manifest", options.manifest, "The .torrent; default: discovered")
      ->type_name("PATH|URL");
  add_list(command, "--mirror", options.mirrors, "URL", "Another URL of the bytes (repeatable)");
  command
      .add_option("--cache", options.cache,
                  "Piece cache that stays; default: a working directory beside PATH, removed after "
                  "delivery")
      ->type_name("DIR");
  command.add_option("--listen", options.listen, "Where to accept peers; port 0: any free port")
      ->type_name("ADDR:PORT")
      ->check(listen);
  add_list(command, "--peer", options.peers, "ADDR:PORT", "A known peer (repeatable)", peer);
  add_list(command, "--tracker", options.trackers, "URL", "Announce URL (repeatable)");
  command.add_flag_callback(
      "--no-peers", [&] { options.use_peers = false; }, "Fetch from origins only");
  command.add_flag_callback(
      "--no-cdn", [&] { options.use_cdn = false; }, "Fetch file bytes from peers only");
  command.add_option("--share", share, "Keep serving peers after delivery")
      ->type_name("SECONDS|forever")
      ->check(sharing);
  command.add_flag("--json", options.json, "One JSON object per event on standard output");
  command.add_flag("--quiet", options.quiet, "Print errors only");
  return command;
}

// Combinations that cannot work together; empty when there is none.
std::string contradiction(const GetOptions& options) {
  if (options.source.empty()) return "SOURCE is empty";
  if (options.use_peers) return {};
  if (!options.use_cdn) return "--no-peers and --no-cdn together leave nothing to fetch from";
  if (!options.peers.empty()) return "--peer contradicts --no-peers";
  if (!options.trackers.empty()) return "--tracker contradicts --no-peers";
  if (!options.listen.empty()) return "--listen contradicts --no-peers";
  if (options.share) return "--share contradicts --no-peers";
  return {};
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
  std::string share;
  CLI::App& publish_command = add_publish(app, publish);
  CLI::App& get_command = add_get(app, get, share);
  get_command.footer(exit_code_help());
  publish_command.footer(exit_code_help());
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForVersion& call) {
    return ShowText{std::string(call.what()) + "\n"};
  } catch (const CLI::CallForHelp&) {
    const auto chosen = app.get_subcommands();
    return ShowText{chosen.empty() ? app.help() : chosen.front()->help("lanward")};
  } catch (const CLI::ParseError& error) {
    return UsageError{error.what()};
  }
  if (publish_command.parsed()) return publish;
  if (!get_command.parsed()) return UsageError{"a command is missing: publish or get"};
  if (!share.empty()) get.share = parse_share(share);
  if (std::string problem = contradiction(get); !problem.empty()) return UsageError{problem};
  return get;
}

}  // namespace lanward::cli
