// Values of the embedding API. Units are in the names: bytes are bytes, rates are bytes per second.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lanward {

// Random (version 4) identifier of a job; stable for the life of the job.
struct JobId {
  std::array<std::uint8_t, 16> bytes{};
  friend auto operator<=>(const JobId&, const JobId&) = default;
};
// 8-4-4-4-12 lower-case hexadecimal.
[[nodiscard]] std::string to_string(const JobId& id);
// The inverse; upper case and surrounding braces are understood. Nothing if it is no identifier.
[[nodiscard]] std::optional<JobId> parse_job_id(std::string_view text);

// Position of a file in its job, in the order of adding.
struct FileId {
  std::uint32_t value = 0;
  friend auto operator<=>(const FileId&, const FileId&) = default;
};

// Values of the published BG_JOB_TYPE. There are only downloads.
enum class JobType : std::uint8_t { download = 0 };

// Values of the published BG_JOB_PRIORITY. As in Delivery Optimization there are two kinds only:
// foreground and the others, which are all alike. While a foreground job is moving bytes the others
// leave it the bandwidth.
enum class Priority : std::uint8_t { foreground = 0, high = 1, normal = 2, low = 3 };
[[nodiscard]] const char* to_string(Priority priority) noexcept;

// Bytes of a file. `length` 0 is no range; kToEnd means up to the end of the file.
struct ByteRange {
  static constexpr std::uint64_t kToEnd = ~std::uint64_t{0};
  std::uint64_t offset = 0;
  std::uint64_t length = kToEnd;
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

// Which events are told, a set of the published BG_NOTIFY values.
struct NotifyFlags {
  static constexpr std::uint32_t kTransferred = 0x1;       // the job became transferred
  static constexpr std::uint32_t kError = 0x2;             // the job became error
  static constexpr std::uint32_t kDisable = 0x4;           // nothing, whatever else is set
  static constexpr std::uint32_t kModification = 0x8;      // any other change, and progress
  static constexpr std::uint32_t kFileTransferred = 0x10;  // one of the files is complete
  static constexpr std::uint32_t kAll = 0x1b;
};

// When bytes may cost money: values of the published BITS_JOB_TRANSFER_POLICY. Kept with the job
// and reported; which networks it applies to is not decided yet (docs/api.md).
enum class CostPolicy : std::uint32_t {
  always = 0x800000ff,
  not_roaming = 0x8000007f,
  no_surcharge = 0x8000006f,
  standard = 0x80000067,
  unrestricted = 0x80000021,
};

// How fast bytes may come from origins. Zero: no limit; both: the lower one. Bytes of peers in the
// local network are not limited.
struct BandwidthLimit {
  std::uint64_t bytes_per_s = 0;
  // 1 to 100, of the rate that the line and the servers have shown to be capable of. Every 15
  // seconds or so the limit is lifted for 1.5 seconds to measure that.
  std::uint32_t percent = 0;
  friend bool operator==(const BandwidthLimit&, const BandwidthLimit&) = default;
};

// Foreground comes first: where a total limit, or the line, has less than both want, background
// jobs get what foreground jobs leave, but at least a twentieth of a total limit.
struct BandwidthRule {
  std::uint64_t total_bytes_per_s = 0;  // of all jobs together; 0: no limit
  BandwidthLimit foreground = {};       // of all foreground jobs together
  BandwidthLimit background = {};       // of all others together
  friend bool operator==(const BandwidthRule&, const BandwidthRule&) = default;
};

// Other limits at some hours of the week, in local time.
struct BandwidthHours {
  static constexpr std::uint8_t kEveryDay = 0x7f;
  // Bits: Monday is 1, Sunday 64. Hours over midnight belong to the day on which they begin.
  std::uint8_t weekdays = kEveryDay;
  std::uint16_t begin_minute = 0;  // of the day, 0 to 1439
  std::uint16_t end_minute = 0;    // 0 to 1440; not after the beginning: on the next day
  BandwidthRule rule = {};
  friend bool operator==(const BandwidthHours&, const BandwidthHours&) = default;
};

struct BandwidthLimits {
  BandwidthRule always = {};
  // The first that contains the present time counts instead of `always`, as a whole. At most 32.
  std::vector<BandwidthHours> hours = {};
  friend bool operator==(const BandwidthLimits&, const BandwidthLimits&) = default;
};

// Caches in the site, which are asked before the origins whose files they hold.
struct CacheMap {
  std::string prefix = {};        // of URLs of an origin
  std::string cache_prefix = {};  // what stands in its place at the cache
  friend bool operator==(const CacheMap&, const CacheMap&) = default;
};
struct CacheHosts {
  // HOST or HOST:PORT of caches of the Connected Cache kind, in the order in which they are asked:
  // the host in the URL is replaced, and `cacheHostOrigin` is added to the query. At most 16.
  std::vector<std::string> hosts = {};
  // Plain reverse caches. The first map that fits a URL counts. At most 64.
  std::vector<CacheMap> maps = {};
  friend bool operator==(const CacheHosts&, const CacheHosts&) = default;
};

// What the piece cache may take and keep. What is pinned, or jobs that are not final refer to, is
// never evicted; pinned contents do not count to the quota. Where a job asks for more than the
// quota leaves, its bytes go beside its destination instead, and its note says so.
struct CachePolicy {
  // The quota: the least of those that are set.
  std::uint64_t max_bytes = 0;       // 0: no such limit
  std::uint32_t max_percent = 20;    // 0 to 100, of the cache's file system; 0: no such limit
  std::uint64_t min_free_bytes = 0;  // to stay free on that file system; 0: no such limit
  // Unused for longer goes; 0: never. Default as published.
  std::chrono::seconds max_age = std::chrono::hours{72};
  // Smaller files do not stay once no job refers to them; 0: all may. (Published: 50 MB.)
  std::uint64_t min_file_bytes = 0;
  // When the quota is used to high_percent, contents go, the least recently used first, until
  // low_percent are used. 1 to 100, low no higher than high.
  std::uint32_t high_percent = 100;
  std::uint32_t low_percent = 90;
  // The background check: every verified piece is hashed again after so long (0: never), reading no
  // faster than this.
  std::chrono::seconds check_interval = std::chrono::hours{7 * 24};
  std::uint64_t check_bytes_per_s = 8'000'000;
  friend bool operator==(const CachePolicy&, const CachePolicy&) = default;
};

// How origins are reached. Values of the published BG_JOB_PROXY_USAGE.
struct ProxySettings {
  enum class Usage : std::uint8_t {
    preconfig = 0,   // http_proxy, https_proxy, no_proxy of the environment
    none = 1,        // never a proxy
    use = 2,         // `proxy`, except for the hosts of `bypass`
    autodetect = 3,  // as preconfig: nothing else is detected
  };
  Usage usage = Usage::preconfig;
  std::string proxy = {};   // URL of the proxy (http, https, socks5h)
  std::string bypass = {};  // comma-separated host names
  friend bool operator==(const ProxySettings&, const ProxySettings&) = default;
};

struct JobTimes {
  std::chrono::system_clock::time_point created{};
  std::chrono::system_clock::time_point modified{};  // bytes moved, a property or the state changed
  std::optional<std::chrono::system_clock::time_point> transferred{};  // when it last became so
};

// Values of the published DownloadMode: where bytes of a file may come from.
enum class DownloadMode : std::uint8_t {
  cdn_only = 0,  // origins and caches only
  lan = 1,       // and peers in the local network
  group = 2,     // and members of the group
  internet = 3,  // not supported
  simple = 99,   // origins only, and nothing is looked for but the URL itself
  bypass = 100,  // as simple, straight to the destination: the cache has no part in it
};
// "http-only", "lan", "group", "internet", "simple", "bypass".
[[nodiscard]] const char* to_string(DownloadMode mode) noexcept;
// The name or the number; nothing: neither.
[[nodiscard]] std::optional<DownloadMode> parse_download_mode(std::string_view text);

// Why a file has peers or none; docs/cli.md has a table.
enum class PeersReason : std::uint8_t {
  idle,               // the file is not in use
  undecided,          // the manifest is being looked for
  connected,          // it has peers
  looking,            // none was found yet
  serving,            // it is complete, and nobody asks for it
  mode,               // the download mode has no peers
  not_asked,          // peers are switched off
  private_content,    // it came, or would come, by credentials
  no_manifest,        // nothing says what bytes of peers must be
  empty_file,         //
  not_started,        // the part for peers is not needed yet
  module_missing,     // the part for peers is not installed
  failed,             // it could not be started
  rules_stopped,      // PeerRules::serving is false
  addresses_refused,  // the rules refuse every address that was found
  handshake_refused,  // strangers, or a key that is not accepted
  busy,               // as many connections as PeerLimits allow
};
// As above ("private_content"), but for idle: "idle".
[[nodiscard]] const char* to_string(PeersReason reason) noexcept;
struct PeersAnswer {
  PeersReason reason = PeersReason::idle;
  std::string text = {};  // a sentence for people
  friend bool operator==(const PeersAnswer&, const PeersAnswer&) = default;
};

// Values of the published SwarmStatus.
enum class SwarmStatus : std::uint8_t { downloading = 0, complete = 1, caching = 2, paused = 3 };

// The figures of one file as the published DOSwarmStats has them. What PeerClass calls other is an
// Internet peer.
struct SwarmStats {
  std::string file_id = {};  // infohash in hexadecimal; without a manifest the id of the request
  std::string source_url = {};
  std::uint64_t file_bytes = 0;
  std::uint64_t downloaded_bytes = 0;  // payload received, from whatever source
  std::uint64_t from_http_bytes = 0;
  std::uint64_t from_cache_host_bytes = 0;  // through a cache host ("Doinc")
  std::uint64_t from_lan_peers_bytes = 0;
  std::uint64_t from_group_peers_bytes = 0;
  std::uint64_t from_internet_peers_bytes = 0;
  std::uint64_t to_lan_peers_bytes = 0;
  std::uint64_t to_group_peers_bytes = 0;
  std::uint64_t to_internet_peers_bytes = 0;
  std::uint32_t http_connections = 0;
  std::uint32_t cache_host_connections = 0;
  std::uint32_t lan_connections = 0;
  std::uint32_t group_connections = 0;
  std::uint32_t internet_connections = 0;
  std::chrono::milliseconds duration{0};  // time spent transferring, in this run of the engine
  DownloadMode mode = DownloadMode::lan;
  SwarmStatus status = SwarmStatus::paused;
  bool background = true;
};

// The job states of Delivery Optimization; the values are the published ones.
enum class JobState : std::uint8_t {
  queued = 0,           // resumed, waiting for its turn
  connecting = 1,       // looking for the manifest, the origin's facts and peers
  transferring = 2,     // bytes are moving
  suspended = 3,        // new, or suspended by a call
  error = 4,            // stopped by a cause that needs a person; resume() tries again
  transient_error = 5,  // waiting to retry by itself
  transferred = 6,      // every file is complete and verified in the cache: call complete()
  acknowledged = 7,     // complete() delivered the files; final
  cancelled = 8,        // cancel() removed everything; final
};
// Stable lower-case name ("transient_error").
[[nodiscard]] const char* to_string(JobState state) noexcept;

// When this machine gives to peers at all; taking goes on. Looked at every half a minute.
struct SharingRules {
  std::uint64_t min_memory_bytes = 0;     // of the machine, as its kernel counts; 0: no such rule
  std::uint64_t min_disk_bytes = 0;       // size of the cache's file system; likewise
  std::uint64_t min_free_bytes = 0;       // free on it, for this user; likewise
  bool on_battery = true;                 // false: not while it runs on its battery
  std::uint32_t min_battery_percent = 0;  // 0 to 100, while it runs on its battery
  friend bool operator==(const SharingRules&, const SharingRules&) = default;
};

// Why nothing is given to peers.
enum class UploadBar : std::uint8_t {
  none,        // peers are given what they ask for, within limits
  switched,    // by PeerLimits::upload
  month,       // PeerLimits::upload_bytes_per_month is used up
  count,       // and how much was given cannot be recorded
  memory,      // SharingRules
  disk_size,   // likewise
  disk_free,   // likewise
  battery,     // likewise: below min_battery_percent
  on_battery,  // likewise
};
// Stable lower-case name ("disk_free").
[[nodiscard]] const char* to_string(UploadBar bar) noexcept;

struct UploadStatus {
  UploadBar bar = UploadBar::none;
  std::string reason = {};              // a sentence for people; empty: none
  std::uint64_t given_this_month = 0;   // bytes; 0 without a monthly limit
  std::uint64_t allowed_per_month = 0;  // 0: no limit
  friend bool operator==(const UploadStatus&, const UploadStatus&) = default;
};

enum class SourceKind : std::uint8_t { origin, peer };

// Where a peer is.
enum class PeerClass : std::uint8_t {
  lan,    // its address is for local use, or in a network that this machine is in, too
  group,  // elsewhere, and a member of the group (EngineOptions::group_file)
  other,  // elsewhere
};
[[nodiscard]] const char* to_string(PeerClass where) noexcept;

// What one source contributed in this run of the job.
// Over all sources: sum(received) == fetched bytes of the file + sum(wasted).
struct SourceStats {
  SourceKind kind = SourceKind::origin;
  std::string name = {};             // URL, or address:port of a peer
  std::uint64_t received_bytes = 0;  // payload taken from this source
  std::uint64_t wasted_bytes = 0;    // of these, duplicates and bytes that failed verification
  std::uint64_t served_bytes = 0;    // payload given to this peer
  bool banned = false;               // it sent bytes that failed verification
  PeerClass where = PeerClass::lan;  // of a peer
};

// What the correctness of a delivered file rests on.
enum class Integrity : std::uint8_t {
  unknown,    // not determined yet
  manifest,   // SHA-256 Merkle tree of a BitTorrent v2 manifest
  transport,  // no manifest was found: HTTP only, nothing but the transport vouches for the bytes
  digest,     // HTTP only, the whole file is checked against FileStatus::digest when it is complete
};
[[nodiscard]] const char* to_string(Integrity integrity) noexcept;

struct Progress {
  bool total_known = false;
  std::uint64_t total_bytes = 0;       // 0 while unknown
  std::uint64_t verified_bytes = 0;    // on disk and verified, pieces found in the cache included
  std::uint64_t cached_bytes = 0;      // of these, already in the cache when the job started
  std::uint64_t origin_bytes = 0;      // payload received from origins
  std::uint64_t peer_bytes = 0;        // payload received from peers
  std::uint64_t wasted_bytes = 0;      // duplicates and bytes that failed verification
  std::uint64_t rate_bytes_per_s = 0;  // payload rate over the last seconds
  std::uint32_t peers_connected = 0;
  std::uint32_t files_total = 0;
  std::uint32_t files_transferred = 0;
  PeersAnswer peers_answer = {};  // of the first file that is in use, else of the first
};

}  // namespace lanward
