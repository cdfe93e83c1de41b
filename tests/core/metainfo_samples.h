// Metainfo documents for tests: as a tree that can be broken on purpose before it is encoded.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/core/bencode.h"
#include "engine/core/merkle.h"
#include "engine/core/metainfo.h"
#include "engine/core/prng.h"
#include "engine/store/sha256.h"

namespace lanward::core::samples {

// One bencoded value.
struct Tree {
  using List = std::vector<Tree>;
  using Dictionary = std::map<std::string, Tree>;

  Tree() : value(Dictionary{}) {}
  Tree(int v) : value(std::int64_t{v}) {}
  Tree(std::int64_t v) : value(v) {}
  Tree(std::string v) : value(std::move(v)) {}
  Tree(const char* v) : value(std::string(v)) {}
  Tree(List v) : value(std::move(v)) {}

  // REQUIRES: a dictionary; the entry is made if it is not there.
  Tree& operator[](const std::string& key) { return std::get<Dictionary>(value)[key]; }
  void erase(const std::string& key) { std::get<Dictionary>(value).erase(key); }

  void write(BencodeWriter& out) const {
    if (const auto* integer = std::get_if<std::int64_t>(&value)) {
      out.integer(*integer);
    } else if (const auto* text = std::get_if<std::string>(&value)) {
      out.string(*text);
    } else if (const auto* list = std::get_if<List>(&value)) {
      out.begin_list();
      for (const Tree& item : *list) item.write(out);
      out.end();
    } else {
      out.begin_dictionary();
      for (const auto& [key, item] : std::get<Dictionary>(value)) {
        out.string(key);
        item.write(out);
      }
      out.end();
    }
  }
  [[nodiscard]] std::vector<std::uint8_t> encode() const {
    BencodeWriter out;
    write(out);
    return std::move(out).take();
  }

  std::variant<std::int64_t, std::string, List, Dictionary> value;
};

inline std::vector<std::byte> random_bytes(std::size_t size, std::uint64_t seed = 1) {
  Prng prng{Seed{seed}};
  std::vector<std::byte> bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(prng.next());
  return bytes;
}

// What a publisher computes, in the plainest way.
inline Content content_of(std::span<const std::byte> bytes, std::uint32_t piece_bytes) {
  Content content;
  content.layout = PieceLayout(ByteCount{bytes.size()}, piece_bytes);
  for (std::uint32_t p = 0; p < content.layout.piece_count(); ++p) {
    const ByteSpan span = content.layout.bytes(PieceIndex{p});
    std::vector<Digest> leaves;
    for (std::uint64_t at = span.begin; at < span.end; at += kBlockBytes) {
      const auto length = std::min<std::uint64_t>(kBlockBytes, span.end - at);
      leaves.push_back(store::sha256(bytes.subspan(at, length)));
    }
    content.piece_hashes.push_back(
        merkle_root(leaves, content.layout.leaves_per_piece(), Digest{}, store::sha256));
  }
  content.id = bytes.empty() ? store::sha256({})
                             : pieces_root(content.piece_hashes, content.layout, store::sha256);
  return content;
}

inline std::string text_of(const Digest& digest) { return {digest.begin(), digest.end()}; }

inline std::string hex_of(const Digest& digest) {
  std::string text;
  for (const std::uint8_t byte : digest) {
    text += "0123456789abcdef"[byte >> 4U];
    text += "0123456789abcdef"[byte & 15U];
  }
  return text;
}

// A manifest as other tools write it: the file name within the info dictionary.
inline Tree foreign_tree(const Content& content, const std::string& name = "data.bin") {
  Tree root;
  Tree& info = root["info"];
  info["name"] = name;
  info["meta version"] = 2;
  info["piece length"] = std::int64_t{content.layout.piece_bytes()};
  Tree& file = info["file tree"][name][""];
  file["length"] = static_cast<std::int64_t>(content.layout.size().value);
  if (content.layout.piece_count() > 0) file["pieces root"] = text_of(content.id);
  Tree layers;
  if (content.layout.piece_count() > 1) {
    std::string layer;
    for (const Digest& hash : content.piece_hashes) layer += text_of(hash);
    layers[text_of(content.id)] = layer;
  }
  root["piece layers"] = layers;
  return root;
}

// Five pieces of 16 KiB, the last one short.
inline Content small_content() { return content_of(random_bytes(4 * 16384 + 1000), 16384); }

inline Result<Manifest> parse(std::span<const std::uint8_t> bytes) {
  return parse_metainfo(bytes, store::sha256);
}
inline Result<Manifest> parse(const Tree& tree) { return parse(tree.encode()); }

}  // namespace lanward::core::samples
