// The durable record of what the cache holds: one row per content, in SQLite.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <lanward/error.h>

#include "engine/core/content.h"

struct sqlite3;

namespace lanward::store {

struct IndexRow {
  core::Digest id{};
  std::uint64_t size = 0;
  std::uint32_t piece_bytes = 0;
  // Words of a PieceSet. `verified`: pieces whose bytes were written and verified, true as long as
  // the machine has not been restarted. `durable`: those verified before the last sync.
  std::vector<std::uint64_t> verified;
  std::vector<std::uint64_t> durable;
  std::string boot;  // the run of the kernel in which the row was written
  std::uint64_t inode = 0;
  // Of the data file at closing; believed only with `clean`.
  std::int64_t mtime_ns = 0;
  // Closed in order: nothing was written to the data file after the row.
  bool clean = false;
  std::int64_t last_use = 0;  // seconds since 1970

  friend bool operator==(const IndexRow&, const IndexRow&) = default;
};

// Any thread. A database that turns out to be damaged is moved aside and replaced by an empty one:
// what it said is found out again from the data files.
class Index {
 public:
  // Errors: unsupported for a database of a later version, disk_full, disk_io.
  [[nodiscard]] static Result<std::unique_ptr<Index>> open(std::string path);
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;
  ~Index();

  enum class Commit : std::uint8_t {
    fast,     // survives the end of the process
    durable,  // survives a power loss
  };

  [[nodiscard]] Result<std::optional<IndexRow>> find(const core::Digest& id);
  [[nodiscard]] Result<void> save(const IndexRow& row, Commit commit);
  [[nodiscard]] Result<void> erase(const core::Digest& id);

 private:
  explicit Index(std::string path) : path_(std::move(path)) {}

  template <class Action>
  Result<void> run(const char* what, const Action& action);
  [[nodiscard]] Result<void> connect();
  int prepare_schema(bool is_new);
  void disconnect();
  [[nodiscard]] Result<void> move_aside();
  [[nodiscard]] tl::unexpected<Error> failure(const char* what, int code) const;

  std::mutex mutex_;
  std::string path_;
  sqlite3* db_ = nullptr;
};

}  // namespace lanward::store
