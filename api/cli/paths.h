// Where a fetched file goes, and where its pieces live until then.
#pragma once

#include <string>
#include <string_view>

#include <lanward/error.h>
#include <lanward/job.h>

#include "api/cli/options.h"

namespace lanward::cli {

struct DeliveryPlan {
  std::string directory;          // of the destination; exists
  std::string name;               // empty: the engine takes the name the manifest suggests
  std::string working_directory;  // private cache for a run without --cache
};

[[nodiscard]] bool is_url(std::string_view source) noexcept;

// Last segment of the URL's path, percent-decoded. Errors: invalid_argument (asks for -o) when that
// is no safe file name.
[[nodiscard]] Result<std::string> name_from_url(std::string_view url);

// `output` as given with -o; empty: current directory. Errors: invalid_argument, destination.
[[nodiscard]] Result<DeliveryPlan> plan_delivery(const std::string& source,
                                                 const std::string& output);

// What the engine is asked for: the options, and the destination of the plan.
[[nodiscard]] FileRequest file_request_of(const FileOptions& options, const DeliveryPlan& plan);

// The same request with absolute paths, so that it means the same in every working directory.
// Errors: disk_io (the working directory is gone).
[[nodiscard]] Result<FileRequest> with_absolute_paths(FileRequest file);
[[nodiscard]] Result<JobChange> with_absolute_paths(JobChange change);

// What decides where the job queue is when nobody says it.
struct StateEnvironment {
  bool is_root = false;
  std::string xdg_state_home;  // empty: not set
  std::string home;
};
[[nodiscard]] StateEnvironment state_environment();
// Errors: invalid_argument (there is no home directory).
[[nodiscard]] Result<std::string> default_state_directory(const StateEnvironment& environment);

// A directory of ours beside the destination, created when missing.
class WorkingDirectory {
 public:
  // Errors: destination (cannot be created there, or belongs to somebody else).
  [[nodiscard]] static Result<WorkingDirectory> create(std::string path);

  [[nodiscard]] const std::string& path() const { return path_; }
  // False: an earlier try left it, so there may be pieces in it worth keeping.
  [[nodiscard]] bool is_new() const { return is_new_; }
  // Removes it with all that is in it. Errors: disk_io.
  Result<void> remove() const;

 private:
  WorkingDirectory(std::string path, bool is_new) : path_(std::move(path)), is_new_(is_new) {}

  std::string path_;
  bool is_new_ = false;
};

}  // namespace lanward::cli
