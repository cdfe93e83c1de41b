// Names of files in the data directory of a cache, which anybody who may write there can make up.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "engine/store/data_names.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lanward::store;
  const std::string_view name(reinterpret_cast<const char*>(data), size);
  const auto parsed = parse_data_name(name);
  if (!parsed) return 0;
  // What is taken for ours is exactly a name that we give.
  std::string made = to_hex(parsed->id);
  if (parsed->kind == DataKind::manifest) made += ".torrent";
  if (parsed->kind == DataKind::leftover) made += ".torrent.new";
  if (made != name || name.find('/') != std::string_view::npos) std::abort();
  return 0;
}
