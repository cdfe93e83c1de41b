// Whether a transfer can still come to its end, and what is said when it cannot.
#include <chrono>
#include <string>

#include "engine/core/scheduler.h"

namespace lanward::core {

// A piece that the store has lost is fetched once more; a store that does not answer at all ends
// the transfer. False: it has.
bool Scheduler::expect_verdicts(Instant now) {
  const auto on_its_way = [&](PieceIndex piece) { return puller_.has_taken(piece); };
  while (const auto overdue = verdicts_.take_overdue(now, on_its_way)) {
    if (board_.open().contains(overdue->piece)) continue;  // it was judged, and nobody has it
    if (overdue->hopeless) {
      give_up({ErrorCode::disk_io, unjudged(overdue->piece)});
      return false;
    }
    requests_.dropped(overdue->piece);
    board_.release(overdue->piece);
  }
  return true;
}

void Scheduler::judge(Instant now) {
  if (!expect_verdicts(now)) return;
  if (now >= judge_at_) {
    judge_at_ = last_progress_ + policy_.no_progress_timeout;
    if (now >= judge_at_) return give_up(describe_stall(now));
  }
  wake_.by(judge_at_);
  if (const Error* death = origins_.death_of_all()) {
    const bool settling = board_.open().count() + board_.verified().count() < layout_.piece_count();
    if (!board_.any_offered() && !settling) {
      const Instant patience = std::max(started_, last_offer_) + policy_.peer_grace;
      if (!peers_possible_ || now >= patience) return give_up(*death);
      wake_.by(patience);
    }
  }
  report_waiting(now);
}

Error Scheduler::describe_stall(Instant now) const {
  if (const auto piece = verdicts_.late(now)) return {ErrorCode::disk_io, unjudged(*piece)};
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(policy_.no_progress_timeout).count();
  std::string message = "no progress for " + std::to_string(seconds) + " s";
  if (const Error* death = origins_.death_of_all()) {
    message += "; " + death->message;
  } else if (origins_.last_transient()) {
    message += "; " + origins_.last_transient()->message;
  } else if (origins_.none()) {
    message += "; no peer offers the missing pieces";
  }
  return {ErrorCode::network, message};
}

// Tells when nothing moves because every origin is waiting out a failure, and when that is over.
void Scheduler::report_waiting(Instant now) {
  const OriginBook::Origin* origin = origins_.preferred();
  const bool waiting = origins_.last_transient() && origin != nullptr && origin->ready_at > now &&
                       origin->failures > 0 && requests_.live().empty() &&
                       peer_rate_.rate(now).value == 0;
  if (waiting && !transient_reported_) {
    commands_.emplace_back(ReportTransient{*origins_.last_transient()});
    transient_reported_ = true;
  } else if (transient_reported_ && now == last_progress_) {
    commands_.emplace_back(ClearTransient{});
    transient_reported_ = false;
  }
}

}  // namespace lanward::core
