// The door of the library: open an engine, create jobs, follow them.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lanward/cache.h>
#include <lanward/error.h>
#include <lanward/job.h>
#include <lanward/peers.h>
#include <lanward/types.h>

namespace lanward {

// Version of the library, "MAJOR.MINOR.PATCH".
[[nodiscard]] const char* version() noexcept;

// Limits of the queue; the defaults are the published ones.
struct QueueLimits {
  std::uint32_t jobs_max = 300;  // that are not final
  std::uint32_t files_per_job_max = 200;
  std::uint32_t ranges_per_file_max = 500;
  std::chrono::hours job_age_max{30 * 24};  // older jobs are cancelled (job_too_old)
};

struct EngineOptions {
  // Directory of the job queue (jobs.sqlite); created if missing. One engine at a time may own it.
  // Empty: jobs end with the engine.
  std::string state_directory = {};
  // Directory of the piece cache; created if missing. One engine at a time may own it.
  // Empty: "cache" in the state directory.
  std::string cache_directory = {};
  // False: the queue can be read and changed, but nothing is transferred and no socket is opened.
  // Resumed jobs are queued for the next engine that runs them.
  bool run_jobs = true;
  QueueLimits limits = {};
  // Keep delivered content in the cache (complete() clones or copies). False: complete() moves the
  // data file to its destination where the file system allows it and the cache forgets the content;
  // a shared file is then served from its destination, as long as nobody changes it.
  bool keep_delivered = true;
  // What the cache may take and keep. With keep_delivered false it is a mere working directory: no
  // limit applies then.
  CachePolicy cache_policy = {};
  // ADDRESS:PORT the engine accepts peers on; port 0: any free port. Empty: 0.0.0.0:0.
  // "[ADDRESS]:PORT" for IPv6.
  std::string listen = {};
  bool peers_enabled = true;  // false: no socket is opened for peers at all
  // Where bytes may come from. Nothing: group with a group_file, cdn_only without peers, else lan.
  // open() refuses what contradicts the mode (invalid_argument), and internet (unsupported).
  std::optional<DownloadMode> download_mode = {};
  // Accept peers only from the first file with a manifest on. open() is quicker by some
  // milliseconds then, and does not tell when peers cannot be accepted: notes of files do.
  bool peers_on_demand = false;
  // With peers_on_demand: called once, on a thread of the engine, when there is a listen_port().
  std::function<void(std::uint16_t)> on_listening = {};
  bool local_discovery = true;  // find peers by multicast on the local network
  // Find peers by DNS-SD, too, through the Avahi daemon of the machine. While there is none, the
  // note of each file says so.
  bool dns_sd = false;
  // File of the group whose members alone are peers (lanward/group.h); it is read again whenever it
  // changes. Empty: everybody on the network may be a peer.
  std::string group_file = {};
  // File of rules which addresses may be peers (lanward/peers.h); it is read again whenever it
  // changes. Empty: "peers.rules" in the state directory.
  std::string peer_rules_file = {};
  PeerLimits peer_limits = {};
  // As many contents of the cache are offered to peers while no job has them: the most recently
  // used of those with a manifest. The cache evicts them as if nobody did. Each takes a file
  // descriptor, and memory: some 20 KB and its manifest. At most 10'000; 0: none.
  std::uint32_t shared_contents_max = 0;
  std::chrono::milliseconds progress_interval{250};
  // How fast bytes may come from origins, over all jobs.
  BandwidthLimits bandwidth = {};
  // Asked before the origins of every file that names none itself.
  CacheHosts caches = {};
  // How long a transfer of a foreground / background job stays with its cache hosts while they
  // fail, from its start, before it goes over to the origins for good; negative: for ever, a file
  // that they do not have fails. Nothing: it goes over at once, and back when the origins fail. At
  // most 30 days.
  std::optional<std::chrono::seconds> cache_fallback_foreground = {};
  std::optional<std::chrono::seconds> cache_fallback_background = {};
  // Nothing is asked from origins in the first so long of a transfer that may find peers; at most a
  // day.
  std::chrono::milliseconds peer_delay{0};
  // A transfer slower than this asks the origins itself, whatever its peers promise; 0: never.
  std::uint64_t min_rate_bytes_per_s = 0;
  // PEM file of the certificates that https origins and proxies are trusted by, and no others;
  // empty: those of the system.
  std::string ca_file = {};
  // Ask https servers for HTTP/2, where all ranges of a file share one connection. Slower than
  // HTTP/1.1 where both were measured; for servers that allow few connections.
  bool http2 = false;
};

// An engine owns its threads, sockets and the cache directory until it is closed or destroyed.
// Any thread, but not from inside a callback.
class Engine {
 public:
  // Opens the queue and the cache and starts the engine; jobs that were running go on. Errors:
  // invalid_argument, in_use (another engine owns the state or the cache directory), state_damaged
  // (the database is left as it is), disk_io, disk_full, network (the listen address cannot be
  // bound), those of describe_group() and read_peer_rules().
  [[nodiscard]] static Result<Engine> open(const EngineOptions& options);

  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  ~Engine();

  // Creates a suspended job. `callback` may be empty. Errors: invalid_argument for a display name
  // over 256 bytes, too_many_jobs, disk_full, disk_io.
  [[nodiscard]] Result<Job> create_job(std::string display_name, JobCallback callback = {});
  // Errors: job_not_found.
  [[nodiscard]] Result<Job> get_job(const JobId& id) const;
  // Of every job that is not final, in the order of creation; with `final_too` also those that
  // ended and are not yet forgotten.
  [[nodiscard]] std::vector<JobId> jobs(bool final_too = false) const;
  [[nodiscard]] Result<std::vector<JobStatus>> list(bool final_too = false) const;

  // What is offered from the cache; see shared_contents_max. Errors: invalid_state.
  [[nodiscard]] Result<SharingStatus> sharing() const;

  // Port on which peers are accepted; nothing when peers are disabled, or not yet with
  // peers_on_demand.
  [[nodiscard]] std::optional<std::uint16_t> listen_port() const;

  // The cache of this engine; its calls answer invalid_state once the engine is closed.
  [[nodiscard]] Cache cache() const;

  // Suspends every job, leaves every swarm, flushes the cache. Called by the destructor.
  void close();

 private:
  explicit Engine(std::shared_ptr<host::EngineImpl> impl);
  std::shared_ptr<host::EngineImpl> impl_;
};

}  // namespace lanward
