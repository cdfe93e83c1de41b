// What the command and the module with its peers know of each other.
#pragma once

#include "api/host/start_peers.h"
#include "peer/tls_roots.h"

namespace lanward::host {

// Both are built and installed together; the version shows when they were not.
struct PeerModule {
  const char* version;
  // `put_off` is that of the command: libtorrent finds the command's hook first.
  Result<RunningSwarm> (*start)(const peer::SwarmOptions& options, peer::PutOffPlace put_off);
};

// The name of the module's only symbol, which is a PeerModule.
inline constexpr const char* kPeerModuleSymbol = "lanward_peer_module";

}  // namespace lanward::host
