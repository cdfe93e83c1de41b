// SHA-256 by OpenSSL (SHA-NI where the processor has it).
#pragma once

#include <cstddef>
#include <span>

#include "engine/core/content.h"

namespace lanward::store {

// Any thread. Aborts when the library has no SHA-256: nothing could be verified then.
[[nodiscard]] core::Digest sha256(std::span<const std::byte> bytes);

}  // namespace lanward::store
