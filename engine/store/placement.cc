#include "engine/store/placement.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/store/delivery.h"
#include "engine/store/limits.h"
#include "engine/store/system_error.h"
#include "engine/store/unique_fd.h"

namespace lanward::store {
namespace {

tl::unexpected<Error> failed(const char* action, const std::string& path) {
  return tl::unexpected(system_error(errno, std::string("cannot ") + action + " " + path));
}

// Copies the bytes of [begin, end) as far as they can be read.
Result<void> copy_stretch(int from, int to, off_t begin, off_t end, const std::string& path) {
  std::vector<std::byte> buffer(kChunkBytes);
  while (begin < end) {
    const auto want = std::min<std::size_t>(buffer.size(), static_cast<std::size_t>(end - begin));
    const ssize_t n = ::pread(from, buffer.data(), want, begin);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      begin += static_cast<off_t>(want);  // lost: a hole there
      continue;
    }
    for (ssize_t done = 0; done < n;) {
      const ssize_t w =
          ::pwrite(to, buffer.data() + done, static_cast<std::size_t>(n - done), begin + done);
      if (w < 0 && errno == EINTR) continue;
      if (w <= 0) return failed("write", path);
      done += w;
    }
    begin += n;
  }
  return {};
}

Result<void> copy_data(int from, int to, const std::string& path) {
  struct stat s {};
  if (::fstat(from, &s) != 0) return failed("examine the file to move to", path);
  if (::ftruncate(to, s.st_size) != 0) return failed("extend", path);
  for (off_t at = 0; at < s.st_size;) {
    const off_t data = ::lseek(from, at, SEEK_DATA);
    if (data < 0) break;  // only a hole follows
    off_t hole = ::lseek(from, data, SEEK_HOLE);
    if (hole < 0) hole = s.st_size;
    if (auto copied = copy_stretch(from, to, data, hole, path); !copied) return copied;
    at = hole;
  }
  if (::fdatasync(to) != 0) return failed("sync", path);
  return {};
}

}  // namespace

std::string partial_path(const std::string& destination, const core::Digest& id) {
  return temporary_path(destination, id, ".part");
}

Result<void> relocate(const std::string& from, const std::string& to) {
  const UniqueFd source(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat s {};
  // Gone, or not to be read, or somebody else's, who could write to it later: it is fetched again.
  if (!source || ::fstat(source.get(), &s) != 0 || !S_ISREG(s.st_mode) || s.st_uid != ::geteuid()) {
    return {};
  }
  if (::rename(from.c_str(), to.c_str()) == 0) return {};
  if (errno != EXDEV && errno != EROFS) return failed("move a data file to", to);
  // A leftover of the same name is of the same content; what is planted there is not followed.
  ::unlink(to.c_str());
  const UniqueFd target(
      ::open(to.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!target) return failed("create", to);
  if (auto copied = copy_data(source.get(), target.get(), to); !copied) {
    ::unlink(to.c_str());
    return copied;
  }
  ::unlink(from.c_str());
  return {};
}

}  // namespace lanward::store
