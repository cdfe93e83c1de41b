// One connection to one peer, as libtorrent tells about it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <libtorrent/extensions.hpp>
#include <libtorrent/peer_connection_handle.hpp>

#include "engine/core/peer_auth.h"
#include "engine/core/piece_set.h"
#include "peer/gate.h"
#include "peer/lease_inbox.h"
#include "peer/sources.h"
#include "peer/talk_budget.h"

namespace lanward::peer {

class Torrent;

// Network thread only. libtorrent owns it.
class Connection final : public lt::peer_plugin {
 public:
  Connection(std::weak_ptr<Torrent> torrent, std::uint32_t piece_count,
             lt::peer_connection_handle handle);

  // Ends the connection, counting it as failed, so that libtorrent backs off before it dials again.
  void cut(lt::error_code why);
  [[nodiscard]] bool belongs_to(core::SourceId id) const { return peer_ && peer_->id == id; }
  // Of libtorrent, as far as it leads to a ban.
  void forget_suspicion();
  // It was dialled by us, to this very address, and is alive.
  [[nodiscard]] bool dialled(const lt::tcp::endpoint& endpoint) const;
  // Dialled, but nobody has answered yet.
  [[nodiscard]] bool is_connecting() const { return !ended_ && handle_.is_connecting(); }
  // Somebody at this address dialled it, and it is alive.
  [[nodiscard]] bool came_from(const lt::address& address) const {
    return !ended_ && !handle_.is_outgoing() && handle_.remote().address() == address;
  }
  // What the other end has asked for and not got is refused.
  void choke() {
    if (!ended_) handle_.choke_this_peer();
  }
  [[nodiscard]] lt::tcp::endpoint remote() const { return handle_.remote(); }
  // The other end lives at this address, and the connection is alive.
  [[nodiscard]] bool leads_to(const lt::tcp::endpoint& endpoint) const;
  // The peer that is told of as joined, if it understands lease messages.
  [[nodiscard]] std::optional<core::SourceId> lease_peer() const;
  // Writes the message at once. REQUIRES: lease_peer().
  void send_lease(std::span<const std::uint8_t> message);

  void add_handshake(lt::entry& handshake) override;
  bool on_handshake(lt::span<const char> reserved_bits) override;
  bool on_extension_handshake(const lt::bdecode_node& handshake) override;
  bool on_extended(int length, int message, lt::span<const char> body) override;
  bool on_choke() override { return is_stranger(); }
  bool on_unchoke() override { return is_stranger(); }
  bool on_interested() override { return is_stranger(); }
  bool on_not_interested() override { return is_stranger(); }
  bool on_allowed_fast(lt::piece_index_t) override { return is_stranger(); }
  bool on_cancel(const lt::peer_request&) override { return is_stranger(); }
  bool on_reject(const lt::peer_request&) override { return is_stranger(); }
  bool on_suggest(lt::piece_index_t) override { return is_stranger(); }
  bool on_unknown_message(int, int, lt::span<const char>) override { return is_stranger(); }
  bool on_bitfield(const lt::bitfield& bits) override;
  bool on_have_all() override;
  bool on_have_none() override;
  bool on_have(lt::piece_index_t piece) override;
  bool on_dont_have(lt::piece_index_t piece) override;
  bool on_request(const lt::peer_request& block) override;
  bool on_piece(const lt::peer_request& block, lt::span<const char> bytes) override;
  void sent_piece(const lt::peer_request& block) override;
  void sent_payload(int bytes) override;
  void on_disconnect(const lt::error_code& error) override;
  void tick() override;

 private:
  // Settles which peer this is: by the port it listens on where that is known, because libtorrent
  // peers take a new peer id for every connection.
  void identify();
  void identified(const Sources::Identity& who);
  // False: libtorrent is about to end this connection in favour of the one that we dialled.
  [[nodiscard]] bool survives_crossing(Torrent& torrent);
  void stay_dialable();
  void serve_hashes(bool served);
  bool replace_pieces(core::PieceSet pieces);
  // False for a peer that has been refused; libtorrent must not act on its messages.
  [[nodiscard]] bool admitted();

  // ---- of a group only
  [[nodiscard]] bool is_guarded() const { return gate_ && gate_->is_guarded(); }
  // It has proved to be a member, or everybody is welcome.
  [[nodiscard]] bool is_authentic() const { return !is_guarded() || (auth_ && auth_->accepted()); }
  // True for whoever speaks before it has said hello, and ends the connection: nothing of a
  // stranger is looked at.
  [[nodiscard]] bool is_stranger();
  void begin_auth(const Torrent& torrent);
  // False: it is refused.
  bool take_hello(const lt::bdecode_node& handshake);
  void take_confirmation(lt::span<const char> body);
  // Ends the connection, and remembers where it came from.
  void refuse();

  void note_refusal(const lt::error_code& error);

  // The same for what no honest peer does.
  void end_harm();
  // Ends the connection if too much is said on it, or too little read.
  void weigh_talk();
  void send_extended(std::uint8_t number, std::span<const std::uint8_t> body);

  std::weak_ptr<Torrent> torrent_;
  lt::peer_connection_handle handle_;
  std::shared_ptr<Sources> sources_;
  std::shared_ptr<Gate> gate_;
  std::optional<core::PeerAuth> auth_;  // once there are both peer ids
  std::vector<std::uint8_t> confirms_;  // our answer to its hello
  std::uint8_t auth_id_ = 0;            // the other end's number for confirmations
  Peer* peer_ = nullptr;                // null until identified
  std::optional<lt::tcp::endpoint> listens_on_;
  std::string their_member_id_;  // empty: not known
  std::uint8_t lease_id_ = 0;    // the other end's number for lease messages; 0: it has none
  bool speaks_leases_ = false;   // as was told when it joined
  bool answered_ = false;        // there was a handshake
  LeaseInbox inbox_;
  TalkBudget talk_{std::chrono::steady_clock::now()};
  int replacements_ = 0;
  bool is_silent_ = true;  // nothing but the handshake has come
  int silent_ticks_ = 0;
  core::PieceSet pieces_;
  bool pieces_known_ = false;
  std::uint32_t padding_queued_ = 0;  // bytes on their way out that are not of the file
  int ticks_ = 0;
  bool refused_ = false;  // by us
  bool ended_ = false;
};

}  // namespace lanward::peer
