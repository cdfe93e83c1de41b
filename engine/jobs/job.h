// One job: its files' transfers and the published life cycle. Routes; the rules are in
// engine/core/job_rules.h and job_watch.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lanward/error.h>
#include <lanward/job.h>
#include <lanward/types.h>

#include "engine/core/job_rules.h"
#include "engine/core/job_watch.h"
#include "engine/core/rate_meter.h"
#include "engine/core/units.h"
#include "engine/jobs/content_table.h"
#include "engine/jobs/origin_control.h"
#include "engine/jobs/ports.h"
#include "engine/jobs/transfer.h"

namespace lanward::jobs {

// Loop thread only. Semantics and errors of every call as in lanward/job.h: `done` is called on the
// loop's thread once the call's promise is kept, possibly at once. Files are fetched one after the
// other, in the order in which they were added.
class Job {
 public:
  using Done = ports::MoveFunction<void(Result<void>)>;

  // What the jobs of an engine share; outlives them.
  struct Context {
    const Ports& ports;
    const EngineSettings& settings;
    OriginControl& origins;
    ContentTable& contents;
    // A job's state has changed; `ended` when it is final and nothing of it is left.
    std::function<void(Job&)> on_state;
  };

  // A job of `record`, new or as a former engine left it. `record` has no files yet that cannot be
  // read; those are told by restore_error.
  Job(const Context& context, core::Seed seed, ports::JobRecord record, JobCallback callback);
  ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // Goes on with what the record says: a queued job runs, a final one is swept up.
  void proceed();

  void add_files(std::vector<FileSpec> files, Done done);
  void resume(Done done);
  void suspend(Done done);
  void cancel(Done done);
  void complete(Done done);
  void change(const JobChange& change, Done done);
  void set_remote_name(FileId file, std::string url, Done done);
  void set_callback(JobCallback callback) { callback_ = std::move(callback); }
  // Makes the record durable.
  void save(Done done);
  // Stops every use of the ports; pieces stay.
  void close(ports::Task done);
  // Of the engine: whether foreground jobs need the origins more than this one.
  void make_way(bool for_foreground);

  [[nodiscard]] const JobId& id() const { return record_.id; }
  [[nodiscard]] std::uint64_t order() const { return record_.order; }
  [[nodiscard]] const JobProperties& properties() const { return record_.properties; }
  [[nodiscard]] std::uint32_t owner_uid() const { return record_.owner_uid; }
  [[nodiscard]] JobState state() const;
  [[nodiscard]] bool is_final() const { return final_.has_value(); }
  [[nodiscard]] bool is_swept() const { return record_.purged; }
  // Files are still given to peers.
  [[nodiscard]] bool is_serving() const;
  [[nodiscard]] JobStatus status() const;
  [[nodiscard]] Progress progress() const;
  [[nodiscard]] std::vector<FileStatus> files() const;
  [[nodiscard]] std::vector<SourceStats> sources() const;
  [[nodiscard]] std::optional<JobError> error() const;
  [[nodiscard]] std::uint32_t file_count() const {
    return static_cast<std::uint32_t>(files_.size());
  }
  // Null if there is no such file.
  [[nodiscard]] const Transfer* file(FileId file) const;

 private:
  struct File {
    std::unique_ptr<Transfer> transfer;
    ports::FileRecord record;
    bool dropped = false;   // complete() went on without it
    bool reported = false;  // that it is transferred
    bool known = false;     // its content, and so to the journal
  };
  // A call waits until the one before is durable.
  struct Call {
    std::optional<core::JobCall> what;  // nothing: only what has happened is to be made durable
    ports::MoveFunction<Result<void>(ports::JobRecord&)> prepare;  // changes the record to be
    ports::Task apply;                                             // once that is durable
    Done done;
  };

  void call(Call call);
  void next_call();
  void persist();
  [[nodiscard]] ports::JobRecord snapshot() const;
  // `replaced` is the file that the first of them takes the place of.
  [[nodiscard]] Result<void> check_new(const std::vector<FileSpec>& files,
                                       std::optional<std::size_t> replaced = {}) const;
  [[nodiscard]] core::WatchSettings watch_settings() const;
  [[nodiscard]] FetchSettings fetch_settings() const;
  void add_transfer(FileSpec spec, ports::FileRecord record);
  void start_files();
  void expand(std::size_t index);
  void update();
  void update_state();
  void enter(JobState now);
  void report(bool state_changed, std::optional<FileId> file);
  void on_progress_timer();
  void on_watch_timer();
  void arm_watch();
  void stop_with(JobError error);
  void begin_complete(Done done);
  void deliver_from(std::size_t index);
  void end_complete(Result<void> result);
  void sweep();

  const Context& context_;
  const Ports& ports_;
  const EngineSettings& settings_;
  core::Seed seed_;
  // What is durable, files aside: those are filled in by snapshot().
  ports::JobRecord record_;
  JobCallback callback_;

  std::vector<File> files_;
  bool running_ = false;  // resumed, and neither suspended nor finished since
  bool foreground_elsewhere_ = false;
  std::optional<JobState> final_;   // acknowledged or cancelled
  std::optional<JobError> failed_;  // stopped for a cause of the job, or of a former engine
  JobState reported_ = JobState::suspended;

  std::deque<Call> calls_;
  bool saving_ = false;
  bool persist_queued_ = false;
  bool closing_ = false;
  Done completing_;  // while complete() is under way

  std::unique_ptr<ports::Timer> progress_timer_;
  std::unique_ptr<ports::Timer> watch_timer_;
  core::JobWatch watch_;
  core::RateMeter rate_;
  std::uint64_t rate_bytes_seen_ = 0;
  std::uint64_t rate_now_ = 0;
  std::shared_ptr<char> life_ = std::make_shared<char>();
};

}  // namespace lanward::jobs
