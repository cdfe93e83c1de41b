// The job table. Routes calls to jobs and jobs to ports; decides nothing.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <lanward/error.h>
#include <lanward/job.h>
#include <lanward/types.h>

#include "engine/core/prng.h"
#include "engine/core/units.h"
#include "engine/jobs/job.h"
#include "engine/jobs/ports.h"

namespace lanward::jobs {

// Loop thread only.
class Engine {
 public:
  Engine(const Ports& ports, const EngineSettings& settings, core::Seed seed);

  // A new, suspended job; the engine owns it. Errors: invalid_argument for a display name over 256
  // characters, or when the table is full.
  [[nodiscard]] Result<Job*> create_job(std::string display_name, JobCallback callback);
  [[nodiscard]] Job* find(const JobId& id);
  [[nodiscard]] std::vector<JobId> ids() const;

  // Suspends every job and leaves every swarm; `done` is called when no port is in use any more.
  void close(ports::Task done);

 private:
  const Ports ports_;
  const EngineSettings settings_;
  core::Prng prng_;
  std::map<JobId, std::unique_ptr<Job>> jobs_;
};

}  // namespace lanward::jobs
