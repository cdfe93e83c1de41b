#include "engine/core/beacon.h"

#include <algorithm>
#include <cassert>
#include <string>
#include <string_view>
#include <utility>

#include "engine/core/hmac.h"

namespace lanward::core {
namespace {

constexpr std::array<std::uint8_t, 4> kMagic{'L', 'W', 'B', 1};  // the last byte is the version
constexpr std::string_view kTagLabel = "lanward tag 1";
constexpr std::string_view kProofLabel = "lanward beacon 1";
constexpr std::size_t kHead = 4 + 1 + 8 + 4 + 8 + 2 + 1;
constexpr std::size_t kCutProof = 16;  // bytes of the HMAC that are sent
constexpr std::size_t kProof = 4 + kCutProof;
// What was never meant as a time.
constexpr std::uint64_t kTimeMax = 1ULL << 40U;
// How late a receiver of the hour before, or after, may be.
constexpr std::chrono::hours kTagTime{1};

template <class Unsigned>
void put(std::vector<std::uint8_t>& bytes, Unsigned value) {
  for (std::size_t i = sizeof(Unsigned); i-- > 0;) {
    bytes.push_back(static_cast<std::uint8_t>(std::uint64_t{value} >> (8 * i)));
  }
}

template <class Unsigned>
Unsigned get(std::span<const std::uint8_t> bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(Unsigned); ++i) value = value << 8U | bytes[at + i];
  return static_cast<Unsigned>(value);
}

Digest proof_of(std::span<const std::uint8_t> statement, const GroupKey& key, Sha256Fn sha256) {
  std::vector<std::uint8_t> bytes(kProofLabel.begin(), kProofLabel.end());
  bytes.insert(bytes.end(), statement.begin(), statement.end());
  return hmac_sha256(key.secret, bytes, sha256);
}

tl::unexpected<Error> malformed(const char* what) {
  return fail(ErrorCode::invalid_argument, std::string("beacon: ") + what);
}

// Whether one of the proofs is right.
bool is_proved(std::span<const std::uint8_t> statement, std::span<const std::uint8_t> proofs,
               std::span<const GroupKey> keys, Sha256Fn sha256) {
  for (std::size_t at = 0; at < proofs.size(); at += kProof) {
    for (const GroupKey& key : keys) {
      if (get<std::uint32_t>(proofs, at) != key.id) continue;
      const Digest proof = proof_of(statement, key, sha256);
      if (equal_secrets(proofs.subspan(at + 4, kCutProof), std::span(proof).first(kCutProof))) {
        return true;
      }
    }
  }
  return false;
}

}  // namespace

std::uint64_t beacon_tag(const Digest& swarm, WallTime time, Sha256Fn sha256) {
  std::vector<std::uint8_t> bytes(kTagLabel.begin(), kTagLabel.end());
  put(bytes, static_cast<std::uint64_t>(
                 std::chrono::floor<std::chrono::hours>(time.time_since_epoch()) / kTagTime));
  return get<std::uint64_t>(hmac_sha256(swarm, bytes, sha256), 0);
}

std::vector<std::uint8_t> write_beacon(const BeaconMessage& message, std::span<const GroupKey> keys,
                                       Sha256Fn sha256) {
  assert(!message.tags.empty() && message.tags.size() <= kBeaconTagsMax);
  assert(keys.size() <= kGroupKeysMax);
  std::vector<std::uint8_t> bytes(kMagic.begin(), kMagic.end());
  bytes.push_back(static_cast<std::uint8_t>(keys.size()));
  put(bytes, message.sender);
  put(bytes, message.sequence);
  put(bytes, static_cast<std::uint64_t>(message.time.time_since_epoch().count()));
  put(bytes, message.port);
  bytes.push_back(static_cast<std::uint8_t>(message.tags.size()));
  for (const std::uint64_t tag : message.tags) put(bytes, tag);
  const std::size_t end = bytes.size();
  for (const GroupKey& key : keys) {
    const Digest proof = proof_of(std::span(bytes).first(end), key, sha256);
    put(bytes, key.id);
    bytes.insert(bytes.end(), proof.begin(), proof.begin() + kCutProof);
  }
  return bytes;
}

Result<BeaconMessage> read_beacon(std::span<const std::uint8_t> bytes,
                                  std::span<const GroupKey> keys, Sha256Fn sha256) {
  if (bytes.size() < kHead) return malformed("too short");
  if (!std::equal(kMagic.begin(), kMagic.end() - 1, bytes.begin())) return malformed("no beacon");
  if (bytes[3] != kMagic[3]) {
    return fail(ErrorCode::unsupported, "beacon of version " + std::to_string(bytes[3]));
  }
  const std::size_t proofs = bytes[4];
  const std::size_t count = bytes[kHead - 1];
  if (proofs > kGroupKeysMax) return malformed("too many proofs");
  if (count == 0 || count > kBeaconTagsMax) return malformed("a wrong number of tags");
  if (bytes.size() != kHead + 8 * count + kProof * proofs) return malformed("a wrong length");
  const std::size_t end = kHead + 8 * count;
  // Of a stranger no field is looked at.
  if (keys.empty() != (proofs == 0) ||
      (proofs > 0 && !is_proved(bytes.first(end), bytes.subspan(end), keys, sha256))) {
    return fail(ErrorCode::access_denied, "beacon: not by a member");
  }
  BeaconMessage message{.sender = get<std::uint64_t>(bytes, 5),
                        .sequence = get<std::uint32_t>(bytes, 13),
                        .port = get<std::uint16_t>(bytes, 25)};
  const auto time = get<std::uint64_t>(bytes, 17);
  if (time > kTimeMax) return malformed("a wrong time");
  if (message.port == 0) return malformed("no port");
  message.time = WallTime{std::chrono::seconds{static_cast<std::int64_t>(time)}};
  for (std::size_t i = 0; i < count; ++i) {
    message.tags.push_back(get<std::uint64_t>(bytes, kHead + 8 * i));
  }
  return message;
}

// ---- BeaconMemory ------------------------------------------------------------------------------

bool BeaconMemory::is_news(const BeaconMessage& message, WallTime now) {
  const auto age = now - message.time;
  if (age > kClockSkewMax || age < -kClockSkewMax) return false;
  const auto known = senders_.find(message.sender);
  if (known == senders_.end()) {
    if (senders_.size() >= kSendersMax) {
      senders_.erase(std::min_element(
          senders_.begin(), senders_.end(),
          [](const auto& a, const auto& b) { return a.second.heard_at < b.second.heard_at; }));
    }
    senders_[message.sender] = {.highest = message.sequence, .seen = 1, .heard_at = ++heard_};
    return true;
  }
  Sender& sender = known->second;
  if (message.sequence > sender.highest) {
    const std::uint32_t ahead = message.sequence - sender.highest;
    sender.seen = ahead < 64 ? sender.seen << ahead | 1U : 1U;
    sender.highest = message.sequence;
  } else {
    const std::uint32_t behind = sender.highest - message.sequence;
    if (behind >= 64 || (sender.seen >> behind & 1U) != 0) return false;
    sender.seen |= std::uint64_t{1} << behind;
  }
  sender.heard_at = ++heard_;
  return true;
}

// ---- BeaconSchedule ----------------------------------------------------------------------------

void BeaconSchedule::add(ContentId id, Instant now) { contents_[id] = {.due = now}; }

void BeaconSchedule::restart(Instant now) {
  for (auto& [id, content] : contents_) content = {.due = now};
}

bool BeaconSchedule::take_token(Instant now) {
  constexpr Duration kToken = Duration{std::chrono::seconds{1}} / kPerSecond;
  if (!refilled_) refilled_ = now;
  const auto gained = std::max<std::int64_t>(0, (now - *refilled_) / kToken);
  if (gained >= static_cast<std::int64_t>(kBurst - tokens_)) {
    tokens_ = kBurst;
    refilled_ = now;
  } else {
    tokens_ += static_cast<std::uint32_t>(gained);
    *refilled_ += gained * kToken;
  }
  if (tokens_ > 0) {
    --tokens_;
    held_until_.reset();
    return true;
  }
  held_until_ = *refilled_ + kToken;
  return false;
}

void BeaconSchedule::sent(Content& content, Instant now) {
  if (content.repeats < kRepeats.size()) {
    content.due = now + kRepeats[content.repeats++];
    return;
  }
  const auto quarter = static_cast<std::uint64_t>(Duration{kPeriod}.count() / 4);
  content.due = now + Duration{kPeriod} - Duration{static_cast<std::int64_t>(quarter)} +
                Duration{static_cast<std::int64_t>(random_.below(2 * quarter))};
}

std::vector<BeaconSchedule::ContentId> BeaconSchedule::due(Instant now) {
  std::vector<std::pair<Instant, ContentId>> soon;
  bool any = false;
  for (const auto& [id, content] : contents_) {
    any = any || content.due <= now;
    // Quick repeats come when they are due; gathering is for the announcements now and then.
    const bool gathered = content.repeats == kRepeats.size() && content.due <= now + kGather;
    if (content.due <= now || gathered) soon.emplace_back(content.due, id);
  }
  std::vector<ContentId> chosen;
  if (!any || !take_token(now)) return chosen;
  std::sort(soon.begin(), soon.end());
  soon.resize(std::min(soon.size(), kBeaconTagsMax));
  for (const auto& [when, id] : soon) {
    sent(contents_[id], now);
    chosen.push_back(id);
  }
  return chosen;
}

std::optional<Instant> BeaconSchedule::next() const {
  std::optional<Instant> first;
  for (const auto& [id, content] : contents_) {
    if (!first || content.due < *first) first = content.due;
  }
  if (first && held_until_ && *held_until_ > *first) first = held_until_;
  return first;
}

bool answers_beacon(std::uint32_t neighbours, Prng& random) {
  return neighbours < kBeaconNeighbours || random.below(neighbours + 1) < kBeaconNeighbours;
}

}  // namespace lanward::core
