// What each download mode allows (docs/cli.md#download-modes).
#pragma once

#include <optional>

#include <lanward/error.h>
#include <lanward/types.h>

namespace lanward::core {

struct ModeRules {
  bool peers = false;         // bytes may come from peers and go to them
  bool members_only = false;  // of a group
  bool look_up = false;       // a manifest, a Metalink and mirrors are looked for beside the URL
  bool keep = false;          // the cache is used, and keeps what was delivered
};

[[nodiscard]] ModeRules rules_of(DownloadMode mode);

// What else an engine was told that a mode must agree with.
struct ModeWishes {
  bool peers = true;          // they were not switched off
  bool group = false;         // a group is named
  bool listen = false;        // an address to accept peers on is named
  bool share_cached = false;  // the cache is to be offered to peers
};

// The mode that counts: without one that is named, the one that fits the rest. Errors:
// unsupported (internet), invalid_argument: what was asked for besides contradicts the mode.
[[nodiscard]] Result<DownloadMode> choose_mode(std::optional<DownloadMode> named,
                                               const ModeWishes& wishes);

}  // namespace lanward::core
