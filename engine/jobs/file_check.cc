#include "engine/jobs/file_check.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <span>
#include <utility>

namespace lanward::jobs {
namespace {

// One read: what the page cache hands over at a stretch, and all the memory a check takes.
constexpr std::size_t kReadBytes = core::kMiB;
// After this much a worker turns to what else is waiting: some tens of milliseconds.
constexpr std::uint64_t kTurnBytes = 16 * core::kMiB;

}  // namespace

struct FileCheck::Run {
  ports::Loop& loop;
  std::shared_ptr<ports::ContentStore> store;
  core::PieceLayout layout;
  std::unique_ptr<core::Hasher> hasher;
  Done done;
  std::atomic<bool> cancelled{false};
  std::uint64_t position = 0;
  std::vector<std::byte> buffer = {};
};

FileCheck::FileCheck(ports::Loop& loop, std::shared_ptr<ports::ContentStore> store,
                     const core::PieceLayout& layout, std::unique_ptr<core::Hasher> hasher,
                     Done done)
    : run_(new Run{loop, std::move(store), layout, std::move(hasher), std::move(done)}) {
  run_->store->run_on_worker([run = run_] { work(run); });
}

FileCheck::~FileCheck() { run_->cancelled = true; }

void FileCheck::work(const std::shared_ptr<Run>& run) {
  Result<std::vector<std::uint8_t>> outcome;
  const std::uint64_t size = run->layout.size().value;
  const std::uint64_t turn = std::min(size, run->position + kTurnBytes);
  run->buffer.resize(kReadBytes);
  while (outcome && run->position < turn) {
    if (run->cancelled) return;
    const core::PieceIndex piece = run->layout.piece_at(run->position);
    const core::ByteSpan bytes = run->layout.bytes(piece);
    const auto part =
        static_cast<std::size_t>(std::min<std::uint64_t>(kReadBytes, bytes.end - run->position));
    const auto out = std::span(run->buffer).first(part);
    const auto in_piece = static_cast<std::uint32_t>(run->position - bytes.begin);
    if (auto read = run->store->read(piece, in_piece, out, false); !read) {
      outcome = tl::unexpected(read.error());
    } else {
      run->hasher->update(out);
      run->position += part;
    }
  }
  if (outcome && run->position < size) {
    // A store that is closing runs tasks at once: the end of the file bounds the depth, and the
    // cancellation that goes before it ends it.
    return run->store->run_on_worker([run] { work(run); });
  }
  if (outcome) outcome = run->hasher->finish();
  run->loop.post([run, outcome = std::move(outcome)]() mutable {
    if (!run->cancelled) run->done(std::move(outcome));
  });
}

}  // namespace lanward::jobs
