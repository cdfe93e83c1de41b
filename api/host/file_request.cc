#include "api/host/file_request.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <boost/asio/ip/address.hpp>

#include "cdn/metalink.h"
#include "engine/core/cache_url.h"
#include "engine/core/digest.h"
#include "engine/core/metainfo.h"
#include "engine/core/origin_spec.h"
#include "engine/jobs/metalink_files.h"
#include "engine/store/sha256.h"

namespace lanward::host {
namespace {

namespace fs = std::filesystem;

// As published for SetRemoteName.
constexpr std::size_t kUrlBytesMax = 2200;
// Like a display name.
constexpr std::size_t kFileIdMax = 256;
// Lists of a request: enough for any site, small enough to look at one by one.
constexpr std::size_t kListMax = 64;

std::optional<std::string> scheme_of(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  const std::string_view scheme = text.substr(0, colon);
  const bool plain = std::all_of(scheme.begin(), scheme.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '+' || c == '-' || c == '.';
  });
  if (!plain || (!text.substr(colon).starts_with("://") && scheme != "magnet")) return std::nullopt;
  std::string lower(scheme);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

Result<void> check_url(const std::string& url, std::span<const std::string_view> schemes,
                       const char* field) {
  const std::optional<std::string> scheme = scheme_of(url);
  if (!scheme || std::find(schemes.begin(), schemes.end(), *scheme) == schemes.end()) {
    std::string list;
    for (const std::string_view s : schemes) list += (list.empty() ? "" : ", ") + std::string(s);
    return fail(
        ErrorCode::invalid_argument,
        std::string(field) + " \"" + url + "\": not a URL of a supported scheme (" + list + ")");
  }
  const bool clean =
      std::none_of(url.begin(), url.end(), [](unsigned char c) { return c <= ' ' || c == 0x7f; });
  if (url.size() > kUrlBytesMax || !clean || url.size() <= scheme->size() + 3) {
    return fail(ErrorCode::invalid_argument,
                std::string(field) + " \"" + url.substr(0, 100) +
                    "\": empty, longer than 2200 bytes, or with spaces or control characters");
  }
  return {};
}

Result<void> check_urls(const std::vector<std::string>& urls,
                        std::span<const std::string_view> schemes, const char* field) {
  if (urls.size() > kListMax) {
    return fail(ErrorCode::invalid_argument, std::string(field) + ": more than 64 entries");
  }
  for (const std::string& url : urls) {
    if (auto checked = check_url(url, schemes, field); !checked) return checked;
  }
  return {};
}

Result<void> check_peers(const std::vector<std::string>& peers) {
  if (peers.size() > kListMax) return fail(ErrorCode::invalid_argument, "peers: more than 64");
  for (const std::string& peer : peers) {
    const std::size_t colon = peer.rfind(':');
    std::string host = peer.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
      host = host.substr(1, host.size() - 2);
    }
    boost::system::error_code bad;
    boost::asio::ip::make_address(host, bad);
    unsigned port = 0;
    const char* end = peer.data() + peer.size();
    const bool port_ok =
        colon != std::string::npos &&
        std::from_chars(peer.data() + colon + 1, end, port) == std::from_chars_result{end, {}} &&
        port > 0 && port < 65536;
    if (bad || !port_ok) {
      return fail(ErrorCode::invalid_argument,
                  "peer \"" + peer +
                      "\": expected ADDRESS:PORT, e.g. 192.0.2.7:6881 or "
                      "[2001:db8::7]:6881");
    }
  }
  return {};
}

Result<std::vector<std::uint8_t>> read_document(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) return fail(ErrorCode::not_found, path + ": no such file");
  if (!fs::is_regular_file(status)) {
    return fail(ErrorCode::invalid_argument, path + ": not a regular file");
  }
  const std::uintmax_t size = fs::file_size(path, error);
  if (!error && size > core::kMetainfoBytesMax) {
    return fail(ErrorCode::manifest_invalid,
                path + ": too large for a manifest (" + std::to_string(size) + " bytes)");
  }
  std::ifstream file(path, std::ios::binary);
  std::vector<std::uint8_t> bytes(error ? 0 : size);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (error || !file) {
    return fail(ErrorCode::disk_io,
                path + ": cannot be read: " + std::generic_category().message(errno));
  }
  return bytes;
}

Result<core::Manifest> parse_manifest(const std::vector<std::uint8_t>& bytes,
                                      const std::string& path) {
  Result<core::Manifest> manifest = core::parse_metainfo(bytes, &store::sha256);
  if (!manifest) return fail(manifest.error().code, path + ": " + manifest.error().message);
  return manifest;
}

Result<core::Manifest> read_manifest(const std::string& path) {
  const auto bytes = read_document(path);
  if (!bytes) return tl::unexpected(bytes.error());
  return parse_manifest(*bytes, path);
}

std::string path_of_url(const std::string& url) {
  const std::size_t authority = url.find("://") + 3;
  const std::size_t path = std::min(url.find_first_of("/?#", authority), url.size());
  const std::size_t end = std::min(url.find_first_of("?#", path), url.size());
  return url.substr(path, end - path);
}

// Where the file goes: absolute, its directory there and writable. A directory alone gets the name
// that the URL or, with a trailing '/', later the manifest suggests.
Result<std::string> place(const std::string& destination, const std::string& suggested) {
  std::error_code error;
  fs::path path = destination.empty() ? fs::current_path(error) / "" : fs::path(destination);
  if (fs::is_directory(path, error)) path /= suggested;
  path = fs::absolute(path, error).lexically_normal();
  const fs::path directory = path.parent_path();
  if (!fs::is_directory(directory, error)) {
    return fail(ErrorCode::destination, "destination " + path.string() + ": the directory " +
                                            directory.string() +
                                            " does not exist; create it first");
  }
  if (::access(directory.c_str(), W_OK | X_OK) != 0) {
    return fail(ErrorCode::destination,
                "destination " + path.string() + ": the directory " + directory.string() +
                    " is not writable: " + std::generic_category().message(errno));
  }
  return path.string();
}

constexpr std::array<std::string_view, 2> kHttp = {"http", "https"};
constexpr std::array<std::string_view, 3> kTracker = {"http", "https", "udp"};

// A file of the request, and what it stands for if that is at hand already.
struct Resolved {
  jobs::FileSpec spec;
  std::optional<core::Metalink> metalink;
};

// A .torrent or a Metalink; told apart by their first byte, because names lie.
Result<void> read_source(const std::string& path, Resolved& to) {
  const auto bytes = read_document(path);
  if (!bytes) return tl::unexpected(bytes.error());
  if (core::is_metalink_name(path) || (!bytes->empty() && bytes->front() == '<')) {
    auto metalink = cdn::parse_metalink(*bytes, path);
    if (!metalink) return tl::unexpected(metalink.error());
    to.metalink = std::move(*metalink);
    return {};
  }
  auto manifest = parse_manifest(*bytes, path);
  if (!manifest) return tl::unexpected(manifest.error());
  to.spec.manifest = std::move(*manifest);
  return {};
}

Result<std::vector<core::ExpectedDigest>> parse_digests(const std::vector<std::string>& texts) {
  if (texts.size() > kListMax) {
    return fail(ErrorCode::invalid_argument, "digests: more than 64 entries");
  }
  std::vector<core::ExpectedDigest> digests;
  for (const std::string& text : texts) {
    auto digest = core::parse_digest(text, "the caller");
    if (!digest) return tl::unexpected(digest.error());
    digests.push_back(std::move(*digest));
  }
  if (const auto algorithm = core::contradiction_in(digests)) {
    return fail(ErrorCode::invalid_argument,
                std::string("digests: two different ones for ") + core::to_string(*algorithm));
  }
  return digests;
}

// Fills urls, manifest_url and manifest; returns the file name that the source suggests, if any.
Result<std::string> resolve_source(const FileRequest& request, Resolved& to) {
  jobs::FileSpec& spec = to.spec;
  if (request.source.empty()) return fail(ErrorCode::no_url, "source: empty");
  std::string suggested;
  if (const auto scheme = scheme_of(request.source)) {
    if (*scheme == "magnet") {
      return fail(ErrorCode::unsupported,
                  "source: a magnet link carries no piece hashes; give the .torrent instead");
    }
    if (auto ok = check_url(request.source, kHttp, "source"); !ok)
      return tl::unexpected(ok.error());
    const std::string path = path_of_url(request.source);
    if (path.ends_with(".torrent")) {
      spec.manifest_url = request.source;
    } else if (core::is_metalink_name(path)) {
      spec.metalink_url = request.source;
    } else {
      spec.urls.push_back({.url = request.source});
      suggested = path.substr(path.rfind('/') + 1);
      if (suggested == "." || suggested == "..") suggested.clear();
    }
  } else if (auto read = read_source(request.source, to); !read) {
    return tl::unexpected(read.error());
  }
  if (request.manifest.empty()) return suggested;
  if (spec.manifest || !spec.manifest_url.empty()) {
    return fail(ErrorCode::invalid_argument,
                "manifest: the source " + request.source + " is a manifest already");
  }
  if (to.metalink || !spec.metalink_url.empty()) {
    return fail(ErrorCode::invalid_argument,
                "manifest: the source " + request.source + " is a Metalink, which names its own");
  }
  if (scheme_of(request.manifest)) {
    if (auto ok = check_url(request.manifest, kHttp, "manifest"); !ok) {
      return tl::unexpected(ok.error());
    }
    spec.manifest_url = request.manifest;
  } else {
    auto manifest = read_manifest(request.manifest);
    if (!manifest) return tl::unexpected(manifest.error());
    spec.manifest = std::move(*manifest);
  }
  return suggested;
}

Result<Resolved> resolve_request(const FileRequest& request, bool peers_enabled) {
  Resolved resolved;
  jobs::FileSpec& spec = resolved.spec;
  spec.source = request.source;
  auto suggested = resolve_source(request, resolved);
  if (!suggested) return tl::unexpected(suggested.error());
  if (request.id.size() > kFileIdMax) {
    return fail(ErrorCode::invalid_argument, "id: more than 256 bytes");
  }
  std::vector<core::OriginSpec> mirrors;
  std::vector<std::string> mirror_urls;
  for (const std::string& text : request.mirrors) {
    mirrors.push_back(core::parse_origin(text));
    mirror_urls.push_back(mirrors.back().url);
  }
  if (auto ok = check_urls(mirror_urls, kHttp, "mirror"); !ok) return tl::unexpected(ok.error());
  if (auto ok = core::check_caches(request.caches); !ok) return tl::unexpected(ok.error());
  if (auto ok = check_urls(request.trackers, kTracker, "tracker"); !ok) {
    return tl::unexpected(ok.error());
  }
  if (auto ok = check_peers(request.peers); !ok) return tl::unexpected(ok.error());
  if (!request.use_origin && !(request.use_peers && peers_enabled)) {
    return fail(ErrorCode::invalid_argument,
                "both origins and peers are switched off: nothing is left to fetch from");
  }
  auto destination = place(request.destination, *suggested);
  if (!destination) return tl::unexpected(destination.error());
  spec.destination = std::move(*destination);
  spec.urls.insert(spec.urls.end(), mirrors.begin(), mirrors.end());
  spec.caches = request.caches;
  spec.peers = request.peers;
  spec.trackers = request.trackers;
  spec.use_origin = request.use_origin;
  spec.use_peers = request.use_peers;
  spec.share_after_complete = request.share_after_complete;
  spec.id = request.id;
  spec.ranges = request.ranges;
  spec.integrity_mandatory = request.integrity_mandatory;
  auto digests = parse_digests(request.digests);
  if (!digests) return tl::unexpected(digests.error());
  spec.digests = std::move(*digests);
  return resolved;
}

}  // namespace

Result<std::vector<jobs::FileSpec>> resolve_all(const FileRequest& request, bool peers_enabled) {
  auto resolved = resolve_request(request, peers_enabled);
  if (!resolved) return tl::unexpected(resolved.error());
  if (resolved->metalink) return jobs::files_of(*resolved->metalink, resolved->spec);
  std::vector<jobs::FileSpec> one;
  one.push_back(std::move(resolved->spec));
  return one;
}

Result<jobs::FileSpec> resolve(const FileRequest& request, bool peers_enabled) {
  auto files = resolve_all(request, peers_enabled);
  if (!files) return tl::unexpected(files.error());
  return std::move(files->front());
}

Result<void> check_remote_name(const std::string& url) {
  return check_url(url, kHttp, "remote name");
}

}  // namespace lanward::host
