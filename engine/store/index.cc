#include "engine/store/index.h"

#include <array>
#include <cstdio>
#include <utility>

#include <sqlite3.h>

#include "engine/store/sqlite.h"
#include "engine/store/system_error.h"

namespace lanward::store {
namespace {

constexpr int kSchemaVersion = 1;

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
    "  last_use INTEGER NOT NULL);"
    "CREATE INDEX contents_by_last_use ON contents(last_use);"
    "PRAGMA user_version=1;"
    "COMMIT;";

// Words are stored with the least significant byte first, whatever the machine does.
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

}  // namespace

Result<std::unique_ptr<Index>> Index::open(std::string path) {
  std::unique_ptr<Index> index(new Index(std::move(path)));
  if (auto connected = index->connect(); !connected) {
    return tl::unexpected(std::move(connected.error()));
  }
  return index;
}

Index::~Index() { disconnect(); }

Result<void> Index::connect() {
  // Twice: a damaged database is replaced once, a new one that is damaged too is an error.
  for (bool retried = false;; retried = true) {
    int code = sqlite3_open_v2(
        path_.c_str(), &db_,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
        nullptr);
    int version = 0;
    if (code == SQLITE_OK) {
      sqlite3_extended_result_codes(db_, 1);
      sqlite3_busy_timeout(db_, kSqliteBusyMilliseconds);
      Statement query(db_, "PRAGMA user_version");
      code = query.step();
      if (code == SQLITE_ROW) {
        version = static_cast<int>(query.integer(0));
        code = SQLITE_OK;
      }
    }
    if (code == SQLITE_OK && version > kSchemaVersion) {
      return fail(ErrorCode::unsupported,
                  "the cache index " + path_ + " has version " + std::to_string(version) +
                      ", this program knows version " + std::to_string(kSchemaVersion) +
                      ": use a newer lanward or another cache directory");
    }
    if (code == SQLITE_OK) code = prepare_schema(version == 0);
    if (code == SQLITE_OK) return {};
    if (!is_damage(code) || retried) return failure("open", code);
    if (auto moved = move_aside(); !moved) return moved;
  }
}

int Index::prepare_schema(bool is_new) {
  // An empty index needs no disk to wait for it: one that a power loss spoils says nothing that is
  // lost, and is replaced.
  if (is_new) {
    if (const int code = execute(db_, "PRAGMA synchronous=OFF"); code != SQLITE_OK) return code;
  }
  if (const int code = execute(db_, "PRAGMA journal_mode=WAL"); code != SQLITE_OK) return code;
  if (is_new) {
    if (const int code = execute(db_, kSchema); code != SQLITE_OK) return code;
  }
  if (const int code = execute(db_, "PRAGMA synchronous=NORMAL"); code != SQLITE_OK) return code;
  if (is_new) return SQLITE_OK;
  Statement check(db_, "PRAGMA quick_check(1)");
  if (const int code = check.step(); code != SQLITE_ROW) return code;
  return check.text(0) == "ok" ? SQLITE_OK : SQLITE_CORRUPT;
}

void Index::disconnect() {
  sqlite3_close_v2(db_);
  db_ = nullptr;
}

Result<void> Index::move_aside() {
  disconnect();
  // The last damaged index is kept for whoever wants to know; older ones are not worth the space.
  const std::string aside = path_ + ".damaged";
  if (std::rename(path_.c_str(), aside.c_str()) != 0 && errno != ENOENT) {
    return tl::unexpected(
        system_error(errno, "cannot move the damaged cache index " + path_ + " to " + aside));
  }
  // A log left behind would be replayed into the new database.
  for (const char* suffix : {"-wal", "-shm"}) std::remove((path_ + suffix).c_str());
  return {};
}

tl::unexpected<Error> Index::failure(const char* what, int code) const {
  return tl::unexpected(sqlite_error(db_, code, std::string(what) + " the cache index " + path_));
}

// Runs `action`, once more with a new database when the present one is damaged.
template <class Action>
Result<void> Index::run(const char* what, const Action& action) {
  const std::lock_guard lock(mutex_);
  if (db_ == nullptr) {
    if (auto connected = connect(); !connected) return connected;
  }
  int code = action();
  if (is_damage(code)) {
    if (auto moved = move_aside(); !moved) return moved;
    if (auto connected = connect(); !connected) return connected;
    code = action();
  }
  if (!is_done(code)) return failure(what, code);
  return {};
}

Result<std::optional<IndexRow>> Index::find(const core::Digest& id) {
  std::optional<IndexRow> row;
  auto found = run("read", [&]() -> int {
    row.reset();
    Statement query(db_,
                    "SELECT size, piece_bytes, verified, durable, boot, inode, mtime_ns, clean,"
                    " last_use FROM contents WHERE id=?1");
    const int code = query.bind(id.data(), id.size()).step();
    if (code != SQLITE_ROW) return code;
    row = IndexRow{id,
                   static_cast<std::uint64_t>(query.integer(0)),
                   static_cast<std::uint32_t>(query.integer(1)),
                   to_words(query.blob(2)),
                   to_words(query.blob(3)),
                   query.text(4),
                   static_cast<std::uint64_t>(query.integer(5)),
                   query.integer(6),
                   query.integer(7) != 0,
                   query.integer(8)};
    return SQLITE_DONE;
  });
  if (!found) return tl::unexpected(std::move(found.error()));
  return row;
}

Result<void> Index::save(const IndexRow& row, Commit commit) {
  const std::vector<std::uint8_t> verified = to_bytes(row.verified);
  const std::vector<std::uint8_t> durable = to_bytes(row.durable);
  return run("write", [&]() -> int {
    if (commit == Commit::durable) execute(db_, "PRAGMA synchronous=FULL");
    Statement insert(db_,
                     "INSERT OR REPLACE INTO contents(id, size, piece_bytes, verified, durable,"
                     " boot, inode, mtime_ns, clean, last_use)"
                     " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
    const int code = insert.bind(row.id.data(), row.id.size())
                         .bind(static_cast<std::int64_t>(row.size))
                         .bind(std::int64_t{row.piece_bytes})
                         .bind(verified.data(), verified.size())
                         .bind(durable.data(), durable.size())
                         .bind(row.boot)
                         .bind(static_cast<std::int64_t>(row.inode))
                         .bind(row.mtime_ns)
                         .bind(std::int64_t{row.clean})
                         .bind(row.last_use)
                         .step();
    if (commit == Commit::durable) execute(db_, "PRAGMA synchronous=NORMAL");
    return code;
  });
}

Result<void> Index::erase(const core::Digest& id) {
  return run("write", [&]() -> int {
    return Statement(db_, "DELETE FROM contents WHERE id=?1").bind(id.data(), id.size()).step();
  });
}

}  // namespace lanward::store
