#include "peer/veil.h"

#include <cstddef>
#include <iterator>
#include <string>

#include <libtorrent/bdecode.hpp>
#include <libtorrent/bencode.hpp>
#include <libtorrent/entry.hpp>

namespace lanward::peer {
namespace {

constexpr const char* kVeilKey = "lanward group";

}  // namespace

std::vector<char> veiled_metainfo(const core::Manifest& manifest, const core::Digest& name) {
  const auto& bytes = manifest.metainfo;
  lt::entry metainfo = lt::bdecode(
      {reinterpret_cast<const char*>(bytes.data()), static_cast<std::ptrdiff_t>(bytes.size())});
  metainfo["info"][kVeilKey] = std::string(name.begin(), name.end());
  std::vector<char> veiled;
  lt::bencode(std::back_inserter(veiled), metainfo);
  return veiled;
}

}  // namespace lanward::peer
