#include "engine/store/job_record.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/core/metainfo.h"
#include "engine/core/piece_layout.h"
#include "engine/store/job_record.pb.h"

namespace lanward::store {
namespace {

using ports::FileRecord;
using ports::JobRecord;
using std::chrono::microseconds;
using std::chrono::seconds;
using Clock = std::chrono::system_clock;

constexpr std::int64_t kMicrosecondsMax = kRecordSecondsMax * 1'000'000;

// ---- what a record must keep to ----------------------------------------------------------------

// The first fault found; empty: none.
using Fault = std::string;

Fault text_fault(const char* name, const std::string& text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return {};
  return std::string(name) + " is longer than " + std::to_string(bytes_max) + " bytes";
}

// A string that ends at its first zero byte wherever it is used would name something else.
Fault name_fault(const char* name, const std::string& text, std::size_t bytes_max) {
  if (text.find('\0') != std::string::npos) return std::string(name) + " contains a zero byte";
  return text_fault(name, text, bytes_max);
}

Fault list_fault(const char* name, const std::vector<std::string>& list) {
  if (list.size() > kRecordUrlsMax) {
    return "there are more than " + std::to_string(kRecordUrlsMax) + " " + name;
  }
  for (const std::string& text : list) {
    if (Fault fault = name_fault(name, text, kRecordUrlBytesMax); !fault.empty()) return fault;
  }
  return {};
}

Fault digest_fault(const core::ExpectedDigest& digest) {
  if (digest.algorithm > core::DigestAlgorithm::sha512) return "there is no such digest algorithm";
  if (digest.bytes.size() != core::size_of(digest.algorithm)) {
    return std::string("a ") + core::to_string(digest.algorithm) + " has " +
           std::to_string(digest.bytes.size()) + " bytes";
  }
  return text_fault("the source of a digest", digest.source, kRecordSourceBytesMax);
}

template <class... Faults>
Fault first_of(Faults... faults) {
  Fault first;
  ((first.empty() ? void(first = std::move(faults)) : void()), ...);
  return first;
}

Fault ranges_fault(const std::vector<ByteRange>& ranges) {
  if (ranges.size() > kRecordRangesMax) {
    return "there are more than " + std::to_string(kRecordRangesMax) + " ranges";
  }
  std::uint64_t end = 0;
  bool open = false;  // the range before goes to the end of the file
  for (const ByteRange& range : ranges) {
    if (range.length == 0) return "a range is empty";
    if (open || range.offset < end) return "the ranges overlap or are out of order";
    open = range.length == ByteRange::kToEnd;
    if (!open && range.length > ByteRange::kToEnd - range.offset) return "a range ends nowhere";
    end = range.offset + (open ? 0 : range.length);
  }
  return {};
}

// What a Metalink told, and digests.
Fault told_fault(const FileRecord& file) {
  if (file.digests.size() > kRecordUrlsMax || file.found_urls.size() > kRecordUrlsMax) {
    return "there are more than " + std::to_string(kRecordUrlsMax) + " digests or origins";
  }
  for (const core::ExpectedDigest& digest : file.digests) {
    if (Fault fault = digest_fault(digest); !fault.empty()) return fault;
  }
  for (const core::OriginSpec& origin : file.found_urls) {
    if (Fault fault = name_fault("an origin", origin.url, kRecordUrlBytesMax); !fault.empty()) {
      return fault;
    }
  }
  return first_of(file.digest ? digest_fault(*file.digest) : Fault{},
                  list_fault("offered manifests", file.offered_manifests),
                  name_fault("the Metalink", file.metalink_url, kRecordUrlBytesMax));
}

Fault caches_fault(const CacheHosts& caches) {
  std::vector<std::string> prefixes;
  for (const CacheMap& map : caches.maps) {
    prefixes.push_back(map.prefix);
    prefixes.push_back(map.cache_prefix);
  }
  return first_of(list_fault("cache hosts", caches.hosts), list_fault("cache maps", prefixes));
}

Fault file_fault(const FileRecord& file) {
  const FileRequest& request = file.request;
  if (!request.destination.empty() && request.destination.front() != '/') {
    return "the destination is no absolute path";
  }
  if (file.completed && !file.transferred) return "it is delivered without being transferred";
  if (file.transferred && file.size_bytes > 0 && file.content == core::Digest{}) {
    return "it is transferred and its content is not known";
  }
  if (file.piece_bytes != 0 &&
      (!std::has_single_bit(file.piece_bytes) || file.piece_bytes < core::kPieceBytesMin ||
       file.piece_bytes > core::kPieceBytesMax)) {
    return "the piece length is " + std::to_string(file.piece_bytes);
  }
  if (file.piece_bytes != 0 && file.size_bytes / file.piece_bytes >= UINT32_MAX) {
    return "there are too many pieces";
  }
  if (file.metainfo && !is_manifest_size(file.metainfo->size())) {
    return "the manifest is " + std::to_string(file.metainfo->size()) + " bytes long";
  }
  return first_of(name_fault("the source", request.source, kRecordUrlBytesMax),
                  name_fault("the destination", request.destination, kRecordPathBytesMax),
                  name_fault("the id", request.id, kRecordNameBytesMax),
                  name_fault("the manifest", request.manifest, kRecordUrlBytesMax),
                  ranges_fault(request.ranges), told_fault(file),
                  list_fault("mirrors", request.mirrors), list_fault("peers", request.peers),
                  list_fault("trackers", request.trackers), caches_fault(request.caches));
}

Fault headers_fault(const std::vector<std::string>& headers) {
  if (headers.size() > kRecordHeadersMax) {
    return "there are more than " + std::to_string(kRecordHeadersMax) + " headers";
  }
  std::size_t bytes = 0;
  for (const std::string& header : headers) {
    bytes += header.size();
    if (header.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
      return "a header is more than one line";
    }
  }
  if (bytes <= kRecordHeaderBytesMax) return {};
  return "the headers are longer than " + std::to_string(kRecordHeaderBytesMax) + " bytes";
}

Fault duration_fault(const char* name, seconds duration) {
  if (duration.count() >= 0 && duration.count() <= kRecordSecondsMax) return {};
  return std::string(name) + " is " + std::to_string(duration.count()) + " s";
}

Fault time_fault(const char* name, Clock::time_point time) {
  const auto us = std::chrono::duration_cast<microseconds>(time.time_since_epoch()).count();
  if (us >= 0 && us <= kMicrosecondsMax) return {};
  return std::string(name) + " is not within a hundred years of 1970";
}

bool is_cost_policy(std::uint32_t value) {
  switch (static_cast<CostPolicy>(value)) {
    case CostPolicy::always:
    case CostPolicy::not_roaming:
    case CostPolicy::no_surcharge:
    case CostPolicy::standard:
    case CostPolicy::unrestricted:
      return true;
  }
  return false;
}

Fault properties_fault(const JobProperties& properties) {
  if (properties.priority > Priority::low) return "there is no such priority";
  if (properties.proxy.usage > ProxySettings::Usage::autodetect)
    return "there is no such proxy use";
  if (!is_cost_policy(static_cast<std::uint32_t>(properties.cost))) {
    return "there is no such cost policy";
  }
  return first_of(
      text_fault("the display name", properties.display_name, kRecordDisplayBytesMax),
      text_fault("the description", properties.description, kRecordDescriptionBytesMax),
      duration_fault("the minimum retry delay", properties.minimum_retry_delay),
      duration_fault("the no-progress timeout", properties.no_progress_timeout),
      duration_fault("the maximum download time", properties.maximum_download_time),
      name_fault("the proxy", properties.proxy.proxy, kRecordUrlBytesMax),
      name_fault("the proxy bypass list", properties.proxy.bypass, kRecordBypassBytesMax),
      headers_fault(properties.custom_headers),
      name_fault("the client certificate", properties.client_certificate, kRecordPathBytesMax),
      name_fault("the client key", properties.client_key, kRecordPathBytesMax));
}

bool is_final(JobState state) {
  return state == JobState::acknowledged || state == JobState::cancelled;
}

Fault state_fault(const JobRecord& record) {
  switch (record.state) {
    case JobState::queued:
    case JobState::suspended:
    case JobState::error:
    case JobState::transferred:
    case JobState::acknowledged:
    case JobState::cancelled:
      break;
    default:
      return "the state is " + std::to_string(static_cast<unsigned>(record.state));
  }
  if (record.purged && !is_final(record.state)) return "it is purged and not at its end";
  if ((record.state == JobState::error) != record.error.has_value()) {
    return record.error ? "there is an error and the state is another"
                        : "the state is error and there is none";
  }
  if (!record.error) return {};
  if (record.error->code > kLastErrorCode) return "there is no such error code";
  if (record.error->context > ErrorContext::remote_application) {
    return "there is no such error context";
  }
  if (record.error->file && record.error->file->value >= record.files.size()) {
    return "the error is one of a file that there is not";
  }
  return text_fault("the error message", record.error->message, kRecordMessageBytesMax);
}

Fault record_fault(const JobRecord& record) {
  if (record.order > INT64_MAX) return "the order is " + std::to_string(record.order);
  if (record.first_resumed < 0 || record.first_resumed > kRecordSecondsMax) {
    return "the time of the first resume is " + std::to_string(record.first_resumed);
  }
  if (record.files.size() > kRecordFilesMax) {
    return "there are more than " + std::to_string(kRecordFilesMax) + " files";
  }
  const Fault fault = first_of(
      state_fault(record), name_fault("the owner", record.owner, kRecordNameBytesMax),
      properties_fault(record.properties), time_fault("the creation", record.times.created),
      time_fault("the modification", record.times.modified),
      time_fault("the end of the transfer",
                 record.times.transferred.value_or(Clock::time_point{})));
  if (!fault.empty()) return fault;
  for (std::size_t i = 0; i < record.files.size(); ++i) {
    if (const Fault of_file = file_fault(record.files[i]); !of_file.empty()) {
      return "file " + std::to_string(i) + ": " + of_file;
    }
  }
  return {};
}

// ---- to protobuf -------------------------------------------------------------------------------

std::int64_t to_microseconds(Clock::time_point time) {
  return std::chrono::duration_cast<microseconds>(time.time_since_epoch()).count();
}

template <class Repeated>
void store_list(const std::vector<std::string>& from, Repeated& to) {
  to.Reserve(static_cast<int>(from.size()));
  for (const std::string& text : from) *to.Add() = text;
}

void store_digest(const core::ExpectedDigest& from, stored::Digest& to) {
  to.set_algorithm(static_cast<std::uint32_t>(from.algorithm));
  to.set_value(from.bytes.data(), from.bytes.size());
  to.set_source(from.source);
}

void store_told(const FileRecord& from, stored::File& to) {
  for (const core::ExpectedDigest& digest : from.digests) store_digest(digest, *to.add_digests());
  if (from.demanded_size) to.set_demanded_size(from.demanded_size->value);
  for (const core::OriginSpec& origin : from.found_urls) {
    stored::Origin& stored = *to.add_found_urls();
    stored.set_url(origin.url);
    stored.set_priority(origin.priority);
  }
  store_list(from.offered_manifests, *to.mutable_offered_manifests());
  to.set_manifest_elsewhere(from.manifest_elsewhere);
  to.set_metalink_url(from.metalink_url);
  if (from.digest) store_digest(*from.digest, *to.mutable_digest());
}

void store_file(const FileRecord& from, stored::File& to) {
  to.set_source(from.request.source);
  to.set_destination(from.request.destination);
  to.set_id(from.request.id);
  for (const ByteRange& range : from.request.ranges) {
    stored::Range& stored = *to.add_ranges();
    stored.set_offset(range.offset);
    stored.set_length(range.length);
  }
  to.set_manifest(from.request.manifest);
  store_list(from.request.mirrors, *to.mutable_mirrors());
  store_list(from.request.caches.hosts, *to.mutable_cache_hosts());
  for (const CacheMap& map : from.request.caches.maps) {
    stored::CacheMap& stored = *to.add_cache_maps();
    stored.set_prefix(map.prefix);
    stored.set_cache_prefix(map.cache_prefix);
  }
  store_list(from.request.peers, *to.mutable_peers());
  store_list(from.request.trackers, *to.mutable_trackers());
  to.set_use_origin(from.request.use_origin);
  to.set_use_peers(from.request.use_peers);
  to.set_integrity_mandatory(from.request.integrity_mandatory);
  to.set_share_after_complete(from.request.share_after_complete);
  if (from.content != core::Digest{}) to.set_content(from.content.data(), from.content.size());
  to.set_size_bytes(from.size_bytes);
  to.set_piece_bytes(from.piece_bytes);
  to.set_transferred(from.transferred);
  to.set_completed(from.completed);
  store_told(from, to);
}

void store_properties(const JobProperties& from, stored::Properties& to) {
  to.set_display_name(from.display_name);
  to.set_description(from.description);
  to.set_priority(static_cast<std::uint32_t>(from.priority));
  to.set_notify_flags(from.notify_flags);
  to.set_minimum_retry_delay_s(from.minimum_retry_delay.count());
  to.set_no_progress_timeout_s(from.no_progress_timeout.count());
  to.set_maximum_download_time_s(from.maximum_download_time.count());
  to.mutable_proxy()->set_usage(static_cast<std::uint32_t>(from.proxy.usage));
  to.mutable_proxy()->set_proxy(from.proxy.proxy);
  to.mutable_proxy()->set_bypass(from.proxy.bypass);
  store_list(from.custom_headers, *to.mutable_custom_headers());
  to.set_cost(static_cast<std::uint32_t>(from.cost));
  to.set_client_certificate(from.client_certificate);
  to.set_client_key(from.client_key);
  to.set_allow_https_to_http_redirects(from.allow_https_to_http_redirects);
}

void store_times(const JobTimes& from, stored::Times& to) {
  to.set_created_us(to_microseconds(from.created));
  to.set_modified_us(to_microseconds(from.modified));
  if (from.transferred) to.set_transferred_us(to_microseconds(*from.transferred));
}

void store_error(const JobError& from, stored::Failure& to) {
  to.set_code(to_string(from.code));
  to.set_message(from.message);
  to.set_context(static_cast<std::uint32_t>(from.context));
  if (from.file) to.set_file(from.file->value);
}

// ---- from protobuf -----------------------------------------------------------------------------

tl::unexpected<Error> damaged(const std::string& what) {
  return fail(ErrorCode::state_damaged, what);
}

template <class Array>
bool load_array(const std::string& from, Array& to) {
  if (from.size() != to.size()) return false;
  std::copy(from.begin(), from.end(), to.begin());
  return true;
}

// A number outside the type becomes one that check() refuses.
template <class Enum>
Enum load_enum(std::uint32_t from) {
  return static_cast<Enum>(static_cast<std::uint8_t>(std::min<std::uint32_t>(from, UINT8_MAX)));
}

// Out of bounds stays out of bounds: check() refuses both ends.
Clock::time_point load_time(std::int64_t us) {
  const std::int64_t kept = std::clamp<std::int64_t>(us, -1, kMicrosecondsMax + 1);
  return Clock::time_point(std::chrono::duration_cast<Clock::duration>(microseconds(kept)));
}

std::optional<ErrorCode> load_code(const std::string& name) {
  for (int i = 0; i <= static_cast<int>(kLastErrorCode); ++i) {
    if (name == to_string(static_cast<ErrorCode>(i))) return static_cast<ErrorCode>(i);
  }
  return std::nullopt;
}

core::ExpectedDigest load_digest(const stored::Digest& from) {
  return {.algorithm = load_enum<core::DigestAlgorithm>(from.algorithm()),
          .bytes = {from.value().begin(), from.value().end()},
          .source = from.source()};
}

void load_told(const stored::File& from, FileRecord& to) {
  for (const stored::Digest& digest : from.digests()) to.digests.push_back(load_digest(digest));
  if (from.has_demanded_size()) to.demanded_size = core::ByteCount{from.demanded_size()};
  for (const stored::Origin& origin : from.found_urls()) {
    to.found_urls.push_back({.url = origin.url(), .priority = origin.priority()});
  }
  to.offered_manifests.assign(from.offered_manifests().begin(), from.offered_manifests().end());
  to.manifest_elsewhere = from.manifest_elsewhere();
  to.metalink_url = from.metalink_url();
  if (from.has_digest()) to.digest = load_digest(from.digest());
}

bool load_file(const stored::File& from, FileRecord& to) {
  to.request.source = from.source();
  to.request.destination = from.destination();
  to.request.id = from.id();
  for (const stored::Range& range : from.ranges()) {
    to.request.ranges.push_back({range.offset(), range.length()});
  }
  to.request.manifest = from.manifest();
  to.request.mirrors.assign(from.mirrors().begin(), from.mirrors().end());
  to.request.caches.hosts.assign(from.cache_hosts().begin(), from.cache_hosts().end());
  for (const stored::CacheMap& map : from.cache_maps()) {
    to.request.caches.maps.push_back({map.prefix(), map.cache_prefix()});
  }
  to.request.peers.assign(from.peers().begin(), from.peers().end());
  to.request.trackers.assign(from.trackers().begin(), from.trackers().end());
  to.request.use_origin = from.use_origin();
  to.request.use_peers = from.use_peers();
  to.request.integrity_mandatory = from.integrity_mandatory();
  to.request.share_after_complete = from.share_after_complete();
  to.size_bytes = from.size_bytes();
  to.piece_bytes = from.piece_bytes();
  to.transferred = from.transferred();
  to.completed = from.completed();
  load_told(from, to);
  return from.content().empty() || load_array(from.content(), to.content);
}

void load_properties(const stored::Properties& from, JobProperties& to) {
  to.display_name = from.display_name();
  to.description = from.description();
  to.priority = load_enum<Priority>(from.priority());
  to.notify_flags = from.notify_flags();
  to.minimum_retry_delay = seconds(from.minimum_retry_delay_s());
  to.no_progress_timeout = seconds(from.no_progress_timeout_s());
  to.maximum_download_time = seconds(from.maximum_download_time_s());
  to.proxy.usage = load_enum<ProxySettings::Usage>(from.proxy().usage());
  to.proxy.proxy = from.proxy().proxy();
  to.proxy.bypass = from.proxy().bypass();
  to.custom_headers.assign(from.custom_headers().begin(), from.custom_headers().end());
  to.cost = static_cast<CostPolicy>(from.cost());
  to.client_certificate = from.client_certificate();
  to.client_key = from.client_key();
  to.allow_https_to_http_redirects = from.allow_https_to_http_redirects();
}

bool load_error(const stored::Failure& from, JobError& to) {
  const auto code = load_code(from.code());
  if (!code) return false;
  to.code = *code;
  to.message = from.message();
  to.context = load_enum<ErrorContext>(from.context());
  if (from.has_file()) to.file = FileId{from.file()};
  return true;
}

}  // namespace

bool is_manifest_size(std::size_t bytes) { return bytes > 0 && bytes <= core::kMetainfoBytesMax; }

Result<void> check(const JobRecord& record) {
  if (Fault fault = record_fault(record); !fault.empty()) {
    return fail(ErrorCode::invalid_argument, std::move(fault));
  }
  return {};
}

std::string encode(const JobRecord& record) {
  stored::Job job;
  job.set_id(record.id.bytes.data(), record.id.bytes.size());
  job.set_state(static_cast<std::uint32_t>(record.state));
  job.set_purged(record.purged);
  job.set_owner(record.owner);
  job.set_owner_uid(record.owner_uid);
  store_properties(record.properties, *job.mutable_properties());
  store_times(record.times, *job.mutable_times());
  job.set_order(record.order);
  job.set_first_resumed_s(record.first_resumed);
  job.set_error_count(record.error_count);
  if (record.error) store_error(*record.error, *job.mutable_error());
  for (const FileRecord& file : record.files) store_file(file, *job.add_files());
  return job.SerializeAsString();
}

Result<JobRecord> decode(std::span<const std::uint8_t> bytes) {
  if (bytes.size() > kRecordBytesMax) {
    return damaged("the record is longer than " + std::to_string(kRecordBytesMax) + " bytes");
  }
  stored::Job job;
  if (!job.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return damaged("the record cannot be parsed");
  }
  JobRecord record;
  if (!load_array(job.id(), record.id.bytes)) return damaged("the identifier is not 16 bytes long");
  record.state = load_enum<JobState>(job.state());
  record.purged = job.purged();
  record.owner = job.owner();
  record.owner_uid = job.owner_uid();
  load_properties(job.properties(), record.properties);
  record.times.created = load_time(job.times().created_us());
  record.times.modified = load_time(job.times().modified_us());
  if (job.times().has_transferred_us()) {
    record.times.transferred = load_time(job.times().transferred_us());
  }
  record.order = job.order();
  record.first_resumed = job.first_resumed_s();
  record.error_count = job.error_count();
  if (job.has_error() && !load_error(job.error(), record.error.emplace())) {
    return damaged("there is no such error code");
  }
  if (static_cast<std::size_t>(job.files_size()) > kRecordFilesMax) {
    return damaged("there are more than " + std::to_string(kRecordFilesMax) + " files");
  }
  for (const stored::File& file : job.files()) {
    if (!load_file(file, record.files.emplace_back())) {
      return damaged("file " + std::to_string(record.files.size() - 1) +
                     ": the content's name is not 32 bytes long");
    }
  }
  if (const Fault fault = record_fault(record); !fault.empty()) return damaged(fault);
  return record;
}

}  // namespace lanward::store
