// One row per cause: its names, its published number, and what it means to a person.
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <lanward/error.h>

namespace lanward {
namespace {

struct Row {
  ErrorCode code;
  const char* name;
  std::uint32_t hresult;
  const char* hresult_name;
  ErrorContext context;
  const char* sentence;
};

using enum ErrorCode;
using Context = ErrorContext;

// DO_E_* are of Delivery Optimization, BG_E_* of the Background Intelligent Transfer Service. Where
// neither has a fitting one it is an E_* or ERROR_* of the system (0x8007nnnn: ERROR number nnnn).
constexpr std::array kRows = {
    Row{invalid_argument, "invalid_argument", 0x80070057, "E_INVALIDARG", Context::queue_manager,
        "An argument of the call is wrong."},
    Row{invalid_state, "invalid_state", 0x80d02013, "DO_E_INVALID_STATE", Context::queue_manager,
        "The state of the job does not allow this call."},
    Row{not_found, "not_found", 0x80070002, "ERROR_FILE_NOT_FOUND", Context::local_file,
        "There is no such file or document."},
    Row{manifest_invalid, "manifest_invalid", 0x80d06809, "DO_E_METAINFO_CONTENT",
        Context::remote_file, "The manifest is damaged or does not describe this file."},
    Row{manifest_missing, "manifest_missing", 0x80d02017, "DO_E_INTEGRITYCHECKINFO_UNAVAILABLE",
        Context::remote_file, "A manifest was demanded and none was found."},
    Row{network, "network", 0x8020002d, "BG_E_CONNECT_FAILURE", Context::transport,
        "Neither the origin nor a peer could be reached."},
    Row{origin_rejected, "origin_rejected", 0x80190190, "BG_E_HTTP_ERROR_400", Context::remote_file,
        "The origin refused the request."},
    Row{integrity, "integrity", 0x80d06805, "DO_E_BAD_PIECE_HASH", Context::remote_file,
        "The bytes do not match the manifest and no honest source is left."},
    Row{content_changed, "content_changed", 0x80200073, "BG_E_REMOTE_FILE_CHANGED",
        Context::remote_file, "The file at the origin changed during the transfer."},
    Row{disk_full, "disk_full", 0x80070070, "ERROR_DISK_FULL", Context::local_file,
        "No space is left for the file."},
    Row{disk_io, "disk_io", 0x8007045d, "ERROR_IO_DEVICE", Context::local_file,
        "The local file system failed."},
    Row{destination, "destination", 0x80070052, "ERROR_CANNOT_MAKE", Context::local_file,
        "The destination cannot be created or written."},
    Row{in_use, "in_use", 0x80070020, "ERROR_SHARING_VIOLATION", Context::local_file,
        "The directory or the content is in use by somebody else."},
    Row{cancelled, "cancelled", 0x800704c7, "ERROR_CANCELLED", Context::queue_manager,
        "The job was cancelled."},
    Row{unsupported, "unsupported", 0x80070032, "ERROR_NOT_SUPPORTED", Context::unknown,
        "This form of input is not handled."},
    Row{internal, "internal", 0x80d06802, "DO_E_FATAL_CORE_ERROR", Context::unknown,
        "The engine has a defect; please report it."},

    Row{access_denied, "access_denied", 0x80070005, "E_ACCESSDENIED", Context::local_file,
        "The job, or the place of the file, belongs to somebody else."},
    Row{job_not_found, "job_not_found", 0x80d02003, "DO_E_JOB_NOT_FOUND", Context::queue_manager,
        "There is no job of this identifier."},
    Row{job_empty, "job_empty", 0x80d02004, "DO_E_JOB_EMPTY", Context::queue_manager,
        "The job has no file."},
    Row{job_too_old, "job_too_old", 0x80d0200c, "DO_E_JOB_TOO_OLD", Context::queue_manager,
        "The job reached the maximum age of jobs and was ended."},
    Row{too_many_jobs, "too_many_jobs", 0x80200050, "BG_E_TOO_MANY_JOBS_PER_MACHINE",
        Context::queue_manager, "The queue holds as many jobs as it may."},
    Row{too_many_files, "too_many_files", 0x80200051, "BG_E_TOO_MANY_FILES_IN_JOB",
        Context::queue_manager, "The job holds as many files as it may."},
    Row{too_many_ranges, "too_many_ranges", 0x80200052, "BG_E_TOO_MANY_RANGES_IN_FILE",
        Context::queue_manager, "The file has more ranges than it may."},
    Row{no_progress, "no_progress", 0x80d02002, "DO_E_DOWNLOAD_NO_PROGRESS", Context::transport,
        "No byte arrived within the no-progress timeout."},
    Row{download_time_up, "download_time_up", 0x80200054, "BG_E_MAXDOWNLOAD_TIMEOUT",
        Context::queue_manager, "The job was not complete within its maximum download time."},
    Row{no_error_information, "no_error_information", 0x80d02014,
        "DO_E_ERROR_INFORMATION_UNAVAILABLE", Context::none, "The job is in no error."},
    Row{state_damaged, "state_damaged", 0x8020006c, "BG_E_DATABASE_CORRUPT", Context::queue_manager,
        "The database of the jobs is damaged or of a later version."},

    Row{duplicate_file, "duplicate_file", 0x800700b7, "ERROR_ALREADY_EXISTS",
        Context::queue_manager, "The job already has a file of this id or destination."},
    Row{invalid_range, "invalid_range", 0x80d05010, "DO_E_INVALID_RANGE", Context::remote_file,
        "A range of bytes is empty, outside of the file, or out of order."},
    Row{overlapping_ranges, "overlapping_ranges", 0x80d05012, "DO_E_OVERLAPPING_RANGES",
        Context::queue_manager, "Two ranges share bytes."},
    Row{ranges_unsupported, "ranges_unsupported", 0x80d05011, "DO_E_INSUFFICIENT_RANGE_SUPPORT",
        Context::remote_file, "The origin does not serve ranges of bytes and the file needs them."},
    Row{size_unknown, "size_unknown", 0x80d0201a, "DO_E_FILE_SIZE_UNKNOWN_HTTP_200",
        Context::remote_file, "The size of the file cannot be found out."},
    Row{file_unavailable, "file_unavailable", 0x80d02010, "DO_E_FILE_NOT_AVAILABLE",
        Context::queue_manager, "No file of the job is concerned."},

    Row{unknown_property, "unknown_property", 0x80d02011, "DO_E_UNKNOWN_PROPERTY_ID",
        Context::queue_manager, "There is no such property."},
    Row{read_only_property, "read_only_property", 0x80d02012, "DO_E_READ_ONLY_PROPERTY",
        Context::queue_manager, "The property can only be read."},
    Row{write_only_property, "write_only_property", 0x80d02015, "DO_E_WRITE_ONLY_PROPERTY",
        Context::queue_manager, "The property can only be set."},
    Row{property_not_set, "property_not_set", 0x80070490, "E_NOT_SET", Context::queue_manager,
        "The property has no value."},
    Row{no_url, "no_url", 0x80d02200, "DO_E_DOWNLOAD_NO_URI", Context::queue_manager,
        "The download has neither a URL nor a content id."},
    Row{no_sink, "no_sink", 0x80d02018, "DO_E_FILE_DOWNLOADSINK_UNSPECIFIED",
        Context::queue_manager, "The download has neither a path nor a stream to write to."},
    Row{sink_already_set, "sink_already_set", 0x80d02019, "DO_E_FILE_DOWNLOADSINK_ALREADY_SET",
        Context::queue_manager, "The download has a path or a stream already."},
};

consteval bool in_order() {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].code != static_cast<ErrorCode>(i)) return false;
  }
  return kRows.size() == static_cast<std::size_t>(kLastErrorCode) + 1;
}
static_assert(in_order(), "one row per code, in the order of the codes");

// Further published numbers that mean one of our causes.
struct Alias {
  std::uint32_t hresult;
  ErrorCode code;
};
constexpr Alias kAliases[] = {
    {0x80d02005, job_not_found},       // DO_E_NO_DOWNLOADS
    {0x80d0200b, unsupported},         // DO_E_MEMORYSTREAM_DOWNLOAD_NOT_SUPPORTED
    {0x80d0200d, no_sink},             // DO_E_LOCALPATH_NOT_SET
    {0x80d02016, manifest_missing},    // DO_E_INTEGRITYCHECKINFO_UNSPECIFIED
    {0x80d0201c, size_unknown},        // DO_E_FILE_SIZE_UNKNOWN_HTTP_206
    {0x80d0201d, size_unknown},        // DO_E_FILE_SIZE_UNKNOWN_HTTP_2XX
    {0x80d02201, no_url},              // DO_E_DOWNLOAD_NO_CONTENT_ID
    {0x80d02202, invalid_argument},    // DO_E_INVALID_CONTENT_ID
    {0x80d02203, invalid_argument},    // DO_E_DOWNLOAD_RANGES_UNEXPECTED
    {0x80d02204, invalid_argument},    // DO_E_DOWNLOAD_RANGES_EXPECTED
    {0x80d03805, network},             // DO_E_BLOCKED_BY_NO_NETWORK
    {0x80d0380a, network},             // DO_E_CLOUD_SERVICES_UNREACHABLE
    {0x80d0380d, network},             // DO_E_UNEXPECTED_HTTP_STATUS_2XX
    {0x80d05001, ranges_unsupported},  // DO_E_HTTP_BLOCKSIZE_MISMATCH
    {0x80d05002, network},             // DO_E_HTTP_CERT_VALIDATION
    {0x80d06800, integrity},           // DO_E_UPLOADING_BAD_PIECES
    {0x80d06804, integrity},           // DO_E_BAD_INCOMING_DATA
    {0x80d06806, integrity},           // DO_E_BAD_PIECE_HASH_NO_BAN
    {0x80d0680a, manifest_invalid},    // DO_E_METAINFO_VERSION
    {0x80d06811, network},             // DO_E_LOST_CONNECTION
    {0x80d06814, network},             // DO_E_SOCKET_CLOSED
    {0x80d0681a, manifest_invalid},    // DO_E_METAINFO_DIGEST_MATCH
    {0x80d0681b, manifest_invalid},    // DO_E_METAINFO_HOH_MATCH
    {0x80d0681c, manifest_invalid},    // DO_E_METAINFO_HOH_FINAL_MATCH
    {0x80d0681d, manifest_invalid},    // DO_E_METAINFO_CONTENT_LENGTH
    {0x80d0681e, manifest_invalid},    // DO_E_METAINFO_PIECE_SIZE
    {0x80d0681f, manifest_invalid},    // DO_E_METAINFO_PARSE_HOH
    {0x80d06820, manifest_invalid},    // DO_E_METAINFO_PARSE_PIECEHASHES
    {0x80d06821, manifest_invalid},    // DO_E_METAINFO_PARSE_ONE_PIECEHASH
    {0x80d06822, manifest_invalid},    // DO_E_METAINFO_FILE_SIZE

    {0x80200001, job_not_found},         // BG_E_NOT_FOUND
    {0x80200002, invalid_state},         // BG_E_INVALID_STATE
    {0x80200003, job_empty},             // BG_E_EMPTY
    {0x80200004, file_unavailable},      // BG_E_FILE_NOT_AVAILABLE
    {0x8020000d, destination},           // BG_E_DESTINATION_LOCKED
    {0x8020000e, destination},           // BG_E_VOLUME_CHANGED
    {0x8020000f, no_error_information},  // BG_E_ERROR_INFORMATION_UNAVAILABLE
    {0x80200010, network},               // BG_E_NETWORK_DISCONNECTED
    {0x80200011, size_unknown},          // BG_E_MISSING_FILE_SIZE
    {0x80200012, ranges_unsupported},    // BG_E_INSUFFICIENT_HTTP_SUPPORT
    {0x80200013, ranges_unsupported},    // BG_E_INSUFFICIENT_RANGE_SUPPORT
    {0x80200014, unsupported},           // BG_E_REMOTE_NOT_SUPPORTED
    {0x8020001c, too_many_files},        // BG_E_TOO_MANY_FILES
    {0x80200021, invalid_argument},      // BG_E_STRING_TOO_LONG
    {0x80200024, no_progress},           // BG_E_NO_PROGRESS
    {0x80200029, file_unavailable},      // BG_E_FILE_NOT_FOUND
    {0x8020002b, invalid_range},         // BG_E_INVALID_RANGE
    {0x8020002c, overlapping_ranges},    // BG_E_OVERLAPPING_RANGES
    {0x8020002e, network},               // BG_E_CONNECTION_CLOSED
    {0x80200049, too_many_jobs},         // BG_E_TOO_MANY_JOBS_PER_USER
    {0x80200053, integrity},             // BG_E_VALIDATION_FAILED
    {0x80200057, unknown_property},      // BG_E_UNKNOWN_PROPERTY_ID
    {0x80200058, read_only_property},    // BG_E_READ_ONLY_PROPERTY
    {0x80200061, invalid_state},         // BG_E_READ_ONLY_PROPERTY_AFTER_ADDFILE
    {0x80200062, invalid_state},         // BG_E_READ_ONLY_PROPERTY_AFTER_RESUME
    {0x8020006d, ranges_unsupported},    // BG_E_RANDOM_ACCESS_NOT_SUPPORTED
    {0x80200075, invalid_state},         // BG_E_READ_ONLY_WHEN_JOB_ACTIVE

    {0x80004001, unsupported},       // E_NOTIMPL
    {0x80004003, invalid_argument},  // E_POINTER
    {0x80004004, cancelled},         // E_ABORT
    {0x80004005, internal},          // E_FAIL
    {0x8000ffff, internal},          // E_UNEXPECTED
    {0x80070003, not_found},         // ERROR_PATH_NOT_FOUND
    {0x8007001d, disk_io},           // ERROR_WRITE_FAULT
    {0x8007001e, disk_io},           // ERROR_READ_FAULT
    {0x80070021, in_use},            // ERROR_LOCK_VIOLATION
    {0x80070027, disk_full},         // ERROR_HANDLE_DISK_FULL
    {0x80070050, duplicate_file},    // ERROR_FILE_EXISTS
    {0x80072ee2, network},           // ERROR_INTERNET_TIMEOUT
    {0x80072ee7, network},           // ERROR_INTERNET_NAME_NOT_RESOLVED
    {0x80072efd, network},           // ERROR_INTERNET_CANNOT_CONNECT
    {0x80072efe, network},           // ERROR_INTERNET_CONNECTION_ABORTED
    {0x80072eff, network},           // ERROR_INTERNET_CONNECTION_RESET
    {0x800c0002, invalid_argument},  // INET_E_INVALID_URL
};

// 0x80190000 + status: a reply of the origin. 408, 429 and 5xx are refusals for the moment.
constexpr std::uint32_t kHttpFacility = 0x80190000;

std::optional<ErrorCode> of_http_status(std::uint32_t status) {
  if (status == 408 || status == 429) return network;
  if (status >= 400 && status < 500) return origin_rejected;
  if (status >= 500 && status < 600) return network;
  return std::nullopt;
}

const Row& row(ErrorCode code) {
  const auto i = static_cast<std::size_t>(code);
  return kRows[i < kRows.size() ? i : static_cast<std::size_t>(internal)];
}

}  // namespace

const char* to_string(ErrorCode code) noexcept { return row(code).name; }

const char* describe(ErrorCode code) noexcept { return row(code).sentence; }

std::uint32_t hresult_of(ErrorCode code) noexcept { return row(code).hresult; }

const char* hresult_name(ErrorCode code) noexcept { return row(code).hresult_name; }

ErrorContext context_of(ErrorCode code) noexcept { return row(code).context; }

std::optional<ErrorCode> error_code_of(std::uint32_t hresult) noexcept {
  for (const Row& r : kRows) {
    if (r.hresult == hresult) return r.code;
  }
  for (const Alias& alias : kAliases) {
    if (alias.hresult == hresult) return alias.code;
  }
  if ((hresult & 0xffff0000U) == kHttpFacility) return of_http_status(hresult & 0xffffU);
  return std::nullopt;
}

const char* describe(ErrorContext context) noexcept {
  switch (context) {
    case ErrorContext::none:
      return "while nothing failed";
    case ErrorContext::unknown:
      return "at an unknown place";
    case ErrorContext::queue_manager:
      return "while the queue of jobs was managed";
    case ErrorContext::notification:
      return "while the owner of the job was notified";
    case ErrorContext::local_file:
      return "while the local file was processed";
    case ErrorContext::remote_file:
      return "while the remote file was processed";
    case ErrorContext::transport:
      return "while bytes were transported";
    case ErrorContext::remote_application:
      return "while the remote application processed the file";
  }
  return "at an unknown place";
}

}  // namespace lanward
