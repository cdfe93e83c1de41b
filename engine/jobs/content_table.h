// Which contents the jobs of an engine refer to, and the downloads that are under way.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "engine/core/content.h"
#include "engine/core/units.h"
#include "engine/jobs/ports.h"
#include "engine/ports/task.h"

namespace lanward::jobs {

class Download;
class Sharer;

// Loop thread only.
class ContentTable {
 public:
  // `sharer` outlives the table.
  explicit ContentTable(Sharer& sharer);
  ~ContentTable();
  ContentTable(const ContentTable&) = delete;
  ContentTable& operator=(const ContentTable&) = delete;

  // A reference keeps the pieces of a content: a job that is not final has a file of it.
  void refer(const core::Digest& id) { ++references_[id]; }
  void release(const core::Digest& id);
  [[nodiscard]] bool referred(const core::Digest& id) const { return references_.contains(id); }
  [[nodiscard]] std::uint32_t references(const core::Digest& id) const;

  // The download of this content; made by `make` if there is none.
  [[nodiscard]] Download& download(const core::Digest& id,
                                   const std::function<std::unique_ptr<Download>()>& make);
  // Removes what the cache has of a content that nobody refers to.
  void forget(const Ports& ports, const core::Digest& id, ports::Task done);
  // Runs `task` when the content can be opened, perhaps at once: it is not being forgotten, and not
  // shared. REQUIRES: it has a download.
  void when_free(const core::Digest& id, ports::Task task);
  // A download has the content open. When nobody refers to it that one sees to its end.
  [[nodiscard]] bool is_open(const core::Digest& id) const;
  // Drops the download if it has ended. Not from inside a call to it.
  void sweep(const core::Digest& id);

 private:
  void on_forgotten(const core::Digest& id);

  Sharer& sharer_;
  std::map<core::Digest, std::uint32_t> references_;
  std::map<core::Digest, std::unique_ptr<Download>> downloads_;
  std::map<core::Digest, std::vector<ports::Task>> forgetting_;  // and what waits for its end
  std::shared_ptr<char> life_ = std::make_shared<char>();
};

}  // namespace lanward::jobs
