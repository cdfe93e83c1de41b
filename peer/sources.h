// Who the peers of one swarm are, what each of them gave and took, and the facts about them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "engine/core/events.h"
#include "engine/ports/loop.h"
#include "peer/encounters.h"
#include "peer/interfaces.h"

namespace lanward::peer {

// One peer. It outlives its connections, so a peer that comes back is the same source.
// Owned and guarded by Sources.
struct Peer {
  core::SourceId id;
  std::string address;
  std::uint64_t received = 0;  // payload of whole blocks
  std::uint64_t wasted = 0;    // of these, not handed to the store
  std::uint64_t served = 0;
  std::uint64_t told = 0;  // received + served when progress was last reported
  std::chrono::steady_clock::time_point told_at;
  std::uint32_t connections = 0;
  bool banned = false;
};

// Peers remembered by one swarm. A site has hundreds; somebody who invents an identity per
// connection must not fill the memory.
inline constexpr std::size_t kPeersMax = 4096;

// Any thread. Facts are sent under the lock, so that none follows close().
class Sources {
 public:
  // `where` tells where peers are; null: in the local network.
  explicit Sources(ports::FactSink facts, std::shared_ptr<Whereabouts> where = nullptr)
      : facts_(std::move(facts)), where_(std::move(where)) {}

  // A connection of the peer that `key` identifies is up; the pointer stays valid. Nothing: the
  // peer is banned, or there are too many peers that matter. The first connection decides what is
  // told.
  struct Identity {
    std::string key;
    std::string address;      // for people
    core::Endpoint endpoint;  // where it listens, as far as that is known
    bool leases = false;      // it understands lease messages
  };
  [[nodiscard]] Peer* connected(const Identity& who);
  void disconnected(Peer& peer);

  // What the swarm has met that did not become a peer.
  [[nodiscard]] Encounters& encounters() { return encounters_; }

  void has(const Peer& peer, const core::PieceSet& pieces);
  void has(const Peer& peer, core::PieceIndex piece);

  void says(const Peer& peer, core::LeaseMessage message);

  // A block came from the peer; `stored`: it will be handed to the store, else nobody wants it.
  // False after close(): the block must not be stored, nobody would count it.
  bool received(Peer& peer, std::uint32_t bytes, bool stored);
  void served(Peer& peer, std::uint32_t bytes);
  // Reports what has not been reported, if the last report is long enough ago.
  void tell_progress(Peer& peer);

  void ban(core::SourceId id);
  [[nodiscard]] bool is_banned(const std::string& key) const;
  [[nodiscard]] bool is_banned(const Peer& peer) const;

  // Sends the last totals; no fact follows.
  void close();

 private:
  using Peers = std::map<std::string, std::unique_ptr<Peer>>;

  [[nodiscard]] Peers::iterator remember(const std::string& key);
  [[nodiscard]] Peers::iterator replace_idle(const std::string& key);
  void send(core::Event event) {
    if (facts_) facts_(std::move(event));
  }
  void tell_totals(Peer& peer);
  void tell_if_due(Peer& peer);

  Encounters encounters_;
  mutable std::mutex mutex_;
  ports::FactSink facts_;  // empty: closed
  const std::shared_ptr<Whereabouts> where_;
  Peers peers_;
};

}  // namespace lanward::peer
