#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/cli/commands.h"
#include "api/cli/endpoint.h"
#include "api/cli/event_mailbox.h"
#include "api/cli/jobs_queue.h"

namespace lanward::cli {
namespace {

using Clock = std::chrono::steady_clock;

// The queue is looked at at least this often even if nobody nudges.
constexpr std::chrono::milliseconds kLookInterval{1000};

// Each content that is shared has a file open, each peer a socket.
void allow_all_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

bool is_known(const JobStatus& job, const StateChange& change) {
  if (job.state != change.state || job.error.has_value() != change.error.has_value()) return false;
  return !job.error || job.error->message == change.error->message;
}

// One run of `lanward jobs run`.
class Run {
 public:
  Run(const JobsOptions& options, const JobsRun& run, JobsReporter& reporter, Waiter& waiter)
      : options_(options), run_(run), reporter_(reporter), waiter_(waiter), mailbox_(waiter) {}

  ExitCode work() {
    auto outcome = open();
    if (outcome) outcome = transfer();
    if (!outcome) {
      engine_.reset();
      const ExitCode exit_code = exit_code_of(outcome.error().code);
      reporter_.failed(outcome.error(), exit_code);
      return exit_code;
    }
    const RunSummary summary = summarize();
    engine_.reset();  // whatever is not done stays queued
    reporter_.run_ended(summary);
    return summary.exit_code;
  }

 private:
  Result<void> open() {
    EngineOptions engine;
    engine.listen = run_.listen;
    engine.peers_enabled = run_.use_peers;
    engine.local_discovery = run_.use_discovery;
    engine.progress_interval = reporter_.interval();
    engine.caches = run_.caches;
    engine.cache_policy = run_.cache_policy;
    if (run_.keep_going) {
      engine.shared_contents_max = run_.shared_contents_max;
      allow_all_descriptors();
    }
    apply(run_.origin, engine);
    apply(run_.peer_options, engine);
    auto opened = open_queue(options_, engine);
    if (!opened) return tl::unexpected(opened.error());
    engine_ = *std::move(opened);
    if (const auto port = engine_->listen_port()) {
      reporter_.listening(endpoint_of(run_.listen, *port, group_id(run_.peer_options)));
    }
    for (const JobId& id : engine_->jobs()) {
      auto job = engine_->get_job(id);
      // A job of another user is worked on like ours, but only looked at.
      if (job) (void)job->set_callback([this](const JobEvent& event) { mailbox_.put(event); });
    }
    return {};
  }

  Result<void> transfer() {
    auto next_report = begun_ + reporter_.interval();
    for (;;) {
      if (auto looked = look(); !looked) return looked;
      if (run_.complete) complete_transferred();
      if (!has_work() && !run_.keep_going) return {};
      auto wake = std::min(Clock::now() + Clock::duration(kLookInterval), next_report);
      if (run_.time_max) wake = std::min(wake, begun_ + *run_.time_max);
      const auto wait = std::chrono::ceil<std::chrono::milliseconds>(wake - Clock::now());
      if (waiter_.wait(wait) == Waiter::Woken::signal) {
        ended_by_ = waiter_.signal_name();
        return look();
      }
      const auto now = Clock::now();
      if (run_.time_max && now >= begun_ + *run_.time_max) {
        ended_by_ = "--max-time";
        return look();
      }
      if (now < next_report) continue;
      next_report = now + reporter_.interval();
      reporter_.progress(statuses());
      tell_sharing();
    }
  }

  void tell_sharing() {
    const auto sharing = engine_->sharing();
    if (!run_.keep_going || !sharing || *sharing == told_sharing_) return;
    told_sharing_ = *sharing;
    reporter_.sharing(told_sharing_);
  }

  // Brings `jobs_` up to date and tells what changed on the way.
  Result<void> look() {
    auto listed = engine_->list();
    if (!listed) return tl::unexpected(listed.error());
    std::set<JobId> told;
    for (const StateChange& change : mailbox_.take()) {
      const auto known = jobs_.find(change.job);
      if (known == jobs_.end() || is_known(known->second, change)) continue;
      known->second.state = change.state;
      known->second.error = change.error;
      reporter_.state(known->second);
      told.insert(change.job);
    }
    for (auto& [id, job] : jobs_) {
      const auto is_it = [&](const JobStatus& status) { return status.id == id; };
      if (std::any_of(listed->begin(), listed->end(), is_it)) continue;
      // It came to its end since the last look.
      if (const auto handle = engine_->get_job(id)) {
        if (auto status = handle->status()) listed->push_back(*std::move(status));
      }
    }
    for (JobStatus& status : *listed) update(std::move(status), told);
    return {};
  }

  void update(JobStatus status, const std::set<JobId>& told) {
    const auto [known, is_new] = jobs_.try_emplace(status.id, status);
    if (is_new) {
      order_.push_back(status.id);
      reporter_.state(status);
      return;
    }
    // An event is newer than the list, or says the same.
    if (told.contains(status.id)) {
      status.state = known->second.state;
      status.error = known->second.error;
    }
    const bool changed = known->second.state != status.state;
    known->second = std::move(status);
    if (changed) reporter_.state(known->second);
  }

  void complete_transferred() {
    for (auto& [id, job] : jobs_) {
      if (job.state != JobState::transferred || undelivered_.contains(id)) continue;
      auto handle = engine_->get_job(id);
      const auto done = handle ? handle->complete() : Result<void>(tl::unexpected(handle.error()));
      if (!done) {
        // Trying again and again would not help; the next run does.
        undelivered_.emplace(id, done.error());
        reporter_.job_failed(to_string(id), done.error());
        continue;
      }
      if (auto status = handle->status()) update(*std::move(status), {});
    }
  }

  bool has_work() const {
    return std::any_of(jobs_.begin(), jobs_.end(), [](const auto& entry) {
      switch (entry.second.state) {
        case JobState::queued:
        case JobState::connecting:
        case JobState::transferring:
        case JobState::transient_error:
          return true;
        default:
          return false;
      }
    });
  }

  std::vector<JobStatus> statuses() const {
    std::vector<JobStatus> all;
    for (const JobId& id : order_) all.push_back(jobs_.at(id));
    return all;
  }

  RunSummary summarize() const {
    RunSummary summary;
    summary.jobs = statuses();
    summary.elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun_);
    summary.ended_by = ended_by_;
    summary.exit_code = has_work() ? ExitCode::cancelled : first_failure();
    return summary;
  }

  ExitCode first_failure() const {
    for (const JobId& id : order_) {
      const JobStatus& job = jobs_.at(id);
      if (const auto failure = undelivered_.find(id); failure != undelivered_.end()) {
        return exit_code_of(failure->second.code);
      }
      if (job.state == JobState::error) {
        return job.error ? exit_code_of(job.error->code) : ExitCode::internal;
      }
    }
    return ExitCode::done;
  }

  const JobsOptions& options_;
  const JobsRun& run_;
  JobsReporter& reporter_;
  Waiter& waiter_;
  EventMailbox mailbox_;  // outlives the engine, whose thread uses it
  const Clock::time_point begun_ = Clock::now();
  std::map<JobId, JobStatus> jobs_;     // as last reported
  std::vector<JobId> order_;            // of creation
  std::map<JobId, Error> undelivered_;  // transferred, but complete() failed
  std::string ended_by_;
  SharingStatus told_sharing_;
  std::optional<Engine> engine_;
};

}  // namespace

ExitCode run_queue(const JobsOptions& options, const JobsRun& run, JobsReporter& reporter,
                   Waiter& waiter) {
  return Run(options, run, reporter, waiter).work();
}

}  // namespace lanward::cli
