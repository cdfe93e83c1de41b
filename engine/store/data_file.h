// The sparse file that holds the bytes of one content.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include <sys/uio.h>

#include <lanward/error.h>

#include "engine/store/unique_fd.h"

namespace lanward::store {

// What tells one state of a data file from another.
struct FileFacts {
  std::uint64_t size = 0;
  std::uint64_t inode = 0;
  std::int64_t mtime_ns = 0;
  std::uint64_t disk_bytes = 0;  // what it takes: holes do not count
};

// Any thread; concurrent writes are the caller's to order.
class DataFile {
 public:
  // Opens the file, creates it (readable by the owner only) if it is missing.
  [[nodiscard]] static Result<std::shared_ptr<DataFile>> open(std::string path);
  // Opens a file that is there. Errors: not_found.
  [[nodiscard]] static Result<std::shared_ptr<DataFile>> open_existing(std::string path);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int fd() const { return fd_.get(); }

  [[nodiscard]] Result<FileFacts> facts() const;
  [[nodiscard]] Result<void> resize(std::uint64_t size);
  // Writes all of it. Changes the vectors.
  [[nodiscard]] Result<void> write(std::span<iovec> vectors, std::uint64_t offset);
  [[nodiscard]] Result<void> read(std::uint64_t offset, std::span<std::byte> out) const;
  // Reads without waiting for the disk; false when that is not possible.
  [[nodiscard]] bool read_cached(std::uint64_t offset, std::span<std::byte> out) const;
  // First byte at or after `offset` that is not in a hole; the file's end if there is none.
  [[nodiscard]] std::uint64_t next_data(std::uint64_t offset, std::uint64_t size) const;

  // Takes the range out of the file and gives its space free, where the file system can.
  void punch(std::uint64_t offset, std::uint64_t size) const;
  // The next read of the range comes from the disk, as far as the kernel is willing.
  void forget_cached(std::uint64_t offset, std::uint64_t size) const;

  // Starts writing dirty pages back, once those of the last time are on disk: with all of a fast
  // download in the queue of the disk, whoever else has something to write waits long.
  // An error tells of lost pages, once, as that of a sync does.
  [[nodiscard]] Result<void> go_on_writing_back() const;
  // fdatasync: the bytes can be read after a power loss.
  [[nodiscard]] Result<void> sync_data() const;
  // fsync: also the times of the file.
  [[nodiscard]] Result<void> sync_all() const;

  // For a file that others are about to get: it is not written here any more, and from now on
  // check_unchanged() notices when somebody else writes it. Its modification time becomes now. A
  // second call does nothing. One thread at a time; reads may be under way.
  // REQUIRES: every write has been synced, and the file is still at path().
  [[nodiscard]] Result<void> freeze();
  // Fails when the file has been changed since freeze(). Asked after a read, it tells whether the
  // bytes are those of before. Told by size and modification time: that somebody has put back what
  // he found, or wrote through memory on a tmpfs, stays unseen.
  [[nodiscard]] Result<void> check_unchanged() const;

 private:
  DataFile(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  UniqueFd fd_;
  FileFacts frozen_facts_;  // set before frozen_
  std::atomic<bool> frozen_{false};
  mutable std::atomic<bool> always_cached_{false};  // it lies on a file system in memory
};

// Makes the entries of a directory durable.
[[nodiscard]] Result<void> sync_directory(const std::string& path);

}  // namespace lanward::store
