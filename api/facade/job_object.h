// A job: each method is one call of lanward::Job, with its arguments and its answer translated.
#pragma once

#include <memory>
#include <utility>

#include <lanward/job.h>

#include "api/facade/com_object.h"
#include "api/facade/session.h"

namespace lanward::facade {

class JobObject final : public ComObject<JobObject, IBackgroundCopyJob5, IDeliveryOptimizationJob,
                                         IDeliveryOptimizationJob2> {
 public:
  JobObject(std::shared_ptr<Session> session, Job job)
      : session_(std::move(session)), job_(std::move(job)) {}
  virtual ~JobObject() = default;

  [[nodiscard]] void* find(REFIID iid);

  // IBackgroundCopyJob
  HRESULT AddFileSet(ULONG count, BG_FILE_INFO* files) override;
  HRESULT AddFile(LPCWSTR remote_url, LPCWSTR local_name) override;
  HRESULT EnumFiles(IEnumBackgroundCopyFiles** files) override;
  HRESULT Suspend() override;
  HRESULT Resume() override;
  HRESULT Cancel() override;
  HRESULT Complete() override;
  HRESULT GetId(GUID* id) override;
  HRESULT GetType(BG_JOB_TYPE* type) override;
  HRESULT GetProgress(BG_JOB_PROGRESS* progress) override;
  HRESULT GetTimes(BG_JOB_TIMES* times) override;
  HRESULT GetState(BG_JOB_STATE* state) override;
  HRESULT GetError(IBackgroundCopyError** error) override;
  HRESULT GetOwner(LPWSTR* owner) override;
  HRESULT SetDisplayName(LPCWSTR name) override;
  HRESULT GetDisplayName(LPWSTR* name) override;
  HRESULT SetDescription(LPCWSTR text) override;
  HRESULT GetDescription(LPWSTR* text) override;
  HRESULT SetPriority(BG_JOB_PRIORITY priority) override;
  HRESULT GetPriority(BG_JOB_PRIORITY* priority) override;
  HRESULT SetNotifyFlags(ULONG flags) override;
  HRESULT GetNotifyFlags(ULONG* flags) override;
  HRESULT SetNotifyInterface(IUnknown* callback) override;
  HRESULT GetNotifyInterface(IUnknown** callback) override;
  HRESULT SetMinimumRetryDelay(ULONG seconds) override;
  HRESULT GetMinimumRetryDelay(ULONG* seconds) override;
  HRESULT SetNoProgressTimeout(ULONG seconds) override;
  HRESULT GetNoProgressTimeout(ULONG* seconds) override;
  HRESULT GetErrorCount(ULONG* errors) override;
  HRESULT SetProxySettings(BG_JOB_PROXY_USAGE usage, LPCWSTR proxies, LPCWSTR bypass) override;
  HRESULT GetProxySettings(BG_JOB_PROXY_USAGE* usage, LPWSTR* proxies, LPWSTR* bypass) override;
  HRESULT TakeOwnership() override;
  // IBackgroundCopyJob2
  HRESULT SetNotifyCmdLine(LPCWSTR program, LPCWSTR parameters) override;
  HRESULT GetNotifyCmdLine(LPWSTR* program, LPWSTR* parameters) override;
  HRESULT GetReplyProgress(BG_JOB_REPLY_PROGRESS* progress) override;
  HRESULT GetReplyData(BYTE** data, UINT64* length) override;
  HRESULT SetReplyFileName(LPCWSTR name) override;
  HRESULT GetReplyFileName(LPWSTR* name) override;
  HRESULT SetCredentials(BG_AUTH_CREDENTIALS* credentials) override;
  HRESULT RemoveCredentials(BG_AUTH_TARGET target, BG_AUTH_SCHEME scheme) override;
  // IBackgroundCopyJob3
  HRESULT ReplaceRemotePrefix(LPCWSTR old_prefix, LPCWSTR new_prefix) override;
  HRESULT AddFileWithRanges(LPCWSTR remote_url, LPCWSTR local_name, DWORD range_count,
                            BG_FILE_RANGE ranges[]) override;
  HRESULT SetFileACLFlags(DWORD flags) override;
  HRESULT GetFileACLFlags(DWORD* flags) override;
  // IBackgroundCopyJob4
  HRESULT SetPeerCachingFlags(DWORD flags) override;
  HRESULT GetPeerCachingFlags(DWORD* flags) override;
  HRESULT GetOwnerIntegrityLevel(ULONG* level) override;
  HRESULT GetOwnerElevationState(BOOL* elevated) override;
  HRESULT SetMaximumDownloadTime(ULONG seconds) override;
  HRESULT GetMaximumDownloadTime(ULONG* seconds) override;
  // IBackgroundCopyJob5
  HRESULT SetProperty(BITS_JOB_PROPERTY_ID id, BITS_JOB_PROPERTY_VALUE value) override;
  HRESULT GetProperty(BITS_JOB_PROPERTY_ID id, BITS_JOB_PROPERTY_VALUE* value) override;
  // IDeliveryOptimizationJob
  HRESULT AddFileWithRanges(LPCWSTR file_id, LPCWSTR remote_url, LPCWSTR local_name,
                            DWORD range_count, BG_FILE_RANGE ranges[], UINT64 file_size) override;
  // IDeliveryOptimizationJob2
  HRESULT AddFile(LPCWSTR file_id, LPCWSTR remote_url, DWORD range_count, BG_FILE_RANGE ranges[],
                  REFIID riid, void** object) override;
  HRESULT GetProperty(DOJobPropertyId id, VARIANT* value) override;
  HRESULT SetProperty(DOJobPropertyId id, const VARIANT* value) override;

 private:
  // Stores pick(status) in *out.
  template <class T, class Pick>
  HRESULT read(T* out, const Pick& pick) const;
  // Gives pick(status) away as text.
  template <class Pick>
  HRESULT read_text(LPWSTR* out, const Pick& pick) const;
  HRESULT change(const JobChange& change);
  HRESULT add(FileRequest request, DWORD range_count, const BG_FILE_RANGE* ranges);

  std::shared_ptr<Session> session_;
  Job job_;
};

}  // namespace lanward::facade
