// Whether a file may have peers, and why it has none.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include <lanward/types.h>

namespace lanward::core {

// What is known of a file before it joins a swarm.
struct FilePeers {
  DownloadMode mode = DownloadMode::lan;
  bool asked = true;         // by whoever runs the engine, and by the file
  bool searching = false;    // the manifest is still being looked for
  bool credentials = false;  // its requests carry some
  bool manifest = false;
  bool permitted = false;      // the publisher's manifest lets private content be shared
  bool found_private = false;  // the cache has bytes of it that came with credentials
  bool empty = false;          // a file of no bytes
};

// Why the file joins no swarm and what comes of it is not offered from the cache; nothing: it may.
// The only place where that is decided.
[[nodiscard]] std::optional<PeersReason> peers_barrier(const FilePeers& file);

// Why strangers were turned away, or we by them.
enum class PeerRefusal : std::uint8_t {
  none,
  wrong_key,  // a member of the group by an older or another key
  no_member,  // it proves nothing, or not in time
  protocol,   // it speaks no such protocol, or closed the connection at once
};

// What a swarm has met so far of one content.
struct SwarmView {
  bool serving = true;                 // the rules have not stopped everything
  bool full = false;                   // there are as many connections as may be
  std::uint32_t found = 0;             // addresses of peers
  std::uint32_t refused_by_rules = 0;  // of these
  std::uint32_t refused = 0;           // handshakes, in either direction
  PeerRefusal last_refusal = PeerRefusal::none;
};

// What has become of the part that talks to peers.
enum class SwarmReadiness : std::uint8_t {
  running,
  not_started,  // nothing has needed it long enough
  missing,      // its module is not there
  failed,
};

struct PeersFacts {
  FilePeers file;
  bool in_use = false;  // it is being fetched, or served
  bool joined = false;
  bool complete = false;  // nothing is left to be fetched
  SwarmReadiness swarm = SwarmReadiness::running;
  std::string trouble = {};  // of the swarm that is missing or failed
  std::uint32_t connected = 0;
  std::chrono::seconds looking{0};  // since the swarm was joined
  SwarmView view = {};
};

// The reason of today, with a sentence about it.
[[nodiscard]] PeersReason peers_reason(const PeersFacts& facts);
[[nodiscard]] PeersAnswer answer_peers(const PeersFacts& facts);

}  // namespace lanward::core
