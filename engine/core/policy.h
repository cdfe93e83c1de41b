// Every number a user or an administrator may tune, with unit, range and reason.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "engine/core/units.h"

namespace lanward::core {

struct Policy {
  // Range requests in flight per origin, 1..64. Two hide the gap between ranges, four also a lost
  // packet; more only crowd the link (RFC 9110 leaves it to courtesy, browsers use six).
  std::uint32_t origin_requests_max = 4;
  // The same while a job of higher priority fetches, 1..64: the share of the link that one
  // connection among several gets, so that nothing ever stands still.
  std::uint32_t background_requests_max = 1;

  // The same over all origins of a transfer, 1..256: four mirrors at full number. Each request
  // holds a connection and a piece under way in memory.
  std::uint32_t requests_max = 16;

  // Length of a range request, bytes, one piece..64 MiB. CDNs cache by slices of 1-16 MiB; longer
  // ranges only lose more when they break.
  ByteCount range_bytes_max{16 * kMiB};

  // A range lasts no longer than this at the measured rate, where peers may turn up: what is asked
  // from the origin cannot come from a peer any more, nor be given to another puller. 0.1..60 s.
  Duration range_duration_max{std::chrono::seconds{2}};

  // Pieces that a range may still hold when work runs short: guided self-scheduling hands out
  // remaining / (guide * ranges at work), so the last ranges end together. 1..16.
  std::uint32_t range_guide = 2;

  // Peers that fetch from the origin for all, 1..16. With one, its uplink feeds everybody; with
  // many, each piece takes longer to arrive and so to be shared. Four to eight are best for every
  // size of site.
  std::uint32_t pullers = 8;
  // So many where more pullers make the site faster: connections or machines may have limits of
  // their own. pullers..16.
  std::uint32_t pullers_max = 16;

  // Bytes in flight to the pullers last no longer than this at the site's rate, 0.1..60 s: on a
  // slow WAN fewer pullers, so that pieces become shareable early.
  Duration pullers_in_flight{std::chrono::seconds{1}};

  // How long a claim waits for claims made at the same time, 1 ms..1 s: more than the worst message
  // takes between two machines of a site, busy ones included. Grows to the maximum as late claims
  // show that messages take longer.
  Duration lease_settle{std::chrono::milliseconds{25}};
  Duration lease_settle_max{std::chrono::milliseconds{200}};

  // The next run is claimed this long before the present one ends, 0..10 s: settling then costs
  // nothing. Above the settling time and a round trip to the origin.
  Duration lease_prefetch{std::chrono::milliseconds{100}};

  // A claimer that shows no new piece for this long, or for four times a piece's usual time, has
  // broken its promise: its run is anybody's again. 0.5..600 s. A false alarm costs one piece.
  Duration lease_promise{std::chrono::seconds{3}};

  // Reports of progress without a new piece that extend a promise by a second each, 0..100.
  std::uint32_t lease_slips_max = 4;

  // Promises broken before a peer's claims are ignored, 1..100, and for how long, 1 s..1 day. After
  // the first the next are shorter.
  std::uint32_t lease_strikes_max = 2;
  Duration lease_mute{std::chrono::seconds{60}};

  // What may be fetched twice over the WAN to outrun a late piece at the end: per mille of the
  // file, 0..1000, but at least so many pieces, 0..100.
  std::uint32_t hedge_permille = 5;
  std::uint32_t hedge_pieces_min = 2;

  // No byte from anywhere for this long: this peer trusts nobody and fetches for itself. 0.2..600
  // s. Four times the longest honest gap seen between pieces in a busy swarm (0.85 s).
  Duration lease_patience{std::chrono::seconds{2}};
  // The same while others report that they fetch from the origin: the price of fake reports.
  Duration lease_patience_active{std::chrono::seconds{10}};

  // Offers of a peer that has not delivered yet count this long, 0..10 s; again as long as bytes
  // come. Above the time of a first piece on a working LAN; it is what a liar can delay.
  Duration peer_credit{std::chrono::milliseconds{400}};

  // Nothing is fetched from the origin before this time after the start, 0..1 day: peers first
  // (Delivery Optimization's delay of HTTP).
  Duration http_delay{0};

  // A transfer slower than this over five seconds fetches for itself, whatever others do; 0: off.
  ByteRate min_rate{0};

  // Peers slower than this share of the origin's measured rate (per cent, 1..100) lose work to it:
  // a download is never slower than plain HTTP for long. Only while nobody else uses the WAN.
  std::uint32_t peer_rate_percent_min = 50;

  // Below this rate of the peers, and with no measured rate of the origin to compare, one piece is
  // asked from the origin to find out. 0..100 MB/s. 1 MiB/s: any working LAN is far above it.
  ByteRate peer_rate_probe{kMiB};

  // This peer leaves the origin to others that are willing to ask it, and begins only when it has
  // known of none for so long: more than it takes to find a site's peers. 0.1..600 s.
  bool never_puller = false;
  Duration puller_absence{std::chrono::seconds{2}};

  // How long the origin waits for peers that are known by address, 0..10 s; up to four times as
  // long for the peer of the highest rank, so that one begins early and the others know it then.
  // Above the worst LAN round trip and connection set-up, inside what DNS, TCP and TLS take anyway.
  Duration peer_hold{std::chrono::milliseconds{60}};

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

  // How long a foreground / background transfer stays with its cache hosts, whatever goes wrong
  // with them, before it goes over to the ordinary origins for good, from its start, 0..30 days;
  // negative: for ever. Nothing: it changes over at once, and back when the others fail.
  std::optional<Duration> cache_host_fallback_foreground = {};
  std::optional<Duration> cache_host_fallback_background = {};

  // How long a cache host is left alone that refused a file (as a cache for that file's server) or
  // cannot be reached (for all). 0..1 day. Delivery Optimization's quarter of an hour.
  Duration cache_host_ban{std::chrono::minutes{15}};

  // Failures without a byte in between, after the first change of side, before a transfer changes
  // over again between cache hosts and ordinary origins; 1..100. Two, as Delivery Optimization.
  std::uint32_t cache_host_attempts_min = 2;

  // Bad pieces before a source is banned, 1..10: with the only source of a piece at fault / as one
  // of several. Two: one flipped bit on the way is forgiven, a wrong file is not.
  std::uint32_t bad_pieces_max = 2;
  std::uint32_t bad_shares_max = 4;

  // No progress from anywhere for this long ends the transfer with an error. 1 s..14 days.
  // Delivery Optimization: one hour for foreground jobs; a person at a terminal waits less.
  Duration no_progress_timeout{std::chrono::minutes{5}};

  // The cache is given this long to judge a piece that it has whole, and to close a content. 1 s..1
  // day. After as long without an answer from a disk Linux itself reports a task as hung.
  Duration verdict_timeout{std::chrono::minutes{2}};
};

}  // namespace lanward::core
