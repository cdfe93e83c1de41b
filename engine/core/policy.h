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

  // The same while peers are connected, 1..64: what is asked from the origin cannot come from a
  // peer any more, and every piece in flight is one that nobody can share yet.
  std::uint32_t origin_requests_max_with_peers = 2;

  // Peers that start together visit the file in orders of their own, in steps of this share of it
  // (1/n, 16..4096), so that two rarely ask for the same part.
  std::uint32_t order_steps = 128;

  // Length of a range request, bytes, one piece..64 MiB. CDNs cache by slices of 1-16 MiB; longer
  // ranges only lose more when they break.
  ByteCount range_bytes_max{16 * kMiB};

  // A range lasts no longer than this at the measured rate, where peers may turn up: what is asked
  // from the origin cannot come from a peer any more. 0.1..60 s.
  Duration range_duration_max{std::chrono::seconds{2}};

  // Pieces that a range may still hold when work runs short: guided self-scheduling hands out
  // remaining / (guide * requests), so the last ranges end together. 1..16.
  std::uint32_t range_guide = 2;

  // No byte from any peer for this long while peers owe pieces: the origin takes over. 0.2..60 s.
  // Four times the longest honest gap seen between pieces in a busy swarm (0.85 s).
  Duration peer_stall{std::chrono::seconds{2}};

  // Peers slower than this share of the origin's measured rate (per cent, 1..100) lose work to it:
  // a download is never slower than plain HTTP for long.
  std::uint32_t peer_rate_percent_min = 50;

  // Below this rate of the peers, and with no measured rate of the origin to compare, one piece is
  // asked from the origin to find out. 0..100 MB/s. 1 MiB/s: any working LAN is far above it.
  ByteRate peer_rate_probe{kMiB};

  // How long the origin waits for peers that are known by address to say what they have. 0..10 s.
  // Above the worst LAN round trip and connection set-up, inside what DNS, TCP and TLS take anyway.
  Duration peer_hold{std::chrono::milliseconds{100}};

  // With every origin gone and nobody offering a missing piece, this long passes before the
  // transfer gives up: peers need a moment to be found. 0..1 h.
  Duration peer_grace{std::chrono::seconds{5}};

  // Back-off after a transient origin failure: first delay, doubled per failure in a row, 10 ms..1
  // h.
  Duration retry_delay_min{std::chrono::milliseconds{250}};
  Duration retry_delay_max{std::chrono::seconds{30}};

  // Failures in a row of one origin, without a byte in between, before it is given up; 1..1000.
  // With the delays above: about two minutes.
  std::uint32_t origin_failures_max = 10;

  // Bad pieces before a source is banned, 1..10: with the only source of a piece at fault / as one
  // of several. Two: one flipped bit on the way is forgiven, a wrong file is not.
  std::uint32_t bad_pieces_max = 2;
  std::uint32_t bad_shares_max = 4;

  // No progress from anywhere for this long ends the transfer with an error. 1 s..14 days.
  // Delivery Optimization: one hour for foreground jobs; a person at a terminal waits less.
  Duration no_progress_timeout{std::chrono::minutes{5}};
};

}  // namespace lanward::core
