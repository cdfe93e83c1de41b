// Values of the embedding API. Units are in the names: bytes are bytes, rates are bytes per second.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lanward {

// Random (version 4) identifier of a job; stable for the life of the job.
struct JobId {
  std::array<std::uint8_t, 16> bytes{};
  friend auto operator<=>(const JobId&, const JobId&) = default;
};
// 8-4-4-4-12 lower-case hexadecimal.
[[nodiscard]] std::string to_string(const JobId& id);

// The job states of Delivery Optimization; the values are the published ones.
enum class JobState : std::uint8_t {
  queued = 0,           // resumed, waiting for its turn
  connecting = 1,       // looking for the manifest, the origin's facts and peers
  transferring = 2,     // bytes are moving
  suspended = 3,        // new, or suspended by a call
  error = 4,            // stopped by a cause that needs a person; resume() tries again
  transient_error = 5,  // waiting to retry by itself
  transferred = 6,      // every file is complete and verified in the cache: call complete()
  acknowledged = 7,     // complete() delivered the files; final
  cancelled = 8,        // cancel() removed everything; final
};
// Stable lower-case name ("transient_error").
[[nodiscard]] const char* to_string(JobState state) noexcept;

enum class SourceKind : std::uint8_t { origin, peer };

// What one source contributed in this run of the job.
// Over all sources: sum(received) == fetched bytes of the file + sum(wasted).
struct SourceStats {
  SourceKind kind = SourceKind::origin;
  std::string name = {};             // URL, or address:port of a peer
  std::uint64_t received_bytes = 0;  // payload taken from this source
  std::uint64_t wasted_bytes = 0;    // of these, duplicates and bytes that failed verification
  std::uint64_t served_bytes = 0;    // payload given to this peer
  bool banned = false;               // it sent bytes that failed verification
};

// What the correctness of a delivered file rests on.
enum class Integrity : std::uint8_t {
  unknown,    // not determined yet
  manifest,   // SHA-256 Merkle tree of a BitTorrent v2 manifest
  transport,  // no manifest was found: HTTP only, nothing but the transport vouches for the bytes
};
[[nodiscard]] const char* to_string(Integrity integrity) noexcept;

struct Progress {
  bool total_known = false;
  std::uint64_t total_bytes = 0;       // 0 while unknown
  std::uint64_t verified_bytes = 0;    // on disk and verified, pieces found in the cache included
  std::uint64_t cached_bytes = 0;      // of these, already in the cache when the job started
  std::uint64_t origin_bytes = 0;      // payload received from origins
  std::uint64_t peer_bytes = 0;        // payload received from peers
  std::uint64_t wasted_bytes = 0;      // duplicates and bytes that failed verification
  std::uint64_t rate_bytes_per_s = 0;  // payload rate over the last seconds
  std::uint32_t peers_connected = 0;
  std::uint32_t files_total = 0;
  std::uint32_t files_transferred = 0;
};

}  // namespace lanward
