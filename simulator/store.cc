#include "simulator/store.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "engine/core/prng.h"

namespace lanward::simulator {

namespace {

// Every store of a simulation is a SimContentStore: nobody else makes one.
SimContentStore& simulated(const std::shared_ptr<ports::ContentStore>& content) {
  return static_cast<SimContentStore&>(*content);
}

std::string describe(core::PieceIndex piece) { return "piece " + std::to_string(piece.value); }

// Completions are never called from inside the call they complete.
template <class T>
void answer(EventQueue& queue, ports::MoveFunction<void(Result<T>)> done, Result<T> result) {
  queue.at(queue.now(), [done = std::move(done), result = std::move(result)]() mutable {
    done(std::move(result));
  });
}

std::uint64_t fold(const core::Digest& digest) {
  std::uint64_t result = 0;
  for (std::size_t i = 0; i < 8; ++i) result = result << 8U | digest[i];
  return result;
}

// In order of source.
ports::SourceLedger& entry_of(std::vector<ports::SourceLedger>& ledger, core::SourceId source) {
  const auto place = std::lower_bound(
      ledger.begin(), ledger.end(), source,
      [](const ports::SourceLedger& entry, core::SourceId s) { return entry.source < s; });
  if (place != ledger.end() && place->source == source) return *place;
  return *ledger.insert(place, {source, {}, {}, {}});
}

}  // namespace

core::Digest simulated_digest(std::uint64_t a, std::uint64_t b) {
  core::Digest digest{};
  for (std::size_t i = 0; i < digest.size(); i += 8) {
    std::uint64_t word = core::mix64(core::mix64(a + i) ^ b);
    for (std::size_t k = 0; k < 8; ++k, word >>= 8U) {
      digest[i + k] = static_cast<std::uint8_t>(word & 0xffU);
    }
  }
  return digest;
}

// ---- SimContentStore ---------------------------------------------------------------------------

SimContentStore::SimContentStore(EventQueue& queue, StoreSettings settings,
                                 const core::Content& content, const core::PieceSet& verified,
                                 ports::FactSink facts)
    : queue_(queue),
      settings_(settings),
      content_{content.id, content.layout, {}},
      verifiable_(content.verifiable()),
      facts_(std::move(facts)),
      verified_(verified) {}

std::uint64_t SimContentStore::bytes_of(core::PieceIndex piece, std::uint32_t begin,
                                        std::uint32_t end) const {
  const std::uint64_t size = content_.layout.size_of(piece);
  return std::min<std::uint64_t>(std::uint64_t{end} * core::kBlockBytes, size) -
         std::uint64_t{begin} * core::kBlockBytes;
}

std::vector<SimContentStore::Piece>::iterator SimContentStore::place_of(core::PieceIndex piece) {
  return std::lower_bound(pieces_.begin(), pieces_.end(), piece,
                          [](const Piece& p, core::PieceIndex index) { return p.index < index; });
}

SimContentStore::Piece* SimContentStore::find(core::PieceIndex piece) {
  const auto place = place_of(piece);
  return place != pieces_.end() && place->index == piece ? &*place : nullptr;
}

const SimContentStore::Piece* SimContentStore::find(core::PieceIndex piece) const {
  return const_cast<SimContentStore*>(this)->find(piece);
}

SimContentStore::Piece& SimContentStore::open(core::PieceIndex piece) {
  const auto place = place_of(piece);
  if (place != pieces_.end() && place->index == piece) return *place;
  Piece fresh;
  fresh.index = piece;
  return *pieces_.insert(place, std::move(fresh));
}

std::unique_ptr<ports::RangeSink> SimContentStore::open_range(core::SourceId source,
                                                              core::ByteSpan span,
                                                              ports::Task /*on_ready*/) {
  assert(span.begin % core::kBlockBytes == 0 && span.end <= content_.layout.size().value);
  tell_promptly();
  return std::make_unique<SimRangeSink>(shared_from_this(), source, span);
}

bool SimContentStore::write_block(core::PieceIndex piece, std::uint32_t offset,
                                  std::span<const std::byte> bytes, core::SourceId source,
                                  ports::MoveFunction<void(Result<void>)> done,
                                  ports::Task /*on_drained*/) {
  const std::uint32_t block = offset / core::kBlockBytes;
  Result<void> result;
  if (closed_) {
    result = fail(ErrorCode::invalid_state, "the content is closed: the block was dropped");
  } else if (piece.value >= content_.layout.piece_count() || offset % core::kBlockBytes != 0 ||
             offset >= content_.layout.size_of(piece) ||
             bytes.size() != bytes_of(piece, block, block + 1)) {
    result = fail(ErrorCode::invalid_argument, describe(piece) + ": there is no block at offset " +
                                                   std::to_string(offset) + " of " +
                                                   std::to_string(bytes.size()) + " bytes");
  } else {
    put_block(piece, block, source, Payload::intact);
  }
  answer(queue_, std::move(done), std::move(result));
  return true;
}

Result<void> SimContentStore::read(core::PieceIndex piece, std::uint32_t offset,
                                   std::span<std::byte> out, bool /*cached_only*/) {
  if (piece.value >= content_.layout.piece_count() || closed_ || !verified_.contains(piece)) {
    return fail(ErrorCode::invalid_state, describe(piece) + " is not verified: it is not read");
  }
  if (offset + out.size() > content_.layout.size_of(piece)) {
    return fail(ErrorCode::invalid_argument, describe(piece) + " ends before what was asked for");
  }
  std::fill(out.begin(), out.end(), std::byte{0});
  return {};
}

void SimContentStore::block_hashes(
    core::PieceIndex piece, ports::MoveFunction<void(Result<std::vector<core::Digest>>)> done) {
  Result<std::vector<core::Digest>> result;
  if (closed_ || piece.value >= content_.layout.piece_count() || missing_bytes(piece) != 0) {
    result = fail(ErrorCode::invalid_state, describe(piece) + " misses blocks: it has no hashes");
  } else {
    for (std::uint32_t b = 0; b < content_.layout.blocks_in(piece); ++b) {
      const std::uint64_t position = std::uint64_t{piece.value} << 32U | b;
      result->push_back(simulated_digest(fold(content_.id), position));
    }
  }
  answer(queue_, std::move(done), std::move(result));
}

void SimContentStore::run_on_worker(ports::Task task) { queue_.at(queue_.now(), std::move(task)); }

std::uint64_t SimContentStore::missing_bytes(core::PieceIndex piece) const {
  if (verified_.contains(piece)) return 0;
  const Piece* p = find(piece);
  if (p == nullptr) return content_.layout.size_of(piece);
  return p->hashing ? 0 : content_.layout.size_of(piece) - p->bytes;
}

SimContentStore::Stretch SimContentStore::first_gap(const Piece& p) const {
  Stretch gap{0, content_.layout.blocks_in(p.index), {}};
  for (const Stretch& s : p.stretches) {
    if (gap.begin < s.begin) {
      gap.end = s.begin;
      break;
    }
    gap.begin = s.end;
  }
  return gap;
}

void SimContentStore::put_missing(core::PieceIndex piece, std::uint64_t bytes,
                                  core::SourceId source, Payload payload) {
  if (bytes == 0) return;
  const std::uint64_t missing = missing_bytes(piece);
  if (closed_ || missing == 0) return put_dropped(bytes, source);
  if (bytes == missing && missing == content_.layout.size_of(piece) && collects(source, payload)) {
    verified_.insert(piece);
    collected_.push_back({source, piece});
    return on_collected_(piece);
  }
  while (bytes > 0 && missing_bytes(piece) > 0) {
    Piece& p = open(piece);
    const std::uint64_t wanted = (bytes + core::kBlockBytes - 1) / core::kBlockBytes;
    Stretch gap = first_gap(p);
    gap.end = static_cast<std::uint32_t>(std::min<std::uint64_t>(gap.end, gap.begin + wanted));
    gap.from = source;
    bytes -= std::min(bytes, bytes_of(piece, gap.begin, gap.end));
    put_blocks(p, gap, payload);
  }
  put_dropped(bytes, source);
}

void SimContentStore::put_block(core::PieceIndex piece, std::uint32_t block, core::SourceId source,
                                Payload payload) {
  const Piece* known = find(piece);
  const auto holds = [block](const Stretch& s) { return s.begin <= block && block < s.end; };
  if (closed_ || missing_bytes(piece) == 0 ||
      (known != nullptr && std::any_of(known->stretches.begin(), known->stretches.end(), holds))) {
    return put_dropped(bytes_of(piece, block, block + 1), source);
  }
  put_blocks(open(piece), {block, block + 1, source}, payload);
}

void SimContentStore::put_blocks(Piece& p, const Stretch& blocks, Payload payload) {
  const core::PieceIndex piece = p.index;
  const std::uint64_t bytes = bytes_of(piece, blocks.begin, blocks.end);
  entry_of(ledger_, blocks.from).received += core::ByteCount{bytes};
  const auto after = std::find_if(p.stretches.begin(), p.stretches.end(),
                                  [&](const Stretch& s) { return s.begin >= blocks.end; });
  if (after != p.stretches.begin() && std::prev(after)->end == blocks.begin &&
      std::prev(after)->from == blocks.from) {
    std::prev(after)->end = blocks.end;
  } else {
    p.stretches.insert(after, blocks);
  }
  p.corrupt = p.corrupt || payload == Payload::corrupt;
  p.bytes += static_cast<std::uint32_t>(bytes);
  const std::uint64_t size = content_.layout.size_of(piece);
  if (p.bytes < size) return;
  p.hashing = true;
  queue_.after(hash_time(piece), [self = weak_from_this(), piece] {
    if (const auto store = self.lock(); store != nullptr) store->finish_piece(piece);
  });
}

void SimContentStore::put_dropped(std::uint64_t bytes, core::SourceId source) {
  if (bytes == 0) return;
  entry_of(ledger_, source).received += core::ByteCount{bytes};
  entry_of(ledger_, source).wasted += core::ByteCount{bytes};
}

core::Duration SimContentStore::hash_time(core::PieceIndex piece) const {
  const std::uint64_t size =
      std::min<std::uint64_t>(content_.layout.size_of(piece), settings_.hash_behind.value);
  return core::Duration{size * 1'000'000'000 / settings_.hash_rate.value};
}

void SimContentStore::collect_verdicts(std::function<void(core::PieceIndex)> verified) {
  on_collected_ = std::move(verified);
}

void SimContentStore::warm() const {
  warm_object(verified_.words().data(), verified_.words().size() * sizeof(std::uint64_t));
  __builtin_prefetch(collected_.data() + collected_.size());
}

std::vector<core::PeerHasPiece> SimContentStore::take_verdicts() {
  add_collected(ledger_);
  return std::exchange(collected_, {});
}

void SimContentStore::tell_verdicts() {
  if (!collected_.empty()) facts_(core::PeersReport{take_verdicts(), {}, {}});
}

void SimContentStore::tell_promptly() {
  on_collected_ = nullptr;
  tell_verdicts();
}

bool SimContentStore::collects(core::SourceId source, Payload payload) const {
  return on_collected_ && core::is_peer(source) && payload == Payload::intact &&
         verified_.count() + 1 < verified_.universe();
}

void SimContentStore::finish_piece(core::PieceIndex piece) {
  if (closed_) return;
  const Piece p = std::move(*find(piece));
  forget(piece);
  std::vector<core::SourceId> from;
  for (const Stretch& s : p.stretches) from.push_back(s.from);
  std::sort(from.begin(), from.end());
  from.erase(std::unique(from.begin(), from.end()), from.end());
  if (p.corrupt && verifiable_) {
    waste_blocks(p);
    if (on_failed_) on_failed_(piece);
    facts_(core::PieceFailed{piece, std::move(from)});
    return;
  }
  for (const Stretch& s : p.stretches) {
    entry_of(ledger_, s.from).useful += core::ByteCount{bytes_of(piece, s.begin, s.end)};
  }
  if (p.corrupt) ++corrupt_verified_;
  verified_.insert(piece);
  tell_verdicts();
  facts_(core::PieceVerified{piece, std::move(from)});
}

void SimContentStore::waste_blocks(const Piece& p) {
  for (const Stretch& s : p.stretches) {
    entry_of(ledger_, s.from).wasted += core::ByteCount{bytes_of(p.index, s.begin, s.end)};
  }
}

void SimContentStore::forget(core::PieceIndex piece) { pieces_.erase(place_of(piece)); }

void SimContentStore::close() {
  if (closed_) return;
  closed_ = true;
  for (const Piece& p : pieces_) waste_blocks(p);
  pieces_ = {};
}

std::vector<ports::SourceLedger> SimContentStore::ledger() const {
  std::vector<ports::SourceLedger> ledger = ledger_;
  add_collected(ledger);
  return ledger;
}

void SimContentStore::add_collected(std::vector<ports::SourceLedger>& ledger) const {
  for (const core::PeerHasPiece& each : collected_) {
    ports::SourceLedger& entry = entry_of(ledger, each.peer);
    const core::ByteCount bytes{content_.layout.size_of(each.piece)};
    entry.received += bytes;
    entry.useful += bytes;
  }
}

void SimContentStore::add_to(StoreTotals& totals) const {
  for (const ports::SourceLedger& ledger : this->ledger()) {
    (core::is_peer(ledger.source) ? totals.peer_received : totals.origin_received) +=
        ledger.received.value;
    totals.useful += ledger.useful.value;
    totals.wasted += ledger.wasted.value;
  }
}

// ---- SimRangeSink ------------------------------------------------------------------------------

SimRangeSink::~SimRangeSink() { finish(); }

ports::RangeSink::Accept SimRangeSink::accept(std::span<const std::byte> bytes) {
  assert(bytes.size() <= ports::kRangeAcceptBytesMax);
  return advance(bytes.size(), Payload::intact);
}

void SimRangeSink::finish() { store_->put_dropped(std::exchange(partial_, 0), source_); }

ports::RangeSink::Accept SimRangeSink::advance(std::uint64_t bytes, Payload payload) {
  assert(position_ + bytes <= end_);
  if (store_->closed()) return Accept::closed;
  const core::PieceLayout& layout = store_->content().layout;
  while (bytes > 0) {
    const core::PieceIndex piece = layout.piece_at(position_);
    const core::ByteSpan in_file = layout.bytes(piece);
    const auto block = static_cast<std::uint32_t>((position_ - in_file.begin) / core::kBlockBytes);
    const std::uint64_t block_end =
        std::min(in_file.begin + (std::uint64_t{block} + 1) * core::kBlockBytes, in_file.end);
    const std::uint64_t taken = std::min(bytes, block_end - position_);
    if (payload == Payload::corrupt) partial_payload_ = Payload::corrupt;
    position_ += taken;
    partial_ += taken;
    bytes -= taken;
    if (position_ < block_end) break;
    store_->put_block(piece, block, source_, partial_payload_);
    partial_ = 0;
    partial_payload_ = Payload::intact;
  }
  return Accept::taken;
}

// ---- SimPieceStore -----------------------------------------------------------------------------

void SimPieceStore::open(const core::Content& content, ports::FactSink facts, Opened done) {
  Result<std::shared_ptr<ports::ContentStore>> result;
  Stored& stored = contents_[content.id];
  if (stored.open != nullptr) {
    result = fail(ErrorCode::in_use, "the content is used by another transfer: wait for its end");
  } else {
    if (stored.verified.universe() != content.layout.piece_count()) {
      stored.verified = core::PieceSet(content.layout.piece_count());
    }
    stored.open = std::make_shared<SimContentStore>(queue_, settings_, content, stored.verified,
                                                    std::move(facts));
    result = stored.open;
  }
  answer(queue_, std::move(done), std::move(result));
}

void SimPieceStore::deliver(const std::shared_ptr<ports::ContentStore>& content,
                            ports::DeliveryOrder order, Done done) {
  auto& [destination, how, parts, ticket, owner] = order;
  SimContentStore& store = simulated(content);
  Result<void> result;
  Stored& stored = contents_[store.content().id];
  const core::PieceLayout& layout = store.content().layout;
  if (!ports::are_valid(parts, layout.size())) {
    result = fail(ErrorCode::invalid_argument,
                  destination + " cannot be delivered: the file has no such parts");
  } else if (store.closed() || ports::missing_pieces(store.verified(), layout, parts) > 0 ||
             stored.given_away) {
    result = fail(ErrorCode::invalid_state,
                  destination + " cannot be delivered: pieces are missing, or it was shared");
  } else if (ticket != nullptr && !ticket->use()) {
    result = fail(ErrorCode::cancelled, "the delivery to " + destination + " was cancelled");
  } else {
    core::ByteCount size = parts.empty() ? layout.size() : core::ByteCount{};
    for (const core::ByteSpan& part : parts) size += part.size();
    delivered_.push_back({std::move(destination), size, store.all_verified_intact()});
    if (how == ports::Delivery::consume) {
      release(store);
      stored.verified = core::PieceSet{};
    }
    stored.given_away = how == ports::Delivery::share;
  }
  answer(queue_, std::move(done), std::move(result));
}

void SimPieceStore::release(SimContentStore& content) {
  if (content.closed()) return;
  content.close();
  Stored& stored = contents_[content.content().id];
  stored.verified = std::exchange(stored.given_away, false) ? core::PieceSet{} : content.verified();
  stored.closed.push_back(std::exchange(stored.open, nullptr));
}

void SimPieceStore::close(const std::shared_ptr<ports::ContentStore>& content, Done done) {
  release(simulated(content));
  answer(queue_, std::move(done), Result<void>{});
}

void SimPieceStore::purge(const std::shared_ptr<ports::ContentStore>& content, Done done) {
  release(simulated(content));
  contents_[simulated(content).content().id].verified = core::PieceSet{};
  answer(queue_, std::move(done), Result<void>{});
}

void SimPieceStore::sweep(std::string /*destination*/, const core::Digest& /*id*/, Done done) {
  answer(queue_, std::move(done), Result<void>{});
}

void SimPieceStore::forget(const core::Digest& id, Done done) {
  Result<void> result;
  if (const auto found = contents_.find(id); found != contents_.end()) {
    if (found->second.open != nullptr) {
      result = fail(ErrorCode::in_use, "the content is used by a transfer: purge it there");
    } else {
      found->second.verified = core::PieceSet{};
    }
  }
  answer(queue_, std::move(done), std::move(result));
}

StoreTotals SimPieceStore::totals(const core::Digest& content) const {
  const auto found = contents_.find(content);
  if (found == contents_.end()) return {};
  StoreTotals totals;
  for (const auto& content_store : found->second.closed) content_store->add_to(totals);
  if (found->second.open != nullptr) found->second.open->add_to(totals);
  return totals;
}

}  // namespace lanward::simulator
