// Reads a Metalink (RFC 5854). Pure: no curl.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include <lanward/error.h>

#include "engine/core/metalink.h"

namespace lanward::cdn {

// Elements and attributes of other namespaces, piece hashes and other descriptions are passed over;
// so are URLs that are not http or https and hashes of algorithms that are not known. `source` is
// where the document came from. Errors: manifest_invalid (what is damaged, too large, or breaks the
// standard: a file name that leads elsewhere, hashes that contradict each other, two files of one
// name) and unsupported (another version, no file that can be fetched); the message has source,
// line and element.
[[nodiscard]] Result<core::Metalink> parse_metalink(std::span<const std::uint8_t> document,
                                                    const std::string& source);

}  // namespace lanward::cdn
