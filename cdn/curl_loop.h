// The thread that drives libcurl, and the table of what is in flight.
#pragma once

#include <curl/curl.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <lanward/error.h>

#include "cdn/origin_source.h"
#include "cdn/transfer.h"
#include "engine/core/units.h"

namespace lanward::cdn {

// Public methods: any thread. They hold the mutex for a look-up only, never while a sink or a
// transfer is called, so a sink may call back from within accept().
class CurlLoop {
 public:
  struct Key {
    std::uint64_t client = 0;
    core::RequestId request;
    friend auto operator<=>(const Key&, const Key&) = default;
  };

  [[nodiscard]] static Result<std::shared_ptr<CurlLoop>> create(OriginOptions options);
  explicit CurlLoop(OriginOptions options);
  // REQUIRES: every client is gone.
  ~CurlLoop();
  CurlLoop(const CurlLoop&) = delete;
  CurlLoop& operator=(const CurlLoop&) = delete;

  [[nodiscard]] std::uint64_t new_client();
  void start(Key key, std::shared_ptr<Transfer> transfer);
  void resume(Key key);
  void cancel(Key key);
  void cancel_client(std::uint64_t client);
  // A rate limit of some client is another one now.
  void limits_changed();
  // The time of the rate limits.
  [[nodiscard]] static core::Instant now();

 private:
  enum class Action : std::uint8_t { start, resume, stop };
  struct Command {
    Action action;
    Key key;
    std::shared_ptr<Transfer> transfer;
  };
  struct Running {
    Key key;
    std::shared_ptr<Transfer> transfer;
  };

  void post(Command command);
  // Tells the thread that there is something to do. One that still prepares looks afterwards.
  void wake();
  // Sets libcurl up, which takes longer than all the rest of an engine's start: so nobody waits for
  // it but the first request.
  [[nodiscard]] bool prepare();
  void run();
  void run_without_libcurl();
  [[nodiscard]] bool run_commands();
  void run_command(Command& command);
  void collect_finished();
  void report_progress();
  // Waits until there is something to do.
  void wait();
  // Milliseconds until a throttled transfer may go on; at most `longest`.
  [[nodiscard]] int time_to_wait(std::chrono::milliseconds longest);
  // Lets throttled transfers go on, whoever has waited longest first.
  void resume_throttled();
  void end_stalled();
  // Lets packets of a slow line gather in the kernel, unless there is a command.
  void gather();
  // Takes the transfer off the multi handle; finish() of it is the caller's.
  [[nodiscard]] std::shared_ptr<Transfer> take_off(CURL* easy);
  // Puts the request of this handle on its way.
  void launch(const Key& key, std::shared_ptr<Transfer> transfer, CURL* easy);
  void finish(CURL* easy, CURLcode code);
  void forget(const Key& key);

  const OriginOptions options_;
  CURLM* multi_ = nullptr;  // set once by its thread, before can_wake_

  std::mutex mutex_;
  bool can_wake_ = false;                               // guarded by mutex_
  bool stopping_ = false;                               // guarded by mutex_
  std::uint64_t clients_ = 0;                           // guarded by mutex_
  std::map<Key, std::shared_ptr<Transfer>> transfers_;  // guarded by mutex_
  // Guarded by mutex_. Bounded by what is in flight, which the scheduler bounds: a request has one
  // start, one stop and a resume per refusal of its sink.
  std::vector<Command> commands_;
  std::condition_variable posted_;  // with mutex_

  std::map<CURL*, Running> running_;                     // curl thread only
  std::vector<Command> command_batch_;                   // curl thread only; kept for its memory
  std::chrono::steady_clock::time_point next_report_{};  // curl thread only
  std::uint64_t bytes_ = 0;                              // curl thread only; since the last report
  bool slow_ = false;                                    // curl thread only
  std::thread thread_;
};

}  // namespace lanward::cdn
