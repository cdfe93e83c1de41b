#include "peer/swarm.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <libtorrent/alert_types.hpp>
#include <libtorrent/load_torrent.hpp>
#include <libtorrent/session.hpp>
#include <libtorrent/session_params.hpp>
#include <libtorrent/torrent_flags.hpp>

#include "peer/beacon.h"
#include "peer/disk_bridge.h"
#include "peer/endpoint.h"
#include "peer/file_watch.h"
#include "peer/gate.h"
#include "peer/group_file.h"
#include "peer/interfaces.h"
#include "peer/network_thread.h"
#include "peer/peer_filter.h"
#include "peer/rules_file.h"
#include "peer/session_settings.h"
#include "peer/tcp_nodelay.h"
#include "peer/tls_roots.h"
#include "peer/torrent.h"
#include "peer/upload_guard.h"
#include "peer/veil.h"

namespace lanward::peer {
namespace {

// Binding a socket takes no time; this is for a machine that swaps.
constexpr std::chrono::seconds kListenDeadline{10};
// A session ends in milliseconds, or after its trackers' goodbye time. One that does not end is
// left behind: the caller is more important.
constexpr std::chrono::seconds kEndDeadline{5};

// Tries to take a free port before somebody else does; losing it once is rare already.
constexpr int kFreePortTries = 5;

// libtorrent listens with one socket per interface, and asked for port 0 takes another port on each
// while announcing one of them. So the port is chosen here.
Result<lt::tcp::endpoint> free_port(const lt::address& address) {
  try {
    lt::io_context io;
    return lt::tcp::acceptor(io, lt::tcp::endpoint{address, 0}).local_endpoint();
  } catch (const std::exception& error) {
    return fail(ErrorCode::network, "cannot accept peers on " + address.to_string() + ": " +
                                        error.what() + "; choose another address");
  }
}

// Where peers are accepted without further ado. One family only: two machines that have both would
// meet twice.
std::string default_listen() { return has_only_ipv6() ? "[::]:0" : "0.0.0.0:0"; }

// Random, so that two members that dial each other agree which connection stays.
core::AuthMemberId make_member_id() {
  core::AuthMemberId id{};
  fill_random(id);
  return id;
}

lt::bitfield to_bitfield(const core::PieceSet& pieces) {
  lt::bitfield bits(static_cast<int>(pieces.universe()), false);
  for (auto p = pieces.next(core::PieceIndex{0}); p; p = pieces.next(*p + 1)) {
    bits.set_bit(static_cast<int>(p->value));
  }
  return bits;
}

// What libtorrent is told about the content. Throws what libtorrent throws.
lt::add_torrent_params torrent_params(const ports::SwarmRequest& request,
                                      const core::PieceSet& verified, std::string save_path,
                                      const Gate& gate) {
  const auto& bytes = request.manifest.metainfo;
  lt::add_torrent_params params =
      gate.is_guarded() ? lt::load_torrent_buffer(veiled_metainfo(
                              request.manifest, gate.veiled(request.manifest.infohash)))
                        : lt::load_torrent_buffer({reinterpret_cast<const char*>(bytes.data()),
                                                   static_cast<std::ptrdiff_t>(bytes.size())});
  params.save_path = std::move(save_path);
  // Origins are the engine's business.
  params.url_seeds.clear();
  params.http_seeds.clear();
  params.dht_nodes.clear();
  params.trackers = request.manifest.trackers;
  params.trackers.insert(params.trackers.end(), request.trackers.begin(), request.trackers.end());
  params.tracker_tiers.assign(params.trackers.size(), 0);
  // File priorities would do other things with the files; pieces are what is decided upon.
  params.piece_priorities.assign(verified.universe(), lt::dont_download);
  if (!verified.empty()) {
    params.have_pieces = lt::typed_bitfield<lt::piece_index_t>(to_bitfield(verified));
  }
  // Without no_verify_files: the check is answered by our disk, and its end is when plugins hear
  // that the torrent is ready.
  params.flags = lt::torrent_flags::disable_dht | lt::torrent_flags::disable_pex |
                 lt::torrent_flags::apply_ip_filter;
  return params;
}

int slots_of(const SwarmLimits& limits) {
  return limits.upload_slots == 0 ? kAllSlots : static_cast<int>(limits.upload_slots);
}

// Whether a tracker is asked by HTTPS, perhaps after a redirect.
bool needs_tls(const lt::add_torrent_params& params) {
  return std::any_of(params.trackers.begin(), params.trackers.end(),
                     [](const std::string& url) { return !url.starts_with("udp://"); });
}

}  // namespace

// ---- Session -----------------------------------------------------------------------------------

class LibtorrentSwarm::Session : public std::enable_shared_from_this<Session> {
 public:
  explicit Session(SwarmOptions given) : options(std::move(given)) {}

  void start(const lt::tcp::endpoint& listen);
  void limit();
  void guard_upload();
  // Follows the files of the group and of the rules.
  void watch_files(core::PeerRules rules);
  // Who could not be a peer before may be one now. Any thread.
  void reach_again();
  [[nodiscard]] Result<void> wait_for_listener(const std::string& address);
  void end();

  SwarmOptions options;
  std::shared_ptr<Gate> gate = std::make_shared<Gate>();
  std::unique_ptr<FileWatch> watch;  // of the group's file
  std::shared_ptr<Beacon> beacon;    // null: none
  std::shared_ptr<NetworkThread> network = std::make_shared<NetworkThread>();
  DiskBridge* bridge = nullptr;  // network thread only, and only in tasks of `network`
  // libtorrent's, as long as it lacks the certificates of the system. Network thread only, once the
  // session runs.
  ssl_ctx_st* rootless = nullptr;
  std::unique_ptr<lt::session> session;
  std::uint64_t members = 0;  // loop thread only
  std::shared_ptr<SessionFacts> facts =
      std::make_shared<SessionFacts>(options.limits.connections_max);
  std::shared_ptr<UploadGuard> guard;
  std::shared_ptr<Whereabouts> where = std::make_shared<Whereabouts>(!options.group_file.empty());
  std::vector<std::weak_ptr<Torrent>> torrents;  // network thread only
};

void LibtorrentSwarm::Session::start(const lt::tcp::endpoint& listen) {
  // What libtorrent's own discovery says, it says to everybody.
  const bool lsd = options.local_discovery && !gate->is_guarded();
  lt::session_params params(
      session_settings(listen, lsd, static_cast<int>(options.limits.connections_max)));
  // The default plugins find and dial peers on their own account, which is the engine's to decide.
  params.extensions.clear();
  params.disk_io_constructor = [this](lt::io_context& io, const lt::settings_interface&,
                                      lt::counters&) {
    auto made = std::make_unique<DiskBridge>(network, io);
    bridge = made.get();
    return made;
  };
  const PutOffTlsRoots roots;
  session = std::make_unique<lt::session>(std::move(params));
  rootless = roots.context();
  limit();
}

void LibtorrentSwarm::Session::limit() {
  const SwarmLimits& limits = options.limits;
  const bool turns = limits.upload_slots > 0 || !limits.upload || guard->may_change();
  if (!turns && limits.upload_bytes_per_s == 0 && limits.download_bytes_per_s == 0) return;
  std::optional<int> slots;
  if (turns) slots = guard->may_give() ? slots_of(limits) : 0;
  limit_peers(*session, static_cast<int>(limits.upload_bytes_per_s),
              static_cast<int>(limits.download_bytes_per_s), slots);
}

void LibtorrentSwarm::Session::guard_upload() {
  if (!guard->may_change()) return;
  network->on_sent([guard = guard](std::uint64_t bytes) { guard->gave(bytes); });
  guard->start([weak = weak_from_this(), network = network](bool may_give) {
    network->post([weak, may_give] {
      const auto self = weak.lock();
      if (!self || !self->session) return;
      set_upload_slots(*self->session, may_give ? slots_of(self->options.limits) : 0);
      if (may_give) return;
      // libtorrent itself would do that within a second, with what has been asked for until then.
      for (const auto& torrent : self->torrents) {
        if (const auto alive = torrent.lock()) alive->choke_all();
      }
    });
  });
}

Result<void> LibtorrentSwarm::Session::wait_for_listener(const std::string& address) {
  const auto deadline = std::chrono::steady_clock::now() + kListenDeadline;
  while (std::chrono::steady_clock::now() < deadline) {
    session->wait_for_alert(std::chrono::milliseconds(100));
    std::vector<lt::alert*> alerts;
    session->pop_alerts(&alerts);
    for (const lt::alert* alert : alerts) {
      if (const auto* failed = lt::alert_cast<lt::listen_failed_alert>(alert)) {
        return fail(ErrorCode::network, "cannot accept peers on " + address + ": " +
                                            failed->error.message() +
                                            "; choose another address or port");
      }
      const auto* listening = lt::alert_cast<lt::listen_succeeded_alert>(alert);
      if (listening == nullptr || listening->socket_type != lt::socket_type_t::tcp) continue;
      lt::settings_pack quiet;
      quiet.set_int(lt::settings_pack::alert_mask, 0);
      session->apply_settings(quiet);
      return {};
    }
  }
  return fail(ErrorCode::network, "cannot accept peers on " + address +
                                      ": the system did not answer in time; try again");
}

void LibtorrentSwarm::Session::watch_files(core::PeerRules rules) {
  std::vector<std::string> files;
  for (const std::string* file : {&options.group_file, &options.rules_file}) {
    if (!file->empty()) files.push_back(*file);
  }
  if (files.empty()) return;
  watch =
      std::make_unique<FileWatch>(files, [this, path = options.rules_file, rules = std::move(rules),
                                          handle = lt::session_handle(*session)]() mutable {
        bool changed = gate->reload().value_or(false);
        if (auto read = path.empty() ? rules : read_peer_rules(path); read && *read != rules) {
          changed = true;
          rules = std::move(*read);
          facts->set_rules(rules);
          // Ends the sessions of those who are blocked now.
          handle.set_ip_filter(to_filter(rules));
        }
        if (changed) reach_again();
      });
}

void LibtorrentSwarm::Session::reach_again() {
  if (beacon) beacon->announce_again();
  network->post([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    for (const auto& torrent : self->torrents) {
      if (const auto alive = torrent.lock()) alive->reach_again();
    }
  });
}

void LibtorrentSwarm::Session::end() {
  watch.reset();
  beacon.reset();
  if (!session) return;
  network->post([self = shared_from_this()] { self->bridge->shut_down(); });
  // The last owner of a session waits for its thread without a limit, so that is left to a thread
  // which may be left behind.
  struct Ended {
    std::mutex mutex;
    std::condition_variable signal;
    bool done = false;
  };
  const auto ended = std::make_shared<Ended>();
  std::thread([ended, self = shared_from_this()] {
    self->session.reset();
    const std::lock_guard lock(ended->mutex);
    ended->done = true;
    ended->signal.notify_all();
  }).detach();
  {
    std::unique_lock lock(ended->mutex);
    ended->signal.wait_for(lock, kEndDeadline, [&] { return ended->done; });
  }
  guard->stop();  // after the last byte
}

// ---- Member ------------------------------------------------------------------------------------

namespace {

class Member final : public ports::SwarmMember {
 public:
  Member(std::shared_ptr<NetworkThread> network, std::shared_ptr<Torrent> torrent,
         std::shared_ptr<Sources> sources, std::shared_ptr<StoreUse> use, ports::Loop* loop)
      : network_(std::move(network)),
        torrent_(std::move(torrent)),
        sources_(std::move(sources)),
        use_(std::move(use)),
        loop_(loop) {}
  ~Member() override { leave({}); }

  void allow(core::PieceSpan pieces) override { set_allowed(pieces, true); }
  void reserve(core::PieceSpan pieces) override { set_allowed(pieces, false); }
  void announce(core::PieceIndex piece) override {
    network_->post([torrent = torrent_, piece] { torrent->announce(piece); });
  }
  void send(std::span<const core::SourceId> to, const core::LeaseMessage& message) override {
    if (to.empty()) return;
    network_->post(
        [torrent = torrent_, ids = std::vector(to.begin(), to.end()),
         bytes = core::encode(message)]() mutable { torrent->send(std::move(ids), bytes); });
  }
  void connect(const core::Endpoint& endpoint) override {
    network_->post([torrent = torrent_, address = from_core(endpoint)] { torrent->dial(address); });
  }
  void ban(core::SourceId peer) override {
    network_->post([torrent = torrent_, peer] { torrent->ban(peer); });
  }
  [[nodiscard]] core::SwarmView view() const override { return sources_->encounters().view(); }
  void leave(ports::Task done) override;

 private:
  void set_allowed(core::PieceSpan pieces, bool allowed) {
    network_->post([torrent = torrent_, pieces, allowed] { torrent->allow(pieces, allowed); });
  }

  std::shared_ptr<NetworkThread> network_;
  std::shared_ptr<Torrent> torrent_;
  std::shared_ptr<Sources> sources_;
  std::shared_ptr<StoreUse> use_;  // null: has left
  ports::Loop* loop_;
};

void Member::leave(ports::Task done) {
  if (done && loop_ != nullptr) {
    done = [loop = loop_, done = std::move(done)]() mutable { loop->post(std::move(done)); };
  }
  if (!use_) {
    if (done) done();
    return;
  }
  sources_->close();
  // Whoever lets go of the store last says so: this task, or a job that is still at it.
  use_->on_last = std::move(done);
  network_->post([torrent = torrent_, use = std::move(use_)] { torrent->leave(); });
}

}  // namespace

// ---- LibtorrentSwarm ---------------------------------------------------------------------------

LibtorrentSwarm::LibtorrentSwarm(std::shared_ptr<Session> session) : session_(std::move(session)) {}

LibtorrentSwarm::~LibtorrentSwarm() { session_->end(); }

Result<std::unique_ptr<LibtorrentSwarm>> LibtorrentSwarm::create(SwarmOptions options) {
  link_tcp_nodelay();
  const std::string address = options.listen.empty() ? default_listen() : options.listen;
  const auto listen = parse_endpoint(address);
  if (!listen) return tl::unexpected(listen.error());
  if (listen->port() != 0) return start(options, address);
  Result<std::unique_ptr<LibtorrentSwarm>> swarm = fail(ErrorCode::network, "no free port");
  for (int n = 0; !swarm && n < kFreePortTries; ++n) {
    const auto free = free_port(listen->address());
    swarm = free ? start(options, to_string(*free)) : tl::unexpected(free.error());
  }
  return swarm;
}

Result<std::unique_ptr<LibtorrentSwarm>> LibtorrentSwarm::start(const SwarmOptions& options,
                                                                const std::string& address) {
  const auto session = std::make_shared<Session>(options);
  std::unique_ptr<LibtorrentSwarm> swarm(new LibtorrentSwarm(session));
  if (!options.group_file.empty()) {
    auto gate = Gate::open(options.group_file, options.sha256);
    if (!gate) return tl::unexpected(gate.error());
    session->gate = std::move(*gate);
  }
  core::PeerRules rules;
  if (!options.rules_file.empty()) {
    auto read = read_peer_rules(options.rules_file);
    if (!read) return tl::unexpected(read.error());
    rules = std::move(*read);
  }
  auto guard = UploadGuard::create({.upload = options.limits.upload,
                                    .bytes_per_month = options.limits.upload_bytes_per_month,
                                    .count_file = options.count_file,
                                    .rules = options.limits.sharing,
                                    .places = options.places,
                                    .interval = options.look_interval});
  if (!guard) return tl::unexpected(guard.error());
  session->guard = std::move(*guard);
  try {
    session->start(*parse_endpoint(address));
    session->session->set_ip_filter(to_filter(rules));
  } catch (const std::exception& error) {
    return fail(ErrorCode::network, "cannot start the peer network: " + std::string(error.what()));
  }
  if (auto listening = session->wait_for_listener(address); !listening) {
    return tl::unexpected(listening.error());
  }
  session->facts->set_rules(rules);
  if (options.beacon || options.dns_sd) {
    const lt::tcp::endpoint listen(parse_endpoint(address)->address(),
                                   swarm->listen_port().value_or(0));
    session->beacon = Beacon::start(listen, session->gate, options.sha256,
                                    {.multicast = options.beacon, .dns_sd = options.dns_sd});
  }
  session->watch_files(std::move(rules));
  session->guard_upload();
  return swarm;
}

std::optional<std::uint16_t> LibtorrentSwarm::listen_port() const {
  const std::uint16_t port = session_->session->listen_port();
  if (port == 0) return std::nullopt;
  return port;
}

UploadStatus LibtorrentSwarm::upload_status() const { return session_->guard->status(); }

std::string LibtorrentSwarm::remark() const {
  return session_->beacon ? session_->beacon->trouble() : std::string();
}

std::unique_ptr<ports::SwarmMember> LibtorrentSwarm::join(const ports::SwarmRequest& request,
                                                          ports::FactSink facts) {
  auto sources = std::make_shared<Sources>(std::move(facts), session_->where);
  sources->encounters().belong_to(session_->facts);
  auto use = std::make_shared<StoreUse>();
  const core::PieceLayout layout = request.manifest.content.layout;
  const core::PieceSet verified = request.store->verified();
  const std::string save_path = "/lanward/" + std::to_string(session_->members++);
  std::optional<lt::add_torrent_params> params;
  core::Content content = request.manifest.content;
  try {
    params = torrent_params(request, verified, save_path, *session_->gate);
    if (const auto& limit = session_->options.limits.connections_per_content_max) {
      params->max_connections = static_cast<int>(*limit);
    }
    // The hashes are needed only to answer for the SHA-1 of a hybrid torrent.
    if (!params->ti->info_hashes().has_v1()) content.piece_hashes.clear();
  } catch (const std::exception&) {
    // The engine has accepted the manifest and libtorrent has not: a member without peers.
  }
  std::vector<lt::tcp::endpoint> static_peers;
  for (const std::string& peer : request.peers) {
    if (const auto endpoint = parse_endpoint(peer)) static_peers.push_back(*endpoint);
  }
  auto storage = std::make_shared<Storage>(request.store, use, std::move(content), verified,
                                           sources, params ? params->ti : nullptr);
  auto torrent =
      std::make_shared<Torrent>(layout, verified, storage, sources, std::move(static_peers),
                                make_member_id(), session_->network, session_->gate,
                                // BEP 27: nobody on the network hears of it.
                                request.manifest.tracker_only ? nullptr : session_->beacon);
  if (params && layout.piece_count() > 0) {
    session_->network->post([session = session_, torrent, storage, save_path,
                             handle = lt::session_handle(*session_->session),
                             params = std::move(*params)]() mutable {
      if (needs_tls(params)) load_tls_roots(std::exchange(session->rootless, nullptr));
      session->bridge->expect(save_path, storage);
      std::erase_if(session->torrents, [](const auto& weak) { return weak.expired(); });
      session->torrents.push_back(torrent);
      torrent->join(handle, std::move(params));
    });
  }
  return std::make_unique<Member>(session_->network, std::move(torrent), std::move(sources),
                                  std::move(use), session_->options.loop);
}

}  // namespace lanward::peer
