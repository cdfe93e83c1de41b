// A job: files to fetch together, with the life cycle of a Delivery Optimization job.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lanward/error.h>
#include <lanward/types.h>

namespace lanward {

namespace host {
class EngineImpl;
}

// One file of a job. Strings are UTF-8.
struct FileRequest {
  // URL of the file (http, https), or path or URL of its .torrent.
  std::string source = {};
  // Absolute or relative path. The file appears there only when complete() delivers it.
  // Empty: the name the source suggests, in the current directory; "DIR/": that name in DIR.
  std::string destination = {};
  // Path or URL of the manifest; empty: found as docs/life-of-a-job.md tells.
  std::string manifest = {};
  std::vector<std::string> mirrors = {};   // further URLs of the same bytes
  std::vector<std::string> peers = {};     // ADDRESS:PORT of peers known in advance
  std::vector<std::string> trackers = {};  // announce URLs besides those in the manifest
  bool use_origin = true;                  // false: never ask an origin for file bytes
  bool use_peers = true;                   // false: plain verified HTTP
  // Keep serving this file to peers after complete(), until the engine closes.
  bool share_after_complete = false;
};

struct FileStatus {
  std::string source = {};
  std::string destination = {};
  Integrity integrity = Integrity::unknown;
  // Why the file is fetched the way it is, when that needs saying ("no manifest found: HTTP only").
  std::string note = {};
  std::uint64_t total_bytes = 0;  // 0 while unknown
  std::uint64_t verified_bytes = 0;
  bool transferred = false;  // complete and verified in the cache
  bool completed = false;    // delivered to its destination
};

// Handle of a job; copies refer to the same job. Any thread. Every call is carried out before it
// returns, on the engine's thread, and must not be made from inside a callback.
// After the engine is closed every call fails with invalid_state.
class Job {
 public:
  [[nodiscard]] JobId id() const;

  // Adds a file. The job must not be cancelled or acknowledged. Nothing is fetched before resume().
  // Errors: invalid_argument (names the field), invalid_state.
  Result<void> add_file(const FileRequest& file);

  // Starts or restarts the transfer. Errors: invalid_argument for a job without files,
  // invalid_state if cancelled or acknowledged.
  Result<void> resume();

  // Stops the transfer; verified pieces stay. Suspending a suspended, failed or transferred job
  // does nothing. Errors: invalid_state if cancelled or acknowledged.
  Result<void> suspend();

  // Stops every transfer, drops the peer sessions of this job, purges its pieces and temporary
  // files; cannot be undone. When this returns, no further byte is requested.
  // Errors: invalid_state if cancelled or acknowledged.
  Result<void> cancel();

  // Delivers every transferred file to its destination (temporary name, fsync, atomic rename) and
  // acknowledges the job. Errors: invalid_state unless transferred; destination, disk_full or
  // disk_io when a file cannot be delivered: the job then stays transferred and complete() can be
  // called again.
  Result<void> complete();

  [[nodiscard]] Result<JobState> state() const;
  [[nodiscard]] Result<Progress> progress() const;
  [[nodiscard]] Result<std::vector<FileStatus>> files() const;
  [[nodiscard]] Result<std::vector<SourceStats>> sources() const;
  // The cause while the state is error or transient_error, nothing otherwise.
  [[nodiscard]] Result<std::optional<Error>> error() const;

 private:
  friend class host::EngineImpl;
  Job(std::weak_ptr<host::EngineImpl> engine, JobId id);

  std::weak_ptr<host::EngineImpl> engine_;
  JobId id_ = {};
};

// What a callback tells. Calls arrive one at a time on the engine's thread, in the order in which
// things happened. A callback must return soon and must not call Engine or Job.
struct JobEvent {
  JobId job = {};
  JobState state = JobState::suspended;
  bool state_changed = false;  // otherwise: progress, at most every progress_interval
  Progress progress = {};
  std::optional<Error> error = {};  // while state is error or transient_error
};
using JobCallback = std::function<void(const JobEvent&)>;

}  // namespace lanward
