#include "engine/store/index_schema.h"

#include <sqlite3.h>

#include "engine/core/metainfo.h"
#include "engine/core/piece_layout.h"
#include "engine/core/piece_set.h"
#include "engine/store/sqlite.h"

namespace lanward::store {
namespace {

constexpr const char* kSchema =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE contents("
    "  id BLOB PRIMARY KEY NOT NULL,"
    "  size INTEGER NOT NULL,"
    "  piece_bytes INTEGER NOT NULL,"
    "  verified BLOB NOT NULL,"
    "  durable BLOB NOT NULL,"
    "  boot TEXT NOT NULL,"
    "  inode INTEGER NOT NULL,"
    "  mtime_ns INTEGER NOT NULL,"
    "  clean INTEGER NOT NULL,"
    "  last_use INTEGER NOT NULL,"
    "  verified_bytes INTEGER NOT NULL DEFAULT 0,"
    "  disk_bytes INTEGER,"
    "  created INTEGER NOT NULL DEFAULT 0,"
    "  name TEXT NOT NULL DEFAULT '',"
    "  origin TEXT NOT NULL DEFAULT '',"
    "  elsewhere TEXT NOT NULL DEFAULT '',"
    "  manifest INTEGER NOT NULL DEFAULT 0,"
    "  pinned INTEGER NOT NULL DEFAULT 0,"
    "  expires INTEGER,"
    "  checked INTEGER,"
    "  shared INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX contents_by_last_use ON contents(last_use);"
    "CREATE TABLE reference("
    "  content BLOB NOT NULL, job BLOB NOT NULL, PRIMARY KEY(content, job)) WITHOUT ROWID;"
    "PRAGMA user_version=3;"
    "COMMIT;";

constexpr const char* kFromVersion1 =
    "ALTER TABLE contents ADD COLUMN verified_bytes INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE contents ADD COLUMN disk_bytes INTEGER;"
    "ALTER TABLE contents ADD COLUMN created INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE contents ADD COLUMN name TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE contents ADD COLUMN origin TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE contents ADD COLUMN elsewhere TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE contents ADD COLUMN manifest INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE contents ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE contents ADD COLUMN expires INTEGER;"
    "ALTER TABLE contents ADD COLUMN checked INTEGER;"
    "UPDATE contents SET created=last_use;"
    "CREATE TABLE reference("
    "  content BLOB NOT NULL, job BLOB NOT NULL, PRIMARY KEY(content, job)) WITHOUT ROWID;";

// Which contents came by credentials, version 2 did not record: none of them may be given away.
constexpr const char* kFromVersion2 =
    "ALTER TABLE contents ADD COLUMN shared INTEGER NOT NULL DEFAULT 0;";

// What version 1 left to whoever reads the bitmaps.
int count_verified_bytes(sqlite3* db) {
  Statement rows(db, "SELECT id, size, piece_bytes, verified FROM contents");
  int code = SQLITE_OK;
  while ((code = rows.step()) == SQLITE_ROW) {
    const auto id = rows.blob(0);
    const auto bytes = bytes_of(to_words(rows.blob(3)), static_cast<std::uint64_t>(rows.integer(1)),
                                static_cast<std::uint32_t>(rows.integer(2)));
    Statement update(db, "UPDATE contents SET verified_bytes=?2 WHERE id=?1");
    const int done =
        update.bind(id.data(), id.size()).bind(static_cast<std::int64_t>(bytes)).step();
    if (!is_done(done)) return done;
  }
  return code;
}

}  // namespace

int create_index_schema(sqlite3* db) { return execute(db, kSchema); }

int migrate_index_schema(sqlite3* db, int from) {
  if (from >= kIndexVersion) return SQLITE_OK;
  int code = execute(db, "BEGIN IMMEDIATE");
  if (code == SQLITE_OK && from < 2) {
    code = execute(db, kFromVersion1);
    if (code == SQLITE_OK) code = count_verified_bytes(db);
  }
  if (is_done(code)) code = execute(db, kFromVersion2);
  if (is_done(code)) code = execute(db, "PRAGMA user_version=3; COMMIT;");
  if (!is_done(code)) (void)execute(db, "ROLLBACK");
  return code;
}

std::vector<std::uint8_t> to_bytes(const std::vector<std::uint64_t>& words) {
  std::vector<std::uint8_t> bytes(words.size() * 8);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(words[i / 8] >> (i % 8 * 8));
  }
  return bytes;
}

std::vector<std::uint64_t> to_words(const std::vector<std::uint8_t>& bytes) {
  std::vector<std::uint64_t> words((bytes.size() + 7) / 8, 0);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    words[i / 8] |= std::uint64_t{bytes[i]} << (i % 8 * 8);
  }
  return words;
}

std::uint64_t bytes_of(const std::vector<std::uint64_t>& words, std::uint64_t size,
                       std::uint32_t piece_bytes) {
  if (piece_bytes < core::kBlockBytes || (piece_bytes & (piece_bytes - 1)) != 0) return 0;
  if (size / piece_bytes >= core::kPieceCountMax) return 0;
  const core::PieceLayout layout(core::ByteCount{size}, piece_bytes);
  const auto set = core::PieceSet::from_words(layout.piece_count(), words);
  if (set.empty()) return 0;
  const core::PieceIndex last{layout.piece_count() - 1};
  const std::uint64_t full = std::uint64_t{set.count()} * piece_bytes;
  return set.contains(last) ? full - piece_bytes + layout.size_of(last) : full;
}

}  // namespace lanward::store
