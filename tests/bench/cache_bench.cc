// A cache of many contents: opening, finding, listing, evicting, and what memory that takes.
// cache_bench DIRECTORY [CONTENTS [EVICTED]]
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "engine/core/piece_set.h"
#include "engine/store/cache_admin.h"
#include "engine/store/clock.h"
#include "engine/store/data_names.h"
#include "engine/store/disk_store.h"
#include "engine/store/index.h"
#include "engine/store/recovery.h"
#include "engine/store/sha256.h"

namespace {

using namespace lanward;
using Clock = std::chrono::steady_clock;

// As a release of 1 GiB has them: 1024 pieces of 1 MiB. The data files themselves are short.
constexpr std::uint64_t kContentBytes = 1024 * core::kMiB;
constexpr std::uint32_t kPieceBytes = core::kMiB;
constexpr std::size_t kLookups = 20'000;

long microseconds(Clock::time_point since) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - since).count();
}

core::Digest id_of(std::uint64_t n) { return store::sha256(std::as_bytes(std::span(&n, 1))); }

std::string memory(const char* field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field)) return line.substr(line.find_first_not_of(": \t", 5));
  }
  return "?";
}

bool fill(const std::string& directory, std::uint64_t contents) {
  { auto store = store::DiskStore::open({.directory = directory}); }
  auto index = store::Index::open(directory + "/index.sqlite");
  if (!index) return false;
  const core::PieceLayout layout(core::ByteCount{kContentBytes}, kPieceBytes);
  for (std::uint64_t n = 0; n < contents; ++n) {
    const core::Digest id = id_of(n);
    std::ofstream(store::data_path(directory, id)) << n;
    const store::IndexRow row{.id = id,
                              .size = kContentBytes,
                              .piece_bytes = kPieceBytes,
                              .verified = store::every_piece(layout).words(),
                              .durable = store::every_piece(layout).words(),
                              .boot = "bench",
                              .inode = n,
                              .clean = true,
                              .last_use = store::seconds_now() - static_cast<std::int64_t>(n),
                              .verified_bytes = kContentBytes,
                              .disk_bytes = kContentBytes};
    if (!(*index)->save(row, store::Index::Commit::fast)) return false;
    if (!(*index)->describe(id, "release-" + std::to_string(n) + ".img",
                            "https://cdn.example.com/releases/" + std::to_string(n), true)) {
      return false;
    }
  }
  return true;
}

void look_up(const std::string& directory, std::uint64_t contents) {
  auto index = store::Index::open(directory + "/index.sqlite");
  std::vector<long> times;
  for (std::size_t i = 0; i < kLookups; ++i) {
    const core::Digest id = id_of(i * 7919 % contents);
    const auto begin = Clock::now();
    const auto row = (*index)->find(id);
    times.push_back(microseconds(begin));
    if (!row || !*row) std::abort();
  }
  std::sort(times.begin(), times.end());
  fmt::print("lookup: p50 {} us, p99 {} us, max {} us\n", times[times.size() / 2],
             times[times.size() * 99 / 100], times.back());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: cache_bench DIRECTORY [CONTENTS [EVICTED]]\n");
    return 2;
  }
  const std::string directory = argv[1];
  const std::uint64_t contents = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 10'000;
  const std::uint64_t evicted = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1'000;
  if (!fill(directory, contents)) return 1;
  fmt::print("{} contents in the index; memory before: {}\n", contents, memory("VmRSS"));
  look_up(directory, contents);
  {
    CachePolicy policy = store::unlimited();
    policy.max_bytes = (contents - evicted) * kContentBytes;
    policy.low_percent = 100;
    const auto begin = Clock::now();
    auto store = store::DiskStore::open({.directory = directory, .policy = policy});
    if (!store) {
      fmt::print(stderr, "{}\n", store.error().message);
      return 1;
    }
    fmt::print("open: {} us\n", microseconds(begin));
    const auto admin = (*store)->admin();
    const auto listed = Clock::now();
    const auto list = admin->list();
    fmt::print("list: {} us, {} contents\n", microseconds(listed), list ? list->size() : 0);
    const auto trimmed = Clock::now();
    const auto gone = admin->trim();
    fmt::print("evict: {} us, {} contents\n", microseconds(trimmed), gone ? gone->contents : 0);
    fmt::print("memory: {}, at most {}\n", memory("VmRSS"), memory("VmHWM"));
  }
  return 0;
}
