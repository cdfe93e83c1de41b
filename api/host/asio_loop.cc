#include "api/host/asio_loop.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace lanward::host {
namespace {

using Steady = std::chrono::steady_clock;

// A timer is armed anew after every fact, mostly for a little later than before. The system's timer
// is left as it is then: when it fires it is set for what is left, which costs less than setting it
// each time.
class AsioTimer final : public ports::Timer {
 public:
  AsioTimer(boost::asio::io_context& context, ports::Task on_fire)
      : state_(std::make_shared<State>(context, std::move(on_fire))) {}
  ~AsioTimer() override { state_->timer.cancel(); }
  AsioTimer(const AsioTimer&) = delete;
  AsioTimer& operator=(const AsioTimer&) = delete;

  void arm(core::Instant at) override {
    const Steady::time_point due(
        std::chrono::duration_cast<Steady::duration>(at.time_since_epoch()));
    state_->due = due;
    if (!state_->waiting || due < state_->timer.expiry()) wait(state_, due);
  }
  void disarm() override { state_->due.reset(); }

 private:
  struct State {
    State(boost::asio::io_context& context, ports::Task fire)
        : timer(context), on_fire(std::move(fire)) {}
    boost::asio::steady_timer timer;
    ports::Task on_fire;
    std::optional<Steady::time_point> due;
    bool waiting = false;
    std::uint64_t generation = 0;  // a handler that is queued already cannot be cancelled
  };

  static void wait(const std::shared_ptr<State>& state, Steady::time_point until) {
    state->waiting = true;
    state->timer.expires_at(until);
    state->timer.async_wait([weak = std::weak_ptr(state), generation = ++state->generation](
                                const boost::system::error_code& error) {
      const std::shared_ptr<State> alive = weak.lock();
      if (error || alive == nullptr || alive->generation != generation) return;
      alive->waiting = false;
      if (!alive->due) return;
      if (*alive->due > Steady::now()) return wait(alive, *alive->due);
      alive->due.reset();
      alive->on_fire();
    });
  }

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
