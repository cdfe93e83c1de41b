// What a reply is worth: judged from its headers alone, before a byte of the body is used. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "cdn/header_facts.h"
#include "engine/core/events.h"
#include "engine/core/units.h"
#include "engine/ports/origin.h"

namespace lanward::cdn {

// A server that says "too many requests" without saying for how long, or for no time at all.
inline constexpr std::chrono::seconds kRateLimitMin{1};

// Messages of these failures name cause and numbers; the caller puts the URL before them.
template <class T>
using Judged = tl::expected<T, core::Failure>;

// The span that the body of a reply to a range request will deliver: the one asked for, or less.
[[nodiscard]] Judged<core::ByteSpan> judge_range_reply(const ports::RangeRequest& request,
                                                       const ReplyHeaders& reply);

// The facts in a reply to a GET of the range 0-0. Links and url are left to the caller.
[[nodiscard]] Judged<core::OriginFacts> judge_probe_reply(const ReplyHeaders& reply);

// Length of the document if announced.
[[nodiscard]] Judged<std::optional<std::uint64_t>> judge_document_reply(const ReplyHeaders& reply,
                                                                        core::ByteCount limit);

// Whether a validator may stand in If-Range: a strong entity tag. A date is too coarse for that:
// servers answer with the whole file while it is young, Apache's for a minute. The reply's own date
// is compared all the same.
[[nodiscard]] bool usable_in_if_range(std::string_view validator);

// Text from outside, fit for a message: no control characters, not long.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace lanward::cdn
