// A file that grows from front to back until its origin has no more, and then becomes a content.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include <lanward/error.h>

#include "engine/core/digest.h"
#include "engine/ports/content_store.h"
#include "engine/store/limits.h"
#include "engine/store/unique_fd.h"

namespace lanward::store {

// Sinks write and hash on the thread that brings the bytes: a page cache takes them faster than a
// server that sends without a length makes them, and nobody waits for a piece.
class DiskSpool final : public ports::Spool, public std::enable_shared_from_this<DiskSpool> {
 public:
  // Makes the file, which takes up to `bytes_max`; nothing may be at `path`.
  [[nodiscard]] static Result<std::shared_ptr<DiskSpool>> create(
      std::string path, std::uint64_t bytes_max = kSpoolBytesMax);
  DiskSpool(std::string path, std::uint64_t bytes_max, UniqueFd fd)
      : path_(std::move(path)), bytes_max_(bytes_max), fd_(std::move(fd)) {}
  // Removes the file unless it was moved.
  ~DiskSpool() override;

  // ports::Spool
  [[nodiscard]] std::unique_ptr<ports::RangeSink> restart() override;
  [[nodiscard]] Result<Sum> sum() override;

  // Makes the bytes durable and gives the file another name, replacing what has it. Blocks; once.
  // Sinks are closed.
  [[nodiscard]] Result<void> move_to(const std::string& path);

 private:
  class Sink;
  [[nodiscard]] bool write(std::uint64_t turn, std::span<const std::byte> bytes);

  const std::string path_;
  const std::uint64_t bytes_max_;
  const UniqueFd fd_;
  std::mutex mutex_;        // guards what follows
  std::uint64_t turn_ = 0;  // of the sink that may write
  std::uint64_t size_ = 0;
  std::unique_ptr<core::Hasher> hasher_;
  std::optional<Error> failed_;
  bool moved_ = false;
};

}  // namespace lanward::store
