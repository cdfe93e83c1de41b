#include "peer/gate.h"

#include <algorithm>
#include <utility>

#include "peer/endpoint.h"
#include "peer/group_file.h"

namespace lanward::peer {
namespace {

core::Instant now() { return core::Instant{std::chrono::steady_clock::now().time_since_epoch()}; }

core::WallTime wall_time() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

}  // namespace

Result<std::shared_ptr<Gate>> Gate::open(const std::string& group_file, core::Sha256Fn sha256) {
  auto gate = std::make_shared<Gate>();
  gate->file_ = group_file;
  gate->sha256_ = sha256;
  if (auto loaded = gate->reload(); !loaded) return tl::unexpected(loaded.error());
  return gate;
}

Result<bool> Gate::reload() {
  if (!is_guarded()) return false;
  auto group = read_group(file_);
  if (!group) return tl::unexpected(group.error());
  const std::lock_guard lock(mutex_);
  // Another group has other swarms: that takes another engine.
  if (!group_.keys.empty() && (group->id != group_.id || group->veil != group_.veil)) {
    return fail(ErrorCode::invalid_state, file_ + ": is of another group now; start again");
  }
  if (group_ == *group) return false;
  group_ = std::move(*group);
  return true;
}

std::vector<core::GroupKey> Gate::keys() const {
  const std::lock_guard lock(mutex_);
  return core::accepted_keys(group_, wall_time());
}

bool Gate::accepts(std::uint32_t key_id) const {
  const auto accepted = keys();
  return std::any_of(accepted.begin(), accepted.end(),
                     [key_id](const core::GroupKey& key) { return key.id == key_id; });
}

core::Digest Gate::veiled(const core::Digest& infohash) const {
  const std::lock_guard lock(mutex_);
  return core::veiled_name(group_.veil, infohash, sha256_);
}

core::PeerAuth Gate::begin(const core::AuthChannel& channel) const {
  core::AuthNonce nonce{};
  fill_random(nonce);
  return {channel, keys(), nonce, sha256_};
}

bool Gate::refuses(const lt::tcp::endpoint& remote) const {
  return guard_.refuses(to_core(remote).address, now());
}

void Gate::failed(const lt::tcp::endpoint& remote) {
  guard_.failed(to_core(remote).address, now());
}

void Gate::harmed(const lt::tcp::endpoint& remote) {
  guard_.harmed(to_core(remote).address, now());
}

void Gate::succeeded(const lt::tcp::endpoint& remote) { guard_.succeeded(to_core(remote).address); }

}  // namespace lanward::peer
