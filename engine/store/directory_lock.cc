#include "engine/store/directory_lock.h"

#include <array>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "engine/store/system_error.h"

namespace lanward::store {
namespace {

// " by process 123", or nothing if the holder has not said who it is.
std::string holder(int fd) {
  std::array<char, 24> text{};
  const ssize_t n = ::pread(fd, text.data(), text.size() - 1, 0);
  std::string pid;
  for (ssize_t i = 0; i < n; ++i) {
    const char c = text[static_cast<std::size_t>(i)];
    if (c < '0' || c > '9') break;
    pid += c;
  }
  return pid.empty() ? pid : " by process " + pid;
}

}  // namespace

Result<DirectoryLock> DirectoryLock::acquire(const std::string& directory,
                                             const std::string& kind) {
  const std::string path = directory + "/lock";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return tl::unexpected(system_error(errno, "cannot open " + path));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return tl::unexpected(system_error(errno, "cannot lock " + path));
    return fail(ErrorCode::in_use, "the " + kind + " " + directory + " is in use" +
                                       holder(fd.get()) + ": stop that process or use another " +
                                       kind);
  }
  // The number only serves the message above: a disk too full for it is no reason to refuse.
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd.get(), 0) == 0) (void)!::pwrite(fd.get(), pid.data(), pid.size(), 0);
  return DirectoryLock(std::move(fd));
}

Result<void> make_directories(const std::string& path) {
  // Mostly the parents are there: to ask for each of them would cost its lock every time.
  if (::mkdir(path.c_str(), 0700) == 0) return {};
  const bool is_there = errno == EEXIST;
  for (std::size_t at = path.find('/', 1); !is_there; at = path.find('/', at + 1)) {
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      return tl::unexpected(system_error(errno, "cannot create the directory " + part));
    }
    if (at == std::string::npos) break;
  }
  struct stat s {};
  if (::stat(path.c_str(), &s) != 0 || !S_ISDIR(s.st_mode)) {
    return tl::unexpected(system_error(ENOTDIR, "cannot use " + path + " as a directory"));
  }
  return {};
}

}  // namespace lanward::store
