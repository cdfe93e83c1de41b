// A swarm that is started by the first content that needs one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <lanward/error.h>

#include "api/host/start_peers.h"
#include "engine/ports/loop.h"
#include "engine/ports/swarm.h"

namespace lanward::host {

class LateMember;

// To start a swarm takes longer than to fetch a small file. So it is left until a content joins,
// and done on a thread of its own, while the origins are asked already. What joins meanwhile is
// kept and joins then. A small content has a moment to be there before.
class LateSwarm final : public ports::Swarm {
 public:
  using Start = std::function<Result<RunningSwarm>()>;
  using OnListening = std::function<void(std::uint16_t)>;

  // `start` is called once, on another thread; then `on_listening`, unless it is empty, on the
  // loop's. `loop` outlives this.
  LateSwarm(Start start, OnListening on_listening, ports::Loop& loop);
  // Waits for a start that is under way. REQUIRES: the loop has stopped, or nothing has joined.
  ~LateSwarm() override;

  [[nodiscard]] std::unique_ptr<ports::SwarmMember> join(const ports::SwarmRequest& request,
                                                         ports::FactSink facts) override;
  [[nodiscard]] std::string trouble() const override { return trouble_; }
  [[nodiscard]] UploadStatus upload_status() const override {
    return swarm_ == nullptr ? UploadStatus{} : swarm_->upload_status();
  }
  [[nodiscard]] std::string remark() const override {
    return swarm_ == nullptr ? std::string() : swarm_->remark();
  }
  [[nodiscard]] core::SwarmReadiness readiness() const override;
  // Nothing before it is started. Any thread.
  [[nodiscard]] std::optional<std::uint16_t> listen_port() const;

 private:
  friend class LateMember;

  void launch();
  void started();
  void forget(const LateMember* member);

  Start start_;
  OnListening on_listening_;
  ports::Loop& loop_;
  // Loop thread only, but for the port.
  std::unique_ptr<ports::Timer> timer_;
  std::vector<LateMember*> waiting_;
  std::unique_ptr<ports::Swarm> swarm_;
  std::string trouble_;
  bool missing_ = false;  // there is nothing to start
  mutable std::mutex mutex_;
  std::optional<std::uint16_t> port_;
  // Written by thread_ before it posts or ends.
  std::optional<Result<RunningSwarm>> outcome_;
  std::thread thread_;
};

}  // namespace lanward::host
