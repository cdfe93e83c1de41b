// The origin requests in flight, and how far each piece got when a request broke.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "engine/core/piece_layout.h"
#include "engine/core/rate_meter.h"
#include "engine/core/units.h"

namespace lanward::core {

struct OriginRequest {
  SourceId origin;
  ByteSpan span;
  std::uint64_t progressed = 0;  // absolute end of the bytes handed to the store
  bool whole_file = false;
  Instant begun;
  Instant last_byte;  // or when it began
  RateMeter rate;
  // By the store, while this was under way; each once.
  std::vector<PieceIndex> dropped = {};
};

class RequestLedger {
 public:
  explicit RequestLedger(const PieceLayout& layout) : layout_(layout) {}

  RequestId open(SourceId origin, ByteSpan span, bool whole_file, Instant now) {
    last_ = RequestId{last_.value + 1};
    live_.emplace(last_,
                  OriginRequest{origin, span, span.begin, whole_file, now, now, RateMeter(now)});
    return last_;
  }
  // Null for unknown ids: facts that arrive late are dropped here, in one place.
  [[nodiscard]] OriginRequest* find(RequestId id) {
    const auto it = live_.find(id);
    return it == live_.end() ? nullptr : &it->second;
  }
  [[nodiscard]] const OriginRequest* find(RequestId id) const {
    const auto it = live_.find(id);
    return it == live_.end() ? nullptr : &it->second;
  }
  // Forgets the request; the last piece, if it was begun, keeps its prefix for the next request.
  void close(RequestId id) {
    const auto it = live_.find(id);
    if (it == live_.end()) return;
    const OriginRequest& request = it->second;
    const auto is_there = [&](PieceIndex piece) {
      return std::find(request.dropped.begin(), request.dropped.end(), piece) ==
             request.dropped.end();
    };
    const std::uint64_t aligned = request.progressed / kBlockBytes * kBlockBytes;
    if (aligned > request.span.begin && aligned < request.span.end) {
      const PieceIndex piece = layout_.piece_at(aligned);
      if (layout_.bytes(piece).begin < aligned && is_there(piece)) prefixes_[piece] = aligned;
    } else if (aligned == request.span.begin && request.progressed < request.span.end) {
      // Nothing new; the prefix that this request set out from, if any, is still in the store.
      const PieceIndex piece = layout_.piece_at(request.span.begin);
      if (layout_.bytes(piece).begin < request.span.begin && is_there(piece)) {
        prefixes_[piece] = request.span.begin;
      }
    }
    live_.erase(it);
  }
  [[nodiscard]] const std::map<RequestId, OriginRequest>& live() const { return live_; }
  [[nodiscard]] std::uint32_t in_flight(SourceId origin) const {
    std::uint32_t n = 0;
    for (const auto& [id, request] : live_) n += request.origin == origin ? 1U : 0U;
    return n;
  }

  // Where the store's contiguous bytes of a begun piece end; the start of the piece if none are
  // known.
  [[nodiscard]] std::uint64_t resume_at(PieceIndex piece) const {
    const auto it = prefixes_.find(piece);
    return it == prefixes_.end() ? layout_.bytes(piece).begin : it->second;
  }
  [[nodiscard]] bool begun(PieceIndex piece) const { return prefixes_.contains(piece); }
  void forget_prefix(PieceIndex piece) { prefixes_.erase(piece); }
  // The store has dropped what it had of the piece, the bytes of requests under way included.
  void dropped(PieceIndex piece) {
    forget_prefix(piece);
    for (auto& [id, request] : live_) {
      const ByteSpan bytes = layout_.bytes(piece);
      const bool known =
          std::find(request.dropped.begin(), request.dropped.end(), piece) != request.dropped.end();
      if (!known && request.span.begin < bytes.end && bytes.begin < request.span.end) {
        request.dropped.push_back(piece);
      }
    }
  }

 private:
  PieceLayout layout_;
  RequestId last_;
  std::map<RequestId, OriginRequest> live_;
  std::map<PieceIndex, std::uint64_t> prefixes_;
};

}  // namespace lanward::core
