#include "peer/file_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <utility>

namespace lanward::peer {
namespace {

// Network file systems tell nothing of what others do, and inotify has limits per user.
constexpr int kPollMs = 3000;
constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ATTRIB;

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

FileWatch::FileWatch(const std::vector<std::string>& paths, std::function<void()> changed)
    : changed_(std::move(changed)),
      inotify_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)),
      stop_(::eventfd(0, EFD_CLOEXEC)) {
  for (const std::string& path : paths) {
    if (inotify_ >= 0) ::inotify_add_watch(inotify_, folder_of(path).c_str(), kEvents);
  }
  thread_ = std::thread([this] { run(); });
}

FileWatch::~FileWatch() {
  const std::uint64_t one = 1;
  static_cast<void>(::write(stop_, &one, sizeof one));
  thread_.join();
  if (inotify_ >= 0) ::close(inotify_);
  ::close(stop_);
}

void FileWatch::run() {
  std::array<char, 4096> events;
  for (;;) {
    std::array<pollfd, 2> waiting{pollfd{stop_, POLLIN, 0}, pollfd{inotify_, POLLIN, 0}};
    static_cast<void>(::poll(waiting.data(), inotify_ >= 0 ? 2 : 1, kPollMs));
    if ((waiting[0].revents & POLLIN) != 0) return;
    while (inotify_ >= 0 && ::read(inotify_, events.data(), events.size()) > 0) {
    }
    changed_();
  }
}

}  // namespace lanward::peer
