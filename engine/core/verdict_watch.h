// Pieces that were handed to the store whole and wait for its verdict: tells when none will come.
#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>

#include "engine/core/units.h"

namespace lanward::core {

class VerdictWatch {
 public:
  explicit VerdictWatch(Duration patience) : patience_(patience) {}

  // The last byte of the piece went to the store, which has not said that it is good.
  void handed_over(PieceIndex piece, Instant now) {
    // What was judged before this was heard, by another thread, waits for nothing.
    if (judged_first_.erase(piece) > 0) return;
    if (awaited_.empty()) look_at_ = now + patience_;
    awaited_[piece] = now;
  }
  // The store has judged the piece, whoever sent it.
  void judged(PieceIndex piece, bool good, Instant now) {
    last_verdict_ = now;
    const bool waited = awaited_.erase(piece) > 0;
    if (good) {
      lost_.erase(piece);
      judged_first_.erase(piece);
    } else if (!waited) {
      judged_first_.insert(piece);
    }
  }

  struct Overdue {
    PieceIndex piece;
    // Fetching the piece again does not help: the store judges nothing, or lost it twice.
    bool hopeless = false;
  };
  // The first piece that has waited for too long, apart from those that are `busy`: what brings
  // them may still hold their last bytes back. It is then forgotten until it is handed over again.
  template <class Busy>
  [[nodiscard]] std::optional<Overdue> take_overdue(Instant now, Busy busy) {
    if (now < look_at_) return std::nullopt;
    look_at_ = now + patience_;
    for (const auto& [piece, since] : awaited_) {
      if (now - since < patience_) {
        look_at_ = std::min(look_at_, since + patience_);
      } else if (busy(piece)) {
        look_at_ = std::min(look_at_, now + kLookAgain);
      } else {
        const Overdue overdue{piece, last_verdict_ < since || !lost_.insert(piece).second};
        awaited_.erase(piece);
        look_at_ = now;
        return overdue;
      }
    }
    return std::nullopt;
  }
  // A piece that has waited for too long, busy or not.
  [[nodiscard]] std::optional<PieceIndex> late(Instant now) const {
    const auto it = std::find_if(awaited_.begin(), awaited_.end(), [&](const auto& entry) {
      return now - entry.second >= patience_;
    });
    if (it == awaited_.end()) return std::nullopt;
    return it->first;
  }

 private:
  // How often busy pieces are looked at.
  static constexpr Duration kLookAgain = std::chrono::seconds{1};

  const Duration patience_;
  Instant look_at_ = Instant::max();  // nothing is overdue before
  Instant last_verdict_ = Instant::min();
  std::map<PieceIndex, Instant> awaited_;  // since when
  std::set<PieceIndex> judged_first_;      // bad, before it was heard that they were handed over
  std::set<PieceIndex> lost_;              // waited in vain once
};

}  // namespace lanward::core
