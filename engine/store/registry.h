// Which contents of a store are in use, by whom: one user at a time each.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/core/content.h"

namespace lanward::store {

class DiskContent;

// Any thread. A name is taken while its content is open, or being opened or removed. Transfers take
// names for good reasons and as long as they like; the caretaker, who checks and evicts, gives
// way to them.
class Registry {
 public:
  enum class Taken : unsigned char {
    yes,
    after_caretaker,  // once wait_for_caretaker() has returned
    no,               // another transfer has it
  };
  [[nodiscard]] Taken take(const core::Digest& id);
  // REQUIRES: take() answered after_caretaker. Blocks until the caretaker has let go.
  void wait_for_caretaker(const core::Digest& id);
  void release(const core::Digest& id);
  // REQUIRES: the name is taken. `lent`: whoever has it gives it back when asked.
  void opened(const core::Digest& id, std::shared_ptr<DiskContent> content, bool lent = false);
  [[nodiscard]] bool is_lent(const core::Digest& id) const;
  // Asks for a lent content and waits for it. False: it is not lent, or was not given back in time.
  [[nodiscard]] bool reclaim(const core::Digest& id);

  // False if the name is taken.
  [[nodiscard]] bool take_as_caretaker(const core::Digest& id);
  void release_as_caretaker(const core::Digest& id);
  // Whether a transfer waits for the caretaker.
  [[nodiscard]] bool is_wanted(const core::Digest& id) const;

  [[nodiscard]] bool is_taken_by_transfer(const core::Digest& id) const;
  // Null if it is not open.
  [[nodiscard]] std::shared_ptr<DiskContent> find(const core::Digest& id) const;
  [[nodiscard]] std::vector<std::shared_ptr<DiskContent>> open_contents() const;

 private:
  struct Use {
    std::shared_ptr<DiskContent> content = nullptr;
    bool caretaker = false;
    bool wanted = false;
    bool lent = false;
  };

  mutable std::mutex mutex_;
  std::condition_variable let_go_;
  std::map<core::Digest, Use> uses_;
};

// The caretaker's hold on one content.
class CaretakerHold {
 public:
  CaretakerHold(Registry& registry, const core::Digest& id)
      : registry_(registry), id_(id), held_(registry.take_as_caretaker(id)) {}
  CaretakerHold(const CaretakerHold&) = delete;
  CaretakerHold& operator=(const CaretakerHold&) = delete;
  ~CaretakerHold() {
    if (held_) registry_.release_as_caretaker(id_);
  }
  [[nodiscard]] explicit operator bool() const { return held_; }

 private:
  Registry& registry_;
  const core::Digest id_;
  const bool held_;
};

}  // namespace lanward::store
