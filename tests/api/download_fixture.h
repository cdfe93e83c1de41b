// The download of the tests: an engine, an origin that does as it is told, and what was seen.
#pragma once

#include <lanward/download.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/fault_origin.h"
#include "tests/support/temporary_directory.h"

namespace lanward::test {

using namespace std::chrono_literals;
using P = DownloadProperty;

// Far above what any step takes; only a hang runs into it.
inline constexpr auto kDeadline = 30s;
inline constexpr std::size_t kSize = 3 * 1024 * 1024 + 5;

// What a sink or a callback has seen.
class Watch {
 public:
  DownloadCallback callback() {
    return [this](const DownloadStatus& status) {
      const std::lock_guard lock(mutex_);
      told_.push_back(status);
      changed_.notify_all();
    };
  }
  // Fails once, when it is to take the byte at `fail_at`.
  StreamSink sink(std::optional<std::size_t> fail_at = {}) {
    return [this, fail_at](std::span<const std::byte> bytes) -> Result<void> {
      const std::lock_guard lock(mutex_);
      ++calls_;
      changed_.notify_all();
      if (fail_at && !failed_ && taken_.size() + bytes.size() > *fail_at) {
        failed_ = true;
        return fail(ErrorCode::disk_full, "the sink is full");
      }
      taken_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return {};
    };
  }
  bool wait_for(DownloadState state) {
    return wait([&] { return !told_.empty() && told_.back().state == state; });
  }
  template <class Condition>
  bool wait(Condition condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kDeadline, condition);
  }
  std::string taken() {
    const std::lock_guard lock(mutex_);
    return taken_;
  }
  std::vector<DownloadStatus> told() {
    const std::lock_guard lock(mutex_);
    return told_;
  }
  int calls() {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<DownloadStatus> told_;
  std::string taken_;
  int calls_ = 0;
  bool failed_ = false;
};

class DownloadTest : public ::testing::Test {
 protected:
  DownloadTest() : content_(make_content(kSize)) {
    origin_.serve("/file", content_, "\"v1\"");
    engine_.emplace(open());
  }
  Engine open() {
    auto engine = Engine::open({.state_directory = directory_.path("state"),
                                .peers_enabled = false,
                                .progress_interval = 10ms});
    if (!engine) throw std::runtime_error(engine.error().message);
    return std::move(*engine);
  }
  Download create() {
    auto download = Download::create(*engine_);
    EXPECT_TRUE(download);
    EXPECT_TRUE(download->set(P::Uri, origin_.url("/file")));
    return std::move(*download);
  }
  Download to_file(const std::string& name = "out") {
    Download download = create();
    EXPECT_TRUE(download.set(P::LocalPath, directory_.path(name)));
    return download;
  }
  Download watched(const std::string& name = "out") {
    Download download = to_file(name);
    EXPECT_TRUE(download.set_callback(watch_.callback()));
    return download;
  }
  // The probe is answered, every range stays half done until the origin is released.
  void hold_ranges() {
    origin_.route("/file", [this](const FaultRequest& asked) {
      FaultReply reply = honest_reply(asked, content_, "\"v1\"");
      if (reply.body_size > 1) {
        reply.stop_after = reply.body_size / 2;
        reply.then = FaultReply::Then::hold;
      }
      return reply;
    });
  }
  std::string read(const std::string& name) {
    std::ifstream file(directory_.path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  bool exists(const std::string& name) { return std::filesystem::exists(directory_.path(name)); }
  std::size_t cached_files() {
    std::size_t count = 0;
    const std::string data = directory_.path("state") + "/cache/data";
    for (const auto& entry : std::filesystem::recursive_directory_iterator(data)) {
      count += entry.is_regular_file() ? 1U : 0U;
    }
    return count;
  }

  support::TemporaryDirectory directory_;
  Content content_;
  Watch watch_;
  FaultOrigin origin_;
  std::optional<Engine> engine_;
};

inline std::string text(const Download& download, P property) {
  const auto value = download.get(property);
  return value ? std::get<std::string>(*value) : "error " + value.error().message;
}

}  // namespace lanward::test
