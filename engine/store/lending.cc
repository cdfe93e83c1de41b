// DiskStore: contents that are read for peers while no transfer wants them.
#include <algorithm>
#include <utility>

#include "engine/store/data_names.h"
#include "engine/store/disk_content.h"
#include "engine/store/disk_store.h"
#include "engine/store/keeper.h"
#include "engine/store/manifest_file.h"
#include "engine/store/recovery.h"
#include "engine/store/shared.h"

namespace lanward::store {

void DiskStore::list_lendable(std::size_t max, std::set<core::Digest> skip,
                              ports::MoveFunction<void(std::vector<core::Manifest>)> done) {
  service_->post([this, max, skip = std::move(skip), done = std::move(done)]() mutable {
    auto entries = shared_->index->entries().value_or(std::vector<IndexEntry>{});
    std::erase_if(entries, [&](const IndexEntry& e) {
      return !e.shared || !e.manifest || e.verified_bytes == 0 || !e.elsewhere.empty() ||
             skip.contains(e.id) || shared_->registry.is_taken_by_transfer(e.id) ||
             keeper_->references().contains(e.id);
    });
    std::stable_sort(entries.begin(), entries.end(), [](const IndexEntry& a, const IndexEntry& b) {
      return a.last_use > b.last_use;
    });
    std::vector<core::Manifest> list;
    for (const IndexEntry& entry : entries) {
      if (list.size() == max) break;
      auto manifest = read_manifest_of(manifest_path(options_.directory, entry.id), entry.id);
      if (manifest) list.push_back(std::move(*manifest));
    }
    done(std::move(list));
  });
}

void DiskStore::lend(const core::Content& content, ports::FactSink facts, Opened done) {
  with_name(content.id,
            [this, content, facts = std::move(facts), done = std::move(done)](bool taken) mutable {
              if (!taken) return done(tl::unexpected(in_use_error(content.id)));
              auto lent = lend_now(content, std::move(facts));
              if (!lent) shared_->registry.release(content.id);
              done(std::move(lent));
            });
}

Result<std::shared_ptr<ports::ContentStore>> DiskStore::lend_now(const core::Content& content,
                                                                 ports::FactSink facts) {
  const auto entry = shared_->index->entry(content.id);
  if (!entry || !*entry || !(*entry)->shared) {
    return fail(ErrorCode::not_found, "the content " + to_hex(content.id) + " is not shared");
  }
  auto row = shared_->index->find(content.id);
  if (!row) return tl::unexpected(std::move(row.error()));
  auto file = DataFile::open_existing(data_path(options_.directory, content.id));
  if (!file) return tl::unexpected(std::move(file.error()));
  const auto found = (*file)->facts();
  if (!found) return tl::unexpected(found.error());
  if (!*row || found->size != content.layout.size().value) {
    return fail(ErrorCode::not_found, "the cache does not know the content " + to_hex(content.id));
  }
  Belief belief = believe(*row, *found, content.layout, shared_->boot_id);
  if (auto proven = prove(belief, **file, content, stopping_); !proven) {
    return tl::unexpected(std::move(proven.error()));
  }
  auto lent = std::make_shared<DiskContent>(shared_, content, std::move(facts), std::move(*file),
                                            std::move(belief));
  lent->lend((*row)->last_use);
  shared_->registry.opened(content.id, lent, true);
  shared_->flusher.poke();
  return std::static_pointer_cast<ports::ContentStore>(lent);
}

}  // namespace lanward::store
