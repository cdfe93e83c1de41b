#include "api/host/download_body.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "engine/core/job_rules.h"

namespace lanward::host {
namespace {

using core::DownloadCall;

// BlockingMode looks again after this time even if nobody told of a change: nobody does when the
// engine is closed.
constexpr std::chrono::milliseconds kLookAgain{500};

constexpr bool same(DownloadState state, core::DownloadState rule) {
  return static_cast<std::uint8_t>(state) == static_cast<std::uint8_t>(rule);
}
static_assert(same(DownloadState::created, core::DownloadState::created));
static_assert(same(DownloadState::transferring, core::DownloadState::transferring));
static_assert(same(DownloadState::transferred, core::DownloadState::transferred));
static_assert(same(DownloadState::finalized, core::DownloadState::finalized));
static_assert(same(DownloadState::aborted, core::DownloadState::aborted));
static_assert(same(DownloadState::paused, core::DownloadState::paused));

Result<void> judge(DownloadState state, DownloadCall call) {
  const auto ruling = core::judge(static_cast<core::DownloadState>(state), call);
  if (!ruling.refused) return {};
  return fail(*ruling.refused, std::string("the download is ") + to_string(state));
}

bool is_final(DownloadState state) {
  return core::is_final(static_cast<core::DownloadState>(state));
}

DownloadState state_of(JobState state) {
  switch (state) {
    case JobState::queued:
    case JobState::connecting:
    case JobState::transferring:
      return DownloadState::transferring;
    case JobState::suspended:
    case JobState::error:
    case JobState::transient_error:
      return DownloadState::paused;
    case JobState::transferred:
      return DownloadState::transferred;
    case JobState::acknowledged:
      return DownloadState::finalized;
    case JobState::cancelled:
      return DownloadState::aborted;
  }
  return DownloadState::aborted;
}

bool is_whole(const std::vector<ByteRange>& ranges) {
  return ranges.empty() || (ranges.size() == 1 && ranges.front() == ByteRange{});
}

}  // namespace

DownloadBody::DownloadBody(Engine& engine, std::string id) : engine_(engine), id_(std::move(id)) {}

DownloadBody::DownloadBody(Engine& engine, std::string id, const Job& job, const JobStatus& status,
                           const FileStatus& file)
    : engine_(engine),
      id_(std::move(id)),
      values_(values_of(status.properties, file)),
      ranges_(file.ranges),
      job_(job),
      streaming_(file.id.starts_with(kStreamMark)) {}

// ---- calls -------------------------------------------------------------------------------------

Result<void> DownloadBody::refuse_call() const {
  if (worker_id_.load() != std::this_thread::get_id()) return {};
  return fail(ErrorCode::invalid_state, "called from inside a callback of the download");
}

Result<DownloadStatus> DownloadBody::status() const {
  Lock guard = lock();
  if (ended_) return *ended_;
  if (!job_) return DownloadStatus{};
  const Job job = *job_;
  guard.unlock();
  const auto native = job.status();
  guard.lock();
  if (ended_) return *ended_;
  if (!native) return tl::unexpected(native.error());
  DownloadStatus status{.bytes_total = native->progress.total_bytes,
                        .bytes_transferred = native->progress.verified_bytes,
                        .state = state_of(native->state)};
  const bool old =
      native->state == JobState::suspended || (native->state == JobState::error && !native->error);
  if (signal_->resuming && old) status.state = DownloadState::transferring;
  if (native->error) {
    status.extended_error = *native->error;
    if (native->state == JobState::error) status.error = *native->error;
  }
  if (!streaming_) return status;
  status.bytes_transferred = streamed_;
  if (is_final(status.state)) return status;
  if (sink_error_) {
    status.state = DownloadState::paused;
    status.error = status.extended_error = sink_error_;
  } else if (status.state == DownloadState::transferred && streamed_ < status.bytes_total) {
    status.state = held_ || sink_ == nullptr ? DownloadState::paused : DownloadState::transferring;
  }
  return status;
}

Result<void> DownloadBody::start(std::vector<ByteRange> ranges) {
  if (auto ok = refuse_call(); !ok) return ok;
  bool blocking = false;
  {
    const std::lock_guard calls(calls_);
    const auto now = status();
    if (!now) return tl::unexpected(now.error());
    Lock guard = lock();
    const bool whole = is_whole(ranges);
    const bool other = job_ && !ranges.empty() && (whole ? !is_whole(ranges_) : ranges != ranges_);
    if (whole) ranges.clear();
    const bool begins = !job_ || other;
    blocking = flag_of(values_, DownloadProperty::BlockingMode);
    guard.unlock();
    const bool restart = other && now->state == DownloadState::transferred;
    const DownloadState state = restart ? DownloadState::paused : now->state;
    if (auto ok = judge(state, DownloadCall::start); !ok) return ok;
    if (other && state == DownloadState::transferring) {
      return fail(ErrorCode::invalid_state, "pause the download before it gets other ranges");
    }
    if (auto ok = begins ? begin(std::move(ranges)) : go_on(state); !ok) return ok;
  }
  return blocking ? wait_until_stopped() : Result<void>();
}

// With the job there is.
Result<void> DownloadBody::go_on(DownloadState state) {
  if (state != DownloadState::paused) return {};
  Lock guard = lock();
  if (streaming_ && sink_ == nullptr) {
    return fail(ErrorCode::no_sink, "the stream has ended with the handle that had its sink");
  }
  Job job = *job_;
  signal_->resuming = true;
  guard.unlock();
  const Result<void> resumed = job.resume();
  guard.lock();
  if (!resumed) {
    signal_->resuming = false;
    return resumed;
  }
  held_ = false;
  sink_error_.reset();
  guard.unlock();
  wake();
  return {};
}

Result<FileRequest> DownloadBody::request_of(const std::vector<ByteRange>& ranges) const {
  const Lock guard = lock();
  FileRequest request{.source = text_of(values_, DownloadProperty::Uri),
                      .destination = text_of(values_, DownloadProperty::LocalPath),
                      .ranges = ranges,
                      .manifest = text_of(values_, DownloadProperty::IntegrityCheckInfo)};
  request.integrity_mandatory = flag_of(values_, DownloadProperty::IntegrityCheckMandatory);
  if (request.source.empty()) {
    if (values_.contains(DownloadProperty::ContentId)) {
      return fail(ErrorCode::unsupported, "a content id alone names no place to fetch from");
    }
    return fail(ErrorCode::no_url, "the property Uri is not set");
  }
  request.id = std::string(streaming_ ? kStreamMark : kFileMark) + id_;
  if (!streaming_) {
    if (!request.destination.empty()) return request;
    return fail(ErrorCode::no_sink, "neither the property LocalPath nor a stream is set");
  }
  if (sink_ == nullptr) {
    return fail(ErrorCode::no_sink, "the stream has ended with the handle that had its sink");
  }
  // A place that the job may ask for but never gets to: it is not completed.
  std::error_code error;
  const std::filesystem::path temporary = std::filesystem::temp_directory_path(error);
  if (error) {
    return fail(ErrorCode::destination, "no temporary directory: " + error.message());
  }
  request.destination = (temporary / ("lanward-stream-" + id_)).string();
  return request;
}

Result<Job> DownloadBody::make_job(const FileRequest& request) {
  Lock guard = lock();
  const auto change = change_of(values_);
  const std::string name = text_of(values_, DownloadProperty::DisplayName);
  guard.unlock();
  auto job = engine_.create_job(name, listener());
  if (!job) return job;
  Result<void> ok = change ? job->change(*change) : Result<void>();
  if (ok) {
    if (auto added = job->add_file(request); !added) ok = tl::unexpected(added.error());
  }
  if (ok) ok = job->resume();
  if (ok) return job;
  (void)job->set_callback({});
  (void)job->cancel();
  return tl::unexpected(ok.error());
}

// With a new job; one that there was is kept until the new one holds the content, so that its
// pieces need not be fetched again.
Result<void> DownloadBody::begin(std::vector<ByteRange> ranges) {
  const auto request = request_of(ranges);
  if (!request) return tl::unexpected(request.error());
  hold_stream();
  cancel_former();
  auto job = make_job(*request);
  Lock guard = lock();
  if (!job) return tl::unexpected(job.error());
  former_ = std::exchange(job_, std::move(*job));
  ranges_ = std::move(ranges);
  ++generation_;
  streamed_ = 0;
  held_ = false;
  sink_error_.reset();
  guard.unlock();
  ensure_worker();
  wake();
  return {};
}

Result<void> DownloadBody::wait_until_stopped() const {
  while (true) {
    Lock guard = lock();
    const std::uint64_t seen = signal_->count;
    guard.unlock();
    const auto now = status();
    if (!now) return tl::unexpected(now.error());
    if (now->state == DownloadState::transferred || now->state == DownloadState::finalized) {
      return {};
    }
    if (now->error) return tl::unexpected(*now->error);
    const bool waits = now->state == DownloadState::paused && now->extended_error;
    if (now->state != DownloadState::transferring && !waits) {
      return fail(ErrorCode::cancelled, std::string("the download is ") + to_string(now->state));
    }
    guard.lock();
    signal_->changed.wait_for(guard, kLookAgain, [&] { return signal_->count != seen; });
  }
}

Result<void> DownloadBody::pause() {
  if (auto ok = refuse_call(); !ok) return ok;
  const std::lock_guard calls(calls_);
  const auto now = status();
  if (!now) return tl::unexpected(now.error());
  if (auto ok = judge(now->state, DownloadCall::pause); !ok) return ok;
  if (now->state != DownloadState::transferring && now->state != DownloadState::paused) return {};
  hold_stream();
  Lock guard = lock();
  Job job = *job_;
  guard.unlock();
  Result<void> suspended = job.suspend();
  if (!suspended) {
    guard.lock();
    held_ = false;
    guard.unlock();
  }
  wake();
  return suspended;
}

Result<void> DownloadBody::finalize() {
  if (auto ok = refuse_call(); !ok) return ok;
  const std::lock_guard calls(calls_);
  auto now = status();
  if (!now) return tl::unexpected(now.error());
  if (auto ok = judge(now->state, DownloadCall::finalize); !ok) return ok;
  if (is_final(now->state)) return {};
  cancel_former();
  Lock guard = lock();
  Job job = *job_;
  const bool stream = streaming_;
  guard.unlock();
  // What the sink has taken is the program's; of a stream there is nothing to deliver.
  if (auto ok = stream ? job.cancel() : job.complete(); !ok) return ok;
  end_with(*now, DownloadState::finalized);
  return {};
}

Result<void> DownloadBody::abort() {
  if (auto ok = refuse_call(); !ok) return ok;
  const std::lock_guard calls(calls_);
  return abort_job();
}

// REQUIRES: calls_ is held.
Result<void> DownloadBody::abort_job() {
  auto now = status();
  if (!now) return tl::unexpected(now.error());
  if (auto ok = judge(now->state, DownloadCall::abort); !ok) return ok;
  if (is_final(now->state)) return {};
  hold_stream();
  cancel_former();
  Lock guard = lock();
  std::optional<Job> job = job_;
  guard.unlock();
  if (job) {
    if (auto ok = job->cancel(); !ok) return ok;
  }
  end_with(*now, DownloadState::aborted);
  return {};
}

// The job may be forgotten by the engine, the status stays.
void DownloadBody::end_with(DownloadStatus status, DownloadState state) {
  status.state = state;
  status.error.reset();
  status.extended_error.reset();
  Lock guard = lock();
  ended_ = status;
  guard.unlock();
  wake();
}

// Waits until the sink is not being called, and will not be.
void DownloadBody::hold_stream() {
  Lock guard = lock();
  held_ = true;
  signal_->resuming = false;
  signal_->changed.wait(guard, [&] { return !in_sink_; });
}

void DownloadBody::cancel_former() {
  Lock guard = lock();
  std::optional<Job> former = std::exchange(former_, {});
  guard.unlock();
  if (!former) return;
  (void)former->set_callback({});
  (void)former->cancel();
}

// ---- properties and callbacks ------------------------------------------------------------------

Result<PropertyValue> DownloadBody::get(DownloadProperty property) const {
  if (auto ok = check_readable(property); !ok) return tl::unexpected(ok.error());
  if (property == DownloadProperty::Id) return PropertyValue{id_};
  if (property == DownloadProperty::TotalSizeBytes) {
    const auto now = status();
    if (now && now->bytes_total > 0) return PropertyValue{now->bytes_total};
  }
  const Lock guard = lock();
  const auto found = values_.find(property);
  if (found != values_.end()) return found->second;
  if (auto value = default_of(property)) return *value;
  return fail(ErrorCode::property_not_set, "the property is not set");
}

Result<void> DownloadBody::set(DownloadProperty property, const PropertyValue& value) {
  if (auto ok = refuse_call(); !ok) return ok;
  const std::lock_guard calls(calls_);
  const auto now = status();
  if (!now) return tl::unexpected(now.error());
  if (auto ok = check_property(property, value, now->state); !ok) return ok;
  Lock guard = lock();
  if (streaming_ && property == DownloadProperty::LocalPath) {
    return fail(ErrorCode::sink_already_set, "the download has a stream");
  }
  if (streaming_ && property == DownloadProperty::NonVolatile && std::get<bool>(value)) {
    return fail(ErrorCode::unsupported, "a stream ends with its last handle");
  }
  std::optional<Job> job = job_;
  guard.unlock();
  if (job) {
    const auto change = change_of({{property, value}});
    Result<void> ok = change ? job->change(*change) : Result<void>();
    if (property == DownloadProperty::Uri) {
      ok = job->set_remote_name(FileId{0}, std::get<std::string>(value));
    }
    if (!ok) return ok;
  }
  guard.lock();
  values_[property] = value;
  guard.unlock();
  wake();  // the callback's frequency may be another
  return {};
}

Result<void> DownloadBody::set_callback(DownloadCallback callback) {
  if (auto ok = refuse_call(); !ok) return ok;
  const std::lock_guard calls(calls_);
  Lock guard = lock();
  callback_ = callback ? std::make_shared<DownloadCallback>(std::move(callback)) : nullptr;
  signal_->changed.wait(guard, [&] { return !in_callback_; });
  const bool wanted = callback_ != nullptr;
  guard.unlock();
  if (wanted) ensure_worker();
  wake();
  return {};
}

Result<void> DownloadBody::set_sink(StreamSink sink) {
  if (auto ok = refuse_call(); !ok) return ok;
  if (!sink) return fail(ErrorCode::invalid_argument, "the sink is empty");
  const std::lock_guard calls(calls_);
  const Lock guard = lock();
  if (job_ || ended_) return fail(ErrorCode::invalid_state, "the download was started");
  if (streaming_ || values_.contains(DownloadProperty::LocalPath)) {
    return fail(ErrorCode::sink_already_set, "the download has a path or a stream");
  }
  if (flag_of(values_, DownloadProperty::NonVolatile)) {
    return fail(ErrorCode::unsupported, "a stream ends with its last handle");
  }
  sink_ = std::make_shared<StreamSink>(std::move(sink));
  streaming_ = true;
  return {};
}

}  // namespace lanward::host
