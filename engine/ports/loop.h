// Where the engine's decisions run: one thread, one clock.
#pragma once

#include <functional>
#include <memory>

#include "engine/core/events.h"
#include "engine/core/units.h"
#include "engine/ports/task.h"

namespace lanward::ports {

// Fires once per arm(), on the loop's thread. Destroying or re-arming it drops what was armed.
class Timer {
 public:
  virtual ~Timer() = default;
  virtual void arm(core::Instant at) = 0;
  virtual void disarm() = 0;
};

class Loop {
 public:
  virtual ~Loop() = default;
  // Never goes backwards. Any thread.
  [[nodiscard]] virtual core::Instant now() const = 0;
  // Runs the task later on the loop's thread, in the order of posting; never inside post().
  // Any thread.
  virtual void post(Task task) = 0;
  // Loop thread only; so are the timer's methods.
  [[nodiscard]] virtual std::unique_ptr<Timer> make_timer(Task on_fire) = 0;
};

// Takes a fact to the transfer that it concerns. Any thread, never blocks, never re-enters its
// caller: it posts to the loop. Facts of a transfer that has ended are dropped by the receiver.
using FactSink = std::function<void(core::Event)>;

}  // namespace lanward::ports
