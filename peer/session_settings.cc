#include "peer/session_settings.h"

#include <cstdint>

#include <libtorrent/alert.hpp>
#include <libtorrent/ip_filter.hpp>
#include <libtorrent/peer_class.hpp>

#include "peer/endpoint.h"

namespace lanward::peer {
namespace {

using lt::settings_pack;

// Blocks asked of one peer ahead of time. Two megabytes fill a gigabit link at 16 ms of delay; more
// only makes taking pieces back slower, since requests in flight are not cancelled. libtorrent asks
// for as many as the other side says it takes, so the limit is also what we say.
constexpr int kRequestsAhead = 128;
// Bytes waiting in a peer's send buffer. With more, each request queues behind megabytes that have
// been promised to others, and a swarm on a narrow LAN loses up to half of its rate.
constexpr int kSendBufferBytes = 32 * 1024;
// Connections waiting to be accepted: everybody may dial at the same moment.
constexpr int kListenQueue = 200;
// Dials, retries and time-outs are looked at this often.
constexpr int kTickMs = 50;
// Whom to dial again and when is decided by Dialler: libtorrent's clock has whole seconds. An
// address that has failed once is left alone until it is named again.
constexpr int kFailuresMax = 1;
constexpr int kReconnectSeconds = 0;
// Dials of a torrent that need not wait for the next tick of a second; libtorrent counts in a byte.
constexpr int kDialsAtOnce = 255;
// A LAN peer answers at once or not at all.
constexpr int kConnectSeconds = 3;
// Who dials says hello in its first packet. Until then it takes one of the places, whoever it is.
constexpr int kHandshakeSeconds = 2;
// A tracker that does not take our goodbye must not hold up the end of the session.
constexpr int kTrackerGoodbyeSeconds = 1;
// BEP 14 asks for an announcement every five minutes at most per content; with several contents
// libtorrent shares the interval among them.
constexpr int kDiscoverySeconds = 60;
// With slots: how often it is looked at whose turn it is. A LAN peer has got hundreds of megabytes
// by then.
constexpr int kTurnSeconds = 5;

void only_what_we_use(settings_pack& s) {
  s.set_bool(settings_pack::enable_dht, false);
  s.set_bool(settings_pack::enable_upnp, false);
  s.set_bool(settings_pack::enable_natpmp, false);
  s.set_bool(settings_pack::enable_outgoing_utp, false);
  s.set_bool(settings_pack::enable_incoming_utp, false);
  // Obfuscation is no security and costs more than TLS would.
  s.set_int(settings_pack::out_enc_policy, settings_pack::pe_disabled);
  s.set_int(settings_pack::in_enc_policy, settings_pack::pe_disabled);
  s.set_bool(settings_pack::enable_set_file_valid_data, false);
}

void connections(settings_pack& s, int connections_max) {
  // A peer that needs nothing now may be allowed a piece the next moment.
  s.set_bool(settings_pack::close_redundant_connections, false);
  s.set_bool(settings_pack::allow_multiple_connections_per_ip, true);
  s.set_bool(settings_pack::smooth_connects, false);
  s.set_int(settings_pack::connections_limit, connections_max);
  s.set_int(settings_pack::connection_speed, kListenQueue);
  s.set_int(settings_pack::listen_queue_size, kListenQueue);
  s.set_int(settings_pack::min_reconnect_time, kReconnectSeconds);
  s.set_int(settings_pack::max_failcount, kFailuresMax);
  s.set_int(settings_pack::torrent_connect_boost, kDialsAtOnce);
  s.set_int(settings_pack::peer_connect_timeout, kConnectSeconds);
  s.set_int(settings_pack::handshake_timeout, kHandshakeSeconds);
  s.set_int(settings_pack::stop_tracker_timeout, kTrackerGoodbyeSeconds);
  s.set_int(settings_pack::local_service_announce_interval, kDiscoverySeconds);
  s.set_int(settings_pack::tick_interval, kTickMs);
}

void exchange(settings_pack& s) {
  s.set_int(settings_pack::unchoke_slots_limit, -1);
  s.set_int(settings_pack::active_downloads, -1);
  s.set_int(settings_pack::active_seeds, -1);
  s.set_int(settings_pack::active_limit, -1);
  s.set_int(settings_pack::active_lsd_limit, -1);
  s.set_int(settings_pack::active_tracker_limit, -1);
  s.set_int(settings_pack::max_out_request_queue, kRequestsAhead);
  s.set_int(settings_pack::max_allowed_in_request_queue, kRequestsAhead);
  s.set_int(settings_pack::request_queue_time, 1);
  // Who has a piece need not be told that others get it: half of a site's HAVE messages, each a
  // packet of its own.
  s.set_bool(settings_pack::send_redundant_have, false);
  // Otherwise megabytes of contiguous pieces are reserved at one fast peer.
  s.set_int(settings_pack::whole_pieces_threshold, 0);
  s.set_int(settings_pack::send_buffer_watermark, kSendBufferBytes);
  s.set_int(settings_pack::send_buffer_low_watermark, kSendBufferBytes / 2);
  s.set_int(settings_pack::send_buffer_watermark_factor, 10);
  s.set_int(settings_pack::send_socket_buffer_size, 0);  // the kernel's own tuning
  s.set_bool(settings_pack::rate_limit_ip_overhead, false);
}

}  // namespace

lt::settings_pack session_settings(const lt::tcp::endpoint& listen, bool local_discovery,
                                   int connections_max) {
  settings_pack s;
  only_what_we_use(s);
  connections(s, connections_max);
  exchange(s);
  s.set_bool(settings_pack::enable_lsd, local_discovery);
  s.set_str(settings_pack::listen_interfaces, to_string(listen));
  // The port that was asked for, or an error: somebody has told others about it.
  s.set_int(settings_pack::max_retry_port_bind, 0);
  s.set_bool(settings_pack::listen_system_port_fallback, false);
  s.set_str(settings_pack::user_agent, "Lanward/" LANWARD_VERSION);
  s.set_str(settings_pack::peer_fingerprint, "-LD0100-");
  // Whether the port could be bound is the only thing alerts are needed for.
  s.set_int(settings_pack::alert_mask, lt::alert_category::status | lt::alert_category::error);
  return s;
}

void limit_peers(lt::session_handle& session, int upload_rate, int download_rate,
                 std::optional<int> slots) {
  // Addresses of local networks have a class of their own, which is above the limits of the
  // session. All get into it.
  const auto local = lt::session_handle::local_peer_class_id;
  const std::uint32_t only_local = 1U << static_cast<std::uint32_t>(local);
  lt::ip_filter classes;
  classes.add_rule(lt::address_v4(0), lt::address_v4(~std::uint32_t{0}), only_local);
  lt::address_v6::bytes_type last;
  last.fill(0xff);
  classes.add_rule(lt::address_v6(), lt::address_v6(last), only_local);
  session.set_peer_class_filter(classes);
  lt::peer_class_info info = session.get_peer_class(local);
  info.upload_limit = upload_rate;
  info.download_limit = download_rate;
  // Never changed later: libtorrent counts those who have a slot, and loses count if they stop
  // needing one.
  info.ignore_unchoke_slots = !slots;
  session.set_peer_class(local, info);
  if (!slots) return;
  lt::settings_pack turns;
  // Pieces that peers may ask for although they are choked.
  turns.set_int(settings_pack::allowed_fast_set_size, 0);
  turns.set_int(settings_pack::unchoke_interval, kTurnSeconds);
  turns.set_int(settings_pack::optimistic_unchoke_interval, kTurnSeconds);
  session.apply_settings(turns);
  set_upload_slots(session, *slots);
}

void set_upload_slots(lt::session_handle& session, int slots) {
  lt::settings_pack change;
  change.set_int(settings_pack::unchoke_slots_limit, slots);
  session.apply_settings(change);
}

}  // namespace lanward::peer
