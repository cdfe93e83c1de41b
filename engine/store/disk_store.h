// The piece cache of one engine: a directory with one sparse data file per content and an index.
//
//   DIRECTORY/lock            held while a store is open; says which process holds it
//   DIRECTORY/index.sqlite    what is verified and durable (WAL)
//   DIRECTORY/data/<id>       the bytes of a content, 64 hexadecimal digits
//   DIRECTORY/data/<id>.torrent  its manifest
//   DIRECTORY/spool/<n>       files of unknown length while they are fetched; emptied at opening
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <lanward/error.h>

#include "engine/ports/cache_admin.h"
#include "engine/ports/content_store.h"
#include "engine/store/limits.h"

namespace lanward::store {

class DataFile;
class DirectoryLock;
class DiskContent;
class DiskSpool;
class Keeper;
class WorkerPool;
struct Shared;
struct Target;

// No limit, and nothing is checked in the background.
[[nodiscard]] inline CachePolicy unlimited() {
  CachePolicy policy;
  policy.max_percent = 0;
  policy.max_age = policy.check_interval = std::chrono::seconds{0};
  return policy;
}

struct DiskStoreOptions {
  std::string directory;             // created if missing
  CachePolicy policy = unlimited();  // checked
  // Of the transfers of one process, removed after them: no index is made before there is something
  // to keep, no manifests are kept, and after a crash find_delivered() may not know of a delivery.
  bool working_directory = false;
  unsigned workers = 0;  // threads that hash and write; 0: as many as the machine has cores
  // Identifies the run of the kernel; tests play a restart with it. Empty: asks the kernel.
  std::string boot_id;
  // Copies deliveries to named temporary files even where the file system has unnamed ones; tests
  // play one that has none.
  bool named_temporaries = false;
  std::chrono::milliseconds commit_interval = kCommitInterval;
  std::chrono::milliseconds sync_interval = kSyncInterval;
};

class DiskStore final : public ports::PieceStore {
 public:
  // Errors: in_use (another process owns the directory), unsupported (the index is of a later
  // version), disk_full, disk_io.
  [[nodiscard]] static Result<std::unique_ptr<DiskStore>> open(DiskStoreOptions options);

  DiskStore(const DiskStore&) = delete;
  DiskStore& operator=(const DiskStore&) = delete;
  // Finishes what has been asked for and closes every content; a check of old data in progress is
  // stopped (its open() fails with cancelled). Not from inside a completion.
  ~DiskStore() override;

  // ports::PieceStore
  void open(const core::Content& content, ports::FactSink facts, Opened done) override;
  void open_with(const core::Content& content, ports::OpenHints hints, ports::FactSink facts,
                 Opened done) override;
  void refer(const core::Digest& content, const JobId& job, bool refers) override;
  [[nodiscard]] Result<std::shared_ptr<ports::Spool>> spool() override;
  void adopt(std::shared_ptr<ports::Spool> spool, const core::Content& content, Done done) override;
  void list_lendable(std::size_t max, std::set<core::Digest> skip,
                     ports::MoveFunction<void(std::vector<core::Manifest>)> done) override;
  void lend(const core::Content& content, ports::FactSink facts, Opened done) override;
  void deliver(const std::shared_ptr<ports::ContentStore>& content, ports::DeliveryOrder order,
               Done done) override;
  void find_delivered(std::string destination, const core::Digest& id,
                      ports::MoveFunction<void(bool)> done) override;
  void sweep(std::string destination, const core::Digest& id, Done done) override;
  void close(const std::shared_ptr<ports::ContentStore>& content, Done done) override;
  void purge(const std::shared_ptr<ports::ContentStore>& content, Done done) override;
  void forget(const core::Digest& id, Done done) override;

  // Makes the threads beforehand that the first content would wait for.
  void prepare();
  // Every job has told its references: from now on the cache is kept within its policy in the
  // background.
  void start_keeping();
  // Makes records for data files of which there is none, if the index had to be made anew.
  [[nodiscard]] Result<void> adopt_data_files();
  // What the administrator may do; not beyond the life of the store.
  [[nodiscard]] std::shared_ptr<ports::CacheAdmin> admin();

 private:
  DiskStore(DiskStoreOptions options, std::shared_ptr<Shared> shared,
            std::unique_ptr<DirectoryLock> lock);

  [[nodiscard]] Error in_use_error(const core::Digest& id) const;
  [[nodiscard]] Result<std::shared_ptr<ports::ContentStore>> open_now(const core::Content& content,
                                                                      const ports::OpenHints& hints,
                                                                      ports::FactSink facts);
  [[nodiscard]] Result<std::shared_ptr<ports::ContentStore>> open_past_cache(
      const core::Content& content, const ports::OpenHints& hints, const ports::FactSink& facts);
  [[nodiscard]] Result<std::shared_ptr<DiskContent>> open_in_cache(const core::Content& content,
                                                                   const ports::OpenHints& hints,
                                                                   const ports::FactSink& facts);
  [[nodiscard]] Result<std::shared_ptr<DiskContent>> open_beside(const core::Content& content,
                                                                 const std::string& path,
                                                                 const std::string& why,
                                                                 const ports::FactSink& facts);
  [[nodiscard]] Result<std::shared_ptr<DiskContent>> open_file(const core::Content& content,
                                                               const std::string& path,
                                                               const std::string& note,
                                                               const ports::FactSink& facts);
  [[nodiscard]] Result<std::shared_ptr<ports::ContentStore>> lend_now(const core::Content& content,
                                                                      ports::FactSink facts);
  void describe(const core::Content& content, const ports::OpenHints& hints);
  void recall_sharing(DiskContent& content, bool share);
  [[nodiscard]] Result<void> adopt_now(DiskSpool& spool, const core::Content& content);
  [[nodiscard]] Result<void> record_adopted(const std::string& path, const core::Content& content);
  [[nodiscard]] Result<void> deliver_now(DiskContent& content, const Target& target,
                                         ports::Delivery how,
                                         const std::vector<core::ByteSpan>& parts);
  [[nodiscard]] Result<void> give_away(DiskContent& content, DataFile& file, const Target& target,
                                       ports::Delivery how);
  void settle(DiskContent& content, ports::Delivery how);
  void let_go(DiskContent& content, bool moved);
  [[nodiscard]] bool is_delivered(const std::string& destination, const core::Digest& id);
  [[nodiscard]] Result<void> close_now(DiskContent& content);
  [[nodiscard]] Result<void> purge_now(DiskContent& content);
  [[nodiscard]] Result<void> drop(DiskContent& content);
  [[nodiscard]] Result<void> erase(const core::Digest& id);

  // Runs `use(taken)` on a service thread, once the content is free of the caretaker; with false if
  // another transfer has it.
  void with_name(const core::Digest& id, ports::MoveFunction<void(bool)> use);
  [[nodiscard]] bool flush_contents();
  void write_back();

  const DiskStoreOptions options_;
  const std::shared_ptr<Shared> shared_;
  const std::unique_ptr<DirectoryLock> lock_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> spools_{0};  // made so far
  const std::unique_ptr<Keeper> keeper_;
  std::unique_ptr<WorkerPool> service_;  // opens, closes, delivers, purges
};

// The cache of a directory that no engine has open, or, `read_only`, that one may have open.
// Errors: in_use, not_found (read_only), unsupported, invalid_argument, disk_full, disk_io.
[[nodiscard]] Result<std::shared_ptr<ports::CacheAdmin>> open_cache(const CacheOptions& options);

}  // namespace lanward::store
