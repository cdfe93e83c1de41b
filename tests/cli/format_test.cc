#include "api/cli/format.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace lanward::cli {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

Progress half_done() {
  Progress progress;
  progress.total_known = true;
  progress.total_bytes = 1024 * kMiB;
  progress.verified_bytes = 512 * kMiB;
  progress.origin_bytes = 128 * kMiB;
  progress.peer_bytes = 384 * kMiB;
  progress.rate_bytes_per_s = 100 * kMiB;
  progress.peers_connected = 3;
  return progress;
}

TEST(Format, BytesTakeTheUnitThatReadsBest) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.0 KiB");
  EXPECT_EQ(format_bytes(1536 * 1024), "1.5 MiB");
  EXPECT_EQ(format_bytes(kMiB - 1), "1.0 MiB");
  EXPECT_EQ(format_bytes(std::numeric_limits<std::uint64_t>::max()), "16.0 EiB");
}

TEST(Format, TimesGrowWithTheirLength) {
  EXPECT_EQ(format_clock(std::chrono::seconds{5}), "0:05");
  EXPECT_EQ(format_clock(std::chrono::seconds{3723}), "1:02:03");
  EXPECT_EQ(format_elapsed(std::chrono::milliseconds{9340}), "9.3 s");
  EXPECT_EQ(format_elapsed(std::chrono::milliseconds{59960}), "1:00");
}

TEST(Format, AHundredPercentMeansAll) {
  EXPECT_EQ(percent(999'999, 1'000'000), 99u);
  EXPECT_EQ(percent(1'000'000, 1'000'000), 100u);
  EXPECT_EQ(percent(std::numeric_limits<std::uint64_t>::max() - 1,
                    std::numeric_limits<std::uint64_t>::max()),
            99u);
  EXPECT_EQ(percent(5, 0), 0u);
}

TEST(ProgressLine, ShowsEverythingOnAWideTerminal) {
  EXPECT_EQ(progress_line(half_done(), JobState::transferring, 110),
            "[##############..............]   50%  512.0 MiB of 1.0 GiB  100.0 MiB/s  ETA 0:06  "
            "75% from peers  3 peers");
}

TEST(ProgressLine, GivesUpTheLeastImportantFirst) {
  const Progress progress = half_done();
  EXPECT_EQ(progress_line(progress, JobState::transferring, 60),
            " 50%  512.0 MiB of 1.0 GiB  100.0 MiB/s  ETA 0:06");
  EXPECT_EQ(progress_line(progress, JobState::transferring, 30), " 50%  512.0 MiB of 1.0 GiB");
  EXPECT_EQ(progress_line(progress, JobState::transferring, 3), " 50");
}

TEST(ProgressLine, NeverExceedsTheWidth) {
  for (std::size_t width = 0; width < 200; ++width) {
    for (JobState state :
         {JobState::connecting, JobState::transferring, JobState::transient_error}) {
      EXPECT_LE(progress_line(half_done(), state, width).size(), width);
      EXPECT_LE(progress_line(Progress{}, state, width).size(), width);
    }
  }
}

TEST(ProgressLine, SaysWhatItKnowsOfAFileOfUnknownSize) {
  Progress progress;
  progress.verified_bytes = 3 * kMiB;
  progress.rate_bytes_per_s = kMiB;
  EXPECT_EQ(progress_line(progress, JobState::transferring, 100),
            "3.0 MiB  1.0 MiB/s  0% from peers  0 peers");
}

TEST(ProgressLine, HasNoEtaWhileNothingMoves) {
  Progress progress = half_done();
  progress.rate_bytes_per_s = 0;
  EXPECT_NE(progress_line(progress, JobState::transient_error, 150).find("ETA --:--"),
            std::string::npos);
  EXPECT_NE(progress_line(progress, JobState::transient_error, 150).find("waiting to retry"),
            std::string::npos);
}

}  // namespace
}  // namespace lanward::cli
