// The tables of the cache index and how older ones become them.
#pragma once

#include <cstdint>
#include <vector>

struct sqlite3;

namespace lanward::store {

inline constexpr int kIndexVersion = 3;

// Makes the tables in an empty database, or turns those of an earlier version into those of today,
// in one transaction: whoever opens it next finds the one or the other. Returns SQLite's code.
[[nodiscard]] int create_index_schema(sqlite3* db);
[[nodiscard]] int migrate_index_schema(sqlite3* db, int from);

// Bitmaps are stored with the least significant byte first, whatever the machine does.
[[nodiscard]] std::vector<std::uint8_t> to_bytes(const std::vector<std::uint64_t>& words);
[[nodiscard]] std::vector<std::uint64_t> to_words(const std::vector<std::uint8_t>& bytes);

// How many bytes the pieces of the bitmap have; 0 if size and piece size make no sense.
[[nodiscard]] std::uint64_t bytes_of(const std::vector<std::uint64_t>& words, std::uint64_t size,
                                     std::uint32_t piece_bytes);

}  // namespace lanward::store
