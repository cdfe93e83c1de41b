// Every number a user or an administrator may tune, with unit, range and reason.
#pragma once

#include <chrono>
#include <cstdint>

#include "engine/core/units.h"

namespace lanward::core {

struct Policy {
  // Range requests in flight per origin, 1..64. Two hide the gap between ranges, four also a lost
  // packet; more only crowd the link (RFC 9110 leaves it to courtesy, browsers use six).
  std::uint32_t origin_requests_max = 4;

  // Length of a range request, bytes, one piece..64 MiB. CDNs cache by slices of 1-16 MiB; longer
  // ranges only lose more when they break.
  ByteCount range_bytes_max{16 * kMiB};

  // Pieces that a range may still hold when work runs short: guided self-scheduling hands out
  // remaining / (guide * requests), so the last ranges end together. 1..16.
  std::uint32_t range_guide = 2;

  // No byte from any peer for this long while peers owe pieces: the origin takes over. 0.2..60 s.
  // Four times the longest honest gap seen between pieces in a busy swarm (0.85 s).
  Duration peer_stall{std::chrono::seconds{2}};

  // Peers slower than this share of the origin's measured rate (per cent, 1..100) lose work to it:
  // a download is never slower than plain HTTP for long.
  std::uint32_t peer_rate_percent_min = 50;

  // Back-off after a transient origin failure: first delay, doubled per failure in a row, 10 ms..1 h.
  Duration retry_delay_min{std::chrono::milliseconds{250}};
  Duration retry_delay_max{std::chrono::seconds{30}};

  // Failures in a row of one origin, without a byte in between, before it is given up; 1..1000.
  // With the delays above: about two minutes.
  std::uint32_t origin_failures_max = 10;

  // Pieces with wrong bytes before the only source of them is banned, 1..10. A mixed piece blames
  // nobody; it is fetched again from one source.
  std::uint32_t bad_pieces_max = 1;

  // No progress from anywhere for this long ends the transfer with an error. 1 s..14 days.
  // Delivery Optimization: one hour for foreground jobs; a person at a terminal waits less.
  Duration no_progress_timeout{std::chrono::minutes{5}};
};

}  // namespace lanward::core
