// The header fields that tell what a file hashes to, read strictly and within bounds. Pure. What
// cannot be read counts as absent: a digest protects, its absence does not harm.
#pragma once

#include <string_view>
#include <vector>

#include "engine/core/digest.h"

namespace lanward::cdn {

// Digests of one reply, all fields together. There are four algorithms that count; more than a few
// of each is a reply that wants to keep us busy.
inline constexpr std::size_t kDigestsMax = 16;

// Each appends what it reads to `out`, with the name of the field as the source. Algorithms that
// are not known are passed over.

// Repr-Digest and Content-Digest (RFC 9530): a dictionary of byte sequences (RFC 8941). A value
// that is no such dictionary counts for nothing at all.
void parse_digest_dictionary(std::string_view field, std::string_view value,
                             std::vector<core::ExpectedDigest>& out);
// Digest (RFC 3230): a list of ALGORITHM=BASE64. Parts that cannot be read are passed over.
void parse_instance_digests(std::string_view value, std::vector<core::ExpectedDigest>& out);
// Content-MD5 (RFC 1864).
void parse_content_md5(std::string_view value, std::vector<core::ExpectedDigest>& out);

}  // namespace lanward::cdn
