// What `lanward cache` tells: to a person, or to a program.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <lanward/cache.h>
#include <lanward/error.h>

#include "api/cli/console.h"
#include "api/cli/exit_code.h"

namespace lanward::cli {

// One thread.
class CacheReporter {
 public:
  virtual ~CacheReporter() = default;

  // How often progress is worth telling.
  [[nodiscard]] virtual std::chrono::milliseconds interval() const = 0;

  virtual void status(const CacheStatus& cache) = 0;
  virtual void listed(const std::vector<CachedContent>& contents) = 0;
  // `what` was done to the content ("pinned", "imported"); it is as it is now.
  virtual void changed(const char* what, const CachedContent& content) = 0;
  virtual void removed(const std::string& id) = 0;
  virtual void exported(const std::string& id, const std::string& destination) = 0;
  virtual void trimmed(const TrimResult& result) = 0;
  // `what`: "checking" or "importing".
  virtual void progress(const char* what, std::uint64_t done, std::uint64_t total) = 0;
  virtual void checked(const ContentCheck& check) = 0;
  virtual void check_ended(const std::vector<ContentCheck>& checks) = 0;
  // What was asked for `id`, as given, failed.
  virtual void id_failed(const std::string& id, const Error& error) = 0;
  // Ends the command.
  virtual void failed(const Error& error, ExitCode exit_code) = 0;
};

[[nodiscard]] std::unique_ptr<CacheReporter> make_cache_reporter(bool json, Streams streams);

}  // namespace lanward::cli
