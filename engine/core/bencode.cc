#include "engine/core/bencode.h"

#include <array>
#include <cassert>
#include <charconv>
#include <limits>
#include <string>

namespace lanward::core {

const char* to_string(BencodeType type) noexcept {
  switch (type) {
    case BencodeType::integer:
      return "an integer";
    case BencodeType::string:
      return "a string";
    case BencodeType::list:
      return "a list";
    case BencodeType::dictionary:
      return "a dictionary";
  }
  return "a value";
}

// Iterative: open containers live in a fixed array, so nesting costs no stack and ends at a bound.
class BencodeParser {
 public:
  explicit BencodeParser(std::span<const std::uint8_t> bytes) { document_.bytes_ = bytes; }

  Result<BencodeDocument> run() {
    if (bytes().size() > std::numeric_limits<std::uint32_t>::max()) {
      return error(0, "the document is longer than 4 GiB");
    }
    do {
      if (auto step = read_token(); !step) return tl::unexpected(step.error());
    } while (depth_ > 0);
    if (at_ != bytes().size()) return error(at_, "there are bytes after the end of the document");
    return std::move(document_);
  }

 private:
  using Node = BencodeDocument::Node;
  struct Open {
    std::uint32_t node = 0;
    bool dictionary = false;
    bool key_next = false;
    bool has_key = false;
    std::string_view last_key;
  };

  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return document_.bytes_; }

  [[nodiscard]] static tl::unexpected<Error> error(std::size_t at, std::string_view what) {
    return fail(ErrorCode::manifest_invalid,
                "at byte " + std::to_string(at) + ": " + std::string(what));
  }
  [[nodiscard]] tl::unexpected<Error> cut_short() const {
    return error(bytes().size(), "the document ends in the middle of a value");
  }

  // One value, or the opening or the end of a container.
  Result<void> read_token() {
    if (at_ == bytes().size()) return cut_short();
    const std::uint8_t c = bytes()[at_];
    Open* const in = depth_ > 0 ? &open_[depth_ - 1] : nullptr;
    const bool key = in != nullptr && in->key_next;
    if (c == 'e' && in != nullptr) {
      if (in->dictionary && !key) return error(at_, "a dictionary key has no value");
      return close();
    }
    if (key && (c < '0' || c > '9')) return error(at_, "a dictionary key must be a string");
    if (document_.nodes_.size() == kBencodeValuesMax) {
      return error(at_, "more than " + std::to_string(kBencodeValuesMax) + " values");
    }
    if (in != nullptr && in->dictionary) in->key_next = !key;
    if (c == 'l' || c == 'd') return open(c == 'd');
    if (c == 'i') return read_integer();
    if (c >= '0' && c <= '9') return read_string(key ? in : nullptr);
    return error(at_, "a value must begin with a digit, 'i', 'l' or 'd'");
  }

  Result<void> open(bool dictionary) {
    if (depth_ == open_.size()) {
      return error(at_, "nested deeper than " + std::to_string(kBencodeDepthMax) + " levels");
    }
    open_[depth_++] = {
        static_cast<std::uint32_t>(document_.nodes_.size()), dictionary, dictionary, false, {}};
    add(dictionary ? BencodeType::dictionary : BencodeType::list, at_);
    ++at_;
    return {};
  }

  Result<void> close() {
    ++at_;
    Node& node = document_.nodes_[open_[--depth_].node];
    node.end = static_cast<std::uint32_t>(at_);
    node.next = static_cast<std::uint32_t>(document_.nodes_.size());
    return {};
  }

  Result<void> read_integer() {
    const std::size_t begin = at_++;
    auto value = read_number<std::int64_t>(begin, 'e');
    if (!value) return tl::unexpected(value.error());
    add(BencodeType::integer, begin).integer = *value;
    return {};
  }

  Result<void> read_string(Open* key_of) {
    const std::size_t begin = at_;
    auto length = read_number<std::uint64_t>(begin, ':');
    if (!length) return tl::unexpected(length.error());
    if (*length > bytes().size() - at_) {
      return error(begin, "a string of " + std::to_string(*length) + " bytes where only " +
                              std::to_string(bytes().size() - at_) + " are left");
    }
    const std::size_t text = at_;
    at_ += static_cast<std::size_t>(*length);
    add(BencodeType::string, begin).text = static_cast<std::uint32_t>(text);
    if (key_of == nullptr) return {};
    const std::string_view name(reinterpret_cast<const char*>(bytes().data()) + text, *length);
    if (key_of->has_key && name <= key_of->last_key) {
      return error(begin, name == key_of->last_key ? "a dictionary key appears twice"
                                                   : "dictionary keys are not sorted");
    }
    key_of->has_key = true;
    key_of->last_key = name;
    return {};
  }

  // Reads digits (and a sign, if T has one) up to `stop`, and moves behind it.
  template <class T>
  Result<T> read_number(std::size_t begin, char stop) {
    const char* const base = reinterpret_cast<const char*>(bytes().data());
    const char* const first = base + at_;
    const char* const last = base + bytes().size();
    T value{};
    const auto [end, status] = std::from_chars(first, last, value);
    if (status == std::errc::result_out_of_range) {
      return error(begin, "a number does not fit 64 bits");
    }
    if (end == last) return cut_short();
    if (status != std::errc{} || *end != stop) return error(begin, "a number is malformed");
    const std::string_view digits(first, static_cast<std::size_t>(end - first));
    const bool padded = digits.size() > 1 && digits.front() == '0';
    if (padded || digits.starts_with("-0")) {
      return error(begin, "a number is not in its shortest form");
    }
    at_ = static_cast<std::size_t>(end - base) + 1;
    return value;
  }

  // REQUIRES: at_ is the end of the value, except for a container, whose end close() sets.
  Node& add(BencodeType type, std::size_t begin) {
    Node& node = document_.nodes_.emplace_back();
    node.begin = static_cast<std::uint32_t>(begin);
    node.end = static_cast<std::uint32_t>(at_);
    node.next = static_cast<std::uint32_t>(document_.nodes_.size());
    node.type = type;
    return node;
  }

  BencodeDocument document_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  std::array<Open, kBencodeDepthMax> open_{};
};

Result<BencodeDocument> BencodeDocument::parse(std::span<const std::uint8_t> bytes) {
  return BencodeParser(bytes).run();
}

BencodeType BencodeValue::type() const { return document_->nodes_[node_].type; }

std::size_t BencodeValue::offset() const { return document_->nodes_[node_].begin; }

std::span<const std::uint8_t> BencodeValue::encoded() const {
  const auto& node = document_->nodes_[node_];
  return document_->bytes_.subspan(node.begin, node.end - node.begin);
}

std::int64_t BencodeValue::integer() const {
  assert(type() == BencodeType::integer);
  return document_->nodes_[node_].integer;
}

std::string_view BencodeValue::string() const {
  assert(type() == BencodeType::string);
  const auto& node = document_->nodes_[node_];
  return {reinterpret_cast<const char*>(document_->bytes_.data()) + node.text,
          node.end - node.text};
}

std::vector<BencodeValue> BencodeValue::list() const {
  assert(type() == BencodeType::list);
  std::vector<BencodeValue> items;
  const auto& nodes = document_->nodes_;
  for (std::uint32_t i = node_ + 1; i < nodes[node_].next; i = nodes[i].next) {
    items.push_back(BencodeValue(document_, i));
  }
  return items;
}

std::vector<BencodeValue::Entry> BencodeValue::dictionary() const {
  assert(type() == BencodeType::dictionary);
  std::vector<Entry> entries;
  const auto& nodes = document_->nodes_;
  for (std::uint32_t key = node_ + 1; key < nodes[node_].next; key = nodes[key + 1].next) {
    entries.emplace_back(BencodeValue(document_, key).string(), BencodeValue(document_, key + 1));
  }
  return entries;
}

std::optional<BencodeValue> BencodeValue::find(std::string_view key) const {
  assert(type() == BencodeType::dictionary);
  const auto& nodes = document_->nodes_;
  for (std::uint32_t i = node_ + 1; i < nodes[node_].next; i = nodes[i + 1].next) {
    if (BencodeValue(document_, i).string() == key) return BencodeValue(document_, i + 1);
  }
  return std::nullopt;
}

void BencodeWriter::integer(std::int64_t value) { append("i" + std::to_string(value) + "e"); }

void BencodeWriter::string(std::string_view value) {
  append(std::to_string(value.size()) + ":");
  append(value);
}

}  // namespace lanward::core
