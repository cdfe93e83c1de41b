#include "engine/store/index.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include <sqlite3.h>
#include <sys/stat.h>

#include "engine/store/index_schema.h"
#include "engine/store/sqlite.h"
#include "engine/store/system_error.h"

namespace lanward::store {
namespace {

constexpr const char* kEntryColumns =
    "SELECT id, size, piece_bytes, verified_bytes, COALESCE(disk_bytes, size), name, origin,"
    " elsewhere, manifest, pinned, created, last_use, expires, checked, shared FROM contents ";

template <std::size_t n>
bool read_bytes(Statement& row, int column, std::array<std::uint8_t, n>& out) {
  const std::vector<std::uint8_t> bytes = row.blob(column);
  if (bytes.size() != n) return false;
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return true;
}

std::optional<std::int64_t> optional_integer(Statement& row, int column) {
  return row.is_null(column) ? std::nullopt : std::optional(row.integer(column));
}

// Runs `action` in one transaction.
template <class Action>
int in_transaction(sqlite3* db, const Action& action) {
  if (const int code = execute(db, "BEGIN IMMEDIATE"); code != SQLITE_OK) return code;
  int code = action();
  if (is_done(code)) code = execute(db, "COMMIT");
  if (!is_done(code)) (void)execute(db, "ROLLBACK");
  return code;
}

int write_row(sqlite3* db, const IndexRow& row) {
  const std::vector<std::uint8_t> verified = to_bytes(row.verified);
  const std::vector<std::uint8_t> durable = to_bytes(row.durable);
  Statement insert(db,
                   "INSERT INTO contents(id, size, piece_bytes, verified, durable, boot, inode,"
                   " mtime_ns, clean, last_use, verified_bytes, disk_bytes, elsewhere, created)"
                   " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?10)"
                   " ON CONFLICT(id) DO UPDATE SET size=?2, piece_bytes=?3, verified=?4,"
                   " durable=?5, boot=?6, inode=?7, mtime_ns=?8, clean=?9, last_use=?10,"
                   " verified_bytes=?11, disk_bytes=?12, elsewhere=?13");
  return insert.bind(row.id.data(), row.id.size())
      .bind(static_cast<std::int64_t>(row.size))
      .bind(std::int64_t{row.piece_bytes})
      .bind(verified.data(), verified.size())
      .bind(durable.data(), durable.size())
      .bind(row.boot)
      .bind(static_cast<std::int64_t>(row.inode))
      .bind(row.mtime_ns)
      .bind(std::int64_t{row.clean})
      .bind(row.last_use)
      .bind(static_cast<std::int64_t>(row.verified_bytes))
      .bind(static_cast<std::int64_t>(row.disk_bytes))
      .bind(row.elsewhere)
      .step();
}

int write_description(sqlite3* db, const core::Digest& id, const std::string& name,
                      const std::string& origin, bool manifest) {
  Statement update(db,
                   "UPDATE contents SET name=CASE ?2 WHEN '' THEN name ELSE ?2 END,"
                   " origin=CASE ?3 WHEN '' THEN origin ELSE ?3 END,"
                   " manifest=max(manifest, ?4) WHERE id=?1");
  return update.bind(id.data(), id.size())
      .bind(name)
      .bind(origin)
      .bind(std::int64_t{manifest})
      .step();
}

int write_shared(sqlite3* db, const core::Digest& id, bool shared) {
  Statement update(db, "UPDATE contents SET shared=?2 WHERE id=?1");
  return update.bind(id.data(), id.size()).bind(std::int64_t{shared}).step();
}

}  // namespace

Result<std::unique_ptr<Index>> Index::open_late(std::string path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) == 0 || errno != ENOENT) return open(std::move(path));
  std::unique_ptr<Index> index(new Index(std::move(path), false));
  index->late_ = true;
  return index;
}

Result<std::unique_ptr<Index>> Index::open(std::string path, bool read_only) {
  std::unique_ptr<Index> index(new Index(std::move(path), read_only));
  if (auto connected = index->connect(); !connected) {
    return tl::unexpected(std::move(connected.error()));
  }
  return index;
}

Index::~Index() { disconnect(); }

Result<void> Index::refuse(int version) const {
  if (version > kIndexVersion) {
    return fail(ErrorCode::unsupported,
                "the cache index " + path_ + " has version " + std::to_string(version) +
                    ", this program knows version " + std::to_string(kIndexVersion) +
                    ": use a newer lanward or another cache directory");
  }
  if (read_only_ && version != kIndexVersion) {
    return fail(ErrorCode::unsupported,
                "the cache index " + path_ + " has version " + std::to_string(version) +
                    ": let an engine, or a command that may write, open it once");
  }
  return {};
}

Result<void> Index::connect() {
  const int flags =
      SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
      (read_only_ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  // Twice: a damaged database is replaced once, a new one that is damaged too is an error.
  for (bool retried = false;; retried = true) {
    struct stat found {};
    const bool missing = ::stat(path_.c_str(), &found) != 0 && errno == ENOENT;
    if (missing && read_only_) return fail(ErrorCode::not_found, "there is no " + path_);
    int code = sqlite3_open_v2(path_.c_str(), &db_, flags, nullptr);
    int version = 0;
    if (code == SQLITE_OK) {
      sqlite3_extended_result_codes(db_, 1);
      sqlite3_busy_timeout(db_, kSqliteBusyMilliseconds);
      std::int64_t told = 0;
      code = query_integer(db_, "PRAGMA user_version", told);
      version = static_cast<int>(told);
    }
    if (code == SQLITE_OK) {
      if (auto allowed = refuse(version); !allowed) return allowed;
      if (!read_only_) code = prepare_schema(version);
    }
    if (code == SQLITE_OK) {
      if (version == 0) ++emptied_;
      inode_ = ::stat(path_.c_str(), &found) == 0 ? found.st_ino : 0;
      return {};
    }
    if (!is_damage(code) || retried || read_only_) return failure("open", code);
    if (auto moved = move_aside(); !moved) return moved;
  }
}

int Index::prepare_schema(int version) {
  // An empty index needs no disk to wait for it: one that a power loss spoils says nothing that is
  // lost, and is replaced.
  if (version == 0) {
    if (const int code = execute(db_, "PRAGMA synchronous=OFF"); code != SQLITE_OK) return code;
  }
  if (const int code = execute(db_, "PRAGMA journal_mode=WAL"); code != SQLITE_OK) return code;
  if (version == 0) {
    if (const int code = create_index_schema(db_); code != SQLITE_OK) return code;
    return execute(db_, "PRAGMA synchronous=NORMAL");
  }
  if (const int code = execute(db_, "PRAGMA synchronous=NORMAL"); code != SQLITE_OK) return code;
  {
    Statement check(db_, "PRAGMA quick_check(1)");
    if (const int code = check.step(); code != SQLITE_ROW) return code;
    if (check.text(0) != "ok") return SQLITE_CORRUPT;
  }
  return migrate_index_schema(db_, version);
}

bool Index::is_in_place() {
  const std::lock_guard lock(mutex_);
  struct stat found {};
  return db_ != nullptr && ::stat(path_.c_str(), &found) == 0 && found.st_ino == inode_;
}

Result<void> Index::reopen() {
  const std::lock_guard lock(mutex_);
  disconnect();
  return connect();
}

void Index::disconnect() {
  if (db_ == nullptr) return;
  // What must be durable is so in the log; the next opening reads it from there.
  sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
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
    if (auto connected = connect(); !connected) {
      disconnect();  // there may be space for it the next time
      return connected;
    }
  }
  const auto act = [&]() -> int {
    const int held = write_held();
    return is_done(held) ? action() : held;
  };
  int code = act();
  if (is_damage(code) && !read_only_) {
    if (auto moved = move_aside(); !moved) return moved;
    if (auto connected = connect(); !connected) return connected;
    code = act();
  }
  if (!is_done(code)) return failure(what, code);
  return {};
}

IndexEntry Index::entry_of(const Held& held) {
  return {.id = held.row.id,
          .size = held.row.size,
          .piece_bytes = held.row.piece_bytes,
          .verified_bytes = held.row.verified_bytes,
          .disk_bytes = held.row.disk_bytes,
          .name = held.name,
          .origin = held.origin,
          .elsewhere = held.row.elsewhere,
          .manifest = held.manifest,
          .created = held.row.last_use,
          .last_use = held.row.last_use,
          .shared = held.shared};
}

bool Index::hold(const IndexRow& row) {
  const std::lock_guard lock(mutex_);
  // Where the bytes are, and which are good, nobody finds out again for nothing.
  if (!is_waiting() || row.verified_bytes > 0 || !row.elsewhere.empty()) return false;
  held_[row.id].row = row;
  return true;
}

int Index::write_held() {
  if (held_.empty()) return SQLITE_OK;
  const int code = in_transaction(db_, [&]() -> int {
    int done = SQLITE_OK;
    for (const auto& [id, held] : held_) {
      done = write_row(db_, held.row);
      if (is_done(done)) done = write_description(db_, id, held.name, held.origin, held.manifest);
      if (is_done(done) && held.shared) done = write_shared(db_, id, true);
      if (!is_done(done)) break;
    }
    return done;
  });
  if (is_done(code)) held_.clear();
  return code;
}

Result<std::optional<IndexRow>> Index::find(const core::Digest& id) {
  {
    const std::lock_guard lock(mutex_);
    if (is_waiting()) {
      const auto held = held_.find(id);
      return held == held_.end() ? std::nullopt : std::optional(held->second.row);
    }
  }
  std::optional<IndexRow> row;
  auto found = run("read", [&]() -> int {
    row.reset();
    Statement query(db_,
                    "SELECT size, piece_bytes, verified, durable, boot, inode, mtime_ns, clean,"
                    " last_use, verified_bytes, COALESCE(disk_bytes, size), elsewhere"
                    " FROM contents WHERE id=?1");
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
                   query.integer(8),
                   static_cast<std::uint64_t>(query.integer(9)),
                   static_cast<std::uint64_t>(query.integer(10)),
                   query.text(11)};
    return SQLITE_DONE;
  });
  if (!found) return tl::unexpected(std::move(found.error()));
  return row;
}

Result<void> Index::save(const IndexRow& row, Commit commit) {
  if (commit == Commit::held && hold(row)) return {};
  return run("write", [&]() -> int {
    if (commit == Commit::durable) execute(db_, "PRAGMA synchronous=FULL");
    const int code = write_row(db_, row);
    if (commit == Commit::durable) execute(db_, "PRAGMA synchronous=NORMAL");
    return code;
  });
}

Result<void> Index::erase(const core::Digest& id) { return erase(std::vector{id}); }

Result<void> Index::erase(const std::vector<core::Digest>& ids) {
  {
    const std::lock_guard lock(mutex_);
    for (const core::Digest& id : ids) held_.erase(id);
    if (is_waiting()) return {};
  }
  return run("write", [&]() -> int {
    return in_transaction(db_, [&]() -> int {
      for (const core::Digest& id : ids) {
        Statement row(db_, "DELETE FROM contents WHERE id=?1");
        if (const int code = row.bind(id.data(), id.size()).step(); !is_done(code)) return code;
      }
      return SQLITE_OK;
    });
  });
}

Result<void> Index::describe(const core::Digest& id, const std::string& name,
                             const std::string& origin, bool manifest) {
  {
    const std::lock_guard lock(mutex_);
    if (is_waiting()) {
      const auto held = held_.find(id);
      if (held == held_.end()) return {};
      if (!name.empty()) held->second.name = name;
      if (!origin.empty()) held->second.origin = origin;
      held->second.manifest = held->second.manifest || manifest;
      return {};
    }
  }
  return run("write", [&] { return write_description(db_, id, name, origin, manifest); });
}

Result<void> Index::set_pinned(const core::Digest& id, bool pinned) {
  return run("write", [&]() -> int {
    Statement update(db_, "UPDATE contents SET pinned=?2 WHERE id=?1");
    return update.bind(id.data(), id.size()).bind(std::int64_t{pinned}).step();
  });
}

Result<void> Index::set_expiry(const core::Digest& id, std::optional<std::int64_t> when) {
  return run("write", [&]() -> int {
    if (!when) {
      Statement update(db_, "UPDATE contents SET expires=NULL WHERE id=?1");
      return update.bind(id.data(), id.size()).step();
    }
    Statement update(db_, "UPDATE contents SET expires=?2 WHERE id=?1");
    return update.bind(id.data(), id.size()).bind(*when).step();
  });
}

Result<void> Index::set_shared(const core::Digest& id, bool shared) {
  {
    const std::lock_guard lock(mutex_);
    if (is_waiting()) {
      if (const auto held = held_.find(id); held != held_.end()) held->second.shared = shared;
      return {};
    }
  }
  return run("write", [&] { return write_shared(db_, id, shared); });
}

Result<void> Index::set_checked(const core::Digest& id, std::int64_t when) {
  return run("write", [&]() -> int {
    Statement update(db_, "UPDATE contents SET checked=?2 WHERE id=?1");
    return update.bind(id.data(), id.size()).bind(when).step();
  });
}

template <class Each>
int Index::select_entries(const char* where, const core::Digest* id, const Each& each) {
  const std::string sql = std::string(kEntryColumns) + where;
  Statement query(db_, sql.c_str());
  if (id != nullptr) query.bind(id->data(), id->size());
  int code = SQLITE_OK;
  while ((code = query.step()) == SQLITE_ROW) {
    IndexEntry entry;
    if (!read_bytes(query, 0, entry.id)) return SQLITE_CORRUPT;
    entry.size = static_cast<std::uint64_t>(query.integer(1));
    entry.piece_bytes = static_cast<std::uint32_t>(query.integer(2));
    entry.verified_bytes = static_cast<std::uint64_t>(query.integer(3));
    entry.disk_bytes = static_cast<std::uint64_t>(query.integer(4));
    entry.name = query.text(5);
    entry.origin = query.text(6);
    entry.elsewhere = query.text(7);
    entry.manifest = query.integer(8) != 0;
    entry.pinned = query.integer(9) != 0;
    entry.created = query.integer(10);
    entry.last_use = query.integer(11);
    entry.expires = optional_integer(query, 12);
    entry.checked = optional_integer(query, 13);
    entry.shared = query.integer(14) != 0;
    each(std::move(entry));
  }
  return code;
}

Result<std::vector<IndexEntry>> Index::entries() {
  std::vector<IndexEntry> list;
  auto found = run("read", [&]() -> int {
    list.clear();
    return select_entries("", nullptr, [&](IndexEntry e) { list.push_back(std::move(e)); });
  });
  if (!found) return tl::unexpected(std::move(found.error()));
  return list;
}

Result<std::optional<IndexEntry>> Index::entry(const core::Digest& id) {
  {
    const std::lock_guard lock(mutex_);
    if (is_waiting()) {
      const auto held = held_.find(id);
      return held == held_.end() ? std::nullopt : std::optional(entry_of(held->second));
    }
  }
  std::optional<IndexEntry> one;
  auto found = run("read", [&]() -> int {
    one.reset();
    return select_entries("WHERE id=?1", &id, [&](IndexEntry e) { one = std::move(e); });
  });
  if (!found) return tl::unexpected(std::move(found.error()));
  return one;
}

Result<std::vector<IndexReference>> Index::references() {
  std::vector<IndexReference> list;
  {
    const std::lock_guard lock(mutex_);
    if (is_waiting()) return list;
  }
  auto found = run("read", [&]() -> int {
    list.clear();
    Statement query(db_, "SELECT content, job FROM reference");
    int code = SQLITE_OK;
    while ((code = query.step()) == SQLITE_ROW) {
      IndexReference reference;
      if (!read_bytes(query, 0, reference.content) || !read_bytes(query, 1, reference.job)) {
        return SQLITE_CORRUPT;
      }
      list.push_back(reference);
    }
    return code;
  });
  if (!found) return tl::unexpected(std::move(found.error()));
  return list;
}

Result<void> Index::refer(const std::vector<IndexReference>& added,
                          const std::vector<IndexReference>& removed) {
  if (added.empty()) {
    const std::lock_guard lock(mutex_);
    if (is_waiting()) return {};
  }
  return run("write", [&]() -> int {
    return in_transaction(db_, [&]() -> int {
      for (const auto* list : {&removed, &added}) {
        const char* sql = list == &added ? "INSERT OR IGNORE INTO reference VALUES(?1, ?2)"
                                         : "DELETE FROM reference WHERE content=?1 AND job=?2";
        for (const IndexReference& r : *list) {
          Statement row(db_, sql);
          const int code =
              row.bind(r.content.data(), r.content.size()).bind(r.job.data(), r.job.size()).step();
          if (!is_done(code)) return code;
        }
      }
      return SQLITE_OK;
    });
  });
}

}  // namespace lanward::store
