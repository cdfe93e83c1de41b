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

#include "engine/core/merkle.h"
#include "engine/core/policy.h"
#include "engine/core/prng.h"
#include "engine/jobs/job.h"
#include "engine/jobs/ports.h"

namespace lanward::jobs {

// Loop thread only.
class Engine {
 public:
  Engine(Ports ports, EngineSettings settings, core::Seed seed);

  // A new, suspended job.
  Job& create_job(std::string display_name, JobCallback callback);
  [[nodiscard]] Job* find(const JobId& id);
  [[nodiscard]] std::vector<JobId> ids() const;

  // Suspends every job and leaves every swarm; `done` is posted when nothing is in use any more.
  void close(ports::Task done);

 private:
  Ports ports_;
  EngineSettings settings_;
  core::Prng prng_;
  std::map<JobId, std::unique_ptr<Job>> jobs_;
};

}  // namespace lanward::jobs
