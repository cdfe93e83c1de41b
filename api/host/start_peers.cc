#include "api/host/start_peers.h"

#include <utility>

namespace lanward::host {

Result<RunningSwarm> start_peers(const peer::SwarmOptions& options) {
  auto swarm = peer::LibtorrentSwarm::create(options);
  if (!swarm) return tl::unexpected(swarm.error());
  const auto port = (*swarm)->listen_port();
  return RunningSwarm{std::move(*swarm), port};
}

}  // namespace lanward::host
