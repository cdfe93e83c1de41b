#include "api/cli/waiter.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>

namespace lanward::cli {

Result<std::unique_ptr<Waiter>> Waiter::create() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const int signal_descriptor = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
  const int nudge_descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  // Owns both descriptors from here on, the one that was opened in spite of a failure included.
  std::unique_ptr<Waiter> waiter(new Waiter(signal_descriptor, nudge_descriptor));
  if (signal_descriptor < 0 || nudge_descriptor < 0) {
    return fail(ErrorCode::internal,
                std::string("cannot create a signal descriptor: ") + std::strerror(errno));
  }
  return waiter;
}

Waiter::~Waiter() {
  if (signal_descriptor_ >= 0) close(signal_descriptor_);
  if (nudge_descriptor_ >= 0) close(nudge_descriptor_);
}

Waiter::Woken Waiter::wait(std::chrono::milliseconds timeout) {
  std::array<pollfd, 2> watched{pollfd{signal_descriptor_, POLLIN, 0},
                                pollfd{nudge_descriptor_, POLLIN, 0}};
  const auto milliseconds =
      std::clamp<std::int64_t>(timeout.count(), 0, std::numeric_limits<int>::max());
  // An interrupted wait is a short one: callers look at the clock themselves.
  if (poll(watched.data(), watched.size(), static_cast<int>(milliseconds)) <= 0) {
    return Woken::timeout;
  }
  signalfd_siginfo received{};
  if (watched[0].revents != 0 &&
      read(signal_descriptor_, &received, sizeof received) == sizeof received) {
    signal_name_ = received.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM";
    return Woken::signal;
  }
  std::uint64_t count = 0;
  if (read(nudge_descriptor_, &count, sizeof count) == sizeof count) return Woken::nudge;
  return Woken::timeout;
}

void Waiter::nudge() noexcept {
  const std::uint64_t one = 1;
  // Fails only when nudges are pending already, which is as good.
  [[maybe_unused]] const auto written = write(nudge_descriptor_, &one, sizeof one);
}

}  // namespace lanward::cli
