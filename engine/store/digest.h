// Digests of whole files by OpenSSL.
#pragma once

#include <memory>

#include "engine/core/digest.h"

namespace lanward::store {

// A hash under way, for one thread at a time. Null when the library does not have the algorithm: a
// system that keeps to FIPS has no MD5.
[[nodiscard]] std::unique_ptr<core::Hasher> make_hasher(core::DigestAlgorithm algorithm);

}  // namespace lanward::store
