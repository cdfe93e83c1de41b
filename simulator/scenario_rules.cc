// What makes a scenario possible, and what follows from one.
#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "simulator/scenario.h"

namespace lanward::simulator {

namespace {

tl::unexpected<Error> refuse(std::string text) {
  return fail(ErrorCode::invalid_argument, std::move(text));
}

Result<void> validate_file(const Scenario& s) {
  if (s.size.value < 1 || s.size > kSizeMax) {
    return refuse(
        fmt::format("size {} bytes: 1 to {} bytes are simulated", s.size.value, kSizeMax.value));
  }
  if (s.piece_bytes != 0 &&
      ((s.piece_bytes & (s.piece_bytes - 1)) != 0 || s.piece_bytes < core::kPieceBytesMin ||
       s.piece_bytes > core::kPieceBytesMax)) {
    return refuse(fmt::format("piece length {} bytes: it must be a power of two from {} to {}",
                              s.piece_bytes, core::kPieceBytesMin, core::kPieceBytesMax));
  }
  return {};
}

Result<void> validate_links(const Scenario& s) {
  for (const auto& [name, rate] : {std::pair{"WAN", s.wan}, std::pair{"LAN", s.lan}}) {
    if (rate.value < 1 || rate > kLinkRateMax) {
      return refuse(fmt::format("{} rate {} bytes/s: 1 to {} bytes/s are simulated", name,
                                rate.value, kLinkRateMax.value));
    }
  }
  for (const auto& [name, delay] :
       {std::pair{"WAN round trip", s.origin.rtt}, std::pair{"join.within", s.join.within},
        std::pair{"join.every", s.join.every}, std::pair{"join.late_within", s.join.late_within}}) {
    if (delay < core::Duration{0} || delay > kDelayMax) {
      return refuse(fmt::format("{}: at most one hour is simulated", name));
    }
  }
  return {};
}

Result<void> validate_trouble(const Scenario& s) {
  for (const Fault& fault : s.faults) {
    if (fault.peers > s.peers) {
      return refuse(fmt::format("a fault hits {} of {} machines", fault.peers, s.peers));
    }
    for (const std::uint32_t host : fault.listed) {
      if (host >= s.peers) {
        return refuse(fmt::format("a fault hits machine {}, the last is {}", host, s.peers - 1));
      }
    }
  }
  std::uint64_t hostile = 0;
  for (const Adversary& adversary : s.adversaries) hostile += adversary.count;
  if (hostile >= s.peers) {
    return refuse(
        fmt::format("{} adversaries among {} machines: one must be honest", hostile, s.peers));
  }
  return {};
}

// Whether the machine wants the file and shares it.
constexpr bool gives_and_takes(AdversaryKind kind) { return kind == AdversaryKind::slow; }

}  // namespace

Result<void> validate(const Scenario& s) {
  if (s.peers < 1 || s.peers > kPeersMax) {
    return refuse(fmt::format("peers {}: 1 to {} are simulated", s.peers, kPeersMax));
  }
  for (const auto& rule : {validate_file, validate_links, validate_trouble}) {
    if (auto valid = rule(s); !valid) return valid;
  }
  return {};
}

core::Duration transfer_time(std::uint64_t bytes, std::uint64_t rate) {
  __extension__ typedef unsigned __int128 Wide;
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max() / 4);
  const Wide ns = (Wide{bytes} * 1'000'000'000 + rate - 1) / rate;
  return core::Duration{static_cast<std::int64_t>(std::min(ns, Wide{kMax}))};
}

std::uint32_t honest_peers(const Scenario& s) {
  std::uint32_t honest = s.peers;
  for (const Adversary& adversary : s.adversaries) {
    if (!gives_and_takes(adversary.kind)) honest -= adversary.count;
  }
  return honest;
}

core::Duration bound(const Scenario& s) {
  const std::uint64_t n = honest_peers(s);
  return std::max({transfer_time(s.size.value, s.wan.value),
                   transfer_time(s.size.value, s.lan.value),
                   transfer_time(s.size.value * n, s.wan.value + s.lan.value * n)});
}

bool undisturbed(const Scenario& s) {
  // Machines that begin together still find each other before one of them has fetched much.
  constexpr core::Duration kTogether = std::chrono::milliseconds{200};
  const core::Duration message = s.swarm.latency_max + s.swarm.message_jitter;
  return s.faults.empty() && s.churn_ppm == 0 && s.adversaries.empty() && s.corrupt.empty() &&
         s.swarm.message_loss_ppm == 0 && s.swarm.message_reorder_ppm == 0 &&
         message < s.policy.lease_settle && s.join.late_ppm == 0 &&
         s.join.every == core::Duration{0} && s.join.within <= kTogether &&
         s.peers <= s.swarm.connections_max;
}

}  // namespace lanward::simulator
