// Options of how origins are reached and how fast.
#include <charconv>
#include <functional>
#include <utility>

#include "api/cli/limits.h"
#include "api/cli/options_common.h"

namespace lanward::cli {
namespace {

constexpr const char* kNever = "never";

// Checks with a parser that tells what is wrong with a text.
template <class Parse>
CLI::Validator checked_by(Parse parse) {
  return CLI::Validator(
      [parse](std::string& text) {
        const auto parsed = parse(text);
        const auto* problem = std::get_if<std::string>(&parsed);
        return problem != nullptr ? *problem : std::string();
      },
      "");
}

// An option whose text `parse` understands; `take` is given the value.
template <class Parse, class Take>
CLI::Option* add_parsed(CLI::App& app, const char* name, const char* type, const char* help,
                        Parse parse, Take take) {
  return app
      .add_option_function<std::string>(
          name,
          [parse, take](const std::string& text) {
            auto parsed = parse(text);
            if (std::get_if<std::string>(&parsed) == nullptr) take(std::get<0>(std::move(parsed)));
          },
          help)
      ->type_name(type)
      ->check(checked_by(parse));
}

Parsed<std::uint32_t> parse_percent(std::string_view text) {
  const auto number = parse_whole(text);
  if (number && *number >= 1 && *number <= 100) return static_cast<std::uint32_t>(*number);
  return "'" + std::string(text) + "' is not a number from 1 to 100";
}

Parsed<std::chrono::seconds> parse_seconds(std::string_view text) {
  const auto seconds = parse_whole(text);
  if (seconds && *seconds >= 0 && *seconds <= kSecondsMax) return std::chrono::seconds{*seconds};
  return "'" + std::string(text) + "' is not a number of seconds";
}

struct Fallback {
  std::chrono::seconds foreground{0};
  std::chrono::seconds background{0};
};

// "SECONDS|never", or two of them with a comma: of foreground jobs and of the others.
Parsed<Fallback> parse_fallback(std::string_view text) {
  const auto one = [](std::string_view part) -> std::optional<std::chrono::seconds> {
    if (part == kNever) return std::chrono::seconds{-1};
    const auto seconds = parse_seconds(part);
    const auto* value = std::get_if<std::chrono::seconds>(&seconds);
    return value != nullptr ? std::optional(*value) : std::nullopt;
  };
  const std::size_t comma = text.find(',');
  const auto first = one(text.substr(0, comma));
  const auto second = comma == std::string_view::npos ? first : one(text.substr(comma + 1));
  if (first && second) return Fallback{.foreground = *first, .background = *second};
  return "'" + std::string(text) + "' is not SECONDS or never, or two of them with a comma";
}

// "PREFIX=PREFIX"; the second begins with its scheme, so that the first may hold a '='.
Parsed<CacheMap> parse_map(std::string_view text) {
  for (const std::string_view scheme : {"=http://", "=https://"}) {
    const std::size_t split = text.find(scheme);
    if (split == std::string_view::npos || split == 0) continue;
    return CacheMap{std::string(text.substr(0, split)), std::string(text.substr(split + 1))};
  }
  return "'" + std::string(text) +
         "' is not PREFIX=PREFIX, each beginning with http:// or https://";
}

}  // namespace

void add_cache_options(CLI::App& app, CacheHosts& caches) {
  app.add_option_function<std::vector<std::string>>(
         "--cache-host", [&caches](const std::vector<std::string>& hosts) { caches.hosts = hosts; },
         "Caches in the site that are asked before the origins, in this order")
      ->type_name("HOST[:PORT],...")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option_function<std::vector<std::string>>(
         "--cache-map",
         [&caches](const std::vector<std::string>& maps) {
           for (const std::string& text : maps) {
             auto map = parse_map(text);
             if (auto* value = std::get_if<CacheMap>(&map)) caches.maps.push_back(*value);
           }
         },
         "URLs that begin with the first are asked from the second before (repeatable)")
      ->type_name("PREFIX=PREFIX")
      ->allow_extra_args(false)
      ->check(checked_by(parse_map));
}

void add_origin_options(CLI::App& app, OriginOptions& options) {
  BandwidthRule& rule = options.bandwidth.always;
  add_parsed(app, "--limit-rate", "RATE", "Bytes from origins per second, e.g. 1.5MB or 10Mbit",
             parse_rate, [&rule](std::uint64_t rate) { rule.total_bytes_per_s = rate; });
  add_parsed(app, "--limit-percent", "N", "The same in per cent of what the line can do",
             parse_percent, [&rule](std::uint32_t percent) {
               rule.foreground.percent = rule.background.percent = percent;
             });
  add_parsed(app, "--limit-foreground", "RATE|N%", "The same of foreground jobs alone", parse_limit,
             [&rule](BandwidthLimit limit) { rule.foreground = limit; });
  add_parsed(app, "--limit-background", "RATE|N%", "The same of all other jobs", parse_limit,
             [&rule](BandwidthLimit limit) { rule.background = limit; });
  app.add_option_function<std::vector<std::string>>(
         "--limit-hours",
         [&options](const std::vector<std::string>& list) {
           for (const std::string& text : list) {
             auto hours = parse_hours(text);
             if (auto* value = std::get_if<BandwidthHours>(&hours)) {
               options.bandwidth.hours.push_back(*value);
             }
           }
         },
         "Another limit at some hours, e.g. 'mon-fri 08:00-18:00 1MB' (repeatable)")
      ->type_name("'[DAYS] HH:MM-HH:MM RATE|N%|none'")
      ->allow_extra_args(false)
      ->check(checked_by(parse_hours));
  add_parsed(app, "--cache-fallback-delay", "SECONDS|never[,SECONDS|never]",
             "How long to stay with cache hosts that fail; default: not at all. Two: of foreground "
             "jobs and of the others",
             parse_fallback, [&options](const Fallback& fallback) {
               options.cache_fallback_foreground = fallback.foreground;
               options.cache_fallback_background = fallback.background;
             });
  add_parsed(app, "--peer-delay", "SECONDS", "Ask origins only after peers had so long",
             parse_seconds, [&options](std::chrono::seconds delay) { options.peer_delay = delay; });
  add_parsed(app, "--min-rate", "RATE", "Slower than this, ask origins whatever peers promise",
             parse_rate, [&options](std::uint64_t rate) { options.min_rate_bytes_per_s = rate; });
  app.add_option("--ca-file", options.ca_file, "Certificates that origins are trusted by (PEM)")
      ->type_name("FILE");
  app.add_flag("--http2", options.http2, "Speak HTTP/2 with https origins that offer it");
}

CLI::Option* add_request_options(CLI::App& app, JobChange& change) {
  app.add_option_function<std::string>(
         "--proxy",
         [&change](const std::string& text) {
           if (!change.proxy) change.proxy.emplace();
           using Usage = ProxySettings::Usage;
           change.proxy->usage = text == "none"  ? Usage::none
                                 : text == "env" ? Usage::preconfig
                                                 : Usage::use;
           change.proxy->proxy = change.proxy->usage == Usage::use ? text : "";
         },
         "How origins are reached; env: as http_proxy and its like say")
      ->type_name("URL|none|env");
  app.add_option_function<std::string>(
         "--proxy-bypass",
         [&change](const std::string& hosts) {
           if (!change.proxy) change.proxy.emplace();
           change.proxy->bypass = hosts;
         },
         "Hosts that are reached without the proxy, separated by commas; with --proxy URL")
      ->type_name("HOSTS")
      ->needs("--proxy");
  const auto file = [&app](const char* name, std::optional<std::string>& value, const char* help) {
    app.add_option_function<std::string>(
           name, [&value](const std::string& path) { value = path; }, help)
        ->type_name("FILE");
  };
  file("--client-cert", change.client_certificate,
       "Certificate shown to the origins you named when they ask (PEM)");
  file("--client-key", change.client_key, "Its key (PEM); default: in the same file");
  auto* const allow = app.add_flag_callback(
      "--allow-https-to-http", [&change] { change.allow_https_to_http_redirects = true; },
      "Follow redirects from https to http");
  allow->excludes(app.add_flag_callback(
      "--refuse-https-to-http", [&change] { change.allow_https_to_http_redirects = false; },
      "Do not follow them (default)"));
  auto* const headers = app.add_option_function<std::vector<std::string>>(
      "--header",
      [&change](const std::vector<std::string>& lines) { change.custom_headers = lines; },
      "Sent to the origins you named; replaces those set before (repeatable)");
  return headers->type_name("'NAME: VALUE'")->allow_extra_args(false);
}

std::string contradiction_of(const JobChange& change) {
  if (change.proxy && !change.proxy->bypass.empty() &&
      change.proxy->usage != ProxySettings::Usage::use) {
    return "--proxy-bypass needs the URL of a proxy";
  }
  return {};
}

bool changes_anything(const JobChange& change) {
  return change.display_name || change.description || change.priority || change.notify_flags ||
         change.minimum_retry_delay || change.no_progress_timeout || change.maximum_download_time ||
         change.proxy || change.custom_headers || change.cost || change.client_certificate ||
         change.client_key || change.allow_https_to_http_redirects;
}

void apply(const OriginOptions& from, EngineOptions& to) {
  to.bandwidth = from.bandwidth;
  to.cache_fallback_foreground = from.cache_fallback_foreground;
  to.cache_fallback_background = from.cache_fallback_background;
  to.peer_delay = from.peer_delay;
  to.min_rate_bytes_per_s = from.min_rate_bytes_per_s;
  to.ca_file = from.ca_file;
  to.http2 = from.http2;
}

}  // namespace lanward::cli
