// The piece cache: where bytes from every source are written, hashed, verified and read back.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <lanward/error.h>
#include <lanward/types.h>

#include "engine/core/content.h"
#include "engine/core/piece_set.h"
#include "engine/core/units.h"
#include "engine/ports/delivery_ticket.h"
#include "engine/ports/loop.h"
#include "engine/ports/task.h"

namespace lanward::ports {

// Takes the bytes of one origin range in order. One thread at a time.
class RangeSink {
 public:
  enum class Accept : std::uint8_t {
    taken,
    full,    // no buffer is free: nothing was taken, on_ready will be called
    closed,  // the content is closed or failed: stop the transfer
  };
  virtual ~RangeSink() = default;
  // Takes all bytes or none; they continue where the previous ones ended.
  // REQUIRES: bytes.size() <= kRangeAcceptBytesMax, and not beyond the end of the range.
  [[nodiscard]] virtual Accept accept(std::span<const std::byte> bytes) = 0;
  // Hands over what is still buffered; the destructor does so too. What does not fill a block is
  // dropped: a piece whose last byte was taken will be judged, however the range ends.
  virtual void finish() = 0;
};
// Largest piece of bytes one accept() takes: four of curl's default buffers.
inline constexpr std::size_t kRangeAcceptBytesMax = 64 * core::kKiB;

// What one source gave to the store.
struct SourceLedger {
  core::SourceId source;
  core::ByteCount received;  // accepted payload
  core::ByteCount useful;    // part of a verified piece
  // received - useful of finished pieces: duplicates and bytes of failed pieces
  core::ByteCount wasted;
};

// One content of the cache, open for one transfer. Every method may be called from any thread; the
// object outlives close (late calls answer "closed"). Facts (PieceVerified, PieceFailed, PieceLost,
// StoreFailed) go to the sink given at opening.
class ContentStore {
 public:
  virtual ~ContentStore() = default;

  // Bytes of `span` from `source`, an origin. `on_ready` is called, from any thread, when a sink
  // that answered full should be tried again; never after the sink's destructor has returned.
  // REQUIRES: span begins on a block boundary.
  [[nodiscard]] virtual std::unique_ptr<RangeSink> open_range(core::SourceId source,
                                                              core::ByteSpan span,
                                                              Task on_ready) = 0;

  // A block (16 KiB, or the short last one) from a peer; the bytes are copied before it returns.
  // A block that is already there is counted as wasted and dropped. `done` is called once, from any
  // thread, when the block has been written or dropped. Returns false when the writer lags behind:
  // the block is taken, but the caller should pause until `on_drained` is called.
  [[nodiscard]] virtual bool write_block(core::PieceIndex piece, std::uint32_t offset,
                                         std::span<const std::byte> bytes, core::SourceId source,
                                         MoveFunction<void(Result<void>)> done,
                                         Task on_drained) = 0;

  // Reads bytes of one verified piece. Errors: invalid_state if the piece is not verified; disk_io,
  // also when somebody has changed the file since it was delivered with `share`.
  // Blocks for disk I/O unless `cached_only`: then not_found means "call again from a worker".
  [[nodiscard]] virtual Result<void> read(core::PieceIndex piece, std::uint32_t offset,
                                          std::span<std::byte> out, bool cached_only) = 0;

  // The SHA-256 of each block of the piece, once every block is written. For a verified piece the
  // blocks are read again if the hashes are no longer at hand. Errors: invalid_state while blocks
  // are missing and none is being written; disk_io. `done` is called once, from any thread.
  virtual void block_hashes(core::PieceIndex piece,
                            MoveFunction<void(Result<std::vector<core::Digest>>)> done) = 0;

  [[nodiscard]] virtual core::PieceSet verified() const = 0;
  [[nodiscard]] virtual std::vector<SourceLedger> ledger() const = 0;

  // Runs a blocking function (a read) on the store's workers, in no particular order.
  virtual void run_on_worker(Task task) = 0;

  // Whether what is verified may be given to peers, now and by who opens the cache later. Caches
  // that keep nothing need not know.
  [[nodiscard]] virtual bool may_share() const { return true; }
  // From now on it may: its bytes have been seen to come without credentials. Returns at once.
  virtual void share() {}

  // What people should know of where the bytes are: why they are not in the cache; else empty.
  [[nodiscard]] virtual std::string note() const { return {}; }
};

// Bytes of a file whose length nobody knows, from its start on: no content yet, and gone with the
// object unless it is adopted. Any thread, sinks one at a time.
class Spool {
 public:
  struct Sum {
    core::ByteCount size;
    core::Digest sha256;
  };
  virtual ~Spool() = default;
  // A sink for the whole file. What earlier ones brought is dropped, and they are closed. It never
  // answers full. The spool outlives its sinks.
  [[nodiscard]] virtual std::unique_ptr<RangeSink> restart() = 0;
  // What the last sink brought. Errors: those of its writes (disk_full, disk_io).
  [[nodiscard]] virtual Result<Sum> sum() = 0;
};

enum class Delivery : std::uint8_t {
  keep,     // the cache keeps its copy: clone where the file system can, else copy
  consume,  // the cache gives its data file away: rename where possible, else as keep and purge
  share,    // as consume, but the content can be read until it is closed, which forgets it
};

// What else is known of a content that is opened.
struct OpenHints {
  std::string name = {};    // a file name to show
  std::string origin = {};  // a URL it comes from, to show
  // The manifest as it was read; null: there is none, or it is not at hand.
  std::shared_ptr<const std::vector<std::uint8_t>> metainfo = nullptr;
  // Where the file is to go. When the cache cannot take the bytes they are kept in that directory
  // instead, under a name that sweep() knows; ContentStore::note() tells. Empty: there is no such
  // place.
  std::string destination = {};
  // The cache has just failed to take the bytes of this content: they must go there.
  bool beside = false;
  // The cache is to have no part in it: the bytes are kept beside the destination and nowhere else.
  // REQUIRES: a destination, and an id that no content of the cache has.
  bool bypass = false;
  // Whoever can reach its source may have it: what the cache has of it may be given to peers from
  // now on, however it came there. False: what was said before stands.
  bool share = false;
};

struct DeliveryOrder {
  std::string destination;
  Delivery how = Delivery::keep;
  std::vector<core::ByteSpan> parts = {};            // empty: the whole file
  std::shared_ptr<DeliveryTicket> ticket = nullptr;  // null: nobody stops it
  // The user whose file it becomes, and by whose rights it is put there; nothing: of the process.
  std::optional<std::uint32_t> owner = {};
};

// The cache of one engine. Any thread. Completions are called once, from any thread.
class PieceStore {
 public:
  virtual ~PieceStore() = default;
  using Opened = MoveFunction<void(Result<std::shared_ptr<ContentStore>>)>;
  using Done = MoveFunction<void(Result<void>)>;

  // Opens or creates the content; pieces found there are believed only as far as they are proven
  // (others are re-hashed first). Errors: in_use if it is open already, disk_full, disk_io.
  virtual void open(const core::Content& content, FactSink facts, Opened done) = 0;
  // The same, for a store that makes use of the hints.
  virtual void open_with(const core::Content& content, OpenHints /*hints*/, FactSink facts,
                         Opened done) {
    open(content, std::move(facts), std::move(done));
  }

  // A job that is not final has a file of the content, or no longer: what is referred to is never
  // evicted. Counted per job and content. Returns at once.
  virtual void refer(const core::Digest& /*content*/, const JobId& /*job*/, bool /*refers*/) {}

  // A place for a file of unknown length. Errors: unsupported by caches that cannot, disk_full,
  // disk_io.
  [[nodiscard]] virtual Result<std::shared_ptr<Spool>> spool() {
    return fail(ErrorCode::unsupported, "this cache takes no files of unknown length");
  }
  // The bytes of the spool are the content from now on: durable, and every piece counts as
  // verified, for what that is worth without piece hashes. The spool must not be used again.
  // REQUIRES: the content has no piece hashes, and the size of the spool.
  // Errors: in_use if the content is open, disk_full, disk_io.
  virtual void adopt(std::shared_ptr<Spool> /*spool*/, const core::Content& /*content*/,
                     Done done) {
    done(fail(ErrorCode::unsupported, "this cache takes no files of unknown length"));
  }

  // Puts the verified file at `destination`, which has it whole or not at all, whenever the process
  // or the machine ends. With `parts` the delivered file holds only these bytes of the content, one
  // part after the other, and only pieces that share bytes with a part need to be verified.
  // After `consume` the content is closed; what the cache still has of it goes with forget(), to
  // be called once it is recorded that the file is delivered: see find_delivered(). After `share`
  // the content is only read: from the delivered file, wherever it is moved and even once it is
  // deleted, as long as its size and modification time stay; from the cache's own copy where a
  // rename was not possible and with `parts`, which are always copied. Closing or purging it then
  // drops what the cache has of it and never touches the delivered file.
  // Errors: invalid_argument if not are_valid(parts); invalid_state if pieces are missing or it was
  // shared before; in_use if another process delivers this content to this place; destination,
  // disk_full, disk_io. After an error the content is as it was, and may be delivered again.
  // With a `ticket` the file appears only if the ticket can be used; else the answer is cancelled,
  // and a copy that is being made is given up.
  virtual void deliver(const std::shared_ptr<ContentStore>& content, DeliveryOrder order,
                       Done done) = 0;

  // Whether the file at `destination` is the one that deliver() has put there with `consume` or
  // `share`, by moving it, and that the cache has not been told to forget since: for a process that
  // was killed before it could record the delivery. An error counts as no.
  virtual void find_delivered(std::string /*destination*/, const core::Digest& /*id*/,
                              MoveFunction<void(bool)> done) {
    done(false);
  }

  // Removes what a delivery of the content to `destination` that was killed may have left beside
  // it: never anything but a regular file of the one name that deliver() uses. Nothing to remove is
  // success. Errors: in_use while a delivery is at work there, destination, disk_io.
  virtual void sweep(std::string destination, const core::Digest& id, Done done) = 0;

  // Manifests of contents that can be lent: nobody has them open, no job that is not final has a
  // file of them, pieces are verified. The most recently used first, at most `max`, none of those
  // that `skip` names. What cannot be read is left out.
  virtual void list_lendable(std::size_t /*max*/, std::set<core::Digest> /*skip*/,
                             MoveFunction<void(std::vector<core::Manifest>)> done) {
    done({});
  }
  // Opens a content only to be read, for peers. It may be evicted nevertheless: then the sink is
  // told StoreFailed with `cancelled`, and who has it closes it soon. That it is lent is no use of
  // it, that somebody reads it is one. Errors: in_use, not_found, disk_io.
  virtual void lend(const core::Content& /*content*/, FactSink /*facts*/, Opened done) {
    done(fail(ErrorCode::unsupported, "this cache lends nothing"));
  }

  // Ends the use of an opened content: waits for its writes, makes what is verified durable. What
  // was delivered with `share` is purged.
  virtual void close(const std::shared_ptr<ContentStore>& content, Done done) = 0;

  // Closes the content, drops its pieces and its data file.
  virtual void purge(const std::shared_ptr<ContentStore>& content, Done done) = 0;

  // Removes what the cache has of a content that nobody has open, without opening or hashing it.
  // An unknown content is success. Errors: in_use if it is open or being opened, disk_io.
  virtual void forget(const core::Digest& id, Done done) = 0;
};

// ---- for implementations of PieceStore::deliver ------------------------------------------------

// Whether a content of `size` can be asked for the parts: none empty, in order, without overlap,
// within the file. No parts stand for the whole file.
[[nodiscard]] inline bool are_valid(std::span<const core::ByteSpan> parts, core::ByteCount size) {
  std::uint64_t position = 0;
  for (const core::ByteSpan& part : parts) {
    if (part.empty() || part.begin < position || part.end > size.value) return false;
    position = part.end;
  }
  return true;
}

// The number of pieces that share bytes with the parts and are not verified.
// REQUIRES: are_valid(parts, layout.size()).
[[nodiscard]] inline std::uint32_t missing_pieces(const core::PieceSet& verified,
                                                  const core::PieceLayout& layout,
                                                  std::span<const core::ByteSpan> parts) {
  if (parts.empty()) return verified.universe() - verified.count();
  std::uint32_t missing = 0;
  core::PieceIndex counted{0};  // the pieces before it
  for (const core::ByteSpan& part : parts) {
    const core::PieceIndex begin = std::max(counted, layout.piece_at(part.begin));
    const core::PieceIndex end = layout.piece_at(part.end - 1) + 1;
    for (auto p = verified.next_missing(begin); p && *p < end; p = verified.next_missing(*p + 1)) {
      ++missing;
    }
    counted = end;
  }
  return missing;
}

}  // namespace lanward::ports
