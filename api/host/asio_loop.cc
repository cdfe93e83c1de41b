#include "api/host/asio_loop.h"

#include <chrono>
#include <cstdint>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace lanward::host {
namespace {

using Steady = std::chrono::steady_clock;

class AsioTimer final : public ports::Timer {
 public:
  AsioTimer(boost::asio::io_context& context, ports::Task on_fire)
      : timer_(context), state_(std::make_shared<State>(State{std::move(on_fire)})) {}

  void arm(core::Instant at) override {
    // A handler that is queued already cannot be cancelled: the generation tells it that it is
    // stale.
    const std::uint64_t generation = ++state_->generation;
    timer_.expires_at(
        Steady::time_point(std::chrono::duration_cast<Steady::duration>(at.time_since_epoch())));
    timer_.async_wait([state = std::weak_ptr(state_), generation](boost::system::error_code error) {
      const std::shared_ptr<State> alive = state.lock();
      if (!error && alive != nullptr && alive->generation == generation) alive->on_fire();
    });
  }
  void disarm() override {
    ++state_->generation;
    timer_.cancel();
  }

 private:
  struct State {
    ports::Task on_fire;
    std::uint64_t generation = 0;
  };
  boost::asio::steady_timer timer_;
  std::shared_ptr<State> state_;
};

}  // namespace

AsioLoop::AsioLoop() : work_(boost::asio::make_work_guard(context_)) {
  thread_ = std::thread([this] { context_.run(); });
}

AsioLoop::~AsioLoop() { stop(); }

void AsioLoop::stop() {
  context_.stop();
  if (thread_.joinable()) thread_.join();
}

core::Instant AsioLoop::now() const {
  return core::Instant(
      std::chrono::duration_cast<core::Duration>(Steady::now().time_since_epoch()));
}

void AsioLoop::post(ports::Task task) { boost::asio::post(context_, std::move(task)); }

std::unique_ptr<ports::Timer> AsioLoop::make_timer(ports::Task on_fire) {
  return std::make_unique<AsioTimer>(context_, std::move(on_fire));
}

bool AsioLoop::is_current_thread() const { return std::this_thread::get_id() == thread_.get_id(); }

}  // namespace lanward::host
