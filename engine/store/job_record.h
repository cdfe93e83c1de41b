// The record of a job as bytes (job_record.proto), and what a record must keep to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <lanward/error.h>

#include "engine/core/text.h"
#include "engine/core/units.h"
#include "engine/ports/journal.h"

namespace lanward::store {

// What a record may hold: room above every limit of the queue, so that raising a limit does not
// make records unreadable, and small enough that a damaged record cannot exhaust the memory.
//
// A job at the published limits (200 files with 500 ranges each) takes 3 MiB.
inline constexpr std::size_t kRecordBytesMax = 32 * core::kMiB;
inline constexpr std::size_t kRecordFilesMax = 65536;
inline constexpr std::size_t kRecordRangesMax = 65536;  // per file
// Per file, of each kind; far more than a manifest may name.
inline constexpr std::size_t kRecordUrlsMax = 4096;
inline constexpr std::size_t kRecordHeadersMax = 1024;
// Strings, in bytes. A path is as long as the kernel takes it (PATH_MAX), a URL as core allows.
inline constexpr std::size_t kRecordPathBytesMax = 4096;
inline constexpr std::size_t kRecordUrlBytesMax = core::kUrlBytesMax;
inline constexpr std::size_t kRecordNameBytesMax = 1024;    // owner, id of a file
inline constexpr std::size_t kRecordDisplayBytesMax = 256;  // the published limit, as the next
inline constexpr std::size_t kRecordDescriptionBytesMax = 1024;
inline constexpr std::size_t kRecordBypassBytesMax = 32767;            // the published limit
inline constexpr std::size_t kRecordHeaderBytesMax = 16 * core::kKiB;  // together
// Who told a digest: the name of a header field and a URL.
inline constexpr std::size_t kRecordSourceBytesMax = core::kUrlBytesMax + 64;
// A message names files, URLs and the words of a server.
inline constexpr std::size_t kRecordMessageBytesMax = 64 * core::kKiB;
// Points and spans of time, 100 years: with the present added they stay within the nanoseconds of
// the system's clock, which end 292 years after 1970.
inline constexpr std::int64_t kRecordSecondsMax = 100LL * 366 * 24 * 3600;

// Whether FileRecord::metainfo may be so long.
[[nodiscard]] bool is_manifest_size(std::size_t bytes);

// Whether decode(encode(record)) would give the record back: every count, string, number and state
// is one that ports::JobRecord allows, and none contradicts another. invalid_argument with what is
// wrong ("file 3: the ranges overlap").
[[nodiscard]] Result<void> check(const ports::JobRecord& record);

// Everything but FileRecord::metainfo. Points in time are cut to microseconds.
// REQUIRES: check(record).
[[nodiscard]] std::string encode(const ports::JobRecord& record);

// The inverse; what it accepts passes check(). Errors: state_damaged with what is wrong.
[[nodiscard]] Result<ports::JobRecord> decode(std::span<const std::uint8_t> bytes);

}  // namespace lanward::store
