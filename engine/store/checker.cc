#include "engine/store/checker.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "engine/store/clock.h"
#include "engine/store/data_file.h"
#include "engine/store/data_names.h"
#include "engine/store/disk_content.h"
#include "engine/store/index_schema.h"
#include "engine/store/manifest_file.h"
#include "engine/store/recovery.h"
#include "engine/store/shared.h"

namespace lanward::store {
namespace {

bool is_good(const DataFile& file, const core::Content& content, core::PieceIndex piece) {
  const auto leaves = hash_blocks(file, content.layout.bytes(piece));
  return leaves && is_genuine(content, piece, *leaves);
}

void fail_with(ContentCheck& found, Error error) {
  found.verdict = CheckVerdict::failed;
  found.error = std::move(error);
}

}  // namespace

ContentCheck Checker::check(const IndexEntry& entry, const CheckPace& pace) {
  ContentCheck found;
  found.id = to_hex(entry.id);
  if (const auto content = shared_.registry.find(entry.id)) {
    check_open(*content, found, pace);
  } else {
    check_closed(entry, found, pace);
  }
  const bool whole = found.verdict == CheckVerdict::good || found.verdict == CheckVerdict::bad;
  if (whole) (void)shared_.index->set_checked(entry.id, seconds_now());
  return found;
}

void Checker::check_open(DiskContent& content, ContentCheck& found, const CheckPace& pace) {
  if (!content.content().verifiable()) {
    found.verdict = CheckVerdict::unverifiable;
    return;
  }
  const core::PieceSet pieces = content.verified();
  for (auto p = pieces.next(core::PieceIndex{0}); p; p = pieces.next(*p + 1)) {
    if (content.file() == nullptr || content.retired()) {
      if (found.bad_pieces.empty()) found.verdict = CheckVerdict::in_use;
      return;
    }
    const std::uint32_t bytes = content.content().layout.size_of(*p);
    ++found.pieces_checked;
    found.checked_bytes += bytes;
    if (!content.check(*p)) {
      found.verdict = CheckVerdict::bad;
      found.bad_pieces.push_back(p->value);
    }
    if (!pace(bytes)) {
      if (found.bad_pieces.empty()) found.verdict = CheckVerdict::in_use;
      break;
    }
  }
  content.tell_lost(found.bad_pieces);
}

void Checker::check_closed(const IndexEntry& entry, ContentCheck& found, const CheckPace& pace) {
  const CaretakerHold hold(shared_.registry, entry.id);
  if (!hold) {
    found.verdict = CheckVerdict::in_use;
    return;
  }
  auto manifest = read_manifest_of(manifest_path(shared_.directory, entry.id), entry.id);
  if (!manifest) {
    found.verdict = CheckVerdict::unverifiable;
    if (manifest.error().code != ErrorCode::not_found) found.error = manifest.error();
    return;
  }
  auto row = shared_.index->find(entry.id);
  if (!row) return fail_with(found, row.error());
  if (!*row) {
    found.verdict = CheckVerdict::in_use;  // it has just gone
    return;
  }
  const std::string path =
      entry.elsewhere.empty() ? data_path(shared_.directory, entry.id) : entry.elsewhere;
  auto file = DataFile::open_existing(path);
  if (!file) return fail_with(found, file.error());
  if (auto proven = prove_pieces(manifest->content, **file, std::move(**row), found, pace);
      !proven) {
    fail_with(found, proven.error());
  }
}

Result<void> Checker::prove_pieces(const core::Content& content, DataFile& file, IndexRow row,
                                   ContentCheck& found, const CheckPace& pace) {
  const core::PieceLayout& layout = content.layout;
  const auto facts = file.facts();
  if (!facts) return tl::unexpected(facts.error());
  const Belief belief = believe(row, *facts, layout, shared_.boot_id);
  const bool same_layout =
      row.size == layout.size().value && row.piece_bytes == layout.piece_bytes();
  const auto recorded = core::PieceSet::from_words(
      layout.piece_count(), same_layout ? row.verified : std::vector<std::uint64_t>());
  core::PieceSet verified = belief.verified;
  core::PieceSet durable = belief.durable;
  bool stopped = false;
  for (core::PieceIndex p{0}; p < layout.all().end && !stopped; ++p) {
    const core::ByteSpan span = layout.bytes(p);
    const bool claimed = recorded.contains(p);
    const bool present = belief.verified.contains(p) || belief.unproven.contains(p);
    if (!claimed && !present) continue;
    if (!claimed && file.next_data(span.begin, layout.size().value) >= span.end) continue;
    file.forget_cached(span.begin, span.size().value);
    const bool good = present && is_good(file, content, p);
    ++found.pieces_checked;
    found.checked_bytes += span.size().value;
    if (good) {
      verified.insert(p);
      if (!claimed) ++found.pieces_found;
    } else {
      if (claimed) found.bad_pieces.push_back(p.value);
      verified.erase(p);
      durable.erase(p);
      if (present) file.punch(span.begin, span.size().value);  // nobody takes it for a piece again
    }
    stopped = !pace(span.size().value) || shared_.registry.is_wanted(content.id);
  }
  found.verdict = !found.bad_pieces.empty() ? CheckVerdict::bad
                  : stopped                 ? CheckVerdict::in_use
                                            : CheckVerdict::good;
  if (verified == recorded && belief.verified == recorded) return {};  // the row says so
  // What was found by reading may be in the page cache alone.
  if (verified != durable && file.sync_all()) durable = verified;
  const auto after = file.facts();
  if (!after) return tl::unexpected(after.error());
  row.size = layout.size().value;
  row.piece_bytes = layout.piece_bytes();
  row.verified = verified.words();
  row.durable = durable.words();
  row.verified_bytes = bytes_of(row.verified, row.size, row.piece_bytes);
  row.disk_bytes = after->disk_bytes;
  row.boot = shared_.boot_id;
  row.inode = after->inode;
  row.mtime_ns = after->mtime_ns;
  row.clean = !stopped;
  return shared_.index->save(row, Index::Commit::durable);
}

Result<std::vector<core::Digest>> adopt_orphans(Shared& shared) {
  auto known = shared.index->entries();
  if (!known) return tl::unexpected(std::move(known.error()));
  std::set<core::Digest> ids;
  for (const IndexEntry& entry : *known) ids.insert(entry.id);
  std::vector<core::Digest> adopted;
  std::error_code error;
  for (std::filesystem::directory_iterator it(shared.directory + "/data", error), end;
       !error && it != end; it.increment(error)) {
    const auto name = parse_data_name(it->path().filename().string());
    if (!name || name->kind != DataKind::bytes || ids.contains(name->id)) continue;
    const CaretakerHold hold(shared.registry, name->id);
    if (!hold) continue;
    const auto file = DataFile::open_existing(it->path().string());
    if (!file) continue;  // a link, or not to be read: nothing of ours
    const auto facts = (*file)->facts();
    if (!facts) continue;
    const auto manifest = read_manifest_of(manifest_path(shared.directory, name->id), name->id);
    const core::PieceLayout layout =
        manifest ? manifest->content.layout
                 : core::PieceLayout(core::ByteCount{facts->size},
                                     core::canonical_piece_bytes(core::ByteCount{facts->size}));
    IndexRow row;
    row.id = name->id;
    row.size = layout.size().value;
    row.piece_bytes = layout.piece_bytes();
    row.inode = facts->inode;
    row.last_use = seconds_now();
    row.disk_bytes = facts->disk_bytes;
    if (auto saved = shared.index->save(row, Index::Commit::fast); !saved) {
      return tl::unexpected(std::move(saved.error()));
    }
    if (manifest) (void)shared.index->describe(row.id, manifest->name, {}, true);
    adopted.push_back(row.id);
  }
  return adopted;
}

}  // namespace lanward::store
