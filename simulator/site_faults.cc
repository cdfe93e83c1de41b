// What goes wrong in a run, and when.
#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include "simulator/site_run.h"

namespace lanward::simulator {

namespace {

constexpr core::Duration kMinute = std::chrono::minutes{1};

FaultKind end_of(FaultKind kind) {
  return kind == FaultKind::partition ? FaultKind::heal : FaultKind::wan_up;
}

}  // namespace

void SiteRun::plan_faults() {
  for (const Fault& fault : scenario_.faults) {
    queue_.after(fault.at, [this, &fault] {
      if (!over_) strike(fault);
    });
  }
}

void SiteRun::strike(const Fault& fault) {
  switch (fault.kind) {
    case FaultKind::kill:
      for (const std::uint32_t host : victims(fault)) kill(host);
      break;
    case FaultKind::leave:
      for (const std::uint32_t host : victims(fault)) leave(host);
      break;
    case FaultKind::partition:
      split(victims(fault));
      break;
    case FaultKind::wan_down:
      set_wan(false);
      break;
    case FaultKind::origin_429:
      set_answering(false, fault.retry_after);
      break;
    case FaultKind::wan_up:
    case FaultKind::heal:
      return lift(fault.kind);
  }
  if (fault.lasts == core::Duration{0}) return;
  queue_.after(fault.lasts, [this, kind = fault.kind] {
    if (over_) return;
    if (kind == FaultKind::origin_429) return set_answering(true, {});
    lift(end_of(kind));
  });
}

void SiteRun::lift(FaultKind kind) {
  if (kind == FaultKind::heal) return site_.heal();
  set_wan(true);
}

void SiteRun::set_wan(bool up) {
  wan_up_ = up;
  origin_.set_down(!up);
  checker_.set_origin_up(wan_up_ && answering_);
}

void SiteRun::set_answering(bool answering, core::Duration retry_after) {
  answering_ = answering;
  origin_.set_rate_limited(answering ? std::nullopt : std::optional(retry_after));
  checker_.set_origin_up(wan_up_ && answering_);
}

// Machines that are there at this moment.
std::vector<std::uint32_t> SiteRun::victims(const Fault& fault) {
  std::vector<std::uint32_t> chosen;
  if (fault.who == FaultWho::listed) {
    std::copy_if(fault.listed.begin(), fault.listed.end(), std::back_inserter(chosen),
                 [this](std::uint32_t host) { return machines_[host]->present(); });
    return chosen;
  }
  for (const auto& m : machines_) {
    const bool here = m->present() && m->result.joined <= queue_.now();
    const bool pulls = m->checker != nullptr && m->checker->pulling();
    if (here && (fault.who == FaultWho::any || pulls)) chosen.push_back(m->place.host);
  }
  for (std::size_t i = chosen.size(); i > 1; --i) {
    std::swap(chosen[i - 1], chosen[victims_.below(i)]);
  }
  const std::size_t wanted = fault.peers > 0 ? fault.peers : chosen.size() / 2;
  if (chosen.size() > wanted) chosen.resize(wanted);
  return chosen;
}

// Both halves reach the origin. A machine that comes later belongs to the rest.
void SiteRun::split(const std::vector<std::uint32_t>& hosts) {
  site_.partition([apart = std::set<std::uint32_t>(hosts.begin(), hosts.end())](
                      std::uint32_t host) { return apart.contains(host) ? 1U : 0U; });
}

void SiteRun::kill(std::uint32_t host) {
  Machine& m = *machines_[host];
  if (!m.present()) return;
  m.result.fate = Fate::killed;
  site_.kill(host);
  m.stop_engine();
}

void SiteRun::leave(std::uint32_t host) {
  Machine& m = *machines_[host];
  if (!m.present()) return;
  m.result.fate = Fate::left;
  if (m.engine == nullptr) return;
  m.checker->gone();
  m.job = nullptr;
  m.engine->close([] {});
}

// ---- churn -------------------------------------------------------------------------------------

// One machine after the other, at random times whose mean keeps the rate.
void SiteRun::plan_churn() {
  if (scenario_.churn_ppm == 0) return;
  const std::uint64_t per_minute_ppm = std::uint64_t{scenario_.churn_ppm} * scenario_.peers;
  const auto mean = static_cast<std::uint64_t>(kMinute.count()) / 1000 * (kWhole / 1000) * 1000 /
                    (per_minute_ppm / 1000 + 1);
  const core::Duration delay{static_cast<core::Duration::rep>(churn_.below(2 * mean + 1))};
  queue_.after(delay, [this] {
    if (over_) return;
    churn();
    plan_churn();
  });
}

// Ends when the machines of the beginning have what they came for; their successors finish in
// peace.
void SiteRun::churn() {
  std::vector<std::uint32_t> alive;
  bool wanting = false;
  for (const auto& m : machines_) {
    const bool original = m->place.host < scenario_.peers;
    if (original && !m->settled()) wanting = true;
    if (m->present() && !m->result.hostile() && m->engine != nullptr) {
      alive.push_back(m->place.host);
    }
  }
  if (!wanting || alive.empty()) return;
  kill(alive[churn_.below(alive.size())]);
  const std::uint32_t successor = add_machine(std::nullopt);
  machines_[successor]->result.replacement = true;
  join(successor);
}

}  // namespace lanward::simulator
