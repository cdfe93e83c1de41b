#include "api/cli/options_common.h"

#include <arpa/inet.h>

#include <charconv>

namespace lanward::cli {
namespace {

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

}  // namespace

std::optional<std::int64_t> parse_whole(std::string_view text) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  auto [rest, failure] = std::from_chars(text.data(), end, value);
  if (failure != std::errc{} || rest != end || text.empty()) return std::nullopt;
  return value;
}

// One value per occurrence, so that a positional argument may follow.
void add_list(CLI::App& app, const char* name, std::vector<std::string>& values, const char* type,
              const char* help, const CLI::Validator& check) {
  app.add_option(name, values, help)->type_name(type)->allow_extra_args(false)->check(check);
}

void add_file_options(CLI::App& app, FileOptions& options) {
  const CLI::Validator peer([](std::string& text) { return endpoint_problem(text, 1); }, "");
  app.add_option("SOURCE", options.source,
                 "URL of the file, or path or URL of its .torrent or .meta4")
      ->type_name("")
      ->required();
  app.add_option("-o,--output", options.output, "Destination; a directory keeps the name")
      ->type_name("PATH");
  app.add_option("--manifest", options.manifest, "The .torrent; default: discovered")
      ->type_name("PATH|URL");
  add_list(app, "--mirror", options.mirrors, "URL[;pri=N]",
           "Another URL of the bytes; lowest N first (repeatable)");
  add_cache_options(app, options.caches);
  add_list(app, "--peer", options.peers, "ADDR:PORT", "A known peer (repeatable)", peer);
  add_list(app, "--tracker", options.trackers, "URL", "Announce URL (repeatable)");
  app.add_flag_callback(
      "--no-peers", [&] { options.use_peers = false; }, "Fetch from origins only");
  app.add_flag_callback(
      "--no-origin,--no-cdn", [&] { options.use_origin = false; },
      "Fetch file bytes from peers only");
  app.add_flag("--integrity-mandatory", options.integrity_mandatory,
               "Fail without a manifest instead of trusting the origin");
  const auto add_digest = [&options](const std::string& digest) {
    options.digests.push_back(digest);
  };
  app.add_option_function<std::string>(
         "--sha256", [add_digest](const std::string& hex) { add_digest("sha-256=" + hex); },
         "The SHA-256 that the whole file must have")
      ->type_name("HEX");
  app.add_option_function<std::vector<std::string>>(
         "--digest",
         [add_digest](const std::vector<std::string>& all) {
           for (const std::string& digest : all) add_digest(digest);
         },
         "Another digest of the whole file: sha-512, sha-256, sha-1 or md5 (repeatable)")
      ->type_name("ALG=HEX")
      ->allow_extra_args(false);
}

void add_listen_option(CLI::App& app, std::string& listen) {
  const CLI::Validator check([](std::string& text) { return endpoint_problem(text, 0); }, "");
  app.add_option("--listen", listen, "Where to accept peers; port 0: any free port")
      ->type_name("ADDR:PORT")
      ->check(check);
}

void add_json_option(CLI::App& app, bool& json) {
  app.add_flag("--json", json, "One JSON object per event on standard output");
}

std::string contradiction_of(const FileOptions& options) {
  if (options.source.empty()) return "SOURCE is empty";
  if (options.use_peers) return {};
  if (!options.use_origin) return "--no-peers and --no-origin together leave nothing to fetch from";
  if (!options.peers.empty()) return "--peer contradicts --no-peers";
  if (!options.trackers.empty()) return "--tracker contradicts --no-peers";
  return {};
}

}  // namespace lanward::cli
