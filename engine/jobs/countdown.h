// Waits for several things to end.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include "engine/ports/task.h"

namespace lanward::jobs {

// A function whose `count`-th call calls `done`. REQUIRES: count > 0.
[[nodiscard]] inline std::function<void()> countdown(std::size_t count, ports::Task done) {
  struct State {
    std::size_t left;
    ports::Task done;
  };
  auto state = std::make_shared<State>(State{count, std::move(done)});
  return [state = std::move(state)] {
    if (--state->left == 0) state->done();
  };
}

}  // namespace lanward::jobs
