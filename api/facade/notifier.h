// Tells programs what happened to their jobs, on a thread of its own: the engine never waits for a
// callback.
#pragma once

#include <chrono>
#include <memory>

#include <lanward/deliveryoptimization.h>
#include <lanward/job.h>

#include "api/facade/com_object.h"

namespace lanward::facade {

class Session;

// A call that did not answer S_OK is made again after this time, which doubles with every try.
inline constexpr std::chrono::milliseconds kFirstRetryDelay{100};
// No try is further away than this, however many failed.
inline constexpr std::chrono::milliseconds kRetryDelayMax{60'000};
// After this many tries (about half an hour) the program is taken to be unable to answer.
inline constexpr unsigned kCallbackTriesMax = 36;

// What is waiting to be told is bounded: per job one transferred, one error, one modification and
// one entry per file; what happens again before it was told is told once.
class Notifier {
 public:
  explicit Notifier(std::weak_ptr<Session> session);
  // Ends the thread. A call under way is waited for, unless it is the one that ends us.
  ~Notifier();
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  // Calls `object` for events of the job from now on, until the job is final. E_NOINTERFACE if it
  // has no callback.
  HRESULT set_callback(const JobId& job, IUnknown* object, ULONG flags);
  // No call for the job is under way when it returns, unless it is made from inside that call.
  void clear_callback(const JobId& job);
  void set_flags(const JobId& job, ULONG flags);
  // The job is final: lets go of its callback, on the notifier's thread, when all is told. The
  // engine tells this end only to callbacks that want modifications; those wait for it.
  void end(const JobId& job);
  // What was given to set_callback; empty if nothing was.
  [[nodiscard]] ComPtr<IUnknown> callback(const JobId& job) const;

  // To be given to the engine: notes the event and returns.
  [[nodiscard]] JobCallback listener() const;

 private:
  struct State;
  static void run(const std::shared_ptr<State>& state);

  std::shared_ptr<State> state_;
};

}  // namespace lanward::facade
