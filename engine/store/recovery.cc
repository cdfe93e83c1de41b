#include "engine/store/recovery.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "engine/core/merkle.h"
#include "engine/store/limits.h"
#include "engine/store/sha256.h"

namespace lanward::store {
namespace {

// The pieces that lie within the first `size` bytes, one by one where the file may be short.
core::PieceSet within(core::PieceSet pieces, const core::PieceLayout& layout, std::uint64_t size) {
  if (size >= layout.size().value) return pieces;
  for (core::PieceIndex p = layout.piece_at(size); p < layout.all().end; ++p) pieces.erase(p);
  return pieces;
}

core::PieceSet combine(const core::PieceSet& a, const core::PieceSet& b,
                       std::uint64_t (*word)(std::uint64_t, std::uint64_t)) {
  std::vector<std::uint64_t> words(a.words().size());
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = word(a.words()[i], b.words()[i]);
  return core::PieceSet::from_words(a.universe(), words);
}

core::PieceSet without(const core::PieceSet& a, const core::PieceSet& b) {
  return combine(a, b, [](std::uint64_t x, std::uint64_t y) { return x & ~y; });
}

}  // namespace

core::PieceSet every_piece(const core::PieceLayout& layout) {
  return core::PieceSet::from_words(
      layout.piece_count(), std::vector<std::uint64_t>((layout.piece_count() + 63) / 64, ~0ULL));
}

core::PieceSet both(const core::PieceSet& a, const core::PieceSet& b) {
  return combine(a, b, [](std::uint64_t x, std::uint64_t y) { return x & y; });
}

Belief believe(const std::optional<IndexRow>& row, const FileFacts& found,
               const core::PieceLayout& layout, const std::string& boot) {
  const std::uint32_t pieces = layout.piece_count();
  Belief belief{core::PieceSet(pieces), core::PieceSet(pieces), core::PieceSet(pieces),
                found.inode};
  const core::PieceSet present = within(every_piece(layout), layout, found.size);
  const bool same_file = row && row->size == layout.size().value &&
                         row->piece_bytes == layout.piece_bytes() && row->inode == found.inode &&
                         (!row->clean || row->mtime_ns == found.mtime_ns);
  if (!same_file) {
    belief.unproven = present;
    return belief;
  }
  const bool same_boot = !boot.empty() && row->boot == boot;
  const auto recorded = core::PieceSet::from_words(pieces, row->verified);
  const auto durable = core::PieceSet::from_words(pieces, row->durable);
  belief.verified = both(same_boot ? recorded : durable, present);
  belief.durable = both(durable, belief.verified);
  // After an orderly end the record is complete; otherwise more may have been written than told.
  const core::PieceSet possible = row->clean ? both(recorded, present) : present;
  belief.unproven = without(possible, belief.verified);
  return belief;
}

Result<std::vector<core::Digest>> hash_blocks(const DataFile& file, core::ByteSpan span) {
  std::vector<core::Digest> leaves;
  leaves.reserve((span.size().value + core::kBlockBytes - 1) / core::kBlockBytes);
  std::vector<std::byte> buffer(std::min<std::uint64_t>(kChunkBytes, span.size().value));
  for (std::uint64_t at = span.begin; at < span.end; at += buffer.size()) {
    const std::span<std::byte> bytes(buffer.data(),
                                     std::min<std::uint64_t>(buffer.size(), span.end - at));
    if (auto read = file.read(at, bytes); !read) return tl::unexpected(std::move(read.error()));
    for (std::size_t b = 0; b < bytes.size(); b += core::kBlockBytes) {
      leaves.push_back(
          sha256(bytes.subspan(b, std::min<std::size_t>(core::kBlockBytes, bytes.size() - b))));
    }
  }
  return leaves;
}

bool is_genuine(const core::Content& content, core::PieceIndex piece,
                const std::vector<core::Digest>& leaves) {
  if (content.piece_hashes.empty()) return true;
  return core::merkle_root(leaves, content.layout.leaves_per_piece(), core::Digest{}, &sha256) ==
         content.piece_hashes[piece.value];
}

Result<void> prove(Belief& belief, const DataFile& file, const core::Content& content,
                   const std::atomic<bool>& stop) {
  const core::PieceLayout& layout = content.layout;
  const core::PieceSet unproven = std::exchange(belief.unproven, core::PieceSet());
  if (content.piece_hashes.empty()) return {};  // Nothing could prove them.
  for (auto p = unproven.next(core::PieceIndex{0}); p; p = unproven.next(*p + 1)) {
    if (stop) return fail(ErrorCode::cancelled, "checking " + file.path() + " was stopped");
    const core::ByteSpan span = layout.bytes(*p);
    if (file.next_data(span.begin, layout.size().value) >= span.end) continue;
    auto leaves = hash_blocks(file, span);
    if (!leaves) return tl::unexpected(std::move(leaves.error()));
    if (is_genuine(content, *p, *leaves)) belief.verified.insert(*p);
  }
  return {};
}

std::string current_boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

}  // namespace lanward::store
