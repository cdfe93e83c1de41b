// A row of the cache index that says anything: what is believed of a data file stays within it, and
// nothing is believed that the row does not claim.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/core/piece_layout.h"
#include "engine/core/piece_set.h"
#include "engine/store/index.h"
#include "engine/store/index_schema.h"
#include "engine/store/recovery.h"

namespace {

using namespace lanward;

class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  std::uint64_t number() {
    std::uint64_t value = 0;
    const std::size_t n = std::min<std::size_t>(bytes_.size(), sizeof(value));
    if (n > 0) std::memcpy(&value, bytes_.data(), n);
    bytes_ = bytes_.subspan(n);
    return value;
  }
  std::vector<std::uint8_t> blob() {
    const std::size_t n = std::min<std::size_t>(bytes_.size(), number() % 64);
    const std::size_t taken = std::min(n, bytes_.size());
    std::vector<std::uint8_t> out(bytes_.begin(),
                                  bytes_.begin() + static_cast<std::ptrdiff_t>(taken));
    bytes_ = bytes_.subspan(taken);
    return out;
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

void require(bool condition) {
  if (!condition) __builtin_trap();
}

bool is_subset(const core::PieceSet& a, const core::PieceSet& b) { return store::both(a, b) == a; }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Reader in({data, size});
  // The content that is opened is sound; the row is not.
  const core::PieceLayout layout(core::ByteCount{in.number() % (1U << 24U)},
                                 core::kPieceBytesMin << (in.number() % 4));
  store::IndexRow row;
  const bool same = in.number() % 2 == 0;
  row.size = same ? layout.size().value : in.number();
  row.piece_bytes = same ? layout.piece_bytes() : static_cast<std::uint32_t>(in.number());
  row.inode = in.number() % 3;
  row.mtime_ns = static_cast<std::int64_t>(in.number() % 3);
  row.clean = in.number() % 2 == 0;
  row.boot = in.number() % 2 == 0 ? "boot" : "";
  row.verified = store::to_words(in.blob());
  row.durable = store::to_words(in.blob());
  const store::FileFacts found{.size = in.number() % (1U << 25U),
                               .inode = in.number() % 3,
                               .mtime_ns = static_cast<std::int64_t>(in.number() % 3)};
  require(store::bytes_of(row.verified, row.size, row.piece_bytes) <= row.size);

  const store::Belief belief = store::believe(row, found, layout, "boot");
  const std::uint32_t pieces = layout.piece_count();
  require(belief.verified.universe() == pieces && belief.unproven.universe() == pieces);
  require(is_subset(belief.durable, belief.verified));
  require(store::both(belief.verified, belief.unproven).empty());
  const auto claimed = core::PieceSet::from_words(pieces, row.verified);
  const auto durable = core::PieceSet::from_words(pieces, row.durable);
  require(is_subset(belief.verified, row.boot.empty() ? durable : claimed));
  for (auto p = belief.verified.next(core::PieceIndex{0}); p; p = belief.verified.next(*p + 1)) {
    require(layout.bytes(*p).end <= found.size);
  }
  if (row.inode != found.inode) require(belief.verified.empty());
  return 0;
}
