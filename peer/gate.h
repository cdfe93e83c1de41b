// Who may become a peer: the group's keys as they are now, and addresses that are left out.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <lanward/error.h>

#include <libtorrent/socket.hpp>

#include "engine/core/group.h"
#include "engine/core/merkle.h"
#include "engine/core/peer_auth.h"
#include "engine/core/peer_guard.h"

namespace lanward::peer {

// One for all members of a swarm. Any thread, unless said otherwise.
class Gate {
 public:
  // Open to everybody.
  Gate() = default;
  // For members of the group in the file only. Errors: as read_group().
  [[nodiscard]] static Result<std::shared_ptr<Gate>> open(const std::string& group_file,
                                                          core::Sha256Fn sha256);

  [[nodiscard]] bool is_guarded() const { return !file_.empty(); }
  [[nodiscard]] core::Sha256Fn sha256() const { return sha256_; }
  // Reads the file again; whether that changed anything. A file that makes no sense changes
  // nothing: its keys may have been replaced by an editor's half of a file, and members must not
  // fall apart for that.
  Result<bool> reload();

  // REQUIRES: is_guarded().
  [[nodiscard]] std::vector<core::GroupKey> keys() const;
  [[nodiscard]] bool accepts(std::uint32_t key_id) const;
  // The name by which the group calls the content. REQUIRES: is_guarded().
  [[nodiscard]] core::Digest veiled(const core::Digest& infohash) const;
  [[nodiscard]] core::PeerAuth begin(const core::AuthChannel& channel) const;

  // Network thread only. Also where everybody is welcome.
  [[nodiscard]] bool refuses(const lt::tcp::endpoint& remote) const;
  void failed(const lt::tcp::endpoint& remote);
  void harmed(const lt::tcp::endpoint& remote);
  void succeeded(const lt::tcp::endpoint& remote);

 private:
  std::string file_;  // empty: open
  core::Sha256Fn sha256_ = nullptr;
  mutable std::mutex mutex_;
  core::Group group_;
  core::PeerGuard guard_;
};

}  // namespace lanward::peer
