#include "peer/machine_facts.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "engine/core/units.h"
#include "peer/small_file.h"

namespace lanward::peer {
namespace {

constexpr std::size_t kMeminfoBytesMax = 16 * 1024;  // twice what it has on large machines
constexpr std::size_t kValueBytesMax = 64;
// More supplies than any machine has.
constexpr std::size_t kSuppliesMax = 64;

// "MemTotal:       16318412 kB"
std::optional<std::uint64_t> memory_of(const std::string& proc) {
  const auto file = read_small_file(proc + "/meminfo", kMeminfoBytesMax);
  if (!file) return std::nullopt;
  constexpr std::string_view kKey = "MemTotal:";
  std::string_view text = file->text;
  const std::size_t at = text.find(kKey);
  if (at == std::string_view::npos || (at > 0 && text[at - 1] != '\n')) return std::nullopt;
  text.remove_prefix(at + kKey.size());
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  std::uint64_t kib = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), kib);
  if (error != std::errc{} || kib > UINT64_MAX / core::kKiB) return std::nullopt;
  return kib * core::kKiB;
}

std::string value_of(const std::filesystem::path& file) {
  auto read = read_small_file(file.string(), kValueBytesMax);
  if (!read) return {};
  return read->text.substr(0, read->text.find_first_of("\r\n"));
}

}  // namespace

std::vector<core::PowerSupply> read_power_supplies(const std::string& directory) {
  std::vector<core::PowerSupply> supplies;
  std::error_code failed;
  std::filesystem::directory_iterator at(directory, failed);
  for (; !failed && at != std::filesystem::directory_iterator() && supplies.size() < kSuppliesMax;
       at.increment(failed)) {
    const std::filesystem::path& place = at->path();
    supplies.push_back({.type = value_of(place / "type"),
                        .scope = value_of(place / "scope"),
                        .online = value_of(place / "online"),
                        .status = value_of(place / "status"),
                        .capacity = value_of(place / "capacity")});
  }
  return supplies;
}

core::MachineFacts read_machine_facts(const MachinePlaces& places) {
  core::MachineFacts facts;
  facts.memory_bytes = memory_of(places.proc);
  facts.power = core::power_facts(read_power_supplies(places.power));
  struct statvfs disk {};
  if (!places.disk.empty() && ::statvfs(places.disk.c_str(), &disk) == 0) {
    facts.disk_bytes = std::uint64_t{disk.f_blocks} * disk.f_frsize;
    facts.disk_free_bytes = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  }
  return facts;
}

}  // namespace lanward::peer
