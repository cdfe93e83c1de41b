// A Metalink (RFC 5854) after it has been read: files, what they hash to, where they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <lanward/error.h>

#include "engine/core/digest.h"
#include "engine/core/origin_spec.h"
#include "engine/core/units.h"

namespace lanward::core {

// Documents with the piece hashes of a DVD image reach some hundred KiB; a parsed document takes
// tens of times its size in memory.
inline constexpr std::size_t kMetalinkBytesMax = kMiB;
// As many as a job may hold five times over.
inline constexpr std::size_t kMetalinkFilesMax = 1000;
// Of one file. Large mirror networks list some hundred.
inline constexpr std::size_t kMetalinkUrlsMax = 1000;
// Of those, used: as many origins as a transfer takes.
inline constexpr std::size_t kMetalinkUrlsUsedMax = 64;
// metalink/file/publisher and the like; extensions may nest a little.
inline constexpr std::size_t kMetalinkDepthMax = 16;
// "priority" of a URL that has none: RFC 5854, 4.2.16.
inline constexpr std::uint32_t kMetalinkPriorityMax = 999'999;

struct Metalink {
  struct Url {
    std::string url;  // absolute, http or https
    std::uint32_t priority = kMetalinkPriorityMax;
    std::string location;  // country code, lower case; empty: none given

    friend bool operator==(const Url&, const Url&) = default;
  };
  struct File {
    std::string name;  // a plain file name, safe to create; unique in the document
    std::optional<ByteCount> size;
    std::vector<ExpectedDigest> digests;  // of known algorithms, without contradiction
    std::vector<Url> urls;                // best first; at most kMetalinkUrlsUsedMax
    std::vector<std::string> manifests;   // URLs of a .torrent, best first; no more than urls
  };
  std::vector<File> files;  // at least one; each has a URL or a manifest
};

// Reads a document that came from `source`, which the digests name. The core reads no XML: whoever
// links it brings this. Errors: manifest_invalid and unsupported (line, element and cause).
using MetalinkFn = Result<Metalink> (*)(std::span<const std::uint8_t> document,
                                        const std::string& source);

// Whether a URL or path is one of a Metalink, by its name.
[[nodiscard]] bool is_metalink_name(std::string_view path);
inline constexpr std::string_view kMetalinkType = "application/metalink4+xml";

// Of a Metalink that is to describe the file at `url`: its only file, or the one with that name.
// Null: none.
[[nodiscard]] const Metalink::File* file_at(const Metalink& metalink, std::string_view url);

[[nodiscard]] std::vector<OriginSpec> origins_of(const Metalink::File& file);

}  // namespace lanward::core
