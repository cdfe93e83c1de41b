// Any bytes as a Metalink: what is accepted keeps the bounds that its readers rely on.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>

#include "cdn/metalink.h"
#include "engine/core/text.h"

namespace {

using namespace lanward;

void require(bool condition) {
  if (!condition) std::abort();
}

bool is_http(const std::string& url) {
  return core::url_fault(url) == nullptr && core::url_scheme_is_one_of(url, {"http", "https"});
}

void require_sound(const core::Metalink::File& file) {
  require(core::file_name_fault(file.name) == nullptr);
  require(!file.urls.empty() || !file.manifests.empty());
  require(file.urls.size() <= core::kMetalinkUrlsUsedMax);
  require(file.manifests.size() <= core::kMetalinkUrlsUsedMax);
  std::uint32_t before = 1;
  for (const core::Metalink::Url& url : file.urls) {
    require(is_http(url.url));
    require(url.priority >= before && url.priority <= core::kMetalinkPriorityMax);
    before = url.priority;
    require(url.location.empty() || url.location.size() == 2);
  }
  require(std::all_of(file.manifests.begin(), file.manifests.end(), is_http));
  require(!core::contradiction_in(file.digests));
  for (const core::ExpectedDigest& digest : file.digests) {
    require(digest.bytes.size() == core::size_of(digest.algorithm));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto metalink = cdn::parse_metalink({data, size}, "http://h/f.meta4");
  if (!metalink) {
    const ErrorCode code = metalink.error().code;
    require(code == ErrorCode::manifest_invalid || code == ErrorCode::unsupported);
    require(!metalink.error().message.empty() && metalink.error().message.size() < 1000);
    return 0;
  }
  require(!metalink->files.empty() && metalink->files.size() <= core::kMetalinkFilesMax);
  std::set<std::string> names;
  for (const core::Metalink::File& file : metalink->files) {
    require_sound(file);
    require(names.insert(file.name).second);
    require(core::origins_of(file).size() == file.urls.size());
  }
  static_cast<void>(core::file_at(*metalink, "http://h/f"));
  return 0;
}
