// One place to wait for what happens first: a signal, a nudge from another thread, a deadline.
#pragma once

#include <chrono>
#include <memory>

#include <lanward/error.h>

namespace lanward::cli {

class Waiter {
 public:
  enum class Woken { signal, nudge, timeout };

  // Blocks SIGINT and SIGTERM for this thread and those it starts from now on, so that they arrive
  // here and nowhere else. Errors: internal (no descriptors left).
  [[nodiscard]] static Result<std::unique_ptr<Waiter>> create();
  ~Waiter();
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  // A signal comes before a nudge. Consumes what it returns. Thread of create() only.
  [[nodiscard]] Woken wait(std::chrono::milliseconds timeout);

  // "SIGINT" or "SIGTERM" after wait() returned signal.
  [[nodiscard]] const char* signal_name() const { return signal_name_; }

  // Any thread. Never blocks.
  void nudge() noexcept;

 private:
  Waiter(int signal_descriptor, int nudge_descriptor)
      : signal_descriptor_(signal_descriptor), nudge_descriptor_(nudge_descriptor) {}

  int signal_descriptor_;
  int nudge_descriptor_;
  const char* signal_name_ = "";
};

}  // namespace lanward::cli
