// The vocabulary between the deciding core and the doing world: facts go in, commands come out.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include <lanward/error.h>
#include <lanward/types.h>

#include "engine/core/content.h"
#include "engine/core/digest.h"
#include "engine/core/lease_message.h"
#include "engine/core/piece_set.h"
#include "engine/core/units.h"

namespace lanward::core {

// ---- facts -------------------------------------------------------------------------------------

// How a request failed, as far as the adapter can tell from the outside. What to do about it is
// the core's business.
enum class FailureClass : std::uint8_t {
  transient,     // connection refused or lost, time-out, 408, 5xx, DNS: the same request may work
                 // later
  rate_limited,  // 429 or 503 with Retry-After: not before Failure::retry_after has passed
  permanent,     // 4xx, unsupported scheme, redirect refused: this URL will not do
  no_ranges,     // the server answered a range request with the whole file
  changed,       // validator or total size differ from what the request demanded
  protocol,      // the reply contradicts itself or the request (wrong Content-Range, overlong body)
  local,         // our own side could not take the bytes; the store reports why
};

struct Failure {
  FailureClass kind = FailureClass::transient;
  Duration retry_after{0};  // rate_limited only; at most a day, adapters clamp
  std::string message;      // for a person: URL and cause
  // Nothing can be got from the host at present, whatever the URL: its name was not resolved, no
  // connection came about, or an answer did not come in time.
  bool unreachable = false;
  // The server answered with a status of 400 to 499, whatever class was made of it.
  bool refused = false;
};

// Something the origin told about a file in reply to a probe.
struct OriginFacts {
  std::string url;  // after redirects
  bool size_known = false;
  ByteCount size;
  bool ranges = false;        // a range request was honoured
  std::string strong_etag;    // with quotes; empty when absent or weak
  std::string last_modified;  // as sent; empty when absent
  std::string content_type;   // lower case, without parameters
  // RFC 8288 links of interest: target resolved against url.
  struct Link {
    std::string rel;
    std::string target;
    std::string type;
    std::uint32_t priority = 0;  // of a mirror, lowest first; 0: none given
    std::string location = {};   // of a mirror: country code, lower case; empty: none given
  };
  std::vector<Link> links;
  // Of the whole file, as the origin says; the source names field and URL.
  std::vector<ExpectedDigest> digests;
};

struct OriginProbed {
  RequestId request;
  OriginFacts facts;
};
struct DocumentFetched {
  RequestId request;
  std::vector<std::uint8_t> bytes;
  std::string url;
};
// The range's bytes up to `end` (exclusive, absolute) have been handed to the store.
struct RangeProgressed {
  RequestId request;
  std::uint64_t end = 0;
};
struct RangeFinished {
  RequestId request;
};
struct RequestFailed {
  RequestId request;
  Failure failure;
};

struct PeerJoined {
  SourceId peer;
  std::string address;  // for people
  Endpoint endpoint;    // where it accepts connections, as far as that is known
  bool leases = false;  // it understands lease messages
  PeerClass where = PeerClass::lan;
};
struct PeerLeft {
  SourceId peer;
};
struct PeerHasPieces {
  SourceId peer;
  PieceSet pieces;
};  // replaces what was known
struct PeerHasPiece {
  SourceId peer;
  PieceIndex piece;
};
// Several at once, in the order in which they came: large swarms tell them in batches.
struct PeersHavePieces {
  std::vector<PeerHasPiece> news;
};
// A lease message came from a connected peer.
struct PeerMessage {
  SourceId peer;
  LeaseMessage message;
};
// Totals over all sessions of the peer. `wasted` never reached the store (redundant blocks).
struct PeerProgressed {
  SourceId peer;
  ByteCount received;
  ByteCount wasted;
  ByteCount served;
};

// Reported by the store; `from` are the sources of the blocks, in order of id, without repeats.
struct PieceVerified {
  PieceIndex piece;
  std::vector<SourceId> from;
};
struct PieceFailed {
  PieceIndex piece;
  std::vector<SourceId> from;
};
// What the peers of a large swarm did since the last report: pieces that are verified now, each
// brought by one peer; totals; news of what they have. It counts in this order.
struct PeersReport {
  std::vector<PeerHasPiece> brought;
  std::vector<PeerProgressed> totals;
  std::vector<PeerHasPiece> news;
};
// A piece that was verified turned out to be damaged on the disk and was dropped.
struct PieceLost {
  PieceIndex piece;
};
// The store can write no more (disk full, I/O error). Verified pieces stay verified.
struct StoreFailed {
  Error error;
};

// Others need the origin more than this transfer does, or no longer.
struct OriginPriority {
  bool background = false;
};

struct Tick {};

using Event = std::variant<OriginProbed, DocumentFetched, RangeProgressed, RangeFinished,
                           RequestFailed, PeerJoined, PeerLeft, PeerHasPieces, PeerHasPiece,
                           PeersHavePieces, PeerMessage, PeerProgressed, PeersReport, PieceVerified,
                           PieceFailed, PieceLost, StoreFailed, OriginPriority, Tick>;

// ---- commands ----------------------------------------------------------------------------------

// Begins on a block boundary, ends on a piece boundary or at the end of the file. `whole_file`: the
// origin has no ranges, the span is the whole file and is asked for without a range.
struct FetchRange {
  RequestId request;
  SourceId origin;
  ByteSpan span;
  bool whole_file = false;
};
struct CancelRequest {
  RequestId request;
};
// Pieces that peers may deliver from now on / that are kept for the origin. All pieces start kept.
struct AllowFromPeers {
  PieceSpan pieces;
};
struct ReserveForOrigin {
  PieceSpan pieces;
};
// Never take bytes from this source again in this transfer.
struct BanSource {
  SourceId source;
  std::string reason;
};
// Other transfers, and later ones, leave the cache host alone for so long (HostBans). `original`:
// as a cache for this server only; empty: for all.
struct BanCacheHost {
  std::string host;
  std::string original;
  Duration duration{0};
};
// To connected peers that understand lease messages.
struct SendMessage {
  std::vector<SourceId> to;
  LeaseMessage message;
};
// Connect to this peer if it is not connected; whether it succeeds is told by PeerJoined only.
struct ConnectPeer {
  Endpoint endpoint;
};
// The transfer cannot go on until it is resumed; the last command.
struct GiveUp {
  Error error;
};
// The transfer waits for something outside (an origin's back-off): TRANSIENT_ERROR while it lasts.
struct ReportTransient {
  Error error;
};
struct ClearTransient {};

using Command =
    std::variant<FetchRange, CancelRequest, AllowFromPeers, ReserveForOrigin, BanSource,
                 BanCacheHost, SendMessage, ConnectPeer, GiveUp, ReportTransient, ClearTransient>;

}  // namespace lanward::core
