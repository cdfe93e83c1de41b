#include "engine/core/takeover.h"

#include <algorithm>
#include <chrono>

namespace lanward::core {
namespace {

// A request that brings nothing for so long has stalled; one that is younger may still be on its
// way. Three times the origin's usual latency, if that is more. A false alarm costs a connection.
constexpr Duration kQuiet = std::chrono::milliseconds{300};
// And a block, which must come anew: so the time of several at the helper's rate, if that is more,
// or else slow links would do nothing but change hands. The second: its rate is unknown.
constexpr std::uint64_t kQuietBytes = 4 * kBlockBytes;
constexpr Duration kQuietUnknown = std::chrono::seconds{2};
// Cutting a request costs its connection: it must win more time than setting up one takes.
constexpr Duration kGainMin = std::chrono::milliseconds{100};

Duration time_for(std::uint64_t bytes, ByteRate rate) {
  return std::chrono::microseconds{bytes * 1'000'000 / std::max<std::uint64_t>(rate.value, 1)};
}

std::uint64_t bytes_in(Duration time, ByteRate rate) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
  return rate.value * static_cast<std::uint64_t>(ms) / 1000;
}

}  // namespace

std::optional<RequestEnd> foresee(const OriginRequest& request, const Lane& own, const Lane& helper,
                                  Instant now) {
  RateMeter meter = request.rate;
  RequestEnd end{.bytes = request.span.end - std::min(request.span.end, request.progressed),
                 .rate = meter.rate(now)};
  const Duration patience =
      std::max({kQuiet, 3 * own.latency,
                helper.rate.value == 0 ? kQuietUnknown : time_for(kQuietBytes, helper.rate)});
  if (now - request.last_byte >= patience) {
    end.rate = {};
  } else if (now - request.begun < patience || end.rate.value == 0) {
    end.rate = std::max(end.rate, own.rate);
    if (end.rate.value == 0) return std::nullopt;
  }
  end.left = end.rate.value == 0 ? Duration::max() : time_for(end.bytes, end.rate);
  return end;
}

std::uint64_t share_for(const Lane& lane, const RequestEnd& end) {
  if (end.bytes == 0) return 0;
  if (end.rate.value == 0) return end.bytes;
  if (lane.rate.value == 0) return 0;
  const Duration whole = lane.latency + time_for(end.bytes, lane.rate);
  if (end.left > 2 * whole && end.left - whole > kGainMin) return end.bytes;
  const std::uint64_t ahead = bytes_in(lane.latency, end.rate);
  if (ahead >= end.bytes) return 0;
  // In KiB a second, so that the product stays within 64 bits.
  const std::uint64_t rate = lane.rate.value / kKiB;
  const std::uint64_t both = std::max<std::uint64_t>(rate + end.rate.value / kKiB, 1);
  const std::uint64_t share = (end.bytes - ahead) * rate / both;
  return time_for(share, end.rate) > kGainMin ? share : 0;
}

}  // namespace lanward::core
