// One job: its files' transfers and the published life cycle. Routes; decides nothing.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lanward/error.h>
#include <lanward/job.h>
#include <lanward/types.h>

#include "engine/core/rate_meter.h"
#include "engine/core/units.h"
#include "engine/jobs/ports.h"
#include "engine/jobs/transfer.h"

namespace lanward::jobs {

// Loop thread only. Semantics and errors of every call as in lanward/job.h. Files are fetched one
// after the other, in the order in which they were added.
class Job {
 public:
  using Done = ports::MoveFunction<void(Result<void>)>;

  // `ports` and `settings` outlive the job.
  Job(const Ports& ports, const EngineSettings& settings, core::Seed seed, JobId id,
      std::string display_name, JobCallback callback);
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  Result<void> add_file(FileSpec file);
  Result<void> resume();
  Result<void> suspend();
  // `done` is called on the loop's thread once the call's promise is kept, or at once on refusal.
  // From the return of cancel() on no further byte is requested.
  void cancel(Done done);
  void complete(Done done);
  // Stops every use of the ports; pieces stay.
  void close(ports::Task done);

  [[nodiscard]] const JobId& id() const { return id_; }
  [[nodiscard]] const std::string& display_name() const { return display_name_; }
  [[nodiscard]] JobState state() const;
  [[nodiscard]] Progress progress() const;
  [[nodiscard]] std::vector<FileStatus> files() const;
  [[nodiscard]] std::vector<SourceStats> sources() const;
  [[nodiscard]] std::optional<Error> error() const;

 private:
  [[nodiscard]] Result<void> refuse_if_final() const;
  void update();
  void report(bool state_changed);
  void on_progress_timer();
  void deliver_from(std::size_t index, Done done);
  void stop_all(bool purge, ports::Task done);

  const Ports& ports_;
  const EngineSettings& settings_;
  core::Seed seed_;
  const JobId id_;
  const std::string display_name_;
  const JobCallback callback_;

  std::vector<std::unique_ptr<Transfer>> transfers_;
  bool running_ = false;  // resumed, and neither suspended nor finished since
  bool completing_ = false;
  std::optional<JobState> final_;  // acknowledged or cancelled
  JobState reported_ = JobState::suspended;
  std::unique_ptr<ports::Timer> progress_timer_;
  core::RateMeter rate_;
  std::uint64_t rate_bytes_seen_ = 0;
  std::uint64_t rate_now_ = 0;
};

}  // namespace lanward::jobs
