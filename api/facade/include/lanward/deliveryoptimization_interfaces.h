// The interfaces, methods in the published order.
#pragma once

#include <lanward/deliveryoptimization_com.h>
#include <lanward/deliveryoptimization_types.h>

struct IBackgroundCopyJob;
struct IBackgroundCopyFile;
struct IBackgroundCopyError;

struct IEnumBackgroundCopyFiles : IUnknown {
  virtual HRESULT Next(ULONG count, IBackgroundCopyFile** files, ULONG* fetched) = 0;
  virtual HRESULT Skip(ULONG count) = 0;
  virtual HRESULT Reset() = 0;
  virtual HRESULT Clone(IEnumBackgroundCopyFiles** copy) = 0;
  virtual HRESULT GetCount(ULONG* count) = 0;

 protected:
  ~IEnumBackgroundCopyFiles() = default;
};

struct IEnumBackgroundCopyJobs : IUnknown {
  virtual HRESULT Next(ULONG count, IBackgroundCopyJob** jobs, ULONG* fetched) = 0;
  virtual HRESULT Skip(ULONG count) = 0;
  virtual HRESULT Reset() = 0;
  virtual HRESULT Clone(IEnumBackgroundCopyJobs** copy) = 0;
  virtual HRESULT GetCount(ULONG* count) = 0;

 protected:
  ~IEnumBackgroundCopyJobs() = default;
};

struct IBackgroundCopyManager : IUnknown {
  virtual HRESULT CreateJob(LPCWSTR name, BG_JOB_TYPE type, GUID* id, IBackgroundCopyJob** job) = 0;
  virtual HRESULT GetJob(REFGUID id, IBackgroundCopyJob** job) = 0;
  virtual HRESULT EnumJobs(DWORD flags, IEnumBackgroundCopyJobs** jobs) = 0;
  virtual HRESULT GetErrorDescription(HRESULT result, DWORD language, LPWSTR* text) = 0;

 protected:
  ~IBackgroundCopyManager() = default;
};

struct IBackgroundCopyJob : IUnknown {
  virtual HRESULT AddFileSet(ULONG count, BG_FILE_INFO* files) = 0;
  virtual HRESULT AddFile(LPCWSTR remote_url, LPCWSTR local_name) = 0;
  virtual HRESULT EnumFiles(IEnumBackgroundCopyFiles** files) = 0;
  virtual HRESULT Suspend() = 0;
  virtual HRESULT Resume() = 0;
  virtual HRESULT Cancel() = 0;
  virtual HRESULT Complete() = 0;
  virtual HRESULT GetId(GUID* id) = 0;
  virtual HRESULT GetType(BG_JOB_TYPE* type) = 0;
  virtual HRESULT GetProgress(BG_JOB_PROGRESS* progress) = 0;
  virtual HRESULT GetTimes(BG_JOB_TIMES* times) = 0;
  virtual HRESULT GetState(BG_JOB_STATE* state) = 0;
  virtual HRESULT GetError(IBackgroundCopyError** error) = 0;
  virtual HRESULT GetOwner(LPWSTR* owner) = 0;
  virtual HRESULT SetDisplayName(LPCWSTR name) = 0;
  virtual HRESULT GetDisplayName(LPWSTR* name) = 0;
  virtual HRESULT SetDescription(LPCWSTR text) = 0;
  virtual HRESULT GetDescription(LPWSTR* text) = 0;
  virtual HRESULT SetPriority(BG_JOB_PRIORITY priority) = 0;
  virtual HRESULT GetPriority(BG_JOB_PRIORITY* priority) = 0;
  virtual HRESULT SetNotifyFlags(ULONG flags) = 0;
  virtual HRESULT GetNotifyFlags(ULONG* flags) = 0;
  virtual HRESULT SetNotifyInterface(IUnknown* callback) = 0;
  virtual HRESULT GetNotifyInterface(IUnknown** callback) = 0;
  virtual HRESULT SetMinimumRetryDelay(ULONG seconds) = 0;
  virtual HRESULT GetMinimumRetryDelay(ULONG* seconds) = 0;
  virtual HRESULT SetNoProgressTimeout(ULONG seconds) = 0;
  virtual HRESULT GetNoProgressTimeout(ULONG* seconds) = 0;
  virtual HRESULT GetErrorCount(ULONG* errors) = 0;
  virtual HRESULT SetProxySettings(BG_JOB_PROXY_USAGE usage, LPCWSTR proxies, LPCWSTR bypass) = 0;
  virtual HRESULT GetProxySettings(BG_JOB_PROXY_USAGE* usage, LPWSTR* proxies, LPWSTR* bypass) = 0;
  virtual HRESULT TakeOwnership() = 0;

 protected:
  ~IBackgroundCopyJob() = default;
};

struct IBackgroundCopyJob2 : IBackgroundCopyJob {
  virtual HRESULT SetNotifyCmdLine(LPCWSTR program, LPCWSTR parameters) = 0;
  virtual HRESULT GetNotifyCmdLine(LPWSTR* program, LPWSTR* parameters) = 0;
  virtual HRESULT GetReplyProgress(BG_JOB_REPLY_PROGRESS* progress) = 0;
  virtual HRESULT GetReplyData(BYTE** data, UINT64* length) = 0;
  virtual HRESULT SetReplyFileName(LPCWSTR name) = 0;
  virtual HRESULT GetReplyFileName(LPWSTR* name) = 0;
  virtual HRESULT SetCredentials(BG_AUTH_CREDENTIALS* credentials) = 0;
  virtual HRESULT RemoveCredentials(BG_AUTH_TARGET target, BG_AUTH_SCHEME scheme) = 0;

 protected:
  ~IBackgroundCopyJob2() = default;
};

struct IBackgroundCopyJob3 : IBackgroundCopyJob2 {
  virtual HRESULT ReplaceRemotePrefix(LPCWSTR old_prefix, LPCWSTR new_prefix) = 0;
  virtual HRESULT AddFileWithRanges(LPCWSTR remote_url, LPCWSTR local_name, DWORD range_count,
                                    BG_FILE_RANGE ranges[]) = 0;
  virtual HRESULT SetFileACLFlags(DWORD flags) = 0;
  virtual HRESULT GetFileACLFlags(DWORD* flags) = 0;

 protected:
  ~IBackgroundCopyJob3() = default;
};

struct IBackgroundCopyJob4 : IBackgroundCopyJob3 {
  virtual HRESULT SetPeerCachingFlags(DWORD flags) = 0;
  virtual HRESULT GetPeerCachingFlags(DWORD* flags) = 0;
  virtual HRESULT GetOwnerIntegrityLevel(ULONG* level) = 0;
  virtual HRESULT GetOwnerElevationState(BOOL* elevated) = 0;
  virtual HRESULT SetMaximumDownloadTime(ULONG seconds) = 0;
  virtual HRESULT GetMaximumDownloadTime(ULONG* seconds) = 0;

 protected:
  ~IBackgroundCopyJob4() = default;
};

struct IBackgroundCopyJob5 : IBackgroundCopyJob4 {
  virtual HRESULT SetProperty(BITS_JOB_PROPERTY_ID id, BITS_JOB_PROPERTY_VALUE value) = 0;
  virtual HRESULT GetProperty(BITS_JOB_PROPERTY_ID id, BITS_JOB_PROPERTY_VALUE* value) = 0;

 protected:
  ~IBackgroundCopyJob5() = default;
};

struct IDeliveryOptimizationJob : IUnknown {
  virtual HRESULT AddFileWithRanges(LPCWSTR file_id, LPCWSTR remote_url, LPCWSTR local_name,
                                    DWORD range_count, BG_FILE_RANGE ranges[],
                                    UINT64 file_size) = 0;

 protected:
  ~IDeliveryOptimizationJob() = default;
};

struct IDeliveryOptimizationJob2 : IUnknown {
  virtual HRESULT AddFile(LPCWSTR file_id, LPCWSTR remote_url, DWORD range_count,
                          BG_FILE_RANGE ranges[], REFIID riid, void** object) = 0;
  virtual HRESULT GetProperty(DOJobPropertyId id, VARIANT* value) = 0;
  virtual HRESULT SetProperty(DOJobPropertyId id, const VARIANT* value) = 0;

 protected:
  ~IDeliveryOptimizationJob2() = default;
};

struct IBackgroundCopyFile : IUnknown {
  virtual HRESULT GetRemoteName(LPWSTR* name) = 0;
  virtual HRESULT GetLocalName(LPWSTR* name) = 0;
  virtual HRESULT GetProgress(BG_FILE_PROGRESS* progress) = 0;

 protected:
  ~IBackgroundCopyFile() = default;
};

struct IBackgroundCopyFile2 : IBackgroundCopyFile {
  virtual HRESULT GetFileRanges(DWORD* count, BG_FILE_RANGE** ranges) = 0;
  virtual HRESULT SetRemoteName(LPCWSTR url) = 0;

 protected:
  ~IBackgroundCopyFile2() = default;
};

struct IBackgroundCopyFile3 : IBackgroundCopyFile2 {
  virtual HRESULT GetTemporaryName(LPWSTR* name) = 0;
  virtual HRESULT SetValidationState(BOOL state) = 0;
  virtual HRESULT GetValidationState(BOOL* state) = 0;
  virtual HRESULT IsDownloadedFromPeer(BOOL* from_peer) = 0;

 protected:
  ~IBackgroundCopyFile3() = default;
};

struct IBackgroundCopyFile4 : IBackgroundCopyFile3 {
  virtual HRESULT GetPeerDownloadStats(UINT64* from_origin, UINT64* from_peers) = 0;

 protected:
  ~IBackgroundCopyFile4() = default;
};

struct IBackgroundCopyFile5 : IBackgroundCopyFile4 {
  virtual HRESULT SetProperty(BITS_FILE_PROPERTY_ID id, BITS_FILE_PROPERTY_VALUE value) = 0;
  virtual HRESULT GetProperty(BITS_FILE_PROPERTY_ID id, BITS_FILE_PROPERTY_VALUE* value) = 0;

 protected:
  ~IBackgroundCopyFile5() = default;
};

struct IDeliveryOptimizationFile : IUnknown {
  virtual HRESULT GetStats(DOSwarmStats* stats) = 0;

 protected:
  ~IDeliveryOptimizationFile() = default;
};

struct IDeliveryOptimizationFile2 : IUnknown {
  virtual HRESULT GetProperty(DOFilePropertyId id, VARIANT* value) = 0;
  virtual HRESULT SetProperty(DOFilePropertyId id, const VARIANT* value) = 0;

 protected:
  ~IDeliveryOptimizationFile2() = default;
};

struct IBackgroundCopyError : IUnknown {
  virtual HRESULT GetError(BG_ERROR_CONTEXT* context, HRESULT* code) = 0;
  virtual HRESULT GetFile(IBackgroundCopyFile** file) = 0;
  virtual HRESULT GetErrorDescription(DWORD language, LPWSTR* text) = 0;
  virtual HRESULT GetErrorContextDescription(DWORD language, LPWSTR* text) = 0;
  virtual HRESULT GetProtocol(LPWSTR* protocol) = 0;

 protected:
  ~IBackgroundCopyError() = default;
};

// Implemented by the program. Calls come one at a time on a thread of the library, from where every
// method of every object may be called. A result other than S_OK: the call is made again, later and
// a bounded number of times.
struct IBackgroundCopyCallback : IUnknown {
  virtual HRESULT JobTransferred(IBackgroundCopyJob* job) = 0;
  virtual HRESULT JobError(IBackgroundCopyJob* job, IBackgroundCopyError* error) = 0;
  virtual HRESULT JobModification(IBackgroundCopyJob* job, DWORD reserved) = 0;

 protected:
  ~IBackgroundCopyCallback() = default;
};

// For BG_NOTIFY_FILE_TRANSFERRED; asked for with QueryInterface.
struct IBackgroundCopyCallback2 : IBackgroundCopyCallback {
  virtual HRESULT FileTransferred(IBackgroundCopyJob* job, IBackgroundCopyFile* file) = 0;

 protected:
  ~IBackgroundCopyCallback2() = default;
};
