#include "peer/connection.h"

#include <algorithm>
#include <utility>

#include <libtorrent/bdecode.hpp>
#include <libtorrent/entry.hpp>
#include <libtorrent/error_code.hpp>
#include <libtorrent/hex.hpp>
#include <libtorrent/peer_request.hpp>

#include "peer/endpoint.h"
#include "peer/torrent.h"

namespace lanward::peer {
namespace {

// Bit of the reserved handshake bytes that promises an extension handshake (BEP 10).
constexpr std::ptrdiff_t kExtensionByte = 5;
constexpr char kExtensionBit = 0x10;
// Key of the extension handshake that carries the random number of a swarm membership.
constexpr const char* kMemberKey = "lw_id";
// Ticks of a second that an incoming peer gets to tell the port it listens on, by which it is known
// again later. One that never does is known by its peer id.
constexpr int kHandshakeTicks = 3;

}  // namespace

Connection::Connection(std::weak_ptr<Torrent> torrent, std::uint32_t piece_count,
                       lt::peer_connection_handle handle)
    : torrent_(std::move(torrent)), handle_(std::move(handle)), pieces_(piece_count) {
  if (const auto owner = torrent_.lock()) sources_ = owner->sources();
}

void Connection::cut(lt::error_code why) {
  handle_.disconnect(why, lt::operation_t::bittorrent, lt::peer_connection_interface::failure);
}

bool Connection::dialled(const lt::tcp::endpoint& endpoint) const {
  return !ended_ && handle_.is_outgoing() && handle_.remote() == endpoint;
}

// ---- who it is ---------------------------------------------------------------------------------

void Connection::add_handshake(lt::entry& handshake) {
  // A torrent whose pieces are all reserved is "upload only" for libtorrent, and a stock seed hangs
  // up on such a peer. The pieces may be allowed at any moment, so the seed is still wanted.
  handshake.dict().erase("upload_only");
  if (const auto torrent = torrent_.lock()) handshake[kMemberKey] = torrent->member_id();
}

bool Connection::on_handshake(lt::span<const char> reserved_bits) {
  if (handle_.is_outgoing()) {
    identify(handle_.remote());
  } else if ((reserved_bits[kExtensionByte] & kExtensionBit) == 0) {
    identify_by_peer_id();
  }
  return true;  // the other end need not know this extension
}

bool Connection::on_extension_handshake(const lt::bdecode_node& handshake) {
  const auto torrent = torrent_.lock();
  if (peer_ != nullptr || ended_ || !torrent) return true;
  const std::int64_t port = handshake.dict_find_int_value("p", 0);
  if (port <= 0 || port > 0xffff) {
    identify_by_peer_id();
    return true;
  }
  const lt::tcp::endpoint listens_on{handle_.remote().address(), static_cast<std::uint16_t>(port)};
  identify(listens_on);
  // Two peers that dial each other at once have one connection too many. libtorrent would end the
  // incoming one on either side, and with it both; here both sides keep the one dialled by the
  // greater id, by ending the outgoing one before libtorrent looks.
  const std::string theirs{handshake.dict_find_string_value(kMemberKey)};
  if (theirs > torrent->member_id()) torrent->cut_dialled(listens_on);
  return true;
}

void Connection::identify(const lt::tcp::endpoint& listens_on) {
  const std::string address = to_string(listens_on);
  identified(address, address);
}

void Connection::identify_by_peer_id() {
  const std::string id = lt::aux::to_hex(handle_.pid());
  identified(handle_.remote().address().to_string() + "/" + id, to_string(handle_.remote()));
}

void Connection::identified(const std::string& key, const std::string& address) {
  if (peer_ != nullptr || ended_ || !sources_) return;
  peer_ = sources_->connected(key, address);
  if (peer_ == nullptr) return cut(lt::errors::peer_banned);
  if (pieces_known_) sources_->has(*peer_, pieces_);
}

bool Connection::admitted() {
  if (peer_ == nullptr && !ended_) identify_by_peer_id();
  return peer_ != nullptr;
}

// ---- what it has -------------------------------------------------------------------------------

bool Connection::replace_pieces(core::PieceSet pieces) {
  pieces_ = std::move(pieces);
  pieces_known_ = true;
  if (peer_ != nullptr) sources_->has(*peer_, pieces_);
  return false;  // libtorrent is to see the message, too; so in all that follow
}

bool Connection::on_bitfield(const lt::bitfield& bits) {
  core::PieceSet pieces(pieces_.universe());
  const auto count =
      std::min<std::uint32_t>(pieces.universe(), static_cast<std::uint32_t>(bits.size()));
  for (std::uint32_t i = 0; i < count; ++i) {
    if (bits.get_bit(static_cast<int>(i))) pieces.insert(core::PieceIndex{i});
  }
  return replace_pieces(std::move(pieces));
}

bool Connection::on_have_all() {
  core::PieceSet pieces(pieces_.universe());
  for (std::uint32_t i = 0; i < pieces.universe(); ++i) pieces.insert(core::PieceIndex{i});
  return replace_pieces(std::move(pieces));
}

bool Connection::on_have_none() { return replace_pieces(core::PieceSet(pieces_.universe())); }

bool Connection::on_have(lt::piece_index_t piece) {
  const int number = static_cast<int>(piece);
  if (number < 0 || static_cast<std::uint32_t>(number) >= pieces_.universe()) return false;
  const core::PieceIndex index{static_cast<std::uint32_t>(number)};
  if (pieces_.insert(index) && peer_ != nullptr) sources_->has(*peer_, index);
  pieces_known_ = true;
  return false;
}

bool Connection::on_dont_have(lt::piece_index_t piece) {
  const int number = static_cast<int>(piece);
  if (number < 0 || static_cast<std::uint32_t>(number) >= pieces_.universe()) return false;
  core::PieceSet pieces = pieces_;
  pieces.erase(core::PieceIndex{static_cast<std::uint32_t>(number)});
  return replace_pieces(std::move(pieces));
}

// ---- what it gives and takes --------------------------------------------------------------------

bool Connection::on_request(const lt::peer_request&) { return !admitted(); }

bool Connection::on_piece(const lt::peer_request& block, lt::span<const char>) {
  if (!admitted()) return true;
  const auto torrent = torrent_.lock();
  if (torrent && block.length > 0) torrent->storage().arriving(*peer_, block);
  return false;
}

void Connection::sent_piece(const lt::peer_request& block) {
  const auto torrent = torrent_.lock();
  if (!torrent) return;
  padding_queued_ += static_cast<std::uint32_t>(block.length) - torrent->storage().payload(block);
}

void Connection::sent_payload(int bytes) {
  if (peer_ == nullptr) return;
  auto payload = static_cast<std::uint32_t>(bytes);
  const std::uint32_t padding = std::min(payload, padding_queued_);
  padding_queued_ -= padding;
  payload -= padding;
  if (payload > 0) sources_->served(*peer_, payload);
}

void Connection::tick() {
  if (peer_ == nullptr && (++ticks_ < kHandshakeTicks || !admitted())) return;
  if (const auto torrent = torrent_.lock()) torrent->storage().settle();
  sources_->tell_progress(*peer_);
}

void Connection::on_disconnect(const lt::error_code&) {
  ended_ = true;
  if (peer_ == nullptr) return;
  if (const auto torrent = torrent_.lock()) torrent->storage().settle();
  sources_->disconnected(*std::exchange(peer_, nullptr));
}

}  // namespace lanward::peer
