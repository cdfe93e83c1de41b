// A job: files to fetch together, with the life cycle of a Delivery Optimization job.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
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
  // URL of the file (http, https), or path or URL of its .torrent or of its Metalink (.meta4). A
  // Metalink of several files stands for all of them: add_file() answers with the first.
  std::string source = {};
  // Absolute or relative path. The file appears there only when complete() delivers it.
  // Empty: the name the source suggests, in the current directory; "DIR/": that name in DIR.
  std::string destination = {};
  // A name that is unique in the job; empty: none.
  std::string id = {};
  // The parts to fetch; empty: all. In ascending order, without overlap. The delivered file holds
  // them one after the other.
  std::vector<ByteRange> ranges = {};
  // Path or URL of the manifest; empty: found as docs/life-of-a-job.md tells.
  std::string manifest = {};
  // Further URLs of the same bytes. "URL;pri=N", N from 1 to 999999: asked in this order, after
  // those without, while nobody knows which one is fast.
  std::vector<std::string> mirrors = {};
  CacheHosts caches = {};                  // instead of EngineOptions::caches, if there are any
  std::vector<std::string> peers = {};     // ADDRESS:PORT of peers known in advance
  std::vector<std::string> trackers = {};  // announce URLs besides those in the manifest
  bool use_origin = true;                  // false: never ask an origin for file bytes
  bool use_peers = true;                   // false: plain verified HTTP
  // Without a manifest, and without a strong digest of the whole file that was demanded here or by
  // a Metalink, the file fails instead of being fetched on the origin's word alone.
  bool integrity_mandatory = false;
  // Keep serving this file to peers after complete(), until the engine closes.
  bool share_after_complete = false;
  // What the whole file must hash to: "ALGORITHM=HEX" each, with sha-512, sha-256, sha-1 or md5.
  // The strongest is checked when all bytes are there, also if there is a manifest; a file that
  // does not match is not delivered, its pieces are dropped, and the error is `integrity`. It goes
  // before what the origin or a Metalink says. With ranges it cannot be checked, and the note says
  // so. Two that differ for one algorithm are an error.
  std::vector<std::string> digests = {};
};

struct FileStatus {
  FileId file = {};
  std::string id = {};  // of the request
  std::string source = {};
  std::string destination = {};
  std::vector<ByteRange> ranges = {};
  Integrity integrity = Integrity::unknown;
  // Why the file is fetched the way it is, when that needs saying ("no manifest found: HTTP only").
  std::string note = {};
  bool total_known = false;
  std::uint64_t total_bytes = 0;  // of the ranges, if there are any; 0 while unknown
  std::uint64_t verified_bytes = 0;
  bool transferred = false;  // complete and verified in the cache
  bool completed = false;    // delivered to its destination
  // "sha-256=HEX": what the whole file is checked against before it counts as transferred, instead
  // of a manifest or besides it; empty: nothing. The note says so if the algorithm is a weak one.
  std::string digest = {};
  PeersAnswer peers_answer = {};  // why it has peers or none
};

// Why a job is in error or transient_error.
struct JobError : Error {
  ErrorContext context = ErrorContext::none;
  std::optional<FileId> file = {};
};

// What callers may set; kept with the job.
struct JobProperties {
  std::string display_name = {};  // at most 256 bytes
  std::string description = {};   // at most 1024 bytes
  Priority priority = Priority::normal;
  std::uint32_t notify_flags = NotifyFlags::kAll;
  // Least time between two tries after a transient error; at least 5 s. 600 s as published for
  // BITS would make a LAN wait; ours tries again as its back-off says and no earlier than this.
  std::chrono::seconds minimum_retry_delay{0};
  // Without a byte for so long the job goes from transient_error to error. 0: default of the
  // priority, 3600 s for foreground jobs and 86400 s for the others.
  std::chrono::seconds no_progress_timeout{0};
  // The job fails unless it is transferred so long after it was first resumed. 0: 90 days.
  std::chrono::seconds maximum_download_time{0};
  ProxySettings proxy = {};
  // "Name: value" each, sent with requests to the origins named by the caller, never to another
  // host. At most 16 KiB together.
  std::vector<std::string> custom_headers = {};
  CostPolicy cost = CostPolicy::always;
  // PEM files with absolute paths, read when a transfer starts: a certificate and its key, shown to
  // the origins named by the caller when they ask for one, never to another host. No key: it is in
  // the file of the certificate. Empty: none.
  std::string client_certificate = {};
  std::string client_key = {};
  // Follow redirects of a https origin to http. What the bytes rest on without a manifest is then
  // nothing but the network in between.
  bool allow_https_to_http_redirects = false;
};

// A change of some properties; what is not set stays.
struct JobChange {
  std::optional<std::string> display_name = {};
  std::optional<std::string> description = {};
  std::optional<Priority> priority = {};
  std::optional<std::uint32_t> notify_flags = {};
  std::optional<std::chrono::seconds> minimum_retry_delay = {};
  std::optional<std::chrono::seconds> no_progress_timeout = {};
  std::optional<std::chrono::seconds> maximum_download_time = {};
  std::optional<ProxySettings> proxy = {};
  std::optional<std::vector<std::string>> custom_headers = {};
  std::optional<CostPolicy> cost = {};
  std::optional<std::string> client_certificate = {};
  std::optional<std::string> client_key = {};
  std::optional<bool> allow_https_to_http_redirects = {};
};

// A job at one moment.
struct JobStatus {
  JobId id = {};
  JobType type = JobType::download;
  JobState state = JobState::suspended;
  bool purged = false;     // final, and nothing is left that is to be removed
  std::string owner = {};  // name of the user who created it
  JobProperties properties = {};
  JobTimes times = {};
  Progress progress = {};
  std::uint32_t error_count = 0;       // how often it was interrupted by an error
  std::optional<JobError> error = {};  // while state is error or transient_error
};

// What a callback tells. Calls arrive one at a time on the engine's thread, in the order in which
// things happened. A callback must return soon and must not call Engine or Job.
struct JobEvent {
  JobId job = {};
  JobState state = JobState::suspended;
  bool state_changed = false;  // otherwise: progress, at most every progress_interval, or a change
  std::optional<FileId> file_transferred = {};
  Progress progress = {};
  std::optional<JobError> error = {};  // while state is error or transient_error
};
using JobCallback = std::function<void(const JobEvent&)>;

// Handle of a job; copies refer to the same job. Any thread. Every call is carried out before it
// returns, on the engine's thread, and must not be made from inside a callback; it has no time
// limit, docs/api.md tells what each waits for. What a call changes is then durable (with
// EngineOptions::state_directory): after a crash the next engine goes on from there.
// Errors of every call: invalid_state after the engine was closed, job_not_found for a job that has
// ended so long ago that it is forgotten, access_denied for a job of another user unless the engine
// runs for root, and disk_full, disk_io or state_damaged when a change cannot be made durable: the
// change is then not made. docs/api.md has the table of states and calls.
class Job {
 public:
  [[nodiscard]] JobId id() const;

  // Adds a file. The job must not be cancelled or acknowledged. Nothing is fetched before resume().
  // Adding to a transferred job suspends it. Errors: invalid_argument (names the field),
  // invalid_state, too_many_files, too_many_ranges, invalid_range, overlapping_ranges,
  // duplicate_file, destination, access_denied.
  Result<FileId> add_file(const FileRequest& file);
  // All of them or none.
  Result<void> add_files(const std::vector<FileRequest>& files);

  // Starts or restarts the transfer. Errors: job_empty, invalid_state if cancelled or acknowledged.
  // A transferred job stays as it is.
  Result<void> resume();

  // Stops the transfer; verified pieces stay. Suspending a suspended, failed or transferred job
  // does nothing. Errors: invalid_state if cancelled or acknowledged.
  Result<void> suspend();

  // Ends the job for good, in this order: makes it durable, stops every transfer, drops the peer
  // sessions of its contents, purges its pieces that no other job holds and its temporary files.
  // When this returns it is durable and no further byte is requested, even if what follows takes
  // longer (JobStatus::purged tells); a crash in between is made up for by the next start. A file
  // that complete() is just delivering is delivered before, or never. Errors: invalid_state if
  // cancelled or acknowledged.
  Result<void> cancel();

  // Delivers every transferred file to its destination (temporary name, fsync, atomic rename),
  // drops the others with their pieces, and acknowledges the job. Any time before it is final.
  // Errors: invalid_state if cancelled or acknowledged; destination, disk_full, disk_io,
  // access_denied when files cannot be delivered: the job is then transferred,
  // FileStatus::completed tells which files are done, and complete() can be called again.
  Result<void> complete();

  [[nodiscard]] Result<JobStatus> status() const;
  [[nodiscard]] Result<JobState> state() const;
  [[nodiscard]] Result<Progress> progress() const;
  [[nodiscard]] Result<std::vector<FileStatus>> files() const;
  // Contributions over all files.
  [[nodiscard]] Result<std::vector<SourceStats>> sources() const;
  // The cause while the state is error or transient_error, nothing otherwise.
  [[nodiscard]] Result<std::optional<JobError>> error() const;

  // Takes effect at once, except what is about requests (proxy, headers, certificate, redirects):
  // with the next start of a transfer.
  // Errors: invalid_argument (names the field), invalid_state if cancelled or acknowledged.
  Result<void> change(const JobChange& change);
  // Replaces the callback; empty: none. Callbacks die with the engine, they are not kept.
  Result<void> set_callback(JobCallback callback);

  // Another URL for the file, e.g. one whose signature is new. Verified pieces stay if the content
  // is the same; a file that is transferred stays as it is.
  // Errors: invalid_argument (over 2200 bytes, no http URL), invalid_state, file_unavailable.
  Result<void> set_remote_name(FileId file, const std::string& url);
  [[nodiscard]] Result<SwarmStats> swarm_stats(FileId file) const;
  // Status line and headers of the last reply of an origin for this file; empty before.
  [[nodiscard]] Result<std::string> response_headers(FileId file) const;

  // Copies verified bytes of a file that is being transferred or is transferred, from `offset` of
  // the file; returns how many, as far as they are verified without a gap; 0 if none or at the end.
  // Errors: file_unavailable, invalid_state unless the file is in use by the engine, disk_io.
  Result<std::size_t> read(FileId file, std::uint64_t offset, std::span<std::byte> out) const;

 private:
  friend class host::EngineImpl;
  Job(std::weak_ptr<host::EngineImpl> engine, JobId id);

  std::weak_ptr<host::EngineImpl> engine_;
  JobId id_ = {};
};

}  // namespace lanward
