// The network thread's half of a swarm membership.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <libtorrent/add_torrent_params.hpp>
#include <libtorrent/extensions.hpp>
#include <libtorrent/session_handle.hpp>
#include <libtorrent/torrent_handle.hpp>

#include "engine/core/piece_layout.h"
#include "engine/core/piece_set.h"
#include "peer/connection.h"
#include "peer/disk_bridge.h"
#include "peer/sources.h"

namespace lanward::peer {

// Network thread only, except for the constructor. Shared by the member and libtorrent's torrent.
class Torrent final : public lt::torrent_plugin, public std::enable_shared_from_this<Torrent> {
 public:
  Torrent(const core::PieceLayout& layout, const core::PieceSet& verified,
          std::shared_ptr<Storage> storage, std::shared_ptr<Sources> sources,
          std::vector<lt::tcp::endpoint> static_peers, std::string member_id);

  // Adds the torrent to the session. A session that refuses it leaves a member without peers.
  void join(lt::session_handle session, lt::add_torrent_params params);
  void allow(core::PieceSpan pieces, bool allowed);
  void announce(core::PieceIndex piece);
  void ban(core::SourceId id);
  // Drops every connection and cuts the store off.
  void leave();

  [[nodiscard]] const std::shared_ptr<Sources>& sources() const { return sources_; }
  [[nodiscard]] Storage& storage() { return *storage_; }
  [[nodiscard]] const std::string& member_id() const { return member_id_; }
  // Ends the connection, if there is one, that we dialled to this address.
  void cut_dialled(const lt::tcp::endpoint& endpoint);

  std::shared_ptr<lt::peer_plugin> new_connection(
      const lt::peer_connection_handle& handle) override;
  void on_files_checked() override;
  void on_piece_pass(lt::piece_index_t piece) override;

 private:
  void prioritise(core::PieceSpan pieces, bool allowed);
  void hand_over();  // announces what waits, as far as there is room
  std::vector<std::shared_ptr<Connection>> connections();

  core::PieceLayout layout_;
  std::shared_ptr<Storage> storage_;
  std::shared_ptr<Sources> sources_;
  std::vector<lt::tcp::endpoint> static_peers_;
  std::string member_id_;
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
