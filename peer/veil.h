// A content under the name by which a group shares it.
#pragma once

#include <vector>

#include "engine/core/content.h"

namespace lanward::peer {

// The metainfo with `name` in its info dictionary: everybody else ignores that, but it alters the
// infohash, so that peers who do not know it do not find each other. Throws what libtorrent throws.
[[nodiscard]] std::vector<char> veiled_metainfo(const core::Manifest& manifest,
                                                const core::Digest& name);

}  // namespace lanward::peer
