// The job table. Routes calls to jobs and jobs to ports; decides nothing.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <lanward/error.h>
#include <lanward/job.h>
#include <lanward/types.h>

#include "engine/core/prng.h"
#include "engine/core/units.h"
#include "engine/jobs/content_table.h"
#include "engine/jobs/job.h"
#include "engine/jobs/origin_control.h"
#include "engine/jobs/ports.h"
#include "engine/jobs/sharer.h"

namespace lanward::jobs {

// Loop thread only.
class Engine {
 public:
  Engine(const Ports& ports, const EngineSettings& settings, core::Seed seed);

  // The jobs that a former engine left, in order of creation. Before any other call; once.
  void restore(std::vector<ports::JobRecord> records);

  // A new, suspended job; the engine owns it. Errors: invalid_argument for a display name over 256
  // bytes, too_many_jobs, and those of the journal.
  using Created = ports::MoveFunction<void(Result<Job*>)>;
  void create_job(std::string display_name, JobCallback callback, Created done);
  // Errors: job_not_found; access_denied for a job of another user than that of the settings.
  [[nodiscard]] Result<Job*> find(const JobId& id);
  // In order of creation.
  [[nodiscard]] std::vector<JobId> ids(bool final_too) const;
  [[nodiscard]] std::vector<JobStatus> list(bool final_too) const;

  // Contents that are offered to peers while no job has them.
  [[nodiscard]] SharingStatus sharing() const { return sharer_.status(); }

  // Suspends every job and leaves every swarm; `done` is called when no port is in use any more.
  void close(ports::Task done);

 private:
  Job& insert(ports::JobRecord record, JobCallback callback);
  void on_state(Job& job);
  void forget_old();

  const Ports ports_;
  const EngineSettings settings_;
  core::Prng prng_;
  OriginControl origins_;
  Sharer sharer_;
  ContentTable contents_;
  Job::Context context_;
  std::map<std::uint64_t, std::unique_ptr<Job>> jobs_;  // by order of creation
  std::map<JobId, Job*> by_id_;
  std::uint64_t next_order_ = 1;
  std::shared_ptr<char> life_ = std::make_shared<char>();
};

}  // namespace lanward::jobs
