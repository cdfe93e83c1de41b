#include "tests/store/fault_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <map>
#include <mutex>
#include <vector>

#include "engine/core/prng.h"

namespace lanward::test {
namespace {

// The unit in which a disk keeps what it was given or does not.
constexpr std::uint64_t kSectorBytes = 512;

// What a write replaced.
struct Undo {
  std::uint64_t offset = 0;
  std::vector<char> before;  // as far as the file reached
  std::uint64_t size = 0;    // of the file
};

struct State {
  std::mutex mutex;
  std::string directory;
  FaultKind kind = FaultKind::none;
  std::uint64_t at = 0;
  std::uint64_t calls = 0;
  bool failing = false;
  std::map<std::string, std::vector<Undo>> unsynced;  // by path
};

std::atomic<bool> g_on{false};
std::atomic<bool> g_write_back_fails{false};
State& state() {
  static State s;
  return s;
}

std::string path_of(int fd) {
  std::array<char, PATH_MAX> target{};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t n = ::readlink(link.c_str(), target.data(), target.size());
  return n > 0 ? std::string(target.data(), static_cast<std::size_t>(n)) : std::string();
}

enum class Verdict : std::uint8_t { pass, fail, halve, swallow };

// REQUIRES: the mutex is held.
Verdict judge(State& s, bool is_write) {
  ++s.calls;
  if (s.calls == s.at) s.failing = true;
  if (!s.failing) return Verdict::pass;
  switch (s.kind) {
    case FaultKind::none:
      return Verdict::pass;
    case FaultKind::io_error:
      s.failing = false;
      errno = EIO;
      return Verdict::fail;
    case FaultKind::no_space:
      errno = ENOSPC;
      return is_write ? Verdict::fail : Verdict::pass;
    case FaultKind::short_write:
      s.failing = false;
      return Verdict::halve;
    case FaultKind::power_loss:
      return Verdict::swallow;
  }
  return Verdict::pass;
}

void note_write(State& s, int fd, const std::string& path, std::uint64_t offset,
                std::uint64_t bytes) {
  struct stat found {};
  if (::fstat(fd, &found) != 0) return;
  Undo undo{.offset = offset, .size = static_cast<std::uint64_t>(found.st_size)};
  if (offset < undo.size) {
    undo.before.resize(std::min(bytes, undo.size - offset));
    const int reader = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const ssize_t n =
        ::pread(reader, undo.before.data(), undo.before.size(), static_cast<off_t>(offset));
    undo.before.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    ::close(reader);
  }
  s.unsynced[path].push_back(std::move(undo));
}

bool is_watched(const State& s, const std::string& path) {
  // The shared memory of SQLite is no file of the disk's.
  return path.starts_with(s.directory) && !path.ends_with("-shm") && !path.ends_with("(deleted)");
}

ssize_t write_vectors(int fd, const iovec* vectors, int count, off_t offset) {
  const auto low = static_cast<unsigned long>(offset);
  const auto plain = [&](const iovec* v, int n) {
    return ::syscall(SYS_pwritev, fd, v, n, low, 0UL);
  };
  if (!g_on) return plain(vectors, count);
  State& s = state();
  const std::lock_guard lock(s.mutex);
  const std::string path = path_of(fd);
  if (!is_watched(s, path)) return plain(vectors, count);
  std::uint64_t bytes = 0;
  for (int i = 0; i < count; ++i) bytes += vectors[i].iov_len;
  switch (judge(s, true)) {
    case Verdict::fail:
      return -1;
    case Verdict::swallow:
      return static_cast<ssize_t>(bytes);
    case Verdict::halve: {
      const iovec half{vectors[0].iov_base, std::max<std::size_t>(vectors[0].iov_len / 2, 1)};
      note_write(s, fd, path, static_cast<std::uint64_t>(offset), half.iov_len);
      return plain(&half, 1);
    }
    case Verdict::pass:
      break;
  }
  note_write(s, fd, path, static_cast<std::uint64_t>(offset), bytes);
  return plain(vectors, count);
}

int sync(int fd, long number) {
  if (!g_on) return static_cast<int>(::syscall(number, fd));
  State& s = state();
  const std::lock_guard lock(s.mutex);
  const std::string path = path_of(fd);
  if (!is_watched(s, path)) return static_cast<int>(::syscall(number, fd));
  switch (judge(s, false)) {
    case Verdict::fail:
      return -1;
    case Verdict::swallow:
      return 0;
    default:
      s.unsynced.erase(path);
      return 0;  // no machine fails here: the disk need not be waited for
  }
}

}  // namespace

void begin_faults(const std::string& directory, FaultKind kind, std::uint64_t at) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.directory = directory;
  s.kind = kind;
  s.at = at;
  s.calls = 0;
  s.failing = false;
  s.unsynced.clear();
  g_on = true;
}

std::uint64_t end_faults() {
  g_on = false;
  State& s = state();
  const std::lock_guard lock(s.mutex);
  return s.calls;
}

void fail_write_back(bool fails) { g_write_back_fails = fails; }

void lose_unsynced(std::uint64_t seed) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  core::Prng prng{core::Seed{seed}};
  for (auto& [path, undos] : s.unsynced) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) continue;
    for (auto undo = undos.rbegin(); undo != undos.rend(); ++undo) {
      const std::uint64_t fate = prng.next() % 3;  // all lost, all there, some of it
      if (fate == 1) continue;
      for (std::uint64_t at = 0; at < undo->before.size(); at += kSectorBytes) {
        if (fate == 2 && prng.next() % 2 == 0) continue;
        const std::size_t n = std::min<std::size_t>(kSectorBytes, undo->before.size() - at);
        (void)!::syscall(SYS_pwrite64, fd, undo->before.data() + at, n, undo->offset + at);
      }
      // What was appended is not there, or is nothing but zeros.
      if (fate == 0) {
        (void)!::syscall(SYS_ftruncate, fd, undo->size);
      }
    }
    ::close(fd);
  }
  s.unsynced.clear();
}

}  // namespace lanward::test

// ---- in place of the C library's ----------------------------------------------------------------

extern "C" {

ssize_t pwritev(int fd, const iovec* vectors, int count, off_t offset) {
  return lanward::test::write_vectors(fd, vectors, count, offset);
}
ssize_t pwritev64(int fd, const iovec* vectors, int count, off_t offset) {
  return lanward::test::write_vectors(fd, vectors, count, offset);
}
ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  const iovec one{const_cast<void*>(bytes), size};
  return lanward::test::write_vectors(fd, &one, 1, offset);
}
ssize_t pwrite64(int fd, const void* bytes, size_t size, off_t offset) {
  const iovec one{const_cast<void*>(bytes), size};
  return lanward::test::write_vectors(fd, &one, 1, offset);
}
int fsync(int fd) { return lanward::test::sync(fd, SYS_fsync); }
int fdatasync(int fd) { return lanward::test::sync(fd, SYS_fdatasync); }
int sync_file_range(int, off64_t, off64_t, unsigned) {
  if (!lanward::test::g_write_back_fails) return 0;  // a hint, as far as it works
  errno = EIO;
  return -1;
}

}  // extern "C"
