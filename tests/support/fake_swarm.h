// A swarm in which nothing happens by itself; it remembers what it was told.
#pragma once

#include <deque>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/ports/swarm.h"

namespace lanward::testing {

class FakeSwarm final : public ports::Swarm {
 public:
  [[nodiscard]] std::unique_ptr<ports::SwarmMember> join(const ports::SwarmRequest& request,
                                                         ports::FactSink sink) override {
    facts = std::move(sink);
    store = request.store;
    ++joins;
    ++members;
    return std::make_unique<Member>(*this);
  }

  // Lets a leave end that `hold_leave` keeps back. False: there is none.
  bool release_leave() {
    if (held_leaves_.empty()) return false;
    ports::Task done = std::move(held_leaves_.front());
    held_leaves_.pop_front();
    store.reset();
    done();
    return true;
  }

  bool hold_leave = false;  // leaves end with release_leave()
  int joins = 0;
  int members = 0;
  int leaves = 0;
  core::SwarmView view;  // of every member
  core::SwarmReadiness readiness_now = core::SwarmReadiness::running;
  [[nodiscard]] core::SwarmReadiness readiness() const override { return readiness_now; }
  UploadStatus upload;
  [[nodiscard]] UploadStatus upload_status() const override { return upload; }
  std::set<std::uint32_t> allowed;
  std::set<std::uint32_t> announced;
  std::set<core::SourceId> banned;
  std::vector<std::pair<core::SourceId, core::LeaseMessage>> sent;
  std::vector<core::Endpoint> dialled;
  ports::FactSink facts;  // of the latest join
  std::shared_ptr<ports::ContentStore> store;

 private:
  class Member final : public ports::SwarmMember {
   public:
    explicit Member(FakeSwarm& owner) : owner_(owner) {}
    ~Member() override { --owner_.members; }
    void allow(core::PieceSpan pieces) override {
      for (auto p = pieces.begin; p < pieces.end; ++p) owner_.allowed.insert(p.value);
    }
    void reserve(core::PieceSpan pieces) override {
      for (auto p = pieces.begin; p < pieces.end; ++p) owner_.allowed.erase(p.value);
    }
    void announce(core::PieceIndex piece) override { owner_.announced.insert(piece.value); }
    void send(std::span<const core::SourceId> to, const core::LeaseMessage& message) override {
      for (const core::SourceId peer : to) owner_.sent.emplace_back(peer, message);
    }
    void connect(const core::Endpoint& endpoint) override { owner_.dialled.push_back(endpoint); }
    void ban(core::SourceId peer) override { owner_.banned.insert(peer); }
    [[nodiscard]] core::SwarmView view() const override { return owner_.view; }
    // As the real one: who leaves again is not made to wait for the first time.
    void leave(ports::Task done) override {
      ++owner_.leaves;
      if (owner_.hold_leave && !std::exchange(leaving_, true)) {
        owner_.held_leaves_.push_back(std::move(done));
        return;
      }
      owner_.store.reset();
      done();
    }

   private:
    FakeSwarm& owner_;
    bool leaving_ = false;
  };

  std::deque<ports::Task> held_leaves_;
};

}  // namespace lanward::testing
