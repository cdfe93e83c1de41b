// Where a fetched file goes, and where its pieces live until then.
#pragma once

#include <string>
#include <string_view>

#include <lanward/error.h>

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
