#include "engine/store/worker_pool.h"

#include <system_error>
#include <utility>

namespace lanward::store {

WorkerPool::WorkerPool(unsigned threads) : threads_max_(threads) { threads_.reserve(threads); }

WorkerPool::~WorkerPool() { stop(); }

void WorkerPool::post(ports::Task task) {
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_) {
      tasks_.push_back(std::move(task));
      if (tasks_.size() > idle_) add_thread();
      wake_.notify_one();
      return;
    }
  }
  task();
}

// A thread that cannot be had leaves its work to the others; the first one must be had.
void WorkerPool::add_thread() {
  if (threads_.size() == threads_max_) return;
  try {
    threads_.emplace_back([this] { run(); });
    ++idle_;
  } catch (const std::system_error&) {
    if (threads_.empty()) throw;
  }
}

void WorkerPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void WorkerPool::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    --idle_;
    ports::Task task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    task = {};  // What a task holds is let go outside the lock.
    lock.lock();
    ++idle_;
  }
}

}  // namespace lanward::store
