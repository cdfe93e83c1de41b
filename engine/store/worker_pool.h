// Threads that run tasks in the order in which they were posted.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/ports/task.h"

namespace lanward::store {

class WorkerPool {
 public:
  // At most so many threads; each is started when a task finds none that is idle.
  explicit WorkerPool(unsigned threads);
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  ~WorkerPool();

  // Any thread. After stop() the task runs at once, on the caller's thread: a completion that
  // somebody waits for is never lost.
  void post(ports::Task task);

  // Runs what has been posted and joins the threads. Not from a task.
  void stop();

 private:
  void run();
  void add_thread();  // with mutex_

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<ports::Task> tasks_;
  bool stopping_ = false;
  const unsigned threads_max_;
  std::size_t idle_ = 0;  // waiting, or just being started
  std::vector<std::thread> threads_;
};

}  // namespace lanward::store
