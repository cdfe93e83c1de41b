// Numbers and progress as a person reads them. ASCII only, so that width is size().
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include <lanward/types.h>

namespace lanward::cli {

// "512 B", "1.5 MiB".
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);
// "112.4 MiB/s".
[[nodiscard]] std::string format_rate(std::uint64_t bytes_per_s);
// "0:05", "12:34", "1:02:03".
[[nodiscard]] std::string format_clock(std::chrono::seconds time);
// "9.3 s" below a minute, then as format_clock.
[[nodiscard]] std::string format_elapsed(std::chrono::milliseconds time);
// Whole percent, rounded down: 100 means all. 0 when whole is 0.
[[nodiscard]] unsigned percent(std::uint64_t part, std::uint64_t whole);

// One line about a running job, at most `width` characters: the less important parts are left out
// of a narrow one.
[[nodiscard]] std::string progress_line(const Progress& progress, JobState state,
                                        std::size_t width);

}  // namespace lanward::cli
