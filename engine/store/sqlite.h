// What every database of ours needs from SQLite.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <sqlite3.h>

#include <lanward/error.h>

#include "engine/store/system_error.h"

namespace lanward::store {

// Somebody may look at a database with another program for a moment.
inline constexpr int kSqliteBusyMilliseconds = 5000;

// A prepared statement. An error stays: later calls do nothing and step() answers it.
class Statement {
 public:
  Statement(sqlite3* db, const char* sql)
      : code_(sqlite3_prepare_v2(db, sql, -1, &statement_, nullptr)) {}
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(statement_); }

  // Values for ?1, ?2 and so on, in this order. Bound memory must outlive the statement.
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

  [[nodiscard]] bool is_null(int column) {
    return sqlite3_column_type(statement_, column) == SQLITE_NULL;
  }
  std::int64_t integer(int column) { return sqlite3_column_int64(statement_, column); }
  std::vector<std::uint8_t> blob(int column) {
    const auto* p = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, column));
    const int n = sqlite3_column_bytes(statement_, column);
    return p == nullptr ? std::vector<std::uint8_t>{} : std::vector<std::uint8_t>(p, p + n);
  }
  std::string text(int column) {
    const std::vector<std::uint8_t> bytes = blob(column);
    return {bytes.begin(), bytes.end()};
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

inline int execute(sqlite3* db, const char* sql) {
  return sqlite3_exec(db, sql, nullptr, nullptr, nullptr);
}

// The number of the one row that a statement without values gives.
inline int query_integer(sqlite3* db, const char* sql, std::int64_t& value) {
  Statement query(db, sql);
  const int code = query.step();
  if (code != SQLITE_ROW) return code == SQLITE_DONE ? SQLITE_CORRUPT : code;
  value = query.integer(0);
  return SQLITE_OK;
}

[[nodiscard]] inline bool is_damage(int code) {
  return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

[[nodiscard]] inline bool is_done(int code) { return code == SQLITE_OK || code == SQLITE_DONE; }

// disk_full or disk_io with what SQLite says. `what`: "write the cache index /x/index.sqlite".
// `db` may be null.
[[nodiscard]] inline Error sqlite_error(sqlite3* db, int code, const std::string& what) {
  const char* cause = db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  std::string message = "cannot " + what + ": " + cause;
  const bool full =
      (code & 0xff) == SQLITE_FULL || (db != nullptr && is_out_of_space(sqlite3_system_errno(db)));
  if (full) message += "; free some space and try again";
  return {full ? ErrorCode::disk_full : ErrorCode::disk_io, std::move(message)};
}

}  // namespace lanward::store
