#include <algorithm>
#include <string>

#include "tests/core/lease_conduct.h"
#include "tests/core/lease_world.h"

namespace lanward::core {

bool LeasePlan::equal_views() const {
  return !sparse && cuts.empty() &&
         std::all_of(machines.begin(), machines.end(), [](const Machine& m) {
           return m.role == Role::honest && !m.dies && !m.leaves;
         });
}

bool LeasePlan::clean() const {
  return equal_views() && loss_percent == 0 && duplicate_percent == 0 && !reorder &&
         outages.empty() && message_max < policy.lease_settle;
}

std::string LeasePlan::describe() const {
  constexpr const char* kRoles[] = {"honest", "plain", "liar", "hog", "zeno", "babbler"};
  std::string out = std::to_string(pieces) + " pieces, wan " + text(wan_piece) + " lan " +
                    text(lan_piece) + " per piece, messages " + text(message_min) + ".." +
                    text(message_max) + ", loss " + std::to_string(loss_percent) +
                    "%, duplicates " + std::to_string(duplicate_percent) + "%" +
                    (reorder ? ", reordered" : "") + (sparse ? ", sparse" : "") + ", pullers " +
                    std::to_string(policy.pullers) + ", http_delay " + text(policy.http_delay) +
                    (clean() ? ", clean" : "");
  for (const Machine& m : machines) {
    out += std::string("; ") + kRoles[static_cast<int>(m.role)] + " joins " + text(m.joins);
    if (m.slowness > 1) out += " slow " + std::to_string(m.slowness);
    if (m.dies) out += " dies " + text(*m.dies);
    if (m.leaves) out += " leaves " + text(*m.leaves);
  }
  for (const Cut& c : cuts) {
    out += "; cut " + std::to_string(c.a) + "-" + std::to_string(c.b) + " at " + text(c.at) +
           " for " + text(c.lasts);
  }
  for (const Outage& o : outages) out += "; outage at " + text(o.at) + " for " + text(o.lasts);
  return out;
}

}  // namespace lanward::core
