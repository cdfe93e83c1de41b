#include "peer/torrent.h"

#include <algorithm>
#include <exception>
#include <utility>

#include <libtorrent/error_code.hpp>
#include <libtorrent/extensions/ut_metadata.hpp>
#include <libtorrent/peer_connection.hpp>
#include <libtorrent/peer_info.hpp>
#include <libtorrent/torrent_flags.hpp>

#include "peer/endpoint.h"
#include "peer/interfaces.h"

namespace lanward::peer {
namespace {

// Announced pieces whose hashes libtorrent is waiting for. Enough to keep the store's hash threads
// busy; more would only let announcements delay the blocks of peers in the same queues.
constexpr std::uint32_t kAnnouncedMax = 16;

// Connections from one address: programs of one machine, or machines behind a router, that are in
// the swarm at the same time. More would be idle connections that keep others out.
constexpr std::ptrdiff_t kFromOneAddressMax = 64;

using Clock = std::chrono::steady_clock;

// libtorrent's calls throw when the torrent or the session is gone, which is no news here.
template <class F>
void if_alive(F call) {
  try {
    call();
  } catch (const std::exception&) {
  }
}

core::Seed seed_of(const core::AuthMemberId& id) {
  std::uint64_t seed = 0;
  for (const std::uint8_t byte : id) seed = seed << 8U | byte;
  return core::Seed{seed};
}

}  // namespace

Torrent::~Torrent() { hide(); }

Torrent::Torrent(const core::PieceLayout& layout, const core::PieceSet& verified,
                 std::shared_ptr<Storage> storage, std::shared_ptr<Sources> sources,
                 std::vector<lt::tcp::endpoint> static_peers, const core::AuthMemberId& member_id,
                 std::shared_ptr<NetworkThread> network, std::shared_ptr<Gate> gate,
                 std::weak_ptr<Beacon> beacon)
    : layout_(layout),
      storage_(std::move(storage)),
      sources_(std::move(sources)),
      static_peers_(std::move(static_peers)),
      member_id_(member_id),
      network_(std::move(network)),
      gate_(std::move(gate)),
      beacon_(std::move(beacon)),
      random_(seed_of(member_id)),
      allowed_(layout.piece_count()),
      had_(verified),
      handed_(layout.piece_count()),
      queued_(layout.piece_count()) {}

void Torrent::join(lt::session_handle session, lt::add_torrent_params params) {
  session_ = session;
  const lt::sha256_hash name = params.ti->info_hashes().v2;
  std::copy(name.begin(), name.end(), swarm_name_.begin());
  storage_->on_forgotten = [weak = weak_from_this()](core::PieceIndex piece) {
    const auto self = weak.lock();
    if (!self) return;
    self->handed_.erase(piece);
    self->announce(piece);
  };
  params.extensions.emplace_back(
      [self = shared_from_this()](const lt::torrent_handle& handle, lt::client_data_t) {
        self->handle_ = handle;
        return self;
      });
  params.extensions.emplace_back(&lt::create_ut_metadata_plugin);
  if_alive([&] { session_.async_add_torrent(std::move(params)); });
}

void Torrent::on_files_checked() {
  ready_ = true;
  for (const auto& peer : static_peers_) {
    if (peer.port() == 0) continue;
    dialler_.add(on_link(peer), Dialler::Tries::unlimited, Clock::now());
    sources_->encounters().found(to_core(peer).address);
  }
  dial_soon();
  if (const auto beacon = beacon_.lock()) {
    announced_ = beacon->add(swarm_name_, [weak = weak_from_this(),
                                           network = network_](const lt::tcp::endpoint& address) {
      network->post([weak, address] {
        if (const auto self = weak.lock()) self->found(address);
      });
    });
  }
  for (auto p = allowed_.next(core::PieceIndex{0}); p;) {
    const auto end = allowed_.next_missing(*p).value_or(layout_.all().end);
    prioritise({*p, end}, true);
    p = allowed_.next(end);
  }
  hand_over();
}

void Torrent::allow(core::PieceSpan pieces, bool allowed) {
  if (ready_) return prioritise(pieces, allowed);
  for (core::PieceIndex p = pieces.begin; p < pieces.end; ++p) {
    if (allowed) {
      allowed_.insert(p);
    } else {
      allowed_.erase(p);
    }
  }
}

void Torrent::prioritise(core::PieceSpan pieces, bool allowed) {
  const auto priority = allowed ? lt::default_priority : lt::dont_download;
  std::vector<std::pair<lt::piece_index_t, lt::download_priority_t>> list;
  list.reserve(pieces.size());
  for (core::PieceIndex p = pieces.begin; p < pieces.end; ++p) {
    list.emplace_back(static_cast<int>(p.value), priority);
  }
  if_alive([&] { handle_.prioritize_pieces(list); });
}

// ---- pieces that came by another way -----------------------------------------------------------

void Torrent::announce(core::PieceIndex piece) {
  storage_->mark_verified(piece);
  if (had_.contains(piece) || handed_.contains(piece) || !queued_.insert(piece)) return;
  queue_.push_back(piece);
  hand_over();
}

void Torrent::hand_over() {
  while (ready_ && !queue_.empty() && handed_.count() < kAnnouncedMax) {
    const core::PieceIndex piece = queue_.front();
    queue_.pop_front();
    queued_.erase(piece);
    if (had_.contains(piece)) continue;
    handed_.insert(piece);
    // libtorrent has no call for "we have this piece". It asks its disk for the hashes of a piece
    // that is added, though, and its disk is our store; the bytes it is given are never looked at.
    if (!dummy_) dummy_ = std::make_unique_for_overwrite<char[]>(layout_.piece_bytes());
    if_alive([&] { handle_.add_piece(static_cast<int>(piece.value), dummy_.get()); });
  }
}

void Torrent::on_piece_pass(lt::piece_index_t piece) {
  const core::PieceIndex index{static_cast<std::uint32_t>(static_cast<int>(piece))};
  had_.insert(index);
  storage_->mark_verified(index);
  if (handed_.erase(index)) hand_over();
}

// libtorrent bans, for ever, whoever had a share in four bad pieces and in no good one, and with
// many that send wrong bytes that is everybody. Who is to blame is decided by the engine.
void Torrent::on_piece_failed(lt::piece_index_t) {
  for (const auto& connection : connections()) connection->forget_suspicion();
}

// ---- connections -------------------------------------------------------------------------------

std::vector<std::shared_ptr<Connection>> Torrent::connections() {
  std::vector<std::shared_ptr<Connection>> alive;
  std::erase_if(connections_, [&](const std::weak_ptr<Connection>& weak) {
    auto connection = weak.lock();
    if (!connection) return true;
    alive.push_back(std::move(connection));
    return false;
  });
  return alive;
}

std::shared_ptr<lt::peer_plugin> Torrent::new_connection(const lt::peer_connection_handle& handle) {
  if (handle.type() != lt::connection_type::bittorrent) return nullptr;
  replace_stand_in(handle);
  auto connection = std::make_shared<Connection>(weak_from_this(), layout_.piece_count(), handle);
  (void)connections();  // forgets the dead ones
  connections_.push_back(connection);
  return connection;
}

// libtorrent refuses to dial addresses of a link, because it forgets the interface of what it is
// told to dial. So it is told of a stand-in, which becomes the address when the connection is made.
std::optional<lt::tcp::endpoint> Torrent::stand_in_for(const lt::tcp::endpoint& address) {
  if (!address.address().is_v6() || !address.address().to_v6().is_link_local()) return address;
  if (lacks_link(address) || !sources_->encounters().permits(to_core(address).address)) {
    return std::nullopt;
  }
  auto at = std::ranges::find(links_, address);
  if (at == links_.end()) {
    if (links_.size() >= Dialler::kAddressesMax) return std::nullopt;
    at = links_.insert(at, address);
  }
  return stand_in(static_cast<std::uint32_t>(at - links_.begin()), address.port());
}

// It has not begun to dial yet.
//
// libtorrent does not export the type information that a check of the object's type would need.
__attribute__((no_sanitize("vptr"))) void Torrent::replace_stand_in(
    const lt::peer_connection_handle& handle) const {
  const auto connection = handle.native_handle();
  if (!connection || !connection->is_outgoing()) return;
  const lt::tcp::endpoint told = connection->remote();
  const auto number = stand_in_number(told);
  // Whoever has come from such an address itself, libtorrent dials there.
  const lt::tcp::endpoint meant =
      number && *number < links_.size() ? links_[*number] : on_link(told);
  if (meant != told) const_cast<lt::tcp::endpoint&>(connection->remote()) = meant;
}

std::shared_ptr<Connection> Torrent::dialled(const lt::tcp::endpoint& endpoint) {
  for (auto& connection : connections()) {
    if (connection->dialled(endpoint)) return connection;
  }
  return nullptr;
}

bool Torrent::is_crowded(const lt::tcp::endpoint& remote) {
  const auto alive = connections();
  const auto from_there = std::count_if(
      alive.begin(), alive.end(),
      [&](const std::shared_ptr<Connection>& one) { return one->came_from(remote.address()); });
  return from_there > kFromOneAddressMax;
}

void Torrent::choke_all() {
  for (const auto& connection : connections()) connection->choke();
}

void Torrent::send(std::vector<core::SourceId> to, std::span<const std::uint8_t> message) {
  std::sort(to.begin(), to.end());
  for (const auto& connection : connections()) {
    const auto peer = connection->lease_peer();
    if (!peer) continue;
    const auto it = std::lower_bound(to.begin(), to.end(), *peer);
    if (it == to.end() || *it != *peer) continue;
    to.erase(it);  // once, also over two connections
    connection->send_lease(message);
  }
}

void Torrent::ban(core::SourceId id) {
  sources_->ban(id);
  for (const auto& connection : connections()) {
    if (connection->belongs_to(id)) connection->cut(lt::errors::peer_banned);
  }
}

// ---- dialling ----------------------------------------------------------------------------------

// libtorrent dials once a second, and waits whole seconds before it dials again. So its own retries
// are off (an address that has failed once is no candidate any more), and the dialler here decides.
// Addresses from multicast and trackers libtorrent dials once; if that fails, they come here, too.

void Torrent::dial(const lt::tcp::endpoint& address) {
  if (address.port() == 0) return;
  sources_->encounters().found(to_core(address).address);
  dialler_.add(on_link(address), Dialler::Tries::once, Clock::now());
  dial_soon();
}

void Torrent::reach_again() {
  for (const auto& connection : connections()) {
    // The others libtorrent ends itself; of these it knows the stand-in.
    const lt::address remote = connection->remote().address();
    const bool link = remote.is_v6() && remote.to_v6().is_link_local();
    if (link && !sources_->encounters().permits(to_core(connection->remote()).address)) {
      connection->cut(lt::errors::banned_by_ip_filter);
    }
  }
  dialler_.retry_all(Clock::now());
  dial_soon();
}

lt::tcp::endpoint Torrent::on_link(const lt::tcp::endpoint& address) const {
  if (!lacks_link(address)) return address;
  if (const auto known = dialler_.known_as(address)) return *known;
  const auto interfaces = core::choose_interfaces(read_interfaces());
  return interfaces.size() == 1 ? with_link(address, interfaces.front()) : address;
}

void Torrent::found(const lt::tcp::endpoint& address) {
  if (!ready_ || is_connected(address)) return;
  sources_->encounters().found(to_core(address).address);
  const auto neighbours = static_cast<std::uint32_t>(connections().size());
  if (!core::answers_beacon(neighbours, random_)) return;
  dialler_.add(address, Dialler::Tries::once, Clock::now());
  dial_soon();
}

void Torrent::hide() {
  if (!announced_) return;
  if (const auto beacon = beacon_.lock()) beacon->remove(*announced_);
  announced_.reset();
}

void Torrent::dial_ended(const lt::tcp::endpoint& address, const lt::error_code& why,
                         bool answered) {
  if (!ready_) return;
  if (why == lt::errors::self_connection) return dialler_.is_self(address);
  dialler_.failed(address, answered, Clock::now());
  dial_soon();
}

void Torrent::dial_soon() {
  const auto next = dialler_.next();
  if (!next || wake_set_ || !ready_ || paused_) return;
  const auto delay = std::chrono::ceil<std::chrono::milliseconds>(*next - Clock::now());
  if (delay > NetworkThread::kDelayMax) return;  // tick() will do
  wake_set_ = true;
  // Not from within libtorrent's own calls.
  network_->post_after(std::max(delay, std::chrono::milliseconds{0}), [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->wake_set_ = false;
    self->dial_due();
    self->dial_soon();
  });
}

bool Torrent::on_pause() {
  if (!dialling_) paused_ = true;
  return dialling_;
}

bool Torrent::on_resume() {
  paused_ = false;
  return false;
}

bool Torrent::is_connected(const lt::tcp::endpoint& address) {
  const auto alive = connections();
  return std::any_of(alive.begin(), alive.end(), [&](const auto& connection) {
    return connection->leads_to(address) || connection->dialled(address);
  });
}

void Torrent::dial_due() {
  if (!ready_ || paused_) return;
  bool any = false;
  for (const lt::tcp::endpoint& address : dialler_.take_due(Clock::now())) {
    if (sources_->is_banned(to_string(address))) continue;
    if (is_connected(address)) continue;
    const auto stand_in = stand_in_for(address);
    if (!stand_in) continue;
    // What a tracker says lowers the count of failures, which makes it a candidate again.
    if_alive([&] { handle_.connect_peer(*stand_in, lt::peer_info::tracker); });
    any = true;
  }
  if (!any) return;
  // A torrent that is resumed dials at once. The pause before it is only pretended: on_pause()
  // takes it over and does nothing.
  dialling_ = true;
  if_alive([&] { handle_.pause(); });
  dialling_ = false;
  if_alive([&] { handle_.resume(); });
}

void Torrent::leave() {
  hide();
  storage_->detach();
  ready_ = false;
  queue_.clear();
  if_alive([&] { session_.remove_torrent(handle_); });
  connections_.clear();
}

}  // namespace lanward::peer
