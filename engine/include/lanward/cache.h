// The piece cache as its administrator sees it: what it holds, what stays, what goes.
//
// Two ways in. Engine::cache() serves the cache of a running engine, while it downloads and shares.
// Cache::open() opens a directory that no engine owns right now, or, with `read_only`, looks at one
// that an engine owns: status() and list() work then, everything else is refused (invalid_state).
// docs/cache-format.md tells what is on the disk and what may be believed after a crash.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lanward/error.h>
#include <lanward/types.h>

namespace lanward {

class Engine;

namespace host {
class CacheImpl;
}  // namespace host

// The cache at one moment. Bytes are those that files take on the disk: holes are not counted.
struct CacheStatus {
  std::string directory = {};
  CachePolicy policy = {};
  std::uint64_t used_bytes = 0;        // of all contents
  std::uint64_t pinned_bytes = 0;      // of these; they do not count to the quota
  std::uint64_t referenced_bytes = 0;  // of contents that jobs refer to: never evicted
  std::uint64_t evictable_bytes = 0;   // of contents that may go
  // What the policy allows, from its bytes, its share of the disk and what must stay free; nothing:
  // no limit.
  std::optional<std::uint64_t> quota_bytes = {};
  std::uint64_t disk_bytes = 0;  // of the file system of the directory
  std::uint64_t free_bytes = 0;  // on it, for this user
  std::uint32_t contents = 0;
  std::uint32_t complete_contents = 0;  // every piece verified
  std::uint32_t pinned_contents = 0;
  // Why nothing is cached at present ("the cache directory ... is full"); empty: it is in order.
  // Downloads go on beside their destinations meanwhile.
  std::string trouble = {};
};

// One content. Times are seconds since 1970.
struct CachedContent {
  std::string id = {};      // 64 hexadecimal digits: the pieces root, the name of the data file
  std::string name = {};    // a file name to show; may be empty
  std::string origin = {};  // a URL it came from, without query and user; may be empty
  std::uint64_t size = 0;
  std::uint32_t piece_bytes = 0;
  std::uint64_t verified_bytes = 0;  // == size: complete
  std::uint64_t disk_bytes = 0;      // what its data file takes
  bool pinned = false;
  bool open = false;  // by a download or by sharing right now
  // Its manifest is there: it can be checked, and served to peers, without asking anybody.
  bool manifest_known = false;
  // It may be offered to peers: it came without credentials, or somebody has said so.
  bool shared = false;
  // Its bytes lie beside the destination of a download, because the cache could not take them.
  std::string elsewhere = {};
  std::vector<JobId> jobs = {};  // that refer to it and are not final
  std::int64_t created = 0;
  std::int64_t last_use = 0;
  std::optional<std::int64_t> expires = {};
  std::optional<std::int64_t> last_check = {};  // when all of it was last hashed
};

enum class CheckVerdict : std::uint8_t {
  good,          // every verified piece hashes to what its manifest says
  bad,           // some pieces did not: they are dropped, and fetched again by whoever needs them
  unverifiable,  // there is no manifest to check against
  in_use,        // just being opened or closed: ask again
  failed,        // it could not be read to the end; `error` tells
};
[[nodiscard]] const char* to_string(CheckVerdict verdict) noexcept;

// What a check of one content found.
struct ContentCheck {
  std::string id = {};
  CheckVerdict verdict = CheckVerdict::good;
  std::uint64_t checked_bytes = 0;
  std::uint32_t pieces_checked = 0;
  // That are dropped now, in ascending order.
  std::vector<std::uint32_t> bad_pieces = {};
  // That were not counted as verified before, and are.
  std::uint32_t pieces_found = 0;
  std::optional<Error> error = {};
};

struct CheckProgress {
  std::uint32_t contents_done = 0;
  std::uint32_t contents_total = 0;
  std::uint64_t bytes_done = 0;
  std::uint64_t bytes_total = 0;           // known at the start
  const ContentCheck* finished = nullptr;  // the content that has just ended, if one has
};
// Called on the caller's thread, after every content and at least once per 64 MiB. False: stop.
using CheckCallback = std::function<bool(const CheckProgress&)>;

struct CheckOptions {
  std::vector<std::string> ids = {};   // empty: all
  std::uint64_t bytes_per_second = 0;  // how fast to read at most; 0: as fast as the disk can
  CheckCallback progress = {};
};

struct ImportOptions {
  // Path of the .torrent that describes the file. Empty: `path`.torrent if there is one, else one
  // is made: the content is then what publish() of the file would make it.
  std::string manifest = {};
  std::string name = {};  // empty: that of the manifest, else of the file
  bool pin = false;
  bool share = true;  // it may be offered to peers; false: what was said of it before stands
  // Bytes done and in all, on the caller's thread. False: stop.
  std::function<bool(std::uint64_t done, std::uint64_t total)> progress = {};
};

struct ExportOptions {
  // Give the file out as a further name of the cache's own data file where the file system allows
  // it: nothing is copied, but whoever writes to the file spoils the cache (which a check finds).
  bool hard_link = false;
  bool with_manifest = false;  // also DESTINATION.torrent, if it is known
};

struct TrimResult {
  std::uint32_t contents = 0;  // evicted
  std::uint64_t bytes = 0;     // freed
};

struct CacheOptions {
  std::string directory = {};
  CachePolicy policy = {};
  bool read_only = false;
};

// Copies refer to the same cache. Any thread, but not from inside a callback of a job. Calls return
// when they are done; those that read files take as long as the disk does.
// Errors of every call: invalid_state once the engine or the cache is closed, disk_full, disk_io;
// not_found for an id that the cache does not have; invalid_argument for what is no id. A prefix of
// an id counts as the id if it is unique and has at least 6 digits.
class Cache {
 public:
  // Errors: in_use (an engine owns the directory; the message names its process), not_found
  // (`read_only` and there is no cache), unsupported (its index is of a later version).
  [[nodiscard]] static Result<Cache> open(const CacheOptions& options);

  [[nodiscard]] Result<CacheStatus> status() const;
  // In order of last use, the latest first.
  [[nodiscard]] Result<std::vector<CachedContent>> list() const;
  [[nodiscard]] Result<CachedContent> find(const std::string& id) const;

  // Pinned contents are never evicted and do not count to the quota. Errors: see above.
  Result<void> pin(const std::string& id, bool pinned);
  // What is not shared is not offered to peers by who uses the cache later. Downloads share what
  // they fetch without credentials, and nothing else; docs/security.md. An engine that is offering
  // the content stops within moments. Errors: see above.
  Result<void> share(const std::string& id, bool shared);
  // The content goes at that time, used or not, unless a job refers to it then; nothing: no such
  // time. At most a year from now. Errors: invalid_argument.
  Result<void> expire(const std::string& id,
                      std::optional<std::chrono::system_clock::time_point> when);
  // Errors: in_use if it is open or a job refers to it; invalid_state if it is pinned, unless
  // `pinned_too`.
  Result<void> remove(const std::string& id, bool pinned_too = false);
  // Evicts what the policy wants gone, now. Done in the background anyway while an engine runs.
  Result<TrimResult> trim();

  // Hashes what is marked as verified, or might be, and drops what is not. Answers with one entry
  // per content. Running transfers fetch dropped pieces again by themselves. Errors: cancelled if
  // the callback said stop.
  Result<std::vector<ContentCheck>> verify(const CheckOptions& options = {});

  // Puts a file that is on this machine into the cache, as if it had been downloaded: cloned where
  // the file system can, else copied, and hashed. The file itself is only read. What of it is in
  // the cache already is not copied again. Errors: integrity if it is not what the manifest says,
  // in_use if the content is open, not_found if there is no such file, cancelled.
  Result<CachedContent> import_file(const std::string& path, const ImportOptions& options = {});
  // Puts a complete content at `destination` as a delivery does: whole or not at all, never through
  // a symbolic link of that name. Errors: invalid_state if pieces are missing, destination.
  Result<void> export_file(const std::string& id, const std::string& destination,
                           const ExportOptions& options = {});

 private:
  friend class Engine;
  explicit Cache(std::shared_ptr<host::CacheImpl> impl);
  std::shared_ptr<host::CacheImpl> impl_;
};

}  // namespace lanward
