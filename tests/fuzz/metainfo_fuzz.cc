// Arbitrary bytes as a metainfo. What is accepted must be sound and must survive being written
// again in canonical form.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "engine/core/metainfo.h"
#include "engine/core/text.h"
#include "engine/store/sha256.h"

namespace {

using lanward::core::Manifest;

void require(bool condition) {
  if (!condition) std::abort();
}

void require_sound(const Manifest& manifest) {
  const auto& content = manifest.content;
  require(content.piece_hashes.size() == content.layout.piece_count());
  require(content.verifiable());
  require(manifest.name.empty() || lanward::core::file_name_fault(manifest.name) == nullptr);
  require(manifest.web_seeds.size() <= lanward::core::kManifestUrlsMax);
  for (const auto& url : manifest.web_seeds) {
    require(lanward::core::url_scheme_is_one_of(url, {"http", "https"}));
  }
  if (!content.piece_hashes.empty()) {
    require(lanward::core::pieces_root(content.piece_hashes, content.layout,
                                       lanward::store::sha256) == content.id);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto manifest = lanward::core::parse_metainfo({data, size}, lanward::store::sha256);
  if (!manifest) {
    require(!manifest.error().message.empty());
    require(!lanward::core::has_control_characters(manifest.error().message));
    return 0;
  }
  require_sound(*manifest);
  const auto canonical = lanward::core::write_metainfo(
      {manifest->content, manifest->name, manifest->web_seeds, manifest->trackers});
  const auto again = lanward::core::parse_metainfo(canonical, lanward::store::sha256);
  require(again.has_value());
  require(again->content.id == manifest->content.id);
  require(again->content.layout == manifest->content.layout);
  require(again->trackers == manifest->trackers);
  require(again->web_seeds == manifest->web_seeds);
  return 0;
}
