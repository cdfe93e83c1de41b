// The options of `lanward cache`, and of the policy of a cache.
#include <functional>
#include <utility>

#include "api/cli/limits.h"
#include "api/cli/options_common.h"

namespace lanward::cli {
namespace {

constexpr const char* kIdHelp =
    "A content: its id, or at least 6 digits that no other id begins with";
// As Cache::expire() takes.
constexpr std::int64_t kExpiryMax = 366LL * 24 * 3600;
constexpr const char* kNever = "never";

Parsed<std::uint32_t> parse_percent(std::string_view text) {
  const auto number = parse_whole(text);
  if (number && *number >= 0 && *number <= 100) return static_cast<std::uint32_t>(*number);
  return "'" + std::string(text) + "' is not a number from 0 to 100";
}

// "30s", "10min", "12h", "3d"; a plain number is seconds.
Parsed<std::chrono::seconds> parse_duration(std::string_view text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = parse_whole(text.substr(0, digits));
  const std::string_view unit = text.substr(digits);
  std::int64_t factor = 0;
  if (unit.empty() || unit == "s") factor = 1;
  if (unit == "min") factor = 60;
  if (unit == "h") factor = 3600;
  if (unit == "d") factor = 24 * 3600;
  if (!number || factor == 0 || *number > kSecondsMax / factor) {
    return "'" + std::string(text) + "' is not a time such as 90s, 10min, 12h or 3d";
  }
  return std::chrono::seconds{*number * factor};
}

struct Expiry {
  std::optional<std::chrono::seconds> delay;
};

Parsed<Expiry> parse_expiry(std::string_view text) {
  if (text == kNever) return Expiry{};
  auto delay = parse_duration(text);
  if (auto* problem = std::get_if<std::string>(&delay)) return std::move(*problem);
  const auto seconds = std::get<std::chrono::seconds>(delay);
  if (seconds.count() > kExpiryMax) return "'" + std::string(text) + "' is more than a year";
  return Expiry{seconds};
}

void add_ids(CLI::App& app, std::vector<std::string>& ids, bool required) {
  app.add_option("ID", ids, kIdHelp)->type_name("")->required(required);
}

// A command of `cache`. `define` adds its options to values that live as long as the parser; they
// become CacheCommand::command when the command is chosen.
template <class Chosen>
void add_command(CLI::App& cache, CacheCommand& options, const char* name, const char* help,
                 const std::function<void(CLI::App&, Chosen&)>& define = nullptr,
                 Chosen initial = {}) {
  CLI::App& command = *cache.add_subcommand(name, help);
  const auto values = std::make_shared<Chosen>(std::move(initial));
  if (define) define(command, *values);
  command.add_option("--cache", options.cache, "The cache; default: cache in the state directory")
      ->type_name("DIR");
  command.add_option("--state", options.state, "Directory of the job queue")->type_name("DIR");
  add_cache_policy_options(command, options.policy);
  add_json_option(command, options.json);
  command.final_callback([&options, values] { options.command = *values; });
}

void add_expire(CLI::App& app, CacheExpire& expire) {
  const CLI::Validator check(
      [](std::string& text) {
        const auto parsed = parse_expiry(text);
        const auto* problem = std::get_if<std::string>(&parsed);
        return problem != nullptr ? *problem : std::string();
      },
      "");
  app.add_option_function<std::string>(
         "--in",
         [&expire](const std::string& text) {
           const auto parsed = parse_expiry(text);
           if (const auto* expiry = std::get_if<Expiry>(&parsed)) expire.delay = expiry->delay;
         },
         "When it goes, used or not; 0: now")
      ->type_name("TIME|never")
      ->required()
      ->check(check);
  add_ids(app, expire.ids, true);
}

void add_import(CLI::App& app, CacheImport& import) {
  app.add_option("FILE", import.file, "File to take in; it is only read")
      ->type_name("")
      ->required();
  app.add_option("--manifest", import.manifest,
                 "The .torrent that describes it; default: FILE.torrent, else one is made")
      ->type_name("PATH");
  app.add_option("--name", import.name, "What it is called in listings")->type_name("TEXT");
  app.add_flag("--pin", import.pin, "Never evict it");
  app.add_flag_callback(
      "--private", [&import] { import.share = false; }, "It is not for peers");
}

void add_export(CLI::App& app, CacheExport& given) {
  app.add_option("ID", given.id, kIdHelp)->type_name("")->required();
  app.add_option("-o,--output", given.output, "Destination; a directory keeps the name")
      ->type_name("PATH")
      ->required();
  app.add_flag("--hard-link", given.hard_link,
               "A further name of the cache's own file, where that is possible: nobody may write "
               "to it");
  app.add_flag("--with-manifest", given.with_manifest, "Also PATH.torrent, if it is known");
}

}  // namespace

void add_cache_policy_options(CLI::App& app, CachePolicy& policy) {
  add_parsed(app, "--cache-max", "SIZE", "Quota of the cache, e.g. 20GB; 0: no such limit",
             parse_size, policy.max_bytes);
  add_parsed(app, "--cache-max-percent", "N", "Quota in per cent of its disk (20); 0: none",
             parse_percent, policy.max_percent);
  add_parsed(app, "--cache-min-free", "SIZE", "Bytes of its disk that the cache leaves free",
             parse_size, policy.min_free_bytes);
  add_parsed(app, "--cache-max-age", "TIME", "What is unused for longer goes (3d); 0: never",
             parse_duration, policy.max_age);
  add_parsed(app, "--cache-min-file", "SIZE", "Smaller files do not stay", parse_size,
             policy.min_file_bytes);
  add_parsed(app, "--cache-check-interval", "TIME",
             "How often every piece is hashed again (7d); 0: never", parse_duration,
             policy.check_interval);
}

CLI::App& add_cache(CLI::App& app, CacheCommand& options) {
  CLI::App& cache = *app.add_subcommand("cache", "Look after a piece cache");
  cache.require_subcommand(0, 1);
  add_command<CacheStatusOf>(cache, options, "status", "How full it is, and of what");
  add_command<CacheList>(cache, options, "list", "The contents, the latest used first");
  const auto pin = [](CLI::App& command, CachePin& values) { add_ids(command, values.ids, true); };
  add_command<CachePin>(cache, options, "pin", "Never evict contents", pin, CachePin{true, {}});
  add_command<CachePin>(cache, options, "unpin", "Take the pins away", pin, CachePin{false, {}});
  const auto share = [](CLI::App& command, CacheShare& values) {
    add_ids(command, values.ids, true);
  };
  add_command<CacheShare>(cache, options, "share", "Let peers have contents", share,
                          CacheShare{true, {}});
  add_command<CacheShare>(cache, options, "unshare", "Keep contents from peers", share,
                          CacheShare{false, {}});
  add_command<CacheExpire>(cache, options, "expire", "Say when contents go", add_expire);
  add_command<CacheDelete>(cache, options, "delete", "Remove contents that no job needs",
                           [](CLI::App& command, CacheDelete& values) {
                             add_ids(command, values.ids, true);
                             command.add_flag("--pinned-too", values.pinned_too,
                                              "Also pinned ones");
                           });
  add_command<CacheTrim>(cache, options, "trim", "Evict now what the limits want gone");
  add_command<CacheVerify>(cache, options, "verify",
                           "Hash contents again and drop the pieces that are wrong",
                           [](CLI::App& command, CacheVerify& values) {
                             add_ids(command, values.ids, false);
                             add_parsed(command, "--limit-rate", "RATE", "Read no faster",
                                        parse_rate, values.rate_bytes_per_s);
                           });
  add_command<CacheImport>(cache, options, "import", "Take a file of this machine in", add_import);
  add_command<CacheExport>(cache, options, "export", "Put a content somewhere as a file",
                           add_export);
  return cache;
}

std::string contradiction_of(const CacheCommand& options) {
  if (!options.cache.empty() && !options.state.empty()) return "--cache contradicts --state";
  return {};
}

}  // namespace lanward::cli
