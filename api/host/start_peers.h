// Where the engine gets its swarm from.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include <lanward/error.h>

#include "engine/ports/swarm.h"
#include "peer/swarm.h"

namespace lanward::host {

// A swarm that runs, and the port on which it accepts peers.
struct RunningSwarm {
  std::unique_ptr<ports::Swarm> swarm;
  std::optional<std::uint16_t> port;
};

// The library has it from peer/. The command has another definition, which loads peer/ and
// libtorrent when they are called for: peer_loader.cc. Errors: those of LibtorrentSwarm::create(),
// not_found if there is nothing to load, internal if it is of another version.
[[nodiscard]] Result<RunningSwarm> start_peers(const peer::SwarmOptions& options);

}  // namespace lanward::host
