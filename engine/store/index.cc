#include "engine/store/index.h"

#include <array>
#include <cstdio>
#include <utility>

#include <sqlite3.h>

#include "engine/store/system_error.h"

namespace lanward::store {
namespace {

constexpr int kSchemaVersion = 1;
// Somebody may look at the database with another program for a moment.
constexpr int kBusyMilliseconds = 5000;

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

class Statement {
 public:
  Statement(sqlite3* db, const char* sql) {
    code_ = sqlite3_prepare_v2(db, sql, -1, &statement_, nullptr);
  }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(statement_); }

  // Bound memory must outlive the statement.
  Statement& bind(const void* data, std::size_t bytes) {
    // A null pointer would bind NULL instead of an empty value.
    return keep(
        sqlite3_bind_blob64(statement_, ++bound_, bytes == 0 ? "" : data, bytes, SQLITE_STATIC));
  }
  Statement& bind(std::int64_t value) {
    return keep(sqlite3_bind_int64(statement_, ++bound_, value));
  }
  Statement& bind(const std::string& text) {
    return keep(sqlite3_bind_text(statement_, ++bound_, text.data(), static_cast<int>(text.size()),
                                  SQLITE_STATIC));
  }
  // SQLITE_ROW, SQLITE_DONE or an error.
  int step() {
    if (code_ == SQLITE_OK) code_ = sqlite3_step(statement_);
    return code_ == SQLITE_ROW ? std::exchange(code_, SQLITE_OK), SQLITE_ROW : code_;
  }

  std::int64_t integer(int column) { return sqlite3_column_int64(statement_, column); }
  std::vector<std::uint8_t> blob(int column) {
    const auto* p = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, column));
    const int n = sqlite3_column_bytes(statement_, column);
    return p == nullptr ? std::vector<std::uint8_t>{} : std::vector<std::uint8_t>(p, p + n);
  }

 private:
  Statement& keep(int code) {
    if (code_ == SQLITE_OK) code_ = code;
    return *this;
  }

  sqlite3_stmt* statement_ = nullptr;
  int code_ = SQLITE_OK;
  int bound_ = 0;
};

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

bool is_damage(int code) {
  return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

bool is_done(int code) { return code == SQLITE_OK || code == SQLITE_DONE; }

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
      sqlite3_busy_timeout(db_, kBusyMilliseconds);
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
    if (code == SQLITE_OK) code = prepare_schema();
    if (code == SQLITE_OK) return {};
    if (!is_damage(code) || retried) return failure("open", code);
    if (auto moved = move_aside(); !moved) return moved;
  }
}

int Index::prepare_schema() {
  if (const int code = execute("PRAGMA journal_mode=WAL"); code != SQLITE_OK) return code;
  if (const int code = execute("PRAGMA synchronous=NORMAL"); code != SQLITE_OK) return code;
  Statement version(db_, "PRAGMA user_version");
  if (const int code = version.step(); code != SQLITE_ROW) return code;
  if (version.integer(0) == 0) return execute(kSchema);
  Statement check(db_, "PRAGMA quick_check(1)");
  if (const int code = check.step(); code != SQLITE_ROW) return code;
  const std::vector<std::uint8_t> verdict = check.blob(0);
  return std::string(verdict.begin(), verdict.end()) == "ok" ? SQLITE_OK : SQLITE_CORRUPT;
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

int Index::execute(const char* sql) { return sqlite3_exec(db_, sql, nullptr, nullptr, nullptr); }

tl::unexpected<Error> Index::failure(const char* what, int code) const {
  std::string message = std::string("cannot ") + what + " the cache index " + path_ + ": " +
                        (db_ != nullptr ? sqlite3_errmsg(db_) : sqlite3_errstr(code));
  const bool full = (code & 0xff) == SQLITE_FULL ||
                    (db_ != nullptr && is_out_of_space(sqlite3_system_errno(db_)));
  if (full) message += "; free some space and try again";
  return fail(full ? ErrorCode::disk_full : ErrorCode::disk_io, std::move(message));
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
    const std::vector<std::uint8_t> boot = query.blob(4);
    row = IndexRow{id,
                   static_cast<std::uint64_t>(query.integer(0)),
                   static_cast<std::uint32_t>(query.integer(1)),
                   to_words(query.blob(2)),
                   to_words(query.blob(3)),
                   std::string(boot.begin(), boot.end()),
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
    if (commit == Commit::durable) execute("PRAGMA synchronous=FULL");
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
    if (commit == Commit::durable) execute("PRAGMA synchronous=NORMAL");
    return code;
  });
}

Result<void> Index::erase(const core::Digest& id) {
  return run("write", [&]() -> int {
    return Statement(db_, "DELETE FROM contents WHERE id=?1").bind(id.data(), id.size()).step();
  });
}

}  // namespace lanward::store
