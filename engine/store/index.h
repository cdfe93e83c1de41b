// The durable record of what the cache holds: one row per content, in SQLite.
#pragma once

#include <array>
#include <atomic>
#include <compare>
#include <cstdint>
#include <map>
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
  std::uint64_t verified_bytes = 0;
  std::uint64_t disk_bytes = 0;  // what the data file takes
  // Path of the data file when it is not in the cache directory but beside a destination.
  std::string elsewhere = {};

  friend bool operator==(const IndexRow&, const IndexRow&) = default;
};

// What people want to know of a content, and what they said of it.
struct IndexEntry {
  core::Digest id{};
  std::uint64_t size = 0;
  std::uint32_t piece_bytes = 0;
  std::uint64_t verified_bytes = 0;
  std::uint64_t disk_bytes = 0;
  std::string name;
  std::string origin;
  std::string elsewhere;
  bool manifest = false;  // there is a manifest beside the data file
  bool pinned = false;
  std::int64_t created = 0;
  std::int64_t last_use = 0;
  std::optional<std::int64_t> expires;
  std::optional<std::int64_t> checked;
  bool shared = false;  // may be given to peers
};

// That a job, which is not final, has a file of a content.
struct IndexReference {
  core::Digest content{};
  std::array<std::uint8_t, 16> job{};
  friend auto operator<=>(const IndexReference&, const IndexReference&) = default;
};

// Any thread. A database that turns out to be damaged is moved aside and replaced by an empty one:
// what it said is found out again from the data files.
class Index {
 public:
  // Errors: unsupported for a database of a later version, disk_full, disk_io. `read_only`: beside
  // another process that has it open; nothing is written, and there must be one (not_found) of this
  // very version.
  [[nodiscard]] static Result<std::unique_ptr<Index>> open(std::string path,
                                                           bool read_only = false);
  // As open(), but where there is no database yet none is made before something has to be kept:
  // of a file that is there in a moment there is nothing to keep.
  [[nodiscard]] static Result<std::unique_ptr<Index>> open_late(std::string path);
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;
  ~Index();

  enum class Commit : std::uint8_t {
    held,     // with the next other one; until then, where there is no database, in memory only
    fast,     // survives the end of the process
    durable,  // survives a power loss
  };

  [[nodiscard]] Result<std::optional<IndexRow>> find(const core::Digest& id);
  [[nodiscard]] Result<void> save(const IndexRow& row, Commit commit);
  [[nodiscard]] Result<void> erase(const core::Digest& id);
  // All of them or none.
  [[nodiscard]] Result<void> erase(const std::vector<core::Digest>& ids);

  // What is not known is left as it is: an empty text, a manifest that is not there.
  [[nodiscard]] Result<void> describe(const core::Digest& id, const std::string& name,
                                      const std::string& origin, bool manifest);
  // Nothing happens to a content that is not in the index.
  [[nodiscard]] Result<void> set_pinned(const core::Digest& id, bool pinned);
  [[nodiscard]] Result<void> set_expiry(const core::Digest& id, std::optional<std::int64_t> when);
  // Whether the content may be given to peers; that it may not is what is said of a new one.
  [[nodiscard]] Result<void> set_shared(const core::Digest& id, bool shared);
  [[nodiscard]] Result<void> set_checked(const core::Digest& id, std::int64_t when);

  [[nodiscard]] Result<std::vector<IndexEntry>> entries();
  [[nodiscard]] Result<std::optional<IndexEntry>> entry(const core::Digest& id);

  [[nodiscard]] Result<std::vector<IndexReference>> references();
  // Adds and removes references, all of them or none.
  [[nodiscard]] Result<void> refer(const std::vector<IndexReference>& added,
                                   const std::vector<IndexReference>& removed);

  // How often a damaged index, or none, was replaced by an empty one since this was opened: what it
  // does not know is to be found in the data files.
  [[nodiscard]] std::uint32_t times_emptied() const { return emptied_; }
  // Whether the file that is open is still the one at its path.
  [[nodiscard]] bool is_in_place();
  // Opens what is at the path now.
  [[nodiscard]] Result<void> reopen();

 private:
  Index(std::string path, bool read_only) : path_(std::move(path)), read_only_(read_only) {}

  // What is known of a content before there is a database.
  struct Held {
    IndexRow row;
    std::string name;
    std::string origin;
    bool manifest = false;
    bool shared = false;
  };

  template <class Action>
  Result<void> run(const char* what, const Action& action);
  [[nodiscard]] static IndexEntry entry_of(const Held& held);
  // False: there is a database, or has to be one.
  bool hold(const IndexRow& row);
  // REQUIRES: mutex_ is held, and there is a database.
  int write_held();
  // Whether there is no database because none was needed so far. REQUIRES: mutex_ is held.
  [[nodiscard]] bool is_waiting() const { return late_ && db_ == nullptr; }
  template <class Each>
  int select_entries(const char* where, const core::Digest* id, const Each& each);
  [[nodiscard]] Result<void> connect();
  [[nodiscard]] Result<void> refuse(int version) const;
  int prepare_schema(int version);
  void disconnect();
  [[nodiscard]] Result<void> move_aside();
  [[nodiscard]] tl::unexpected<Error> failure(const char* what, int code) const;

  std::mutex mutex_;
  const std::string path_;
  const bool read_only_;
  std::atomic<std::uint32_t> emptied_{0};
  std::uint64_t inode_ = 0;
  sqlite3* db_ = nullptr;
  bool late_ = false;  // the first that needs a database makes it
  std::map<core::Digest, Held> held_;
};

}  // namespace lanward::store
