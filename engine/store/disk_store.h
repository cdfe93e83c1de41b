// The piece cache of one engine: a directory with one sparse data file per content and an index.
//
//   DIRECTORY/lock            held while a store is open; says which process holds it
//   DIRECTORY/index.sqlite    what is verified and durable (WAL)
//   DIRECTORY/data/<id>       the bytes of a content, 64 hexadecimal digits
//   DIRECTORY/spool/<n>       files of unknown length while they are fetched; emptied at opening
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <lanward/error.h>

#include "engine/ports/content_store.h"
#include "engine/store/limits.h"

namespace lanward::store {

class DataFile;
class DirectoryLock;
class DiskContent;
class DiskSpool;
class WorkerPool;
struct Shared;
struct Target;

struct DiskStoreOptions {
  std::string directory;  // created if missing
  unsigned workers = 0;   // threads that hash and write; 0: as many as the machine has cores
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
  [[nodiscard]] Result<std::shared_ptr<ports::Spool>> spool() override;
  void adopt(std::shared_ptr<ports::Spool> spool, const core::Content& content, Done done) override;
  void deliver(const std::shared_ptr<ports::ContentStore>& content, ports::DeliveryOrder order,
               Done done) override;
  void sweep(std::string destination, const core::Digest& id, Done done) override;
  void close(const std::shared_ptr<ports::ContentStore>& content, Done done) override;
  void purge(const std::shared_ptr<ports::ContentStore>& content, Done done) override;
  void forget(const core::Digest& id, Done done) override;

 private:
  DiskStore(DiskStoreOptions options, std::shared_ptr<Shared> shared,
            std::unique_ptr<DirectoryLock> lock);

  [[nodiscard]] Error in_use_error(const core::Digest& id) const;
  [[nodiscard]] std::string data_path(const core::Digest& id) const;
  [[nodiscard]] Result<std::shared_ptr<ports::ContentStore>> open_now(const core::Content& content,
                                                                      ports::FactSink facts);
  [[nodiscard]] Result<void> adopt_now(DiskSpool& spool, const core::Content& content);
  [[nodiscard]] Result<void> record_adopted(const std::string& path, const core::Content& content);
  [[nodiscard]] Result<void> deliver_now(DiskContent& content, const Target& target,
                                         ports::Delivery how,
                                         const std::vector<core::ByteSpan>& parts);
  [[nodiscard]] Result<void> give_away(DiskContent& content, DataFile& file, const Target& target,
                                       ports::Delivery how);
  void settle(DiskContent& content, ports::Delivery how);
  [[nodiscard]] Result<void> close_now(DiskContent& content);
  [[nodiscard]] Result<void> purge_now(DiskContent& content);
  [[nodiscard]] Result<void> drop(DiskContent& content);
  [[nodiscard]] Result<void> erase(const core::Digest& id);

  // Names are taken while a content is open or being opened.
  [[nodiscard]] bool reserve(const core::Digest& id);
  void release(const core::Digest& id);
  [[nodiscard]] bool flush_contents();

  const DiskStoreOptions options_;
  const std::shared_ptr<Shared> shared_;
  const std::unique_ptr<DirectoryLock> lock_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> spools_{0};  // made so far
  std::mutex mutex_;
  std::map<core::Digest, std::shared_ptr<DiskContent>> contents_;  // null while being opened
  std::unique_ptr<WorkerPool> service_;  // opens, closes, delivers, purges
};

}  // namespace lanward::store
