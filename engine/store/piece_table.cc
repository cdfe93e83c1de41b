#include "engine/store/piece_table.h"

#include <algorithm>
#include <utility>

#include "engine/store/limits.h"

namespace lanward::store {

void PieceTable::receive(core::SourceId source, std::uint64_t bytes) {
  accounts_[source].received += bytes;
}

void PieceTable::waste(core::SourceId source, std::uint64_t bytes) {
  accounts_[source].wasted += bytes;
}

std::uint32_t PieceTable::block_bytes(core::PieceIndex piece, std::uint32_t block) const {
  return std::min(core::kBlockBytes, layout_.size_of(piece) - block * core::kBlockBytes);
}

std::optional<BlockKey> PieceTable::claim(core::PieceIndex piece, std::uint32_t block,
                                          core::SourceId source) {
  if (!verified_.contains(piece)) {
    Active& active = active_[piece.value];
    if (active.state.empty()) {
      const std::uint32_t blocks = layout_.blocks_in(piece);
      active.attempt = ++attempts_;
      active.state.resize(blocks, Block::missing);
      active.source.resize(blocks);
      active.leaves.resize(blocks);
    }
    if (active.state[block] == Block::missing) {
      active.state[block] = Block::claimed;
      active.source[block] = source;
      ++active.claimed;
      return BlockKey{piece, block, active.attempt};
    }
  }
  waste(source, block_bytes(piece, block));
  return std::nullopt;
}

bool PieceTable::live(const BlockKey& key) const {
  const auto it = active_.find(key.piece.value);
  return it != active_.end() && it->second.attempt == key.attempt;
}

std::optional<CompletePiece> PieceTable::written(const BlockKey& key, const core::Digest& leaf) {
  if (!live(key)) return std::nullopt;
  Active& active = active_[key.piece.value];
  active.state[key.block] = Block::written;
  active.leaves[key.block] = leaf;
  --active.claimed;
  if (++active.written < active.state.size()) return std::nullopt;
  return CompletePiece{key.piece, key.attempt, active.leaves};
}

std::optional<std::vector<core::SourceId>> PieceTable::settle(core::PieceIndex piece,
                                                              std::uint64_t attempt, bool good) {
  const auto it = active_.find(piece.value);
  if (it == active_.end() || it->second.attempt != attempt) return std::nullopt;
  auto sources = account(piece, it->second, good ? &Account::useful : &Account::wasted);
  active_.erase(it);
  if (good) verified_.insert(piece);
  return sources;
}

// Books the piece's blocks and names who sent them.
std::vector<core::SourceId> PieceTable::account(core::PieceIndex piece, const Active& active,
                                                std::uint64_t Account::*column) {
  std::vector<core::SourceId> sources;
  for (std::uint32_t b = 0; b < active.state.size(); ++b) {
    if (active.state[b] == Block::missing) continue;
    accounts_[active.source[b]].*column += block_bytes(piece, b);
    sources.push_back(active.source[b]);
  }
  std::sort(sources.begin(), sources.end());
  sources.erase(std::unique(sources.begin(), sources.end()), sources.end());
  return sources;
}

void PieceTable::clear(core::PieceIndex piece) {
  const auto it = active_.find(piece.value);
  if (it == active_.end()) return;
  account(piece, it->second, &Account::wasted);
  active_.erase(it);
}

void PieceTable::clear_all() {
  for (const auto& [piece, active] : active_) {
    account(core::PieceIndex{piece}, active, &Account::wasted);
  }
  active_.clear();
}

bool PieceTable::busy(core::PieceIndex piece) const {
  const auto it = active_.find(piece.value);
  return it != active_.end() &&
         (it->second.claimed > 0 || it->second.written == it->second.state.size());
}

std::uint32_t PieceTable::missing_blocks(core::PieceIndex piece) const {
  if (verified_.contains(piece)) return 0;
  const auto it = active_.find(piece.value);
  const std::uint32_t blocks = layout_.blocks_in(piece);
  return it == active_.end() ? blocks : blocks - it->second.claimed - it->second.written;
}

std::vector<ports::SourceLedger> PieceTable::ledger() const {
  std::vector<ports::SourceLedger> all;
  all.reserve(accounts_.size());
  for (const auto& [source, a] : accounts_) {
    all.push_back({source, core::ByteCount{a.received}, core::ByteCount{a.useful},
                   core::ByteCount{a.wasted}});
  }
  return all;
}

std::uint64_t PieceTable::pending() const {
  std::uint64_t bytes = 0;
  for (const auto& [source, a] : accounts_) bytes += a.received - a.useful - a.wasted;
  return bytes;
}

void RecentLeaves::remember(core::PieceIndex piece, std::vector<core::Digest> leaves) {
  forget(piece);
  count_ += leaves.size();
  leaves_[piece.value] = std::move(leaves);
  order_.push_back(piece.value);
  while (count_ > kRecentLeavesMax && order_.size() > 1) {
    forget(core::PieceIndex{order_.front()});
  }
}

void RecentLeaves::forget(core::PieceIndex piece) {
  const auto it = leaves_.find(piece.value);
  if (it == leaves_.end()) return;
  count_ -= it->second.size();
  leaves_.erase(it);
  order_.erase(std::find(order_.begin(), order_.end(), piece.value));
}

const std::vector<core::Digest>* RecentLeaves::find(core::PieceIndex piece) const {
  const auto it = leaves_.find(piece.value);
  return it == leaves_.end() ? nullptr : &it->second;
}

}  // namespace lanward::store
