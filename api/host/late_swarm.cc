#include "api/host/late_swarm.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <system_error>
#include <utility>

#include "engine/core/piece_set.h"
#include "engine/core/units.h"

namespace lanward::host {
namespace {

// What an origin at hand sends in less time than a swarm takes to start, and how long that is.
constexpr core::ByteCount kSmall{core::kMiB};
constexpr std::chrono::milliseconds kHeadStart{10};

// Addresses to dial that are kept until there is a swarm: nobody tells more in a few milliseconds.
constexpr std::size_t kDialsMax = 256;

}  // namespace

// What one content has asked for until its swarm runs, then a mere front of the real member.
class LateMember final : public ports::SwarmMember {
 public:
  LateMember(LateSwarm& swarm, const ports::SwarmRequest& request, ports::FactSink facts)
      : swarm_(swarm),
        manifest_(request.manifest),
        store_(request.store),
        peers_(request.peers),
        trackers_(request.trackers),
        facts_(std::move(facts)),
        allowed_(request.manifest.content.layout.piece_count()) {}
  ~LateMember() override { swarm_.forget(this); }

  void join(ports::Swarm& swarm) {
    member_ = swarm.join(
        {.manifest = manifest_, .store = store_, .peers = peers_, .trackers = trackers_}, facts_);
    for (auto from = allowed_.next(core::PieceIndex{0}); from; from = allowed_.next(*from)) {
      const auto gap = allowed_.next_missing(*from);
      const core::PieceIndex end = gap.value_or(core::PieceIndex{allowed_.universe()});
      member_->allow({*from, end});
      from = end;
      if (!gap) break;
    }
    for (const core::Endpoint& endpoint : dials_) member_->connect(endpoint);
    drop();
  }

  void allow(core::PieceSpan pieces) override {
    if (member_ != nullptr) return member_->allow(pieces);
    for (core::PieceIndex p = pieces.begin; p < pieces.end; p = p + 1) allowed_.insert(p);
  }
  void reserve(core::PieceSpan pieces) override {
    if (member_ != nullptr) return member_->reserve(pieces);
    for (core::PieceIndex p = pieces.begin; p < pieces.end; p = p + 1) allowed_.erase(p);
  }
  // What is verified by then is offered from the start.
  void announce(core::PieceIndex piece) override {
    if (member_ != nullptr) member_->announce(piece);
  }
  // Without a swarm there is no peer to send to, nor one to ban.
  void send(std::span<const core::SourceId> to, const core::LeaseMessage& message) override {
    if (member_ != nullptr) member_->send(to, message);
  }
  void ban(core::SourceId peer) override {
    if (member_ != nullptr) member_->ban(peer);
  }
  void connect(const core::Endpoint& endpoint) override {
    if (member_ != nullptr) return member_->connect(endpoint);
    if (dials_.size() < kDialsMax) dials_.push_back(endpoint);
  }
  [[nodiscard]] core::SwarmView view() const override {
    return member_ != nullptr ? member_->view() : core::SwarmView{};
  }
  void leave(ports::Task done) override {
    if (member_ != nullptr) return member_->leave(std::move(done));
    swarm_.forget(this);
    drop();
    if (done) swarm_.loop_.post(std::move(done));
  }

 private:
  void drop() {
    manifest_ = {};
    store_.reset();
    facts_ = {};
    dials_.clear();
  }

  LateSwarm& swarm_;
  core::Manifest manifest_;
  std::shared_ptr<ports::ContentStore> store_;
  std::vector<std::string> peers_;
  std::vector<std::string> trackers_;
  ports::FactSink facts_;
  core::PieceSet allowed_;
  std::vector<core::Endpoint> dials_;
  std::unique_ptr<ports::SwarmMember> member_;
};

LateSwarm::LateSwarm(Start start, OnListening on_listening, ports::Loop& loop)
    : start_(std::move(start)), on_listening_(std::move(on_listening)), loop_(loop) {}

LateSwarm::~LateSwarm() {
  if (thread_.joinable()) thread_.join();
}

std::optional<std::uint16_t> LateSwarm::listen_port() const {
  const std::lock_guard lock(mutex_);
  return port_;
}

std::unique_ptr<ports::SwarmMember> LateSwarm::join(const ports::SwarmRequest& request,
                                                    ports::FactSink facts) {
  if (swarm_ != nullptr) return swarm_->join(request, std::move(facts));
  auto member = std::make_unique<LateMember>(*this, request, std::move(facts));
  waiting_.push_back(member.get());
  if (start_ == nullptr) return member;  // it is starting, or could not be started
  if (timer_ == nullptr) {
    timer_ = loop_.make_timer([this] {
      if (!waiting_.empty()) launch();
    });
  }
  if (request.manifest.content.layout.size() > kSmall) {
    launch();
  } else if (waiting_.size() == 1) {  // the first one's time counts for all
    timer_->arm(loop_.now() + kHeadStart);
  }
  return member;
}

core::SwarmReadiness LateSwarm::readiness() const {
  if (swarm_ != nullptr) return swarm_->readiness();
  if (missing_) return core::SwarmReadiness::missing;
  return trouble_.empty() ? core::SwarmReadiness::not_started : core::SwarmReadiness::failed;
}

void LateSwarm::forget(const LateMember* member) { std::erase(waiting_, member); }

void LateSwarm::launch() {
  if (start_ == nullptr) return;
  auto run = [this, start = std::exchange(start_, nullptr)] {
    outcome_ = start();
    loop_.post([this] { started(); });
  };
  try {
    thread_ = std::thread(std::move(run));
  } catch (const std::system_error& error) {
    trouble_ = "no peers: no thread for them: " + std::string(error.what());
  }
}

void LateSwarm::started() {
  Result<RunningSwarm>& running = *outcome_;
  if (!running) {
    trouble_ = "no peers: " + running.error().message;
    missing_ = running.error().code == ErrorCode::not_found;
    return;
  }
  swarm_ = std::move(running->swarm);
  {
    const std::lock_guard lock(mutex_);
    port_ = running->port;
  }
  for (LateMember* const member : std::exchange(waiting_, {})) member->join(*swarm_);
  if (on_listening_ && running->port) on_listening_(*running->port);
}

}  // namespace lanward::host
