// What came of a run.
#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "simulator/site_run.h"

namespace lanward::simulator {

namespace {

std::uint64_t ratio_of(core::Duration took, core::Duration bound) {
  __extension__ typedef unsigned __int128 Wide;
  if (took.count() <= 0 || bound.count() <= 0) return 0;
  const auto whole = static_cast<std::uint64_t>(bound.count());
  return static_cast<std::uint64_t>(
      (Wide{static_cast<std::uint64_t>(took.count())} * kRatioUnit + whole / 2) / whole);
}

// The value that `percent` of the sorted values do not exceed.
std::uint64_t nearest_rank(const std::vector<std::uint64_t>& sorted, std::size_t percent) {
  if (sorted.empty()) return 0;
  const std::size_t rank = (sorted.size() * percent + 99) / 100;
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

}  // namespace

// A plain download pays for the connection too, and the policy delay is no fault of the site.
void SiteRun::measure(Machine& m) const {
  const core::Duration set_up = 2 * scenario_.origin.rtt;
  const core::Duration whole = transfer_time(scenario_.size.value, scenario_.lan.value);
  m.result.bound = std::max(whole, result_.bound - (m.result.joined - kStart));
  if (m.checker != nullptr) {
    m.result.worst_stall = m.checker->worst_stall();
    m.result.ranges = m.checker->ranges();
  }
  if (!m.result.transferred) return;
  m.result.ratio =
      ratio_of(*m.result.transferred - m.result.joined - set_up - scenario_.policy.http_delay,
               m.result.bound);
}

void SiteRun::collect() {
  core::Instant first = core::Instant::max();
  core::Instant last = kStart;
  for (const auto& m : machines_) {
    const StoreTotals totals = m->store.totals(manifest_.content.id);
    m->result.origin_bytes = totals.origin_received;
    m->result.peer_bytes = totals.peer_received;
    m->result.wasted_bytes = totals.wasted;
    result_.lan_bytes += network_.carried(m->place.uplink).value;
    if (m->result.joined == core::Instant::max()) continue;
    measure(*m);
    if (m->result.hostile()) continue;
    first = std::min(first, m->result.joined);
    if (m->result.transferred) last = std::max(last, *m->result.transferred);
    if (m->present() && !m->result.transferred) last = queue_.now();
  }
  result_.makespan = last - std::min(first, last);
  result_.egress = origin_.egress();
}

void SiteRun::summarize() {
  std::vector<std::uint64_t> ratios;
  for (const auto& m : machines_) {
    if (!m->present() || m->result.hostile()) continue;
    result_.worst_stall = std::max(result_.worst_stall, m->result.worst_stall);
    if (m->result.ratio) ratios.push_back(*m->result.ratio);
  }
  std::sort(ratios.begin(), ratios.end());
  result_.ratios = {nearest_rank(ratios, 50), nearest_rank(ratios, 99), nearest_rank(ratios, 100)};
  result_.site = checker_.figures();
  const auto& found = checker_.violations();
  result_.violations.insert(result_.violations.end(), found.begin(), found.end());
}

void SiteRun::check_machine(std::uint32_t host) {
  const Machine& m = *machines_[host];
  if (m.result.hostile()) return;
  const auto& delivered = m.store.delivered();
  for (const auto& file : delivered) {
    if (!file.intact) violation(fmt::format("peer {}: wrong bytes were delivered", host));
  }
  if (!m.present()) return;
  if (!m.result.transferred) {
    violation(fmt::format("L5 peer {}: not transferred, state {}{}{}", host,
                          to_string(m.result.state), m.result.error.empty() ? "" : ": ",
                          m.result.error));
    return;
  }
  if (delivered.size() != 1 || delivered.front().size != scenario_.size) {
    violation(fmt::format("peer {}: transferred, but not delivered", host));
  }
  const StoreTotals totals = m.store.totals(manifest_.content.id);
  if (totals.received() != scenario_.size.value + totals.wasted) {
    violation(fmt::format("peer {}: received {} bytes, but size {} + wasted {}", host,
                          totals.received(), scenario_.size.value, totals.wasted));
  }
}

void SiteRun::check_site() {
  StoreTotals all;
  for (const auto& m : machines_) {
    const StoreTotals totals = m->store.totals(manifest_.content.id);
    all.origin_received += totals.origin_received;
    all.peer_received += totals.peer_received;
    result_.wasted_bytes += totals.wasted;
  }
  const OriginEgress& egress = result_.egress;
  if (egress.total != all.origin_received + egress.probes + egress.abandoned) {
    violation(
        fmt::format("the origin sent {} bytes, but {} were received, {} were probes and {} "
                    "abandoned",
                    egress.total, all.origin_received, egress.probes, egress.abandoned));
  }
  const SwarmTraffic& traffic = site_.traffic();
  if (result_.lan_bytes != traffic.received ||
      traffic.received != all.peer_received + traffic.wasted) {
    violation(
        fmt::format("the uplinks carried {} bytes, but {} arrived, of which {} reached a "
                    "store and {} were cut off",
                    result_.lan_bytes, traffic.received, all.peer_received, traffic.wasted));
  }
  result_.wasted_bytes += traffic.wasted;
}

}  // namespace lanward::simulator
