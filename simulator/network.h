// Links and flows: bandwidth shared max-min fairly, bytes as a fluid.
//
// Modelled: capacity of links, any number of flows over each, the max-min fair share of every flow
// whenever a flow starts or ends, caps of single flows. Not modelled: packets, loss, headers,
// queues. Delays belong to the users of the network: a flow's bytes arrive as they leave.
//
// Each link keeps a level, the share of the flows that nothing else holds back; a flow has the
// lowest level of its path. What changes at a link is worked out there and passed on to the links
// whose flows it concerns, until nothing changes by more than a tolerance:
//
//   flows            tolerance   when
//   up to 64         none        at the end of the instant
//   up to 1024       1/512       at the end of the instant
//   more             1/64        every 2 ms; until then a new flow has what its links had to spare
#pragma once

#include <array>
#include <cstdint>
#include <limits>
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
// A flow that only links hold back.
inline constexpr core::ByteRate kUncapped = kLinkRateMax;

// Whoever has many flows is told of each by its tag, without an allocation.
class FlowOwner {
 public:
  // As Network::OnPassed.
  virtual std::uint64_t passed(std::uint64_t tag) = 0;
  // A hint that it is near, as EventHandler::warm().
  virtual void warm_passed(std::uint64_t /*tag*/, unsigned /*step*/) const {}

 protected:
  ~FlowOwner() = default;
};

// All arithmetic is on integers, so that a run is the same on every platform and compiler.
class Network final : private EventHandler {
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
  // REQUIRES: besides, the owner outlives the flow.
  FlowId start(std::span<const LinkId> path, core::ByteCount bytes, FlowOwner& owner,
               std::uint64_t tag);
  // No more than this, whatever the links have to give. An ended flow is ignored.
  void set_cap(FlowId flow, core::ByteRate cap);
  // Ends the flow; returns what has passed of its present stretch. An ended flow is ignored.
  core::ByteCount stop(FlowId flow);
  // Present share; zero for an ended flow.
  [[nodiscard]] core::ByteRate rate(FlowId flow);
  // What has passed of the present stretch; zero for an ended flow.
  [[nodiscard]] core::ByteCount passed(FlowId flow) const;

  // Bytes that have passed in finished and stopped stretches.
  [[nodiscard]] core::ByteCount carried(LinkId link) const;
  // Sum of the present shares of its flows.
  [[nodiscard]] core::ByteRate load(LinkId link);
  [[nodiscard]] core::ByteRate capacity(LinkId link) const;

 private:
  // Thousandths of a byte per second: a fair share is rounded down, and a thousand flows of one
  // slow link must not lose a noticeable part of it.
  using MilliRate = std::uint64_t;
  static constexpr MilliRate kUnlimited = std::numeric_limits<MilliRate>::max();
  // Bytes * 1e12, the product of MilliRate and nanoseconds.
  __extension__ typedef unsigned __int128 Volume;

  struct Flow {
    std::uint64_t sequence = 0;  // order of starting; 0: the slot is free
    std::array<LinkId, kPathLinksMax> path;
    std::array<std::uint32_t, kPathLinksMax> place{};  // index in the flows of each link
    std::uint32_t path_length = 0;
    bool changed = false;     // listed in changed_
    std::uint64_t bytes = 0;  // length of the present stretch
    std::uint64_t done = 0;   // in stretches before, not yet in the links' `carried`
    Volume left = 0;          // of it, at `settled`
    core::Instant settled;
    core::Instant finish;
    core::Instant armed;  // earliest event that waits for it
    MilliRate rate = 0;
    MilliRate cap = kUnlimited;
    FlowOwner* owner = nullptr;  // null: on_passed
    std::uint64_t tag = 0;
    OnPassed on_passed;
  };
  struct Link {
    MilliRate capacity = 0;
    MilliRate level = kUnlimited;  // unlimited: the link is not full
    MilliRate used = 0;            // sum of the rates
    std::uint64_t carried = 0;
    std::uint64_t sweep = 0;   // in which `visits` was counted
    std::uint32_t visits = 0;  // of this sweep
    bool dirty = false;
    std::vector<std::uint32_t> flows;
  };

  void fire(std::uint64_t tag) override;
  void warm(std::uint64_t tag, unsigned step) const override;
  [[nodiscard]] Flow* find(FlowId flow);
  [[nodiscard]] const Flow* find(FlowId flow) const;
  [[nodiscard]] static FlowId id_of(std::uint32_t slot, const Flow& flow);
  std::uint32_t take_slot();
  std::uint32_t begin(std::span<const LinkId> path, core::ByteCount bytes);
  void release(std::uint32_t slot);
  [[nodiscard]] Volume moved(const Flow& flow) const;
  void settle(Flow& flow);
  void set_finish(std::uint32_t slot);
  void pass(std::uint32_t slot);

  [[nodiscard]] bool prompt() const;
  [[nodiscard]] unsigned tolerance_bits() const;
  void touch(std::uint32_t link);
  void touch(std::uint32_t slot, const Flow& flow);
  void sweep();
  void relevel(std::uint32_t link);
  [[nodiscard]] MilliRate demand(const Flow& flow, std::uint32_t link, std::uint32_t other) const;
  [[nodiscard]] MilliRate fair_level(const Link& link);
  void pass_on(std::uint32_t link, MilliRate before, MilliRate after);
  void set_rate(std::uint32_t slot, MilliRate rate);

  EventQueue& queue_;
  std::vector<Link> links_;
  std::vector<Flow> flows_;
  std::vector<std::uint32_t> free_;
  std::uint64_t sequence_ = 0;
  std::uint64_t sweep_ = 0;
  bool sweep_due_ = false;
  std::vector<std::uint32_t> dirty_;    // links whose level must be worked out again
  std::vector<std::uint32_t> changed_;  // flows whose rate may be another
  std::vector<MilliRate> demands_;      // scratch
};

}  // namespace lanward::simulator
