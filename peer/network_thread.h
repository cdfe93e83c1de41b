// The door to libtorrent's network thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <libtorrent/fwd.hpp>
#include <libtorrent/io_context.hpp>

#include "engine/ports/task.h"
#include "peer/pace.h"

namespace lanward::peer {

// libtorrent's objects may be touched on its network thread only; the io_context that it hands to
// the disk interface is the one public way to get there. Tasks are collected and run in batches,
// because one wake-up per 16 KiB block would cost more than the block.
class NetworkThread : public std::enable_shared_from_this<NetworkThread> {
 public:
  // Until it is opened, tasks wait. REQUIRES: `io` outlives close().
  void open(lt::io_context& io);

  // Runs the task on the network thread, in the order of posting; never inside post(). After
  // close() the task is destroyed without being run. Any thread.
  void post(ports::Task task);

  // Runs the task on the network thread after the delay, unless close() comes first. A delay holds
  // up the end of the session, so it is at most kDelayMax. Network thread.
  void post_after(std::chrono::milliseconds delay, ports::Task task);
  static constexpr std::chrono::milliseconds kDelayMax{200};

  // Blocks have come or gone; on a slow line the thread then rests for Pace::kRest. Network thread.
  void received(std::uint64_t bytes);
  void sent(std::uint64_t bytes);

  // Called with the bytes of every block that has gone. Before the first one.
  void on_sent(std::function<void(std::uint64_t)> call) { on_sent_ = std::move(call); }

  // Destroys what waits. After it returns no task begins, unless it is called by a task of the
  // running batch. Network thread, or any thread once the network thread has ended.
  void close();

 private:
  void run_batch();
  void schedule();  // REQUIRES: mutex_ is held
  void rest_if_slow();

  std::mutex mutex_;
  std::vector<ports::Task>
      waiting_;  // bounded by libtorrent's own queues and the callers' commands
  lt::io_context* io_ = nullptr;
  bool scheduled_ = false;
  bool closed_ = false;
  std::function<void(std::uint64_t)> on_sent_;
  Pace pace_;                 // network thread only
  bool rest_posted_ = false;  // network thread only
};

}  // namespace lanward::peer
