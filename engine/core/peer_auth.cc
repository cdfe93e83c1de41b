#include "engine/core/peer_auth.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <string_view>
#include <utility>

#include "engine/core/hmac.h"

namespace lanward::core {
namespace {

constexpr std::string_view kLabel = "lanward auth 1";

enum class Step : std::uint8_t { hello = 1, confirmation = 2 };

// What is proved, in fields of fixed length: no two different things have the same bytes.
class Statement {
 public:
  Statement(Step step, bool by_dialler) {
    put(kLabel);
    bytes_.push_back(static_cast<std::uint8_t>(step));
    bytes_.push_back(by_dialler ? 1 : 0);
  }
  template <class Bytes>
  Statement& put(const Bytes& bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Statement& put(const Endpoint& endpoint) {
    put(endpoint.address);
    bytes_.push_back(static_cast<std::uint8_t>(endpoint.port >> 8U));
    bytes_.push_back(static_cast<std::uint8_t>(endpoint.port & 0xffU));
    return *this;
  }
  [[nodiscard]] const std::vector<std::uint8_t>& bytes() const { return bytes_; }

 private:
  std::vector<std::uint8_t> bytes_;
};

void put_id(std::vector<std::uint8_t>& bytes, std::uint32_t id) {
  for (const unsigned shift : {24U, 16U, 8U, 0U}) {
    bytes.push_back(static_cast<std::uint8_t>(id >> shift));
  }
}

std::uint32_t id_at(std::span<const std::uint8_t> bytes) {
  std::uint32_t id = 0;
  for (std::size_t i = 0; i < 4; ++i) id = id << 8U | bytes[i];
  return id;
}

constexpr std::size_t kHelloHead = 1 + 16 + 1;
constexpr std::size_t kProof = 4 + 32;

}  // namespace

PeerAuth::PeerAuth(const AuthChannel& channel, std::vector<GroupKey> keys, const AuthNonce& nonce,
                   Sha256Fn sha256)
    : channel_(channel), keys_(std::move(keys)), nonce_(nonce), sha256_(sha256) {
  assert(keys_.size() <= kGroupKeysMax);
  if (keys_.empty()) refuse("every key of the group has expired");
}

bool PeerAuth::refuse(std::string why) {
  state_ = State::refused;
  why_ = std::move(why);
  return false;
}

Digest PeerAuth::early_proof(const GroupKey& key, bool ours, const AuthNonce& nonce,
                             const AuthMemberId& member) const {
  Statement statement(Step::hello, channel_.dialled == ours);
  statement.put(ours ? channel_.own_id : channel_.their_id)
      .put(ours ? channel_.their_id : channel_.own_id)
      .put(member)
      .put(nonce)
      .put(channel_.swarm)
      .put(channel_.dialled_at);
  return hmac_sha256(key.secret, statement.bytes(), sha256_);
}

Digest PeerAuth::late_proof(bool ours) const {
  Statement statement(Step::confirmation, channel_.dialled == ours);
  statement.put(ours ? channel_.own_id : channel_.their_id)
      .put(ours ? channel_.their_id : channel_.own_id)
      .put(ours ? channel_.own_member : their_member_)
      .put(ours ? their_member_ : channel_.own_member)
      .put(ours ? nonce_ : their_nonce_)
      .put(ours ? their_nonce_ : nonce_)
      .put(channel_.swarm)
      .put(channel_.dialled_at);
  return hmac_sha256(key_->secret, statement.bytes(), sha256_);
}

std::vector<std::uint8_t> PeerAuth::hello() const {
  std::vector<std::uint8_t> bytes{kAuthVersion};
  bytes.insert(bytes.end(), nonce_.begin(), nonce_.end());
  bytes.push_back(static_cast<std::uint8_t>(keys_.size()));
  for (const GroupKey& key : keys_) {
    put_id(bytes, key.id);
    const Digest proof = early_proof(key, true, nonce_, channel_.own_member);
    bytes.insert(bytes.end(), proof.begin(), proof.end());
  }
  return bytes;
}

std::optional<std::vector<std::uint8_t>> PeerAuth::take_hello(std::span<const std::uint8_t> bytes,
                                                              const AuthMemberId& their_member) {
  const auto refused = [this](std::string why) {
    refuse(std::move(why));
    return std::nullopt;
  };
  if (state_ == State::refused) return std::nullopt;
  if (state_ != State::expects_hello) return refused("a second hello");
  if (bytes.size() < kHelloHead || bytes[0] != kAuthVersion) {
    return refused("a hello of another version, or none");
  }
  const std::size_t count = bytes[kHelloHead - 1];
  if (count > kGroupKeysMax || bytes.size() != kHelloHead + count * kProof) {
    return refused("a malformed hello");
  }
  std::copy_n(bytes.begin() + 1, their_nonce_.size(), their_nonce_.begin());
  their_member_ = their_member;
  if (their_nonce_ == nonce_) return refused("its own hello sent back");
  bool in_common = false;
  for (const GroupKey& key : keys_) {
    for (std::size_t i = 0; i < count && !key_; ++i) {
      const auto entry = bytes.subspan(kHelloHead + i * kProof, kProof);
      if (id_at(entry) != key.id) continue;
      in_common = true;
      const Digest proof = early_proof(key, false, their_nonce_, their_member_);
      if (equal_secrets(entry.subspan(4), proof)) key_ = key;
    }
  }
  lacks_key_ = !key_.has_value();
  if (!key_) return refused(in_common ? "a wrong proof" : "no key in common");
  state_ = State::expects_confirmation;
  std::vector<std::uint8_t> answer{kAuthVersion};
  put_id(answer, key_->id);
  const Digest proof = late_proof(true);
  answer.insert(answer.end(), proof.begin(), proof.end());
  return answer;
}

bool PeerAuth::take_confirmation(std::span<const std::uint8_t> bytes) {
  if (state_ == State::refused) return false;
  if (state_ != State::expects_confirmation) return refuse("a confirmation out of turn");
  if (bytes.size() != kAuthConfirmationBytes || bytes[0] != kAuthVersion) {
    return refuse("a malformed confirmation");
  }
  // The other end may prefer the other one of two keys that both have.
  const std::uint32_t id = id_at(bytes.subspan(1));
  const auto key = std::find_if(keys_.begin(), keys_.end(),
                                [id](const GroupKey& known) { return known.id == id; });
  if (key == keys_.end()) return refuse("a confirmation with an unknown key");
  key_ = *key;
  if (!equal_secrets(bytes.subspan(5), late_proof(false))) return refuse("a wrong confirmation");
  state_ = State::accepted;
  return true;
}

void PeerAuth::expire() {
  if (state_ != State::accepted && state_ != State::refused) refuse("no proof in time");
}

}  // namespace lanward::core
