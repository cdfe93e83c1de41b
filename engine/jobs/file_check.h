// Hashes a whole file in the cache.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <lanward/error.h>

#include "engine/core/digest.h"
#include "engine/core/piece_layout.h"
#include "engine/ports/content_store.h"
#include "engine/ports/loop.h"
#include "engine/ports/task.h"

namespace lanward::jobs {

// Reads on the store's workers, one after the other: a file that is hashed takes one of them at
// most, and gives it back often enough for others to get their turn. Loop thread only.
class FileCheck {
 public:
  using Done = ports::MoveFunction<void(Result<std::vector<std::uint8_t>>)>;

  // `done` is called on the loop, never from inside this, with the digest or with what kept it from
  // being read. Not once this is destroyed. REQUIRES: every piece is verified.
  FileCheck(ports::Loop& loop, std::shared_ptr<ports::ContentStore> store,
            const core::PieceLayout& layout, std::unique_ptr<core::Hasher> hasher, Done done);
  // A read under way ends by itself.
  ~FileCheck();
  FileCheck(const FileCheck&) = delete;
  FileCheck& operator=(const FileCheck&) = delete;

 private:
  struct Run;
  static void work(const std::shared_ptr<Run>& run);

  std::shared_ptr<Run> run_;
};

}  // namespace lanward::jobs
