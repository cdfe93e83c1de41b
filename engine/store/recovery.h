// What may be believed of a data file when it is opened.
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include <lanward/error.h>

#include "engine/core/content.h"
#include "engine/core/piece_set.h"
#include "engine/store/data_file.h"
#include "engine/store/index.h"

namespace lanward::store {

struct Belief {
  core::PieceSet verified;
  core::PieceSet durable;   // a subset
  core::PieceSet unproven;  // may be there; count only if their hashes say so
  std::uint64_t inode = 0;  // of the data file
};

// Decides from the record and the state of the file. Within one run of the kernel the page cache
// keeps what a killed process wrote, so `verified` holds; after a restart only `durable` does.
[[nodiscard]] Belief believe(const std::optional<IndexRow>& row, const FileFacts& found,
                             const core::PieceLayout& layout, const std::string& boot);

// Hashes the unproven pieces that are not holes and moves the good ones to `verified`.
// Errors: disk_io; cancelled when `stop` becomes true.
[[nodiscard]] Result<void> prove(Belief& belief, const DataFile& file, const core::Content& content,
                                 const std::atomic<bool>& stop);

[[nodiscard]] core::PieceSet both(const core::PieceSet& a, const core::PieceSet& b);
[[nodiscard]] core::PieceSet every_piece(const core::PieceLayout& layout);

// The hashes of the blocks of a piece, read from the file.
[[nodiscard]] Result<std::vector<core::Digest>> hash_blocks(const DataFile& file,
                                                            core::ByteSpan span);

// Whether the leaves hash to what the manifest says; true if there is none.
[[nodiscard]] bool is_genuine(const core::Content& content, core::PieceIndex piece,
                              const std::vector<core::Digest>& leaves);

// Identifies the present run of the kernel; empty when the system cannot tell.
[[nodiscard]] std::string current_boot_id();

}  // namespace lanward::store
