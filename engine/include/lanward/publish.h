// Making the manifest of a file: a BitTorrent v2 (BEP 52) metainfo in canonical form.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <lanward/error.h>

namespace lanward {

struct PublishRequest {
  std::string file = {};                   // path of the file to describe
  std::string output = {};                 // path of the manifest; empty: FILE.torrent
  std::vector<std::string> urls = {};      // where the bytes can be fetched (BEP 19 web seeds)
  std::vector<std::string> trackers = {};  // announce URLs
  // Those who fetch the file with credentials may give it to their peers (docs/security.md).
  bool share_private = false;
  // Called with bytes hashed so far and in all; may be empty.
  std::function<void(std::uint64_t, std::uint64_t)> progress = {};
};

struct Published {
  std::string manifest_path = {};
  std::string infohash = {};  // SHA-256 of the info dictionary, 64 hexadecimal digits
  std::uint64_t size_bytes = 0;
  std::uint64_t piece_bytes = 0;
};

// Hashes the file and writes its manifest (temporary name, fsync, atomic rename). The infohash
// depends on the bytes of the file alone, never on its name, URLs or trackers.
// Blocks; any thread. Errors: not_found, disk_io, disk_full, destination, invalid_argument,
// content_changed (the file changed while it was read).
[[nodiscard]] Result<Published> publish(const PublishRequest& request);

}  // namespace lanward
