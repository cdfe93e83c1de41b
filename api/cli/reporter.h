// What `lanward` tells while it works: to a person, or to a program.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lanward/error.h>
#include <lanward/job.h>
#include <lanward/publish.h>
#include <lanward/types.h>

#include "api/cli/console.h"
#include "api/cli/endpoint.h"
#include "api/cli/exit_code.h"
#include "api/cli/options.h"

namespace lanward::cli {

// What was delivered: a file, or those of a Metalink.
struct Summary {
  FileStatus file;
  std::vector<FileStatus> others = {};  // files after the first
  Progress progress;
  std::vector<SourceStats> sources;
  std::chrono::milliseconds elapsed{};
};

// One thread.
class Reporter {
 public:
  virtual ~Reporter() = default;

  // How often progress() is worth calling.
  [[nodiscard]] virtual std::chrono::milliseconds interval() const = 0;

  virtual void listening(const Endpoint& endpoint) = 0;
  // `error` is the cause of a transient_error.
  virtual void state(JobState state, const std::optional<Error>& error) = 0;
  virtual void note(const FileStatus& file) = 0;
  virtual void progress(const Progress& progress, JobState state) = 0;
  // False: delivered() is not called, so nothing need be asked for it.
  [[nodiscard]] virtual bool wants_summary() const { return true; }
  virtual void delivered(const Summary& summary) = 0;
  virtual void sharing(const Endpoint& endpoint, const Share& share) = 0;
  virtual void share_ended(const std::vector<SourceStats>& sources) = 0;
  virtual void hashing(std::uint64_t done_bytes, std::uint64_t total_bytes) = 0;
  virtual void published(const Published& published) = 0;
  // Ends the run. `kept`: directory with pieces the next try continues from; empty: none.
  virtual void failed(const Error& error, ExitCode exit_code, const std::string& kept) = 0;
  // Something went wrong that does not change the outcome.
  virtual void warning(const std::string& message) = 0;
};

// Progress in place when `err` is a terminal, plain lines otherwise.
[[nodiscard]] std::unique_ptr<Reporter> make_human_reporter(Streams streams);
// Errors and warnings only.
[[nodiscard]] std::unique_ptr<Reporter> make_quiet_reporter(Streams streams);
// One JSON object per line on `out`; failures also as a line on `err`.
[[nodiscard]] std::unique_ptr<Reporter> make_json_reporter(Streams streams);

[[nodiscard]] std::unique_ptr<Reporter> make_reporter(bool json, bool quiet, Streams streams);

// Whether a file is proven to be the right one, by a manifest or a digest that cannot be forged.
[[nodiscard]] bool is_verified(const FileStatus& file);

// The line on standard error that ends a failed run.
[[nodiscard]] std::string failure_line(const Error& error, const std::string& kept);

}  // namespace lanward::cli
