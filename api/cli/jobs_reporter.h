// What `lanward jobs` tells: to a person, or to a program.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <lanward/error.h>
#include <lanward/job.h>
#include <lanward/peers.h>
#include <lanward/types.h>

#include "api/cli/console.h"
#include "api/cli/endpoint.h"
#include "api/cli/exit_code.h"

namespace lanward::cli {

struct JobDetails {
  JobStatus status;
  std::vector<FileStatus> files;
  std::vector<SourceStats> sources;
};

struct RunSummary {
  std::vector<JobStatus> jobs;  // that this run has seen, as they are at its end
  std::chrono::milliseconds elapsed{};
  std::string ended_by;  // "SIGTERM", "--max-time"; empty: nothing was left to do
  ExitCode exit_code = ExitCode::done;
};

// One thread.
class JobsReporter {
 public:
  virtual ~JobsReporter() = default;

  // How often progress() is worth calling.
  [[nodiscard]] virtual std::chrono::milliseconds interval() const = 0;

  virtual void created(const JobStatus& job) = 0;
  virtual void file_added(const JobId& job, FileId file) = 0;
  virtual void listed(const std::vector<JobStatus>& jobs) = 0;
  virtual void shown(const JobDetails& job) = 0;
  // What was asked for is done; `job` is as it is now.
  virtual void changed(const JobStatus& job) = 0;
  // What was asked for `job`, an id as given, failed.
  virtual void job_failed(const std::string& job, const Error& error) = 0;

  virtual void listening(const Endpoint& endpoint) = 0;
  virtual void state(const JobStatus& job) = 0;
  virtual void progress(const std::vector<JobStatus>& jobs) = 0;
  // What is offered from the cache has changed.
  virtual void sharing(const SharingStatus& sharing) = 0;
  virtual void run_ended(const RunSummary& summary) = 0;

  // Ends the command.
  virtual void failed(const Error& error, ExitCode exit_code) = 0;
};

[[nodiscard]] std::unique_ptr<JobsReporter> make_human_jobs_reporter(Streams streams);
[[nodiscard]] std::unique_ptr<JobsReporter> make_json_jobs_reporter(Streams streams);
[[nodiscard]] std::unique_ptr<JobsReporter> make_jobs_reporter(bool json, Streams streams);

// The URL of a proxy without the name and the password in it.
[[nodiscard]] std::string without_credentials(const std::string& url);
// Stable name ("not-roaming").
[[nodiscard]] const char* cost_name(CostPolicy cost) noexcept;

}  // namespace lanward::cli
