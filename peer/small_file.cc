#include "peer/small_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

namespace lanward::peer {
namespace {

std::string reason() { return std::error_code(errno, std::generic_category()).message(); }

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

Result<void> write_whole(int fd, const std::string& path, const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t count = ::write(fd, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      return fail(ErrorCode::destination, path + ": cannot be written: " + reason());
    }
    done += static_cast<std::size_t>(count);
  }
  if (::fsync(fd) != 0) {
    return fail(ErrorCode::destination, path + ": cannot be written: " + reason());
  }
  return {};
}

}  // namespace

Result<SmallFile> read_small_file(const std::string& path, std::size_t bytes_max) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) {
    return fail(errno == ENOENT ? ErrorCode::not_found : ErrorCode::access_denied,
                path + ": cannot be read: " + reason());
  }
  SmallFile read;
  if (::fstat(file.get(), &read.info) != 0) return fail(ErrorCode::disk_io, path + ": " + reason());
  if (!S_ISREG(read.info.st_mode)) {
    return fail(ErrorCode::access_denied, path + ": not a regular file");
  }
  read.text.resize(bytes_max + 1);
  std::size_t have = 0;
  while (have < read.text.size()) {
    const ssize_t count = ::read(file.get(), read.text.data() + have, read.text.size() - have);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(ErrorCode::disk_io, path + ": cannot be read: " + reason());
    if (count == 0) break;
    have += static_cast<std::size_t>(count);
  }
  read.text.resize(have);
  return read;
}

Result<void> create_small_file(const std::string& path, const std::string& text, mode_t mode) {
  const Descriptor file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (file.get() < 0) {
    return fail(ErrorCode::destination, path + ": cannot be created: " + reason());
  }
  auto written = write_whole(file.get(), path, text);
  if (!written) ::unlink(path.c_str());
  return written;
}

Result<void> replace_small_file(const std::string& path, const std::string& text, mode_t mode) {
  const std::string next = path + ".new";
  ::unlink(next.c_str());  // of a run that was interrupted
  if (auto written = create_small_file(next, text, mode); !written) return written;
  if (std::rename(next.c_str(), path.c_str()) == 0) return {};
  const std::string why = reason();
  ::unlink(next.c_str());
  return fail(ErrorCode::destination, path + ": cannot be replaced: " + why);
}

}  // namespace lanward::peer
