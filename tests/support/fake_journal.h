// A journal in memory. The test decides when a record is on disk, and whether it gets there.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "engine/ports/journal.h"

namespace lanward::testing {

class FakeJournal final : public ports::Journal {
 public:
  void save(const ports::JobRecord& record, Saved saved) override {
    ++saves;
    waiting_.push_back({record, false, std::move(saved)});
    if (!hold) release();
  }
  void remove(const JobId& id, Saved saved) override {
    ports::JobRecord record;
    record.id = id;
    waiting_.push_back({std::move(record), true, std::move(saved)});
    if (!hold) release();
  }

  // The oldest save reaches the disk, or fails if there is an `error`. False: none is waiting.
  bool release_one() {
    if (waiting_.empty()) return false;
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    if (error) {
      next.saved(tl::unexpected(*error));
      return true;
    }
    std::erase_if(records_, [&](const ports::JobRecord& r) {
      return r.id == next.record.id && (next.removal || r.order == next.record.order);
    });
    if (!next.removal) records_.push_back(std::move(next.record));
    next.saved({});
    return true;
  }
  void release() {
    while (release_one()) {
    }
  }
  // The engine has died: what is not on disk will never be.
  void crash() { waiting_.clear(); }

  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  // What a restart finds, in order of creation.
  [[nodiscard]] std::vector<ports::JobRecord> records() const {
    std::vector<ports::JobRecord> list = records_;
    std::sort(list.begin(), list.end(),
              [](const auto& a, const auto& b) { return a.order < b.order; });
    return list;
  }
  // Nothing if the job is unknown.
  [[nodiscard]] std::optional<ports::JobRecord> record(const JobId& id) const {
    for (const ports::JobRecord& record : records_) {
      if (record.id == id) return record;
    }
    return std::nullopt;
  }

  bool hold = false;           // saves wait for release()
  std::optional<Error> error;  // of every save that is released
  int saves = 0;

 private:
  struct Waiting {
    ports::JobRecord record;
    bool removal = false;
    Saved saved;
  };
  std::deque<Waiting> waiting_;
  std::vector<ports::JobRecord> records_;
};

}  // namespace lanward::testing
