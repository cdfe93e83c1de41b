#include "peer/lease_inbox.h"

#include <algorithm>
#include <utility>

namespace lanward::peer {
namespace {

constexpr std::chrono::nanoseconds kToken{1'000'000'000 / LeaseInbox::kPerSecond};
constexpr std::chrono::nanoseconds kFull = kToken * LeaseInbox::kBurstMax;

}  // namespace

bool LeaseInbox::admit(TimePoint now) {
  const TimePoint fullest = now - kFull;
  if (!empty_at_ || *empty_at_ < fullest) empty_at_ = fullest;
  if (now - *empty_at_ < kToken) return false;
  *empty_at_ += kToken;
  return true;
}

std::optional<core::LeaseMessage> LeaseInbox::take(std::span<const std::uint8_t> bytes,
                                                   TimePoint now) {
  if (!admit(now)) {
    ++dropped_;
    return std::nullopt;
  }
  if (bytes.size() > core::kLeaseMessageBytesMax) {
    ++nonsense_;
    return std::nullopt;
  }
  auto message = core::decode(bytes);
  if (message) return std::move(*message);
  if (message.error().code != ErrorCode::unsupported) ++nonsense_;
  return std::nullopt;
}

}  // namespace lanward::peer
