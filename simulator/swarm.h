// The LAN plane of a site: discovery, connections, who has what, pieces between machines.
//
// Modelled: discovery and handshake delays; a delay per pair of machines for every message, so that
// messages of one connection stay in order; at most so many connections; upload slots and
// simultaneous sources; rarest first with seeded ties; uplinks and downlinks; pieces shared only
// once the engine announces them; bans; leaving. Not modelled: requests for single blocks
// (a piece comes from one source, several pieces at once from several sources), request latency
// (requests are queued ahead), choking rounds, loss, silent death, partitions, multicast.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "engine/ports/swarm.h"
#include "simulator/event_queue.h"
#include "simulator/network.h"
#include "simulator/store.h"

namespace lanward::simulator {

struct SwarmSettings {
  core::Duration discovery{std::chrono::milliseconds{50}};     // from joining to being known
  core::Duration latency_min{std::chrono::microseconds{500}};  // one message between two machines
  core::Duration latency_max{std::chrono::milliseconds{7}};
  // A small site is a full mesh; beyond that each machine looks for `connections_out` others and
  // takes as many as come up to `connections_max`.
  std::uint32_t connections_max = 80;
  std::uint32_t connections_out = 30;
  // Pieces that one machine sends, and gets, at once. Equal numbers keep both ends busy.
  std::uint32_t upload_slots = 4;
  std::uint32_t sources_max = 4;
  core::Duration report_interval{std::chrono::milliseconds{100}};  // of PeerProgressed
};

// Payload over all connections of the site that reached the other end.
struct SwarmTraffic {
  std::uint64_t received = 0;
  std::uint64_t wasted = 0;  // of these, never handed to a store: cut-off blocks
};

using MemberId = core::Id<struct MemberTag, std::uint32_t>;

// Where a machine stands in the site.
struct Place {
  std::uint32_t host = 0;
  LinkId uplink;
  LinkId downlink;
};

// All swarms of a site. Outlives the members.
class Site {
 public:
  Site(EventQueue& queue, Network& network, SwarmSettings settings, core::Seed seed)
      : queue_(queue), network_(network), settings_(settings), seed_(seed) {}
  Site(const Site&) = delete;
  Site& operator=(const Site&) = delete;

  MemberId join(const ports::SwarmRequest& request, ports::FactSink facts, const Place& place);
  void allow(MemberId id, core::PieceSpan pieces);
  void reserve(MemberId id, core::PieceSpan pieces);
  void announce(MemberId id, core::PieceIndex piece);
  void ban(MemberId id, core::SourceId peer);
  void leave(MemberId id);

  [[nodiscard]] const SwarmTraffic& traffic() const { return traffic_; }

 private:
  // One end of a connection: what a member knows of a neighbour.
  struct Neighbour {
    core::SourceId source;
    core::PieceSet has;
    // The piece that is coming from there.
    std::optional<core::PieceIndex> piece;
    FlowId flow;
    std::uint64_t left = 0;     // bytes of the piece after the present stretch
    std::uint64_t stretch = 0;  // bytes of the present stretch
    bool waiting = false;       // for an upload slot of the neighbour
    bool unreported = false;
    std::uint64_t received = 0;
    std::uint64_t wasted = 0;
    std::uint64_t served = 0;
  };
  struct Member {
    Place place;
    core::Digest infohash{};
    std::shared_ptr<SimContentStore> store;
    ports::FactSink facts;
    core::PieceSet have;
    core::PieceSet allowed;
    core::PieceSet coming;
    std::vector<std::uint32_t> copies;  // neighbours that have the piece
    std::map<MemberId, Neighbour> neighbours;
    MemberId last_asked;  // the neighbours take turns
    std::deque<MemberId> waiting;
    std::set<std::uint32_t> banned;  // hosts
    std::uint32_t next_source = core::kFirstPeerSource;
    std::uint32_t sources = 0;  // pieces coming
    std::uint32_t uploads = 0;  // pieces going
    bool known = false;         // discovery has found it
    bool left = false;
    bool reporting = false;
  };

  [[nodiscard]] Member& member(MemberId id) { return *members_[id.value]; }
  [[nodiscard]] Neighbour* neighbour(MemberId of, MemberId id);
  [[nodiscard]] core::Duration latency(MemberId a, MemberId b) const;
  [[nodiscard]] std::uint64_t hash(std::uint64_t a, std::uint64_t b) const;

  void discover(MemberId id);
  void connect(MemberId a, MemberId b);
  void add_neighbour(MemberId to, MemberId id);
  void disconnect(MemberId a, MemberId b);
  void drop_neighbour(MemberId from, MemberId id);
  void receive_bitfield(MemberId at, MemberId from, core::SourceId source,
                        const core::PieceSet& pieces);
  void receive_have(MemberId at, MemberId from, core::SourceId source, core::PieceIndex piece);

  void pull_from_all(MemberId id);
  bool pull(MemberId id, MemberId from);
  [[nodiscard]] std::optional<core::PieceIndex> pick(MemberId id, const Neighbour& from) const;
  void start_piece(MemberId id, MemberId from, core::PieceIndex piece);
  std::uint64_t stretch_passed(MemberId id, MemberId from);
  void take(MemberId id, MemberId from, std::uint64_t bytes);
  void end_piece(MemberId id, MemberId from);
  void stop_piece(MemberId id, MemberId from);
  void serve_next(MemberId id);
  void report_later(MemberId id, MemberId about);
  void report(MemberId id);

  EventQueue& queue_;
  Network& network_;
  const SwarmSettings settings_;
  const core::Seed seed_;
  std::vector<std::unique_ptr<Member>> members_;
  std::map<core::Digest, std::vector<MemberId>> swarms_;
  SwarmTraffic traffic_;
};

// The port of one machine.
class SimSwarm final : public ports::Swarm {
 public:
  SimSwarm(Site& site, ports::Loop& loop, Place place) : site_(site), loop_(loop), place_(place) {}
  [[nodiscard]] std::unique_ptr<ports::SwarmMember> join(const ports::SwarmRequest& request,
                                                         ports::FactSink facts) override;

 private:
  Site& site_;
  ports::Loop& loop_;
  const Place place_;
};

}  // namespace lanward::simulator
