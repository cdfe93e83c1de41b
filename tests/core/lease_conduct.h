// What one machine of a LeaseWorld has said and asked for, the rules about it, and how it is
// printed.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "engine/core/lease_message.h"
#include "engine/core/overloaded.h"
#include "engine/core/piece_set.h"
#include "engine/core/units.h"

namespace lanward::core {

inline std::string text(PieceSpan pieces) {
  return "[" + std::to_string(pieces.begin.value) + "," + std::to_string(pieces.end.value) + ")";
}
inline std::string text(const PieceSet& set) {
  std::string picture;
  for (PieceIndex p{0}; p.value < set.universe(); ++p) picture += set.contains(p) ? 'x' : '.';
  return picture;
}
inline std::string text(Duration d) {
  return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(d).count()) + "us";
}
inline std::string text(ClaimMode mode) {
  constexpr const char* kNames[] = {"lease", "solo", "hedge", "under_way"};
  return kNames[static_cast<int>(mode)];
}
inline std::string text(const LeaseMessage& message) {
  return std::visit(
      Overloaded{
          [](const Hello& m) {
            return "hello " + std::to_string(m.key.value % 10'000) + (m.willing ? " willing" : "");
          },
          [](const Claim& m) {
            return "claim " + std::to_string(m.run) + " " + text(m.pieces) + " " + text(m.mode) +
                   " eta " + std::to_string(m.eta_ms);
          },
          [](const Unclaim& m) { return "unclaim " + std::to_string(m.run) + text(m.pieces); },
          [](const ClaimProgress& m) {
            return "progress " + std::to_string(m.run) + " " + std::to_string(m.bytes) + " eta " +
                   std::to_string(m.eta_ms);
          },
          [](const SplitRequest& m) { return "split " + std::to_string(m.run); },
          [](const Roster& m) {
            std::string out = "roster";
            for (const auto& e : m.entries) {
              out += " " + std::to_string(e.key.value % 10'000) + "#" + std::to_string(e.beat) +
                     "/" + std::to_string(e.pullers);
            }
            return out;
          },
      },
      message);
}

// What one machine has said and asked for, and whether it may ask for more.
class Conduct {
 public:
  Conduct(std::uint32_t pieces, std::int64_t runs_max) : busy_(pieces), runs_max_(runs_max) {}

  struct Run {
    ClaimMode mode;
    Instant claimed;
    PieceSet left;  // neither taken back nor fetched
  };

  // Each returns what is wrong, or nothing.
  std::string claims(const Claim& claim, Instant now) {
    if (claim.pieces.empty() || claim.pieces.end.value > busy_.universe()) {
      return "claims pieces that do not exist";
    }
    const auto [it, fresh] = runs_.try_emplace(claim.run, Run{claim.mode, now, busy_none()});
    if (!fresh) {
      const bool repeated = claim.mode == it->second.mode || claim.mode == ClaimMode::under_way;
      return repeated ? "" : "changes the mode of a run";
    }
    for (auto p = claim.pieces.begin; p < claim.pieces.end; ++p) it->second.left.insert(p);
    const auto open = std::count_if(runs_.begin(), runs_.end(), [](const auto& r) {
      return r.second.mode == ClaimMode::lease && !r.second.left.empty();
    });
    return open > runs_max_ ? "S5: holds " + std::to_string(open) + " runs" : "";
  }
  std::string unclaims(const Unclaim& unclaim) {
    const auto it = runs_.find(unclaim.run);
    if (it == runs_.end()) return "";
    for (auto p = unclaim.pieces.begin; p < unclaim.pieces.end; ++p) it->second.left.erase(p);
    return "";
  }
  // The pieces are no longer to be fetched: here, or handed over by the origin.
  void done(PieceIndex piece) {
    for (auto& [id, run] : runs_) run.left.erase(piece);
  }
  void forget_claims() { runs_.clear(); }
  // The latest claim that covers the piece.
  [[nodiscard]] const Run* claim_on(PieceIndex piece) const {
    for (auto it = runs_.rbegin(); it != runs_.rend(); ++it) {
      if (it->second.left.contains(piece)) return &it->second;
    }
    return nullptr;
  }
  PieceSet busy_;  // asked from the origin, and neither broken off nor verified
  std::uint32_t hedged_ = 0;

 private:
  [[nodiscard]] PieceSet busy_none() const { return PieceSet(busy_.universe()); }
  std::int64_t runs_max_;
  std::map<std::uint32_t, Run> runs_;
};

}  // namespace lanward::core
