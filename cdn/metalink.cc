#include "cdn/metalink.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <pugixml.hpp>

#include "cdn/reply_rules.h"
#include "engine/core/text.h"

namespace lanward::cdn {
namespace {

using core::Metalink;

constexpr std::string_view kNamespace = "urn:ietf:params:xml:ns:metalink";
constexpr std::string_view kNamespaceOfVersion3 = "http://www.metalinker.org/";

[[nodiscard]] std::string_view trim(std::string_view s) {
  constexpr std::string_view kSpaces = " \t\r\n";
  const auto begin = s.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return s.substr(begin, s.find_last_not_of(kSpaces) - begin + 1);
}

template <class T>
[[nodiscard]] std::optional<T> parse_number(std::string_view s) {
  T n = 0;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), n);
  if (s.empty() || error != std::errc{} || end != s.data() + s.size()) return std::nullopt;
  return n;
}

[[nodiscard]] std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

class Reader {
 public:
  Reader(std::span<const std::uint8_t> document, const std::string& source)
      : document_(document), source_(source) {}

  [[nodiscard]] Result<Metalink> read() {
    if (document_.size() > core::kMetalinkBytesMax) {
      return invalid("it has " + std::to_string(document_.size()) + " bytes, at most " +
                     std::to_string(core::kMetalinkBytesMax) + " are read");
    }
    pugi::xml_document xml;
    // No entity of a DOCTYPE is expanded; those of XML itself and character references are.
    const pugi::xml_parse_result parsed = xml.load_buffer(document_.data(), document_.size(),
                                                          pugi::parse_default, pugi::encoding_utf8);
    if (!parsed) return invalid("line " + line_at(parsed.offset) + ": " + parsed.description());
    if (auto ok = check_depth(xml); !ok) return tl::unexpected(ok.error());
    const pugi::xml_node root = xml.document_element();
    if (auto ok = check_root(root); !ok) return tl::unexpected(ok.error());
    for (const pugi::xml_node node : root.children()) {
      if (!is(node, "file")) continue;
      if (metalink_.files.size() == core::kMetalinkFilesMax) {
        return invalid(at(node) + "there are more than " + std::to_string(core::kMetalinkFilesMax) +
                       " files");
      }
      if (auto ok = read_file(node); !ok) return tl::unexpected(ok.error());
    }
    if (metalink_.files.empty()) return invalid(at(root) + "it describes no file");
    return std::move(metalink_);
  }

 private:
  [[nodiscard]] tl::unexpected<Error> invalid(const std::string& what) const {
    return fail(ErrorCode::manifest_invalid, "Metalink " + source_ + ": " + what);
  }
  [[nodiscard]] tl::unexpected<Error> unsupported(const std::string& what) const {
    return fail(ErrorCode::unsupported, "Metalink " + source_ + ": " + what);
  }

  [[nodiscard]] std::string line_at(std::ptrdiff_t offset) const {
    const auto size = static_cast<std::ptrdiff_t>(document_.size());
    const auto end = document_.begin() + std::clamp<std::ptrdiff_t>(offset, 0, size);
    return std::to_string(std::count(document_.begin(), end, '\n') + 1);
  }
  [[nodiscard]] std::string at(const pugi::xml_node& node) const {
    return "line " + line_at(node.offset_debug()) + ", element " + printable(node.name()) + ": ";
  }

  // The name without the prefix, if the element is in the namespace of the root.
  [[nodiscard]] bool is(const pugi::xml_node& node, std::string_view name) const {
    const std::string_view full = node.name();
    if (!full.starts_with(prefix_) || full.substr(prefix_.size()) != name) return false;
    const pugi::xml_attribute declared = node.attribute(xmlns_.c_str());
    return !declared || declared.value() == kNamespace;
  }

  [[nodiscard]] Result<void> check_depth(const pugi::xml_document& xml) const {
    std::size_t depth = 0;
    pugi::xml_node node = xml.first_child();
    while (node) {
      if (node.first_child()) {
        if (++depth >= core::kMetalinkDepthMax) {
          return invalid(at(node) + "the elements are nested more than " +
                         std::to_string(core::kMetalinkDepthMax) + " deep");
        }
        node = node.first_child();
        continue;
      }
      while (node && !node.next_sibling()) {
        node = node.parent();
        if (depth > 0) --depth;
      }
      if (node) node = node.next_sibling();
    }
    return {};
  }

  [[nodiscard]] Result<void> check_root(const pugi::xml_node& root) {
    const std::string_view name = root.name();
    const auto colon = name.find(':');
    const std::string_view local = colon == std::string_view::npos ? name : name.substr(colon + 1);
    if (local != "metalink") {
      return invalid("line " + line_at(root.offset_debug()) + ": the document is <" +
                     printable(name) + ">, not <metalink>");
    }
    prefix_ = name.substr(0, name.size() - local.size());
    xmlns_ = prefix_.empty() ? "xmlns" : "xmlns:" + prefix_.substr(0, prefix_.size() - 1);
    const std::string_view space = root.attribute(xmlns_.c_str()).value();
    if (space == kNamespaceOfVersion3) {
      return unsupported(at(root) + "it is of version 3; version 4 (.meta4, RFC 5854) is read");
    }
    if (space != kNamespace) {
      return invalid(at(root) + "its namespace is \"" + printable(space) + "\", not \"" +
                     std::string(kNamespace) + "\"");
    }
    return {};
  }

  [[nodiscard]] Result<void> read_file(const pugi::xml_node& node) {
    Metalink::File file;
    if (auto ok = read_name(node, file); !ok) return ok;
    for (const pugi::xml_node child : node.children()) {
      Result<void> ok;
      if (is(child, "size")) {
        ok = read_size(child, file);
      } else if (is(child, "hash")) {
        ok = read_hash(child, file);
      } else if (is(child, "url")) {
        ok = read_url(child, file);
      } else if (is(child, "metaurl")) {
        ok = read_metaurl(child);
      }
      if (!ok) return ok;
    }
    finish(file);
    if (file.urls.empty() && file.manifests.empty()) {
      return unsupported(at(node) + "the file " + file.name + " has no http or https URL");
    }
    metalink_.files.push_back(std::move(file));
    return {};
  }

  // RFC 5854, 4.1.2.1: a name may have directories; ours goes where the caller says.
  [[nodiscard]] Result<void> read_name(const pugi::xml_node& node, Metalink::File& file) const {
    const std::string_view full = node.attribute("name").value();
    if (full.starts_with('/')) return invalid(at(node) + "the name is an absolute path");
    std::string_view rest = full;
    std::string_view last;
    do {
      const auto slash = std::min(rest.find('/'), rest.size());
      last = rest.substr(0, slash);
      rest.remove_prefix(std::min(slash + 1, rest.size()));
      if (const char* fault = core::file_name_fault(last)) {
        return invalid(at(node) + "the name \"" + printable(full) + "\" has a part that " + fault);
      }
    } while (!rest.empty());
    file.name = last;
    for (const Metalink::File& other : metalink_.files) {
      if (other.name == file.name) {
        return invalid(at(node) + "there are two files of the name " + printable(file.name));
      }
    }
    return {};
  }

  [[nodiscard]] Result<void> read_size(const pugi::xml_node& node, Metalink::File& file) const {
    const auto size = parse_number<std::uint64_t>(trim(node.text().get()));
    if (!size) return invalid(at(node) + "it is no number of bytes");
    if (file.size && file.size->value != *size) return invalid(at(node) + "there are two sizes");
    file.size = core::ByteCount{*size};
    return {};
  }

  [[nodiscard]] Result<void> read_hash(const pugi::xml_node& node, Metalink::File& file) const {
    const auto algorithm = core::parse_digest_algorithm(node.attribute("type").value());
    if (!algorithm) return {};
    const std::string_view text = trim(node.text().get());
    auto bytes = core::from_hex(text.substr(0, 2 * core::size_of(*algorithm) + 2));
    if (!bytes || bytes->size() != core::size_of(*algorithm)) {
      return invalid(at(node) + "\"" + printable(text) + "\" is no " + core::to_string(*algorithm));
    }
    core::ExpectedDigest digest{*algorithm, std::move(*bytes), "Metalink " + source_};
    for (const core::ExpectedDigest& other : file.digests) {
      if (other.algorithm != digest.algorithm) continue;
      if (other == digest) return {};
      return invalid(at(node) + "there are two different " + core::to_string(*algorithm));
    }
    file.digests.push_back(std::move(digest));
    return {};
  }

  // Of url and metaurl, RFC 5854, 4.2.16.
  [[nodiscard]] Result<std::uint32_t> priority_of(const pugi::xml_node& node) const {
    const pugi::xml_attribute attribute = node.attribute("priority");
    if (!attribute) return core::kMetalinkPriorityMax;
    const auto priority = parse_number<std::uint32_t>(attribute.value());
    if (priority && *priority >= 1 && *priority <= core::kMetalinkPriorityMax) return *priority;
    return invalid(at(node) + "the priority \"" + printable(attribute.value()) +
                   "\" is no number from 1 to " + std::to_string(core::kMetalinkPriorityMax));
  }

  // Nothing for a URL that is not fetched here.
  [[nodiscard]] Result<std::optional<std::string>> usable_url(const pugi::xml_node& node,
                                                              std::size_t known) const {
    if (known >= core::kMetalinkUrlsMax) {
      return invalid(at(node) + "the file has more than " + std::to_string(core::kMetalinkUrlsMax) +
                     " URLs");
    }
    std::string url(trim(node.text().get()));
    if (const char* fault = core::url_fault(url)) {
      return invalid(at(node) + "the URL " + fault);
    }
    if (!core::url_scheme_is_one_of(url, {"http", "https"})) return std::optional<std::string>{};
    return std::optional(std::move(url));
  }

  [[nodiscard]] Result<void> read_url(const pugi::xml_node& node, Metalink::File& file) const {
    auto url = usable_url(node, file.urls.size());
    if (!url) return tl::unexpected(url.error());
    const auto priority = priority_of(node);
    if (!priority) return tl::unexpected(priority.error());
    if (!*url) return {};
    file.urls.push_back({std::move(**url), *priority, location_of(node)});
    return {};
  }

  [[nodiscard]] static std::string location_of(const pugi::xml_node& node) {
    std::string code = lower(node.attribute("location").value());
    const bool letters =
        std::all_of(code.begin(), code.end(), [](char c) { return c >= 'a' && c <= 'z'; });
    return letters && code.size() == 2 ? code : std::string();
  }

  [[nodiscard]] Result<void> read_metaurl(const pugi::xml_node& node) {
    const std::string type = lower(node.attribute("mediatype").value());
    if (type != "torrent" && type != "application/x-bittorrent") return {};
    auto url = usable_url(node, manifests_.size());
    if (!url) return tl::unexpected(url.error());
    const auto priority = priority_of(node);
    if (!priority) return tl::unexpected(priority.error());
    if (*url) manifests_.push_back({std::move(**url), *priority, {}});
    return {};
  }

  // The best of each once, best first.
  static void sort(std::vector<Metalink::Url>& urls) {
    std::stable_sort(urls.begin(), urls.end(), [](const Metalink::Url& a, const Metalink::Url& b) {
      return a.priority < b.priority;
    });
    std::vector<Metalink::Url> once;
    for (Metalink::Url& url : urls) {
      if (once.size() == core::kMetalinkUrlsUsedMax) break;
      const bool known = std::any_of(once.begin(), once.end(),
                                     [&](const Metalink::Url& o) { return o.url == url.url; });
      if (!known) once.push_back(std::move(url));
    }
    urls = std::move(once);
  }

  void finish(Metalink::File& file) {
    sort(file.urls);
    sort(manifests_);
    for (Metalink::Url& manifest : manifests_) file.manifests.push_back(std::move(manifest.url));
    manifests_.clear();
  }

  const std::span<const std::uint8_t> document_;
  const std::string& source_;
  std::string prefix_;                    // of the root, with the colon
  std::string xmlns_;                     // the attribute that declares its namespace
  std::vector<Metalink::Url> manifests_;  // of the present file
  Metalink metalink_;
};

}  // namespace

Result<Metalink> parse_metalink(std::span<const std::uint8_t> document, const std::string& source) {
  return Reader(document, source).read();
}

}  // namespace lanward::cdn
