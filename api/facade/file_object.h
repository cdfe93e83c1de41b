// A file of a job.
#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include <lanward/job.h>

#include "api/facade/com_object.h"
#include "api/facade/session.h"

namespace lanward::facade {

// A file that was added without a place to go to is not yet one of the engine's: what is known of
// it waits here until DownloadSinkFilePath is set.
struct FileSlot {
  std::mutex mutex;
  std::optional<FileId> file;  // once it is the engine's
  FileRequest request;
  std::optional<UINT64> size;  // as the program told it
};

// Errors: those of Job::files(), file_unavailable.
[[nodiscard]] Result<FileStatus> file_status(const Job& job, FileId file);

class FileObject final : public ComObject<FileObject, IBackgroundCopyFile5,
                                          IDeliveryOptimizationFile, IDeliveryOptimizationFile2> {
 public:
  FileObject(std::shared_ptr<Session> session, Job job, FileId file);
  // Of a file without a place.
  FileObject(std::shared_ptr<Session> session, Job job, std::shared_ptr<FileSlot> slot)
      : session_(std::move(session)), job_(std::move(job)), slot_(std::move(slot)) {}
  virtual ~FileObject() = default;

  [[nodiscard]] void* find(REFIID iid);

  HRESULT GetRemoteName(LPWSTR* name) override;
  HRESULT GetLocalName(LPWSTR* name) override;
  HRESULT GetProgress(BG_FILE_PROGRESS* progress) override;
  HRESULT GetFileRanges(DWORD* count, BG_FILE_RANGE** ranges) override;
  HRESULT SetRemoteName(LPCWSTR url) override;
  HRESULT GetTemporaryName(LPWSTR* name) override;
  HRESULT SetValidationState(BOOL state) override;
  HRESULT GetValidationState(BOOL* state) override;
  HRESULT IsDownloadedFromPeer(BOOL* from_peer) override;
  HRESULT GetPeerDownloadStats(UINT64* from_origin, UINT64* from_peers) override;
  HRESULT SetProperty(BITS_FILE_PROPERTY_ID id, BITS_FILE_PROPERTY_VALUE value) override;
  HRESULT GetProperty(BITS_FILE_PROPERTY_ID id, BITS_FILE_PROPERTY_VALUE* value) override;

  HRESULT GetStats(DOSwarmStats* stats) override;

  HRESULT GetProperty(DOFilePropertyId id, VARIANT* value) override;
  HRESULT SetProperty(DOFilePropertyId id, const VARIANT* value) override;

 private:
  [[nodiscard]] std::optional<FileId> id() const;
  [[nodiscard]] Result<FileStatus> status() const;
  [[nodiscard]] Result<SwarmStats> stats() const;
  HRESULT set_path(const VARIANT& value);
  HRESULT set_before_placed(DOFilePropertyId id, const VARIANT& value);

  std::shared_ptr<Session> session_;
  Job job_;
  std::shared_ptr<FileSlot> slot_;
};

}  // namespace lanward::facade
