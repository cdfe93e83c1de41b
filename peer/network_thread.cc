#include "peer/network_thread.h"

#include <cassert>
#include <thread>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace lanward::peer {

void NetworkThread::open(lt::io_context& io) {
  const std::lock_guard lock(mutex_);
  io_ = &io;
  if (!waiting_.empty()) schedule();
}

void NetworkThread::post(ports::Task task) {
  const std::lock_guard lock(mutex_);
  // A refused task dies with the parameter, after the lock: its destructor may post.
  if (closed_) return;
  waiting_.push_back(std::move(task));
  if (!scheduled_ && io_ != nullptr) schedule();
}

void NetworkThread::schedule() {
  scheduled_ = true;
  boost::asio::post(*io_, [self = shared_from_this()] { self->run_batch(); });
}

void NetworkThread::run_batch() {
  std::vector<ports::Task> batch;
  {
    const std::lock_guard lock(mutex_);
    scheduled_ = false;
    batch.swap(waiting_);
  }
  for (ports::Task& task : batch) {
    task();
    task = {};  // what a task holds is let go before the next one runs
  }
}

void NetworkThread::post_after(std::chrono::milliseconds delay, ports::Task task) {
  assert(delay <= kDelayMax);
  const std::lock_guard lock(mutex_);
  if (io_ == nullptr) return;
  auto timer = std::make_shared<boost::asio::steady_timer>(*io_, delay);
  timer->async_wait([timer, self = shared_from_this(),
                     task = std::move(task)](const boost::system::error_code& error) mutable {
    if (!error) self->post(std::move(task));
  });
}

void NetworkThread::received(std::uint64_t bytes) {
  pace_.received(bytes, Pace::Clock::now());
  rest_if_slow();
}

void NetworkThread::sent(std::uint64_t bytes) {
  if (on_sent_) on_sent_(bytes);
  pace_.sent(bytes, Pace::Clock::now());
  rest_if_slow();
}

void NetworkThread::rest_if_slow() {
  if (!pace_.slow() || rest_posted_) return;
  const std::lock_guard lock(mutex_);
  if (io_ == nullptr) return;
  rest_posted_ = true;
  // Behind everything that this round still has to do.
  boost::asio::post(*io_, [self = shared_from_this()] {
    self->rest_posted_ = false;
    std::this_thread::sleep_for(Pace::kRest);
  });
}

void NetworkThread::close() {
  std::vector<ports::Task> dropped;  // dies after the lock: destructors may post
  const std::lock_guard lock(mutex_);
  closed_ = true;
  io_ = nullptr;
  dropped.swap(waiting_);
}

}  // namespace lanward::peer
