// Links and flows: bandwidth shared max-min fairly, bytes as a fluid.
//
// Modelled: capacity of links, any number of flows over each, the max-min fair share of every flow
// whenever a flow starts or ends. Not modelled: packets, loss, slow start, headers, queues. Delays
// belong to the users of the network: a flow's bytes arrive as they leave.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/core/units.h"
#include "engine/ports/task.h"
#include "simulator/event_queue.h"

namespace lanward::simulator {

using LinkId = core::Id<struct LinkTag, std::uint32_t>;
using FlowId = core::Id<struct FlowTag, std::uint64_t>;

// Longest path: uplink, site link, connection, downlink.
inline constexpr std::size_t kPathLinksMax = 4;
// Fastest link: a rate in thousandths of a byte per second times an hour stays exact.
inline constexpr core::ByteRate kLinkRateMax{125'000'000'000};

// All arithmetic is on integers, so that a run is the same on every platform and compiler.
class Network {
 public:
  // Called when the bytes of a stretch have passed; returns how many follow, 0 to end the flow. May
  // start and stop any flow.
  using OnPassed = ports::MoveFunction<std::uint64_t()>;

  explicit Network(EventQueue& queue) : queue_(queue) {}
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // REQUIRES: capacity <= kLinkRateMax. A link of capacity zero carries nothing.
  LinkId add_link(core::ByteRate capacity);
  void set_capacity(LinkId link, core::ByteRate capacity);

  // REQUIRES: 1..kPathLinksMax different links, bytes > 0.
  FlowId start(std::span<const LinkId> path, core::ByteCount bytes, OnPassed on_passed);
  // Ends the flow; returns what has passed of its present stretch. An ended flow is ignored.
  core::ByteCount stop(FlowId flow);
  // Present share; zero for an ended flow.
  [[nodiscard]] core::ByteRate rate(FlowId flow);

  // Bytes that have passed in finished and stopped stretches.
  [[nodiscard]] core::ByteCount carried(LinkId link) const;

 private:
  // Thousandths of a byte per second: a fair share is rounded down, and a thousand flows of one
  // slow link must not lose a noticeable part of it.
  using MilliRate = std::uint64_t;
  // Bytes * 1e12, the product of MilliRate and nanoseconds.
  __extension__ typedef unsigned __int128 Volume;

  struct Flow {
    std::uint64_t sequence = 0;  // order of starting; 0: the slot is free
    std::array<LinkId, kPathLinksMax> path;
    std::array<std::uint32_t, kPathLinksMax> place{};  // index in the flows of each link
    std::uint32_t path_length = 0;
    std::uint32_t active_place = 0;  // index in active_
    std::uint64_t bytes = 0;         // length of the present stretch
    Volume left = 0;                 // of it, at `settled`
    core::Instant settled;
    core::Instant finish;
    MilliRate rate = 0;
    MilliRate share = 0;  // result of the fill in progress
    std::uint64_t filled = 0;
    OnPassed on_passed;
  };
  struct Link {
    MilliRate capacity = 0;
    MilliRate residual = 0;
    std::uint32_t open = 0;  // flows that have no share yet in the fill in progress
    std::uint64_t carried = 0;
    std::vector<std::uint32_t> flows;
  };

  [[nodiscard]] Flow* find(FlowId flow);
  [[nodiscard]] static FlowId id_of(std::uint32_t slot, const Flow& flow);
  std::uint32_t take_slot();
  void release(std::uint32_t slot);
  static void settle(Flow& flow, core::Instant now);
  static void set_finish(Flow& flow);
  void account(const Flow& flow, std::uint64_t bytes);
  void touch();
  void share();
  void fill_link(std::uint32_t bottleneck, MilliRate fair);
  void apply_shares();
  void schedule();
  void pass();
  void pass(FlowId flow);

  EventQueue& queue_;
  std::vector<Link> links_;
  std::vector<Flow> flows_;
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> active_;
  std::uint64_t sequence_ = 0;
  std::uint64_t fill_ = 0;
  bool dirty_ = false;
  std::uint64_t generation_ = 0;  // of the scheduled passing
  core::Instant scheduled_ = core::Instant::max();
};

}  // namespace lanward::simulator
