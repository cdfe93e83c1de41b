// LAN peers: the swarm of one content.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <lanward/peers.h>

#include "engine/core/content.h"
#include "engine/core/lease_message.h"
#include "engine/core/peers_answer.h"
#include "engine/core/units.h"
#include "engine/ports/content_store.h"
#include "engine/ports/loop.h"
#include "engine/ports/task.h"

namespace lanward::ports {

struct SwarmRequest {
  // Valid during the call only.
  const core::Manifest& manifest;
  std::shared_ptr<ContentStore> store;  // its verified pieces are offered from the start
  std::vector<std::string> peers;       // ADDRESS:PORT
  std::vector<std::string> trackers;    // besides those of the manifest
};

// Membership of one transfer in a swarm. Loop thread only. Blocks from peers go to the store;
// facts (PeerJoined, PeerLeft, PeerHas..., PeerMessage, PeerProgressed) to the sink. Destroying it
// without leave() leaves too.
class SwarmMember {
 public:
  virtual ~SwarmMember() = default;
  // Pieces that may be requested from peers / that must not be. All pieces start reserved.
  virtual void allow(core::PieceSpan pieces) = 0;
  virtual void reserve(core::PieceSpan pieces) = 0;
  // A piece is verified in the store: offer it to peers (also if peers delivered it: idempotent).
  virtual void announce(core::PieceIndex piece) = 0;
  // Sends a lease message, at once and in order per peer, as far as the peers are connected and
  // understand it. What cannot be sent is dropped; lease messages bear loss.
  virtual void send(std::span<const core::SourceId> to, const core::LeaseMessage& message) = 0;
  // Dials the peer unless it is connected or banned. One try; success is told by PeerJoined.
  virtual void connect(const core::Endpoint& endpoint) = 0;
  // Drops the peer's session and refuses it from now on.
  virtual void ban(core::SourceId peer) = 0;
  // What it has met so far, for the user to read.
  [[nodiscard]] virtual core::SwarmView view() const { return {}; }
  // Drops every session and refuses new ones; `done` is posted to the loop when the store is no
  // longer touched.
  virtual void leave(Task done) = 0;
};

class Swarm {
 public:
  virtual ~Swarm() = default;
  [[nodiscard]] virtual std::unique_ptr<SwarmMember> join(const SwarmRequest& request,
                                                          FactSink facts) = 0;
  // Why nobody has peers, for the user to read; empty while there is no cause. Loop thread only.
  [[nodiscard]] virtual std::string trouble() const { return {}; }
  // What was asked for and does not work, though there may be peers; empty: all does. Loop thread
  // only.
  [[nodiscard]] virtual std::string remark() const { return {}; }
  [[nodiscard]] virtual core::SwarmReadiness readiness() const {
    return trouble().empty() ? core::SwarmReadiness::running : core::SwarmReadiness::failed;
  }
  // Whether peers are given anything. Loop thread only.
  [[nodiscard]] virtual UploadStatus upload_status() const { return {}; }
};

}  // namespace lanward::ports
