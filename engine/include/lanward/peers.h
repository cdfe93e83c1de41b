// Which addresses may be peers, the switch that stops everything, and limits (docs/security.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <lanward/error.h>
#include <lanward/types.h>

namespace lanward {

// Addresses and networks: "192.0.2.1", "192.0.2.0/24", "2001:db8::/32".
struct PeerRules {
  bool serving = true;                  // false: there are no peers at all
  bool private_only = true;             // addresses for local use only; unless `allow` is given
  std::vector<std::string> allow = {};  // not empty: these only
  std::vector<std::string> deny = {};   // whatever `allow` says
  std::vector<std::string> ban = {};    // likewise
};

// How much goes to and from peers, over all contents.
struct PeerLimits {
  std::uint64_t upload_bytes_per_s = 0;    // 0: no limit; at most 2'000'000'000
  std::uint64_t download_bytes_per_s = 0;  // likewise
  bool upload = true;                      // false: takes from peers and gives nothing
  std::uint32_t connections_max = 1000;    // 2 to 10'000
  // Of one content, 2 to 10'000; nothing: no limit of its own.
  std::optional<std::uint32_t> connections_per_content_max = {};
  // So many peers are given something at a time, others wait for their turn; 0 to 10'000, 0: all.
  std::uint32_t upload_slots = 0;
  // Nothing is given once this much was given in a calendar month (UTC); 0: no such limit. Counted
  // in "peers.given" in the state directory, which must be named.
  std::uint64_t upload_bytes_per_month = 0;
  SharingRules sharing = {};
  // False: leaves the origins to other peers as long as one of them is willing to ask these.
  bool puller = true;
  friend bool operator==(const PeerLimits&, const PeerLimits&) = default;
};

// What the cache offers to peers beside the jobs (EngineOptions::shared_contents_max).
struct SharingStatus {
  std::uint32_t contents = 0;  // offered now
  std::uint32_t peers_connected = 0;
  std::uint64_t served_bytes = 0;  // payload, since the engine was opened
  UploadStatus upload = {};        // of the jobs' contents, too
  friend bool operator==(const SharingStatus&, const SharingStatus&) = default;
};

// The address or network as rules are read back. Errors: invalid_argument.
[[nodiscard]] Result<std::string> peer_network(const std::string& text);

// A file that is not there says nothing: the defaults. Errors: invalid_argument (line, and what is
// wrong), access_denied, unsupported, disk_io.
[[nodiscard]] Result<PeerRules> read_peer_rules(const std::string& path);

// Replaces the file in one step. Engines that use it (EngineOptions::peer_rules_file) notice at
// once and end the sessions that are not allowed any more. Errors: invalid_argument (names the
// address), destination.
[[nodiscard]] Result<void> write_peer_rules(const std::string& path, const PeerRules& rules);

}  // namespace lanward
