#include "engine/core/metainfo.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <optional>
#include <string_view>

#include "engine/core/bencode.h"
#include "engine/core/text.h"

namespace lanward::core {
namespace {

tl::unexpected<Error> invalid(std::string_view field, std::string_view what) {
  return fail(ErrorCode::manifest_invalid, "invalid manifest: " + std::string(field) + " " +
                                               std::string(what) +
                                               "; get the manifest again from its publisher");
}

std::string at(const BencodeValue& value) {
  return "(at byte " + std::to_string(value.offset()) + ") ";
}

// A value that must be there and have the type. `field` is the full name, for the message.
Result<BencodeValue> need(const BencodeValue& dictionary, std::string_view key, BencodeType type,
                          std::string_view field) {
  const std::optional<BencodeValue> value = dictionary.find(key);
  if (!value) return invalid(field, "is missing");
  if (value->type() != type) {
    return invalid(field,
                   at(*value) + "is " + to_string(value->type()) + ", not " + to_string(type));
  }
  return *value;
}

Digest to_digest(std::string_view text) {
  Digest digest{};
  assert(text.size() == digest.size());
  std::memcpy(digest.data(), text.data(), digest.size());
  return digest;
}

std::string_view as_text(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::string hex(const Digest& digest) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : digest) {
    text += kDigits[byte >> 4U];
    text += kDigits[byte & 15U];
  }
  return text;
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<std::uint8_t>(c);
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += {'%', kDigits[byte >> 4U], kDigits[byte & 15U]};
    }
  }
  return out;
}

class MetainfoParser {
 public:
  MetainfoParser(BencodeValue root, Sha256Fn sha256) : root_(root), sha256_(sha256) {}

  Result<Manifest> run() {
    Result<void> step = read_info();
    if (step) step = read_content();
    if (step) step = read_display_name();
    if (step) step = read_web_seeds();
    if (step) step = read_trackers();
    if (!step) return tl::unexpected(step.error());
    return std::move(manifest_);
  }

 private:
  Result<void> read_info() {
    if (root_.type() != BencodeType::dictionary) {
      return invalid("the document",
                     std::string("is ") + to_string(root_.type()) + ", not a dictionary");
    }
    const auto info = need(root_, "info", BencodeType::dictionary, "info");
    if (!info) return tl::unexpected(info.error());
    info_ = *info;
    if (!info_->find("meta version")) {
      return fail(ErrorCode::unsupported,
                  "the manifest is a BitTorrent v1 torrent (info.meta version is missing); publish "
                  "the file as v2, for example with: lanward publish FILE");
    }
    const auto version = need(*info_, "meta version", BencodeType::integer, "info.meta version");
    if (!version) return tl::unexpected(version.error());
    if (version->integer() != 2) {
      return fail(ErrorCode::unsupported, "the manifest has info.meta version " +
                                              std::to_string(version->integer()) +
                                              "; only version 2 (BEP 52) is known");
    }
    manifest_.infohash = sha256_(std::as_bytes(info_->encoded()));
    const auto tracker_only = read_flag(*info_, "private", "info.private");
    if (!tracker_only) return tl::unexpected(tracker_only.error());
    manifest_.tracker_only = *tracker_only;
    return {};
  }

  // 1 for yes; 0 or nothing for no. What it means is too weighty to be guessed.
  static Result<bool> read_flag(const BencodeValue& dictionary, std::string_view key,
                                std::string_view field) {
    if (!dictionary.find(key)) return false;
    const auto value = need(dictionary, key, BencodeType::integer, field);
    if (!value) return tl::unexpected(value.error());
    if (value->integer() != 0 && value->integer() != 1) {
      return invalid(field,
                     at(*value) + "is " + std::to_string(value->integer()) + ", neither 0 nor 1");
    }
    return value->integer() == 1;
  }

  // The one file of the tree: its name, its length, its root and its piece hashes.
  Result<void> read_content() {
    const auto name = need(*info_, "name", BencodeType::string, "info.name");
    if (!name) return tl::unexpected(name.error());
    if (const char* fault = file_name_fault(name->string())) {
      return invalid("info.name", at(*name) + fault);
    }
    info_name_ = name->string();
    const auto file = read_file_tree();
    if (!file) return tl::unexpected(file.error());
    const auto layout = read_layout(*file);
    if (!layout) return tl::unexpected(layout.error());
    manifest_.content.layout = *layout;
    return read_hashes(*file);
  }

  Result<BencodeValue> read_file_tree() {
    const auto tree = need(*info_, "file tree", BencodeType::dictionary, "info.file tree");
    if (!tree) return tl::unexpected(tree.error());
    const auto entries = tree->dictionary();
    if (entries.empty()) return invalid("info.file tree", at(*tree) + "is empty");
    if (entries.size() > 1) return several_files();
    const auto& [name, node] = entries.front();
    if (const char* fault = file_name_fault(name)) {
      return invalid("info.file tree", at(*tree) + "has a file whose name " + fault);
    }
    file_name_ = name;
    if (node.type() != BencodeType::dictionary) {
      return invalid("info.file tree", at(node) + "has an entry that is " + to_string(node.type()) +
                                           ", not a dictionary");
    }
    const auto children = node.dictionary();
    if (children.empty()) return invalid("info.file tree", at(node) + "has an empty directory");
    // The empty key marks a file; any other one is a name within a directory.
    if (!children.front().first.empty()) return several_files();
    if (children.size() > 1) {
      return invalid("info.file tree", at(node) + "has an entry that is both file and directory");
    }
    const BencodeValue& file = children.front().second;
    if (file.type() != BencodeType::dictionary) {
      return invalid("info.file tree", at(file) + "describes a file by " + to_string(file.type()) +
                                           ", not a dictionary");
    }
    return check_attributes(file);
  }

  static tl::unexpected<Error> several_files() {
    return fail(ErrorCode::unsupported,
                "the manifest describes a directory (info.file tree); only a manifest of exactly "
                "one file is handled: publish each file by itself");
  }

  static Result<BencodeValue> check_attributes(const BencodeValue& file) {
    const auto attributes = file.find("attr");
    if (!attributes) return file;
    if (attributes->type() != BencodeType::string) {
      return invalid("info.file tree attr", at(*attributes) + "is not a string");
    }
    // A symbolic link or padding instead of bytes; "x" and "h" only describe an ordinary file.
    if (attributes->string().find_first_of("lp") != std::string_view::npos) {
      return invalid("info.file tree attr", at(*attributes) + "says that it is not a plain file");
    }
    return file;
  }

  Result<PieceLayout> read_layout(const BencodeValue& file) {
    const auto piece = need(*info_, "piece length", BencodeType::integer, "info.piece length");
    if (!piece) return tl::unexpected(piece.error());
    const std::int64_t piece_bytes = piece->integer();
    if (piece_bytes < kPieceBytesMin || piece_bytes > kPieceBytesMax ||
        !std::has_single_bit(static_cast<std::uint64_t>(piece_bytes))) {
      return invalid("info.piece length", at(*piece) + "is " + std::to_string(piece_bytes) +
                                              ", not a power of two between 16384 and 67108864");
    }
    const auto length = need(file, "length", BencodeType::integer, "info.file tree length");
    if (!length) return tl::unexpected(length.error());
    if (length->integer() < 0) return invalid("info.file tree length", at(*length) + "is negative");
    const auto bytes = static_cast<std::uint64_t>(length->integer());
    if (bytes > kPieceCountMax * static_cast<std::uint64_t>(piece_bytes)) {
      return invalid("info.file tree length",
                     at(*length) + "is " + std::to_string(bytes) + ", more than 2097152 pieces");
    }
    // The v1 half of a hybrid manifest must not tell v1 peers of another file.
    if (const auto v1 = info_->find("length");
        v1 && (v1->type() != BencodeType::integer || v1->integer() != length->integer())) {
      return invalid("info.length", at(*v1) + "differs from the length in info.file tree");
    }
    return PieceLayout(ByteCount{bytes}, static_cast<std::uint32_t>(piece_bytes));
  }

  Result<void> read_hashes(const BencodeValue& file) {
    Content& content = manifest_.content;
    const auto layers = read_layers();
    if (!layers) return tl::unexpected(layers.error());
    if (content.layout.piece_count() == 0) {
      if (!layers->empty()) return invalid("piece layers", "has an entry for an empty file");
      if (file.find("pieces root")) {
        return invalid("info.file tree pieces root", "is there although the file is empty");
      }
      content.id = sha256_({});  // BEP 52 gives an empty file no root
      return {};
    }
    const auto root = need(file, "pieces root", BencodeType::string, "info.file tree pieces root");
    if (!root) return tl::unexpected(root.error());
    if (root->string().size() != sizeof(Digest)) {
      return invalid(
          "info.file tree pieces root",
          at(*root) + "is " + std::to_string(root->string().size()) + " bytes long, not 32");
    }
    content.id = to_digest(root->string());
    if (content.layout.piece_count() == 1) {
      if (!layers->empty()) return invalid("piece layers", "has an entry for a file of one piece");
      content.piece_hashes.push_back(content.id);
      return {};
    }
    return read_piece_layer(*layers);
  }

  Result<std::vector<BencodeValue::Entry>> read_layers() {
    if (!root_.find("piece layers")) return std::vector<BencodeValue::Entry>{};
    const auto layers = need(root_, "piece layers", BencodeType::dictionary, "piece layers");
    if (!layers) return tl::unexpected(layers.error());
    return layers->dictionary();
  }

  Result<void> read_piece_layer(const std::vector<BencodeValue::Entry>& layers) {
    Content& content = manifest_.content;
    const auto own = std::ranges::find(layers, as_text(content.id), &BencodeValue::Entry::first);
    if (own == layers.end()) return invalid("piece layers", "has no entry for the pieces root");
    const auto& [key, layer] = *own;
    if (layers.size() > 1) return invalid("piece layers", "has entries for other files");
    if (layer.type() != BencodeType::string) {
      return invalid("piece layers", at(layer) + "has an entry that is " + to_string(layer.type()) +
                                         ", not a string");
    }
    const std::string_view hashes = layer.string();
    const std::size_t expected = std::size_t{content.layout.piece_count()} * sizeof(Digest);
    if (hashes.size() != expected) {
      return invalid("piece layers", at(layer) + "has an entry of " +
                                         std::to_string(hashes.size()) + " bytes where " +
                                         std::to_string(expected) + " belong");
    }
    content.piece_hashes.resize(content.layout.piece_count());
    std::memcpy(content.piece_hashes.data(), hashes.data(), hashes.size());
    if (pieces_root(content.piece_hashes, content.layout, sha256_) != content.id) {
      return invalid("piece layers", at(layer) +
                                         "is damaged: the piece layer does not hash to the "
                                         "pieces root");
    }
    return {};
  }

  // The canonical form keeps the name outside the info dictionary: {"lanward": {"name": ...}}.
  Result<void> read_display_name() {
    manifest_.name = file_name_ == hex(manifest_.content.id) ? std::string() : file_name_;
    if (!root_.find("lanward")) return {};
    const auto ours = need(root_, "lanward", BencodeType::dictionary, "lanward");
    if (!ours) return tl::unexpected(ours.error());
    const auto share = read_flag(*ours, "share", "lanward.share");
    if (!share) return tl::unexpected(share.error());
    manifest_.share_private = *share;
    if (!ours->find("name")) return {};
    const auto name = need(*ours, "name", BencodeType::string, "lanward.name");
    if (!name) return tl::unexpected(name.error());
    if (const char* fault = file_name_fault(name->string())) {
      return invalid("lanward.name", at(*name) + fault);
    }
    manifest_.name = name->string();
    return {};
  }

  Result<void> read_web_seeds() {
    const auto list = root_.find("url-list");
    if (!list) return {};
    std::vector<std::string> urls;
    if (auto step = add_urls(*list, "url-list", {"http", "https"}, urls, 1); !step) return step;
    for (const std::string& url : urls) {
      std::string completed = web_seed_of_file(url);
      if (completed.size() > kUrlBytesMax) {
        return invalid("url-list", at(*list) + "has a directory whose file has too long a URL");
      }
      add_unique(manifest_.web_seeds, std::move(completed));
    }
    return {};
  }

  // BEP 19: a URL that ends in a slash is a directory; a manifest of a directory always means one.
  [[nodiscard]] std::string web_seed_of_file(std::string url) const {
    const bool directory = file_name_ != info_name_;
    if (!directory && !url.ends_with('/')) return url;
    if (!url.ends_with('/')) url += '/';
    url += percent_encode(info_name_);
    if (directory) url += "/" + percent_encode(file_name_);
    return url;
  }

  Result<void> read_trackers() {
    if (const auto one = root_.find("announce")) {
      if (one->type() != BencodeType::string) {
        return invalid("announce", at(*one) + "is " + to_string(one->type()) + ", not a string");
      }
      auto step = add_urls(*one, "announce", {"http", "https", "udp"}, manifest_.trackers, 0);
      if (!step) return step;
    }
    const auto tiers = root_.find("announce-list");
    if (!tiers) return {};
    if (tiers->type() != BencodeType::list) {
      return invalid("announce-list",
                     at(*tiers) + "is " + to_string(tiers->type()) + ", not a list");
    }
    return add_urls(*tiers, "announce-list", {"http", "https", "udp"}, manifest_.trackers, 2);
  }

  // Collects the URLs of `value`, a string or a list of them, nested up to `depth` lists deep. A
  // well-formed URL of a scheme that is not ours is left out: others may use it.
  Result<void> add_urls(const BencodeValue& value, std::string_view field,
                        std::initializer_list<std::string_view> schemes,
                        std::vector<std::string>& urls, int depth) {
    if (value.type() == BencodeType::list && depth > 0) {
      for (const BencodeValue& item : value.list()) {
        if (auto step = add_urls(item, field, schemes, urls, depth - 1); !step) return step;
      }
      return {};
    }
    if (value.type() != BencodeType::string) {
      return invalid(field, at(value) + "has " + to_string(value.type()) + " where a URL belongs");
    }
    // Some writers leave an empty string where they mean no URL at all.
    if (value.string().empty()) return {};
    if (const char* fault = url_fault(value.string())) {
      return invalid(field, at(value) + "has a URL that " + fault);
    }
    if (!url_scheme_is_one_of(value.string(), schemes)) return {};
    add_unique(urls, std::string(value.string()));
    if (urls.size() > kManifestUrlsMax) {
      return invalid(field, at(value) + "has more than 64 URLs");
    }
    return {};
  }

  static void add_unique(std::vector<std::string>& urls, std::string url) {
    if (std::ranges::find(urls, url) == urls.end()) urls.push_back(std::move(url));
  }

  BencodeValue root_;
  Sha256Fn sha256_;
  std::optional<BencodeValue> info_;
  std::string info_name_;
  std::string file_name_;
  Manifest manifest_;
};

void write_urls(BencodeWriter& out, const std::vector<std::string>& urls) {
  out.begin_list();
  for (const std::string& url : urls) out.string(url);
  out.end();
}

void write_info(BencodeWriter& out, const Content& content) {
  const std::string name = hex(content.id);
  out.begin_dictionary();
  out.string("file tree");
  out.begin_dictionary();
  out.string(name);
  out.begin_dictionary();
  out.string("");
  out.begin_dictionary();
  out.string("length");
  out.integer(static_cast<std::int64_t>(content.layout.size().value));
  if (content.layout.piece_count() > 0) {
    out.string("pieces root");
    out.string(as_text(content.id));
  }
  out.end();
  out.end();
  out.end();
  out.string("meta version");
  out.integer(2);
  out.string("name");
  out.string(name);
  out.string("piece length");
  out.integer(content.layout.piece_bytes());
  out.end();
}

void write_piece_layers(BencodeWriter& out, const Content& content) {
  out.begin_dictionary();
  if (content.layout.piece_count() > 1) {
    out.string(as_text(content.id));
    out.string({reinterpret_cast<const char*>(content.piece_hashes.data()),
                content.piece_hashes.size() * sizeof(Digest)});
  }
  out.end();
}

}  // namespace

Result<Manifest> parse_metainfo(std::span<const std::uint8_t> bytes, Sha256Fn sha256) {
  if (bytes.size() > kMetainfoBytesMax) {
    return invalid("the document", "is " + std::to_string(bytes.size()) +
                                       " bytes long, more than " +
                                       std::to_string(kMetainfoBytesMax));
  }
  const auto document = BencodeDocument::parse(bytes);
  if (!document) return invalid("the document", "is not bencoded: " + document.error().message);
  auto manifest = MetainfoParser(document->root(), sha256).run();
  if (manifest) manifest->metainfo.assign(bytes.begin(), bytes.end());
  return manifest;
}

std::vector<std::uint8_t> write_metainfo(const MetainfoParts& parts) {
  assert(parts.content.verifiable());
  BencodeWriter out;
  out.reserve(parts.content.piece_hashes.size() * sizeof(Digest) + kKiB);
  out.begin_dictionary();
  if (!parts.trackers.empty()) {
    out.string("announce");
    out.string(parts.trackers.front());
    out.string("announce-list");
    out.begin_list();
    write_urls(out, parts.trackers);
    out.end();
  }
  out.string("info");
  write_info(out, parts.content);
  if (!parts.name.empty() || parts.share_private) {
    out.string("lanward");
    out.begin_dictionary();
    if (!parts.name.empty()) {
      out.string("name");
      out.string(parts.name);
    }
    if (parts.share_private) {
      out.string("share");
      out.integer(1);
    }
    out.end();
  }
  out.string("piece layers");
  write_piece_layers(out, parts.content);
  if (!parts.web_seeds.empty()) {
    out.string("url-list");
    write_urls(out, parts.web_seeds);
  }
  out.end();
  return std::move(out).take();
}

}  // namespace lanward::core
