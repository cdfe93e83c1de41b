// The durable records of jobs: DIRECTORY/jobs.sqlite.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <lanward/error.h>
#include <lanward/types.h>

#include "engine/ports/journal.h"
#include "engine/store/directory_lock.h"

struct sqlite3;

namespace lanward::store {

class Statement;

// Saves and removals that may wait for the disk. A change of a job waits for its save, so a queue
// of 300 jobs has a few hundred at a time; more means that the disk does not answer, and the
// records that wait take memory.
inline constexpr std::size_t kJournalWaitingMax = 4096;

struct JournalOptions {
  // Bytes that the database may take, rounded up to its pages; 0: as many as there are.
  std::uint64_t bytes_max = 0;
  std::size_t waiting_max = kJournalWaitingMax;
};

// Any thread. A thread of its own writes, and all saves that came while it wrote go to disk
// together. `saved` is called on that thread, in the order of the calls; a save that finds too many
// waiting is refused at once, on the caller's thread. `saved` may save again, but must not destroy
// the journal. Beside the errors of the port: invalid_argument for a record that could not be read
// again (check() in job_record.h).
class SqliteJournal final : public ports::Journal {
 public:
  // Creates the directory for the owner only. The records are read and checked before anything is
  // written; a database with a fault is left byte for byte as it is. Errors: in_use; state_damaged
  // (not our database, damaged, or of a later version); disk_full, disk_io.
  [[nodiscard]] static Result<std::unique_ptr<SqliteJournal>> open(
      const std::string& directory, const JournalOptions& options = {});
  SqliteJournal(const SqliteJournal&) = delete;
  SqliteJournal& operator=(const SqliteJournal&) = delete;
  // Writes what waits.
  ~SqliteJournal() override;

  // What is on disk, in the order of creation. Errors: state_damaged, disk_io.
  [[nodiscard]] Result<std::vector<ports::JobRecord>> load();

  void save(const ports::JobRecord& record, Saved saved) override;
  void remove(const JobId& id, Saved saved) override;

 private:
  using Document = std::shared_ptr<const std::vector<std::uint8_t>>;
  struct Change {
    JobId id;
    std::optional<ports::JobRecord> record = {};  // nothing: removal
    Saved saved = {};
    std::string encoded = {};
    Result<void> result = {};
  };
  using Changes = std::deque<Change>;
  enum class Documents : std::uint8_t { check, load };

  SqliteJournal(const std::string& directory, const JournalOptions& options)
      : directory_(directory), path_(directory + "/jobs.sqlite"), options_(options) {}

  // Opening.
  [[nodiscard]] Result<void> find_file();
  [[nodiscard]] Result<void> connect();
  [[nodiscard]] Result<void> check_database();
  [[nodiscard]] Result<void> prepare_to_write();
  void disconnect();

  // Reading.
  [[nodiscard]] Result<std::vector<ports::JobRecord>> read(Documents documents);
  [[nodiscard]] Result<ports::JobRecord> read_record(Statement& row) const;
  [[nodiscard]] Result<void> read_manifests(std::vector<ports::JobRecord>& records,
                                            Documents documents);

  // The thread that writes.
  void enqueue(Change change);
  void run();
  void write(Changes& changes);
  void commit_or_answer(const std::vector<Change*>& changes);
  [[nodiscard]] Result<void> commit(const std::vector<Change*>& changes);
  void check_point();
  [[nodiscard]] int write_change(const Change& change);
  [[nodiscard]] int write_manifests(const Change& change);

  [[nodiscard]] Error failure(const std::string& what, int code) const;
  [[nodiscard]] Error damage(const std::string& what) const;

  // Constant after open().
  const std::string directory_;
  const std::string path_;
  const JournalOptions options_;
  std::optional<DirectoryLock> lock_;
  bool created_ = false;   // the database is new
  bool had_log_ = false;   // there was a write-ahead log before the database was opened
  bool writable_ = false;  // the database was found to be sound

  std::mutex db_mutex_;
  sqlite3* db_ = nullptr;
  int logged_pages_ = 0;  // after the last commit
  // The manifests on disk, by file: a document that is there is not written again.
  std::map<JobId, std::vector<Document>> documents_;

  std::mutex mutex_;
  std::condition_variable wake_;
  Changes waiting_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace lanward::store
