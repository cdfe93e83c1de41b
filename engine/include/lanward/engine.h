// The door of the library: open an engine, create jobs, follow them.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lanward/error.h>
#include <lanward/job.h>
#include <lanward/types.h>

namespace lanward {

// Version of the library, "MAJOR.MINOR.PATCH".
[[nodiscard]] const char* version() noexcept;

struct EngineOptions {
  // Directory of the piece cache; created if missing. One engine at a time may own it.
  std::string cache_directory = {};
  // Keep delivered content in the cache (complete() clones or copies). False: complete() moves the
  // data file to its destination where the file system allows it and the cache forgets the content;
  // a shared file is then served from its destination, as long as nobody changes it.
  bool keep_delivered = true;
  // ADDRESS:PORT the engine accepts peers on; port 0: any free port. Empty: 0.0.0.0:0.
  // "[ADDRESS]:PORT" for IPv6.
  std::string listen = {};
  bool peers_enabled = true;    // false: no socket is opened for peers at all
  bool local_discovery = true;  // find peers by multicast on the local network (BEP 14)
  std::chrono::milliseconds progress_interval{250};
};

// An engine owns its threads, sockets and the cache directory until it is closed or destroyed.
// Any thread, but not from inside a callback.
class Engine {
 public:
  // Opens the cache and starts the engine. Errors: invalid_argument, in_use (another engine owns
  // the cache directory), disk_io, disk_full, network (the listen address cannot be bound).
  [[nodiscard]] static Result<Engine> open(const EngineOptions& options);

  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  ~Engine();

  // Creates a suspended job. `callback` may be empty. Errors: invalid_argument for a display name
  // over 256 characters.
  [[nodiscard]] Result<Job> create_job(std::string display_name, JobCallback callback = {});
  [[nodiscard]] Result<Job> get_job(const JobId& id) const;
  [[nodiscard]] std::vector<JobId> jobs() const;

  // Port on which peers are accepted; nothing when peers are disabled.
  [[nodiscard]] std::optional<std::uint16_t> listen_port() const;

  // Suspends every job, leaves every swarm, flushes the cache. Called by the destructor.
  void close();

 private:
  explicit Engine(std::shared_ptr<host::EngineImpl> impl);
  std::shared_ptr<host::EngineImpl> impl_;
};

}  // namespace lanward
