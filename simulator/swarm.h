// The LAN plane of a site: discovery, connections, who has what, pieces between machines.
//
// Modelled: discovery and handshake delays; a delay per pair of machines for every message, so that
// messages of one connection stay in order unless jitter or reordering is asked for; lost lease
// messages; at most so many connections, a sparse random graph in a large site; upload slots and
// simultaneous sources; rarest first with seeded ties; uplinks and downlinks; pieces shared only
// once the engine announces them; bans; leaving, silent death, partitions; members that advertise
// what they do not send. Not modelled: requests for single blocks (a piece comes from one source,
// several pieces at once from several sources), request latency (requests are queued ahead),
// choking rounds, multicast.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/core/prng.h"
#include "engine/ports/swarm.h"
#include "simulator/event_queue.h"
#include "simulator/network.h"
#include "simulator/store.h"

namespace lanward::simulator {

struct SwarmSettings {
  core::Duration discovery{std::chrono::milliseconds{10}};     // from joining to being known
  core::Duration latency_min{std::chrono::microseconds{500}};  // one message between two machines
  core::Duration latency_max{std::chrono::milliseconds{7}};
  // A small site is a full mesh; beyond that each machine looks for `connections_out` others and
  // takes as many as come up to `connections_max`.
  std::uint32_t connections_max = 80;
  std::uint32_t connections_out = 20;
  // Machines that are to come: a site that will be large is one from its first machine on.
  // Otherwise the first to join would be a full mesh of their own, with no room for anybody else.
  std::uint32_t machines = 0;
  // Pieces that one machine sends, and gets, at once. Equal numbers keep both ends busy.
  std::uint32_t upload_slots = 4;
  std::uint32_t sources_max = 4;
  core::Duration report_interval{std::chrono::milliseconds{100}};  // of PeerProgressed
  // News of pieces are looked at together, at most so late. A slot stays with one downloader for so
  // many pieces, though others wait for it.
  core::Duration news_interval{std::chrono::milliseconds{1}};
  std::uint32_t slot_pieces = 4;
  // A site that has been too large for a full mesh: nobody is told of pieces that it has itself,
  // and news take the mean latency. Only who has room for a source looks at news; the engine hears
  // of them, of the pieces that peers have brought and of totals in one report, several of them in
  // the second over which it measures rates. One that has claimed or fetched anything hears more
  // often.
  core::Duration crowd_tell_interval{std::chrono::milliseconds{250}};
  core::Duration crowd_prompt_interval{std::chrono::milliseconds{100}};
  std::uint32_t crowd_slot_pieces = 16;
  // Lease messages: a random delay on top of the latency, at most this; how many of a million are
  // lost; how many are late by up to one more latency, so that others overtake them.
  core::Duration message_jitter{0};
  std::uint32_t message_loss_ppm = 0;
  std::uint32_t message_reorder_ppm = 0;
  // Silence after which a peer is taken for gone.
  core::Duration dead_after{std::chrono::milliseconds{1500}};
  // A piece of which nothing comes for this long is asked from somebody else, and its source is not
  // asked again for `avoid_time`; unless the downlink is full, which explains the silence.
  core::Duration piece_timeout{std::chrono::milliseconds{500}};
  core::Duration avoid_time{std::chrono::seconds{60}};
  std::uint32_t downlink_full_percent = 85;
  // A piece that comes at less than this part of a fair share (downlink over sources) after so long
  // is asked from another source that has a free slot; what has come is kept.
  core::Duration slow_after{std::chrono::seconds{1}};
  std::uint32_t slow_part = 8;
  core::Duration slow_pause{std::chrono::seconds{5}};  // before the slow source is asked again
};
// An engine that asks for a peer by name gets it although discovery has filled the table: this many
// more connections. The pullers of a site (32 at most) know one another by name.
inline constexpr std::uint32_t kDialledExtra = 32;

// Payload over all connections of the site that reached the other end.
struct SwarmTraffic {
  std::uint64_t received = 0;
  std::uint64_t wasted = 0;  // of these, never handed to a store: cut-off blocks
};

// How a machine behaves towards its neighbours.
struct Behaviour {
  bool serves = true;           // false: takes requests and sends nothing
  bool advertises_all = false;  // says from the start that it has every piece
};

using MemberId = core::Id<struct MemberTag, std::uint32_t>;

// Where a machine stands in the site. REQUIRES: host < 2^24.
struct Place {
  std::uint32_t host = 0;
  LinkId uplink;
  LinkId downlink;
};

// Where the swarm of a machine listens: 10.x.y.z, port 6881.
[[nodiscard]] core::Endpoint endpoint_of(std::uint32_t host);

// All swarms of a site. Outlives the members.
class Site final : private FlowOwner, private EventHandler {
 public:
  Site(EventQueue& queue, Network& network, SwarmSettings settings, core::Seed seed)
      : queue_(queue), network_(network), settings_(settings), seed_(seed), chance_(seed) {}
  Site(const Site&) = delete;
  Site& operator=(const Site&) = delete;

  // ---- what members do; a member that has left or died is ignored

  MemberId join(const ports::SwarmRequest& request, ports::FactSink facts, const Place& place);
  void allow(MemberId id, core::PieceSpan pieces);
  void reserve(MemberId id, core::PieceSpan pieces);
  void announce(MemberId id, core::PieceIndex piece);
  void send(MemberId id, std::span<const core::SourceId> to, const core::LeaseMessage& message);
  void dial(MemberId id, const core::Endpoint& endpoint);
  void ban(MemberId id, core::SourceId peer);
  void leave(MemberId id);

  // ---- what happens to them

  // Of memberships that begin afterwards.
  void set_behaviour(std::uint32_t host, Behaviour behaviour) { behaviours_[host] = behaviour; }
  // The machine is gone without a word: its flows stop, its neighbours notice after `dead_after`.
  // Its own memberships hear nothing more and may be destroyed at any time.
  void kill(std::uint32_t host);
  // Machines of different groups cannot reach each other: connections between them die silently.
  // Replaces what was; connections that a heal() finds dead are made again by discovery.
  void partition(std::function<std::uint32_t(std::uint32_t host)> group_of);
  void heal();

  [[nodiscard]] const SwarmTraffic& traffic() const { return traffic_; }
  // Connections of the memberships of a machine.
  [[nodiscard]] std::uint32_t connections(std::uint32_t host) const;

 private:
  // One end of a connection: what a member knows of a neighbour, and of its earlier connections.
  // Its place in the list gives its SourceId, so a machine that comes back is the same source.
  // First what every piece touches, for the sake of the cache.
  struct Neighbour {
    MemberId member;         // of the host, at the latest connection
    std::uint32_t back = 0;  // place of this member in that one's list
    bool connected = false;
    bool cut = false;         // the connection is dead and nobody has noticed
    bool waiting = false;     // for an upload slot of the neighbour
    bool serving = false;     // the neighbour holds one of this member's slots
    bool asked = false;       // for `piece`; without a flow: nothing comes
    bool unreported = false;  // totals have changed
    core::PieceIndex piece;
    std::uint32_t request = 0;  // counts them
    std::uint32_t on_slot = 0;  // pieces that came one after another on the neighbour's slot
    std::uint64_t bytes = 0;    // of the piece, that were missing when it was asked
    core::Instant avoid_until;
    core::Instant asked_at;
    FlowId flow;
    std::uint64_t received = 0;
    std::uint64_t unsettled = 0;  // of these, not yet in what the neighbour has served
    std::uint32_t host = 0;
    std::uint32_t session = 0;
    core::Instant message_at;  // arrival of the latest lease message to the neighbour
    std::uint64_t wasted = 0;
    std::uint64_t served = 0;
  };
  // What others look at before they ask a member for something: close together, as above.
  struct Serving {
    std::uint16_t uploads = 0;  // slots in use
    std::uint16_t waiting = 0;  // who want one
    bool serves = true;
  };
  // What a member has told its neighbours. It is written once, and each neighbour reads on from
  // where it was: a large site has tens of millions of such messages.
  struct Told {
    core::Instant at;
    core::PieceIndex piece;
  };
  // The part of a Neighbour that news touch, in a list of its own for the sake of the cache.
  struct Feed {
    MemberId from;
    std::uint32_t read = 0;  // of what that one has told; in a crowd: its row
    std::uint32_t back = 0;  // place of this member in that one's list
    bool open = false;       // connected and not cut
    bool heard = false;      // crowd: its first message, what it has, has come
    bool engaged = false;    // asked for a piece, or its slot is waited for
    core::Duration latency_in{0};
    core::Duration latency_out{0};
  };
  // News on their way to a member: close together, because whoever tells something looks at the
  // inboxes of all its neighbours.
  struct Inbox {
    // When they are looked at; max: nothing is known; crowd, min: they would be of no use.
    core::Instant at;
    std::uint64_t feeds = 0;  // bit n%64: feed n has some
    core::Instant latest;     // crowd: when the latest of them is seen
    core::Duration phase{0};  // so that a site does not move in step
  };
  struct Swarm;
  struct Member {
    MemberId id;
    Place place;
    Behaviour behaviour;
    Swarm* swarm = nullptr;
    std::uint32_t place_known = 0;  // in the list of known members
    std::shared_ptr<SimContentStore> store;
    ports::FactSink facts;
    core::PieceSet offered;  // told to neighbours
    core::PieceSet allowed;
    core::PieceSet wanted;              // allowed, neither complete nor coming
    std::vector<std::uint16_t> copies;  // neighbours that have the piece
    std::vector<Neighbour> neighbours;
    std::vector<Feed> feeds;  // of the neighbours, in their order
    // Bits of the pieces that each neighbour has, row by row; in a crowd: those that the engine has
    // been told of.
    std::vector<std::uint64_t> have;
    std::uint32_t row = 0;               // its own, in the table of the swarm
    std::vector<std::uint32_t> waiting;  // neighbours that want a slot, first come first served
    std::vector<std::uint32_t> banned;   // hosts
    std::uint32_t next_asked = 0;        // the neighbours take turns
    std::uint32_t connected = 0;
    std::uint32_t looks = 0;    // rounds of looking for neighbours
    core::Instant tell_at;      // crowd: when the engine hears the next report
    std::uint32_t sources = 0;  // pieces asked for
    bool known = false;         // discovery has found it
    bool reporting = false;
  };
  // A piece that a member of a crowd has told, on its way.
  struct Spreading {
    core::Instant at;  // when it is seen
    std::uint32_t row = 0;
    core::PieceIndex piece;
  };
  // Rows begin where a line of the cache does.
  static constexpr std::size_t kLineWords = 8;
  struct alignas(kLineWords * sizeof(std::uint64_t)) Line {
    std::array<std::uint64_t, kLineWords> words{};
  };
  struct Swarm {
    std::vector<MemberId> known;
    std::unordered_map<std::uint32_t, MemberId> by_host;  // never iterated
    // Once it has been too large for a full mesh. From then on nobody copies what neighbours tell:
    // everybody looks at one table, of a row of bits for each member.
    bool crowd = false;
    std::size_t words = 0;  // of a row
    std::vector<Line> lines;
    [[nodiscard]] std::size_t stride() const {
      return std::max<std::size_t>(1, (words + kLineWords - 1) / kLineWords);
    }
    [[nodiscard]] std::uint64_t* row(std::uint32_t index) {
      return lines[index * stride()].words.data();
    }
    [[nodiscard]] const std::uint64_t* row(std::uint32_t index) const {
      return lines[index * stride()].words.data();
    }
    std::vector<Spreading> spreading;  // in order of time
    std::size_t seen = 0;              // of these
  };
  // A lease message on its way.
  struct Letter {
    MemberId to;
    std::uint32_t from = 0;  // place of the sender in the receiver's list
    std::uint32_t session = 0;
    std::shared_ptr<const core::LeaseMessage> message;
  };
  // What an event of the site's is about; for which member or, `letter`, which of the letters.
  enum class Wakeup : std::uint64_t { news = 1, tell, report, look, letter };
  static constexpr unsigned kWakeupShift = 32;

  [[nodiscard]] Member* find(MemberId id) const { return members_[id.value].get(); }
  [[nodiscard]] std::uint64_t hash(std::uint64_t a, std::uint64_t b) const;
  [[nodiscard]] core::Duration latency(MemberId a, MemberId b) const;
  [[nodiscard]] bool reachable(const Member& a, const Member& b) const;
  [[nodiscard]] bool crowded(const Member& m) const;
  [[nodiscard]] static core::SourceId source_of(std::uint32_t index) {
    return core::SourceId{core::kFirstPeerSource + index};
  }
  [[nodiscard]] static std::optional<std::uint32_t> index_of(const Member& m,
                                                             core::SourceId source);
  // The other end of a connection as long as it exists.
  [[nodiscard]] Neighbour* far_end(const Neighbour& near) const;
  static void tell(const Member& m, core::Event event) {
    if (m.facts) m.facts(std::move(event));
  }
  void fire(std::uint64_t tag) override;
  void warm(std::uint64_t tag, unsigned step) const override;
  void warm_passed(std::uint64_t tag, unsigned step) const override;
  void warm_member(MemberId id, std::uint32_t index, unsigned step) const;
  void wake(core::Instant when, Wakeup what, MemberId id);

  // connections
  void look_around(Member& self);
  void look_around_later(const Member& self);
  void shake_hands(const Member& a, MemberId b, bool dialled);
  void connect(MemberId a, MemberId b, bool dialled);
  [[nodiscard]] static std::uint32_t place_for(Member& m, const Member& other);
  void open_end(Member& m, std::uint32_t index, const Member& other, std::uint32_t back,
                std::uint32_t session);
  void drop_end(Member& m, std::uint32_t index);
  void disconnect(Member& m, std::uint32_t index);
  void cut(Member& m, std::uint32_t index);
  void silence(Member& m, std::uint32_t index);
  void forget(Member& m);

  // messages
  [[nodiscard]] std::optional<core::Instant> arrival(core::Duration latency, core::Instant& latest);
  void receive_message(std::uint32_t slot);
  [[nodiscard]] Neighbour* near_end(MemberId at, std::uint32_t index, std::uint32_t session) const;
  void receive_bitfield(MemberId at, std::uint32_t from, std::uint32_t session,
                        const core::PieceSet& pieces);
  // When a member looks at what arrives at `at`.
  [[nodiscard]] core::Instant news_due(const Inbox& inbox, core::Instant at) const;
  void receive_news(Member& self);

  // the same in a crowd
  void become_crowd(Swarm& swarm);
  void enter_crowd(Member& m);
  void spread(Member& self, core::PieceIndex piece, core::Duration delay);
  void show_spread(Swarm& swarm) const;
  void look_later(const Member& self);
  void look(Member& self);
  void tell_engine(Member& self);
  void tell_engine_at(Member& self, core::Instant when);
  [[nodiscard]] std::vector<core::PeerHasPiece> news_for_engine(Member& self) const;
  [[nodiscard]] static std::span<const std::uint64_t> visible(const Member& m, std::uint32_t index);
  static void freeze(Member& m, std::uint32_t index);
  using Rows = std::vector<const std::uint64_t*>;
  [[nodiscard]] static std::uint64_t rarest(const Rows& rows, std::uint32_t word,
                                            std::uint64_t bits, std::uint32_t& copies);
  void look_sooner(const Member& self);
  [[nodiscard]] static std::span<std::uint64_t> row(Member& m, std::uint32_t index);
  [[nodiscard]] static std::span<const std::uint64_t> row(const Member& m, std::uint32_t index);
  [[nodiscard]] static bool has(const Member& m, std::uint32_t index, core::PieceIndex piece);
  static bool add(Member& m, std::uint32_t index, core::PieceIndex piece);
  static void forget_pieces(Member& m, std::uint32_t index);

  // pieces
  void pull_from_all(Member& self);
  bool pull(Member& self, std::uint32_t index);
  [[nodiscard]] static bool offers(const Member& self, std::uint32_t index);
  [[nodiscard]] std::optional<core::PieceIndex> pick(Member& self, std::uint32_t index);
  void want_again(Member& self, core::PieceIndex piece);
  void note_request(Member& self, Neighbour& n, core::PieceIndex piece);
  void start_request(Member& self, std::uint32_t index, core::PieceIndex piece);
  std::uint64_t passed(std::uint64_t tag) override;
  void take(Member& self, std::uint32_t index, std::uint64_t bytes);
  void end_request(Member& self, std::uint32_t index);
  void stop_request(Member& self, std::uint32_t index);
  void expect_bytes(const Member& self, std::uint32_t index);
  void pause(Member& self, std::uint32_t index, core::Duration time);
  [[nodiscard]] bool serves_now(const Neighbour& from) const;
  void time_out(Member& self, std::uint32_t index);
  void serve_next(Member& self);
  void stop_waiting(Member& self, std::uint32_t index);
  void settle_served(Neighbour& n);
  void switch_slow_sources(Member& self);
  void report_later(Member& self);
  void report(Member& self);
  [[nodiscard]] core::PeerProgressed total_of(const Member& self, std::uint32_t index) const;
  [[nodiscard]] std::vector<core::PeerProgressed> changed_totals(Member& self);

  EventQueue& queue_;
  Network& network_;
  const SwarmSettings settings_;
  const core::Seed seed_;
  core::Prng chance_;
  std::vector<std::unique_ptr<Member>> members_;  // null: gone
  // By member: what it has told; what is on its way to it; how busy it is.
  std::vector<std::vector<Told>> told_;
  std::vector<Inbox> inboxes_;
  std::vector<Serving> serving_;
  std::map<core::Digest, Swarm> swarms_;
  std::map<std::uint32_t, Behaviour> behaviours_;
  std::function<std::uint32_t(std::uint32_t)> group_of_;
  SwarmTraffic traffic_;
  std::vector<Letter> letters_;
  std::vector<std::uint32_t> free_letters_;
  Rows rows_;  // scratch
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
