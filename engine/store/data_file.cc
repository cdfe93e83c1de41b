#include "engine/store/data_file.h"

#include <array>
#include <cerrno>
#include <ctime>
#include <limits>
#include <utility>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "engine/store/system_error.h"

namespace lanward::store {
namespace {

tl::unexpected<Error> failed(const char* action, const std::string& path) {
  return tl::unexpected(system_error(errno, std::string("cannot ") + action + " " + path));
}

// Drops `bytes` from the front of the vectors.
std::span<iovec> advance(std::span<iovec> vectors, std::size_t bytes) {
  while (!vectors.empty() && bytes >= vectors.front().iov_len) {
    bytes -= vectors.front().iov_len;
    vectors = vectors.subspan(1);
  }
  if (!vectors.empty()) {
    vectors.front().iov_base = static_cast<std::byte*>(vectors.front().iov_base) + bytes;
    vectors.front().iov_len -= bytes;
  }
  return vectors;
}

}  // namespace

Result<std::shared_ptr<DataFile>> DataFile::open(std::string path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return failed("open", path);
  return std::shared_ptr<DataFile>(new DataFile(std::move(path), std::move(fd)));
}

Result<std::shared_ptr<DataFile>> DataFile::open_existing(std::string path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!fd && errno == ENOENT) return fail(ErrorCode::not_found, "there is no " + path);
  if (!fd) return failed("open", path);
  return std::shared_ptr<DataFile>(new DataFile(std::move(path), std::move(fd)));
}

Result<FileFacts> DataFile::facts() const {
  struct stat s {};
  if (::fstat(fd_.get(), &s) != 0) return failed("examine", path_);
  constexpr std::int64_t kNanosPerSecond = 1'000'000'000;
  return FileFacts{static_cast<std::uint64_t>(s.st_size), s.st_ino,
                   s.st_mtim.tv_sec * kNanosPerSecond + s.st_mtim.tv_nsec,
                   static_cast<std::uint64_t>(s.st_blocks) * 512};
}

Result<void> DataFile::resize(std::uint64_t size) {
  if (size > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())) {
    errno = EFBIG;
    return failed("extend", path_);
  }
  if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) return failed("resize", path_);
  return {};
}

Result<void> DataFile::write(std::span<iovec> vectors, std::uint64_t offset) {
  while (!vectors.empty()) {
    const ssize_t n = ::pwritev(fd_.get(), vectors.data(), static_cast<int>(vectors.size()),
                                static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = EIO;  // A regular file that takes nothing would be asked for ever.
    if (n <= 0) return failed("write", path_);
    offset += static_cast<std::uint64_t>(n);
    vectors = advance(vectors, static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> DataFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("read", path_);
    if (n == 0) {
      return fail(ErrorCode::disk_io, "cannot read " + path_ + ": the file ends at byte " +
                                          std::to_string(offset) + ", somebody has truncated it");
    }
    offset += static_cast<std::uint64_t>(n);
    out = out.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

bool DataFile::read_cached(std::uint64_t offset, std::span<std::byte> out) const {
  const iovec vector{out.data(), out.size()};
  if (!always_cached_.load(std::memory_order_relaxed)) {
    const ssize_t n = ::preadv2(fd_.get(), &vector, 1, static_cast<off_t>(offset), RWF_NOWAIT);
    if (n == static_cast<ssize_t>(out.size())) return true;
    // A file system in memory knows no such flag, and needs none.
    struct statfs system {};
    if (n >= 0 || errno != EOPNOTSUPP || ::fstatfs(fd_.get(), &system) != 0) return false;
    if (system.f_type != TMPFS_MAGIC && system.f_type != RAMFS_MAGIC) return false;
    always_cached_.store(true, std::memory_order_relaxed);
  }
  return ::pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset)) ==
         static_cast<ssize_t>(out.size());
}

std::uint64_t DataFile::next_data(std::uint64_t offset, std::uint64_t size) const {
  const off_t at = ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_DATA);
  if (at >= 0) return static_cast<std::uint64_t>(at);
  // ENXIO: only holes follow. Anything else: the file system cannot tell, so all may be data.
  return errno == ENXIO ? size : offset;
}

void DataFile::punch(std::uint64_t offset, std::uint64_t size) const {
  (void)::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    static_cast<off_t>(offset), static_cast<off_t>(size));
}

void DataFile::forget_cached(std::uint64_t offset, std::uint64_t size) const {
  (void)::posix_fadvise(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(size),
                        POSIX_FADV_DONTNEED);
}

Result<void> DataFile::go_on_writing_back() const {
  constexpr unsigned kHow = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE;
  if (::sync_file_range(fd_.get(), 0, 0, kHow) == 0) return {};
  // Where the call does not exist or is not allowed the next sync does it all.
  if (errno == ENOSYS || errno == EINVAL || errno == ESPIPE || errno == EPERM) return {};
  return failed("write back", path_);
}

Result<void> DataFile::sync_data() const {
  if (::fdatasync(fd_.get()) != 0) return failed("sync", path_);
  return {};
}

Result<void> DataFile::sync_all() const {
  if (::fsync(fd_.get()) != 0) return failed("sync", path_);
  return {};
}

Result<void> DataFile::freeze() {
  if (frozen_) return {};
  // The kernel stamps writes with a coarse clock: one right after ours could leave the time as it
  // is. It never happens upon the nanosecond read here. Without it the check is only less sharp.
  std::array<timespec, 2> times{};
  times[0].tv_nsec = UTIME_OMIT;
  if (::clock_gettime(CLOCK_REALTIME, &times[1]) == 0) (void)::futimens(fd_.get(), times.data());
  // A program that some process could write cannot be run, so the descriptor becomes read-only;
  // under its number, because reads may be using it.
  const UniqueFd reader(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!reader) return failed("open", path_);
  struct stat ours {};
  struct stat found {};
  if (::fstat(fd_.get(), &ours) != 0 || ::fstat(reader.get(), &found) != 0) {
    return failed("examine", path_);
  }
  if (ours.st_dev != found.st_dev || ours.st_ino != found.st_ino) {
    return fail(ErrorCode::disk_io, "somebody has replaced " + path_);
  }
  if (::dup3(reader.get(), fd_.get(), O_CLOEXEC) < 0) return failed("open", path_);
  const auto known = facts();
  if (!known) return tl::unexpected(known.error());
  frozen_facts_ = *known;
  frozen_ = true;
  return {};
}

Result<void> DataFile::check_unchanged() const {
  if (!frozen_) return {};
  // A write sets the time before it touches the bytes.
  const auto now = facts();
  if (!now) return tl::unexpected(now.error());
  if (now->size == frozen_facts_.size && now->mtime_ns == frozen_facts_.mtime_ns) return {};
  return fail(ErrorCode::disk_io,
              "the file delivered from " + path_ + " was changed: it cannot be served any more");
}

Result<void> sync_directory(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return failed("open", path);
  // Some network file systems cannot sync a directory; their renames are durable by themselves.
  if (::fsync(fd.get()) != 0 && errno != EINVAL && errno != EROFS) return failed("sync", path);
  return {};
}

}  // namespace lanward::store
