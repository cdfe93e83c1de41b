// LAN peers by libtorrent.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <lanward/error.h>

#include "engine/ports/loop.h"
#include "engine/ports/swarm.h"

namespace lanward::peer {

struct SwarmOptions {
  // ADDRESS:PORT or [ADDRESS]:PORT, port 0: any free port. Empty: 0.0.0.0:0.
  std::string listen;
  // Announce and look for peers by multicast on the local network (BEP 14).
  bool local_discovery = true;
  // Where completions of leave() are posted. Null: they are called on any thread.
  ports::Loop* loop = nullptr;
};

// One libtorrent session. Members outlive it harmlessly: they have no peers any more.
class LibtorrentSwarm final : public ports::Swarm {
 public:
  // Errors: invalid_argument (the address makes no sense), network (it cannot be bound).
  [[nodiscard]] static Result<std::unique_ptr<LibtorrentSwarm>> create(SwarmOptions options);
  // Waits for the session to end, but not for ever.
  ~LibtorrentSwarm() override;

  [[nodiscard]] std::optional<std::uint16_t> listen_port() const;

  // Peers that are not ADDRESS:PORT are ignored; parse_endpoint() checks them beforehand.
  [[nodiscard]] std::unique_ptr<ports::SwarmMember> join(const ports::SwarmRequest& request,
                                                         ports::FactSink facts) override;

 private:
  class Session;
  explicit LibtorrentSwarm(std::shared_ptr<Session> session);
  // REQUIRES: a port that is not 0.
  [[nodiscard]] static Result<std::unique_ptr<LibtorrentSwarm>> start(const SwarmOptions& options,
                                                                      const std::string& address);
  std::shared_ptr<Session> session_;
};

}  // namespace lanward::peer
