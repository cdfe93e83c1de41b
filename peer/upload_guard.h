// Decides, as time passes, whether peers may be given anything: by what was given this month and by
// rules about the machine. Counts what is given, and keeps the count across restarts.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include <lanward/error.h>
#include <lanward/types.h>

#include "engine/core/upload_quota.h"
#include "engine/core/upload_rules.h"
#include "peer/machine_facts.h"

namespace lanward::peer {

struct UploadGuardOptions {
  bool upload = true;                 // false: nothing is ever given
  std::uint64_t bytes_per_month = 0;  // 0: no limit
  std::string count_file;             // with a limit: where the count is kept
  SharingRules rules;
  MachinePlaces places;
  // How often the machine is looked at, and the calendar.
  std::chrono::milliseconds interval = std::chrono::seconds{30};
  std::function<std::chrono::sys_seconds()> wall_clock = [] {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  };
};

// Any thread.
class UploadGuard {
 public:
  // Called on the guard's thread whenever may_give() changes, just before.
  using OnChange = std::function<void(bool may_give)>;

  // Has a thread only if there is a limit or a rule. Errors: state_damaged, unsupported,
  // access_denied, disk_io (names the file of the count).
  [[nodiscard]] static Result<std::unique_ptr<UploadGuard>> create(UploadGuardOptions options);
  ~UploadGuard();

  // Once.
  void start(OnChange on_change);
  // Saves the count; nothing is counted or changed any more.
  void stop();

  // May be different at any later time.
  [[nodiscard]] bool may_change() const;
  [[nodiscard]] bool may_give() const { return status().bar == UploadBar::none; }
  [[nodiscard]] UploadStatus status() const;

  // Bytes were given.
  void gave(std::uint64_t bytes);

 private:
  UploadGuard(UploadGuardOptions options, core::UploadCount count);
  void run();
  void collect();  // REQUIRES: mutex_ is held
  void save_if_due(bool at_once);
  void look();
  [[nodiscard]] UploadStatus verdict() const;  // REQUIRES: mutex_ is held
  void settle(std::unique_lock<std::mutex>& lock);
  [[nodiscard]] std::chrono::steady_clock::time_point next_due() const;

  const UploadGuardOptions options_;
  OnChange on_change_;

  std::atomic<std::uint64_t> pending_{0};  // given, not collected yet
  std::atomic<std::uint64_t> alarm_{0};    // so many of them wake the thread

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool woken_ = false;
  bool stopping_ = false;
  core::UploadQuota quota_;
  std::optional<std::string> save_error_;
  core::UploadVerdict machine_;
  UploadStatus status_;
  bool told_ = true;  // what on_change_ was told last
  std::chrono::steady_clock::time_point look_at_;
  std::chrono::steady_clock::time_point save_again_at_;
  std::thread thread_;
};

// A file that is not there: nothing was given. Errors: as UploadGuard::create().
[[nodiscard]] Result<core::UploadCount> read_upload_count(const std::string& path);

}  // namespace lanward::peer
