#include "engine/jobs/job.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <memory>
#include <utility>

#include "engine/core/byte_ranges.h"
#include "engine/core/prng.h"
#include "engine/jobs/countdown.h"
#include "engine/jobs/file_record.h"
#include "engine/jobs/job_properties.h"

namespace lanward::jobs {
namespace {

using core::JobCall;
using Phase = Transfer::Phase;

// The rate that people see is a mean over eight of these: steady to the eye, and an ETA that does
// not jump.
constexpr core::Duration kRateSlot = std::chrono::milliseconds{500};

// Calls of one job that wait until those before them are durable. Everyone who calls waits for the
// answer, so only threads without number, or a disk that does not answer, bring so many. What the
// job adds by itself is bounded besides: one save of what has happened, what a file of it expands
// to (files_per_job_max), and the end of complete().
constexpr std::size_t kCallsWaitingMax = 256;

std::int64_t seconds_since_epoch(std::chrono::system_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

core::WatchHistory history_of(const ports::JobRecord& record,
                              std::chrono::system_clock::time_point now) {
  return {.now = seconds_since_epoch(now),
          .created = seconds_since_epoch(record.times.created),
          .first_resumed = record.first_resumed};
}

}  // namespace

Job::Job(const Context& context, core::Seed seed, ports::JobRecord record, JobCallback callback)
    : context_(context),
      ports_(context.ports),
      settings_(context.settings),
      seed_(seed),
      record_(std::move(record)),
      callback_(std::move(callback)),
      reported_(record_.state),
      progress_timer_(ports_.loop.make_timer([this] { on_progress_timer(); })),
      watch_timer_(ports_.loop.make_timer([this] { on_watch_timer(); })),
      watch_(watch_settings(), history_of(record_, settings_.wall_clock()), ports_.loop.now()),
      rate_(ports_.loop.now(), kRateSlot) {
  if (core::is_final(record_.state)) final_ = record_.state;
  running_ = record_.state == JobState::queued;
  if (record_.state == JobState::error) failed_ = record_.error;
  for (ports::FileRecord& file : std::exchange(record_.files, {})) {
    auto spec = to_spec(file, ports_.sha256);
    if (!spec) {
      failed_ = JobError{{spec.error().code, "the manifest kept for " + file.request.source +
                                                 " cannot be used: " + spec.error().message}};
      running_ = false;
      spec = FileSpec{.source = file.request.source, .destination = file.request.destination};
    }
    add_transfer(std::move(*spec), std::move(file));
    File& added = files_.back();
    // complete() went on without it and could not deliver another one.
    added.dropped = record_.state == JobState::transferred && !added.transfer->is_transferred();
    if (added.dropped) added.transfer->disown();
  }
  if (failed_ && !final_) reported_ = JobState::error;
  arm_watch();  // also a job that is never resumed grows too old
}

Job::~Job() = default;

void Job::proceed() {
  if (final_) return sweep();
  if (running_ && settings_.run_jobs) watch_.resumed(ports_.loop.now());
  update();
  on_watch_timer();
}

// ---- calls -------------------------------------------------------------------------------------

void Job::call(Call call) {
  if (call.what && calls_.size() >= kCallsWaitingMax) {
    return call.done(fail(ErrorCode::disk_io,
                          "too many calls of the job wait for the disk of the "
                          "state directory; try again later"));
  }
  calls_.push_back(std::move(call));
  next_call();
}

void Job::next_call() {
  while (!saving_ && !calls_.empty()) {
    Call call = std::move(calls_.front());
    calls_.pop_front();
    if (!call.what) persist_queued_ = false;
    if (call.what) {
      const core::Ruling ruling = core::judge(state(), *call.what);
      if (ruling.refused) {
        call.done(fail(*ruling.refused, std::string("the job is ") + to_string(state())));
        continue;
      }
    }
    ports::JobRecord draft = snapshot();
    if (call.prepare) {
      draft.times.modified = settings_.wall_clock();
      if (Result<void> prepared = call.prepare(draft); !prepared) {
        call.done(std::move(prepared));
        continue;
      }
    }
    auto saved = [this, draft, call = std::move(call)](Result<void> result) mutable {
      saving_ = false;
      if (!result) {
        if (call.done) call.done(std::move(result));
        return;
      }
      draft.files.clear();
      // What has happened while it was being saved is told by the next save.
      draft.error_count = record_.error_count;
      draft.times.transferred = record_.times.transferred;
      draft.times.modified = std::max(draft.times.modified, record_.times.modified);
      record_ = std::move(draft);
      if (call.apply) call.apply();
      if (call.done) call.done({});
    };
    if (ports_.journal == nullptr) {
      saved({});
      continue;
    }
    saving_ = true;
    ports_.journal->save(draft, [this, &loop = ports_.loop, life = std::weak_ptr<char>(life_),
                                 saved = std::move(saved)](Result<void> result) mutable {
      loop.post([this, life, saved = std::move(saved), result = std::move(result)]() mutable {
        if (life.expired()) return;
        saved(std::move(result));
        next_call();
      });
    });
  }
}

// What has happened, without a call; if it cannot be made durable, a restart finds it out anew.
void Job::persist() {
  if (ports_.journal == nullptr || std::exchange(persist_queued_, true)) return;
  call({});
}

void Job::save(Done done) {
  call({.what = {}, .prepare = {}, .apply = {}, .done = std::move(done)});
}

ports::JobRecord Job::snapshot() const {
  ports::JobRecord record = record_;
  if (final_) {
    record.state = *final_;
  } else if (const JobState now = state(); now == JobState::transferred) {
    record.state = now;
  } else if (now == JobState::error) {
    record.state = now;
    record.error = error();
  } else {
    record.state = running_ ? JobState::queued : JobState::suspended;
  }
  if (record.state != JobState::error) record.error.reset();
  record.files.clear();
  for (const File& file : files_) {
    ports::FileRecord& kept = record.files.emplace_back(file.record);
    const ports::FileRecord now = to_record(file.transfer->spec());
    kept.request = now.request;
    if (kept.metainfo == nullptr) kept.metainfo = now.metainfo;
    kept.digests = now.digests;
    kept.demanded_size = now.demanded_size;
    kept.found_urls = now.found_urls;
    kept.offered_manifests = now.offered_manifests;
    kept.metalink_url = now.metalink_url;
    file.transfer->record(kept);
  }
  return record;
}

Result<void> Job::check_new(const std::vector<FileSpec>& files,
                            std::optional<std::size_t> replaced) const {
  if (completing_) return fail(ErrorCode::invalid_state, "the job is being completed");
  const std::size_t kept = files_.size() - (replaced ? 1 : 0);
  if (kept + files.size() > settings_.files_per_job_max) {
    return fail(ErrorCode::too_many_files,
                "a job holds at most " + std::to_string(settings_.files_per_job_max) + " files");
  }
  std::vector<const FileSpec*> known;
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (i != replaced) known.push_back(&files_[i].transfer->spec());
  }
  for (const FileSpec& file : files) {
    if (auto ok = core::check_ranges(file.ranges, settings_.ranges_per_file_max); !ok) {
      return fail(ok.error().code, file.source + ": " + ok.error().message);
    }
    for (const FileSpec* other : known) {
      const bool same_id = !file.id.empty() && file.id == other->id;
      if (same_id || (file.destination == other->destination && !file.destination.ends_with('/'))) {
        return fail(ErrorCode::duplicate_file,
                    same_id ? "the job has a file \"" + file.id + "\" already"
                            : "the job has a file for " + file.destination + " already");
      }
    }
    known.push_back(&file);
  }
  return {};
}

void Job::add_files(std::vector<FileSpec> files, Done done) {
  auto specs = std::make_shared<std::vector<FileSpec>>(std::move(files));
  call({.what = JobCall::add_file,
        .prepare = [this, specs](ports::JobRecord& draft) -> Result<void> {
          if (auto ok = check_new(*specs); !ok) return ok;
          if (draft.state == JobState::transferred) draft.state = JobState::suspended;
          for (const FileSpec& spec : *specs) draft.files.push_back(to_record(spec));
          return {};
        },
        .apply =
            [this, specs] {
              if (state() == JobState::transferred) running_ = false;
              for (FileSpec& spec : *specs) {
                ports::FileRecord record = to_record(spec);
                add_transfer(std::move(spec), std::move(record));
              }
              update();
            },
        .done = std::move(done)});
}

void Job::add_transfer(FileSpec spec, ports::FileRecord record) {
  const core::Seed seed{core::mix64(seed_.value + files_.size() + 1)};
  spec.job = id();
  // Root runs jobs of others; for anybody else there is one user only.
  if (settings_.user_id == 0 && owner_uid() != 0) spec.owner = owner_uid();
  auto transfer = std::make_unique<Transfer>(ports_, settings_, context_.origins, context_.contents,
                                             std::move(spec), seed, [this] { update(); });
  transfer->set_foreground(record_.properties.priority == Priority::foreground);
  transfer->set_background(foreground_elsewhere_);
  transfer->expect(fetch_settings());
  transfer->restore(record);
  if (final_) transfer->disown();
  const bool complete = transfer->is_transferred();
  const bool known = transfer->knows_content();
  files_.push_back({.transfer = std::move(transfer),
                    .record = std::move(record),
                    .reported = complete,
                    .known = known});
}

void Job::resume(Done done) {
  call({.what = JobCall::resume,
        .prepare = [this](ports::JobRecord& draft) -> Result<void> {
          if (files_.empty()) return fail(ErrorCode::job_empty, "the job has no files");
          if (state() == JobState::transferred) return {};
          draft.state = JobState::queued;
          draft.error.reset();
          if (draft.first_resumed == 0) {
            draft.first_resumed = seconds_since_epoch(settings_.wall_clock());
          }
          return {};
        },
        .apply =
            [this] {
              if (state() == JobState::transferred) return;
              running_ = true;
              failed_.reset();
              watch_.resumed(ports_.loop.now());
              enter(JobState::queued);  // what it was before, it leaves by way of the queue only
              for (File& file : files_) {
                if (!settings_.run_jobs || file.dropped) continue;
                if (file.transfer->phase() != Phase::failed) continue;
                file.transfer->start(fetch_settings());
                break;  // one file at a time; update() goes on with the others
              }
              update();
              on_watch_timer();
            },
        .done = std::move(done)});
}

void Job::suspend(Done done) {
  call({.what = JobCall::suspend,
        .prepare = [this](ports::JobRecord& draft) -> Result<void> {
          const JobState now = state();
          if (now != JobState::transferred && now != JobState::error) {
            draft.state = JobState::suspended;
          }
          return {};
        },
        .apply =
            [this] {
              const JobState now = state();
              if (now == JobState::transferred || now == JobState::error) return;
              running_ = false;
              watch_.stopped();
              for (File& file : files_) {
                if (!file.transfer->is_transferred()) file.transfer->stop([] {});
              }
              update();
            },
        .done = std::move(done)});
}

void Job::cancel(Done done) {
  // While it is recorded nothing more comes from origins: what was cancelled is not worth the disk
  // and the processors, and the record has them for itself. A record that fails changes nothing.
  const auto hold = [this](bool held) {
    for (File& file : files_) file.transfer->hold_origins(held);
  };
  call({.what = JobCall::cancel,
        .prepare = [hold](ports::JobRecord& draft) -> Result<void> {
          hold(true);
          draft.state = JobState::cancelled;
          draft.purged = false;
          return {};
        },
        .apply =
            [this] {
              final_ = JobState::cancelled;
              running_ = false;
              watch_.stopped();
              sweep();
              update();
            },
        .done =
            [hold, done = std::move(done)](Result<void> result) mutable {
              if (!result) hold(false);
              done(std::move(result));
            }});
}

void Job::change(const JobChange& change, Done done) {
  call({.what = JobCall::change,
        .prepare = [change](ports::JobRecord& draft) -> Result<void> {
          auto changed = changed_properties(draft.properties, change);
          if (!changed) return tl::unexpected(changed.error());
          draft.properties = std::move(*changed);
          return {};
        },
        .apply =
            [this] {
              watch_.change(watch_settings());
              arm_watch();
              const bool foreground = record_.properties.priority == Priority::foreground;
              for (File& file : files_) {
                file.transfer->set_foreground(foreground);
                file.transfer->expect(fetch_settings());
              }
              report(false, std::nullopt);
              context_.on_state(*this);
            },
        .done = std::move(done)});
}

void Job::set_remote_name(FileId file, std::string url, Done done) {
  call({.what = JobCall::set_remote_name,
        .prepare = [this, file, url](ports::JobRecord& draft) -> Result<void> {
          if (completing_) return fail(ErrorCode::invalid_state, "the job is being completed");
          if (this->file(file) == nullptr) {
            return fail(ErrorCode::file_unavailable,
                        "the job has no file " + std::to_string(file.value));
          }
          const Transfer& transfer = *files_[file.value].transfer;
          if (transfer.is_transferred()) return {};
          FileSpec renamed = transfer.spec();
          rename_source(renamed, url);
          draft.files[file.value].request = to_record(renamed).request;
          return {};
        },
        .apply =
            [this, file, url] {
              Transfer& transfer = *files_[file.value].transfer;
              if (transfer.is_transferred()) return;
              transfer.set_source(url);
              // A file that is on its way goes on from the new place; one that failed waits.
              if (transfer.phase() == Phase::idle || transfer.phase() == Phase::failed) return;
              transfer.stop([this] { update(); });
            },
        .done = std::move(done)});
}

// ---- complete and cancel -----------------------------------------------------------------------

void Job::complete(Done done) {
  auto shared = std::make_shared<Done>(std::move(done));
  // A restart in between finds the job transferred, with the files that are there. Those that are
  // not are dropped for good, whatever becomes of the delivery of the others.
  call({.what = JobCall::complete,
        .prepare = [this](ports::JobRecord& draft) -> Result<void> {
          if (completing_) return fail(ErrorCode::invalid_state, "the job is being completed");
          draft.state = JobState::transferred;
          draft.error.reset();
          return {};
        },
        .apply = {},
        .done =
            [this, shared](Result<void> result) mutable {
              if (!result) return (*shared)(std::move(result));
              begin_complete(std::move(*shared));
            }});
}

void Job::begin_complete(Done done) {
  if (final_ || completing_) {
    return done(fail(ErrorCode::invalid_state, "the job was cancelled or is being completed"));
  }
  completing_ = std::move(done);
  running_ = false;
  failed_.reset();
  watch_.stopped();
  std::vector<Transfer*> unfinished;
  for (File& file : files_) {
    if (file.transfer->is_transferred()) continue;
    file.dropped = true;  // or was already, by an engine that may not have come to its pieces
    unfinished.push_back(file.transfer.get());
  }
  const auto one_less = countdown(unfinished.size() + 1, [this, life = std::weak_ptr<char>(life_)] {
    if (!life.expired()) deliver_from(0);
  });
  // Two of them may be of one content.
  for (Transfer* transfer : unfinished) transfer->disown();
  for (Transfer* transfer : unfinished) transfer->purge(one_less);
  one_less();
}

void Job::deliver_from(std::size_t index) {
  if (final_) return end_complete(fail(ErrorCode::cancelled, "the job was cancelled"));
  while (index < files_.size() &&
         (files_[index].dropped || files_[index].transfer->is_delivered())) {
    ++index;
  }
  if (index < files_.size()) {
    files_[index].transfer->deliver(fetch_settings(), [this, index](Result<void> result) {
      persist();
      if (result || final_) return deliver_from(index + 1);
      end_complete(std::move(result));
    });
    return;
  }
  call({.what = {},
        .prepare = [this](ports::JobRecord& draft) -> Result<void> {
          if (final_) return fail(ErrorCode::cancelled, "the job was cancelled");
          draft.state = JobState::acknowledged;
          return {};
        },
        .apply = [this] { final_ = JobState::acknowledged; },
        .done =
            [this](Result<void> result) {
              end_complete(std::move(result));
              if (final_ == JobState::acknowledged) sweep();
            }});
}

void Job::end_complete(Result<void> result) {
  Done done = std::exchange(completing_, {});
  persist();
  update();
  if (done) done(std::move(result));
}

// Nothing is left of a final job but its record: of a cancelled one no pieces either, of another
// what the cache keeps by itself.
void Job::sweep() {
  if (record_.purged) return context_.on_state(*this);
  const auto one_less = countdown(files_.size() + 1, [this, life = std::weak_ptr<char>(life_)] {
    if (life.expired()) return;
    call({.what = {},
          .prepare = [](ports::JobRecord& draft) -> Result<void> {
            draft.purged = true;
            return {};
          },
          .apply = [this] { context_.on_state(*this); },
          .done = [](const Result<void>&) {}});
  });
  for (File& file : files_) file.transfer->disown();  // two of them may be of one content
  for (File& file : files_) {
    if (final_ == JobState::cancelled) {
      file.transfer->purge(one_less);
    } else {
      file.transfer->forget_delivered(one_less);
    }
  }
  one_less();
}

void Job::close(ports::Task done) {
  closing_ = true;  // nothing is started any more; a job that runs goes on with the next engine
  progress_timer_->disarm();
  watch_timer_->disarm();
  persist();
  const auto one_less = countdown(files_.size() + 1, std::move(done));
  for (File& file : files_) file.transfer->stop(one_less);
  one_less();
}

}  // namespace lanward::jobs
