// Stands in for the library behind <lanward/engine.h>: jobs that follow a script.
#pragma once

#include <lanward/engine.h>
#include <lanward/publish.h>

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace lanward::testing {

struct FakeJob {
  // What it is.
  bool exists = false;  // the next created job takes the first that does not exist
  JobStatus status;
  std::vector<FileStatus> files;
  std::vector<SourceStats> sources;
  JobCallback callback;

  // What it does.
  std::optional<Error> call_error;  // of suspend, resume, cancel and change
  std::optional<Error> add_file_error;
  std::vector<JobEvent> events_on_resume;  // the last one's state is the state of the job
  std::function<void()> on_resume;         // after the events
  std::optional<Error> complete_error;
  std::function<void()> on_complete;

  // What was done to it.
  std::vector<FileRequest> added;
  std::vector<JobChange> changes;
  std::vector<std::string> calls;  // "resume", "cancel", ...

  // Tells the callback, if there is one.
  void become(JobState state, std::optional<JobError> error = {});
  [[nodiscard]] bool was(const std::string& call) const;
};

struct FakeEngine {
  // What it does.
  std::optional<Error> open_error;
  std::optional<Error> create_error;
  std::deque<FakeJob> jobs;                  // references to them stay good
  std::deque<std::function<void()>> scenes;  // each list() begins with the next one
  std::uint16_t port = 4711;
  Result<Published> published = Published{};
  std::function<void()> while_publishing;

  // What was done to it.
  std::optional<EngineOptions> opened;
  std::optional<PublishRequest> publish_request;
  bool closed = false;

  FakeJob& add_job(const JobId& id, JobState state, const std::string& name = {});
};

// The one the library's symbols talk to; tests assign a new one first.
FakeEngine& fake_engine();

}  // namespace lanward::testing
