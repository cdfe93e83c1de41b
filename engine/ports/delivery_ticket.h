// Decides the race between the delivery of a file and the cancellation of its job: the file is
// delivered before, or never.
#pragma once

#include <atomic>
#include <cstdint>

namespace lanward::ports {

// Any thread.
class DeliveryTicket {
 public:
  // By the store, right before the file gets its name; again if that has to be tried in another
  // way. False: it must not get it.
  [[nodiscard]] bool use() { return leave_open(State::used) || state_ == State::used; }
  // By who does not want the file any more. False: it has its name, or gets it now.
  bool revoke() { return leave_open(State::revoked); }
  // A long copy need not be finished.
  [[nodiscard]] bool revoked() const { return state_ == State::revoked; }

 private:
  enum class State : std::uint8_t { open, used, revoked };
  bool leave_open(State to) {
    State from = State::open;
    return state_.compare_exchange_strong(from, to);
  }
  std::atomic<State> state_{State::open};
};

}  // namespace lanward::ports
