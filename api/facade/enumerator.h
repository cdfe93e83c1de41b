// Enumerators: the identifiers are those of the moment of making, the objects are made on the way.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <lanward/job.h>

#include "api/facade/com_object.h"
#include "api/facade/file_object.h"
#include "api/facade/job_object.h"
#include "api/facade/session.h"

namespace lanward::facade {

// Make: HRESULT operator()(const Id&, Item**) const.
template <class Interface, class Item, class Id, class Make>
class Enumerator final : public ComObject<Enumerator<Interface, Item, Id, Make>, Interface> {
 public:
  Enumerator(std::vector<Id> ids, Make make, const IID& iid, std::size_t position = 0)
      : ids_(std::move(ids)), make_(std::move(make)), iid_(iid), position_(position) {}
  virtual ~Enumerator() = default;

  [[nodiscard]] void* find(REFIID iid) {
    return iid == IID_IUnknown || iid == iid_ ? static_cast<Interface*>(this) : nullptr;
  }

  HRESULT Next(ULONG count, Item** items, ULONG* fetched) override {
    if (items == nullptr) return E_POINTER;
    if (fetched == nullptr && count != 1) return E_INVALIDARG;  // as published
    const std::lock_guard lock(mutex_);
    ULONG made = 0;
    HRESULT result = S_OK;
    for (; made < count && position_ < ids_.size(); ++position_) {
      result = make_(ids_[position_], &items[made]);
      if (result == S_FALSE) continue;  // gone meanwhile
      if (FAILED(result)) break;
      ++made;
    }
    if (FAILED(result)) {
      while (made > 0) items[--made]->Release();
    }
    if (fetched != nullptr) *fetched = made;
    if (FAILED(result)) return result;
    return made == count ? S_OK : S_FALSE;
  }
  HRESULT Skip(ULONG count) override {
    const std::lock_guard lock(mutex_);
    const std::size_t left = ids_.size() - position_;
    position_ += std::min<std::size_t>(count, left);
    return count <= left ? S_OK : S_FALSE;
  }
  HRESULT Reset() override {
    const std::lock_guard lock(mutex_);
    position_ = 0;
    return S_OK;
  }
  HRESULT Clone(Interface** copy) override {
    if (copy == nullptr) return E_POINTER;
    const std::lock_guard lock(mutex_);
    *copy = new Enumerator(ids_, make_, iid_, position_);
    return S_OK;
  }
  HRESULT GetCount(ULONG* count) override {
    if (count == nullptr) return E_POINTER;
    *count = static_cast<ULONG>(ids_.size());
    return S_OK;
  }

 private:
  const std::vector<Id> ids_;
  const Make make_;
  const IID iid_;
  std::mutex mutex_;
  std::size_t position_;
};

struct FileMaker {
  std::shared_ptr<Session> session;
  Job job;
  HRESULT operator()(const FileId& id, IBackgroundCopyFile** file) const {
    *file = new FileObject(session, job, id);
    return S_OK;
  }
};

struct JobMaker {
  std::shared_ptr<Session> session;
  HRESULT operator()(const JobId& id, IBackgroundCopyJob** job) const {
    auto native = session->engine().get_job(id);
    if (!native) return S_FALSE;
    *job = new JobObject(session, std::move(*native));
    return S_OK;
  }
};

using FileEnumerator = Enumerator<IEnumBackgroundCopyFiles, IBackgroundCopyFile, FileId, FileMaker>;
using JobEnumerator = Enumerator<IEnumBackgroundCopyJobs, IBackgroundCopyJob, JobId, JobMaker>;

}  // namespace lanward::facade
