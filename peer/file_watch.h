// Tells when files change.
#pragma once

#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace lanward::peer {

// Watches the folders of the files, so that a file that is replaced, or not there yet, is noticed.
// Calls more often than anything has changed; also every few seconds where the system tells
// nothing.
class FileWatch {
 public:
  // `changed` is called on a thread of its own, until the destructor returns.
  FileWatch(const std::vector<std::string>& paths, std::function<void()> changed);
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;
  ~FileWatch();

 private:
  void run();

  std::function<void()> changed_;
  int inotify_ = -1;  // -1: the system tells nothing
  int stop_ = -1;
  std::thread thread_;
};

}  // namespace lanward::peer
