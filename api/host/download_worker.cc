// The thread of a download: it waits for the job's events, tells the program of them, and hands the
// verified bytes to its stream.
#include <algorithm>
#include <utility>

#include "api/host/download_body.h"

namespace lanward::host {
namespace {

// What a sink is given at once: a read and a call for every few pieces, and little memory.
constexpr std::size_t kChunkBytes = 256 * 1024;
// So many chunks go to the sink before the callback has its turn.
constexpr int kChunksPerTurn = 16;
// Published default of the callback's frequency.
constexpr std::uint32_t kDefaultFreqSeconds = 1;

bool same_news(const DownloadStatus& a, const DownloadStatus& b) {
  return a.state == b.state && a.error == b.error && a.extended_error == b.extended_error;
}

// Errors of Job::read that say "not now": the content is not open, or the engine is closed.
bool is_not_now(ErrorCode code) {
  return code == ErrorCode::invalid_state || code == ErrorCode::file_unavailable ||
         code == ErrorCode::job_not_found;
}

}  // namespace

// On the engine's thread: only notes that there is news.
JobCallback DownloadBody::listener() const {
  return [signal = signal_](const JobEvent& event) {
    const std::lock_guard guard(signal->mutex);
    if (event.state != JobState::suspended) signal->resuming = false;
    ++signal->count;
    signal->changed.notify_all();
  };
}

Result<void> DownloadBody::listen() {
  Lock guard = lock();
  Job job = *job_;
  guard.unlock();
  return job.set_callback(listener());
}

void DownloadBody::wake() {
  const Lock guard = lock();
  ++signal_->count;
  signal_->changed.notify_all();
}

// REQUIRES: calls_ is held.
void DownloadBody::ensure_worker() {
  if (worker_.joinable()) return;
  Told told{.status = {}, .at = Clock::now()};
  if (const auto now = status()) told.status.state = now->state;
  // A download that is just being started has been created before.
  if (const Lock guard = lock(); generation_ > 0) told.status.state = DownloadState::created;
  worker_ = std::thread([self = shared_from_this(), told]() mutable { self->run(told); });
}

void DownloadBody::run(Told& told) {
  worker_id_ = std::this_thread::get_id();
  std::vector<std::byte> buffer;
  Lock guard = lock();
  while (!quit_) {
    const std::uint64_t seen = signal_->count;
    guard.unlock();
    const bool more = pump(buffer);
    drop_former();
    const auto owed = tell(told);
    guard.lock();
    if (more) continue;
    const auto news = [&] { return quit_ || signal_->count != seen; };
    if (owed) {
      signal_->changed.wait_until(guard, *owed, news);
    } else {
      signal_->changed.wait(guard, news);
    }
  }
}

// Called by the last handle, so no other call is under way.
void DownloadBody::end() {
  Lock guard = lock();
  quit_ = true;
  held_ = true;
  const bool keep = flag_of(values_, DownloadProperty::NonVolatile);
  std::optional<Job> job = job_;
  guard.unlock();
  wake();
  if (worker_.joinable()) {
    // The last handle should not end inside a callback; then the thread goes when that returns.
    if (worker_id_.load() == std::this_thread::get_id()) {
      worker_.detach();
      worker_id_ = std::thread::id{};
      guard.lock();
      in_sink_ = false;
      guard.unlock();
    } else {
      worker_.join();
    }
  }
  if (job) (void)job->set_callback({});
  if (keep) return cancel_former();
  const std::lock_guard calls(calls_);
  (void)abort_job();
}

// A replaced job ends when the present one holds the content, or will not come to that.
void DownloadBody::drop_former() {
  Lock guard = lock();
  if (!former_ || !job_) return;
  const Job job = *job_;
  guard.unlock();
  const auto status = job.status();
  if (!status || (!status->progress.total_known && status->state != JobState::error)) return;
  cancel_former();
}

// ---- the stream --------------------------------------------------------------------------------

// The next bytes of the ranges, at most a chunk. REQUIRES: the mutex is held.
std::optional<DownloadBody::Window> DownloadBody::next_window() const {
  if (sink_ == nullptr || !job_ || held_ || sink_error_ || ended_ || quit_) return std::nullopt;
  const auto window = [&](std::uint64_t offset, std::uint64_t most) {
    return Window{.job = *job_,
                  .offset = offset,
                  .length = static_cast<std::size_t>(std::min<std::uint64_t>(most, kChunkBytes)),
                  .generation = generation_};
  };
  if (ranges_.empty()) return window(streamed_, kChunkBytes);
  std::uint64_t skip = streamed_;
  for (const ByteRange& range : ranges_) {
    if (skip < range.length) return window(range.offset + skip, range.length - skip);
    skip -= range.length;
  }
  return std::nullopt;
}

// True: there may be more to hand over at once.
bool DownloadBody::pump(std::vector<std::byte>& buffer) {
  for (int chunk = 0; chunk < kChunksPerTurn; ++chunk) {
    if (!pump_chunk(buffer)) return false;
  }
  return true;
}

bool DownloadBody::pump_chunk(std::vector<std::byte>& buffer) {
  Lock guard = lock();
  const auto window = next_window();
  if (!window) return false;
  guard.unlock();
  buffer.resize(kChunkBytes);
  const std::span<std::byte> out = std::span(buffer).first(window->length);
  const auto read = window->job.read(FileId{0}, window->offset, out);
  if (!read) {
    if (!is_not_now(read.error().code)) stop_stream(*window, read.error());
    return false;
  }
  if (*read == 0) return false;
  guard.lock();
  if (held_ || quit_ || generation_ != window->generation) return false;
  in_sink_ = true;
  const std::shared_ptr<StreamSink> sink = sink_;
  guard.unlock();
  const Result<void> taken = (*sink)(out.first(*read));
  guard.lock();
  in_sink_ = false;
  if (taken) streamed_ += *read;
  ++signal_->count;
  signal_->changed.notify_all();
  guard.unlock();
  if (!taken) stop_stream(*window, taken.error());
  return taken.has_value();
}

void DownloadBody::stop_stream(const Window& window, Error error) {
  // Who sees the error and starts again must not be overtaken by the suspend() that goes with it.
  const std::lock_guard calls(calls_);
  Lock guard = lock();
  if (generation_ != window.generation || ended_) return;
  sink_error_ = std::move(error);
  ++signal_->count;
  signal_->changed.notify_all();
  guard.unlock();
  Job job = window.job;
  (void)job.suspend();
}

// ---- the callback ------------------------------------------------------------------------------

// Tells what is due. The answer is when progress that is not due yet will be.
std::optional<DownloadBody::Clock::time_point> DownloadBody::tell(Told& told) {
  Lock guard = lock();
  if (callback_ == nullptr) return std::nullopt;
  const auto percent = number_of(values_, DownloadProperty::CallbackFreqPercent);
  auto seconds = number_of(values_, DownloadProperty::CallbackFreqSeconds);
  guard.unlock();
  if (!percent && !seconds) seconds = kDefaultFreqSeconds;
  const auto now = status();
  if (!now) return std::nullopt;
  std::optional<Clock::time_point> due;
  if (same_news(*now, told.status)) {
    if (now->bytes_transferred == told.status.bytes_transferred) return std::nullopt;
    if (seconds) due = told.at + std::chrono::seconds{*seconds};
    // Bytes fall back when it begins anew.
    const std::uint64_t before = std::min(told.status.bytes_transferred, now->bytes_transferred);
    const std::uint64_t step = percent ? now->bytes_total / 100 * *percent : 0;
    const bool far = percent && now->bytes_transferred - before >= std::max<std::uint64_t>(step, 1);
    if (!far && !(due && *due <= Clock::now())) return due;
  }
  told = {.status = *now, .at = Clock::now()};
  call_back(*now);
  return std::nullopt;
}

void DownloadBody::call_back(const DownloadStatus& status) {
  Lock guard = lock();
  const std::shared_ptr<DownloadCallback> callback = callback_;
  if (callback == nullptr || quit_) return;
  in_callback_ = true;
  guard.unlock();
  (*callback)(status);
  guard.lock();
  in_callback_ = false;
  ++signal_->count;
  signal_->changed.notify_all();
}

}  // namespace lanward::host
