// LAN peers by libtorrent.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <lanward/error.h>

#include "engine/core/merkle.h"
#include "engine/ports/loop.h"
#include "engine/ports/swarm.h"
#include "peer/machine_facts.h"

namespace lanward::peer {

// As lanward::PeerLimits.
struct SwarmLimits {
  std::uint64_t upload_bytes_per_s = 0;    // 0: no limit
  std::uint64_t download_bytes_per_s = 0;  // likewise
  bool upload = true;
  std::uint32_t connections_max = 1000;
  std::optional<std::uint32_t> connections_per_content_max;
  std::uint32_t upload_slots = 0;            // 0: no limit
  std::uint64_t upload_bytes_per_month = 0;  // likewise
  SharingRules sharing;
};
// libtorrent counts in an int.
inline constexpr std::uint64_t kPeerRateMax = 2'000'000'000;

struct SwarmOptions {
  // ADDRESS:PORT or [ADDRESS]:PORT, port 0: any free port. Empty: 0.0.0.0:0, or [::]:0 where
  // the machine has no IPv4 addresses but on loopback now.
  std::string listen;
  // Announce and look for peers by multicast on the local network (BEP 14).
  bool local_discovery = true;
  // Find peers by our own beacon (docs/protocol.md), too.
  bool beacon = false;
  // And by what the beacon says by DNS-SD, where there is an Avahi daemon.
  bool dns_sd = false;
  // Where completions of leave() are posted. Null: they are called on any thread.
  ports::Loop* loop = nullptr;
  // File of the group whose members alone are peers (docs/security.md); it is read again whenever
  // it changes. Empty: everybody on the network is.
  std::string group_file;
  // File of the rules which addresses may be peers (docs/security.md); read again whenever it
  // changes. Empty, or not there: those for local use.
  std::string rules_file;
  SwarmLimits limits;      // REQUIRES: rates up to kPeerRateMax
  std::string count_file;  // with upload_bytes_per_month: where it is counted
  MachinePlaces places;    // with rules about the machine: where they look,
  std::chrono::milliseconds look_interval = std::chrono::seconds{30};  // and how often
  core::Sha256Fn sha256 = nullptr;                                     // with a group or a beacon
};

// One libtorrent session. Members outlive it harmlessly: they have no peers any more.
class LibtorrentSwarm final : public ports::Swarm {
 public:
  // Errors: invalid_argument (the address makes no sense), network (it cannot be bound), those of
  // read_group(), read_peer_rules() and UploadGuard::create().
  [[nodiscard]] static Result<std::unique_ptr<LibtorrentSwarm>> create(SwarmOptions options);
  // Waits for the session to end, but not for ever.
  ~LibtorrentSwarm() override;

  [[nodiscard]] std::optional<std::uint16_t> listen_port() const;

  // Peers that are not ADDRESS:PORT are ignored; parse_endpoint() checks them beforehand.
  [[nodiscard]] std::unique_ptr<ports::SwarmMember> join(const ports::SwarmRequest& request,
                                                         ports::FactSink facts) override;
  [[nodiscard]] UploadStatus upload_status() const override;
  [[nodiscard]] std::string remark() const override;

 private:
  class Session;
  explicit LibtorrentSwarm(std::shared_ptr<Session> session);
  // REQUIRES: a port that is not 0.
  [[nodiscard]] static Result<std::unique_ptr<LibtorrentSwarm>> start(const SwarmOptions& options,
                                                                      const std::string& address);
  std::shared_ptr<Session> session_;
};

}  // namespace lanward::peer
