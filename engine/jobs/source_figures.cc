#include "engine/jobs/source_figures.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace lanward::jobs {

SourceStats& entry_of(std::vector<SourceStats>& list, const SourceStats& like) {
  const auto known = std::find_if(list.begin(), list.end(), [&](const SourceStats& s) {
    return s.kind == like.kind && s.name == like.name;
  });
  if (known != list.end()) return *known;
  return list.emplace_back(SourceStats{.kind = like.kind, .name = like.name, .where = like.where});
}

void add_difference(std::vector<SourceStats>& sum, const std::vector<SourceStats>& now,
                    std::vector<SourceStats> before) {
  const auto beyond = [](std::uint64_t a, std::uint64_t b) { return a - std::min(a, b); };
  for (const SourceStats& source : now) {
    SourceStats& total = entry_of(sum, source);
    const SourceStats& old = entry_of(before, source);
    total.received_bytes += beyond(source.received_bytes, old.received_bytes);
    total.wasted_bytes += beyond(source.wasted_bytes, old.wasted_bytes);
    total.served_bytes += beyond(source.served_bytes, old.served_bytes);
    total.banned = total.banned || source.banned;
  }
}

void add_source(SwarmStats& stats, const SourceStats& source) {
  stats.downloaded_bytes += source.received_bytes;
  if (source.kind == SourceKind::origin) {
    stats.from_http_bytes += source.received_bytes;
    return;
  }
  const auto [from, to] = [&]() -> std::pair<std::uint64_t*, std::uint64_t*> {
    switch (source.where) {
      case PeerClass::lan:
        break;
      case PeerClass::group:
        return {&stats.from_group_peers_bytes, &stats.to_group_peers_bytes};
      case PeerClass::other:
        return {&stats.from_internet_peers_bytes, &stats.to_internet_peers_bytes};
    }
    return {&stats.from_lan_peers_bytes, &stats.to_lan_peers_bytes};
  }();
  *from += source.received_bytes;
  *to += source.served_bytes;
}

}  // namespace lanward::jobs
