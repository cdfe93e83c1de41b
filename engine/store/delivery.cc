#include "engine/store/delivery.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "engine/store/data_file.h"
#include "engine/store/limits.h"
#include "engine/store/system_error.h"
#include "engine/store/unique_fd.h"

namespace lanward::store {
namespace {

// Names are random over 32^6: the second try is for the one collision in a billion.
constexpr int kNameAttempts = 8;
constexpr std::size_t kNameMax = 255;  // of a file name, in bytes
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

// A file of the user's beside the destination; removed unless it has been renamed.
class Temporary {
 public:
  static Result<Temporary> create(const std::string& destination) {
    const Place place = split(destination);
    constexpr const char* kMark = ".lanward-";
    constexpr std::size_t kSuffix = 9 + 6;
    const std::string stem = "." + place.name.substr(0, kNameMax - 1 - kSuffix) + kMark;
    for (int i = 0; i < kNameAttempts; ++i) {
      std::string path = place.directory + "/" + stem + random_letters();
      // 0666: the kernel takes off what the user's umask or the directory's rules forbid.
      UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
      if (fd) return Temporary(std::move(path), std::move(fd));
      if (errno != EEXIST) return refuse(errno, destination);
    }
    return refuse(EEXIST, destination);
  }
  Temporary(Temporary&& other) noexcept
      : path_(std::exchange(other.path_, {})), fd_(std::move(other.fd_)) {}
  Temporary& operator=(Temporary&&) = delete;
  ~Temporary() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }

  [[nodiscard]] int fd() const { return fd_.get(); }
  Result<void> rename_to(const std::string& destination) {
    if (::rename(path_.c_str(), destination.c_str()) != 0) return refuse(errno, destination);
    path_.clear();
    return {};
  }

 private:
  Temporary(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  static std::string random_letters() {
    std::array<unsigned char, 6> random{};
    (void)!::getrandom(random.data(), random.size(), 0);
    std::string letters;
    for (const unsigned char r : random) letters += "abcdefghijklmnopqrstuvwxyz234567"[r % 32];
    return letters;
  }

  std::string path_;
  UniqueFd fd_;
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

Result<void> copy_by_hand(int from, int to, std::uint64_t at, std::uint64_t size,
                          const std::string& destination) {
  std::vector<std::byte> buffer(kChunkBytes);
  while (at < size) {
    const ssize_t n =
        ::pread(from, buffer.data(), std::min<std::uint64_t>(buffer.size(), size - at),
                static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = EIO;
    if (n <= 0) {
      return tl::unexpected(system_error(errno, "cannot read the cache to fill " + destination));
    }
    for (ssize_t done = 0; done < n;) {
      const ssize_t w = ::pwrite(to, buffer.data() + done, static_cast<std::size_t>(n - done),
                                 static_cast<off_t>(at) + done);
      if (w < 0 && errno == EINTR) continue;
      if (w < 0) return refuse(errno, destination);
      done += w;
    }
    at += static_cast<std::uint64_t>(n);
  }
  return {};
}

Result<void> copy_bytes(int from, int to, std::uint64_t size, const std::string& destination) {
  if (size == 0 || ::ioctl(to, FICLONE, from) == 0) return {};
  std::uint64_t at = 0;
  while (at < size) {
    auto in = static_cast<off_t>(at);
    auto out = in;
    const ssize_t n =
        ::copy_file_range(from, &in, to, &out, std::min<std::uint64_t>(kCopyBytes, size - at), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (is_out_of_space(errno) || errno == EIO)) return refuse(errno, destination);
    // Older kernels and some file systems refuse, or copy nothing: reading and writing always can.
    if (n <= 0) return copy_by_hand(from, to, at, size, destination);
    at += static_cast<std::uint64_t>(n);
  }
  return {};
}

}  // namespace

Result<void> deliver_copy(int source, std::uint64_t size, const std::string& destination) {
  if (auto checked = check_destination(destination); !checked) return checked;
  auto temporary = Temporary::create(destination);
  if (!temporary) return tl::unexpected(std::move(temporary.error()));
  if (auto copied = copy_bytes(source, temporary->fd(), size, destination); !copied) return copied;
  if (::fsync(temporary->fd()) != 0) return refuse(errno, destination);
  if (auto renamed = temporary->rename_to(destination); !renamed) return renamed;
  return sync_directory(split(destination).directory);
}

Result<bool> deliver_move(const std::string& source, int fd, const std::string& destination) {
  if (auto checked = check_destination(destination); !checked) {
    return tl::unexpected(std::move(checked.error()));
  }
  // A new file tells whether the directory can be written and what permissions a file gets there.
  auto temporary = Temporary::create(destination);
  if (!temporary) return tl::unexpected(std::move(temporary.error()));
  struct stat model {};
  struct stat data {};
  if (::fstat(temporary->fd(), &model) != 0 || ::fstat(fd, &data) != 0) {
    return refuse(errno, destination);
  }
  if (model.st_dev != data.st_dev) return false;
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
  return true;
}

}  // namespace lanward::store
