// Options that several commands have, defined once.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/cli/limits.h"
#include "api/cli/options.h"

namespace lanward::cli {

// Longer than any machine stays up; keeps deadlines far from the end of the clock.
inline constexpr std::int64_t kSecondsMax = 10LL * 365 * 24 * 3600;

[[nodiscard]] std::optional<std::int64_t> parse_whole(std::string_view text);

// The type of each value in the help is `type`.
void add_list(CLI::App& app, const char* name, std::vector<std::string>& values, const char* type,
              const char* help, const CLI::Validator& check = {});

// An option whose text `parse` understands; `value` becomes what it says.
template <class Value>
void add_parsed(CLI::App& app, const char* name, const char* type, const char* help,
                Parsed<Value> (*parse)(std::string_view), Value& value) {
  const CLI::Validator check(
      [parse](std::string& text) {
        const auto parsed = parse(text);
        const auto* problem = std::get_if<std::string>(&parsed);
        return problem != nullptr ? *problem : std::string();
      },
      "");
  app.add_option_function<std::string>(
         name,
         [parse, &value](const std::string& text) {
           const auto parsed = parse(text);
           if (const auto* good = std::get_if<Value>(&parsed)) value = *good;
         },
         help)
      ->type_name(type)
      ->check(check);
}

// What describes one file: SOURCE, -o and where its bytes may come from.
void add_file_options(CLI::App& app, FileOptions& options);
// Caches, for one file or for all.
void add_cache_options(CLI::App& app, CacheHosts& caches);
// What the piece cache may take and keep.
void add_cache_policy_options(CLI::App& app, CachePolicy& policy);
// Limits, delays, trust.
void add_origin_options(CLI::App& app, OriginOptions& options);
// Proxy, certificate, redirects, headers; returns --header.
CLI::Option* add_request_options(CLI::App& app, JobChange& change);
[[nodiscard]] std::string contradiction_of(const JobChange& change);
// Who may be a peer.
void add_peer_options(CLI::App& app, PeerOptions& options);
// Where there is a state directory to count in.
void add_monthly_limit(CLI::App& app, PeerLimits& limits);
void add_listen_option(CLI::App& app, std::string& listen);
void add_json_option(CLI::App& app, bool& json);

// Combinations that cannot work together; empty when there is none.
[[nodiscard]] std::string contradiction_of(const FileOptions& options);

// `jobs` with its commands.
CLI::App& add_jobs(CLI::App& app, JobsOptions& options);
// `cache` with its commands.
CLI::App& add_cache(CLI::App& app, CacheCommand& options);
// `peers` with its commands.
CLI::App& add_peers(CLI::App& app, PeersCommand& options);
// `group` with its commands.
CLI::App& add_group(CLI::App& app, GroupCommand& options);
// Likewise for what was parsed; empties and combinations.
[[nodiscard]] std::string contradiction_of(const JobsOptions& options);
[[nodiscard]] std::string contradiction_of(const CacheCommand& options);

}  // namespace lanward::cli
