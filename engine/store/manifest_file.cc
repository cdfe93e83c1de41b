#include "engine/store/manifest_file.h"

#include <cerrno>
#include <cstdio>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/core/metainfo.h"
#include "engine/store/sha256.h"
#include "engine/store/system_error.h"
#include "engine/store/unique_fd.h"

namespace lanward::store {
namespace {

tl::unexpected<Error> failed(const char* action, const std::string& path) {
  return tl::unexpected(system_error(errno, std::string("cannot ") + action + " " + path));
}

Result<void> write_all(int fd, std::span<const std::uint8_t> bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = EIO;
    if (n <= 0) return failed("write", path);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace

Result<void> write_manifest(const std::string& path, std::span<const std::uint8_t> bytes) {
  const std::string temporary = path + ".new";
  Result<void> written;
  {
    const UniqueFd fd(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return failed("create", temporary);
    written = write_all(fd.get(), bytes, temporary);
  }
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0) written = failed("name", path);
  if (!written) ::unlink(temporary.c_str());
  return written;
}

Result<core::Manifest> read_manifest(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd && errno == ENOENT) return fail(ErrorCode::not_found, "there is no " + path);
  if (!fd) return failed("open", path);
  struct stat s {};
  if (::fstat(fd.get(), &s) != 0) return failed("examine", path);
  if (!S_ISREG(s.st_mode) || static_cast<std::uint64_t>(s.st_size) > core::kMetainfoBytesMax) {
    return fail(ErrorCode::manifest_invalid, path + " is no file, or too large for a manifest");
  }
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(s.st_size));
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t n =
        ::pread(fd.get(), bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("read", path);
    if (n == 0) bytes.resize(at);  // somebody made it shorter
    at += static_cast<std::size_t>(n);
  }
  auto manifest = core::parse_metainfo(bytes, &sha256);
  if (!manifest) return fail(manifest.error().code, path + ": " + manifest.error().message);
  return manifest;
}

Result<core::Manifest> read_manifest_of(const std::string& path, const core::Digest& id) {
  auto manifest = read_manifest(path);
  if (manifest && manifest->content.id != id) {
    return fail(ErrorCode::manifest_invalid, path + " describes another content");
  }
  return manifest;
}

}  // namespace lanward::store
