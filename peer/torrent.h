// The network thread's half of a swarm membership.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <libtorrent/add_torrent_params.hpp>
#include <libtorrent/extensions.hpp>
#include <libtorrent/session_handle.hpp>
#include <libtorrent/torrent_handle.hpp>

#include "engine/core/piece_layout.h"
#include "engine/core/piece_set.h"
#include "peer/beacon.h"
#include "peer/connection.h"
#include "peer/dialler.h"
#include "peer/disk_bridge.h"
#include "peer/gate.h"
#include "peer/sources.h"

namespace lanward::peer {

// Network thread only, except for the constructor. Shared by the member and libtorrent's torrent.
class Torrent final : public lt::torrent_plugin, public std::enable_shared_from_this<Torrent> {
 public:
  Torrent(const core::PieceLayout& layout, const core::PieceSet& verified,
          std::shared_ptr<Storage> storage, std::shared_ptr<Sources> sources,
          std::vector<lt::tcp::endpoint> static_peers, const core::AuthMemberId& member_id,
          std::shared_ptr<NetworkThread> network, std::shared_ptr<Gate> gate,
          std::weak_ptr<Beacon> beacon);
  ~Torrent() override;

  // Adds the torrent to the session. A session that refuses it leaves a member without peers.
  void join(lt::session_handle session, lt::add_torrent_params params);
  void allow(core::PieceSpan pieces, bool allowed);
  void announce(core::PieceIndex piece);
  // To those of the peers that are connected and understand it.
  void send(std::vector<core::SourceId> to, std::span<const std::uint8_t> message);
  // Once, for the engine.
  void dial(const lt::tcp::endpoint& address);
  void ban(core::SourceId id);
  // Drops every connection and cuts the store off.
  void leave();

  [[nodiscard]] const std::shared_ptr<Sources>& sources() const { return sources_; }
  [[nodiscard]] Storage& storage() { return *storage_; }
  [[nodiscard]] NetworkThread& network() { return *network_; }
  [[nodiscard]] const std::shared_ptr<Gate>& gate() const { return gate_; }
  [[nodiscard]] std::string member_id() const { return {member_id_.begin(), member_id_.end()}; }
  [[nodiscard]] const core::AuthMemberId& auth_member_id() const { return member_id_; }
  // Infohash under which peers find each other. REQUIRES: joined.
  [[nodiscard]] const core::Digest& swarm_name() const { return swarm_name_; }
  // The connection, if there is one, that we dialled to this address.
  [[nodiscard]] std::shared_ptr<Connection> dialled(const lt::tcp::endpoint& endpoint);
  // So many have come from there that one more would take the place of others.
  [[nodiscard]] bool is_crowded(const lt::tcp::endpoint& remote);
  // Nobody is given what it has asked for.
  void choke_all();
  // Keys or rules have changed: who was out of reach may be a peer now.
  void reach_again();
  void joined(const lt::tcp::endpoint& listens_on) { dialler_.connected(listens_on); }
  void dial_ended(const lt::tcp::endpoint& address, const lt::error_code& why, bool answered);

  std::shared_ptr<lt::peer_plugin> new_connection(
      const lt::peer_connection_handle& handle) override;
  void on_files_checked() override;
  bool on_pause() override;
  bool on_resume() override;
  void tick() override { dial_due(); }
  void on_piece_pass(lt::piece_index_t piece) override;
  void on_piece_failed(lt::piece_index_t piece) override;

 private:
  void prioritise(core::PieceSpan pieces, bool allowed);
  void hand_over();  // announces what waits, as far as there is room
  std::vector<std::shared_ptr<Connection>> connections();
  void found(const lt::tcp::endpoint& address);  // by the beacon
  void hide();                                   // from the beacon
  [[nodiscard]] bool is_connected(const lt::tcp::endpoint& address);
  // With the interface that an address of a link belongs to, if that can be told.
  [[nodiscard]] lt::tcp::endpoint on_link(const lt::tcp::endpoint& address) const;
  // What libtorrent is told to dial in its place; nothing: it cannot be dialled.
  [[nodiscard]] std::optional<lt::tcp::endpoint> stand_in_for(const lt::tcp::endpoint& address);
  void replace_stand_in(const lt::peer_connection_handle& handle) const;
  void dial_due();
  void dial_soon();  // as soon as something is due

  core::PieceLayout layout_;
  std::shared_ptr<Storage> storage_;
  std::shared_ptr<Sources> sources_;
  std::vector<lt::tcp::endpoint> static_peers_;
  core::AuthMemberId member_id_;
  std::shared_ptr<NetworkThread> network_;
  std::shared_ptr<Gate> gate_;
  std::weak_ptr<Beacon> beacon_;
  std::optional<Beacon::ContentId> announced_;  // at the beacon
  core::Prng random_;
  core::Digest swarm_name_{};
  Dialler dialler_;
  std::vector<lt::tcp::endpoint> links_;  // by number of their stand-ins; at most kAddressesMax
  bool dialling_ = false;
  bool paused_ = false;  // by libtorrent, after an error of the disk
  bool wake_set_ = false;
  std::unique_ptr<char[]> dummy_;  // as long as a piece, and never touched: it takes no memory

  lt::session_handle session_;
  lt::torrent_handle handle_;
  bool ready_ = false;
  bool wanted_some_ = false;            // libtorrent takes priorities and pieces
  core::PieceSet allowed_;              // what was asked for before that
  core::PieceSet had_;                  // libtorrent knows that we have it
  core::PieceSet handed_;               // given to libtorrent, not confirmed; at most kAnnouncedMax
  core::PieceSet queued_;               // in queue_
  std::deque<core::PieceIndex> queue_;  // bounded by the piece count
  std::vector<std::weak_ptr<Connection>> connections_;
};

}  // namespace lanward::peer
