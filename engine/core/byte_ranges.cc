#include "engine/core/byte_ranges.h"

#include <cassert>
#include <cstddef>
#include <string>

namespace lanward::core {
namespace {

std::string text_of(std::size_t i, const ByteRange& range) {
  const std::string length =
      range.length == ByteRange::kToEnd ? "to the end" : std::to_string(range.length) + " bytes";
  return "range " + std::to_string(i) + " (from " + std::to_string(range.offset) + ", " + length +
         ")";
}

tl::unexpected<Error> refuse(std::size_t i, const ByteRange& range, const char* why) {
  return fail(ErrorCode::invalid_range, text_of(i, range) + why);
}

// Past the last byte; kToEnd for a range to the end.
std::uint64_t end_of(const ByteRange& range) {
  return range.length == ByteRange::kToEnd ? ByteRange::kToEnd : range.offset + range.length;
}

// The range alone.
Result<void> check_range(std::size_t i, const ByteRange& range) {
  if (range.length == 0) return refuse(i, range, " is empty");
  if (range.offset == ByteRange::kToEnd) return refuse(i, range, " begins at the end of the file");
  if (range.length != ByteRange::kToEnd && range.length > ByteRange::kToEnd - range.offset) {
    return refuse(i, range, " ends beyond any file");
  }
  return {};
}

}  // namespace

Result<void> check_ranges(std::span<const ByteRange> ranges, std::uint32_t max) {
  if (ranges.size() > max) {
    return fail(ErrorCode::too_many_ranges, std::to_string(ranges.size()) +
                                                " ranges in a file; at most " +
                                                std::to_string(max) + " are allowed");
  }
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (auto checked = check_range(i, ranges[i]); !checked) return checked;
    if (i == 0) continue;
    const ByteRange& before = ranges[i - 1];
    if (before.length == ByteRange::kToEnd) {
      return refuse(i - 1, before, " is not the last one");
    }
    if (ranges[i].offset < before.offset) {
      return refuse(i, ranges[i], " begins before the one it follows");
    }
    if (ranges[i].offset < end_of(before)) {
      return fail(ErrorCode::overlapping_ranges,
                  text_of(i, ranges[i]) + " shares bytes with " + text_of(i - 1, before));
    }
  }
  return {};
}

Result<std::vector<ByteSpan>> clip(std::span<const ByteRange> ranges, ByteCount size) {
  std::vector<ByteSpan> spans;
  if (ranges.empty() && size.value > 0) spans.push_back({0, size.value});
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const ByteRange& range = ranges[i];
    const std::string file = " the file of " + std::to_string(size.value) + " bytes";
    if (range.offset >= size.value) return refuse(i, range, (" begins after" + file).c_str());
    if (range.length == ByteRange::kToEnd) {
      spans.push_back({range.offset, size.value});
      continue;
    }
    if (end_of(range) > size.value) return refuse(i, range, (" reaches beyond" + file).c_str());
    spans.push_back({range.offset, end_of(range)});
  }
  return spans;
}

PieceSet pieces_of(std::span<const ByteSpan> spans, const PieceLayout& layout) {
  PieceSet pieces(layout.piece_count());
  for (const ByteSpan& span : spans) {
    assert(span.end <= layout.size().value);
    if (span.empty()) continue;
    const PieceIndex last = layout.piece_at(span.end - 1);
    for (PieceIndex p = layout.piece_at(span.begin); p <= last; ++p) pieces.insert(p);
  }
  return pieces;
}

ByteCount total_bytes(std::span<const ByteSpan> spans) {
  ByteCount total;
  for (const ByteSpan& span : spans) total += span.size();
  return total;
}

}  // namespace lanward::core
