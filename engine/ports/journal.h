// What a restart must know of the jobs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lanward/error.h>
#include <lanward/job.h>
#include <lanward/types.h>

#include "engine/core/content.h"
#include "engine/core/digest.h"
#include "engine/core/origin_spec.h"
#include "engine/ports/task.h"

namespace lanward::ports {

struct FileRecord {
  // Of the request, checked and resolved: `destination` is absolute, `manifest` is a URL or empty.
  FileRequest request;
  // The manifest's document once it is known; shared, because records are copied and it may be
  // megabytes long. Null: none known.
  std::shared_ptr<const std::vector<std::uint8_t>> metainfo;
  // Names the content in the piece cache once it is known; all zero before.
  core::Digest content{};
  std::uint64_t size_bytes = 0;
  std::uint32_t piece_bytes = 0;  // of a content without a manifest
  bool transferred = false;
  bool completed = false;
  // What a Metalink told of the file, and what the caller demanded.
  std::vector<core::ExpectedDigest> digests = {};
  std::optional<core::ByteCount> demanded_size = {};
  std::vector<core::OriginSpec> found_urls = {};  // URL and priority
  std::vector<std::string> offered_manifests = {};
  std::string metalink_url = {};  // not fetched yet
  // `metainfo` was found at another host than the file.
  bool manifest_elsewhere = false;
  // What the whole file was checked against, if it is transferred.
  std::optional<core::ExpectedDigest> digest = {};
};

struct JobRecord {
  JobId id;
  // suspended, queued (running when the engine ended), error, transferred, acknowledged, cancelled.
  JobState state = JobState::suspended;
  bool purged = false;  // cancelled or acknowledged, and nothing is left to be removed
  std::string owner;
  std::uint32_t owner_uid = 0;
  JobProperties properties;
  JobTimes times;
  std::uint64_t order = 0;         // of creation
  std::int64_t first_resumed = 0;  // seconds since the epoch; 0: never
  std::uint32_t error_count = 0;
  std::optional<JobError> error;  // while state is error
  std::vector<FileRecord> files;
};

// Durable records of jobs. Any thread.
class Journal {
 public:
  virtual ~Journal() = default;
  using Saved = MoveFunction<void(Result<void>)>;

  // Makes the record what a restart finds. `saved` is called once, from any thread, when it is on
  // disk; saves of one job take effect in the order of the calls, and several saves may share one
  // commit. Errors: disk_full, disk_io, state_damaged: the former record stands.
  virtual void save(const JobRecord& record, Saved saved) = 0;
  // Forgets the job; unknown jobs are ignored.
  virtual void remove(const JobId& id, Saved saved) = 0;
};

}  // namespace lanward::ports
