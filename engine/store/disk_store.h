// The piece cache of one engine: a directory with one sparse data file per content and an index.
//
//   DIRECTORY/lock            held while a store is open; says which process holds it
//   DIRECTORY/index.sqlite    what is verified and durable (WAL)
//   DIRECTORY/data/<id>       the bytes of a content, 64 hexadecimal digits
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include <lanward/error.h>

#include "engine/ports/content_store.h"
#include "engine/store/limits.h"

namespace lanward::store {

class DataFile;
class DirectoryLock;
class DiskContent;
class WorkerPool;
struct Shared;

struct DiskStoreOptions {
  std::string directory;  // created if missing
  unsigned workers = 0;   // threads that hash and write; 0: as many as the machine has cores
  // Identifies the run of the kernel; tests play a restart with it. Empty: asks the kernel.
  std::string boot_id;
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
  void deliver(const std::shared_ptr<ports::ContentStore>& content, std::string destination,
               ports::Delivery how, Done done) override;
  void close(const std::shared_ptr<ports::ContentStore>& content, Done done) override;
  void purge(const std::shared_ptr<ports::ContentStore>& content, Done done) override;

 private:
  DiskStore(DiskStoreOptions options, std::shared_ptr<Shared> shared,
            std::unique_ptr<DirectoryLock> lock);

  [[nodiscard]] std::string data_path(const core::Digest& id) const;
  [[nodiscard]] Result<std::shared_ptr<ports::ContentStore>> open_now(const core::Content& content,
                                                                      ports::FactSink facts);
  [[nodiscard]] Result<void> deliver_now(DiskContent& content, const std::string& destination,
                                         ports::Delivery how);
  [[nodiscard]] Result<void> share_now(DiskContent& content, DataFile& file,
                                       const std::string& destination);
  [[nodiscard]] Result<void> close_now(DiskContent& content);
  [[nodiscard]] Result<void> purge_now(DiskContent& content);
  [[nodiscard]] Result<void> forget(DiskContent& content);

  // Names are taken while a content is open or being opened.
  [[nodiscard]] bool reserve(const core::Digest& id);
  void release(const core::Digest& id);
  [[nodiscard]] bool flush_contents();

  const DiskStoreOptions options_;
  const std::shared_ptr<Shared> shared_;
  const std::unique_ptr<DirectoryLock> lock_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::map<core::Digest, std::shared_ptr<DiskContent>> contents_;  // null while being opened
  std::unique_ptr<WorkerPool> service_;  // opens, closes, delivers, purges
};

}  // namespace lanward::store
