#include "api/cli/options.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "api/cli/exit_code.h"

namespace lanward::cli {
namespace {

using Arguments = std::vector<const char*>;

Command parse(const Arguments& arguments) {
  std::vector<const char*> argv{"lanward"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return parse_command_line(static_cast<int>(argv.size()), argv.data(), "1.2.3");
}

GetOptions get(const Arguments& arguments) {
  const Command command = parse(arguments);
  if (const auto* error = std::get_if<UsageError>(&command)) ADD_FAILURE() << error->message;
  const auto* options = std::get_if<GetOptions>(&command);
  return options ? *options : GetOptions{};
}

std::string usage_error(const Arguments& arguments) {
  const Command command = parse(arguments);
  const auto* error = std::get_if<UsageError>(&command);
  return error ? error->message : "";
}

std::string shown(const Arguments& arguments) {
  const Command command = parse(arguments);
  const auto* show = std::get_if<ShowText>(&command);
  return show ? show->text : "";
}

TEST(Options, GetHasDefaultsThatUseEverySource) {
  const GetOptions options = get({"get", "http://cdn/f"});
  EXPECT_EQ(options.source, "http://cdn/f");
  EXPECT_TRUE(options.use_peers);
  EXPECT_TRUE(options.use_origin);
  EXPECT_FALSE(options.share);
  EXPECT_FALSE(options.json);
  EXPECT_TRUE(options.output.empty());
  EXPECT_TRUE(options.cache.empty());
}

TEST(Options, GetTakesEveryOption) {
  const GetOptions options = get(
      {"get",       "s",        "-o",      "out", "--manifest", "m",       "--mirror", "http://a",
       "--mirror",  "http://b", "--cache", "c",   "--listen",   "[::1]:0", "--peer",   "10.0.0.1:5",
       "--tracker", "http://t", "--share", "30",  "--json",     "--quiet"});
  EXPECT_EQ(options.output, "out");
  EXPECT_EQ(options.manifest, "m");
  EXPECT_EQ(options.mirrors, (std::vector<std::string>{"http://a", "http://b"}));
  EXPECT_EQ(options.cache, "c");
  EXPECT_EQ(options.listen, "[::1]:0");
  EXPECT_EQ(options.peers, std::vector<std::string>{"10.0.0.1:5"});
  EXPECT_EQ(options.trackers, std::vector<std::string>{"http://t"});
  EXPECT_EQ(options.share, Share{std::chrono::seconds{30}});
  EXPECT_TRUE(options.json);
  EXPECT_TRUE(options.quiet);
}

TEST(Options, ARepeatableOptionLeavesTheNextArgumentAlone) {
  const GetOptions options = get({"get", "--peer", "10.0.0.1:5", "http://cdn/f"});
  EXPECT_EQ(options.peers.size(), 1u);
  EXPECT_EQ(options.source, "http://cdn/f");
}

TEST(Options, NoPeersAndNoCdnSwitchOffTheirSource) {
  EXPECT_FALSE(get({"get", "s", "--no-peers"}).use_peers);
  EXPECT_FALSE(get({"get", "s", "--no-cdn"}).use_origin);
}

TEST(Options, ShareForeverHasNoDuration) {
  EXPECT_EQ(get({"get", "s", "--share", "forever"}).share, Share{});
}

TEST(Options, PublishTakesEveryOption) {
  const Command command = parse({"publish", "f", "--url", "http://a/f", "--url", "http://b/f",
                                 "--tracker", "udp://t:1", "-o", "f.torrent", "--json"});
  const auto* options = std::get_if<PublishOptions>(&command);
  ASSERT_NE(options, nullptr);
  EXPECT_EQ(options->file, "f");
  EXPECT_EQ(options->urls, (std::vector<std::string>{"http://a/f", "http://b/f"}));
  EXPECT_EQ(options->trackers, std::vector<std::string>{"udp://t:1"});
  EXPECT_EQ(options->output, "f.torrent");
  EXPECT_TRUE(options->json);
}

TEST(Options, RefusesWhatCannotWork) {
  const std::vector<std::pair<Arguments, const char*>> cases{
      {{}, "a command is missing"},
      {{"fetch", "s"}, "fetch"},
      {{"get"}, "SOURCE"},
      {{"get", ""}, "SOURCE is empty"},
      {{"get", "a", "b"}, "b"},
      {{"get", "s", "--wat"}, "--wat"},
      {{"get", "s", "--peer", "host:80"}, "host:80"},
      {{"get", "s", "--peer", "10.0.0.1"}, "ADDRESS:PORT"},
      {{"get", "s", "--peer", "10.0.0.1:0"}, "1 to 65535"},
      {{"get", "s", "--peer", "10.0.0.1:65536"}, "1 to 65535"},
      {{"get", "s", "--peer", "::1:80"}, "[ADDRESS]:PORT"},
      {{"get", "s", "--listen", "10.0.0.1:x"}, "0 to 65535"},
      {{"get", "s", "--share", "-1"}, "seconds"},
      {{"get", "s", "--share", "1h"}, "seconds"},
      {{"get", "s", "--share", "99999999999"}, "seconds"},
      {{"get", "s", "--no-peers", "--no-cdn"}, "nothing to fetch from"},
      {{"get", "s", "--no-peers", "--peer", "10.0.0.1:5"}, "--peer"},
      {{"get", "s", "--no-peers", "--share", "5"}, "--share"},
      {{"get", "s", "--no-peers", "--listen", "10.0.0.1:0"}, "--listen"},
      {{"publish"}, "FILE"},
  };
  for (const auto& [arguments, wanted] : cases) {
    const std::string message = usage_error(arguments);
    EXPECT_NE(message.find(wanted), std::string::npos) << wanted << " in: " << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST(Options, GetTakesLimitsOfBandwidth) {
  const BandwidthLimits limits =
      get({"get", "s", "--limit-rate", "1.5MB", "--limit-percent", "80", "--limit-hours",
           "mon-fri 08:00-18:00 10Mbit", "--limit-hours", "22:00-06:00 none"})
          .origin.bandwidth;
  EXPECT_EQ(limits.always.total_bytes_per_s, 1'500'000U);
  EXPECT_EQ(limits.always.foreground.percent, 80U);
  EXPECT_EQ(limits.always.background.percent, 80U);
  ASSERT_EQ(limits.hours.size(), 2U);
  EXPECT_EQ(limits.hours[0].rule.total_bytes_per_s, 1'250'000U);
  EXPECT_EQ(limits.hours[1].rule, BandwidthRule{});
}

TEST(Options, GetTakesLimitsOfOneKindOfJobs) {
  const BandwidthRule rule = get({"get", "s", "--limit-foreground", "2MB", "--limit-background",
                                  "40%", "--limit-percent", "80"})
                                 .origin.bandwidth.always;
  EXPECT_EQ(rule.foreground, (BandwidthLimit{.bytes_per_s = 2'000'000}));
  EXPECT_EQ(rule.background, (BandwidthLimit{.percent = 40}));
  EXPECT_EQ(rule.total_bytes_per_s, 0U);
}

TEST(Options, GetTakesCachesOfTheSite) {
  const GetOptions options =
      get({"get", "s", "--cache-host", "a,b:81", "--cache-map", "http://h/x=http://c/y",
           "--cache-map", "https://i/?a=b=https://c", "--cache-fallback-delay", "30,never"});
  EXPECT_EQ(options.caches.hosts, (std::vector<std::string>{"a", "b:81"}));
  EXPECT_EQ(options.caches.maps,
            (std::vector<CacheMap>{{"http://h/x", "http://c/y"}, {"https://i/?a=b", "https://c"}}));
  EXPECT_EQ(options.origin.cache_fallback_foreground, std::chrono::seconds{30});
  EXPECT_LT(options.origin.cache_fallback_background, std::chrono::seconds{0});
}

TEST(Options, GetTakesHowOriginsAreReached) {
  const GetOptions options = get({"get",
                                  "s",
                                  "--proxy",
                                  "http://p:1",
                                  "--proxy-bypass",
                                  "a,b",
                                  "--client-cert",
                                  "c.pem",
                                  "--client-key",
                                  "k.pem",
                                  "--ca-file",
                                  "ca.pem",
                                  "--allow-https-to-http",
                                  "--header",
                                  "A: 1",
                                  "--peer-delay",
                                  "5",
                                  "--min-rate",
                                  "100kB",
                                  "--http2"});
  EXPECT_TRUE(options.origin.http2);
  EXPECT_FALSE(get({"get", "s"}).origin.http2);
  ASSERT_TRUE(options.change.proxy);
  EXPECT_EQ(options.change.proxy->proxy, "http://p:1");
  EXPECT_EQ(options.change.proxy->bypass, "a,b");
  EXPECT_EQ(options.change.client_certificate, "c.pem");
  EXPECT_EQ(options.change.client_key, "k.pem");
  EXPECT_EQ(options.change.allow_https_to_http_redirects, true);
  EXPECT_EQ(options.change.custom_headers, std::vector<std::string>{"A: 1"});
  EXPECT_EQ(options.origin.ca_file, "ca.pem");
  EXPECT_EQ(options.origin.peer_delay, std::chrono::seconds{5});
  EXPECT_EQ(options.origin.min_rate_bytes_per_s, 100'000U);
}

TEST(Options, AWrongValueIsRefusedWithTheNameOfItsOption) {
  const std::vector<std::pair<const char*, const char*>> wrong{{"--limit-rate", "fast"},
                                                               {"--limit-percent", "0"},
                                                               {"--limit-percent", "101"},
                                                               {"--limit-background", "101%"},
                                                               {"--limit-hours", "always"},
                                                               {"--cache-map", "http://a"},
                                                               {"--cache-fallback-delay", "soon"},
                                                               {"--cache-fallback-delay", "1,2,3"},
                                                               {"--peer-delay", "-1"},
                                                               {"--min-rate", "0"}};
  for (const auto& [option, value] : wrong) {
    const std::string message = usage_error({"get", "s", option, value});
    EXPECT_NE(message.find(option), std::string::npos) << message;
    EXPECT_NE(message.find(value), std::string::npos) << message;
  }
  EXPECT_NE(usage_error({"get", "s", "--proxy", "none", "--proxy-bypass", "h"}), "");
  EXPECT_NE(usage_error({"get", "s", "--allow-https-to-http", "--refuse-https-to-http"}), "");
}

TEST(Options, ShowsVersionAndHelp) {
  EXPECT_EQ(shown({"--version"}), "lanward 1.2.3\n");
  EXPECT_NE(shown({"--help"}).find("publish"), std::string::npos);
  EXPECT_NE(shown({"--help"}).find("7  cancelled"), std::string::npos);
  const std::string get_help = shown({"get", "--help"});
  for (const char* option : {"--output",
                             "--manifest",
                             "--mirror",
                             "--cache",
                             "--listen",
                             "--peer",
                             "--tracker",
                             "--no-peers",
                             "--no-cdn",
                             "--no-origin",
                             "--integrity-mandatory",
                             "--sha256",
                             "--digest",
                             "--share",
                             "--json",
                             "--limit-rate",
                             "--limit-percent",
                             "--limit-foreground",
                             "--limit-background",
                             "--limit-hours",
                             "--http2",
                             "--cache-host",
                             "--cache-map",
                             "--cache-fallback-delay",
                             "--proxy",
                             "--client-cert",
                             "--client-key",
                             "--ca-file",
                             "--peer-delay",
                             "--min-rate"}) {
    EXPECT_NE(get_help.find(option), std::string::npos) << option;
  }
  EXPECT_NE(shown({"publish", "--help"}).find("--url"), std::string::npos);
}

TEST(Options, TheNameOfACommandIsAnArgumentAfterAnother) {
  EXPECT_EQ(get({"get", "jobs"}).source, "jobs");
  EXPECT_NE(shown({"--help"}).find("publish"), std::string::npos);
  for (const char* command : {"publish", "get", "jobs", "cache", "peers", "group"}) {
    EXPECT_NE(shown({command, "--help"}).find(std::string("lanward ") + command),
              std::string::npos);
  }
}

TEST(ExitCodes, EveryCauseHasItsDocumentedCode) {
  const std::vector<std::pair<ErrorCode, int>> table{
      {ErrorCode::invalid_argument, 2}, {ErrorCode::invalid_state, 2},
      {ErrorCode::not_found, 2},        {ErrorCode::manifest_invalid, 4},
      {ErrorCode::manifest_missing, 3}, {ErrorCode::network, 3},
      {ErrorCode::origin_rejected, 3},  {ErrorCode::integrity, 4},
      {ErrorCode::content_changed, 4},  {ErrorCode::disk_full, 5},
      {ErrorCode::disk_io, 5},          {ErrorCode::destination, 5},
      {ErrorCode::in_use, 6},           {ErrorCode::cancelled, 7},
      {ErrorCode::unsupported, 2},      {ErrorCode::internal, 1},
      {ErrorCode::job_not_found, 2},    {ErrorCode::too_many_jobs, 2},
      {ErrorCode::no_progress, 3},      {ErrorCode::state_damaged, 5},
      {ErrorCode::job_too_old, 7},
  };
  for (const auto& [cause, exit_code] : table) {
    EXPECT_EQ(static_cast<int>(exit_code_of(cause)), exit_code) << to_string(cause);
  }
}

}  // namespace
}  // namespace lanward::cli
