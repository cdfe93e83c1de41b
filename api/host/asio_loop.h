// The engine's thread: an asio loop and the monotonic clock.
#pragma once

#include <memory>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "engine/ports/loop.h"

namespace lanward::host {

class AsioLoop final : public ports::Loop {
 public:
  AsioLoop();
  // Stops after the task that is running; tasks not yet run are dropped.
  ~AsioLoop() override;

  [[nodiscard]] core::Instant now() const override;
  void post(ports::Task task) override;
  [[nodiscard]] std::unique_ptr<ports::Timer> make_timer(ports::Task on_fire) override;

  [[nodiscard]] bool is_current_thread() const;
  // Idempotent; not from the loop's thread.
  void stop();

 private:
  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::thread thread_;
};

}  // namespace lanward::host
