#include "peer/connection.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include <libtorrent/bdecode.hpp>
#include <libtorrent/entry.hpp>
#include <libtorrent/error_code.hpp>
#include <libtorrent/hex.hpp>
#include <libtorrent/peer_connection.hpp>
#include <libtorrent/peer_request.hpp>
#include <libtorrent/torrent_peer.hpp>

#include "peer/endpoint.h"
#include "peer/torrent.h"

namespace lanward::peer {
namespace {

// Bit of the reserved handshake bytes that promises an extension handshake (BEP 10).
constexpr std::ptrdiff_t kExtensionByte = 5;
constexpr char kExtensionBit = 0x10;
// Key of the extension handshake that carries the random number of a swarm membership.
constexpr const char* kMemberKey = "lw_id";
// Lease messages (docs/protocol.md): the name of the extension, and our number for it. libtorrent
// itself takes 2 to 4, 7 and 8.
constexpr const char* kLeaseKey = "lw_lease";
constexpr int kLeaseMessage = 13;
// Likewise of what members of a group prove to each other: a key of the handshake and a message.
constexpr const char* kAuthKey = "lw_auth";
constexpr int kAuthMessage = 14;
// Type byte of extension messages (BEP 10).
constexpr std::uint8_t kExtendedMessage = 20;
// Ticks of a second that a peer gets for its extension handshake, and one that was dialled for its
// word that it keeps the connection. An incoming peer that never tells its port is known by its
// peer id.
constexpr int kHandshakeTicks = 3;
// Bit fields, and pieces that are had no more. An honest peer tells the first once and of the
// others a few; each is copied for the engine.
constexpr int kReplacementsMax = 256;
// The handshake of BitTorrent. Every peer says more: what it is able to, or what it has.
constexpr std::int64_t kGreetingBytes = 68;

// By the name of its category: libtorrent has an object of its own for the same one where this
// library is a module.
bool is_end_of_stream(const lt::error_code& error) {
  const lt::error_code end = boost::asio::error::eof;
  return error.value() == end.value() &&
         std::string_view(error.category().name()) == end.category().name();
}

}  // namespace

Connection::Connection(std::weak_ptr<Torrent> torrent, std::uint32_t piece_count,
                       lt::peer_connection_handle handle)
    : torrent_(std::move(torrent)), handle_(std::move(handle)), pieces_(piece_count) {
  if (const auto owner = torrent_.lock()) {
    sources_ = owner->sources();
    sources_->encounters().connection_began();
    gate_ = owner->gate();
  }
}

void Connection::cut(lt::error_code why) {
  handle_.disconnect(why, lt::operation_t::bittorrent, lt::peer_connection_interface::failure);
}

bool Connection::dialled(const lt::tcp::endpoint& endpoint) const {
  return !ended_ && handle_.is_outgoing() && handle_.remote() == endpoint;
}

bool Connection::leads_to(const lt::tcp::endpoint& endpoint) const {
  return !ended_ && listens_on_ == endpoint;
}

// ---- who it is ---------------------------------------------------------------------------------

void Connection::add_handshake(lt::entry& handshake) {
  // A torrent whose pieces are all reserved is "upload only" for libtorrent, and a stock seed hangs
  // up on such a peer. The pieces may be allowed at any moment, so the seed is still wanted.
  handshake.dict().erase("upload_only");
  handshake["m"][kLeaseKey] = kLeaseMessage;
  if (const auto torrent = torrent_.lock()) handshake[kMemberKey] = torrent->member_id();
  if (!auth_) return;
  handshake["m"][kAuthKey] = kAuthMessage;
  const auto hello = auth_->hello();
  handshake[kAuthKey] = std::string(hello.begin(), hello.end());
}

bool Connection::on_handshake(lt::span<const char> reserved_bits) {
  answered_ = true;
  serve_hashes(false);
  if (gate_ && gate_->refuses(handle_.remote())) {
    cut(lt::errors::peer_banned);
    return true;
  }
  if (const auto torrent = torrent_.lock();
      torrent && !handle_.is_outgoing() && torrent->is_crowded(handle_.remote())) {
    cut(lt::errors::too_many_connections);
    return true;
  }
  // libtorrent dials a peer again that it has lost, also one that is not wanted any more.
  if (handle_.is_outgoing() && sources_ && sources_->is_banned(to_string(handle_.remote()))) {
    cut(lt::errors::peer_banned);
    return true;
  }
  if (is_guarded()) {
    const auto torrent = torrent_.lock();
    if (!torrent) {
      cut(lt::errors::peer_banned);
    } else if ((reserved_bits[kExtensionByte] & kExtensionBit) == 0) {
      refuse();
    } else {
      begin_auth(*torrent);
    }
    return true;
  }
  if ((reserved_bits[kExtensionByte] & kExtensionBit) == 0) identify();
  return true;  // the other end need not know this extension
}

bool Connection::on_extension_handshake(const lt::bdecode_node& handshake) {
  const auto torrent = torrent_.lock();
  if (peer_ != nullptr || ended_ || !torrent) return true;
  if (const lt::bdecode_node messages = handshake.dict_find_dict("m")) {
    const std::int64_t id = messages.dict_find_int_value(kLeaseKey, 0);
    if (id > 0 && id <= 0xff) lease_id_ = static_cast<std::uint8_t>(id);
  }
  their_member_id_ = std::string{handshake.dict_find_string_value(kMemberKey)};
  if (is_guarded() && !take_hello(handshake)) return true;
  if (handle_.is_outgoing()) {
    // A member says that it keeps the connection before it counts; see survives_crossing().
    if (is_guarded()) {
      send_extended(auth_id_, confirms_);
    } else if (lease_id_ == 0) {
      identify();
    }
    return true;
  }
  const std::int64_t port = handshake.dict_find_int_value("p", 0);
  if (port > 0 && port <= 0xffff) {
    listens_on_ = {handle_.remote().address(), static_cast<std::uint16_t>(port)};
    if (!survives_crossing(*torrent)) return true;
  }
  if (is_guarded()) {
    send_extended(auth_id_, confirms_);  // and it is a peer when it has confirmed, too
    return true;
  }
  identify();
  if (lease_peer()) send_lease({});
  return true;
}

// Two peers that dial each other at once have one connection too many. libtorrent would end the
// incoming one on either side, and with it both; here both sides keep the one dialled by the
// greater id, by ending the outgoing one before libtorrent looks. The end that was dialled decides,
// and tells the other by an empty lease message, so that nothing is said on a connection that is
// about to end.
bool Connection::survives_crossing(Torrent& torrent) {
  const auto ours = torrent.dialled(*listens_on_);
  if (!ours) return true;
  // What we dialled may also lead to a machine that has gone and come back since.
  const bool stale = !ours->their_member_id_.empty() && ours->their_member_id_ != their_member_id_;
  if (their_member_id_ <= torrent.member_id() && !ours->is_connecting() && !stale) return false;
  ours->cut(lt::errors::duplicate_peer_id);
  return true;
}

void Connection::identify() {
  if (handle_.is_outgoing()) listens_on_ = handle_.remote();
  if (listens_on_) {
    const std::string address = to_string(*listens_on_);
    return identified({address, address, to_core(*listens_on_), lease_id_ != 0});
  }
  const lt::tcp::endpoint remote = handle_.remote();
  const std::string key = remote.address().to_string() + "/" + lt::aux::to_hex(handle_.pid());
  identified({key, to_string(remote), to_core({remote.address(), 0}), lease_id_ != 0});
}

void Connection::identified(const Sources::Identity& who) {
  if (peer_ != nullptr || ended_ || !sources_) return;
  speaks_leases_ = who.leases;
  peer_ = sources_->connected(who);
  if (peer_ == nullptr) return cut(lt::errors::peer_banned);
  if (const auto torrent = torrent_.lock(); torrent && listens_on_) torrent->joined(*listens_on_);
  if (pieces_known_) sources_->has(*peer_, pieces_);
}

bool Connection::admitted() {
  if (peer_ == nullptr && !ended_ && is_authentic()) identify();
  return peer_ != nullptr;
}

// ---- members of a group ------------------------------------------------------------------------

// libtorrent does not export the type information that a check of the object's type would need.
__attribute__((no_sanitize("vptr"))) void Connection::begin_auth(const Torrent& torrent) {
  const auto connection = handle_.native_handle();
  if (!connection) return;
  const lt::peer_id own = connection->our_pid();
  const lt::peer_id theirs = handle_.pid();
  core::AuthChannel channel;
  channel.dialled = handle_.is_outgoing();
  std::copy(own.begin(), own.end(), channel.own_id.begin());
  std::copy(theirs.begin(), theirs.end(), channel.their_id.begin());
  channel.own_member = torrent.auth_member_id();
  channel.swarm = torrent.swarm_name();
  channel.dialled_at = to_core(channel.dialled ? handle_.remote() : handle_.local_endpoint());
  auth_ = gate_->begin(channel);
}

bool Connection::is_stranger() {
  if (!is_guarded() || ended_) return false;
  if (auth_ &&
      (auth_->state() == core::PeerAuth::State::expects_confirmation || auth_->accepted())) {
    return false;
  }
  refuse();
  return true;
}

bool Connection::take_hello(const lt::bdecode_node& handshake) {
  core::AuthMemberId member{};
  const lt::string_view hello = handshake.dict_find_string_value(kAuthKey);
  const lt::bdecode_node messages = handshake.dict_find_dict("m");
  const std::int64_t id = messages ? messages.dict_find_int_value(kAuthKey, 0) : 0;
  if (auth_ && id > 0 && id <= 0xff && their_member_id_.size() == member.size()) {
    auth_id_ = static_cast<std::uint8_t>(id);
    std::copy(their_member_id_.begin(), their_member_id_.end(), member.begin());
    auto answer = auth_->take_hello(
        {reinterpret_cast<const std::uint8_t*>(hello.data()), hello.size()}, member);
    if (answer) {
      confirms_ = std::move(*answer);
      return true;
    }
  }
  refuse();
  return false;
}

void Connection::take_confirmation(lt::span<const char> body) {
  if (!auth_ || !auth_->take_confirmation({reinterpret_cast<const std::uint8_t*>(body.data()),
                                           static_cast<std::size_t>(body.size())})) {
    return refuse();
  }
  gate_->succeeded(handle_.remote());
  // An end that dialled waits for the word that the connection stays.
  if (handle_.is_outgoing() && lease_id_ != 0) return;
  identify();
  if (lease_peer() && !handle_.is_outgoing()) send_lease({});
}

void Connection::refuse() {
  if (ended_) return;
  refused_ = true;
  sources_->encounters().refused(auth_ && auth_->lacks_key() ? core::PeerRefusal::wrong_key
                                 : is_guarded()              ? core::PeerRefusal::no_member
                                                             : core::PeerRefusal::protocol);
  gate_->failed(handle_.remote());
  cut(lt::errors::peer_banned);
}

// ---- lease messages ----------------------------------------------------------------------------

std::optional<core::SourceId> Connection::lease_peer() const {
  if (peer_ == nullptr || ended_ || !speaks_leases_) return std::nullopt;
  return peer_->id;
}

void Connection::send_lease(std::span<const std::uint8_t> message) {
  send_extended(lease_id_, message);
}

void Connection::send_extended(std::uint8_t number, std::span<const std::uint8_t> message) {
  const auto length = static_cast<std::uint32_t>(2 + message.size());
  std::vector<char> frame;
  frame.reserve(4 + length);
  for (const int shift : {24, 16, 8, 0}) frame.push_back(static_cast<char>(length >> shift));
  frame.push_back(static_cast<char>(kExtendedMessage));
  frame.push_back(static_cast<char>(number));
  frame.insert(frame.end(), message.begin(), message.end());
  handle_.send_buffer(frame.data(), static_cast<int>(frame.size()));
}

bool Connection::on_extended(int length, int message, lt::span<const char> body) {
  if (is_stranger()) return true;
  if (is_guarded() && message == kAuthMessage) {
    if (body.size() >= length && !ended_) take_confirmation(body);
    return true;
  }
  if (message != kLeaseMessage) return false;
  // The body comes in fragments, each time with all that has come before.
  if (body.size() < length || ended_) return true;
  if (peer_ == nullptr && handle_.is_outgoing() && lease_id_ != 0 && !admitted()) return true;
  if (length == 0 || !lease_peer()) return true;
  const auto said = inbox_.take(
      {reinterpret_cast<const std::uint8_t*>(body.data()), static_cast<std::size_t>(body.size())},
      std::chrono::steady_clock::now());
  if (said) sources_->says(*peer_, *said);
  if (inbox_.is_hopeless()) {
    sources_->ban(peer_->id);
    end_harm();
  }
  return true;
}

// ---- how much it says --------------------------------------------------------------------------

void Connection::end_harm() {
  if (ended_) return;
  if (gate_) gate_->harmed(handle_.remote());
  cut(lt::errors::invalid_message);
}

// libtorrent does not export the type information that a check of the object's type would need.
__attribute__((no_sanitize("vptr"))) void Connection::weigh_talk() {
  const auto connection = handle_.native_handle();
  if (!connection || ended_) return;
  if (connection->send_buffer_size() > TalkBudget::kUnreadMax) return end_harm();
  const lt::stat& so_far = connection->statistics();
  if (is_silent_ && so_far.total_protocol_download() > kGreetingBytes) is_silent_ = false;
  if (is_silent_ && ++silent_ticks_ >= kHandshakeTicks) return refuse();
  const auto payload = so_far.total_payload_download() + so_far.total_payload_upload();
  if (!talk_.allows(static_cast<std::uint64_t>(so_far.total_protocol_download()),
                    static_cast<std::uint64_t>(payload), std::chrono::steady_clock::now())) {
    end_harm();
  }
}

// ---- what it has -------------------------------------------------------------------------------

bool Connection::replace_pieces(core::PieceSet pieces) {
  if (++replacements_ > kReplacementsMax) {
    end_harm();
    return true;
  }
  pieces_ = std::move(pieces);
  pieces_known_ = true;
  if (peer_ != nullptr) sources_->has(*peer_, pieces_);
  return false;  // libtorrent is to see the message, too; so in all that follow
}

bool Connection::on_bitfield(const lt::bitfield& bits) {
  if (is_stranger()) return true;
  core::PieceSet pieces(pieces_.universe());
  const auto count =
      std::min<std::uint32_t>(pieces.universe(), static_cast<std::uint32_t>(bits.size()));
  for (std::uint32_t i = 0; i < count; ++i) {
    if (bits.get_bit(static_cast<int>(i))) pieces.insert(core::PieceIndex{i});
  }
  return replace_pieces(std::move(pieces));
}

bool Connection::on_have_all() {
  if (is_stranger()) return true;
  core::PieceSet pieces(pieces_.universe());
  for (std::uint32_t i = 0; i < pieces.universe(); ++i) pieces.insert(core::PieceIndex{i});
  return replace_pieces(std::move(pieces));
}

bool Connection::on_have_none() {
  if (is_stranger()) return true;
  return replace_pieces(core::PieceSet(pieces_.universe()));
}

bool Connection::on_have(lt::piece_index_t piece) {
  if (is_stranger()) return true;
  const int number = static_cast<int>(piece);
  if (number < 0 || static_cast<std::uint32_t>(number) >= pieces_.universe()) return false;
  const core::PieceIndex index{static_cast<std::uint32_t>(number)};
  if (pieces_.insert(index) && peer_ != nullptr) sources_->has(*peer_, index);
  pieces_known_ = true;
  return false;
}

bool Connection::on_dont_have(lt::piece_index_t piece) {
  if (is_stranger()) return true;
  const int number = static_cast<int>(piece);
  if (number < 0 || static_cast<std::uint32_t>(number) >= pieces_.universe()) return false;
  core::PieceSet pieces = pieces_;
  pieces.erase(core::PieceIndex{static_cast<std::uint32_t>(number)});
  return replace_pieces(std::move(pieces));
}

// ---- what it gives and takes --------------------------------------------------------------------

bool Connection::on_request(const lt::peer_request&) { return is_stranger() || !admitted(); }

bool Connection::on_piece(const lt::peer_request& block, lt::span<const char>) {
  if (is_stranger() || !admitted()) return true;
  const auto torrent = torrent_.lock();
  if (torrent && block.length > 0) {
    torrent->storage().arriving(*peer_, block);
    torrent->network().received(static_cast<std::uint64_t>(block.length));
  }
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
  if (payload == 0) return;
  sources_->served(*peer_, payload);
  if (const auto torrent = torrent_.lock()) torrent->network().sent(payload);
}

void Connection::tick() {
  if (!answered_) return;
  serve_hashes(false);  // libtorrent remembers what it hears elsewhere about the peer
  weigh_talk();
  if (ended_) return;
  if (!is_authentic()) {
    if (++ticks_ < kHandshakeTicks) return;
    return refuse();
  }
  // Its key may have expired or been replaced since.
  if (is_guarded() && !gate_->accepts(auth_->key_id())) return cut(lt::errors::peer_banned);
  if (peer_ == nullptr && (++ticks_ < kHandshakeTicks || !admitted())) return;
  if (const auto torrent = torrent_.lock()) torrent->storage().settle();
  sources_->tell_progress(*peer_);
}

// libtorrent does not dial complete peers while nothing is wanted, and forgets to look again when
// something is. Pieces may be allowed at any moment, so it must not remember that the peer was
// complete; its count of such peers, which nothing here depends on, is off by one from then on.
//
// libtorrent does not export the type information that a check of the object's type would need.
__attribute__((no_sanitize("vptr"))) void Connection::stay_dialable() {
  const auto connection = handle_.native_handle();
  if (connection && connection->peer_info_struct() != nullptr) {
    connection->peer_info_struct()->seed = false;
  }
}

// libtorrent computes a good part of the hash tree anew for each request, milliseconds for 53
// bytes, and tells nobody. Manifests have all hashes of pieces, so an honest peer asks only for
// those of blocks, after a bad piece, and does without. A connection of the first version of the
// protocol has no such messages: who sends one is hung up on. Where it is dialled again it has to
// be of the second, whose name the content goes by.
//
// libtorrent does not export the type information that a check of the object's type would need.
__attribute__((no_sanitize("vptr"))) void Connection::serve_hashes(bool served) {
  const auto connection = handle_.native_handle();
  if (!connection || connection->peer_info_struct() == nullptr) return;
  connection->peer_info_struct()->protocol_v2 = served;
}

// A connection that somebody took and ended before it came to anything: who guards the content in
// another way, or does not have it, does so.
void Connection::note_refusal(const lt::error_code& error) {
  const bool taken = is_end_of_stream(error) || error == boost::asio::error::connection_reset;
  if (refused_ || !taken || peer_ != nullptr || !handle_.is_outgoing() || !sources_) return;
  sources_->encounters().refused(core::PeerRefusal::protocol);
}

__attribute__((no_sanitize("vptr"))) void Connection::forget_suspicion() {
  const auto connection = handle_.native_handle();
  if (connection && connection->peer_info_struct() != nullptr) {
    connection->peer_info_struct()->trust_points = 0;
  }
}

void Connection::on_disconnect(const lt::error_code& error) {
  if (!std::exchange(ended_, true) && sources_) sources_->encounters().connection_ended();
  note_refusal(error);
  stay_dialable();
  if (answered_) serve_hashes(true);
  const auto torrent = torrent_.lock();
  if (torrent && handle_.is_outgoing()) torrent->dial_ended(handle_.remote(), error, answered_);
  if (peer_ == nullptr) return;
  if (torrent) torrent->storage().settle();
  sources_->disconnected(*std::exchange(peer_, nullptr));
}

}  // namespace lanward::peer
