#include "api/facade/notifier.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <optional>
#include <thread>
#include <tuple>
#include <utility>

#include "api/facade/error_object.h"
#include "api/facade/file_object.h"
#include "api/facade/job_object.h"
#include "api/facade/session.h"

namespace lanward::facade {
namespace {

using Clock = std::chrono::steady_clock;

enum class Kind : std::uint8_t { file_transferred, modification, transferred, error };

struct Key {
  JobId job;
  Kind kind;
  FileId file;  // of file_transferred
  friend auto operator<=>(const Key&, const Key&) = default;
};

struct Pending {
  Clock::time_point due{};
  std::uint64_t order = 0;  // in which they happened
  unsigned tries = 0;
  std::optional<JobError> error = {};
};

struct Registration {
  ComPtr<IUnknown> object;
  ComPtr<IBackgroundCopyCallback> callback;
  ComPtr<IBackgroundCopyCallback2> callback2;  // empty: files are not told
  ULONG flags = 0;
  std::uint64_t serial = 0;  // tells it from the one before it
  bool final = false;        // nothing more will happen to the job
};

std::chrono::milliseconds retry_delay(unsigned tries) {
  auto delay = kFirstRetryDelay;
  for (unsigned i = 1; i < tries && delay < kRetryDelayMax; ++i) delay *= 2;
  return std::min(delay, kRetryDelayMax);
}

// Whether what failed to be told is still so.
bool still_true(Session& session, const Key& key) {
  const auto job = session.engine().get_job(key.job);
  if (!job) return false;
  const auto state = job->state();
  if (!state) return false;
  if (key.kind == Kind::transferred) return *state == JobState::transferred;
  if (key.kind == Kind::error) return *state == JobState::error;
  return true;
}

HRESULT call(const std::shared_ptr<Session>& session, const Registration& who, const Key& key,
             const Pending& what) {
  const auto native = session->engine().get_job(key.job);
  if (!native) return S_OK;  // gone: nobody is interested any more
  const auto job = ComPtr<JobObject>::adopt(new JobObject(session, *native));
  switch (key.kind) {
    case Kind::file_transferred: {
      const auto file = ComPtr<FileObject>::adopt(new FileObject(session, *native, key.file));
      return who.callback2->FileTransferred(job.get(), file.get());
    }
    case Kind::modification:
      return who.callback->JobModification(job.get(), 0);
    case Kind::transferred:
      return who.callback->JobTransferred(job.get());
    case Kind::error: {
      const auto error = ComPtr<ErrorObject>::adopt(
          new ErrorObject(session, *native, what.error.value_or(JobError{})));
      return who.callback->JobError(job.get(), error.get());
    }
  }
  return S_OK;
}

}  // namespace

struct Notifier::State {
  std::weak_ptr<Session> session;
  std::mutex mutex;
  std::condition_variable changed;
  std::map<JobId, Registration> registrations;
  std::map<Key, Pending> pending;
  std::uint64_t next_order = 0;
  std::uint64_t next_serial = 0;
  bool stopping = false;
  std::optional<JobId> calling;  // whose callback is being called
  std::thread thread;  // started with the first callback; touched by calls of the owner only

  // The rest needs the mutex.
  void note(const JobId& job, Kind kind, FileId file, std::optional<JobError> error) {
    auto& entry = pending[Key{job, kind, file}];
    entry = {.due = Clock::now(), .order = next_order++, .error = std::move(error)};
    changed.notify_all();
  }
  void note(const JobEvent& event) {
    const auto found = registrations.find(event.job);
    if (stopping || found == registrations.end()) return;
    const ULONG flags = found->second.flags;
    if ((flags & BG_NOTIFY_DISABLE) != 0) return;
    if (event.file_transferred && (flags & BG_NOTIFY_FILE_TRANSFERRED) != 0 &&
        found->second.callback2) {
      note(event.job, Kind::file_transferred, *event.file_transferred, {});
    }
    if (event.state_changed && event.state == JobState::transferred) {
      if ((flags & BG_NOTIFY_JOB_TRANSFERRED) != 0) note(event.job, Kind::transferred, {}, {});
    } else if (event.state_changed && event.state == JobState::error) {
      if ((flags & BG_NOTIFY_JOB_ERROR) != 0) note(event.job, Kind::error, {}, event.error);
    } else if ((flags & BG_NOTIFY_JOB_MODIFICATION) != 0) {
      note(event.job, Kind::modification, {}, {});
    }
    if (event.state == JobState::acknowledged || event.state == JobState::cancelled) {
      found->second.final = true;
      changed.notify_all();
    }
  }
  void drop_pending(const JobId& job) {
    std::erase_if(pending, [&job](const auto& entry) { return entry.first.job == job; });
  }
  auto next() {
    return std::min_element(pending.begin(), pending.end(), [](const auto& a, const auto& b) {
      return std::tie(a.second.due, a.second.order) < std::tie(b.second.due, b.second.order);
    });
  }
  // What is due now.
  std::optional<std::pair<Key, Pending>> take_due() {
    const auto first = next();
    if (first == pending.end() || first->second.due > Clock::now()) return std::nullopt;
    auto taken = pending.extract(first);
    return std::pair{taken.key(), std::move(taken.mapped())};
  }
  // A registration whose job is final. What could not be told of it is not told any more.
  std::optional<Registration> take_final() {
    const auto found = std::find_if(registrations.begin(), registrations.end(),
                                    [](const auto& entry) { return entry.second.final; });
    if (found == registrations.end()) return std::nullopt;
    drop_pending(found->first);
    return std::move(registrations.extract(found).mapped());
  }
  void wait(std::unique_lock<std::mutex>& lock) {
    if (const auto first = next(); first == pending.end()) {
      changed.wait(lock);
    } else {
      changed.wait_until(lock, Clock::time_point(first->second.due));
    }
  }
  void retry(const Key& key, Pending what, std::uint64_t serial) {
    const auto found = registrations.find(key.job);
    if (stopping || found == registrations.end() || found->second.serial != serial) return;
    if (++what.tries >= kCallbackTriesMax) return;
    what.due = Clock::now() + retry_delay(what.tries);
    pending.try_emplace(key, std::move(what));  // unless it has happened again meanwhile
  }
  void tell(std::unique_lock<std::mutex>& lock, const Key& key, Pending what) {
    const auto found = registrations.find(key.job);
    if (found == registrations.end()) return;
    std::optional<Registration> who = found->second;
    const std::uint64_t serial = who->serial;
    calling = key.job;
    lock.unlock();
    HRESULT result = S_OK;
    // The program may let go of everything inside the call: then the session and this notifier end
    // here, before the lock is taken again.
    if (auto alive = session.lock()) {
      if (what.tries == 0 || still_true(*alive, key)) result = call(alive, *who, key, what);
      who.reset();  // before the session, which may end with `alive`
    }
    who.reset();
    lock.lock();
    calling.reset();
    changed.notify_all();
    if (result != S_OK) retry(key, std::move(what), serial);
  }
};

Notifier::Notifier(std::weak_ptr<Session> session) : state_(std::make_shared<State>()) {
  state_->session = std::move(session);
}

Notifier::~Notifier() {
  std::map<JobId, Registration> released;  // outside the lock: the program's code runs
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
    state_->pending.clear();
    released.swap(state_->registrations);
    state_->changed.notify_all();
  }
  if (!state_->thread.joinable()) return;
  if (state_->thread.get_id() == std::this_thread::get_id()) {
    state_->thread.detach();  // it ends when the call that brought us here returns
  } else {
    state_->thread.join();
  }
}

HRESULT Notifier::set_callback(const JobId& job, IUnknown* object, ULONG flags) {
  Registration registration{.object = ComPtr<IUnknown>(object), .flags = flags};
  void* found = nullptr;
  const HRESULT result = object->QueryInterface(IID_IBackgroundCopyCallback, &found);
  if (FAILED(result)) return result;
  registration.callback =
      ComPtr<IBackgroundCopyCallback>::adopt(static_cast<IBackgroundCopyCallback*>(found));
  if (SUCCEEDED(object->QueryInterface(IID_IBackgroundCopyCallback2, &found))) {
    registration.callback2 =
        ComPtr<IBackgroundCopyCallback2>::adopt(static_cast<IBackgroundCopyCallback2*>(found));
  }
  const std::lock_guard lock(state_->mutex);
  registration.serial = state_->next_serial++;
  state_->drop_pending(job);
  std::swap(state_->registrations[job], registration);  // the old one is released after the lock
  if (!state_->thread.joinable()) {
    state_->thread = std::thread([state = state_] { run(state); });
  }
  return S_OK;
}

void Notifier::clear_callback(const JobId& job) {
  Registration released;  // after the lock
  std::unique_lock lock(state_->mutex);
  state_->drop_pending(job);
  if (const auto found = state_->registrations.find(job); found != state_->registrations.end()) {
    std::swap(found->second, released);
    state_->registrations.erase(found);
  }
  if (state_->thread.get_id() == std::this_thread::get_id()) return;
  state_->changed.wait(lock, [&] { return state_->calling != job; });
}

void Notifier::set_flags(const JobId& job, ULONG flags) {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->registrations.find(job);
  if (found != state_->registrations.end()) found->second.flags = flags;
}

void Notifier::end(const JobId& job) {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->registrations.find(job);
  if (found == state_->registrations.end()) return;
  constexpr ULONG kTold = BG_NOTIFY_JOB_MODIFICATION;
  if ((found->second.flags & (kTold | BG_NOTIFY_DISABLE)) == kTold) return;
  found->second.final = true;
  state_->changed.notify_all();
}

ComPtr<IUnknown> Notifier::callback(const JobId& job) const {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->registrations.find(job);
  return found != state_->registrations.end() ? found->second.object : ComPtr<IUnknown>();
}

JobCallback Notifier::listener() const {
  return [state = state_](const JobEvent& event) {
    const std::lock_guard lock(state->mutex);
    state->note(event);
  };
}

void Notifier::run(const std::shared_ptr<State>& state) {
  std::unique_lock lock(state->mutex);
  while (!state->stopping) {
    if (auto due = state->take_due()) {
      state->tell(lock, due->first, std::move(due->second));
    } else if (auto released = state->take_final()) {
      lock.unlock();
      released.reset();  // the program's code runs
      lock.lock();
    } else {
      state->wait(lock);
    }
  }
}

}  // namespace lanward::facade
