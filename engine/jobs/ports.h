// What a job needs from the world, and what it is told at birth.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <lanward/job.h>
#include <lanward/types.h>

#include "engine/core/content.h"
#include "engine/core/digest.h"
#include "engine/core/merkle.h"
#include "engine/core/metalink.h"
#include "engine/core/origin_spec.h"
#include "engine/core/policy.h"
#include "engine/ports/content_store.h"
#include "engine/ports/journal.h"
#include "engine/ports/loop.h"
#include "engine/ports/origin.h"
#include "engine/ports/swarm.h"

namespace lanward::jobs {

// All outlive the engine.
struct Ports {
  ports::Loop& loop;
  ports::OriginSource& origins;
  ports::PieceStore& store;
  ports::Swarm* swarm = nullptr;  // null: peers are disabled
  core::Sha256Fn sha256 = nullptr;
  ports::Journal* journal = nullptr;    // null: jobs end with the engine
  core::HasherFn hasher = nullptr;      // null: no digest of a whole file can be checked
  core::MetalinkFn metalink = nullptr;  // null: Metalinks are passed over
};

struct EngineSettings {
  core::Policy policy;
  core::Duration progress_interval = std::chrono::milliseconds{250};
  bool keep_delivered = true;             // see EngineOptions
  bool run_jobs = true;                   // see EngineOptions
  std::uint32_t shared_contents_max = 0;  // see EngineOptions
  DownloadMode mode = DownloadMode::lan;  // chosen: core/download_mode.h
  bool peers_wanted = true;               // whoever runs the engine has not switched them off
  BandwidthLimits bandwidth;              // checked
  CacheHosts caches;                      // checked; of files that name none themselves
  // Limits of the queue, as in QueueLimits.
  std::uint32_t jobs_max = 300;
  std::uint32_t files_per_job_max = 200;
  std::uint32_t ranges_per_file_max = 500;
  std::chrono::seconds job_age_max = std::chrono::hours{30 * 24};
  // Who runs the engine: owner of the jobs it makes; 0 may touch the jobs of all.
  std::uint32_t user_id = 0;
  std::string user_name;
  std::function<std::chrono::system_clock::time_point()> wall_clock = [] {
    return std::chrono::system_clock::now();
  };
};

// How a job wants its files fetched.
struct FetchSettings {
  ports::OriginSettings origin;
  core::Policy policy;
};

// One file of a job, after the caller's strings have been checked and local documents read.
struct FileSpec {
  JobId job = {};                      // that has the file
  std::optional<std::uint32_t> owner;  // of the job, if root runs it for somebody
  std::string source;                  // as the caller named it
  std::vector<core::OriginSpec> urls;  // ties in order of preference; may be empty with a manifest
  std::string destination;  // absolute; ends with '/' when the manifest is to name the file
  std::optional<core::Manifest> manifest;  // when it was at hand locally
  std::string manifest_url;                // demanded manifest; empty: discovered from urls[0]
  std::vector<std::string> peers;
  std::vector<std::string> trackers;
  bool use_origin = true;
  bool use_peers = true;
  bool share_after_complete = false;
  std::string id;                 // unique in the job; may be empty
  std::vector<ByteRange> ranges;  // empty: the whole file
  bool integrity_mandatory = false;
  CacheHosts caches = {};  // none: those of the engine
  // What the whole file must hash to, as the caller or the Metalink it named says.
  std::vector<core::ExpectedDigest> digests = {};
  std::optional<core::ByteCount> size = {};  // as a Metalink says
  // Of a Metalink: origins and manifests. The caller's headers are not for them.
  std::vector<core::OriginSpec> found_urls = {};
  std::vector<std::string> offered_manifests = {};
  // The manifest was found at another host than the file: what it permits does not count.
  bool manifest_elsewhere = false;
  // The source is this Metalink, which is still to be fetched: what it describes takes the place
  // of this file.
  std::string metalink_url = {};
};

}  // namespace lanward::jobs
