#include "engine/store/delivery.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "engine/store/act_as.h"
#include "engine/store/data_file.h"
#include "engine/store/limits.h"
#include "engine/store/system_error.h"
#include "engine/store/unique_fd.h"

namespace lanward::store {
namespace {

// The second try follows the removal of a leftover, every further one a process that came between.
constexpr int kNameAttempts = 8;
constexpr std::size_t kNameMax = 255;  // of a file name, in bytes
constexpr const char* kMark = ".lanward-";
constexpr std::size_t kMarkSize = 9;
constexpr std::size_t kIdDigits = 16;  // of the content's id, in a temporary file's name
// One copy_file_range; the kernel may do less. Bounded so that a signal is not kept waiting.
constexpr std::size_t kCopyBytes = 16 * core::kMiB;

struct Place {
  std::string directory;
  std::string name;
};

Place split(const std::string& destination) {
  const std::size_t slash = destination.rfind('/');
  if (slash == std::string::npos) return {".", destination};
  return {slash == 0 ? "/" : destination.substr(0, slash), destination.substr(slash + 1)};
}

tl::unexpected<Error> refuse(const std::string& destination, const std::string& why) {
  return fail(ErrorCode::destination, "cannot deliver to " + destination + ": " + why);
}

// The failure of a call that touched the destination's directory.
tl::unexpected<Error> refuse(int error, const std::string& destination) {
  const std::string directory = split(destination).directory;
  switch (error) {
    case ENOENT:
      return refuse(destination, "the directory " + directory + " does not exist; create it");
    case ENOTDIR:
      return refuse(destination, directory + " is not a directory; choose another place");
    case EACCES:
    case EPERM:
    case EROFS:
      return refuse(destination, "the directory " + directory + " cannot be written (" +
                                     std::generic_category().message(error) +
                                     "); change its permissions or choose another place");
    case ENAMETOOLONG:
      return refuse(destination, "the name is too long; choose a shorter one");
    default:
      return tl::unexpected(system_error(error, "cannot deliver to " + destination));
  }
}

tl::unexpected<Error> refuse_in_use(const std::string& destination) {
  return fail(ErrorCode::in_use,
              "cannot deliver to " + destination + ": another process is delivering it there");
}

tl::unexpected<Error> refuse_revoked(const Target& target) {
  return fail(ErrorCode::cancelled, "the delivery to " + target.destination + " was cancelled");
}

bool is_revoked(const Target& target) {
  return target.ticket != nullptr && target.ticket->revoked();
}

// The last moment: from here on the file is delivered.
bool may_publish(const Target& target) { return target.ticket == nullptr || target.ticket->use(); }

// Locks of flock() end with the process. Where the file system has none there is nobody to tell.
bool is_locked_by_another(int fd) {
  return ::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

bool is_file_at(int fd, const std::string& path) {
  struct stat ours {};
  struct stat found {};
  return ::fstat(fd, &ours) == 0 && ::lstat(path.c_str(), &found) == 0 &&
         ours.st_dev == found.st_dev && ours.st_ino == found.st_ino;
}

// Makes the temporary's name free. What is not a regular file was not left by a delivery: it is
// removed only if `whatever_it_is`, and never followed.
Result<void> remove_leftover(const std::string& path, const std::string& destination,
                             bool whatever_it_is) {
  for (int i = 0; i < kNameAttempts; ++i) {
    struct stat found {};
    if (::lstat(path.c_str(), &found) != 0) {
      if (errno == ENOENT || errno == ENOTDIR) return {};
      return refuse(errno, destination);
    }
    const bool regular = S_ISREG(found.st_mode);
    if (!regular && !whatever_it_is) return {};
    // A file that cannot be opened is not one of this user's that is being written.
    const UniqueFd fd(regular ? ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
                              : -1);
    if (fd && is_locked_by_another(fd.get())) return refuse_in_use(destination);
    // Whoever had the lock before may have put another file there.
    if (fd && !is_file_at(fd.get(), path)) continue;
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
    return refuse(errno, destination);
  }
  return refuse_in_use(destination);
}

// A file of the user's beside the destination; gone unless it has been given its name.
class Temporary {
 public:
  static Result<Temporary> create(const Target& target) {
    std::string path = temporary_path(target.destination, target.id);
    if (!target.named_temporary) {
      // 0666: the kernel takes off what the user's umask or the directory's rules forbid.
      UniqueFd fd(::open(split(target.destination).directory.c_str(),
                         O_TMPFILE | O_RDWR | O_CLOEXEC, 0666));
      // Without /proc it could never get a name. Whatever the cause, a named one tells.
      if (fd && ::access(link_to(fd.get()).c_str(), F_OK) == 0) {
        (void)is_locked_by_another(fd.get());  // Nobody knows it yet.
        return Temporary(std::move(path), std::move(fd), false);
      }
    }
    for (int i = 0; i < kNameAttempts; ++i) {
      UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
      if (fd && !is_locked_by_another(fd.get()) && is_file_at(fd.get(), path)) {
        return Temporary(std::move(path), std::move(fd), true);
      }
      if (!fd && errno != EEXIST) return refuse(errno, target.destination);
      if (auto removed = remove_leftover(path, target.destination, true); !removed) {
        return tl::unexpected(std::move(removed.error()));
      }
    }
    return refuse_in_use(target.destination);
  }
  Temporary(Temporary&& other) noexcept
      : path_(std::move(other.path_)),
        fd_(std::move(other.fd_)),
        named_(std::exchange(other.named_, false)) {}
  Temporary& operator=(Temporary&&) = delete;
  ~Temporary() {
    if (named_) ::unlink(path_.c_str());
  }

  [[nodiscard]] int fd() const { return fd_.get(); }
  // False: a file without a name cannot get one here, whatever the file system said.
  Result<bool> publish(const std::string& destination) {
    if (!named_) {
      const int error = link_as(destination);
      if (error == 0) return true;
      if (is_out_of_space(error)) return refuse(error, destination);
      if (error != EEXIST) return false;
      // A link cannot replace a file: only a rename can.
      if (auto removed = remove_leftover(path_, destination, true); !removed) {
        return tl::unexpected(std::move(removed.error()));
      }
      const int retried = link_as(path_);
      if (retried == EEXIST) return refuse_in_use(destination);
      if (retried != 0) return refuse(retried, destination);
      named_ = true;
    }
    if (::rename(path_.c_str(), destination.c_str()) != 0) return refuse(errno, destination);
    named_ = false;
    return true;
  }

 private:
  Temporary(std::string path, UniqueFd fd, bool named)
      : path_(std::move(path)), fd_(std::move(fd)), named_(named) {}

  static std::string link_to(int fd) { return "/proc/self/fd/" + std::to_string(fd); }
  [[nodiscard]] int link_as(const std::string& path) const {
    const int linked =
        ::linkat(AT_FDCWD, link_to(fd_.get()).c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW);
    return linked == 0 ? 0 : errno;
  }

  std::string path_;
  UniqueFd fd_;
  bool named_;  // there is a file at path_, which is ours
};

Result<void> check_destination(const std::string& destination) {
  const Place place = split(destination);
  if (place.name.empty() || place.name == "." || place.name == "..") {
    return refuse(destination, "that is not the name of a file");
  }
  if (place.name.size() > kNameMax) return refuse(ENAMETOOLONG, destination);
  struct stat s {};
  if (::lstat(destination.c_str(), &s) == 0 && S_ISDIR(s.st_mode)) {
    return refuse(destination, "a directory of that name exists; name a file inside it");
  }
  return {};
}

// A piece of the source and where it goes.
struct Stretch {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  std::uint64_t size = 0;

  void advance(std::uint64_t bytes) {
    from += bytes;
    to += bytes;
    size -= bytes;
  }
};

Result<void> copy_by_hand(int from, int to, Stretch rest, const Target& target) {
  const std::string& destination = target.destination;
  std::vector<std::byte> buffer(kChunkBytes);
  while (rest.size > 0) {
    if (is_revoked(target)) return refuse_revoked(target);
    const ssize_t n =
        ::pread(from, buffer.data(), std::min<std::uint64_t>(buffer.size(), rest.size),
                static_cast<off_t>(rest.from));
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = EIO;
    if (n <= 0) {
      return tl::unexpected(system_error(errno, "cannot read the cache to fill " + destination));
    }
    for (ssize_t done = 0; done < n;) {
      const ssize_t w = ::pwrite(to, buffer.data() + done, static_cast<std::size_t>(n - done),
                                 static_cast<off_t>(rest.to) + done);
      if (w < 0 && errno == EINTR) continue;
      if (w < 0) return refuse(errno, destination);
      done += w;
    }
    rest.advance(static_cast<std::uint64_t>(n));
  }
  return {};
}

Result<void> copy_stretch(int from, int to, Stretch rest, const Target& target) {
  while (rest.size > 0) {
    if (is_revoked(target)) return refuse_revoked(target);
    auto in = static_cast<off_t>(rest.from);
    auto out = static_cast<off_t>(rest.to);
    const ssize_t n =
        ::copy_file_range(from, &in, to, &out, std::min<std::uint64_t>(kCopyBytes, rest.size), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (is_out_of_space(errno) || errno == EIO)) return refuse(errno, target.destination);
    // Older kernels and some file systems refuse, or copy nothing: reading and writing always can.
    if (n <= 0) return copy_by_hand(from, to, rest, target);
    rest.advance(static_cast<std::uint64_t>(n));
  }
  return {};
}

Result<void> copy_parts(int from, int to, std::span<const core::ByteSpan> parts,
                        const Target& target) {
  struct stat source {};
  const bool whole = parts.size() == 1 && parts[0].begin == 0 && ::fstat(from, &source) == 0 &&
                     parts[0].end == static_cast<std::uint64_t>(source.st_size);
  if (whole && ::ioctl(to, FICLONE, from) == 0) return {};
  std::uint64_t position = 0;
  for (const core::ByteSpan& part : parts) {
    const std::uint64_t size = part.size().value;
    auto copied = copy_stretch(from, to, {part.begin, position, size}, target);
    if (!copied) return copied;
    position += size;
  }
  return {};
}

// As deliver_copy(); false as Temporary::publish().
Result<bool> copy_once(int source, std::span<const core::ByteSpan> parts, const Target& target) {
  auto temporary = Temporary::create(target);
  if (!temporary) return tl::unexpected(std::move(temporary.error()));
  auto copied = copy_parts(source, temporary->fd(), parts, target);
  if (!copied) return tl::unexpected(std::move(copied.error()));
  if (::fsync(temporary->fd()) != 0) return refuse(errno, target.destination);
  if (!may_publish(target)) return refuse_revoked(target);
  return temporary->publish(target.destination);
}

// The user has his file: what an earlier delivery left is of no use, and no reason to fail.
void sweep_behind(const Target& target) { (void)sweep_temporary(target.destination, target.id); }

}  // namespace

std::string temporary_path(const std::string& destination, const core::Digest& id,
                           const std::string& suffix) {
  const Place place = split(destination);
  std::size_t kept =
      std::min(place.name.size(), kNameMax - 1 - kMarkSize - kIdDigits - suffix.size());
  // Some file systems refuse half a UTF-8 character.
  while (kept > 0 && kept < place.name.size() && (place.name[kept] & 0xC0) == 0x80) --kept;
  std::string path = place.directory + "/." + place.name.substr(0, kept) + kMark;
  for (std::size_t i = 0; i < kIdDigits / 2; ++i) {
    path += "0123456789abcdef"[id[i] >> 4];
    path += "0123456789abcdef"[id[i] & 15];
  }
  path += suffix;
  return path;
}

Result<void> deliver_copy(int source, std::span<const core::ByteSpan> parts, const Target& target) {
  std::optional<ActAs> identity;
  if (target.owner) {
    auto taken = ActAs::user(*target.owner);
    if (!taken) return tl::unexpected(std::move(taken.error()));
    identity.emplace(std::move(*taken));
  }
  if (auto checked = check_destination(target.destination); !checked) return checked;
  auto published = copy_once(source, parts, target);
  if (published && !*published) {
    Target again = target;
    again.named_temporary = true;
    published = copy_once(source, parts, again);
  }
  if (!published) return tl::unexpected(std::move(published.error()));
  sweep_behind(target);
  return sync_directory(split(target.destination).directory);
}

Result<void> sweep_temporary(const std::string& destination, const core::Digest& id) {
  return remove_leftover(temporary_path(destination, id), destination, false);
}

Result<bool> deliver_move(const std::string& source, int fd, const Target& target) {
  if (target.owner) return false;
  const std::string& destination = target.destination;
  if (auto checked = check_destination(destination); !checked) {
    return tl::unexpected(std::move(checked.error()));
  }
  // A new file tells whether the directory can be written and what permissions a file gets there.
  auto temporary = Temporary::create(target);
  if (!temporary) return tl::unexpected(std::move(temporary.error()));
  struct stat model {};
  struct stat data {};
  if (::fstat(temporary->fd(), &model) != 0 || ::fstat(fd, &data) != 0) {
    return refuse(errno, destination);
  }
  if (model.st_dev != data.st_dev) return false;
  if (!may_publish(target)) return refuse_revoked(target);
  if (::fchmod(fd, model.st_mode & 07777) != 0) return refuse(errno, destination);
  if (::rename(source.c_str(), destination.c_str()) != 0) {
    const int error = errno;
    (void)::fchmod(fd, data.st_mode & 07777);
    if (error == EXDEV) return false;
    return refuse(error, destination);
  }
  if (auto synced = sync_directory(split(destination).directory); !synced) {
    // Back to where it was, so that the delivery can be tried again.
    (void)::rename(destination.c_str(), source.c_str());
    (void)::fchmod(fd, data.st_mode & 07777);
    return tl::unexpected(std::move(synced.error()));
  }
  sweep_behind(target);
  return true;
}

Result<bool> deliver_link(int fd, const Target& target) {
  const std::string& destination = target.destination;
  if (auto checked = check_destination(destination); !checked) {
    return tl::unexpected(std::move(checked.error()));
  }
  const std::string temporary = temporary_path(destination, target.id);
  if (auto removed = remove_leftover(temporary, destination, true); !removed) {
    return tl::unexpected(std::move(removed.error()));
  }
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  if (::linkat(AT_FDCWD, link.c_str(), AT_FDCWD, temporary.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    if (errno == EXDEV || errno == EPERM || errno == EMLINK || errno == EOPNOTSUPP) return false;
    return refuse(errno, destination);
  }
  if (::rename(temporary.c_str(), destination.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    return refuse(error, destination);
  }
  // Two names of one file already: a rename between them does nothing.
  ::unlink(temporary.c_str());
  if (auto synced = sync_directory(split(destination).directory); !synced) {
    return tl::unexpected(std::move(synced.error()));
  }
  return true;
}

}  // namespace lanward::store
