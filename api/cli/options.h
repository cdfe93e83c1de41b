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
  bool share_private = false;
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
  bool http2 = false;
};

void apply(const OriginOptions& from, EngineOptions& to);

// Who may be a peer; as the fields of EngineOptions.
struct PeerOptions {
  std::string group;                 // file; empty: everybody on the network
  std::string rules;                 // file; empty: of the state directory, if there is one
  std::optional<DownloadMode> mode;  // nothing: the one that fits the rest
  bool dns_sd = false;
  PeerLimits limits;
};

void apply(const PeerOptions& from, EngineOptions& to);
// The mode has peers, or was not named.
[[nodiscard]] bool may_have_peers(const PeerOptions& options);
// Of the group that is named; empty: of none, or its file cannot be read any more.
[[nodiscard]] std::string group_id(const PeerOptions& options);

[[nodiscard]] bool changes_anything(const JobChange& change);

struct GetOptions : FileOptions {
  OriginOptions origin;
  PeerOptions peer_options;
  JobChange change;   // of the job that fetches it
  std::string cache;  // empty: a private working directory beside the destination
  CachePolicy cache_policy;
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
  PeerOptions peer_options;
  CacheHosts caches;
  CachePolicy cache_policy;
  bool complete = false;                     // every job that is transferred
  bool keep_going = false;                   // serve peers when the queue is idle, until a signal
  std::uint32_t shared_contents_max = 1000;  // of the cache, with keep_going
  std::optional<std::chrono::seconds> time_max;
};

struct JobsOptions {
  std::string state;  // empty: default_state_directory()
  std::string cache;  // empty: the engine's default
  bool json = false;
  std::variant<JobsList, JobsCreate, JobsAddFile, JobsShow, JobsAct, JobsSet, JobsRun> command;
};

// ---- lanward cache: an `id` is a content's, or the first digits of it

struct CacheStatusOf {};
struct CacheList {};
struct CacheTrim {};
struct CachePin {
  bool pinned = true;
  std::vector<std::string> ids;
};
struct CacheShare {
  bool shared = true;
  std::vector<std::string> ids;
};
struct CacheExpire {
  std::vector<std::string> ids;
  std::optional<std::chrono::seconds> delay;  // from now on; nothing: never
};
struct CacheDelete {
  std::vector<std::string> ids;
  bool pinned_too = false;
};
struct CacheVerify {
  std::vector<std::string> ids;        // empty: all
  std::uint64_t rate_bytes_per_s = 0;  // 0: no limit
};
struct CacheImport {
  std::string file;
  std::string manifest;
  std::string name;
  bool pin = false;
  bool share = true;
};
struct CacheExport {
  std::string id;
  std::string output;
  bool hard_link = false;
  bool with_manifest = false;
};

struct CacheCommand {
  std::string cache;  // empty: "cache" in the state directory
  std::string state;  // empty: default_state_directory()
  CachePolicy policy;
  bool json = false;
  std::variant<CacheStatusOf, CacheList, CacheTrim, CachePin, CacheShare, CacheExpire, CacheDelete,
               CacheVerify, CacheImport, CacheExport>
      command;
};

// ---- lanward peers: the rules which addresses may be peers

struct PeersCommand {
  enum class Action { show, ban, unban, stop, start };
  Action action = Action::show;
  std::vector<std::string> addresses;
  std::string state;  // empty: default_state_directory()
  std::string rules;  // file; empty: "peers.rules" in the state directory
  bool json = false;
};

// ---- lanward group

struct GroupCommand {
  enum class Action { init, rotate, show };
  Action action = Action::show;
  std::string file;
  std::optional<std::chrono::seconds> overlap;  // of rotate; nothing: the old keys go at once
  bool json = false;
};

// Text that was asked for: help or version.
struct ShowText {
  std::string text;
};

struct UsageError {
  std::string message;
};

using Command = std::variant<PublishOptions, GetOptions, JobsOptions, CacheCommand, GroupCommand,
                             PeersCommand, ShowText, UsageError>;

// `version` is what --version prints. Never throws.
[[nodiscard]] Command parse_command_line(int argc, const char* const* argv, const char* version);

}  // namespace lanward::cli
