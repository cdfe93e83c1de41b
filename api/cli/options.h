// The command line of `lanward`, as values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <lanward/engine.h>
#include <lanward/job.h>
#include <lanward/types.h>

namespace lanward::cli {

struct PublishOptions {
  std::string file;
  std::string output;  // empty: FILE.torrent
  std::vector<std::string> urls;
  std::vector<std::string> trackers;
  bool json = false;
  bool quiet = false;
};

// How long to keep serving after delivery.
struct Share {
  std::optional<std::chrono::seconds> duration;  // nothing: until a signal

  friend bool operator==(const Share&, const Share&) = default;
};

// One file and where its bytes may come from.
struct FileOptions {
  std::string source;
  std::string output;  // empty: the name the source suggests, in the current directory
  std::string manifest;
  std::vector<std::string> mirrors;
  CacheHosts caches;
  std::vector<std::string> peers;
  std::vector<std::string> trackers;
  bool use_peers = true;
  bool use_origin = true;
  bool integrity_mandatory = false;
  std::vector<std::string> digests;  // ALGORITHM=HEX
};

// As the fields of EngineOptions.
struct OriginOptions {
  BandwidthLimits bandwidth;
  std::optional<std::chrono::seconds> cache_fallback_foreground;
  std::optional<std::chrono::seconds> cache_fallback_background;
  std::chrono::seconds peer_delay{0};
  std::uint64_t min_rate_bytes_per_s = 0;
  std::string ca_file;
};

void apply(const OriginOptions& from, EngineOptions& to);

[[nodiscard]] bool changes_anything(const JobChange& change);

struct GetOptions : FileOptions {
  OriginOptions origin;
  JobChange change;   // of the job that fetches it
  std::string cache;  // empty: a private working directory beside the destination
  std::string listen;
  std::optional<Share> share;
  bool json = false;
  bool quiet = false;
};

// ---- lanward jobs: an `id` is a job's, or the first digits of it
// ---------------------------------

struct JobsCreate {
  struct File {
    std::string source;
    std::string output;  // as FileOptions::output

    friend bool operator==(const File&, const File&) = default;
  };
  std::string name;
  std::string description;
  std::optional<Priority> priority;
  std::vector<File> files;
  bool start = false;
  std::optional<std::uint32_t> jobs_max;  // nothing: the engine's limit
};

struct JobsAddFile : FileOptions {
  std::string id;
  std::string file_id;  // FileRequest::id
  std::vector<ByteRange> ranges;
};

struct JobsList {
  bool final_too = false;
};

struct JobsShow {
  std::string id;
};

// One call on each of several jobs.
struct JobsAct {
  enum class Action { suspend, resume, cancel, complete };
  Action action = Action::suspend;
  std::vector<std::string> ids;
};

struct JobsSet {
  std::string id;
  JobChange change;
};

struct JobsRun {
  std::string listen;
  bool use_peers = true;
  bool use_discovery = true;
  OriginOptions origin;
  CacheHosts caches;
  bool complete = false;    // every job that is transferred
  bool keep_going = false;  // serve peers when the queue is idle, until a signal
  std::optional<std::chrono::seconds> time_max;
};

struct JobsOptions {
  std::string state;  // empty: default_state_directory()
  std::string cache;  // empty: the engine's default
  bool json = false;
  std::variant<JobsList, JobsCreate, JobsAddFile, JobsShow, JobsAct, JobsSet, JobsRun> command;
};

// Text that was asked for: help or version.
struct ShowText {
  std::string text;
};

struct UsageError {
  std::string message;
};

using Command = std::variant<PublishOptions, GetOptions, JobsOptions, ShowText, UsageError>;

// `version` is what --version prints. Never throws.
[[nodiscard]] Command parse_command_line(int argc, const char* const* argv, const char* version);

}  // namespace lanward::cli
