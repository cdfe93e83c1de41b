#include <lanward/engine.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/cli/commands.h"
#include "api/cli/endpoint.h"
#include "api/cli/event_mailbox.h"
#include "api/cli/paths.h"

namespace lanward::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// The job's state is looked at at least this often even if nobody nudges.
constexpr std::chrono::milliseconds kLookInterval{1000};

// The engine records nothing in its first tenth of a second; what is over before it never records.
constexpr std::chrono::milliseconds kNothingRecorded{50};

// Of the engine; the display name is for listings only.
constexpr std::size_t kDisplayNameMax = 256;

// One run of `lanward get`.
class Get {
 public:
  Get(const GetOptions& options, Reporter& reporter, Waiter& waiter)
      : options_(options), reporter_(reporter), waiter_(waiter), mailbox_(waiter) {}

  ExitCode run() {
    auto outcome = prepare();
    if (outcome) outcome = start();
    if (outcome) outcome = transfer();
    if (outcome) outcome = deliver();
    if (!outcome) return end_failed(outcome.error());
    if (options_.share) share();
    if (!let_go()) close();
    remove_working_directory();
    return ExitCode::done;
  }

 private:
  // Chooses the destination and the cache.
  Result<void> prepare() {
    auto plan = plan_delivery(options_.source, options_.output);
    if (!plan) return tl::unexpected(plan.error());
    plan_ = *std::move(plan);
    cache_directory_ = options_.cache;
    if (!options_.cache.empty()) return {};
    auto working = WorkingDirectory::create(plan_.working_directory);
    if (!working) return tl::unexpected(working.error());
    working_ = *std::move(working);
    cache_directory_ = working_->path();
    return {};
  }

  FileRequest file_request() const {
    FileRequest file = file_request_of(options_, plan_);
    file.share_after_complete = options_.share.has_value();
    return file;
  }

  Result<void> start() {
    EngineOptions options;
    options.cache_directory = cache_directory_;
    options.cache_policy = options_.cache_policy;
    options.keep_delivered = !working_;
    options.listen = options_.listen;
    options.peers_enabled = options_.use_peers;
    options.progress_interval = reporter_.interval();
    apply(options_.origin, options);
    apply(options_.peer_options, options);
    // Whoever names a port, a group or rules is to hear at once what is wrong with them.
    options.peers_on_demand = options.listen.empty() && options.group_file.empty() &&
                              options.peer_rules_file.empty() && !options_.share;
    options.on_listening = [this](std::uint16_t) { waiter_.nudge(); };
    auto engine = Engine::open(options);
    if (!engine) return tl::unexpected(engine.error());
    engine_ = *std::move(engine);
    report_listening();
    auto job = engine_->create_job(options_.source.substr(0, kDisplayNameMax),
                                   [this](const JobEvent& event) { mailbox_.put(event); });
    if (!job) return tl::unexpected(job.error());
    job_ = *std::move(job);
    if (changes_anything(options_.change)) {
      auto change = with_absolute_paths(options_.change);
      if (!change) return tl::unexpected(change.error());
      if (auto changed = job_->change(*change); !changed) return changed;
    }
    if (auto added = job_->add_file(file_request()); !added) return tl::unexpected(added.error());
    return job_->resume();
  }

  Result<void> transfer() {
    auto next_report = Clock::now() + reporter_.interval();
    for (;;) {
      const auto wait = std::min<Clock::duration>(kLookInterval, next_report - Clock::now());
      const auto woken = waiter_.wait(std::chrono::ceil<std::chrono::milliseconds>(wait));
      if (woken == Waiter::Woken::signal) return cancelled();
      report_listening();
      // What the engine has just told it need not be asked for: each call waits for its thread.
      const auto told = report_states();
      if (told == JobState::transferred) return {};
      const auto state = told ? Result<JobState>(*told) : job_->state();
      if (!state) return tl::unexpected(state.error());
      if (*state == JobState::transferred) return {};
      if (!told || *state == JobState::error) report_notes(statuses());
      if (*state == JobState::error) return tl::unexpected(cause());
      if (*state == JobState::cancelled) return fail(ErrorCode::cancelled, "the job was cancelled");
      if (Clock::now() < next_report) continue;
      next_report = Clock::now() + reporter_.interval();
      if (const auto progress = job_->progress()) reporter_.progress(*progress, *state);
    }
  }

  void report_listening() {
    if (endpoint_.port != 0) return;
    const auto port = engine_->listen_port();
    if (!port) return;
    endpoint_ = endpoint_of(options_.listen, *port, group_id(options_.peer_options));
    reporter_.listening(endpoint_);
  }

  // The latest one; nothing if none is new.
  std::optional<JobState> report_states() {
    std::optional<JobState> latest;
    for (const StateChange& change : mailbox_.take()) {
      reporter_.state(change.state, change.error);
      latest = change.state;
    }
    return latest;
  }

  void report_notes(const std::vector<FileStatus>& files) {
    for (const FileStatus& file : files) {
      std::string& noted = noted_[file.file];
      if (file.note.empty() || file.note == noted) continue;
      noted = file.note;
      reporter_.note(file);
    }
  }

  Result<void> cancelled() {
    const std::string message = std::string("cancelled by ") + waiter_.signal_name();
    const auto done = job_->cancel();
    report_states();
    report_notes(statuses());
    if (done) return fail(ErrorCode::cancelled, message);
    return fail(ErrorCode::cancelled, message + "; cleaning up failed: " + done.error().message);
  }

  Result<void> deliver() {
    auto done = job_->complete();
    report_states();
    if (!reporter_.wants_summary()) return done;
    std::vector<FileStatus> files = statuses();
    report_notes(files);
    if (!done) return done;
    Summary summary;
    summary.elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun_);
    if (auto progress = job_->progress()) summary.progress = *progress;
    if (auto sources = job_->sources()) summary.sources = *std::move(sources);
    // Late blocks of a shared file may arrive between the two calls: the report adds up all the
    // same.
    summary.progress.origin_bytes = summary.progress.peer_bytes = summary.progress.wasted_bytes = 0;
    for (const SourceStats& source : summary.sources) {
      (source.kind == SourceKind::peer ? summary.progress.peer_bytes
                                       : summary.progress.origin_bytes) += source.received_bytes;
      summary.progress.wasted_bytes += source.wasted_bytes;
    }
    if (!files.empty()) {
      summary.file = std::move(files.front());
      summary.others.assign(std::move_iterator(files.begin() + 1), std::move_iterator(files.end()));
    }
    reporter_.delivered(summary);
    return {};
  }

  void share() {
    reporter_.sharing(endpoint_, *options_.share);
    const auto& duration = options_.share->duration;
    const auto until = Clock::now() + duration.value_or(std::chrono::seconds{0});
    for (;;) {
      auto wait = std::chrono::milliseconds{kLookInterval};
      if (duration) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
        if (left.count() <= 0) break;
        wait = std::min(wait, left);
      }
      if (waiter_.wait(wait) == Waiter::Woken::signal) break;
      // Whether a service is there is known late, and may change.
      if (options_.peer_options.dns_sd) report_notes(statuses());
    }
    reporter_.share_ended(job_->sources().value_or(std::vector<SourceStats>{}));
  }

  // Several if the source is a Metalink of several.
  std::vector<FileStatus> statuses() const {
    return job_->files().value_or(std::vector<FileStatus>{});
  }

  Error cause() const {
    const auto error = job_->error();
    if (error && *error) return **error;
    return {ErrorCode::internal, "the job failed without a cause: please report it"};
  }

  // After a delivery into nothing but its destination an engine without peers has nothing left to
  // do or to lose: it is left to the end of the process, which is quicker than its threads one by
  // one. Not if it may be writing to the working directory.
  bool let_go() {
    if (!working_ || options_.share || engine_->listen_port()) return false;
    if (Clock::now() - begun_ > kNothingRecorded) return false;
    engine_->close();
    job_.reset();
    static std::optional<Engine> left;
    left = std::move(engine_);
    engine_.reset();
    return true;
  }

  void close() {
    job_.reset();
    engine_.reset();
  }

  void remove_working_directory() {
    if (!working_) return;
    if (const auto removed = working_->remove(); !removed) {
      reporter_.warning(removed.error().message);
    }
  }

  ExitCode end_failed(const Error& error) {
    const auto progress = job_ ? job_->progress() : fail(ErrorCode::not_found, {});
    const bool has_pieces = progress && progress->verified_bytes > 0;
    const bool opened = engine_.has_value();
    close();
    const bool is_cancelled = error.code == ErrorCode::cancelled;
    std::string kept;
    // A directory that could not be opened may belong to another run; one that an earlier try left
    // may hold pieces this try did not get to see.
    if (is_cancelled || (working_ && working_->is_new() && !has_pieces &&
                         (opened || error.code != ErrorCode::in_use))) {
      remove_working_directory();
    } else if (has_pieces) {
      kept = cache_directory_;
    }
    const ExitCode exit_code = exit_code_of(error.code);
    reporter_.failed(error, exit_code, kept);
    return exit_code;
  }

  const GetOptions& options_;
  Reporter& reporter_;
  Waiter& waiter_;
  EventMailbox mailbox_;  // outlives the engine, whose thread uses it
  const Clock::time_point begun_ = Clock::now();
  DeliveryPlan plan_;
  std::optional<WorkingDirectory> working_;
  std::string cache_directory_;
  Endpoint endpoint_;
  std::map<FileId, std::string> noted_;  // what has been told
  std::optional<Engine> engine_;
  std::optional<Job> job_;
};

}  // namespace

ExitCode run_get(const GetOptions& options, Reporter& reporter, Waiter& waiter) {
  return Get(options, reporter, waiter).run();
}

}  // namespace lanward::cli
