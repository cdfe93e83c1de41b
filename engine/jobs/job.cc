#include "engine/jobs/job.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <memory>
#include <utility>

#include "engine/core/prng.h"
#include "engine/jobs/countdown.h"

namespace lanward::jobs {
namespace {

using Phase = Transfer::Phase;

// A job of files is a small thing (BITS allows 200); the bound keeps a runaway caller from filling
// memory.
constexpr std::size_t kFilesPerJobMax = 200;

// The rate that people see is a mean over eight of these: steady to the eye, and an ETA that does
// not jump.
constexpr core::Duration kRateSlot = std::chrono::milliseconds{500};

bool is_complete(const Transfer& t) {
  return t.phase() == Phase::transferred || t.phase() == Phase::delivered;
}

}  // namespace

Job::Job(const Ports& ports, const EngineSettings& settings, core::Seed seed, JobId id,
         std::string display_name, JobCallback callback)
    : ports_(ports),
      settings_(settings),
      seed_(seed),
      id_(id),
      display_name_(std::move(display_name)),
      callback_(std::move(callback)),
      progress_timer_(ports_.loop.make_timer([this] { on_progress_timer(); })),
      rate_(ports_.loop.now(), kRateSlot) {}

Result<void> Job::refuse_if_final() const {
  if (!final_) return {};
  return fail(ErrorCode::invalid_state, std::string("the job is ") + to_string(*final_));
}

Result<void> Job::add_file(FileSpec file) {
  if (auto refusal = refuse_if_final(); !refusal) return refusal;
  if (completing_) return fail(ErrorCode::invalid_state, "the job is being completed");
  if (transfers_.size() >= kFilesPerJobMax) {
    return fail(ErrorCode::invalid_argument,
                "a job holds at most " + std::to_string(kFilesPerJobMax) + " files");
  }
  const core::Seed seed{core::mix64(seed_.value + transfers_.size() + 1)};
  transfers_.push_back(
      std::make_unique<Transfer>(ports_, settings_, std::move(file), seed, [this] { update(); }));
  update();
  return {};
}

Result<void> Job::resume() {
  if (auto refusal = refuse_if_final(); !refusal) return refusal;
  if (transfers_.empty()) return fail(ErrorCode::invalid_argument, "the job has no files");
  running_ = true;
  for (const auto& transfer : transfers_) {
    if (transfer->phase() != Phase::failed) continue;
    transfer->start();
    break;  // one file at a time; update() goes on with the others
  }
  update();
  return {};
}

Result<void> Job::suspend() {
  if (auto refusal = refuse_if_final(); !refusal) return refusal;
  const JobState now = state();
  if (now == JobState::transferred || now == JobState::error) return {};
  running_ = false;
  for (const auto& transfer : transfers_) {
    if (transfer->phase() != Phase::idle && !is_complete(*transfer)) transfer->stop(false, [] {});
  }
  update();
  return {};
}

void Job::cancel(Done done) {
  if (auto refusal = refuse_if_final(); !refusal) return done(std::move(refusal));
  if (completing_) return done(fail(ErrorCode::invalid_state, "the job is being completed"));
  final_ = JobState::cancelled;
  running_ = false;
  update();
  stop_all(true, [done = std::move(done)]() mutable { done({}); });
}

void Job::complete(Done done) {
  if (auto refusal = refuse_if_final(); !refusal) return done(std::move(refusal));
  if (completing_ || state() != JobState::transferred) {
    return done(fail(
        ErrorCode::invalid_state,
        completing_ ? std::string("the job is being completed")
                    : std::string("the job is not transferred yet but ") + to_string(state())));
  }
  completing_ = true;
  deliver_from(0, std::move(done));
}

void Job::deliver_from(std::size_t index, Done done) {
  while (index < transfers_.size() && transfers_[index]->phase() == Phase::delivered) ++index;
  if (index == transfers_.size()) {
    completing_ = false;
    running_ = false;
    final_ = JobState::acknowledged;
    update();
    return done({});
  }
  transfers_[index]->deliver([this, index, done = std::move(done)](Result<void> result) mutable {
    if (result) return deliver_from(index + 1, std::move(done));
    completing_ = false;
    done(std::move(result));
  });
}

void Job::close(ports::Task done) {
  running_ = false;
  progress_timer_->disarm();
  stop_all(false, std::move(done));
}

void Job::stop_all(bool purge, ports::Task done) {
  // One more than there are, so that none at all ends it too.
  const auto one_less = countdown(transfers_.size() + 1, std::move(done));
  for (const auto& transfer : transfers_) {
    const bool delivered = transfer->phase() == Phase::delivered;
    transfer->stop(purge && !delivered, one_less);
  }
  one_less();
}

// Starts the next file when none is under way, and tells the caller what has changed.
void Job::update() {
  if (running_) {
    const auto busy = [](const auto& t) {
      return t->phase() != Phase::idle && !is_complete(*t);  // a failed file holds the job up
    };
    const auto waiting = [](const auto& t) { return t->phase() == Phase::idle; };
    const auto next = std::find_if(transfers_.begin(), transfers_.end(), waiting);
    if (std::none_of(transfers_.begin(), transfers_.end(), busy) && next != transfers_.end()) {
      (*next)->start();
    }
  }
  const JobState now = state();
  const bool active = now == JobState::connecting || now == JobState::transferring ||
                      now == JobState::transient_error;
  if (now == reported_) return;
  reported_ = now;
  if (active) {
    progress_timer_->arm(ports_.loop.now() + settings_.progress_interval);
  } else {
    progress_timer_->disarm();
    rate_now_ = 0;
  }
  report(true);
}

void Job::on_progress_timer() {
  const Progress p = progress();
  const std::uint64_t bytes = p.origin_bytes + p.peer_bytes;
  const core::Instant now = ports_.loop.now();
  // Suspending drops unfinished bytes from no figure, so the sum only grows.
  rate_.add(core::ByteCount{bytes - std::min(bytes, rate_bytes_seen_)}, now);
  rate_bytes_seen_ = bytes;
  rate_now_ = rate_.rate(now).value;
  progress_timer_->arm(now + settings_.progress_interval);
  report(false);
}

void Job::report(bool state_changed) {
  if (!callback_) return;
  callback_(JobEvent{.job = id_,
                     .state = reported_,
                     .state_changed = state_changed,
                     .progress = progress(),
                     .error = error()});
}

JobState Job::state() const {
  if (final_) return *final_;
  if (completing_) return JobState::transferred;
  const bool all =
      !transfers_.empty() && std::all_of(transfers_.begin(), transfers_.end(),
                                         [](const auto& t) { return is_complete(*t); });
  if (all) return JobState::transferred;
  if (!running_) return JobState::suspended;
  for (const auto& transfer : transfers_) {
    switch (transfer->phase()) {
      case Phase::failed:
        return JobState::error;
      case Phase::searching:
      case Phase::opening:
        return transfer->error() ? JobState::transient_error : JobState::connecting;
      case Phase::transferring:
        return transfer->error() ? JobState::transient_error : JobState::transferring;
      case Phase::stopping:
        return reported_;  // what it will be is known when it has stopped
      case Phase::idle:
      case Phase::transferred:
      case Phase::delivered:
        break;
    }
  }
  return JobState::queued;
}

Progress Job::progress() const {
  Progress progress{.total_known = !transfers_.empty()};
  for (const auto& transfer : transfers_) transfer->add_to(progress);
  progress.rate_bytes_per_s = rate_now_;
  return progress;
}

std::vector<FileStatus> Job::files() const {
  std::vector<FileStatus> list;
  for (const auto& transfer : transfers_) list.push_back(transfer->status());
  return list;
}

std::vector<SourceStats> Job::sources() const {
  std::vector<SourceStats> list;
  for (const auto& transfer : transfers_) {
    for (SourceStats& source : transfer->sources()) list.push_back(std::move(source));
  }
  return list;
}

std::optional<Error> Job::error() const {
  const JobState now = state();
  if (now != JobState::error && now != JobState::transient_error) return std::nullopt;
  for (const auto& transfer : transfers_) {
    if (transfer->error() && !is_complete(*transfer)) return transfer->error();
  }
  return std::nullopt;
}

}  // namespace lanward::jobs
