// How much a peer may say beside the bytes of files.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace lanward::peer {

// Reading messages and answering them takes the network thread of everybody. Pure: totals and the
// time come in.
class TalkBudget {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Said at once: the bit field of a million pieces, and HAVE messages of the first moment.
  static constexpr std::uint64_t kBurst = 1 << 20;
  // Per second: HAVE messages of 29,000 pieces, and more than a busy puller says besides.
  static constexpr std::uint64_t kPerSecond = 1 << 18;
  // A request has 17 bytes for 16 KiB, and a block 13 of its own; this allows four times as much.
  static constexpr std::uint64_t kPayloadShare = 128;
  // What waits to be sent to it: far more than blocks that were asked for, and as much as HAVE
  // messages of 233,000 pieces to a machine that hangs.
  static constexpr std::int64_t kUnreadMax = 2 << 20;

  explicit TalkBudget(TimePoint now) : last_(now) {}

  // `talk`, `payload`: bytes of the connection so far; payload in both directions.
  [[nodiscard]] bool allows(std::uint64_t talk, std::uint64_t payload, TimePoint now) {
    const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(now - last_).count();
    const std::uint64_t earned =
        static_cast<std::uint64_t>(std::max<std::int64_t>(0, passed)) * kPerSecond / 1000 +
        (payload - payload_) / kPayloadShare;
    left_ = std::min<std::int64_t>(left_ + static_cast<std::int64_t>(earned), kBurst);
    left_ -= static_cast<std::int64_t>(talk - talk_);
    talk_ = talk;
    payload_ = payload;
    last_ = now;
    return left_ >= 0;
  }

 private:
  std::int64_t left_ = kBurst;
  std::uint64_t talk_ = 0;
  std::uint64_t payload_ = 0;
  TimePoint last_;
};

}  // namespace lanward::peer
