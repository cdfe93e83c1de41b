// Stands in for the library behind <lanward/engine.h>: one job that follows a script.
#pragma once

#include <lanward/engine.h>
#include <lanward/publish.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace lanward::testing {

struct FakeEngine {
  // What it does.
  std::optional<Error> open_error;
  std::optional<Error> add_file_error;
  std::vector<JobEvent> events_on_resume;  // the last one's state is the state of the job
  std::function<void()> on_resume;         // after the events
  std::optional<Error> job_error;
  std::optional<Error> complete_error;
  std::function<void()> on_complete;
  Progress progress;
  FileStatus file;
  std::vector<SourceStats> sources;
  std::uint16_t port = 4711;
  Result<Published> published = Published{};
  std::function<void()> while_publishing;

  // What was done to it.
  std::optional<EngineOptions> opened;
  std::optional<FileRequest> added;
  std::optional<PublishRequest> publish_request;
  bool cancelled = false;
  bool completed = false;
  bool closed = false;
  JobState state = JobState::suspended;
};

// The one the library's symbols talk to; tests assign a new one first.
FakeEngine& fake_engine();

}  // namespace lanward::testing
