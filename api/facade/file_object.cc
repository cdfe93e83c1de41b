#include "api/facade/file_object.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "api/facade/text.h"

namespace lanward::facade {
namespace {

constexpr std::size_t kRemoteNameMax = 2200;  // characters, as published

// As long as a file has no place nothing of it has been asked for.
Error not_placed() { return {ErrorCode::no_sink, "the file has no path yet: set one first"}; }

UINT to_milliseconds(std::chrono::milliseconds duration) {
  constexpr std::int64_t kMax = std::numeric_limits<UINT>::max();
  return static_cast<UINT>(std::clamp<std::int64_t>(duration.count(), 0, kMax));
}

void copy_figures(const SwarmStats& from, DOSwarmStats* to) {
  to->fileSize = from.file_bytes;
  to->totalBytesDownloaded = from.downloaded_bytes;
  to->bytesFromLanPeers = from.from_lan_peers_bytes;
  to->bytesFromGroupPeers = from.from_group_peers_bytes;
  to->bytesFromInternetPeers = from.from_internet_peers_bytes;
  to->bytesFromHttp = from.from_http_bytes;
  to->bytesFromDoinc = from.from_cache_host_bytes;
  to->bytesToLanPeers = from.to_lan_peers_bytes;
  to->bytesToGroupPeers = from.to_group_peers_bytes;
  to->bytesToInternetPeers = from.to_internet_peers_bytes;
  to->httpConnectionCount = from.http_connections;
  to->doincConnectionCount = from.cache_host_connections;
  to->lanConnectionCount = from.lan_connections;
  to->groupConnectionCount = from.group_connections;
  to->internetConnectionCount = from.internet_connections;
  to->downloadDuration = to_milliseconds(from.duration);
  to->downloadMode = static_cast<::DownloadMode>(from.mode);
  to->status = static_cast<::SwarmStatus>(from.status);
}

}  // namespace

Result<FileStatus> file_status(const Job& job, FileId file) {
  auto files = job.files();
  if (!files) return tl::unexpected(files.error());
  const auto found = std::find_if(files->begin(), files->end(),
                                  [file](const FileStatus& entry) { return entry.file == file; });
  if (found == files->end()) return fail(ErrorCode::file_unavailable, "the job has no such file");
  return std::move(*found);
}

FileObject::FileObject(std::shared_ptr<Session> session, Job job, FileId file)
    : session_(std::move(session)), job_(std::move(job)), slot_(std::make_shared<FileSlot>()) {
  slot_->file = file;
}

void* FileObject::find(REFIID iid) {
  // Each of these begins with the one before it, so that they share a table.
  for (const IID& base :
       {IID_IUnknown, IID_IBackgroundCopyFile, IID_IBackgroundCopyFile2, IID_IBackgroundCopyFile3,
        IID_IBackgroundCopyFile4, IID_IBackgroundCopyFile5}) {
    if (iid == base) return static_cast<IBackgroundCopyFile5*>(this);
  }
  if (iid == IID_IDeliveryOptimizationFile) return static_cast<IDeliveryOptimizationFile*>(this);
  if (iid == IID_IDeliveryOptimizationFile2) return static_cast<IDeliveryOptimizationFile2*>(this);
  return nullptr;
}

std::optional<FileId> FileObject::id() const {
  const std::lock_guard lock(slot_->mutex);
  return slot_->file;
}

Result<FileStatus> FileObject::status() const {
  if (const auto file = id()) return file_status(job_, *file);
  const std::lock_guard lock(slot_->mutex);
  FileStatus waiting;
  waiting.id = slot_->request.id;
  waiting.source = slot_->request.source;
  waiting.ranges = slot_->request.ranges;
  return waiting;
}

Result<SwarmStats> FileObject::stats() const {
  const auto file = id();
  if (!file) return tl::unexpected(not_placed());
  return job_.swarm_stats(*file);
}

HRESULT FileObject::GetRemoteName(LPWSTR* name) {
  if (name == nullptr) return E_POINTER;
  const auto file = status();
  return file ? give_text(file->source, name) : to_hresult(file);
}

HRESULT FileObject::GetLocalName(LPWSTR* name) {
  if (name == nullptr) return E_POINTER;
  const auto file = status();
  return file ? give_text(file->destination, name) : to_hresult(file);
}

HRESULT FileObject::GetProgress(BG_FILE_PROGRESS* progress) {
  if (progress == nullptr) return E_POINTER;
  const auto file = status();
  if (!file) return to_hresult(file);
  *progress = {.BytesTotal = file->total_known ? file->total_bytes : DO_UNKNOWN_FILE_SIZE,
               .BytesTransferred = file->verified_bytes,
               .Completed = file->completed ? TRUE : FALSE};
  return S_OK;
}

HRESULT FileObject::GetFileRanges(DWORD* count, BG_FILE_RANGE** ranges) {
  if (count == nullptr || ranges == nullptr) return E_POINTER;
  *count = 0;
  *ranges = nullptr;
  const auto file = status();
  if (!file) return to_hresult(file);
  if (file->ranges.empty()) return S_FALSE;
  auto* copy =
      static_cast<BG_FILE_RANGE*>(CoTaskMemAlloc(file->ranges.size() * sizeof(BG_FILE_RANGE)));
  if (copy == nullptr) return E_OUTOFMEMORY;
  std::transform(file->ranges.begin(), file->ranges.end(), copy, [](const ByteRange& range) {
    return BG_FILE_RANGE{range.offset, range.length};  // to the end: the same number in both
  });
  *count = static_cast<DWORD>(file->ranges.size());
  *ranges = copy;
  return S_OK;
}

HRESULT FileObject::SetRemoteName(LPCWSTR url) {
  const auto text = to_utf8(url);
  if (!text || std::u16string_view(url).size() > kRemoteNameMax) return E_INVALIDARG;
  if (const auto file = id()) return to_hresult(job_.set_remote_name(*file, *text));
  const std::lock_guard lock(slot_->mutex);
  slot_->request.source = *text;
  return S_OK;
}

// Bytes are in the piece cache until they are delivered; there is no file to point to.
HRESULT FileObject::GetTemporaryName(LPWSTR*) { return E_NOTIMPL; }

// Files are verified by the engine, not by the program.
HRESULT FileObject::SetValidationState(BOOL) { return E_NOTIMPL; }
HRESULT FileObject::GetValidationState(BOOL*) { return E_NOTIMPL; }

HRESULT FileObject::IsDownloadedFromPeer(BOOL* from_peer) {
  if (from_peer == nullptr) return E_POINTER;
  UINT64 from_origin = 0;
  UINT64 from_peers = 0;
  const HRESULT result = GetPeerDownloadStats(&from_origin, &from_peers);
  *from_peer = from_peers > 0 ? TRUE : FALSE;
  return result;
}

HRESULT FileObject::GetPeerDownloadStats(UINT64* from_origin, UINT64* from_peers) {
  if (from_origin == nullptr || from_peers == nullptr) return E_POINTER;
  const auto figures = stats();
  if (!figures) return to_hresult(figures);
  *from_origin = figures->from_http_bytes + figures->from_cache_host_bytes;
  *from_peers = figures->from_lan_peers_bytes + figures->from_group_peers_bytes +
                figures->from_internet_peers_bytes;
  return S_OK;
}

HRESULT FileObject::SetProperty(BITS_FILE_PROPERTY_ID id, BITS_FILE_PROPERTY_VALUE) {
  return id == BITS_FILE_PROPERTY_ID_HTTP_RESPONSE_HEADERS ? DO_E_READ_ONLY_PROPERTY
                                                           : DO_E_UNKNOWN_PROPERTY_ID;
}

HRESULT FileObject::GetProperty(BITS_FILE_PROPERTY_ID property, BITS_FILE_PROPERTY_VALUE* value) {
  if (value == nullptr) return E_POINTER;
  value->String = nullptr;
  if (property != BITS_FILE_PROPERTY_ID_HTTP_RESPONSE_HEADERS) return DO_E_UNKNOWN_PROPERTY_ID;
  const auto file = id();
  if (!file) return give_text("", &value->String);
  const auto headers = job_.response_headers(*file);
  return headers ? give_text(*headers, &value->String) : to_hresult(headers);
}

HRESULT FileObject::GetStats(DOSwarmStats* out) {
  if (out == nullptr) return E_POINTER;
  *out = {};
  const auto file = status();
  if (!file) return to_hresult(file);
  const auto figures = stats();
  if (!figures) return to_hresult(figures);
  const auto job = job_.status();
  if (!job) return to_hresult(job);
  copy_figures(*figures, out);
  // Published is what kind of transfer it is, not whether it makes room for another at the moment.
  out->isBackground = job->properties.priority == Priority::foreground ? FALSE : TRUE;
  // Published is the id that the program gave; a file without one has that of its content.
  const HRESULT result = give_text(file->id.empty() ? figures->file_id : file->id, &out->fileId);
  if (FAILED(result)) return result;
  return give_text(figures->source_url, &out->sourceURL);
}

}  // namespace lanward::facade
