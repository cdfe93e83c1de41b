#include "simulator/network.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace lanward::simulator {

namespace {

constexpr std::uint64_t kMilli = 1000;
constexpr std::uint64_t kVolumePerByte = kMilli * 1'000'000'000;
constexpr core::Instant kNever = core::Instant::max();

// FlowId: sequence number above, slot below. 2^24 flows at once, 2^40 over a run.
constexpr std::uint32_t kSlotBits = 24;
// No flow has this id: the event that works out the levels.
constexpr std::uint64_t kSweepTag = 0;

// See the head of network.h. Small sites are computed exactly; where thousands of flows change at
// any time, no single one is worth the work of being exact or of being first.
constexpr std::size_t kExactFlowsMax = 64;
constexpr std::size_t kPromptFlowsMax = 1024;
constexpr core::Duration kSweepInterval{std::chrono::milliseconds{2}};
constexpr unsigned kExactBits = 64;
constexpr unsigned kPromptToleranceBits = 9;
constexpr unsigned kToleranceBits = 6;

// Levels of one sweep settle after about as many visits of a link as there are different bottleneck
// levels in its surroundings. The limit ends a sweep that rounding keeps alive.
constexpr std::uint32_t kVisitsMax = 64;

}  // namespace

FlowId Network::id_of(std::uint32_t slot, const Flow& flow) {
  return FlowId{(flow.sequence << kSlotBits) | slot};
}

const Network::Flow* Network::find(FlowId flow) const {
  const std::uint64_t slot = flow.value & ((std::uint64_t{1} << kSlotBits) - 1);
  const std::uint64_t sequence = flow.value >> kSlotBits;
  if (sequence == 0 || slot >= flows_.size() || flows_[slot].sequence != sequence) return nullptr;
  return &flows_[slot];
}

Network::Flow* Network::find(FlowId flow) {
  return const_cast<Flow*>(std::as_const(*this).find(flow));
}

// ---- links and flows ---------------------------------------------------------------------------

LinkId Network::add_link(core::ByteRate capacity) {
  links_.emplace_back();
  const LinkId link{static_cast<std::uint32_t>(links_.size() - 1)};
  set_capacity(link, capacity);
  return link;
}

void Network::set_capacity(LinkId link, core::ByteRate capacity) {
  assert(capacity <= kLinkRateMax);
  links_[link.value].capacity = capacity.value * kMilli;
  if (!links_[link.value].flows.empty()) touch(link.value);
}

core::ByteRate Network::capacity(LinkId link) const {
  return core::ByteRate{links_[link.value].capacity / kMilli};
}

std::uint32_t Network::take_slot() {
  if (free_.empty()) {
    assert(flows_.size() < (std::size_t{1} << kSlotBits));
    flows_.emplace_back();
    return static_cast<std::uint32_t>(flows_.size() - 1);
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  return slot;
}

std::uint32_t Network::begin(std::span<const LinkId> path, core::ByteCount bytes) {
  assert(!path.empty() && path.size() <= kPathLinksMax && bytes.value > 0);
  const std::uint32_t slot = take_slot();
  Flow& flow = flows_[slot];
  flow.sequence = ++sequence_;
  flow.path_length = static_cast<std::uint32_t>(path.size());
  MilliRate spare = kUnlimited;
  for (std::uint32_t i = 0; i < flow.path_length; ++i) {
    flow.path[i] = path[i];
    Link& link = links_[path[i].value];
    flow.place[i] = static_cast<std::uint32_t>(link.flows.size());
    link.flows.push_back(slot);
    spare = std::min(spare, link.capacity - std::min(link.capacity, link.used));
  }
  flow.bytes = bytes.value;
  flow.done = 0;
  flow.left = Volume{bytes.value} * kVolumePerByte;
  flow.settled = queue_.now();
  flow.finish = kNever;
  flow.armed = kNever;
  flow.rate = 0;
  flow.cap = kUnlimited;
  flow.owner = nullptr;
  flow.changed = false;
  touch(slot, flow);
  if (!prompt()) set_rate(slot, spare);
  return slot;
}

FlowId Network::start(std::span<const LinkId> path, core::ByteCount bytes, OnPassed on_passed) {
  const std::uint32_t slot = begin(path, bytes);
  flows_[slot].on_passed = std::move(on_passed);
  return id_of(slot, flows_[slot]);
}

FlowId Network::start(std::span<const LinkId> path, core::ByteCount bytes, FlowOwner& owner,
                      std::uint64_t tag) {
  const std::uint32_t slot = begin(path, bytes);
  flows_[slot].owner = &owner;
  flows_[slot].tag = tag;
  return id_of(slot, flows_[slot]);
}

void Network::set_cap(FlowId flow_id, core::ByteRate cap) {
  Flow* flow = find(flow_id);
  if (flow == nullptr) return;
  flow->cap = cap >= kUncapped ? kUnlimited : cap.value * kMilli;
  const auto slot = static_cast<std::uint32_t>(flow - flows_.data());
  touch(slot, *flow);
  if (!prompt() && flow->rate > flow->cap) set_rate(slot, flow->cap);
}

void Network::release(std::uint32_t slot) {
  Flow& flow = flows_[slot];
  for (std::uint32_t i = 0; i < flow.path_length; ++i) {
    Link& link = links_[flow.path[i].value];
    const std::uint32_t moved = link.flows.back();
    link.flows[flow.place[i]] = moved;
    link.flows.pop_back();
    link.used -= flow.rate;
    link.carried += flow.done;
    Flow& other = flows_[moved];
    for (std::uint32_t k = 0; k < other.path_length; ++k) {
      if (other.path[k] == flow.path[i]) other.place[k] = flow.place[i];
    }
    touch(flow.path[i].value);
  }
  flow.sequence = 0;
  flow.changed = false;
  flow.rate = 0;
  flow.on_passed = {};
  free_.push_back(slot);
}

core::ByteCount Network::stop(FlowId flow_id) {
  Flow* flow = find(flow_id);
  if (flow == nullptr) return core::ByteCount{0};
  const core::ByteCount bytes = passed(flow_id);
  flow->done += bytes.value;
  release(static_cast<std::uint32_t>(flow - flows_.data()));
  return bytes;
}

core::ByteCount Network::passed(FlowId flow_id) const {
  const Flow* flow = find(flow_id);
  if (flow == nullptr) return core::ByteCount{0};
  const Volume left = flow->left - std::min(flow->left, moved(*flow));
  const Volume whole = Volume{flow->bytes} * kVolumePerByte;
  return core::ByteCount{static_cast<std::uint64_t>((whole - left) / kVolumePerByte)};
}

core::ByteRate Network::rate(FlowId flow_id) {
  if (prompt() && sweep_due_) sweep();
  const Flow* flow = find(flow_id);
  return core::ByteRate{flow == nullptr ? 0 : flow->rate / kMilli};
}

core::ByteRate Network::load(LinkId link) {
  if (prompt() && sweep_due_) sweep();
  return core::ByteRate{links_[link.value].used / kMilli};
}

core::ByteCount Network::carried(LinkId link) const {
  std::uint64_t bytes = links_[link.value].carried;
  for (const std::uint32_t slot : links_[link.value].flows) bytes += flows_[slot].done;
  return core::ByteCount{bytes};
}

Network::Volume Network::moved(const Flow& flow) const {
  return Volume{flow.rate} * static_cast<std::uint64_t>((queue_.now() - flow.settled).count());
}

void Network::settle(Flow& flow) {
  flow.left -= std::min(flow.left, moved(flow));
  flow.settled = queue_.now();
}

// An event that comes too early finds the finish moved and waits again; only a finish that moves
// forward needs a new one.
void Network::set_finish(std::uint32_t slot) {
  Flow& flow = flows_[slot];
  flow.finish = kNever;
  if (flow.rate > 0) {
    const Volume ns = (flow.left + flow.rate - 1) / flow.rate;
    const Volume room = static_cast<std::uint64_t>((kNever - flow.settled).count());
    if (ns < room) flow.finish = flow.settled + core::Duration{static_cast<std::int64_t>(ns)};
  }
  if (flow.finish >= flow.armed) return;
  flow.armed = flow.finish;
  queue_.at(flow.finish, *this, id_of(slot, flow).value);
}

void Network::fire(std::uint64_t tag) {
  if (tag == kSweepTag) {
    if (sweep_due_) sweep();
    return;
  }
  Flow* flow = find(FlowId{tag});
  if (flow == nullptr || flow->armed != queue_.now()) return;
  flow->armed = kNever;
  const auto slot = static_cast<std::uint32_t>(flow - flows_.data());
  if (flow->finish <= queue_.now()) return pass(slot);
  if (flow->finish == kNever) return;
  flow->armed = flow->finish;
  queue_.at(flow->finish, *this, tag);
}

void Network::warm(std::uint64_t tag, unsigned step) const {
  if (tag == kSweepTag) return;
  if (step == 0) {
    warm_object(&flows_[tag & ((std::uint64_t{1} << kSlotBits) - 1)]);
  } else if (const Flow* flow = find(FlowId{tag}); flow != nullptr && flow->owner != nullptr) {
    flow->owner->warm_passed(flow->tag, step - 1);
  }
}

void Network::pass(std::uint32_t slot) {
  Flow* flow = &flows_[slot];
  const FlowId id = id_of(slot, *flow);
  flow->done += flow->bytes;
  flow->settled = queue_.now();
  flow->left = 0;
  flow->bytes = 0;
  flow->finish = kNever;
  OnPassed on_passed = std::move(flow->on_passed);
  const std::uint64_t more = flow->owner != nullptr ? flow->owner->passed(flow->tag) : on_passed();
  // The callback may have started flows, so the table may have moved, or stopped this one.
  flow = find(id);
  if (flow == nullptr) return;
  if (more == 0) return release(slot);
  flow->on_passed = std::move(on_passed);
  flow->bytes = more;
  flow->left = Volume{more} * kVolumePerByte;
  set_finish(slot);
}

// ---- shares ------------------------------------------------------------------------------------

bool Network::prompt() const { return flows_.size() - free_.size() <= kPromptFlowsMax; }

unsigned Network::tolerance_bits() const {
  const std::size_t flows = flows_.size() - free_.size();
  return flows <= kExactFlowsMax ? kExactBits : prompt() ? kPromptToleranceBits : kToleranceBits;
}

// Many flows start and end at one instant; the shares are computed once, after all of them.
void Network::touch(std::uint32_t link) {
  if (!links_[link].dirty) {
    links_[link].dirty = true;
    dirty_.push_back(link);
  }
  if (sweep_due_) return;
  sweep_due_ = true;
  core::Instant when = queue_.now();
  if (!prompt()) {
    const core::Duration since = when.time_since_epoch();
    when += kSweepInterval - since % kSweepInterval;
  }
  queue_.at(when, *this, kSweepTag);
}

void Network::touch(std::uint32_t slot, const Flow& flow) {
  for (std::uint32_t i = 0; i < flow.path_length; ++i) touch(flow.path[i].value);
  if (flow.changed) return;
  flows_[slot].changed = true;
  changed_.push_back(slot);
}

void Network::sweep() {
  ++sweep_;
  for (std::size_t i = 0; i < dirty_.size(); ++i) {
    links_[dirty_[i]].dirty = false;
    relevel(dirty_[i]);
  }
  dirty_.clear();
  sweep_due_ = false;
  for (const std::uint32_t slot : changed_) {
    Flow& flow = flows_[slot];
    if (!flow.changed) continue;
    flow.changed = false;
    MilliRate rate = flow.cap;
    for (std::uint32_t i = 0; i < flow.path_length; ++i) {
      const Link& link = links_[flow.path[i].value];
      rate = std::min({rate, link.level, link.capacity});
    }
    set_rate(slot, rate);
  }
  changed_.clear();
}

void Network::set_rate(std::uint32_t slot, MilliRate rate) {
  Flow& flow = flows_[slot];
  rate = std::min(rate, flow.cap);
  if (rate == flow.rate) return;
  settle(flow);
  for (std::uint32_t i = 0; i < flow.path_length; ++i) {
    Link& link = links_[flow.path[i].value];
    link.used += rate - flow.rate;
  }
  flow.rate = rate;
  set_finish(slot);
}

// What the flow could have on the link if neither that one nor `other` held it back.
Network::MilliRate Network::demand(const Flow& flow, std::uint32_t link,
                                   std::uint32_t other) const {
  MilliRate rate = flow.cap;
  for (std::uint32_t i = 0; i < flow.path_length; ++i) {
    const std::uint32_t l = flow.path[i].value;
    if (l != link && l != other) rate = std::min(rate, links_[l].level);
  }
  return rate;
}

// Flows that want no more than the level get what they want; the others share the rest evenly.
Network::MilliRate Network::fair_level(const Link& link) {
  std::size_t open = demands_.size();
  MilliRate residual = link.capacity;
  while (open > 0) {
    const MilliRate level = residual / open;
    const std::size_t before = open;
    for (std::size_t i = 0; i < open;) {
      if (demands_[i] > level) {
        ++i;
        continue;
      }
      residual -= demands_[i];
      std::swap(demands_[i], demands_[--open]);
    }
    if (open == before) return level;
  }
  return kUnlimited;
}

void Network::relevel(std::uint32_t index) {
  Link& link = links_[index];
  if (link.sweep != sweep_) {
    link.sweep = sweep_;
    link.visits = 0;
  }
  if (++link.visits > kVisitsMax) return;
  demands_.clear();
  for (const std::uint32_t slot : link.flows) {
    demands_.push_back(demand(flows_[slot], index, index));
  }
  const MilliRate before = link.level;
  const MilliRate after = fair_level(link);
  if (before == after) return;
  // A small change is kept back, so that it cannot wander through the whole site; the next one is
  // compared with what the others know.
  const unsigned bits = tolerance_bits();
  if (bits < kExactBits && before != kUnlimited && after != kUnlimited) {
    const MilliRate slack = before >> bits;
    if (after <= before + slack && after + slack >= before) return;
  }
  link.level = after;
  pass_on(index, before, after);
}

void Network::pass_on(std::uint32_t index, MilliRate before, MilliRate after) {
  for (const std::uint32_t slot : links_[index].flows) {
    Flow& flow = flows_[slot];
    if (!flow.changed) {
      flow.changed = true;
      changed_.push_back(slot);
    }
    for (std::uint32_t i = 0; i < flow.path_length; ++i) {
      const std::uint32_t other = flow.path[i].value;
      if (other == index || links_[other].dirty) continue;
      // Of no concern to a link that gives the flow less than either.
      const MilliRate most = std::min(demand(flow, index, other), links_[other].level);
      if (std::min(most, before) == std::min(most, after)) continue;
      links_[other].dirty = true;
      dirty_.push_back(other);
    }
  }
}

}  // namespace lanward::simulator
