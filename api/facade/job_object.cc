// Files and life cycle of a job.
#include "api/facade/job_object.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/facade/enumerator.h"
#include "api/facade/error_object.h"
#include "api/facade/file_object.h"
#include "api/facade/text.h"

namespace lanward::facade {
namespace {

// Of a file with a place. E_INVALIDARG for names that are empty, relative or no text.
HRESULT read_names(LPCWSTR remote_url, LPCWSTR local_name, FileRequest* request) {
  const auto source = to_utf8(remote_url);
  const auto destination = to_utf8(local_name);
  if (!source || source->empty() || !destination) return E_INVALIDARG;
  if (destination->empty() || destination->front() != '/') return E_INVALIDARG;
  request->source = *source;
  request->destination = *destination;
  return S_OK;
}

HRESULT read_id(LPCWSTR file_id, FileRequest* request) {
  const auto id = to_utf8(file_id);
  if (!id || id->empty()) return E_INVALIDARG;
  request->id = *id;
  return S_OK;
}

HRESULT read_ranges(DWORD count, const BG_FILE_RANGE* ranges, FileRequest* request) {
  if (count > 0 && ranges == nullptr) return E_INVALIDARG;
  for (DWORD i = 0; i < count; ++i) {
    // To the end: the same number in both.
    request->ranges.push_back({ranges[i].InitialOffset, ranges[i].Length});
  }
  return S_OK;
}

void apply_peer_flags(DWORD flags, FileRequest* request) {
  request->use_peers = (flags & BG_JOB_ENABLE_PEERCACHING_CLIENT) != 0;
  request->share_after_complete = (flags & BG_JOB_ENABLE_PEERCACHING_SERVER) != 0;
}

}  // namespace

void* JobObject::find(REFIID iid) {
  // Each of these begins with the one before it, so that they share a table.
  for (const IID& base :
       {IID_IUnknown, IID_IBackgroundCopyJob, IID_IBackgroundCopyJob2, IID_IBackgroundCopyJob3,
        IID_IBackgroundCopyJob4, IID_IBackgroundCopyJob5}) {
    if (iid == base) return static_cast<IBackgroundCopyJob5*>(this);
  }
  if (iid == IID_IDeliveryOptimizationJob) return static_cast<IDeliveryOptimizationJob*>(this);
  if (iid == IID_IDeliveryOptimizationJob2) return static_cast<IDeliveryOptimizationJob2*>(this);
  return nullptr;
}

HRESULT JobObject::add(FileRequest request, DWORD range_count, const BG_FILE_RANGE* ranges) {
  if (const HRESULT result = read_ranges(range_count, ranges, &request); FAILED(result)) {
    return result;
  }
  apply_peer_flags(session_->peer_flags(job_.id()), &request);
  return to_hresult(job_.add_file(request));
}

HRESULT JobObject::AddFileSet(ULONG count, BG_FILE_INFO* files) {
  if (count == 0 || files == nullptr) return E_INVALIDARG;
  const DWORD flags = session_->peer_flags(job_.id());
  std::vector<FileRequest> requests(count);
  for (ULONG i = 0; i < count; ++i) {
    const HRESULT result = read_names(files[i].RemoteName, files[i].LocalName, &requests[i]);
    if (FAILED(result)) return result;
    apply_peer_flags(flags, &requests[i]);
  }
  return to_hresult(job_.add_files(requests));
}

HRESULT JobObject::AddFile(LPCWSTR remote_url, LPCWSTR local_name) {
  return AddFileWithRanges(remote_url, local_name, 0, nullptr);
}

HRESULT JobObject::AddFileWithRanges(LPCWSTR remote_url, LPCWSTR local_name, DWORD range_count,
                                     BG_FILE_RANGE ranges[]) {
  FileRequest request;
  const HRESULT result = read_names(remote_url, local_name, &request);
  return FAILED(result) ? result : add(std::move(request), range_count, ranges);
}

// The size is not needed: the engine finds it out and does not trust what it is told.
HRESULT JobObject::AddFileWithRanges(LPCWSTR file_id, LPCWSTR remote_url, LPCWSTR local_name,
                                     DWORD range_count, BG_FILE_RANGE ranges[], UINT64) {
  FileRequest request;
  if (const HRESULT result = read_id(file_id, &request); FAILED(result)) return result;
  const HRESULT result = read_names(remote_url, local_name, &request);
  return FAILED(result) ? result : add(std::move(request), range_count, ranges);
}

HRESULT JobObject::AddFile(LPCWSTR file_id, LPCWSTR remote_url, DWORD range_count,
                           BG_FILE_RANGE ranges[], REFIID riid, void** object) {
  if (object == nullptr) return E_POINTER;
  *object = nullptr;
  auto slot = std::make_shared<FileSlot>();
  if (const HRESULT result = read_id(file_id, &slot->request); FAILED(result)) return result;
  if (remote_url == nullptr) return DO_E_DOWNLOAD_NO_URI;
  const auto source = to_utf8(remote_url);
  if (!source || source->empty()) return E_INVALIDARG;
  slot->request.source = *source;
  const HRESULT result = read_ranges(range_count, ranges, &slot->request);
  if (FAILED(result)) return result;
  const auto state = job_.state();
  if (!state) return to_hresult(state);
  if (*state == JobState::acknowledged || *state == JobState::cancelled) return DO_E_INVALID_STATE;
  const auto file = ComPtr<FileObject>::adopt(new FileObject(session_, job_, slot));
  if (const HRESULT found = file->QueryInterface(riid, object); FAILED(found)) return found;
  if (session_->add_unplaced(job_.id(), std::move(slot))) return S_OK;
  file->Release();  // the reference in *object
  *object = nullptr;
  return BG_E_TOO_MANY_FILES_IN_JOB;
}

HRESULT JobObject::EnumFiles(IEnumBackgroundCopyFiles** files) {
  if (files == nullptr) return E_POINTER;
  *files = nullptr;
  const auto all = job_.files();
  if (!all) return to_hresult(all);
  std::vector<FileId> ids;
  for (const FileStatus& file : *all) ids.push_back(file.file);
  *files =
      new FileEnumerator(std::move(ids), FileMaker{session_, job_}, IID_IEnumBackgroundCopyFiles);
  return S_OK;
}

HRESULT JobObject::Suspend() { return to_hresult(job_.suspend()); }

HRESULT JobObject::Resume() {
  if (session_->has_unplaced(job_.id())) return DO_E_FILE_DOWNLOADSINK_UNSPECIFIED;
  return to_hresult(job_.resume());
}

HRESULT JobObject::Cancel() {
  const auto cancelled = job_.cancel();
  if (!cancelled) return to_hresult(cancelled);
  session_->forget(job_.id());
  return S_OK;
}

HRESULT JobObject::Complete() {
  const auto completed = job_.complete();
  if (!completed) return to_hresult(completed);
  session_->forget(job_.id());
  const auto files = job_.files();
  const bool all = !files || std::all_of(files->begin(), files->end(),
                                         [](const FileStatus& file) { return file.completed; });
  return all ? S_OK : BG_S_PARTIAL_COMPLETE;
}

HRESULT JobObject::GetError(IBackgroundCopyError** error) {
  if (error == nullptr) return E_POINTER;
  *error = nullptr;
  auto cause = job_.error();
  if (!cause) return to_hresult(cause);
  if (!*cause) return DO_E_ERROR_INFORMATION_UNAVAILABLE;
  *error = new ErrorObject(session_, job_, std::move(**cause));
  return S_OK;
}

// What BITS has and this service has not: programs to start, replies of uploads, credentials, and
// lists of access rights.
HRESULT JobObject::TakeOwnership() { return E_NOTIMPL; }
HRESULT JobObject::SetNotifyCmdLine(LPCWSTR, LPCWSTR) { return E_NOTIMPL; }
HRESULT JobObject::GetNotifyCmdLine(LPWSTR*, LPWSTR*) { return E_NOTIMPL; }
HRESULT JobObject::GetReplyProgress(BG_JOB_REPLY_PROGRESS*) { return E_NOTIMPL; }
HRESULT JobObject::GetReplyData(BYTE**, UINT64*) { return E_NOTIMPL; }
HRESULT JobObject::SetReplyFileName(LPCWSTR) { return E_NOTIMPL; }
HRESULT JobObject::GetReplyFileName(LPWSTR*) { return E_NOTIMPL; }
HRESULT JobObject::SetCredentials(BG_AUTH_CREDENTIALS*) { return E_NOTIMPL; }
HRESULT JobObject::RemoveCredentials(BG_AUTH_TARGET, BG_AUTH_SCHEME) { return E_NOTIMPL; }
HRESULT JobObject::ReplaceRemotePrefix(LPCWSTR, LPCWSTR) { return E_NOTIMPL; }
HRESULT JobObject::SetFileACLFlags(DWORD) { return E_NOTIMPL; }
HRESULT JobObject::GetFileACLFlags(DWORD*) { return E_NOTIMPL; }
HRESULT JobObject::GetOwnerIntegrityLevel(ULONG*) { return E_NOTIMPL; }
HRESULT JobObject::GetOwnerElevationState(BOOL*) { return E_NOTIMPL; }

}  // namespace lanward::facade
