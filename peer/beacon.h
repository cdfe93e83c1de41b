// Finds peers by our own multicast beacon (docs/protocol.md).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include <libtorrent/socket.hpp>

#include "engine/core/beacon.h"
#include "engine/core/token_bucket.h"
#include "peer/beacon_socket.h"
#include "peer/dns_sd.h"
#include "peer/gate.h"

namespace lanward::peer {

// One for all members of a swarm. Sends and hears on a thread of its own.
class Beacon {
 public:
  using ContentId = core::BeaconSchedule::ContentId;
  // Somebody at this address accepts connections for the content. Called on the beacon's thread,
  // under its lock: it must only pass the news on.
  using Found = std::function<void(const lt::tcp::endpoint&)>;

  // How what is said gets to others: by datagrams of multicast, by DNS-SD.
  struct Ways {
    bool multicast = true;
    bool dns_sd = false;
  };
  // Where peers are accepted; an unspecified address: on every interface that core's rules choose.
  // Null if the system gives no socket, and there is no other way: then there is no beacon.
  [[nodiscard]] static std::unique_ptr<Beacon> start(const lt::tcp::endpoint& listen,
                                                     std::shared_ptr<Gate> gate,
                                                     core::Sha256Fn sha256, Ways ways);
  ~Beacon();

  // Announces the content at once, and tells of those who announce it. Any thread.
  [[nodiscard]] ContentId add(const core::Digest& swarm, Found found);
  // No call of its `found` follows. Any thread.
  void remove(ContentId id);
  // Announces everything anew: who did not listen before may do so now. Any thread.
  void announce_again();
  // Why DNS-SD, which was asked for, finds nobody; empty: it works, or nobody asked. Any thread.
  [[nodiscard]] std::string trouble();

 private:
  Beacon(const lt::tcp::endpoint& listen, std::shared_ptr<Gate> gate, core::Sha256Fn sha256,
         std::vector<BeaconSocket> sockets, bool dns_sd);

  struct Content {
    core::Digest swarm{};
    Found found;
    std::uint64_t tag = 0;
  };
  void run();
  void wake();
  void choose_interfaces();
  void send_due();  // REQUIRES: mutex_
  void hear(BeaconSocket& socket);
  void take(std::span<const std::uint8_t> datagram, std::span<const core::GroupKey> keys,
            const lt::address& from);
  // What is to be said at that moment; empty: nothing can be. REQUIRES: mutex_.
  [[nodiscard]] std::vector<std::uint8_t> datagram_of(const std::vector<ContentId>& contents,
                                                      std::uint64_t sender, std::uint32_t sequence);
  void list_soon();  // by DNS-SD. REQUIRES: mutex_
  void list_due();
  void renew_tags(core::WallTime now);  // REQUIRES: mutex_
  void add_tags(ContentId id, Content& content, core::WallTime now);
  void hit(const core::BeaconMessage& message, const lt::address& from);  // REQUIRES: mutex_
  [[nodiscard]] int time_to_next();

  const lt::tcp::endpoint listen_;
  const std::shared_ptr<Gate> gate_;
  const core::Sha256Fn sha256_;
  const std::uint64_t sender_;
  const std::uint64_t listed_as_;  // the sender of what DNS-SD says: it is numbered by itself
  const bool uses_dns_sd_;
  std::unique_ptr<DnsSd> dns_sd_;  // thread_ only
  std::vector<BeaconSocket> sockets_;
  int wake_ = -1;
  int changes_ = -1;

  std::mutex mutex_;  // for all that follows
  bool ending_ = false;
  std::map<ContentId, Content> contents_;
  // Tags of this hour and of those beside it, for clocks that differ.
  std::unordered_multimap<std::uint64_t, ContentId> tags_;
  std::int64_t tags_hour_ = -1;
  core::BeaconSchedule schedule_;
  core::BeaconMemory memory_;
  core::TokenBucket hits_;
  std::uint64_t next_id_ = 1;
  std::uint32_t sequence_ = 0;
  std::optional<core::Instant> list_at_;
  std::uint32_t list_sequence_ = 0;
  std::string trouble_;
  std::thread thread_;
};

}  // namespace lanward::peer
