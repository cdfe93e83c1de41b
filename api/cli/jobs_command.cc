#include <lanward/engine.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "api/cli/commands.h"
#include "api/cli/job_lookup.h"
#include "api/cli/jobs_queue.h"
#include "api/cli/paths.h"

namespace lanward::cli {
namespace {

namespace fs = std::filesystem;

// Everything is done on one thread and the engine is closed before the process ends.
class JobsCommand {
 public:
  JobsCommand(const JobsOptions& options, JobsReporter& reporter)
      : options_(options), reporter_(reporter) {}

  ExitCode run(const JobsRun&) { return ExitCode::internal; }  // has run_queue()

  ExitCode run(const auto& command) {
    const auto outcome = open(command);
    const auto done = outcome ? execute(command) : Result<void>(tl::unexpected(outcome.error()));
    engine_.reset();
    if (done) return exit_code_;
    const ExitCode exit_code = exit_code_of(done.error().code);
    reporter_.failed(done.error(), exit_code);
    return exit_code;
  }

 private:
  Result<void> open(const auto& command) {
    EngineOptions engine;
    engine.run_jobs = false;
    engine.peers_enabled = false;
    limit(engine, command);
    auto opened = open_queue(options_, engine);
    if (!opened) return tl::unexpected(opened.error());
    engine_ = *std::move(opened);
    return {};
  }

  static void limit(EngineOptions& engine, const JobsCreate& create) {
    if (create.jobs_max) engine.limits.jobs_max = *create.jobs_max;
  }
  static void limit(EngineOptions&, const auto&) {}

  Result<Job> find(const std::string& id) const {
    const auto found = find_job(engine_->jobs(true), id);
    if (!found) return tl::unexpected(found.error());
    return engine_->get_job(*found);
  }

  static Result<FileRequest> request_of(const FileOptions& file) {
    const auto plan = plan_delivery(file.source, file.output);
    if (!plan) return tl::unexpected(plan.error());
    return with_absolute_paths(file_request_of(file, *plan));
  }

  Result<void> execute(const JobsCreate& create) {
    std::vector<FileRequest> files;
    for (const auto& [source, output] : create.files) {
      FileOptions file;
      file.source = source;
      file.output = output;
      auto request = request_of(file);
      if (!request) return tl::unexpected(request.error());
      files.push_back(*std::move(request));
    }
    auto job = engine_->create_job(create.name);
    if (!job) return tl::unexpected(job.error());
    auto outcome = fill(*job, create, files);
    const auto status = outcome ? job->status() : tl::unexpected(outcome.error());
    if (!status) {
      // Half a job is of no use; what comes of this is less telling than why it is done.
      (void)job->cancel();
      return tl::unexpected(status.error());
    }
    reporter_.created(*status);
    return {};
  }

  static Result<void> fill(Job& job, const JobsCreate& create,
                           const std::vector<FileRequest>& files) {
    JobChange change;
    if (!create.description.empty()) change.description = create.description;
    change.priority = create.priority;
    if (change.description || change.priority) {
      if (auto done = job.change(change); !done) return done;
    }
    if (!files.empty()) {
      if (auto done = job.add_files(files); !done) return done;
    }
    return create.start ? job.resume() : Result<void>{};
  }

  Result<void> execute(const JobsAddFile& add) {
    auto job = find(add.id);
    if (!job) return tl::unexpected(job.error());
    auto request = request_of(add);
    if (!request) return tl::unexpected(request.error());
    request->id = add.file_id;
    request->ranges = add.ranges;
    const auto file = job->add_file(*request);
    if (!file) return tl::unexpected(file.error());
    reporter_.file_added(job->id(), *file);
    return {};
  }

  Result<void> execute(const JobsList& list) {
    const auto jobs = engine_->list(list.final_too);
    if (!jobs) return tl::unexpected(jobs.error());
    reporter_.listed(*jobs);
    return {};
  }

  Result<void> execute(const JobsShow& show) {
    const auto job = find(show.id);
    if (!job) return tl::unexpected(job.error());
    auto status = job->status();
    if (!status) return tl::unexpected(status.error());
    auto files = job->files();
    if (!files) return tl::unexpected(files.error());
    // Of a job that is over there may be none left.
    reporter_.shown({*std::move(status), *std::move(files),
                     job->sources().value_or(std::vector<SourceStats>{})});
    return {};
  }

  Result<void> execute(const JobsSet& set) {
    auto job = find(set.id);
    if (!job) return tl::unexpected(job.error());
    auto change = with_absolute_paths(set.change);
    if (!change) return tl::unexpected(change.error());
    if (auto done = job->change(*change); !done) return done;
    return report_changed(*job);
  }

  Result<void> execute(const JobsAct& act) {
    for (const std::string& id : act.ids) {
      auto job = find(id);
      auto done = job ? call(*job, act.action) : Result<void>(tl::unexpected(job.error()));
      if (done) done = report_changed(*job);
      if (done) continue;
      reporter_.job_failed(id, done.error());
      if (exit_code_ == ExitCode::done) exit_code_ = exit_code_of(done.error().code);
    }
    return {};
  }

  static Result<void> call(Job& job, JobsAct::Action action) {
    switch (action) {
      case JobsAct::Action::suspend:
        return job.suspend();
      case JobsAct::Action::resume:
        return job.resume();
      case JobsAct::Action::cancel:
        return job.cancel();
      case JobsAct::Action::complete:
        return job.complete();
    }
    return fail(ErrorCode::internal, "an unknown action: please report it");
  }

  Result<void> report_changed(const Job& job) {
    const auto status = job.status();
    if (!status) return tl::unexpected(status.error());
    reporter_.changed(*status);
    return {};
  }

  const JobsOptions& options_;
  JobsReporter& reporter_;
  std::optional<Engine> engine_;
  ExitCode exit_code_ = ExitCode::done;  // of the first job that failed
};

}  // namespace

Result<Engine> open_queue(const JobsOptions& options, EngineOptions engine) {
  engine.state_directory = options.state;
  engine.cache_directory = options.cache;
  if (options.state.empty()) {
    auto directory = default_state_directory(state_environment());
    if (!directory) return tl::unexpected(directory.error());
    engine.state_directory = *std::move(directory);
    // A new account has no directory for states yet. Where this fails the engine says why.
    std::error_code ignored;
    fs::create_directories(fs::path(engine.state_directory).parent_path(), ignored);
  }
  return Engine::open(engine);
}

ExitCode run_jobs(const JobsOptions& options, JobsReporter& reporter) {
  JobsCommand command(options, reporter);
  return std::visit([&](const auto& chosen) { return command.run(chosen); }, options.command);
}

}  // namespace lanward::cli
