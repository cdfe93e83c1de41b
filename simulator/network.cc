#include "simulator/network.h"

#include <algorithm>
#include <cassert>
#include <functional>
#include <utility>

namespace lanward::simulator {

namespace {

constexpr std::uint64_t kMilli = 1000;
constexpr std::uint64_t kVolumePerByte = kMilli * 1'000'000'000;
constexpr core::Instant kNever = core::Instant::max();

// FlowId: sequence number above, slot below. 2^24 flows at once, 2^40 over a run.
constexpr std::uint32_t kSlotBits = 24;

}  // namespace

FlowId Network::id_of(std::uint32_t slot, const Flow& flow) {
  return FlowId{(flow.sequence << kSlotBits) | slot};
}

Network::Flow* Network::find(FlowId flow) {
  const std::uint64_t slot = flow.value & ((std::uint64_t{1} << kSlotBits) - 1);
  const std::uint64_t sequence = flow.value >> kSlotBits;
  if (sequence == 0 || slot >= flows_.size() || flows_[slot].sequence != sequence) return nullptr;
  return &flows_[slot];
}

LinkId Network::add_link(core::ByteRate capacity) {
  links_.emplace_back();
  const LinkId link{static_cast<std::uint32_t>(links_.size() - 1)};
  set_capacity(link, capacity);
  return link;
}

void Network::set_capacity(LinkId link, core::ByteRate capacity) {
  assert(capacity <= kLinkRateMax);
  links_[link.value].capacity = capacity.value * kMilli;
  if (!links_[link.value].flows.empty()) touch();
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

FlowId Network::start(std::span<const LinkId> path, core::ByteCount bytes, OnPassed on_passed) {
  assert(!path.empty() && path.size() <= kPathLinksMax && bytes.value > 0);
  const std::uint32_t slot = take_slot();
  Flow& flow = flows_[slot];
  flow = Flow{};
  flow.sequence = ++sequence_;
  flow.path_length = static_cast<std::uint32_t>(path.size());
  for (std::uint32_t i = 0; i < flow.path_length; ++i) {
    flow.path[i] = path[i];
    auto& on_link = links_[path[i].value].flows;
    flow.place[i] = static_cast<std::uint32_t>(on_link.size());
    on_link.push_back(slot);
  }
  flow.active_place = static_cast<std::uint32_t>(active_.size());
  active_.push_back(slot);
  flow.bytes = bytes.value;
  flow.left = Volume{bytes.value} * kVolumePerByte;
  flow.settled = queue_.now();
  flow.finish = kNever;
  flow.on_passed = std::move(on_passed);
  touch();
  return id_of(slot, flow);
}

void Network::release(std::uint32_t slot) {
  Flow& flow = flows_[slot];
  for (std::uint32_t i = 0; i < flow.path_length; ++i) {
    auto& on_link = links_[flow.path[i].value].flows;
    const std::uint32_t moved = on_link.back();
    on_link[flow.place[i]] = moved;
    on_link.pop_back();
    Flow& other = flows_[moved];
    for (std::uint32_t k = 0; k < other.path_length; ++k) {
      if (other.path[k] == flow.path[i]) other.place[k] = flow.place[i];
    }
  }
  const std::uint32_t last = active_.back();
  active_[flow.active_place] = last;
  flows_[last].active_place = flow.active_place;
  active_.pop_back();
  flow.sequence = 0;
  flow.on_passed = {};
  free_.push_back(slot);
  touch();
}

core::ByteCount Network::stop(FlowId flow_id) {
  Flow* flow = find(flow_id);
  if (flow == nullptr) return core::ByteCount{0};
  settle(*flow, queue_.now());
  const Volume whole = Volume{flow->bytes} * kVolumePerByte;
  const auto passed = static_cast<std::uint64_t>((whole - flow->left) / kVolumePerByte);
  account(*flow, passed);
  release(static_cast<std::uint32_t>(flow - flows_.data()));
  return core::ByteCount{passed};
}

core::ByteRate Network::rate(FlowId flow_id) {
  if (dirty_) share();
  const Flow* flow = find(flow_id);
  return core::ByteRate{flow == nullptr ? 0 : flow->rate / kMilli};
}

core::ByteCount Network::carried(LinkId link) const {
  return core::ByteCount{links_[link.value].carried};
}

void Network::account(const Flow& flow, std::uint64_t bytes) {
  for (std::uint32_t i = 0; i < flow.path_length; ++i) links_[flow.path[i].value].carried += bytes;
}

void Network::settle(Flow& flow, core::Instant now) {
  const auto elapsed = static_cast<std::uint64_t>((now - flow.settled).count());
  const Volume moved = Volume{flow.rate} * elapsed;
  flow.left -= std::min(flow.left, moved);
  flow.settled = now;
}

void Network::set_finish(Flow& flow) {
  if (flow.rate == 0) {
    flow.finish = kNever;
    return;
  }
  const Volume ns = (flow.left + flow.rate - 1) / flow.rate;
  const Volume room = static_cast<std::uint64_t>((kNever - flow.settled).count());
  flow.finish =
      ns >= room ? kNever : flow.settled + core::Duration{static_cast<core::Duration::rep>(ns)};
}

// Many flows start and end at one instant; the shares are computed once, after all of them.
void Network::touch() {
  if (dirty_) return;
  dirty_ = true;
  queue_.at(queue_.now(), [this] {
    if (dirty_) share();
  });
}

// Progressive filling: the link with the smallest fair share is a bottleneck; its flows get that
// share, which is taken off their other links; the remaining links' shares can only grow.
void Network::share() {
  dirty_ = false;
  ++fill_;
  using Candidate = std::pair<MilliRate, std::uint32_t>;
  std::vector<Candidate> heap;
  for (std::uint32_t i = 0; i < links_.size(); ++i) {
    Link& link = links_[i];
    if (link.flows.empty()) continue;
    link.residual = link.capacity;
    link.open = static_cast<std::uint32_t>(link.flows.size());
    heap.emplace_back(link.residual / link.open, i);
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>{});
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>{});
    const auto [fair, index] = heap.back();
    heap.pop_back();
    const Link& link = links_[index];
    if (link.open == 0) continue;
    const MilliRate present = link.residual / link.open;
    if (present == fair) {
      fill_link(index, fair);
    } else {
      heap.emplace_back(present, index);
      std::push_heap(heap.begin(), heap.end(), std::greater<>{});
    }
  }
  apply_shares();
}

void Network::fill_link(std::uint32_t bottleneck, MilliRate fair) {
  for (const std::uint32_t slot : links_[bottleneck].flows) {
    Flow& flow = flows_[slot];
    if (flow.filled == fill_) continue;
    flow.filled = fill_;
    flow.share = fair;
    for (std::uint32_t i = 0; i < flow.path_length; ++i) {
      Link& link = links_[flow.path[i].value];
      link.residual -= fair;
      --link.open;
    }
  }
}

void Network::apply_shares() {
  for (const std::uint32_t slot : active_) {
    Flow& flow = flows_[slot];
    if (flow.share == flow.rate) continue;
    settle(flow, queue_.now());
    flow.rate = flow.share;
    set_finish(flow);
  }
  schedule();
}

void Network::schedule() {
  core::Instant next = kNever;
  for (const std::uint32_t slot : active_) next = std::min(next, flows_[slot].finish);
  if (next == scheduled_) return;
  scheduled_ = next;
  ++generation_;
  if (next == kNever) return;
  queue_.at(next, [this, generation = generation_] {
    if (generation == generation_) pass();
  });
}

void Network::pass() {
  scheduled_ = kNever;
  std::vector<std::pair<std::uint64_t, FlowId>> due;
  for (const std::uint32_t slot : active_) {
    const Flow& flow = flows_[slot];
    if (flow.finish <= queue_.now()) due.emplace_back(flow.sequence, id_of(slot, flow));
  }
  std::sort(due.begin(), due.end());
  for (const auto& [sequence, id] : due) pass(id);
  // A change of the set of flows is followed by share(), which schedules.
  if (!dirty_) schedule();
}

void Network::pass(FlowId id) {
  Flow* flow = find(id);
  // A callback earlier in this instant may have stopped it.
  if (flow == nullptr) return;
  account(*flow, flow->bytes);
  flow->settled = queue_.now();
  flow->left = 0;
  flow->bytes = 0;
  OnPassed on_passed = std::move(flow->on_passed);
  const std::uint64_t more = on_passed();
  // The callback may have started flows, so the table may have moved, or stopped this one.
  flow = find(id);
  if (flow == nullptr) return;
  if (more == 0) {
    release(static_cast<std::uint32_t>(flow - flows_.data()));
    return;
  }
  flow->on_passed = std::move(on_passed);
  flow->bytes = more;
  flow->left = Volume{more} * kVolumePerByte;
  set_finish(*flow);
}

}  // namespace lanward::simulator
