#include "engine/core/capacity_meter.h"

#include <algorithm>
#include <utility>

namespace lanward::core {
namespace {

std::int64_t second_of(Instant t) { return t.time_since_epoch() / std::chrono::seconds{1}; }

// A probe that saw more than this many per cent of the estimate has found something new.
constexpr std::uint64_t kGrowthPercent = 110;

}  // namespace

void CapacityMeter::observe(ByteCount bytes, Hold hold, Instant now) {
  total_ += bytes.value;
  if (hold == Hold::idle) {
    begin_free(std::nullopt);
    probe_begin_.reset();
    return;
  }
  if (!probe_begin_) {
    if (hold == Hold::held) {
      begin_free(std::nullopt);
      if (next_probe_ && now < *next_probe_) return;
      probe_begin_ = now;
      before_probe_ = capacity(now).value_or(ByteRate{0}).value;
      begin_free(now + kSettle);
      return;
    }
    if (!free_since_) begin_free(now + kSettle);
  }
  if (now < *free_since_) return;
  if (!mark_) {
    mark_ = now;
    mark_total_ = total_;
  }
  if (now - *mark_ < kMeasure) return;
  const auto ms = static_cast<std::uint64_t>((now - *mark_) / std::chrono::milliseconds{1});
  const ByteRate seen{(total_ - mark_total_) * 1000 / ms};
  mark_ = now;
  mark_total_ = total_;
  const bool first = !capacity(now);
  note(seen, now);
  if (first) next_probe_ = now + kProbeSoonest;
  if (probe_begin_) end_probe(seen, now);
}

void CapacityMeter::end_probe(ByteRate seen, Instant now) {
  const bool more = seen.value * 100 > before_probe_ * kGrowthPercent;
  interval_ = more ? kProbeSoonest : std::min(interval_ * 2, kProbeLatest);
  next_probe_ = now + interval_;
  probe_begin_.reset();
  begin_free(std::nullopt);
}

void CapacityMeter::begin_free(std::optional<Instant> since) {
  free_since_ = since;
  mark_.reset();
}

void CapacityMeter::newcomer(Instant now) {
  interval_ = kProbeSoonest;
  if (next_probe_) next_probe_ = std::min(*next_probe_, now + interval_);
}

void CapacityMeter::note(ByteRate rate, Instant now) {
  const std::int64_t second = second_of(now);
  Slot& slot = slots_[static_cast<std::size_t>(second % kSlots)];
  if (slot.second != second) slot = {.second = second, .best = 0};
  slot.best = std::max(slot.best, rate.value);
}

std::optional<ByteRate> CapacityMeter::capacity(Instant now) const {
  const std::int64_t second = second_of(now);
  std::optional<ByteRate> best;
  for (const Slot& slot : slots_) {
    if (slot.second < 0 || second - slot.second >= kSlots) continue;
    if (!best || slot.best > best->value) best = ByteRate{slot.best};
  }
  return best;
}

}  // namespace lanward::core
