#include "peer/upload_guard.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "peer/small_file.h"

namespace lanward::peer {
namespace {

using Clock = std::chrono::steady_clock;

constexpr mode_t kReadable = 0644;

// How soon a count that could not be saved is tried again.
constexpr Clock::duration kSaveAgain =
    std::chrono::duration_cast<Clock::duration>(core::UploadQuota::kSaveInterval);

core::Instant to_core(Clock::time_point time) { return core::Instant{time.time_since_epoch()}; }

// That a file was replaced survives a crash of the machine, too.
void flush_folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  static_cast<void>(::fsync(fd));
  ::close(fd);
}

std::string first_of_next_month(std::chrono::sys_seconds time) {
  const core::Month next = core::month_of(time) + std::chrono::months{1};
  const auto month = static_cast<unsigned>(next.month());
  return std::to_string(static_cast<int>(next.year())) + (month < 10 ? "-0" : "-") +
         std::to_string(month) + "-01";
}

}  // namespace

Result<core::UploadCount> read_upload_count(const std::string& path) {
  const auto file = read_small_file(path, core::kUploadCountBytesMax);
  if (!file) {
    if (file.error().code == ErrorCode::not_found) return core::UploadCount{};
    return tl::unexpected(file.error());
  }
  auto count = core::UploadCount::parse(file->text);
  if (!count) return fail(count.error().code, path + ": " + count.error().message);
  return count;
}

Result<std::unique_ptr<UploadGuard>> UploadGuard::create(UploadGuardOptions options) {
  core::UploadCount count;
  if (options.bytes_per_month > 0) {
    auto read = read_upload_count(options.count_file);
    if (!read) return tl::unexpected(read.error());
    count = std::move(*read);
  }
  return std::unique_ptr<UploadGuard>(new UploadGuard(std::move(options), std::move(count)));
}

UploadGuard::UploadGuard(UploadGuardOptions options, core::UploadCount count)
    : options_(std::move(options)), quota_(options_.bytes_per_month, std::move(count)) {
  if (core::any_rule(options_.rules)) look();
  const std::lock_guard lock(mutex_);
  collect();
  status_ = verdict();
  told_ = status_.bar == UploadBar::none;
  look_at_ = Clock::now() + options_.interval;
}

UploadGuard::~UploadGuard() { stop(); }

bool UploadGuard::may_change() const {
  return options_.upload && (options_.bytes_per_month > 0 || core::any_rule(options_.rules));
}

void UploadGuard::start(OnChange on_change) {
  if (!may_change()) return;
  on_change_ = std::move(on_change);
  thread_ = std::thread([this] { run(); });
}

void UploadGuard::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
  on_change_ = nullptr;  // whom it tells may hold this guard in turn
  save_if_due(true);
}

UploadStatus UploadGuard::status() const {
  const std::lock_guard lock(mutex_);
  UploadStatus status = status_;
  if (options_.bytes_per_month > 0) {
    status.given_this_month = quota_.given(options_.wall_clock()) + pending_;
  }
  return status;
}

// ---- counting ----------------------------------------------------------------------------------

void UploadGuard::gave(std::uint64_t bytes) {
  if (options_.bytes_per_month == 0) return;
  const std::uint64_t before = pending_.fetch_add(bytes);
  const std::uint64_t alarm = alarm_;
  if (before >= alarm || before + bytes < alarm) return;
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
  }
  wake_.notify_all();
}

void UploadGuard::collect() {
  if (options_.bytes_per_month == 0) return;
  // Whatever comes between the two steps is seen by one side or the other.
  do {
    const auto wall = options_.wall_clock();
    quota_.give(pending_.exchange(0), wall, to_core(Clock::now()));
    alarm_ = quota_.is_spent(wall) ? core::UploadQuota::kSaveBytes : quota_.until_due(wall);
  } while (pending_ >= alarm_);
}

void UploadGuard::save_if_due(bool at_once) {
  std::unique_lock lock(mutex_);
  collect();
  const auto due = quota_.save_at();
  if (!due) return;
  const Clock::time_point now = Clock::now();
  if (!at_once && (*due > to_core(now) || (save_error_ && now < save_again_at_))) return;
  const std::string text = quota_.count().format();
  lock.unlock();
  auto saved = replace_small_file(options_.count_file, text, kReadable);
  if (saved) flush_folder_of(options_.count_file);
  lock.lock();
  save_error_.reset();
  if (saved) return quota_.saved();
  save_error_ = saved.error().message;
  save_again_at_ = Clock::now() + kSaveAgain;
}

// ---- deciding ----------------------------------------------------------------------------------

void UploadGuard::look() {
  core::UploadVerdict verdict =
      core::judge_upload(options_.rules, read_machine_facts(options_.places));
  const std::lock_guard lock(mutex_);
  machine_ = std::move(verdict);
}

UploadStatus UploadGuard::verdict() const {
  const auto wall = options_.wall_clock();
  UploadStatus status{.bar = machine_.bar,
                      .reason = machine_.reason,
                      .given_this_month = 0,
                      .allowed_per_month = options_.bytes_per_month};
  if (!options_.upload) {
    status.bar = UploadBar::switched;
    status.reason = "it is switched off";
  } else if (save_error_) {
    status.bar = UploadBar::count;
    status.reason = "what was given cannot be recorded: " + *save_error_;
  } else if (quota_.is_spent(wall)) {
    status.bar = UploadBar::month;
    status.reason = "the monthly limit of " + std::to_string(options_.bytes_per_month) +
                    " bytes is used up until " + first_of_next_month(wall) + " UTC";
  }
  return status;
}

// What is told holds already.
void UploadGuard::settle(std::unique_lock<std::mutex>& lock) {
  UploadStatus next = verdict();
  const bool may_give = next.bar == UploadBar::none;
  if (std::exchange(told_, may_give) != may_give) {
    lock.unlock();
    on_change_(may_give);
    lock.lock();
  }
  status_ = std::move(next);
}

Clock::time_point UploadGuard::next_due() const {
  Clock::time_point due = look_at_;
  if (const auto save = quota_.save_at()) {
    const Clock::time_point at{
        std::chrono::duration_cast<Clock::duration>(save->time_since_epoch())};
    due = std::min(due, save_error_ ? save_again_at_ : at);
  }
  return due;
}

void UploadGuard::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait_until(lock, next_due(), [&] { return woken_ || stopping_; });
    if (stopping_) return;
    woken_ = false;
    collect();
    settle(lock);  // before the disk is asked for anything
    const bool look_due = Clock::now() >= look_at_;
    lock.unlock();
    save_if_due(false);
    if (look_due && core::any_rule(options_.rules)) look();
    lock.lock();
    if (look_due) look_at_ = Clock::now() + options_.interval;
    settle(lock);
  }
}

}  // namespace lanward::peer
