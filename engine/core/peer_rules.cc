#include "engine/core/peer_rules.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace lanward::core {
namespace {

constexpr std::string_view kFirstLine = "lanward-peers 1";
constexpr std::string_view kFirstWord = "lanward-peers ";
constexpr std::uint8_t kV4Bits = 96;  // of the prefix that makes an IPv4 address one of IPv6

// An IPv4 address.
bool is_mapped(const Address& address) {
  return std::all_of(address.begin(), address.begin() + 10, [](auto b) { return b == 0; }) &&
         address[10] == 0xff && address[11] == 0xff;
}

// Clears (or sets) the bits beyond the prefix.
void fill_host(Address& address, std::uint8_t prefix, bool ones) {
  for (std::size_t bit = prefix; bit < 128; ++bit) {
    const auto mask = static_cast<std::uint8_t>(0x80U >> (bit % 8));
    if (ones) {
      address[bit / 8] = static_cast<std::uint8_t>(address[bit / 8] | mask);
    } else {
      address[bit / 8] = static_cast<std::uint8_t>(address[bit / 8] & ~mask);
    }
  }
}

// All of the text, at most `digits` long.
std::optional<std::uint32_t> number(std::string_view text, int base, std::size_t digits) {
  std::uint32_t value = 0;
  if (text.empty() || text.size() > digits) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool parse_v4(std::string_view text, std::uint8_t* into) {
  for (int i = 0; i < 4; ++i) {
    const std::size_t dot = text.find('.');
    if ((dot == std::string_view::npos) != (i == 3)) return false;
    const auto part = number(text.substr(0, dot), 10, 3);
    if (!part || *part > 255) return false;
    into[i] = static_cast<std::uint8_t>(*part);
    if (dot != std::string_view::npos) text.remove_prefix(dot + 1);
  }
  return true;
}

// Groups between colons, from `at` on; the number of bytes, or nothing.
std::optional<std::size_t> parse_groups(std::string_view text, Address& into) {
  std::size_t at = 0;
  while (!text.empty()) {
    const std::size_t colon = text.find(':');
    const std::string_view group = text.substr(0, colon);
    if (group.find('.') != std::string_view::npos) {
      if (colon != std::string_view::npos || at > 12 || !parse_v4(group, &into[at])) {
        return std::nullopt;
      }
      return at + 4;
    }
    const auto value = number(group, 16, 4);
    if (!value || at > 14) return std::nullopt;
    into[at++] = static_cast<std::uint8_t>(*value >> 8U);
    into[at++] = static_cast<std::uint8_t>(*value & 0xffU);
    if (colon == std::string_view::npos) return at;
    text.remove_prefix(colon + 1);
    if (text.empty()) return std::nullopt;  // a colon at the end
  }
  return at;
}

bool parse_v6(std::string_view text, Address& into) {
  const std::size_t gap = text.find("::");
  Address head{}, tail{};
  const auto head_bytes = parse_groups(text.substr(0, gap), head);
  if (!head_bytes) return false;
  if (gap == std::string_view::npos) {
    into = head;
    return *head_bytes == into.size();
  }
  const auto tail_bytes = parse_groups(text.substr(gap + 2), tail);
  if (!tail_bytes || *head_bytes + *tail_bytes > 14) return false;
  into = head;
  std::copy_n(tail.begin(), *tail_bytes, into.end() - static_cast<std::ptrdiff_t>(*tail_bytes));
  return true;
}

std::string text_of(const Address& address) {
  std::string text;
  if (is_mapped(address)) {
    for (std::size_t i = 12; i < 16; ++i) {
      text += (i > 12 ? "." : "") + std::to_string(address[i]);
    }
    return text;
  }
  for (std::size_t i = 0; i < 16; i += 2) {
    std::array<char, 4> digits{};
    const auto value = static_cast<std::uint32_t>(address[i] << 8U | address[i + 1]);
    const auto [end, error] = std::to_chars(digits.data(), digits.data() + 4, value, 16);
    text += (i > 0 ? ":" : "") + std::string(digits.data(), end);
  }
  return text;
}

bool contains(const std::vector<Network>& networks, const Address& address) {
  return std::any_of(networks.begin(), networks.end(),
                     [&](const Network& network) { return network.contains(address); });
}

// One line of a file; an error without its line.
Result<void> read_line(std::string_view line, PeerRules& rules) {
  const auto wrong = [](std::string what) {
    return fail(ErrorCode::invalid_argument, std::move(what));
  };
  if (line.empty() || line.front() == '#') return {};
  if (line == "serving off") return rules.serving = false, Result<void>{};
  if (line == "scope any") return rules.private_only = false, Result<void>{};
  for (const auto& [word, list] : {std::pair{std::string_view("allow "), &rules.allow},
                                   std::pair{std::string_view("deny "), &rules.deny},
                                   std::pair{std::string_view("ban "), &rules.ban}}) {
    if (!line.starts_with(word)) continue;
    if (list->size() == kPeerRulesMax) return wrong("too many lines of this kind");
    auto network = parse_network(line.substr(word.size()));
    if (!network) return tl::unexpected(network.error());
    list->push_back(*network);
    return {};
  }
  return wrong("expected 'serving off', 'scope any', or 'allow', 'deny' or 'ban' and a network");
}

}  // namespace

bool Network::is_v4() const { return prefix >= kV4Bits && is_mapped(address); }

bool Network::contains(const Address& other) const {
  if (is_v4() != is_mapped(other)) return false;
  Address masked = other;
  fill_host(masked, prefix, false);
  return masked == address;
}

Address Network::last() const {
  Address end = address;
  fill_host(end, prefix, true);
  return end;
}

Result<Network> parse_network(std::string_view text) {
  constexpr std::size_t kLongest = 49;  // of an IPv6 address with a prefix
  const auto wrong = [&](const char* what) {
    // What is wrong may be anything, and the message goes to a terminal.
    const bool printable =
        text.size() <= kLongest &&
        std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
    return fail(ErrorCode::invalid_argument,
                (printable ? "'" + std::string(text) + "' " : std::string("it ")) + what);
  };
  const std::size_t slash = text.find('/');
  const std::string_view host = text.substr(0, slash);
  Network network;
  std::uint8_t base = 0;
  if (host.find(':') == std::string_view::npos) {
    network.address[10] = network.address[11] = 0xff;
    base = kV4Bits;
    if (!parse_v4(host, &network.address[12])) {
      return wrong("is no address or network such as 192.0.2.0/24 or 2001:db8::/32");
    }
  } else if (!parse_v6(host, network.address)) {
    return wrong("is no address or network such as 192.0.2.0/24 or 2001:db8::/32");
  }
  network.prefix = 128;
  if (slash != std::string_view::npos) {
    const auto bits = number(text.substr(slash + 1), 10, 3);
    if (!bits || *bits > 128U - base) return wrong("has no prefix length of this kind of address");
    network.prefix = static_cast<std::uint8_t>(base + *bits);
  }
  const Address given = network.address;
  fill_host(network.address, network.prefix, false);
  if (network.address != given) return wrong("has bits beyond its prefix length");
  return network;
}

std::string to_string(const Network& network) {
  const std::uint8_t base = network.is_v4() ? kV4Bits : 0;
  const std::string text = text_of(network.address);
  return network.prefix == 128 ? text : text + "/" + std::to_string(network.prefix - base);
}

const std::vector<Network>& private_networks() {
  static const std::vector<Network> networks = [] {
    std::vector<Network> list;
    for (const char* text : {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
                             "169.254.0.0/16", "127.0.0.0/8", "fc00::/7", "fe80::/10", "::1"}) {
      if (auto network = parse_network(text)) list.push_back(*network);
    }
    return list;
  }();
  return networks;
}

const char* peer_fault(const PeerRules& rules, const Address& address) {
  if (!rules.serving) return "peers are switched off";
  if (contains(rules.ban, address)) return "is banned";
  if (contains(rules.deny, address)) return "is denied";
  if (!rules.allow.empty()) {
    return contains(rules.allow, address) ? nullptr : "is not among those that are allowed";
  }
  if (rules.private_only && !contains(private_networks(), address)) return "is no local address";
  return nullptr;
}

std::string format_peer_rules(const PeerRules& rules) {
  std::string text = std::string(kFirstLine) + "\n";
  if (!rules.serving) text += "serving off\n";
  if (!rules.private_only) text += "scope any\n";
  for (const auto& [word, list] :
       {std::pair{"allow ", &rules.allow}, std::pair{"deny ", &rules.deny},
        std::pair{"ban ", &rules.ban}}) {
    for (const Network& network : *list) text += word + to_string(network) + "\n";
  }
  return text;
}

Result<PeerRules> parse_peer_rules(std::string_view text) {
  PeerRules rules;
  std::size_t line_number = 0;
  const auto wrong = [&line_number](const std::string& what) {
    return fail(ErrorCode::invalid_argument,
                "rules of peers, line " + std::to_string(line_number) + ": " + what);
  };
  if (text.size() > kPeerRulesBytesMax) return wrong("the file is too long");
  while (!text.empty()) {
    ++line_number;
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return wrong("the file is cut off: no end of line");
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (line_number > 1) {
      if (auto read = read_line(line, rules); !read) return wrong(read.error().message);
    } else if (line != kFirstLine) {
      if (!line.starts_with(kFirstWord)) {
        return wrong("it must begin with '" + std::string(kFirstLine) + "'");
      }
      return fail(ErrorCode::unsupported, "rules of peers: a version that is not known");
    }
  }
  if (line_number == 0) return wrong("the file is empty");
  return rules;
}

}  // namespace lanward::core
