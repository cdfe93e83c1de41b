#include <lanward/publish.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <initializer_list>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "engine/core/metainfo.h"
#include "engine/core/text.h"
#include "engine/store/sha256.h"

namespace lanward {
namespace {

// More threads than this only wait for the disk: one hashes 1.5 GB/s or more with SHA-NI.
constexpr std::uint32_t kThreadsMax = 8;
// Bytes per read: long enough for the disk to stream, short enough that all threads together hold
// 8 MiB.
constexpr std::size_t kReadBytes = core::kMiB;
// How often progress is reported.
constexpr std::chrono::milliseconds kProgressInterval{100};
// Temporary names tried beside the output; each one taken was left by a crash of a process with
// our number.
constexpr int kTemporaryNamesMax = 100;

std::string cause(int error) { return std::generic_category().message(error); }

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }
  // Closes now, for the caller who wants to know whether that failed.
  [[nodiscard]] bool close() { return ::close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

Result<void> check_urls(const std::vector<std::string>& urls, std::string_view what,
                        std::initializer_list<std::string_view> schemes) {
  const auto bad = [&](const std::string& url, std::string_view fault) {
    return fail(ErrorCode::invalid_argument,
                "the " + std::string(what) + " \"" + url + "\" " + std::string(fault));
  };
  if (urls.size() > core::kManifestUrlsMax) {
    return fail(ErrorCode::invalid_argument,
                "a manifest holds at most " + std::to_string(core::kManifestUrlsMax) + " " +
                    std::string(what) + "s; " + std::to_string(urls.size()) + " were given");
  }
  for (const std::string& url : urls) {
    if (const char* fault = core::url_fault(url)) return bad(url, fault);
    if (!core::url_scheme_is_one_of(url, schemes)) {
      std::string known;
      for (const std::string_view scheme : schemes) {
        known += (known.empty() ? "" : ", ") + std::string(scheme);
      }
      return bad(url, "has a scheme that cannot be used here; use one of " + known);
    }
  }
  return {};
}

Result<void> check_request(const PublishRequest& request) {
  if (request.file.empty()) {
    return fail(ErrorCode::invalid_argument, "no file to publish was named");
  }
  if (auto step = check_urls(request.urls, "URL", {"http", "https"}); !step) return step;
  for (const std::string& url : request.urls) {
    // BEP 19 reads such a URL as a directory that holds the file under the name in the manifest.
    if (url.ends_with('/')) {
      return fail(ErrorCode::invalid_argument,
                  "the URL \"" + url + "\" ends in a slash; give the URL of the file itself");
    }
  }
  return check_urls(request.trackers, "tracker", {"http", "https", "udp"});
}

// What must stay the same while the file is read.
struct Fingerprint {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  std::int64_t modified_s = 0;
  std::int64_t modified_ns = 0;
  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
};

Fingerprint fingerprint(const struct stat& s) {
  return {s.st_dev, s.st_ino, s.st_size, s.st_mtim.tv_sec, s.st_mtim.tv_nsec};
}

tl::unexpected<Error> changed(const std::string& path) {
  return fail(ErrorCode::content_changed,
              path + " changed while it was read; publish it again when nobody writes to it");
}

// Hashes the pieces of an open file on several threads.
class PieceHasher {
 public:
  PieceHasher(int fd, const std::string& path, const core::PieceLayout& layout)
      : fd_(fd), path_(path), layout_(layout), hashes_(layout.piece_count()) {}

  Result<std::vector<core::Digest>> run(
      const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
    const std::uint32_t wanted = std::min(
        {std::max(std::thread::hardware_concurrency(), 1U), kThreadsMax, layout_.piece_count()});
    // Whatever ends this function, the threads stop and are joined.
    std::vector<std::jthread> threads;
    for (std::uint32_t i = 0; i < wanted; ++i) {
      std::unique_lock lock(mutex_);
      try {
        threads.emplace_back([this](const std::stop_token& stop) { work(stop); });
        ++running_;
      } catch (const std::system_error& error) {
        if (!threads.empty()) break;  // the system gives no more: fewer do the work
        return fail(ErrorCode::internal, std::string("cannot start a thread: ") + error.what());
      }
    }
    std::unique_lock lock(mutex_);
    while (!finished_.wait_for(lock, kProgressInterval, [this] { return running_ == 0; })) {
      lock.unlock();
      if (progress) progress(hashed_bytes_, layout_.size().value);
      lock.lock();
    }
    if (error_) return tl::unexpected(*error_);
    return std::move(hashes_);
  }

 private:
  void work(const std::stop_token& stop) {
    std::vector<std::byte> buffer(std::min<std::size_t>(kReadBytes, layout_.piece_bytes()));
    std::vector<core::Digest> leaves;
    Result<void> step;
    while (step && !stop.stop_requested() && !failed_) {
      const core::PieceIndex piece{next_piece_.fetch_add(1)};
      if (piece.value >= layout_.piece_count()) break;
      step = hash_piece(piece, buffer, leaves);
    }
    const std::scoped_lock lock(mutex_);
    if (!step) {
      failed_ = true;
      if (!error_) error_ = std::move(step.error());
    }
    --running_;
    finished_.notify_one();
  }

  Result<void> hash_piece(core::PieceIndex piece, std::span<std::byte> buffer,
                          std::vector<core::Digest>& leaves) {
    leaves.clear();
    const core::ByteSpan span = layout_.bytes(piece);
    for (std::uint64_t at = span.begin; at < span.end;) {
      const auto part = buffer.first(std::min<std::uint64_t>(buffer.size(), span.end - at));
      if (auto step = read(at, part); !step) return step;
      for (std::size_t i = 0; i < part.size(); i += core::kBlockBytes) {
        const auto block = std::min<std::size_t>(core::kBlockBytes, part.size() - i);
        leaves.push_back(store::sha256(part.subspan(i, block)));
      }
      at += part.size();
      hashed_bytes_ += part.size();
    }
    hashes_[piece.value] =
        core::merkle_root(leaves, layout_.leaves_per_piece(), core::Digest{}, store::sha256);
    return {};
  }

  [[nodiscard]] Result<void> read(std::uint64_t at, std::span<std::byte> out) const {
    while (!out.empty()) {
      const ssize_t n = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(at));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        return fail(ErrorCode::disk_io, "cannot read " + path_ + " at byte " + std::to_string(at) +
                                            ": " + cause(errno) + "; check the disk");
      }
      if (n == 0) return changed(path_);  // shorter than it was when we opened it
      out = out.subspan(static_cast<std::size_t>(n));
      at += static_cast<std::uint64_t>(n);
    }
    return {};
  }

  const int fd_;
  const std::string& path_;
  const core::PieceLayout layout_;
  std::vector<core::Digest> hashes_;  // each element is written by the thread that took the piece
  std::atomic<std::uint32_t> next_piece_{0};
  std::atomic<std::uint64_t> hashed_bytes_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;  // guards what follows
  std::condition_variable finished_;
  std::uint32_t running_ = 0;
  std::optional<Error> error_;
};

Result<core::Content> read_content(const PublishRequest& request) {
  const std::string& path = request.file;
  // Non-blocking only so that a named pipe is refused instead of waited for.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat before {};
  if (file.get() < 0 || ::fstat(file.get(), &before) != 0) {
    const bool missing = errno == ENOENT || errno == ENOTDIR;
    return fail(missing ? ErrorCode::not_found : ErrorCode::disk_io,
                "cannot open " + path + ": " + cause(errno));
  }
  if (!S_ISREG(before.st_mode)) {
    return fail(ErrorCode::invalid_argument,
                path + " is not a regular file; publish each file by itself");
  }
  const core::ByteCount size{static_cast<std::uint64_t>(before.st_size)};
  core::Content content;
  content.layout = core::PieceLayout(size, core::canonical_piece_bytes(size));
  if (size.value > core::kPieceCountMax * core::kCanonicalPieceBytesMax) {
    return fail(ErrorCode::unsupported, path + " is larger than 16 TiB; publish it in parts");
  }
  (void)::posix_fadvise(file.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  if (request.progress) request.progress(0, size.value);
  auto hashes = PieceHasher(file.get(), path, content.layout).run(request.progress);
  if (!hashes) return tl::unexpected(hashes.error());
  // By path: a file that was replaced meanwhile is not what its readers will get.
  struct stat after {};
  if (::stat(path.c_str(), &after) != 0 || fingerprint(before) != fingerprint(after)) {
    return changed(path);
  }
  if (request.progress) request.progress(size.value, size.value);
  content.piece_hashes = *std::move(hashes);
  content.id = size.value == 0
                   ? store::sha256({})
                   : core::pieces_root(content.piece_hashes, content.layout, store::sha256);
  return content;
}

tl::unexpected<Error> write_failed(const std::string& path, int error) {
  const bool full = error == ENOSPC || error == EDQUOT;
  return fail(full ? ErrorCode::disk_full : ErrorCode::destination,
              "cannot write " + path + ": " + cause(error) +
                  (full ? "; make room and try again" : "; choose another output"));
}

int write_all(int fd, std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return ::fsync(fd) == 0 ? 0 : errno;
}

// The rename is durable once its directory is; a directory that cannot be synced is no failure of
// the file.
void sync_directory_of(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path();
  const Descriptor directory(
      ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) (void)::fsync(directory.get());
}

Result<void> write_atomically(const std::string& path, std::span<const std::uint8_t> bytes) {
  std::string temporary;
  int fd = -1;
  for (int i = 0; fd < 0 && i < kTemporaryNamesMax; ++i) {
    temporary = path + "." + std::to_string(::getpid()) + "-" + std::to_string(i) + ".tmp";
    fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno != EEXIST) break;
  }
  if (fd < 0) return write_failed(path, errno);
  Descriptor file(fd);
  int error = write_all(fd, bytes);
  if (!file.close() && error == 0) error = errno;
  if (error == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) {
    ::unlink(temporary.c_str());
    return write_failed(path, error);
  }
  sync_directory_of(path);
  return {};
}

std::string hex(const core::Digest& digest) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : digest) {
    text += kDigits[byte >> 4U];
    text += kDigits[byte & 15U];
  }
  return text;
}

}  // namespace

Result<Published> publish(const PublishRequest& request) {
  if (auto step = check_request(request); !step) return tl::unexpected(step.error());
  const std::string output = request.output.empty() ? request.file + ".torrent" : request.output;
  std::error_code ignored;
  if (std::filesystem::equivalent(request.file, output, ignored)) {
    return fail(ErrorCode::invalid_argument,
                "the manifest would overwrite " + request.file + "; choose another output");
  }
  auto content = read_content(request);
  if (!content) return tl::unexpected(content.error());

  core::MetainfoParts parts{*std::move(content), {}, request.urls, request.trackers};
  // A name that readers would refuse is not worth suggesting to them.
  std::string name = std::filesystem::path(request.file).filename();
  if (core::file_name_fault(name) == nullptr) parts.name = std::move(name);
  parts.share_private = request.share_private;
  const std::vector<std::uint8_t> document = core::write_metainfo(parts);
  const auto manifest = core::parse_metainfo(document, store::sha256);
  if (!manifest) {
    return fail(ErrorCode::internal, "the manifest of " + request.file +
                                         " does not read back: " + manifest.error().message);
  }
  if (auto step = write_atomically(output, document); !step) return tl::unexpected(step.error());
  return Published{output, hex(manifest->infohash), parts.content.layout.size().value,
                   parts.content.layout.piece_bytes()};
}

}  // namespace lanward
