#include "engine/jobs/source_figures.h"

#include <algorithm>
#include <cstdint>

namespace lanward::jobs {

SourceStats& entry_of(std::vector<SourceStats>& list, const SourceStats& like) {
  const auto known = std::find_if(list.begin(), list.end(), [&](const SourceStats& s) {
    return s.kind == like.kind && s.name == like.name;
  });
  return known != list.end() ? *known
                             : list.emplace_back(SourceStats{.kind = like.kind, .name = like.name});
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

}  // namespace lanward::jobs
