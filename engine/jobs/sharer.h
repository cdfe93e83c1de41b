// Offers what the cache has to peers while no job wants it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include <lanward/peers.h>

#include "engine/core/content.h"
#include "engine/core/events.h"
#include "engine/core/units.h"
#include "engine/jobs/ports.h"
#include "engine/ports/content_store.h"
#include "engine/ports/loop.h"
#include "engine/ports/swarm.h"
#include "engine/ports/task.h"

namespace lanward::jobs {

// Borrows contents that have a manifest from the store and joins their swarms, the most recently
// used first. Whoever else wants a content has it at once: downloads (take), and the cache that
// needs the space. Loop thread only.
class Sharer {
 public:
  // Shares at most `max` contents at a time; 0, or no swarm: none.
  Sharer(const Ports& ports, std::size_t max);
  ~Sharer();
  Sharer(const Sharer&) = delete;
  Sharer& operator=(const Sharer&) = delete;

  void start();
  // Runs `then` once the content is not borrowed, perhaps at once; it is not borrowed again before
  // give_back().
  void take(const core::Digest& id, ports::Task then);
  void give_back(const core::Digest& id);
  // Leaves every swarm; `done` is called when no port is in use any more. Nothing else after that.
  void close(ports::Task done);

  [[nodiscard]] SharingStatus status() const;

 private:
  struct Loan {
    std::shared_ptr<ports::ContentStore> store;
    std::unique_ptr<ports::SwarmMember> member;
    std::map<core::SourceId, std::uint64_t> served;  // by peer
    std::set<core::SourceId> peers;                  // connected
    bool ending = false;
    std::vector<ports::Task> ended;                         // whom to tell
    std::shared_ptr<char> life = std::make_shared<char>();  // late facts find it gone
  };

  [[nodiscard]] ports::Task on_loop(ports::Task task);
  void look();
  void look_again(core::Duration delay);
  void end_all();
  void borrow_next();
  void on_lent(const core::Manifest& manifest, Result<std::shared_ptr<ports::ContentStore>> lent);
  [[nodiscard]] ports::FactSink sink_of(const core::Digest& id, const Loan& loan);
  void on_fact(const core::Digest& id, const core::Event& event);
  void end(const core::Digest& id, ports::Task then);
  void ended(const core::Digest& id);

  const Ports& ports_;
  const std::size_t max_;
  std::unique_ptr<ports::Timer> timer_;
  std::map<core::Digest, Loan> loans_;
  std::set<core::Digest> taken_;
  std::deque<core::Manifest> offers_;  // listed, not borrowed yet
  bool looking_ = false;
  bool borrowed_ = false;  // something of the last offers
  bool closing_ = false;
  std::uint64_t served_before_ = 0;  // by loans that have ended
  std::shared_ptr<char> life_ = std::make_shared<char>();
};

}  // namespace lanward::jobs
