// What an idle lane of one origin takes over from a request to another one.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/core/origin_book.h"
#include "engine/core/piece_layout.h"
#include "engine/core/request_ledger.h"
#include "engine/core/units.h"

namespace lanward::core {

// The end of a request: what is left of it takes `left` at the rate that it has.
struct RequestEnd {
  std::uint64_t bytes = 0;  // still to come
  ByteRate rate;
  Duration left{0};  // Duration::max(): for ever
};

// One more request to an origin: how soon, how fast. A rate of zero: unknown.
struct Lane {
  ByteRate rate;
  Duration latency{0};
};

// `own` is what its origin's requests usually are, `helper` the lane that would take over. Nothing:
// too early to tell.
[[nodiscard]] std::optional<RequestEnd> foresee(const OriginRequest& request, const Lane& own,
                                                const Lane& helper, Instant now);

// How much of the tail of a request the lane is to take, so that both end together; nothing: not
// worth a new request. All bytes that are left: the lane is so much faster that it takes the piece
// under way, too.
[[nodiscard]] std::uint64_t share_for(const Lane& lane, const RequestEnd& end);

}  // namespace lanward::core
