// Bencoding (BEP 3): a strict, bounded reader for what strangers send, and a writer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <lanward/error.h>

namespace lanward::core {

// Nesting that is read. A metainfo of one file needs five levels; the rest lets a tree of ordinary
// directories be told apart from an attack.
inline constexpr std::size_t kBencodeDepthMax = 32;
// Values (keys included) that are read; they bound the memory of a document to 2 MiB beside its
// bytes. A metainfo of one file with every list at its limit has fewer than 400.
inline constexpr std::size_t kBencodeValuesMax = 65536;

enum class BencodeType : std::uint8_t { integer, string, list, dictionary };

// "a list", for messages.
[[nodiscard]] const char* to_string(BencodeType type) noexcept;

class BencodeDocument;

// One value of a document; valid as long as the document stays where it is.
class BencodeValue {
 public:
  using Entry = std::pair<std::string_view, BencodeValue>;

  [[nodiscard]] BencodeType type() const;
  // Where the value begins in the document, and the bytes it takes there.
  [[nodiscard]] std::size_t offset() const;
  [[nodiscard]] std::span<const std::uint8_t> encoded() const;

  // REQUIRES: the value has the type that the method is named for.
  [[nodiscard]] std::int64_t integer() const;
  [[nodiscard]] std::string_view string() const;
  [[nodiscard]] std::vector<BencodeValue> list() const;
  [[nodiscard]] std::vector<Entry> dictionary() const;  // in the order of the keys

  // The value of a key; nothing if there is none. REQUIRES: a dictionary.
  [[nodiscard]] std::optional<BencodeValue> find(std::string_view key) const;

 private:
  friend class BencodeDocument;
  BencodeValue(const BencodeDocument* document, std::uint32_t node)
      : document_(document), node_(node) {}

  const BencodeDocument* document_;
  std::uint32_t node_;
};

class BencodeDocument {
 public:
  // Reads one value that takes all of `bytes`, which must outlive the document. Strict: every
  // number in its shortest form and within 64 bits, dictionary keys strictly ascending, lengths
  // within the document, nothing after the value. Errors: manifest_invalid ("at byte N: ...").
  [[nodiscard]] static Result<BencodeDocument> parse(std::span<const std::uint8_t> bytes);

  [[nodiscard]] BencodeValue root() const { return {this, 0}; }

 private:
  friend class BencodeValue;
  friend class BencodeParser;

  struct Node {
    std::uint32_t begin = 0;  // of the encoded value
    std::uint32_t end = 0;
    std::uint32_t text = 0;  // where a string's own bytes begin
    std::uint32_t next = 0;  // the node after this one and everything in it
    std::int64_t integer = 0;
    BencodeType type = BencodeType::integer;
  };

  std::span<const std::uint8_t> bytes_;
  // Depth first, in the order of the bytes; in a dictionary keys and values alternate.
  std::vector<Node> nodes_;
};

// Appends to a document. The caller closes what it opens and gives keys in ascending order.
class BencodeWriter {
 public:
  void integer(std::int64_t value);
  void string(std::string_view value);
  void begin_list() { bytes_.push_back('l'); }
  void begin_dictionary() { bytes_.push_back('d'); }
  void end() { bytes_.push_back('e'); }
  void reserve(std::size_t bytes) { bytes_.reserve(bytes); }

  [[nodiscard]] std::vector<std::uint8_t> take() && { return std::move(bytes_); }

 private:
  void append(std::string_view text) { bytes_.insert(bytes_.end(), text.begin(), text.end()); }

  std::vector<std::uint8_t> bytes_;
};

}  // namespace lanward::core
