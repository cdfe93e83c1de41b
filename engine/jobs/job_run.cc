// What happens to a job between the calls, and what is told of it.
#include "engine/jobs/job.h"

#include <algorithm>
#include <cassert>
#include <memory>
#include <utility>

#include "engine/jobs/file_record.h"

namespace lanward::jobs {
namespace {

using Phase = Transfer::Phase;

bool in_error(JobState state) {
  return state == JobState::error || state == JobState::transient_error;
}

bool is_active(JobState state) {
  return state == JobState::connecting || state == JobState::transferring ||
         state == JobState::transient_error;
}

}  // namespace

// Starts the next file when none is under way, and tells the caller what has changed.
void Job::start_files() {
  if (!running_ || !settings_.run_jobs || completing_ || closing_) return;
  const auto busy = [](const File& f) {
    const Phase phase = f.transfer->phase();  // a failed file holds the job up
    return !f.dropped && phase != Phase::idle && !f.transfer->is_transferred();
  };
  const auto waiting = [](const File& f) {
    return !f.dropped && f.transfer->phase() == Phase::idle && !f.transfer->is_transferred();
  };
  const auto next = std::find_if(files_.begin(), files_.end(), waiting);
  if (std::none_of(files_.begin(), files_.end(), busy) && next != files_.end()) {
    next->transfer->start(fetch_settings());
  }
}

void Job::update() {
  start_files();
  for (std::uint32_t i = 0; i < files_.size(); ++i) {
    if (files_[i].transfer->has_expansion()) expand(i);  // which may add files
    File& file = files_[i];
    if (const auto why = running_ ? file.transfer->stuck() : std::nullopt) {
      return stop_with(JobError{*why, context_of(why->code), FileId{i}});
    }
    // Before there are pieces that a restart could not find again.
    if (!std::exchange(file.known, file.transfer->knows_content()) && file.known) persist();
    if (file.reported || !file.transfer->is_transferred()) continue;
    file.reported = true;
    persist();
    report(false, FileId{i});
  }
  update_state();
}

// A file whose source is a Metalink becomes the files that this one describes, all of them at once.
void Job::expand(std::size_t index) {
  auto specs = std::make_shared<std::vector<FileSpec>>(files_[index].transfer->take_expansion());
  call({.what = {},
        .prepare = [this, index, specs](ports::JobRecord& draft) -> Result<void> {
          if (final_) return fail(ErrorCode::cancelled, "the job was cancelled");
          if (auto ok = check_new(*specs, index); !ok) return ok;
          draft.files[index] = to_record(specs->front());
          for (std::size_t i = 1; i < specs->size(); ++i) {
            draft.files.push_back(to_record((*specs)[i]));
          }
          return {};
        },
        .apply =
            [this, index, specs] {
              files_[index].record = to_record(specs->front());
              files_[index].transfer->replace(std::move(specs->front()), fetch_settings());
              for (std::size_t i = 1; i < specs->size(); ++i) {
                ports::FileRecord record = to_record((*specs)[i]);
                add_transfer(std::move((*specs)[i]), std::move(record));
              }
              update();
            },
        .done =
            [this, index](Result<void> result) {
              if (!result) files_[index].transfer->refuse(result.error());
            }});
}

void Job::update_state() { enter(state()); }

void Job::enter(JobState now) {
  if (now == reported_) return;
  assert(core::may_follow(reported_, now));
  const JobState before = std::exchange(reported_, now);
  record_.times.modified = settings_.wall_clock();
  if (now == JobState::transferred) {
    record_.times.transferred = record_.times.modified;
    watch_.stopped();
  }
  if (in_error(now)) ++record_.error_count;
  if (now == JobState::transient_error) watch_.interrupted(ports_.loop.now());
  if (now == JobState::error) watch_.stopped();
  if (is_active(now)) {
    if (!is_active(before)) progress_timer_->arm(ports_.loop.now() + settings_.progress_interval);
  } else {
    progress_timer_->disarm();
    rate_now_ = 0;
  }
  // The record of a running job says queued, whatever it does.
  const bool recorded = is_active(now) || now == JobState::queued;
  if (!recorded || in_error(now)) persist();
  arm_watch();
  report(true, std::nullopt);
  context_.on_state(*this);
}

void Job::on_progress_timer() {
  const Progress p = progress();
  const std::uint64_t bytes = p.origin_bytes + p.peer_bytes;
  const core::Instant now = ports_.loop.now();
  // Suspending drops unfinished bytes from no figure, so the sum only grows.
  const std::uint64_t more = bytes - std::min(bytes, rate_bytes_seen_);
  rate_.add(core::ByteCount{more}, now);
  if (more > 0) {
    watch_.progressed(now);
    record_.times.modified = settings_.wall_clock();
  }
  rate_bytes_seen_ = bytes;
  rate_now_ = rate_.rate(now).value;
  progress_timer_->arm(now + settings_.progress_interval);
  report(false, std::nullopt);
}

core::WatchSettings Job::watch_settings() const {
  const JobProperties& p = record_.properties;
  return {.priority = p.priority,
          .no_progress_timeout = p.no_progress_timeout,
          .maximum_download_time = p.maximum_download_time,
          .minimum_retry_delay = p.minimum_retry_delay,
          .job_age_max = settings_.job_age_max};
}

void Job::arm_watch() {
  if (final_) return watch_timer_->disarm();
  if (const auto at = watch_.next_wakeup(ports_.loop.now())) watch_timer_->arm(*at);
}

void Job::on_watch_timer() {
  if (final_) return;
  if (const auto why = watch_.overdue(ports_.loop.now())) {
    if (*why == ErrorCode::job_too_old) return cancel([](const Result<void>&) {});
    stop_with(JobError{{*why, describe(*why)}});
  }
  arm_watch();
}

void Job::stop_with(JobError error) {
  if (completing_) return;
  failed_ = std::move(error);
  running_ = false;
  watch_.stopped();
  for (File& file : files_) {
    if (!file.transfer->is_transferred()) file.transfer->stop([] {});
  }
  update();
}

void Job::make_way(bool for_foreground) {
  foreground_elsewhere_ = for_foreground && record_.properties.priority != Priority::foreground;
  for (File& file : files_) file.transfer->set_background(foreground_elsewhere_);
}

FetchSettings Job::fetch_settings() const {
  const JobProperties& p = record_.properties;
  FetchSettings how{.origin = {.proxy = p.proxy,
                               .headers = p.custom_headers,
                               .client_certificate = p.client_certificate,
                               .client_key = p.client_key,
                               .allow_https_to_http_redirects = p.allow_https_to_http_redirects},
                    .policy = settings_.policy};
  // The priority of the job decides, whether or not it has to make way just now.
  auto& fallback = p.priority == Priority::foreground ? how.policy.cache_host_fallback_foreground
                                                      : how.policy.cache_host_fallback_background;
  how.policy.cache_host_fallback_foreground = how.policy.cache_host_fallback_background = fallback;
  how.policy.retry_delay_min =
      std::max<core::Duration>(how.policy.retry_delay_min, p.minimum_retry_delay);
  how.policy.retry_delay_max = std::max(how.policy.retry_delay_max, how.policy.retry_delay_min);
  return how;
}

void Job::report(bool state_changed, std::optional<FileId> file) {
  if (!callback_) return;
  const std::uint32_t flags = record_.properties.notify_flags;
  const std::uint32_t kind = file                                 ? NotifyFlags::kFileTransferred
                             : !state_changed                     ? NotifyFlags::kModification
                             : reported_ == JobState::transferred ? NotifyFlags::kTransferred
                             : reported_ == JobState::error       ? NotifyFlags::kError
                                                                  : NotifyFlags::kModification;
  if ((flags & kind) == 0 || (flags & NotifyFlags::kDisable) != 0) return;
  callback_(JobEvent{.job = id(),
                     .state = reported_,
                     .state_changed = state_changed,
                     .file_transferred = file,
                     .progress = progress(),
                     .error = error()});
}

// ---- what is told ------------------------------------------------------------------------------

JobState Job::state() const {
  if (final_) return *final_;
  if (completing_) return JobState::transferred;
  // Also if complete() has dropped them all: only it can go on.
  const bool all = !files_.empty() && std::all_of(files_.begin(), files_.end(), [](const File& f) {
    return f.dropped || f.transfer->is_transferred();
  });
  if (all) return JobState::transferred;
  if (failed_) return JobState::error;
  if (!running_) return JobState::suspended;
  for (const File& file : files_) {
    if (file.dropped || file.transfer->is_transferred()) continue;
    switch (file.transfer->phase()) {
      case Phase::failed:
        return JobState::error;
      case Phase::searching:
      case Phase::opening:
        return file.transfer->error() ? JobState::transient_error : JobState::connecting;
      case Phase::transferring:
        return file.transfer->error() ? JobState::transient_error : JobState::transferring;
      case Phase::stopping:
        // What it will be is known when it has stopped.
        return reported_ == JobState::suspended ? JobState::queued : reported_;
      case Phase::idle:
      case Phase::transferred:
      case Phase::delivered:
        break;
    }
  }
  return JobState::queued;
}

JobStatus Job::status() const {
  return {.id = id(),
          .state = state(),
          .purged = record_.purged,
          .owner = record_.owner,
          .properties = record_.properties,
          .times = record_.times,
          .progress = progress(),
          .error_count = record_.error_count,
          .error = error()};
}

Progress Job::progress() const {
  Progress progress{.total_known = !files_.empty()};
  bool told = false;
  for (const File& file : files_) {
    if (file.dropped) continue;
    file.transfer->add_to(progress);
    const bool first = progress.files_total == 1;
    const bool in_use = file.transfer->is_in_use() && !file.transfer->is_transferred();
    if (first || (in_use && !told)) progress.peers_answer = file.transfer->peers_answer();
    told = told || in_use;
  }
  progress.rate_bytes_per_s = rate_now_;
  return progress;
}

std::vector<FileStatus> Job::files() const {
  std::vector<FileStatus> list;
  for (const File& file : files_) {
    list.push_back(file.transfer->status());
    list.back().file = FileId{static_cast<std::uint32_t>(list.size() - 1)};
  }
  return list;
}

std::vector<SourceStats> Job::sources() const {
  std::vector<SourceStats> list;
  for (const File& file : files_) {
    for (SourceStats& source : file.transfer->sources()) list.push_back(std::move(source));
  }
  return list;
}

std::optional<JobError> Job::error() const {
  if (!in_error(state())) return std::nullopt;
  if (failed_) return failed_;
  for (std::uint32_t i = 0; i < files_.size(); ++i) {
    const Transfer& transfer = *files_[i].transfer;
    if (files_[i].dropped || transfer.is_transferred()) continue;
    if (const auto error = transfer.error())
      return JobError{*error, context_of(error->code), FileId{i}};
  }
  return std::nullopt;
}

bool Job::is_serving() const {
  return std::any_of(files_.begin(), files_.end(),
                     [](const File& f) { return f.transfer->store() != nullptr; });
}

const Transfer* Job::file(FileId file) const {
  return file.value < files_.size() ? files_[file.value].transfer.get() : nullptr;
}

}  // namespace lanward::jobs
