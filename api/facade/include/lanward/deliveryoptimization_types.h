// Values, structures and identifiers of the Delivery Optimization interfaces, as published.
#pragma once

#include <lanward/deliveryoptimization_com.h>

// ---- Values ------------------------------------------------------------------------------------

enum BG_JOB_STATE {
  BG_JOB_STATE_QUEUED = 0,
  BG_JOB_STATE_CONNECTING = 1,
  BG_JOB_STATE_TRANSFERRING = 2,
  BG_JOB_STATE_SUSPENDED = 3,
  BG_JOB_STATE_ERROR = 4,
  BG_JOB_STATE_TRANSIENT_ERROR = 5,
  BG_JOB_STATE_TRANSFERRED = 6,
  BG_JOB_STATE_ACKNOWLEDGED = 7,
  BG_JOB_STATE_CANCELLED = 8,
};

enum BG_JOB_TYPE { BG_JOB_TYPE_DOWNLOAD = 0, BG_JOB_TYPE_UPLOAD = 1, BG_JOB_TYPE_UPLOAD_REPLY = 2 };

enum BG_JOB_PRIORITY {
  BG_JOB_PRIORITY_FOREGROUND = 0,
  BG_JOB_PRIORITY_HIGH = 1,
  BG_JOB_PRIORITY_NORMAL = 2,
  BG_JOB_PRIORITY_LOW = 3,
};

enum BG_JOB_PROXY_USAGE {
  BG_JOB_PROXY_USAGE_PRECONFIG = 0,
  BG_JOB_PROXY_USAGE_NO_PROXY = 1,
  BG_JOB_PROXY_USAGE_OVERRIDE = 2,
  BG_JOB_PROXY_USAGE_AUTODETECT = 3,
};

enum BG_ERROR_CONTEXT {
  BG_ERROR_CONTEXT_NONE = 0,
  BG_ERROR_CONTEXT_UNKNOWN = 1,
  BG_ERROR_CONTEXT_GENERAL_QUEUE_MANAGER = 2,
  BG_ERROR_CONTEXT_QUEUE_MANAGER_NOTIFICATION = 3,
  BG_ERROR_CONTEXT_LOCAL_FILE = 4,
  BG_ERROR_CONTEXT_REMOTE_FILE = 5,
  BG_ERROR_CONTEXT_GENERAL_TRANSPORT = 6,
  BG_ERROR_CONTEXT_REMOTE_APPLICATION = 7,
};

// Of SetNotifyFlags; the default is transferred and error.
inline constexpr ULONG BG_NOTIFY_JOB_TRANSFERRED = 0x0001;
inline constexpr ULONG BG_NOTIFY_JOB_ERROR = 0x0002;
inline constexpr ULONG BG_NOTIFY_DISABLE = 0x0004;
inline constexpr ULONG BG_NOTIFY_JOB_MODIFICATION = 0x0008;
inline constexpr ULONG BG_NOTIFY_FILE_TRANSFERRED = 0x0010;
inline constexpr ULONG BG_NOTIFY_FILE_RANGES_TRANSFERRED = 0x0020;  // not supported

inline constexpr DWORD BG_JOB_ENABLE_PEERCACHING_CLIENT = 0x0001;
inline constexpr DWORD BG_JOB_ENABLE_PEERCACHING_SERVER = 0x0002;

inline constexpr DWORD BG_JOB_ENUM_ALL_USERS = 0x0001;

inline constexpr UINT64 BG_LENGTH_TO_EOF = ~UINT64{0};
inline constexpr UINT64 BG_SIZE_UNKNOWN = ~UINT64{0};
inline constexpr UINT64 DO_LENGTH_TO_EOF = ~UINT64{0};
inline constexpr UINT64 DO_UNKNOWN_FILE_SIZE = ~UINT64{0};

enum BITS_JOB_TRANSFER_POLICY : UINT32 {
  BITS_JOB_TRANSFER_POLICY_ALWAYS = 0x800000ff,
  BITS_JOB_TRANSFER_POLICY_NOT_ROAMING = 0x8000007f,
  BITS_JOB_TRANSFER_POLICY_NO_SURCHARGE = 0x8000006f,
  BITS_JOB_TRANSFER_POLICY_STANDARD = 0x80000067,
  BITS_JOB_TRANSFER_POLICY_UNRESTRICTED = 0x80000021,
};

enum BITS_JOB_PROPERTY_ID {
  BITS_JOB_PROPERTY_ID_COST_FLAGS = 1,
  BITS_JOB_PROPERTY_NOTIFICATION_CLSID = 2,
  BITS_JOB_PROPERTY_DYNAMIC_CONTENT = 3,
  BITS_JOB_PROPERTY_HIGH_PERFORMANCE = 4,
  BITS_JOB_PROPERTY_MAX_DOWNLOAD_SIZE = 5,
  BITS_JOB_PROPERTY_USE_STORED_CREDENTIALS = 7,
  BITS_JOB_PROPERTY_MINIMUM_NOTIFICATION_INTERVAL_MS = 9,
  BITS_JOB_PROPERTY_ON_DEMAND_MODE = 10,
};

enum BITS_FILE_PROPERTY_ID { BITS_FILE_PROPERTY_ID_HTTP_RESPONSE_HEADERS = 1 };

enum DownloadMode {
  DownloadMode_CdnOnly = 0,
  DownloadMode_Lan = 1,
  DownloadMode_Group = 2,
  DownloadMode_Internet = 3,
  DownloadMode_Simple = 99,
  DownloadMode_Bypass = 100,
};

enum SwarmStatus {
  SwarmStatus_Downloading = 0,
  SwarmStatus_Complete = 1,
  SwarmStatus_Caching = 2,
  SwarmStatus_Paused = 3,
};

enum DOFilePropertyId {
  DOFilePropertyId_DecryptionInfo = 0,
  DOFilePropertyId_IntegrityCheckInfo = 1,
  DOFilePropertyId_IntegrityCheckMandatory = 2,
  DOFilePropertyId_DownloadSinkInterface = 3,
  DOFilePropertyId_DownloadSinkFilePath = 4,
  DOFilePropertyId_DownloadSinkMemoryStream = 5,
  DOFilePropertyId_TotalSizeBytes = 6,
};

// The value is not published; this is the only property of its kind.
enum DOJobPropertyId { DOJobPropertyId_ExtendedErrorInfo = 0 };

enum BG_AUTH_TARGET { BG_AUTH_TARGET_SERVER = 1, BG_AUTH_TARGET_PROXY = 2 };
enum BG_AUTH_SCHEME {
  BG_AUTH_SCHEME_BASIC = 1,
  BG_AUTH_SCHEME_DIGEST = 2,
  BG_AUTH_SCHEME_NTLM = 3,
  BG_AUTH_SCHEME_NEGOTIATE = 4,
  BG_AUTH_SCHEME_PASSPORT = 5,
};

// ---- Structures --------------------------------------------------------------------------------

struct BG_FILE_RANGE {
  UINT64 InitialOffset;
  UINT64 Length;  // BG_LENGTH_TO_EOF: to the end of the file
};

struct BG_FILE_INFO {
  LPWSTR RemoteName;
  LPWSTR LocalName;
};

struct BG_FILE_PROGRESS {
  UINT64 BytesTotal;  // DO_UNKNOWN_FILE_SIZE
  UINT64 BytesTransferred;
  BOOL Completed;  // delivered to its local name
};

struct BG_JOB_PROGRESS {
  UINT64 BytesTotal;  // BG_SIZE_UNKNOWN
  UINT64 BytesTransferred;
  ULONG FilesTotal;
  ULONG FilesTransferred;
};

struct BG_JOB_REPLY_PROGRESS {
  UINT64 BytesTotal;
  UINT64 BytesTransferred;
};

struct BG_JOB_TIMES {
  FILETIME CreationTime;
  FILETIME ModificationTime;
  FILETIME TransferCompletionTime;  // 0 before
};

struct DOSwarmStats {
  LPWSTR fileId;  // this and the next are freed by the caller
  LPWSTR sourceURL;
  UINT64 fileSize;
  UINT64 totalBytesDownloaded;
  UINT64 bytesFromLanPeers;
  UINT64 bytesFromGroupPeers;
  UINT64 bytesFromInternetPeers;
  UINT64 bytesFromHttp;
  UINT64 bytesFromDoinc;  // through a cache host
  UINT64 bytesToLanPeers;
  UINT64 bytesToGroupPeers;
  UINT64 bytesToInternetPeers;
  UINT httpConnectionCount;
  UINT doincConnectionCount;
  UINT lanConnectionCount;
  UINT groupConnectionCount;
  UINT internetConnectionCount;
  UINT downloadDuration;  // ms
  DownloadMode downloadMode;
  SwarmStatus status;
  BOOL isBackground;
};

union BITS_JOB_PROPERTY_VALUE {
  DWORD Dword;
  GUID ClsID;
  BOOL Enable;
  UINT64 Uint64;
  BG_AUTH_TARGET Target;
};

union BITS_FILE_PROPERTY_VALUE {
  LPWSTR String;
};

struct BG_BASIC_CREDENTIALS {
  LPWSTR UserName;
  LPWSTR Password;
};
union BG_AUTH_CREDENTIALS_UNION {
  BG_BASIC_CREDENTIALS Basic;
};
struct BG_AUTH_CREDENTIALS {
  BG_AUTH_TARGET Target;
  BG_AUTH_SCHEME Scheme;
  BG_AUTH_CREDENTIALS_UNION Credentials;
};

// ---- Identifiers -------------------------------------------------------------------------------

inline constexpr CLSID CLSID_DeliveryOptimization = {
    0x5B99FA76, 0x721C, 0x423C, {0xAD, 0xAC, 0x56, 0xD0, 0x3C, 0x8A, 0x80, 0x07}};
inline constexpr IID IID_IBackgroundCopyManager = {
    0x5CE34C0D, 0x0DC9, 0x4C1F, {0x89, 0x7C, 0xDA, 0xA1, 0xB7, 0x8C, 0xEE, 0x7C}};
inline constexpr IID IID_IBackgroundCopyJob = {
    0x37668D37, 0x507E, 0x4160, {0x93, 0x16, 0x26, 0x30, 0x6D, 0x15, 0x0B, 0x12}};
inline constexpr IID IID_IBackgroundCopyJob2 = {
    0x54B50739, 0x686F, 0x45EB, {0x9D, 0xFF, 0xD6, 0xA9, 0xA0, 0xFA, 0xA9, 0xAF}};
inline constexpr IID IID_IBackgroundCopyJob3 = {
    0x443C8934, 0x90FF, 0x48ED, {0xBC, 0xDE, 0x26, 0xF5, 0xC7, 0x45, 0x00, 0x42}};
inline constexpr IID IID_IBackgroundCopyJob4 = {
    0x659CDEAE, 0x489E, 0x11D9, {0xA9, 0xCD, 0x00, 0x0D, 0x56, 0x96, 0x52, 0x51}};
inline constexpr IID IID_IBackgroundCopyJob5 = {
    0xE847030C, 0xBBBA, 0x4657, {0xAF, 0x6D, 0x48, 0x4A, 0xA4, 0x2B, 0xF1, 0xFE}};
inline constexpr IID IID_IDeliveryOptimizationJob = {
    0xEE2584CF, 0xA69C, 0x4848, {0xB6, 0x33, 0x26, 0x49, 0x96, 0x2B, 0x3E, 0xF7}};
inline constexpr IID IID_IDeliveryOptimizationJob2 = {
    0x18995A26, 0xBF59, 0x4ABE, {0x9F, 0x8B, 0xD5, 0x09, 0x2D, 0x5A, 0x24, 0x05}};
inline constexpr IID IID_IBackgroundCopyFile = {
    0x01B7BD23, 0xFB88, 0x4A77, {0x84, 0x90, 0x58, 0x91, 0xD3, 0xE4, 0x65, 0x3A}};
inline constexpr IID IID_IBackgroundCopyFile2 = {
    0x83E81B93, 0x0873, 0x474D, {0x8A, 0x8C, 0xF2, 0x01, 0x8B, 0x1A, 0x93, 0x9C}};
inline constexpr IID IID_IBackgroundCopyFile3 = {
    0x659CDEAA, 0x489E, 0x11D9, {0xA9, 0xCD, 0x00, 0x0D, 0x56, 0x96, 0x52, 0x51}};
inline constexpr IID IID_IBackgroundCopyFile4 = {
    0xEF7E0655, 0x7888, 0x4960, {0xB0, 0xE5, 0x73, 0x08, 0x46, 0xE0, 0x34, 0x92}};
inline constexpr IID IID_IBackgroundCopyFile5 = {
    0x85C1657F, 0xDAFC, 0x40E8, {0x88, 0x34, 0xDF, 0x18, 0xEA, 0x25, 0x71, 0x7E}};
inline constexpr IID IID_IDeliveryOptimizationFile = {
    0xB76B9699, 0xE99E, 0x4101, {0x80, 0x3F, 0xA2, 0x0E, 0x32, 0x5D, 0x93, 0xE2}};
inline constexpr IID IID_IDeliveryOptimizationFile2 = {
    0x3A87296F, 0x6EC2, 0x4126, {0xAB, 0x29, 0xE3, 0xF8, 0xDC, 0x4C, 0xC3, 0x90}};
inline constexpr IID IID_IBackgroundCopyError = {
    0x19C613A0, 0xFCB8, 0x4F28, {0x81, 0xAE, 0x89, 0x7C, 0x3D, 0x07, 0x8F, 0x81}};
inline constexpr IID IID_IBackgroundCopyCallback = {
    0x97EA99C7, 0x0186, 0x4AD4, {0x8D, 0xF9, 0xC5, 0xB4, 0xE0, 0xED, 0x6B, 0x22}};
inline constexpr IID IID_IBackgroundCopyCallback2 = {
    0x659CDEAC, 0x489E, 0x11D9, {0xA9, 0xCD, 0x00, 0x0D, 0x56, 0x96, 0x52, 0x51}};
inline constexpr IID IID_IEnumBackgroundCopyJobs = {
    0x1AF4F612, 0x3B71, 0x466F, {0x8F, 0x58, 0x7B, 0x6F, 0x73, 0xAC, 0x57, 0xAD}};
inline constexpr IID IID_IEnumBackgroundCopyFiles = {
    0xCA51E165, 0xC365, 0x424C, {0x8D, 0x41, 0x24, 0xAA, 0xA4, 0xFF, 0x3C, 0x40}};
