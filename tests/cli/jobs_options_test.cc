#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "api/cli/options.h"

namespace lanward::cli {
namespace {

using Arguments = std::vector<const char*>;

Command parse(Arguments arguments) {
  arguments.insert(arguments.begin(), {"lanward", "jobs"});
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data(), "1.2.3");
}

template <class Chosen>
std::pair<JobsOptions, Chosen> jobs(const Arguments& arguments) {
  const Command command = parse(arguments);
  if (const auto* error = std::get_if<UsageError>(&command)) ADD_FAILURE() << error->message;
  const auto* options = std::get_if<JobsOptions>(&command);
  if (options == nullptr || !std::holds_alternative<Chosen>(options->command)) {
    ADD_FAILURE() << "another command";
    return {};
  }
  return {*options, std::get<Chosen>(options->command)};
}

std::string usage_error(const Arguments& arguments) {
  const Command command = parse(arguments);
  const auto* error = std::get_if<UsageError>(&command);
  return error ? error->message : "";
}

TEST(JobsOptions, CreateTakesEveryOption) {
  const auto [options, create] =
      jobs<JobsCreate>({"create", "--state", "s", "--cache", "c", "--json", "--name", "n",
                        "--description", "d", "--priority", "foreground", "--file", "http://h/a",
                        "--file", "http://h/b=/srv/b", "--start", "--max-jobs", "7"});
  EXPECT_EQ(options.state, "s");
  EXPECT_EQ(options.cache, "c");
  EXPECT_TRUE(options.json);
  EXPECT_EQ(create.name, "n");
  EXPECT_EQ(create.description, "d");
  EXPECT_EQ(create.priority, Priority::foreground);
  EXPECT_EQ(create.files,
            (std::vector<JobsCreate::File>{{"http://h/a", ""}, {"http://h/b", "/srv/b"}}));
  EXPECT_TRUE(create.start);
  EXPECT_EQ(create.jobs_max, 7u);
}

TEST(JobsOptions, RunTakesTheLimitsAndCachesOfGet) {
  const auto run = jobs<JobsRun>({"run", "--limit-rate", "2MB", "--cache-host", "c1,c2",
                                  "--cache-map", "http://a=http://b", "--cache-fallback-delay",
                                  "never", "--ca-file", "ca.pem", "--peer-delay", "3"})
                       .second;
  EXPECT_EQ(run.origin.bandwidth.always.total_bytes_per_s, 2'000'000U);
  EXPECT_EQ(run.caches.hosts, (std::vector<std::string>{"c1", "c2"}));
  EXPECT_EQ(run.caches.maps, (std::vector<CacheMap>{{"http://a", "http://b"}}));
  EXPECT_LT(run.origin.cache_fallback_foreground, std::chrono::seconds{0});
  EXPECT_EQ(run.origin.ca_file, "ca.pem");
  EXPECT_EQ(run.origin.peer_delay, std::chrono::seconds{3});
}

TEST(JobsOptions, SetTakesCertificatesAndRedirects) {
  const auto change = jobs<JobsSet>({"set", "1b4e", "--client-cert", "/c", "--client-key", "/k",
                                     "--allow-https-to-http"})
                          .second.change;
  EXPECT_EQ(change.client_certificate, "/c");
  EXPECT_EQ(change.client_key, "/k");
  EXPECT_EQ(change.allow_https_to_http_redirects, true);
  EXPECT_EQ(jobs<JobsSet>({"set", "1b4e", "--refuse-https-to-http"})
                .second.change.allow_https_to_http_redirects,
            false);
}

TEST(JobsOptions, TheEqualsSignOfAQueryBelongsToTheUrl) {
  const auto create =
      jobs<JobsCreate>({"create", "--file", "http://h/f?sig=a=b", "--file", "f=g?h=i"}).second;
  EXPECT_EQ(create.files,
            (std::vector<JobsCreate::File>{{"http://h/f?sig=a=b", ""}, {"f", "g?h=i"}}));
}

TEST(JobsOptions, AddFileTakesTheOptionsOfGetAndItsOwn) {
  const auto add = jobs<JobsAddFile>({"add-file", "1b4e",        "http://h/f",
                                      "-o",       "out",         "--id",
                                      "boot",     "--range",     "10-5",
                                      "--range",  "100-",        "--manifest",
                                      "m",        "--mirror",    "http://m/f",
                                      "--peer",   "10.0.0.1:5",  "--tracker",
                                      "http://t", "--no-origin", "--integrity-mandatory"})
                       .second;
  EXPECT_EQ(add.id, "1b4e");
  EXPECT_EQ(add.source, "http://h/f");
  EXPECT_EQ(add.output, "out");
  EXPECT_EQ(add.file_id, "boot");
  EXPECT_EQ(add.ranges, (std::vector<ByteRange>{{10, 5}, {100, ByteRange::kToEnd}}));
  EXPECT_EQ(add.manifest, "m");
  EXPECT_EQ(add.mirrors, std::vector<std::string>{"http://m/f"});
  EXPECT_EQ(add.peers, std::vector<std::string>{"10.0.0.1:5"});
  EXPECT_EQ(add.trackers, std::vector<std::string>{"http://t"});
  EXPECT_FALSE(add.use_origin);
  EXPECT_TRUE(add.use_peers);
  EXPECT_TRUE(add.integrity_mandatory);
}

TEST(JobsOptions, DigestsAreTakenOnePerOption) {
  const auto add = jobs<JobsAddFile>({"add-file", "--digest", "md5=00", "--sha256", "abc",
                                      "--digest", "sha-1=11", "1b4e", "http://h/f"})
                       .second;
  EXPECT_EQ(add.id, "1b4e");
  EXPECT_EQ(add.source, "http://h/f");
  std::vector<std::string> digests = add.digests;
  std::sort(digests.begin(), digests.end());
  EXPECT_EQ(digests, (std::vector<std::string>{"md5=00", "sha-1=11", "sha-256=abc"}));
}

TEST(JobsOptions, ActionsTakeSeveralJobs) {
  using Action = JobsAct::Action;
  for (const auto& [name, action] :
       {std::pair{"suspend", Action::suspend}, std::pair{"resume", Action::resume},
        std::pair{"cancel", Action::cancel}, std::pair{"complete", Action::complete}}) {
    const auto act = jobs<JobsAct>({name, "1b4e", "a0b1"}).second;
    EXPECT_EQ(act.action, action) << name;
    EXPECT_EQ(act.ids, (std::vector<std::string>{"1b4e", "a0b1"})) << name;
  }
}

TEST(JobsOptions, ListAndShow) {
  EXPECT_FALSE(jobs<JobsList>({"list"}).second.final_too);
  EXPECT_TRUE(jobs<JobsList>({"list", "--all"}).second.final_too);
  EXPECT_EQ(jobs<JobsShow>({"show", "1b4e"}).second.id, "1b4e");
}

TEST(JobsOptions, SetChangesOnlyWhatIsNamed) {
  const auto set = jobs<JobsSet>({"set", "1b4e", "--no-progress-timeout", "60"}).second;
  EXPECT_EQ(set.id, "1b4e");
  EXPECT_EQ(set.change.no_progress_timeout, std::chrono::seconds{60});
  EXPECT_FALSE(set.change.display_name);
  EXPECT_FALSE(set.change.priority);
  EXPECT_FALSE(set.change.proxy);
  EXPECT_FALSE(set.change.custom_headers);
}

TEST(JobsOptions, SetTakesEveryProperty) {
  const JobChange change = jobs<JobsSet>({"set",
                                          "1b4e",
                                          "--name",
                                          "",
                                          "--description",
                                          "d",
                                          "--priority",
                                          "low",
                                          "--retry-delay",
                                          "5",
                                          "--max-download-time",
                                          "9",
                                          "--proxy",
                                          "http://p:1",
                                          "--proxy-bypass",
                                          "a,b",
                                          "--header",
                                          "X-A: 1",
                                          "--header",
                                          "X-B: 2",
                                          "--cost",
                                          "standard"})
                               .second.change;
  EXPECT_EQ(change.display_name, "");
  EXPECT_EQ(change.description, "d");
  EXPECT_EQ(change.priority, Priority::low);
  EXPECT_EQ(change.minimum_retry_delay, std::chrono::seconds{5});
  EXPECT_EQ(change.maximum_download_time, std::chrono::seconds{9});
  EXPECT_EQ(change.proxy, (ProxySettings{ProxySettings::Usage::use, "http://p:1", "a,b"}));
  EXPECT_EQ(change.custom_headers, (std::vector<std::string>{"X-A: 1", "X-B: 2"}));
  EXPECT_EQ(change.cost, CostPolicy::standard);
}

TEST(JobsOptions, SetCanSwitchOffProxyAndHeaders) {
  using Usage = ProxySettings::Usage;
  EXPECT_EQ(jobs<JobsSet>({"set", "1b4e", "--proxy", "none"}).second.change.proxy->usage,
            Usage::none);
  EXPECT_EQ(jobs<JobsSet>({"set", "1b4e", "--proxy", "env"}).second.change.proxy->usage,
            Usage::preconfig);
  EXPECT_EQ(jobs<JobsSet>({"set", "1b4e", "--no-headers"}).second.change.custom_headers,
            std::vector<std::string>{});
}

TEST(JobsOptions, RunTakesEveryOption) {
  const auto defaults = jobs<JobsRun>({"run"}).second;
  EXPECT_TRUE(defaults.use_peers);
  EXPECT_TRUE(defaults.use_discovery);
  EXPECT_FALSE(defaults.complete);
  EXPECT_FALSE(defaults.time_max);
  const auto run = jobs<JobsRun>({"run", "--listen", "127.0.0.1:0", "--no-discovery", "--complete",
                                  "--max-time", "30", "--keep-going"})
                       .second;
  EXPECT_EQ(run.listen, "127.0.0.1:0");
  EXPECT_FALSE(run.use_discovery);
  EXPECT_TRUE(run.complete);
  EXPECT_TRUE(run.keep_going);
  EXPECT_EQ(run.time_max, std::chrono::seconds{30});
  EXPECT_FALSE(jobs<JobsRun>({"run", "--no-peers"}).second.use_peers);
}

TEST(JobsOptions, RefusesWhatCannotWork) {
  const std::vector<std::pair<Arguments, const char*>> cases{
      {{}, "a command of jobs is missing"},
      {{"wat"}, "wat"},
      {{"create", "--priority", "urgent"}, "foreground|high|low|normal"},
      {{"create", "--max-jobs", "-1"}, "--max-jobs"},
      {{"create", "--file", "=dest"}, "no SOURCE"},
      {{"create", "--start"}, "--file"},
      {{"create", "stray"}, "stray"},
      {{"add-file"}, "ID"},
      {{"add-file", "1b4e"}, "SOURCE"},
      {{"add-file", "1b4e", ""}, "SOURCE is empty"},
      {{"add-file", "", "s"}, "ID is empty"},
      {{"add-file", "1b4e", "s", "--range", "5"}, "OFFSET-LENGTH"},
      {{"add-file", "1b4e", "s", "--range", "5-0"}, "OFFSET-LENGTH"},
      {{"add-file", "1b4e", "s", "--range", "-5"}, "--range"},
      {{"add-file", "1b4e", "s", "--range", "99999999999999999999-"}, "OFFSET-LENGTH"},
      {{"add-file", "1b4e", "s", "--peer", "host:1"}, "ADDRESS:PORT"},
      {{"add-file", "1b4e", "s", "--no-peers", "--no-origin"}, "nothing to fetch from"},
      {{"list", "1b4e"}, "1b4e"},
      {{"show"}, "ID"},
      {{"suspend"}, "ID"},
      {{"set", "1b4e"}, "nothing to change"},
      {{"set", "1b4e", "--no-progress-timeout", "soon"}, "seconds"},
      {{"set", "1b4e", "--retry-delay", "-1"}, "seconds"},
      {{"set", "1b4e", "--cost", "free"}, "not-roaming"},
      {{"set", "1b4e", "--proxy", "none", "--proxy-bypass", "a"}, "--proxy-bypass"},
      {{"set", "1b4e", "--proxy-bypass", "a"}, "--proxy"},
      {{"set", "1b4e", "--header", "A: b", "--no-headers"}, "--header"},
      {{"run", "--max-time", "1h"}, "seconds"},
      {{"run", "--listen", "localhost"}, "ADDRESS:PORT"},
      {{"run", "--no-peers", "--listen", "127.0.0.1:0"}, "--listen"},
      {{"run", "--no-peers", "--keep-going"}, "--keep-going"},
  };
  for (const auto& [arguments, wanted] : cases) {
    const std::string message = usage_error(arguments);
    EXPECT_NE(message.find(wanted), std::string::npos) << wanted << " in: " << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST(JobsOptions, HelpIsThatOfTheInnermostCommand) {
  const auto shown = [](const Arguments& arguments) {
    const Command command = parse(arguments);
    const auto* show = std::get_if<ShowText>(&command);
    return show ? show->text : "";
  };
  EXPECT_NE(shown({"--help"}).find("add-file"), std::string::npos);
  const std::string run = shown({"run", "--help"});
  EXPECT_NE(run.find("lanward jobs run"), std::string::npos) << run;
  EXPECT_NE(run.find("--keep-going"), std::string::npos);
  EXPECT_NE(run.find("7  cancelled"), std::string::npos);
  for (const char* command : {"create", "add-file", "list", "show", "set", "resume", "suspend",
                              "cancel", "complete", "run"}) {
    EXPECT_NE(shown({command, "--help"}).find("--state"), std::string::npos) << command;
  }
}

}  // namespace
}  // namespace lanward::cli
