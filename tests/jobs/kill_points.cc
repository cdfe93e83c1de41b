// The program's own definitions come before those of the C library, for its shared libraries too.
#include "tests/jobs/kill_points.h"

#include <atomic>
#include <csignal>
#include <cstdio>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace lanward::testing {
namespace {

std::atomic<int> steps_left{0};

void step() {
  if (steps_left.load(std::memory_order_relaxed) > 0 && steps_left.fetch_sub(1) == 1) {
    (void)::kill(::getpid(), SIGKILL);
    ::pause();
  }
}

}  // namespace

void kill_at_step(int at) { steps_left = at; }

}  // namespace lanward::testing

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name)
extern "C" {

using lanward::testing::step;

ssize_t pwrite64(int fd, const void* data, size_t bytes, off64_t at) {
  step();
  return ::syscall(SYS_pwrite64, fd, data, bytes, at);
}
ssize_t pwrite(int fd, const void* data, size_t bytes, off_t at) {
  return pwrite64(fd, data, bytes, at);
}
ssize_t pwritev(int fd, const iovec* parts, int count, off_t at) {
  step();
  return ::syscall(SYS_pwritev, fd, parts, count, at, 0);
}
ssize_t copy_file_range(int from, off64_t* from_at, int to, off64_t* to_at, size_t bytes,
                        unsigned flags) {
  step();
  return ::syscall(SYS_copy_file_range, from, from_at, to, to_at, bytes, flags);
}
int ftruncate64(int fd, off64_t size) noexcept {
  step();
  return static_cast<int>(::syscall(SYS_ftruncate, fd, size));
}
int ftruncate(int fd, off_t size) noexcept { return ftruncate64(fd, size); }
int unlink(const char* path) noexcept {
  step();
  return static_cast<int>(::syscall(SYS_unlinkat, AT_FDCWD, path, 0));
}
int rename(const char* from, const char* to) noexcept {
  step();
  return static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}
int linkat(int from_fd, const char* from, int to_fd, const char* to, int flags) noexcept {
  step();
  return static_cast<int>(::syscall(SYS_linkat, from_fd, from, to_fd, to, flags));
}
int fchmod(int fd, mode_t mode) noexcept {
  step();
  return static_cast<int>(::syscall(SYS_fchmod, fd, mode));
}
int fsync(int) {
  step();
  return 0;
}
int fdatasync(int) {
  step();
  return 0;
}

}  // extern "C"
// NOLINTEND(readability-inconsistent-declaration-parameter-name)
