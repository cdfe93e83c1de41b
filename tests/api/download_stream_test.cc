// Downloads whose bytes go to a stream.
#include <lanward/download.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "tests/api/download_fixture.h"

namespace lanward::test {
namespace {

TEST_F(DownloadTest, AStreamExcludesAPathAndASecondStream) {
  Download download = create();
  EXPECT_EQ(download.set_sink({}).error().code, ErrorCode::invalid_argument);
  ASSERT_TRUE(download.set_sink(watch_.sink()));
  EXPECT_EQ(download.set_sink(watch_.sink()).error().code, ErrorCode::sink_already_set);
  EXPECT_EQ(download.set(P::LocalPath, directory_.path("out")).error().code,
            ErrorCode::sink_already_set);
  EXPECT_EQ(download.set(P::NonVolatile, true).error().code, ErrorCode::unsupported);
}

TEST_F(DownloadTest, AStreamGetsTheBytesInOrderAndLeavesNothing) {
  Download download = create();
  ASSERT_TRUE(download.set_sink(watch_.sink()));
  ASSERT_TRUE(download.set(P::BlockingMode, true));
  ASSERT_TRUE(download.start());
  EXPECT_EQ(watch_.taken(), *content_);
  EXPECT_EQ(download.status()->bytes_transferred, kSize);
  ASSERT_TRUE(download.finalize());
  EXPECT_EQ(download.status()->state, DownloadState::finalized);
  EXPECT_TRUE(engine_->jobs().empty());
  engine_->close();
  EXPECT_EQ(cached_files(), 0U);
}

TEST_F(DownloadTest, AStreamGetsTheBytesOfItsRanges) {
  Download download = create();
  ASSERT_TRUE(download.set_sink(watch_.sink()));
  ASSERT_TRUE(download.set(P::BlockingMode, true));
  ASSERT_TRUE(download.start({{.offset = 3, .length = 5}, {.offset = 1'000'000}}));
  std::string expected = content_->substr(3, 5) + content_->substr(1'000'000);
  EXPECT_EQ(watch_.taken(), expected);
  ASSERT_TRUE(download.start({{.offset = 100, .length = 50}}));
  expected += content_->substr(100, 50);
  EXPECT_EQ(watch_.taken(), expected);
}

TEST_F(DownloadTest, AnEmptyFileIsAStreamWithoutBytes) {
  origin_.serve("/empty", std::make_shared<const std::string>(), "\"e\"");
  Download download = create();
  ASSERT_TRUE(download.set(P::Uri, origin_.url("/empty")));
  ASSERT_TRUE(download.set_sink(watch_.sink()));
  ASSERT_TRUE(download.set(P::BlockingMode, true));
  const auto started = download.start();
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_EQ(watch_.calls(), 0);
  EXPECT_TRUE(download.finalize());
}

TEST_F(DownloadTest, AStreamStopsWhenTheSinkFailsAndGoesOnWhereItStood) {
  Download download = create();
  ASSERT_TRUE(download.set_sink(watch_.sink(kSize / 2)));
  ASSERT_TRUE(download.set(P::BlockingMode, true));
  const auto started = download.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::disk_full);
  EXPECT_EQ(download.status()->state, DownloadState::paused);
  EXPECT_EQ(download.status()->error->message, "the sink is full");
  EXPECT_EQ(download.finalize().error().code, ErrorCode::invalid_state);
  EXPECT_LT(watch_.taken().size(), kSize);
  ASSERT_TRUE(download.start());
  EXPECT_EQ(watch_.taken(), *content_);
}

TEST_F(DownloadTest, APausedStreamIsNotFed) {
  std::mutex mutex;
  std::condition_variable changed;
  bool entered = false;
  bool leave = false;
  Download download = create();
  const StreamSink counting = watch_.sink();
  ASSERT_TRUE(download.set_sink([&](std::span<const std::byte> bytes) {
    std::unique_lock lock(mutex);
    entered = true;
    changed.notify_all();
    changed.wait(lock, [&] { return leave; });
    return counting(bytes);
  }));
  ASSERT_TRUE(download.start());
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, kDeadline, [&] { return entered; }));
  }
  auto paused = std::async(std::launch::async, [&] { return download.pause(); });
  {
    const std::lock_guard lock(mutex);
    leave = true;
    changed.notify_all();
  }
  ASSERT_TRUE(paused.get());
  const std::string before = watch_.taken();
  const auto status = download.status();
  EXPECT_EQ(status->bytes_transferred, before.size());
  if (status->state == DownloadState::paused) {
    EXPECT_LT(before.size(), kSize);
  }
  ASSERT_TRUE(download.set(P::BlockingMode, true));
  EXPECT_EQ(watch_.taken(), before);
  const auto started = download.start();
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_EQ(watch_.taken(), *content_);
}

TEST_F(DownloadTest, AStreamEndsWithItsLastHandle) {
  hold_ranges();
  {
    Download download = create();
    ASSERT_TRUE(download.set_sink(watch_.sink()));
    ASSERT_TRUE(download.start());
    EXPECT_EQ(engine_->jobs().size(), 1U);
  }
  EXPECT_TRUE(engine_->jobs().empty());
  origin_.release();
}

TEST_F(DownloadTest, ProgressIsToldAsOftenAsAskedFor) {
  // So many bytes that the sink's thread looks up several times on the way.
  const std::size_t size = 20 * 1024 * 1024;
  origin_.serve("/large", make_content(size, 2), "\"l\"");
  for (const std::uint32_t percent : {1U, 50U}) {
    Watch watch;
    Download download = create();
    ASSERT_TRUE(download.set(P::Uri, origin_.url("/large")));
    ASSERT_TRUE(download.set_sink(watch.sink()));
    ASSERT_TRUE(download.set_callback(watch.callback()));
    ASSERT_TRUE(download.set(P::CallbackFreqPercent, percent));
    ASSERT_TRUE(download.start());
    ASSERT_TRUE(watch.wait_for(DownloadState::transferred));
    const auto told = watch.told();
    std::size_t progress = 0;
    for (std::size_t i = 1; i < told.size(); ++i) {
      if (told[i].state != told[i - 1].state) continue;
      ++progress;
      const std::uint64_t more = told[i].bytes_transferred - told[i - 1].bytes_transferred;
      EXPECT_GE(more, size / 100 * percent);
    }
    EXPECT_LE(progress, 100 / percent);
    if (percent == 1) {
      EXPECT_GE(progress, 3U);
    }
  }
}

}  // namespace
}  // namespace lanward::test
