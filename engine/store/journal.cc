#include "engine/store/journal.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <utility>

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "engine/store/data_file.h"
#include "engine/store/job_record.h"
#include "engine/store/sqlite.h"
#include "engine/store/system_error.h"
#include "engine/store/unique_fd.h"

namespace lanward::store {
namespace {

using ports::FileRecord;
using ports::JobRecord;

constexpr std::int64_t kSchemaVersion = 1;

constexpr const char* kSchema =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE job("
    "  id BLOB PRIMARY KEY NOT NULL,"
    "  sequence INTEGER NOT NULL,"
    "  record BLOB NOT NULL);"
    "CREATE TABLE manifest("
    "  job BLOB NOT NULL,"
    "  file INTEGER NOT NULL,"
    "  document BLOB NOT NULL,"
    "  PRIMARY KEY(job, file));"
    "PRAGMA user_version=1;"
    "COMMIT;";

// Before anything is read: nobody else uses the database while its directory is ours, and with the
// lock held SQLite needs no shared-memory file.
constexpr const char* kExclusive = "PRAGMA locking_mode=EXCLUSIVE";

constexpr const char* kWriting =
    "PRAGMA synchronous=FULL;"
    // Between the changes, see check_point().
    "PRAGMA wal_autocheckpoint=0;"
    // What a log with a large manifest took is given back; the rest is kept, so that a full disk
    // leaves room for small changes. 16 MiB: what a few large manifests take.
    "PRAGMA journal_size_limit=16777216;";

// The log is written through before it is used. A sync of a file that grows waits until the file
// system has committed its own log, and with it, on ext4, until the data of every file that has
// grown is on disk: those of a fast download take a tenth of a second. Where the blocks are there
// already only they are written. 1 MiB: twice what is logged between two checkpoints.
constexpr std::size_t kLogBytes = std::size_t{1} << 20U;
// Not on a disk that is nearly full: the space is needed for what there is to write.
constexpr std::uint64_t kFreeBytesMin = std::uint64_t{64} << 20U;
// Pages in the log after which they are written back into the database: half of kLogBytes.
constexpr int kCheckpointPages = 128;

// The size of a file, nothing if there is none. Links and directories are no files of ours.
Result<std::optional<std::uint64_t>> file_size(const std::string& path) {
  struct stat s {};
  if (::lstat(path.c_str(), &s) != 0) {
    if (errno == ENOENT) return std::optional<std::uint64_t>{};
    return tl::unexpected(system_error(errno, "cannot look at " + path));
  }
  if (!S_ISREG(s.st_mode)) return fail(ErrorCode::disk_io, path + " is no regular file");
  return std::optional<std::uint64_t>{static_cast<std::uint64_t>(s.st_size)};
}

bool has_space(int fd) {
  struct statvfs s {};
  return ::fstatvfs(fd, &s) == 0 && std::uint64_t{s.f_bavail} * s.f_frsize >= kFreeBytesMin;
}

// Makes the file `bytes` long, with zeros on disk and not a hole. Without success it stays as it
// was. SQLite takes zeros at the end of its log for its end.
void write_through(const std::string& path, std::size_t bytes) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat s {};
  if (!fd || ::fstat(fd.get(), &s) != 0) return;
  const auto size = static_cast<std::size_t>(s.st_size);
  if (size >= bytes || !has_space(fd.get())) return;
  const std::vector<std::byte> zeros(bytes - size);
  const ssize_t written = ::pwrite(fd.get(), zeros.data(), zeros.size(), s.st_size);
  if (written != static_cast<ssize_t>(zeros.size())) (void)::ftruncate(fd.get(), s.st_size);
}

// Undoes what was begun and not committed.
class Rollback {
 public:
  explicit Rollback(sqlite3* db) : db_(db) {}
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;
  ~Rollback() {
    if (sqlite3_get_autocommit(db_) == 0) execute(db_, "ROLLBACK");
  }

 private:
  sqlite3* db_;
};

}  // namespace

// ---- opening -----------------------------------------------------------------------------------

Result<std::unique_ptr<SqliteJournal>> SqliteJournal::open(const std::string& directory,
                                                           const JournalOptions& options) {
  if (auto made = make_directories(directory); !made) {
    return tl::unexpected(std::move(made.error()));
  }
  auto lock = DirectoryLock::acquire(directory, "state directory");
  if (!lock) return tl::unexpected(std::move(lock.error()));
  std::unique_ptr<SqliteJournal> journal(new SqliteJournal(directory, options));
  journal->lock_ = std::move(*lock);
  for (const auto step : {&SqliteJournal::find_file, &SqliteJournal::connect,
                          &SqliteJournal::check_database, &SqliteJournal::prepare_to_write}) {
    if (auto done = (journal.get()->*step)(); !done) {
      return tl::unexpected(std::move(done.error()));
    }
  }
  try {
    journal->thread_ = std::thread([raw = journal.get()] { raw->run(); });
  } catch (const std::exception& e) {
    return fail(ErrorCode::internal, std::string("cannot start a thread: ") + e.what());
  }
  return journal;
}

SqliteJournal::~SqliteJournal() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      wake_.notify_all();
    }
    thread_.join();
  }
  disconnect();
}

// Creates the database's file if there is none.
Result<void> SqliteJournal::find_file() {
  const auto size = file_size(path_);
  if (!size) return tl::unexpected(size.error());
  const auto log_size = file_size(path_ + "-wal");
  if (!log_size) return tl::unexpected(log_size.error());
  had_log_ = log_size->has_value();
  created_ = !size->has_value();
  // SQLite takes a file of up to one byte for empty and would throw the log away, and with it the
  // jobs.
  if (size->value_or(0) <= 1 && log_size->value_or(0) > 0) {
    return tl::unexpected(damage("it is empty or gone while its log " + path_ + "-wal is there"));
  }
  if (!created_) return {};
  const UniqueFd fd(
      ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return tl::unexpected(system_error(errno, "cannot create " + path_));
  return {};
}

Result<void> SqliteJournal::connect() {
  int code =
      sqlite3_open_v2(path_.c_str(), &db_,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, nullptr);
  if (code == SQLITE_OK) {
    sqlite3_extended_result_codes(db_, 1);
    sqlite3_busy_timeout(db_, kSqliteBusyMilliseconds);
    // Until the database is known to be sound its log is not written back.
    sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    code = execute(db_, kExclusive);
  }
  if (code != SQLITE_OK) return tl::unexpected(failure("open", code));
  return {};
}

// Reads only.
Result<void> SqliteJournal::check_database() {
  std::int64_t version = 0;
  std::int64_t tables = 0;
  int code = query_integer(db_, "PRAGMA user_version", version);
  if (code == SQLITE_OK) code = query_integer(db_, "SELECT count(*) FROM sqlite_schema", tables);
  if (code != SQLITE_OK) return tl::unexpected(failure("read", code));
  if (version == 0 && tables == 0) {
    created_ = true;
    return {};
  }
  if (version > kSchemaVersion) {
    return fail(ErrorCode::state_damaged,
                "the job database " + path_ + " has version " + std::to_string(version) +
                    ", this program knows version " + std::to_string(kSchemaVersion) +
                    ": use a newer lanward or another state directory");
  }
  if (version != kSchemaVersion) {
    return tl::unexpected(damage("it belongs to another program"));
  }
  {
    Statement check(db_, "PRAGMA quick_check(1)");
    code = check.step();
    if (code != SQLITE_ROW) return tl::unexpected(failure("check", code));
    if (const std::string verdict = check.text(0); verdict != "ok") {
      return tl::unexpected(damage(verdict));
    }
  }
  if (auto records = read(Documents::check); !records) return tl::unexpected(records.error());
  return {};
}

Result<void> SqliteJournal::prepare_to_write() {
  std::int64_t page_bytes = 1;
  int code = SQLITE_OK;
  {
    Statement mode(db_, "PRAGMA journal_mode=WAL");
    code = mode.step();
    if (code == SQLITE_ROW) code = mode.text(0) == "wal" ? SQLITE_OK : SQLITE_READONLY;
  }
  if (code == SQLITE_OK) code = execute(db_, kWriting);
  if (code == SQLITE_OK) code = query_integer(db_, "PRAGMA page_size", page_bytes);
  if (code == SQLITE_OK && options_.bytes_max > 0) {
    const std::uint64_t pages = (options_.bytes_max - 1) / static_cast<std::uint64_t>(page_bytes);
    code = execute(db_, ("PRAGMA max_page_count=" + std::to_string(pages + 1)).c_str());
  }
  if (code == SQLITE_OK && created_) code = execute(db_, kSchema);
  if (code != SQLITE_OK) return tl::unexpected(failure("prepare", code));
  writable_ = true;
  sqlite3_wal_hook(
      db_,
      [](void* pages, sqlite3*, const char*, int now) {
        *static_cast<int*>(pages) = now;
        return SQLITE_OK;
      },
      &logged_pages_);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr);
  if (!created_) return {};
  // The names of a new database must last as long as what is in it.
  if (auto synced = sync_directory(directory_); !synced) return synced;
  // So must the directory's own, as far as we may read what it lies in.
  (void)sync_directory(directory_ + "/..");
  return {};
}

void SqliteJournal::disconnect() {
  sqlite3_close_v2(std::exchange(db_, nullptr));
  if (writable_ || had_log_) return;
  // Reading may have made an empty log.
  const std::string log = path_ + "-wal";
  if (const auto size = file_size(log); size && *size == std::uint64_t{0}) std::remove(log.c_str());
}

// ---- reading -----------------------------------------------------------------------------------

Result<std::vector<JobRecord>> SqliteJournal::load() {
  const std::lock_guard lock(db_mutex_);
  auto records = read(Documents::load);
  if (!records) return records;
  documents_.clear();
  for (const JobRecord& record : *records) {
    std::vector<Document>& documents = documents_[record.id];
    for (const FileRecord& file : record.files) documents.push_back(file.metainfo);
  }
  return records;
}

Result<std::vector<JobRecord>> SqliteJournal::read(Documents documents) {
  std::vector<JobRecord> records;
  Statement query(db_, "SELECT id, sequence, record FROM job ORDER BY sequence, id");
  int code = query.step();
  for (; code == SQLITE_ROW; code = query.step()) {
    auto record = read_record(query);
    if (!record) return tl::unexpected(std::move(record.error()));
    records.push_back(std::move(*record));
  }
  if (code != SQLITE_DONE) return tl::unexpected(failure("read", code));
  if (auto read = read_manifests(records, documents); !read) {
    return tl::unexpected(std::move(read.error()));
  }
  return records;
}

Result<JobRecord> SqliteJournal::read_record(Statement& row) const {
  const std::vector<std::uint8_t> id = row.blob(0);
  JobId key;
  if (id.size() != key.bytes.size()) {
    return tl::unexpected(damage("there is a job whose identifier is not 16 bytes long"));
  }
  std::copy(id.begin(), id.end(), key.bytes.begin());
  const std::string job = "job " + to_string(key) + ": ";
  auto record = decode(row.blob(2));
  if (!record) return tl::unexpected(damage(job + record.error().message));
  if (record->id != key) return tl::unexpected(damage(job + "the record is another job's"));
  if (static_cast<std::int64_t>(record->order) != row.integer(1)) {
    return tl::unexpected(damage(job + "the record has another place in the order"));
  }
  return record;
}

Result<void> SqliteJournal::read_manifests(std::vector<JobRecord>& records, Documents documents) {
  std::map<JobId, JobRecord*> by_id;
  for (JobRecord& record : records) by_id.emplace(record.id, &record);
  Statement query(db_, documents == Documents::load
                           ? "SELECT job, file, length(document), document FROM manifest"
                           : "SELECT job, file, length(document) FROM manifest");
  int code = query.step();
  for (; code == SQLITE_ROW; code = query.step()) {
    const std::vector<std::uint8_t> id = query.blob(0);
    JobId key;
    std::copy_n(id.begin(), std::min(id.size(), key.bytes.size()), key.bytes.begin());
    const auto job = by_id.find(key);
    if (job == by_id.end() || id.size() != key.bytes.size()) {
      return tl::unexpected(damage("there is a manifest of no job"));
    }
    const std::int64_t file = query.integer(1);
    const std::string where = "job " + to_string(key) + ": file " + std::to_string(file) + ": ";
    JobRecord& record = *job->second;
    if (file < 0 || static_cast<std::size_t>(file) >= record.files.size()) {
      return tl::unexpected(damage(where + "there is a manifest and no such file"));
    }
    if (!is_manifest_size(static_cast<std::size_t>(query.integer(2)))) {
      return tl::unexpected(
          damage(where + "the manifest is " + std::to_string(query.integer(2)) + " bytes long"));
    }
    if (documents == Documents::check) continue;
    record.files[static_cast<std::size_t>(file)].metainfo =
        std::make_shared<const std::vector<std::uint8_t>>(query.blob(3));
  }
  if (code != SQLITE_DONE) return tl::unexpected(failure("read", code));
  return {};
}

// ---- writing -----------------------------------------------------------------------------------

void SqliteJournal::save(const JobRecord& record, Saved saved) {
  enqueue({record.id, record, std::move(saved)});
}

void SqliteJournal::remove(const JobId& id, Saved saved) {
  enqueue({id, std::nullopt, std::move(saved)});
}

void SqliteJournal::enqueue(Change change) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() < options_.waiting_max) {
      waiting_.push_back(std::move(change));
      wake_.notify_one();
      return;
    }
  }
  if (!change.saved) return;
  change.saved(fail(ErrorCode::disk_io, "too many changes wait for the job database " + path_ +
                                            ": its disk does not keep up; try again later"));
}

void SqliteJournal::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    Changes changes = std::exchange(waiting_, {});
    lock.unlock();
    write(changes);
    for (Change& change : changes) {
      if (change.saved) change.saved(std::move(change.result));
    }
    changes.clear();
    check_point();
    lock.lock();
  }
}

// Of each job only the newest sound record is written; the others share its result.
void SqliteJournal::write(Changes& changes) {
  try {
    std::map<JobId, Change*> newest;
    std::vector<Change*> chosen;
    for (auto change = changes.rbegin(); change != changes.rend(); ++change) {
      if (change->record) change->result = check(*change->record);
      if (!change->result || newest.contains(change->id)) continue;
      if (change->record) change->encoded = encode(*change->record);
      if (change->encoded.size() > kRecordBytesMax) {
        change->result = fail(
            ErrorCode::invalid_argument,
            "the record of the job takes " + std::to_string(kRecordBytesMax) + " bytes and more");
        continue;
      }
      newest.emplace(change->id, &*change);
      chosen.push_back(&*change);
    }
    std::ranges::reverse(chosen);
    commit_or_answer(chosen);
    for (Change& change : changes) {
      if (change.result) change.result = newest.at(change.id)->result;
    }
  } catch (const std::exception& e) {
    const auto failed =
        fail(ErrorCode::internal, "cannot write the job database " + path_ + ": " + e.what());
    for (Change& change : changes) change.result = failed;
    // What is on disk may not be what it says.
    const std::lock_guard lock(db_mutex_);
    documents_.clear();
  }
}

// Sets Change::result.
void SqliteJournal::commit_or_answer(const std::vector<Change*>& changes) {
  if (changes.empty()) return;
  const Result<void> together = commit(changes);
  if (together || together.error().code != ErrorCode::disk_full) {
    for (Change* change : changes) change->result = together;
    return;
  }
  // What does not fit must not keep the others out, nor fill the disk with its part of the log.
  {
    const std::lock_guard lock(db_mutex_);
    sqlite3_wal_checkpoint_v2(db_, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  }
  for (Change* change : changes) change->result = commit({change});
}

// Nobody waits for it, but for who comes meanwhile. What it cannot do now it does the next time.
void SqliteJournal::check_point() {
  const std::lock_guard lock(db_mutex_);
  if (logged_pages_ < kCheckpointPages) return;
  sqlite3_wal_checkpoint_v2(db_, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
}

Result<void> SqliteJournal::commit(const std::vector<Change*>& changes) {
  const std::lock_guard lock(db_mutex_);
  write_through(path_ + "-wal", kLogBytes);  // does nothing but the first time
  const Rollback rollback(db_);
  int code = execute(db_, "BEGIN IMMEDIATE");
  for (const Change* change : changes) {
    if (is_done(code)) code = write_change(*change);
  }
  if (is_done(code)) code = execute(db_, "COMMIT");
  if (!is_done(code)) return tl::unexpected(failure("write", code));
  for (const Change* change : changes) {
    if (!change->record || change->record->purged) {
      documents_.erase(change->id);
      continue;
    }
    std::vector<Document>& documents = documents_[change->id];
    documents.clear();
    for (const FileRecord& file : change->record->files) documents.push_back(file.metainfo);
  }
  return {};
}

int SqliteJournal::write_change(const Change& change) {
  const auto& id = change.id.bytes;
  if (!change.record) {
    Statement erase(db_, "DELETE FROM job WHERE id=?1");
    if (const int code = erase.bind(id.data(), id.size()).step(); !is_done(code)) return code;
  } else {
    Statement upsert(db_,
                     "INSERT INTO job(id, sequence, record) VALUES(?1, ?2, ?3)"
                     " ON CONFLICT(id) DO UPDATE SET sequence=excluded.sequence,"
                     " record=excluded.record");
    const int code = upsert.bind(id.data(), id.size())
                         .bind(static_cast<std::int64_t>(change.record->order))
                         .bind(change.encoded.data(), change.encoded.size())
                         .step();
    if (!is_done(code)) return code;
  }
  return write_manifests(change);
}

int SqliteJournal::write_manifests(const Change& change) {
  const auto& id = change.id.bytes;
  const auto known = documents_.find(change.id);
  const bool none = !change.record || change.record->purged;
  if (none || known == documents_.end()) {
    Statement erase(db_, "DELETE FROM manifest WHERE job=?1");
    if (const int code = erase.bind(id.data(), id.size()).step(); !is_done(code)) return code;
  }
  if (none) return SQLITE_DONE;
  const std::vector<Document> on_disk =
      known == documents_.end() ? std::vector<Document>{} : known->second;
  const std::vector<FileRecord>& files = change.record->files;
  for (std::size_t i = 0; i < std::max(files.size(), on_disk.size()); ++i) {
    const Document was = i < on_disk.size() ? on_disk[i] : nullptr;
    const Document now = i < files.size() ? files[i].metainfo : nullptr;
    if (was == now) continue;
    Statement put(db_, now ? "INSERT OR REPLACE INTO manifest(job, file, document)"
                             " VALUES(?1, ?2, ?3)"
                           : "DELETE FROM manifest WHERE job=?1 AND file=?2");
    put.bind(id.data(), id.size()).bind(static_cast<std::int64_t>(i));
    if (now) put.bind(now->data(), now->size());
    if (const int code = put.step(); !is_done(code)) return code;
  }
  return SQLITE_DONE;
}

// ---- errors ------------------------------------------------------------------------------------

Error SqliteJournal::failure(const std::string& what, int code) const {
  Error error = sqlite_error(db_, code, what + " the job database " + path_);
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR:  // a statement of ours does not fit the tables
      return damage(sqlite3_errmsg(db_));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {ErrorCode::in_use, error.message + "; close the other program that has it open"};
    default:
      return error;
  }
}

Error SqliteJournal::damage(const std::string& what) const {
  return {ErrorCode::state_damaged, "the job database " + path_ + " is damaged: " + what +
                                        "; it was left as it is: move it away to begin with no "
                                        "jobs, or use another state directory"};
}

}  // namespace lanward::store
