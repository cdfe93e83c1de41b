#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <utility>

#include "api/cli/exit_code.h"
#include "api/cli/options_common.h"

namespace lanward::cli {
namespace {

constexpr const char* kIdHelp = "A job: its id, or at least 4 digits that no other id begins with";

using Seconds = std::chrono::seconds;

const std::map<std::string, Priority>& priorities() {
  static const std::map<std::string, Priority> names{{"foreground", Priority::foreground},
                                                     {"high", Priority::high},
                                                     {"normal", Priority::normal},
                                                     {"low", Priority::low}};
  return names;
}

const std::map<std::string, CostPolicy>& costs() {
  static const std::map<std::string, CostPolicy> names{{"always", CostPolicy::always},
                                                       {"not-roaming", CostPolicy::not_roaming},
                                                       {"no-surcharge", CostPolicy::no_surcharge},
                                                       {"standard", CostPolicy::standard},
                                                       {"unrestricted", CostPolicy::unrestricted}};
  return names;
}

template <class Value>
std::string joined_names(const std::map<std::string, Value>& names) {
  std::string joined;
  for (const auto& [name, value] : names) joined += (joined.empty() ? "" : "|") + name;
  return joined;
}

// An option whose value is one of `names`.
template <class Value>
void add_choice(CLI::App& app, const char* name, const std::map<std::string, Value>& names,
                std::optional<Value>& value, const char* help) {
  const std::string choices = joined_names(names);
  const CLI::Validator check(
      [&names, choices](std::string& text) {
        return names.contains(text) ? std::string{} : "'" + text + "' is not one of " + choices;
      },
      "");
  app.add_option_function<std::string>(
         name, [&](const std::string& text) { value = names.at(text); }, help)
      ->type_name(choices)
      ->check(check);
}

void add_seconds(CLI::App& app, const char* name, std::optional<Seconds>& value, const char* help) {
  const CLI::Validator check(
      [](std::string& text) {
        const auto seconds = parse_whole(text);
        if (seconds && *seconds >= 0 && *seconds <= kSecondsMax) return std::string{};
        return "'" + text + "' is not a number of seconds";
      },
      "");
  app.add_option_function<std::int64_t>(
         name, [&](std::int64_t seconds) { value = Seconds{seconds}; }, help)
      ->type_name("SECONDS")
      ->check(check);
}

void add_id(CLI::App& app, std::string& id) {
  app.add_option("ID", id, kIdHelp)->type_name("")->required();
}

// "OFFSET-LENGTH", or "OFFSET-" up to the end.
std::optional<ByteRange> parse_range(std::string_view text) {
  const auto number = [](std::string_view digits) -> std::optional<std::uint64_t> {
    std::uint64_t value = 0;
    const char* end = digits.data() + digits.size();
    const auto [rest, failure] = std::from_chars(digits.data(), end, value);
    if (digits.empty() || failure != std::errc{} || rest != end) return std::nullopt;
    return value;
  };
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto offset = number(text.substr(0, dash));
  if (!offset) return std::nullopt;
  if (dash + 1 == text.size()) return ByteRange{*offset, ByteRange::kToEnd};
  const auto length = number(text.substr(dash + 1));
  if (!length || *length == 0) return std::nullopt;
  return ByteRange{*offset, *length};
}

// "SOURCE" or "SOURCE=DEST". The '=' of a query belongs to the URL.
JobsCreate::File parse_file(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || text.find('?') < equals) return {text, {}};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

void add_create(CLI::App& app, JobsCreate& options) {
  app.add_option("--name", options.name, "What the job is called in listings")->type_name("TEXT");
  app.add_option("--description", options.description, "Anything worth knowing about it")
      ->type_name("TEXT");
  add_choice(app, "--priority", priorities(), options.priority, "Default: normal");
  app.add_option_function<std::vector<std::string>>(
         "--file",
         [&](const std::vector<std::string>& files) {
           for (const std::string& file : files) options.files.push_back(parse_file(file));
         },
         "A file of the job; a SOURCE with a query takes no DEST: use add-file (repeatable)")
      ->type_name("SOURCE[=DEST]")
      ->allow_extra_args(false);
  app.add_flag("--start", options.start, "Queue the job: the next run fetches it");
  app.add_option("--max-jobs", options.jobs_max, "Refuse if so many jobs are not final yet")
      ->type_name("N");
}

void add_add_file(CLI::App& app, JobsAddFile& options) {
  const CLI::Validator range(
      [](std::string& text) {
        if (parse_range(text)) return std::string{};
        return "'" + text + "' is neither OFFSET-LENGTH nor OFFSET-";
      },
      "");
  add_id(app, options.id);
  add_file_options(app, options);
  app.add_option("--id", options.file_id, "A name of the file that is unique in the job")
      ->type_name("NAME");
  app.add_option_function<std::vector<std::string>>(
         "--range",
         [&](const std::vector<std::string>& ranges) {
           for (const std::string& text : ranges) {
             options.ranges.push_back(parse_range(text).value_or(ByteRange{}));
           }
         },
         "Only these bytes, one range after the other (repeatable)")
      ->type_name("OFFSET-[LENGTH]")
      ->allow_extra_args(false)
      ->check(range);
}

void add_set(CLI::App& app, JobsSet& options) {
  JobChange& change = options.change;
  const auto text = [&app](const char* name, std::optional<std::string>& value, const char* help) {
    app.add_option_function<std::string>(
           name, [&value](const std::string& given) { value = given; }, help)
        ->type_name("TEXT");
  };
  add_id(app, options.id);
  text("--name", change.display_name, "What the job is called in listings");
  text("--description", change.description, "Anything worth knowing about it");
  add_choice(app, "--priority", priorities(), change.priority, "Foreground goes first");
  add_seconds(app, "--retry-delay", change.minimum_retry_delay, "Least time between two tries");
  add_seconds(app, "--no-progress-timeout", change.no_progress_timeout,
              "The job fails after so long without a byte; 0: default of the priority");
  add_seconds(app, "--max-download-time", change.maximum_download_time,
              "The job fails if not transferred so long after it started; 0: 90 days");
  auto* const headers = add_request_options(app, change);
  app.add_flag_callback(
         "--no-headers", [&change] { change.custom_headers.emplace(); }, "Send none of these")
      ->excludes(headers);
  add_choice(app, "--cost", costs(), change.cost, "When bytes may cost money");
}

void add_run(CLI::App& app, JobsRun& options) {
  add_listen_option(app, options.listen);
  add_peer_options(app, options.peer_options);
  add_monthly_limit(app, options.peer_options.limits);
  app.add_flag_callback(
      "--no-peers", [&] { options.use_peers = false; }, "Fetch from origins only");
  app.add_flag_callback(
      "--no-discovery", [&] { options.use_discovery = false; },
      "Do not look for peers by multicast");
  app.add_flag("--complete", options.complete, "Deliver the files of every transferred job");
  add_origin_options(app, options.origin);
  add_cache_options(app, options.caches);
  add_cache_policy_options(app, options.cache_policy);
  add_seconds(app, "--max-time", options.time_max, "End after so long; jobs stay queued");
  app.add_flag("--keep-going", options.keep_going,
               "Serve peers when there is nothing left to fetch, until SIGINT or SIGTERM");
  app.add_option("--share-cached", options.shared_contents_max,
                 "With --keep-going: offer so many contents of the cache to peers; default 1000")
      ->type_name("N")
      ->check(CLI::Range(0, 10'000));
}

// A command of `jobs`. `define` adds its options to values that live as long as the parser; they
// become JobsOptions::command when the command is chosen.
template <class Chosen>
CLI::App& add_command(CLI::App& jobs, JobsOptions& options, const char* name, const char* help,
                      const std::function<void(CLI::App&, Chosen&)>& define, Chosen initial = {}) {
  CLI::App& command = *jobs.add_subcommand(name, help);
  const auto values = std::make_shared<Chosen>(std::move(initial));
  define(command, *values);
  command.add_option("--state", options.state, "Directory of the job queue")->type_name("DIR");
  command
      .add_option("--cache", options.cache, "Piece cache; default: cache in the state directory")
      ->type_name("DIR");
  add_json_option(command, options.json);
  command.final_callback([&options, values] { options.command = *values; });
  return command;
}

void add_action(CLI::App& jobs, JobsOptions& options, const char* name, JobsAct::Action action,
                const char* help) {
  add_command<JobsAct>(
      jobs, options, name, help,
      [](CLI::App& command, JobsAct& act) {
        command.add_option("ID", act.ids, kIdHelp)->type_name("")->required();
      },
      JobsAct{action, {}});
}

struct Contradiction {
  std::string operator()(const JobsAddFile& options) const {
    if (options.id.empty()) return "ID is empty";
    return contradiction_of(static_cast<const FileOptions&>(options));
  }
  std::string operator()(const JobsCreate& options) const {
    const auto empty = [](const JobsCreate::File& file) { return file.source.empty(); };
    if (std::any_of(options.files.begin(), options.files.end(), empty)) {
      return "--file has no SOURCE";
    }
    if (options.start && options.files.empty()) return "--start needs a --file";
    return {};
  }
  std::string operator()(const JobsSet& options) const {
    if (auto problem = cli::contradiction_of(options.change); !problem.empty()) return problem;
    const bool any = changes_anything(options.change);
    return any ? "" : "nothing to change: name at least one property";
  }
  std::string operator()(const JobsRun& options) const {
    if (options.keep_going && !may_have_peers(options.peer_options)) {
      return "--keep-going contradicts this --download-mode: it has no peers";
    }
    if (options.use_peers) return {};
    if (!options.listen.empty()) return "--listen contradicts --no-peers";
    if (options.keep_going) return "--keep-going contradicts --no-peers";
    if (options.peer_options.dns_sd) return "--dns-sd contradicts --no-peers";
    return {};
  }
  std::string operator()(const auto&) const { return {}; }
};

}  // namespace

CLI::App& add_jobs(CLI::App& app, JobsOptions& options) {
  CLI::App& jobs = *app.add_subcommand("jobs", "Keep a queue of downloads and work it off");
  jobs.require_subcommand(0, 1);
  using Action = JobsAct::Action;
  add_command<JobsCreate>(jobs, options, "create", "Create a job and print its id", add_create);
  add_command<JobsAddFile>(jobs, options, "add-file", "Add a file to a job", add_add_file);
  add_command<JobsList>(
      jobs, options, "list", "List the jobs", [](CLI::App& command, JobsList& list) {
        command.add_flag("--all", list.final_too, "Also jobs that are delivered or cancelled");
      });
  add_command<JobsShow>(jobs, options, "show", "All there is to know about a job",
                        [](CLI::App& command, JobsShow& show) { add_id(command, show.id); });
  add_command<JobsSet>(jobs, options, "set", "Change properties of a job", add_set);
  add_action(jobs, options, "resume", Action::resume, "Queue jobs: the next run fetches them");
  add_action(jobs, options, "suspend", Action::suspend, "Put jobs aside; their pieces stay");
  add_action(jobs, options, "cancel", Action::cancel, "End jobs and remove all that is theirs");
  add_action(jobs, options, "complete", Action::complete,
             "Deliver the transferred files of jobs and end them");
  add_command<JobsRun>(jobs, options, "run", "Work off the queue", add_run);
  return jobs;
}

std::string contradiction_of(const JobsOptions& options) {
  return std::visit(Contradiction{}, options.command);
}

}  // namespace lanward::cli
