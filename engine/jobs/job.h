// One job: its files' transfers and the published life cycle. Routes; decides nothing.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lanward/error.h>
#include <lanward/job.h>
#include <lanward/types.h>

#include "engine/core/units.h"
#include "engine/jobs/ports.h"
#include "engine/jobs/transfer.h"

namespace lanward::jobs {

// Loop thread only. Semantics and errors of every call as in lanward/job.h.
class Job {
 public:
  Job(const Ports& ports, const EngineSettings& settings, core::Seed seed, JobId id,
      std::string display_name, JobCallback callback);
  ~Job();

  Result<void> add_file(FileSpec file);
  Result<void> resume();
  Result<void> suspend();
  // Valid answers come through `done`, posted to the loop, once the call's promise is kept.
  void cancel(ports::MoveFunction<void(Result<void>)> done);
  void complete(ports::MoveFunction<void(Result<void>)> done);

  [[nodiscard]] const JobId& id() const { return id_; }
  [[nodiscard]] JobState state() const { return state_; }
  [[nodiscard]] Progress progress() const;
  [[nodiscard]] std::vector<FileStatus> files() const;
  [[nodiscard]] std::vector<SourceStats> sources() const;
  [[nodiscard]] std::optional<Error> error() const;

  // Suspends, leaves the swarms; `done` is posted when no port is in use any more.
  void close(ports::Task done);
};

}  // namespace lanward::jobs
