// Byte ranges of a file as the caller asks for them, and the pieces they need.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <lanward/error.h>
#include <lanward/types.h>

#include "engine/core/piece_layout.h"
#include "engine/core/piece_set.h"
#include "engine/core/units.h"

namespace lanward::core {

// What can be said while the size of the file is unknown. Ranges are in ascending order, share no
// byte, and only the last may reach to the end. The message names the first offender, counting from
// 0. Errors: too_many_ranges (more than `max`), invalid_range, overlapping_ranges.
[[nodiscard]] Result<void> check_ranges(std::span<const ByteRange> ranges, std::uint32_t max);

// The bytes meant by ranges that passed check_ranges, once the size is known; no ranges are the
// whole file. As many spans as ranges, none of them empty. Errors: invalid_range for a range that
// begins at or after the end, or reaches beyond it.
[[nodiscard]] Result<std::vector<ByteSpan>> clip(std::span<const ByteRange> ranges, ByteCount size);

// Pieces that share a byte with the spans.
// REQUIRES: the spans lie within the file of the layout.
[[nodiscard]] PieceSet pieces_of(std::span<const ByteSpan> spans, const PieceLayout& layout);

// Bytes of spans that do not overlap.
[[nodiscard]] ByteCount total_bytes(std::span<const ByteSpan> spans);

}  // namespace lanward::core
