#include "simulator/scenario.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <limits>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "simulator/toml_document.h"
#include "simulator/units.h"

namespace lanward::simulator {

namespace {

using Value = TomlValue;
using Kind = TomlValue::Kind;

// A key this many letters away from a known one is taken for a slip of the finger.
constexpr std::size_t kSlipMax = 2;

// Of several errors the one that stands first in the file.
class Errors {
 public:
  explicit Errors(std::string_view name) : name_(name) {}

  void add(const Value& at, std::string_view what) {
    const std::size_t line = at.file == name_ ? at.line : 0;
    if (!text_.empty() && line >= line_) return;
    line_ = line;
    text_ = line == 0 ? fmt::format("{}: {}", at.file, what)
                      : fmt::format("{}:{}: {}", name_, line, what);
  }
  // About the file as a whole.
  void add(std::string_view what) {
    if (text_.empty()) text_ = fmt::format("{}: {}", name_, what);
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  const std::string name_;
  std::size_t line_ = 0;
  std::string text_;
};

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t corner = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = corner + (a[i - 1] == b[j - 1] ? 0 : 1);
      corner = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
    }
  }
  return row[b.size()];
}

// One table of the file: every key is asked for by name, and what was not asked for is unknown.
class Section {
 public:
  Section(Errors& errors, const Value& table, std::string name)
      : errors_(errors), table_(table), name_(std::move(name)) {
    if (!is_table()) complain(table_, "", "this must be a table");
  }

  [[nodiscard]] bool is_table() const { return table_.kind == Kind::table; }
  [[nodiscard]] const Value* find(const std::string& key) {
    known_.push_back(key);
    if (!is_table()) return nullptr;
    const auto found = table_.table.find(key);
    return found == table_.table.end() ? nullptr : &found->second;
  }
  [[nodiscard]] bool has(const std::string& key) const {
    return is_table() && table_.table.contains(key);
  }
  void complain(const Value& at, const std::string& key, std::string_view what) {
    const std::string full = name_.empty() ? key
                             : key.empty() ? name_
                                           : fmt::format("{}.{}", name_, key);
    errors_.add(at, full.empty() ? std::string(what) : fmt::format("{}: {}", full, what));
  }
  void complain(const std::string& key, std::string_view what) {
    const auto found = table_.table.find(key);
    complain(found == table_.table.end() ? table_ : found->second, key, what);
  }

  void text(const std::string& key, std::string& out) {
    const Value* value = find(key);
    if (value == nullptr) return;
    if (const std::string* s = string_of(*value, key, "\"a text\"")) out = *s;
  }
  void flag(const std::string& key, bool& out) {
    const Value* value = find(key);
    if (value == nullptr) return;
    if (value->kind != Kind::boolean) return complain(*value, key, "this must be true or false");
    out = value->boolean;
  }
  template <class T>
  void number(const std::string& key, T& out, std::uint64_t low, std::uint64_t high) {
    if (const Value* value = find(key)) integer(*value, key, out, low, high);
  }
  template <class T>
  void integer(const Value& value, const std::string& key, T& out, std::uint64_t low,
               std::uint64_t high) {
    if (value.kind != Kind::integer) return complain(value, key, "this must be a whole number");
    const std::int64_t n = value.integer;
    if (n < 0 || static_cast<std::uint64_t>(n) < low || static_cast<std::uint64_t>(n) > high) {
      return complain(value, key, fmt::format("{}: it must be from {} to {}", n, low, high));
    }
    out = static_cast<T>(n);
  }
  void size(const std::string& key, core::ByteCount& out, core::ByteCount low,
            core::ByteCount high) {
    if (const auto v = unit(key, "\"256MiB\"", parse_size)) {
      within(
          key, *v, low, high, out, [](core::ByteCount n) { return n.value; }, "bytes");
    }
  }
  void rate(const std::string& key, core::ByteRate& out, core::ByteRate low, core::ByteRate high) {
    if (const auto v = unit(key, "\"100Mbit\"", parse_rate)) {
      within(
          key, *v, low, high, out, [](core::ByteRate n) { return n.value; }, "bytes/s");
    }
  }
  void duration(const std::string& key, core::Duration& out, core::Duration low,
                core::Duration high) {
    if (const auto v = unit(key, "\"50ms\"", parse_duration)) {
      within(
          key, *v, low, high, out, [](core::Duration n) { return n.count(); }, "ns");
    }
  }
  // "12.5%", as parts of a million.
  void share(const std::string& key, std::uint32_t& out, std::uint32_t high) {
    const Value* value = find(key);
    if (value == nullptr) return;
    const std::string* s = string_of(*value, key, "\"10%\"");
    if (s == nullptr) return;
    const auto ppm = parse_share("", printable(*s));
    if (!ppm) return complain(*value, key, std::string_view(ppm.error().message).substr(1));
    if (*ppm > high) {
      return complain(*value, key,
                      fmt::format("{}: at most {}%", printable(*s), high / (kWhole / 100)));
    }
    out = static_cast<std::uint32_t>(*ppm);
  }
  template <class Enum, std::size_t N>
  void choice(const std::string& key, Enum& out,
              const std::array<std::pair<std::string_view, Enum>, N>& choices) {
    const Value* value = find(key);
    if (value == nullptr) return;
    std::string names;
    for (const auto& [name, unused] : choices) names += fmt::format(" {}", name);
    if (value->kind != Kind::text) return complain(*value, key, "this must be one of" + names);
    for (const auto& [name, meaning] : choices) {
      if (value->text == name) {
        out = meaning;
        return;
      }
    }
    complain(*value, key, fmt::format("{}: it must be one of{}", printable(value->text), names));
  }
  // Two durations, the second not less than the first.
  void duration_range(const std::string& key, core::Duration& low, core::Duration& high,
                      core::Duration most) {
    const Value* value = find(key);
    if (value == nullptr) return;
    constexpr std::string_view kForm = R"(this must be a list of two, as in ["500us", "7ms"])";
    if (value->kind != Kind::list || value->list.size() != 2) return complain(*value, key, kForm);
    std::array<core::Duration, 2> both{};
    for (std::size_t i = 0; i < 2; ++i) {
      const Value& item = value->list[i];
      if (item.kind != Kind::text) return complain(item, key, kForm);
      const auto parsed = parse_duration("", printable(item.text));
      if (!parsed) return complain(item, key, std::string_view(parsed.error().message).substr(1));
      both[i] = *parsed;
    }
    if (both[0] > both[1] || both[1] > most) {
      return complain(*value, key, "the first must not exceed the second, nor that ten seconds");
    }
    low = both[0];
    high = both[1];
  }

  void refuse_unknown() {
    if (!is_table()) return;
    for (const auto& [key, value] : table_.table) {
      if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
      const auto nearest = std::min_element(
          known_.begin(), known_.end(), [&key = key](const auto& a, const auto& b) {
            return edit_distance(key.substr(0, 80), a) < edit_distance(key.substr(0, 80), b);
          });
      const bool close =
          nearest != known_.end() && edit_distance(key.substr(0, 80), *nearest) <= kSlipMax;
      complain(value, printable(key),
               close ? fmt::format("there is no such key; is it {}?", *nearest)
                     : fmt::format("there is no such key; there are {}",
                                   fmt::join(known_.begin(), known_.end(), ", ")));
    }
  }

 private:
  const std::string* string_of(const Value& value, const std::string& key,
                               std::string_view example) {
    if (value.kind == Kind::text) return &value.text;
    complain(value, key, fmt::format("this must be a string such as {}", example));
    return nullptr;
  }
  template <class T>
  std::optional<T> unit(const std::string& key, std::string_view example,
                        Result<T> (*parse)(std::string_view, std::string_view)) {
    const Value* value = find(key);
    if (value == nullptr) return std::nullopt;
    const std::string* s = string_of(*value, key, example);
    if (s == nullptr) return std::nullopt;
    const auto parsed = parse("", printable(*s));
    if (parsed) return *parsed;
    complain(*value, key, std::string_view(parsed.error().message).substr(1));
    return std::nullopt;
  }
  template <class T, class Count>
  void within(const std::string& key, T value, T low, T high, T& out, Count count,
              std::string_view unit_name) {
    if (value < low || value > high) {
      return complain(key, fmt::format("{} {}: it must be from {} to {}", count(value), unit_name,
                                       count(low), count(high)));
    }
    out = value;
  }

  Errors& errors_;
  const Value& table_;
  const std::string name_;
  std::vector<std::string> known_;
};

constexpr core::Duration kZero{0};
constexpr core::Duration kLatencyMax = std::chrono::seconds{10};
constexpr core::ByteRate kRateMin{1};

void read_file(Section section, Scenario& s, Errors& errors) {
  if (!section.has("size")) errors.add("file.size is missing: how large is the file?");
  section.size("size", s.size, core::ByteCount{1}, kSizeMax);
  core::ByteCount piece{0};
  section.size("piece", piece, core::ByteCount{core::kPieceBytesMin},
               core::ByteCount{core::kPieceBytesMax});
  if ((piece.value & (piece.value - 1)) != 0) {
    section.complain("piece", fmt::format("{} bytes: it must be a power of two", piece.value));
  }
  s.piece_bytes = static_cast<std::uint32_t>(piece.value);
  section.refuse_unknown();
}

void read_site(Section section, Scenario& s) {
  section.number("peers", s.peers, 1, kPeersMax);
  section.rate("wan", s.wan, kRateMin, kLinkRateMax);
  section.rate("lan", s.lan, kRateMin, kLinkRateMax);
  section.number("never_pullers", s.never_pullers, 0, kPeersMax);
  section.number("connections", s.swarm.connections_max, 1, kPeersMax);
  s.swarm.connections_out =
      std::max(1U, std::min(s.swarm.connections_out, s.swarm.connections_max / 2));
  section.duration_range("latency", s.swarm.latency_min, s.swarm.latency_max, kLatencyMax);
  section.duration("jitter", s.swarm.message_jitter, kZero, kLatencyMax);
  section.share("loss", s.swarm.message_loss_ppm, kWhole);
  section.share("reorder", s.swarm.message_reorder_ppm, kWhole);
  section.refuse_unknown();
}

void read_origin(Section section, Scenario& s) {
  section.duration("rtt", s.origin.rtt, kZero, kDelayMax);
  section.rate("connection_rate", s.origin.connection_rate, kRateMin, kLinkRateMax);
  section.rate("machine_rate", s.origin.machine_rate, kRateMin, kLinkRateMax);
  section.flag("slow_start", s.origin.slow_start);
  section.refuse_unknown();
}

void read_join(Section section, Scenario& s) {
  section.duration("within", s.join.within, kZero, kDelayMax);
  section.duration("every", s.join.every, core::Duration{1}, kDelayMax);
  section.share("late", s.join.late_ppm, kWhole);
  section.duration("late_within", s.join.late_within, kZero, kDelayMax);
  if (section.has("every")) {
    for (const char* other : {"within", "late", "late_within"}) {
      if (section.has(other)) {
        section.complain(other, "this contradicts join.every: machines join at random or in turn");
      }
    }
  } else if (section.has("late_within") && !section.has("late")) {
    section.complain("late_within", "join.late is missing: how many are late?");
  }
  section.refuse_unknown();
}

// Ranges and reasons are those of engine/core/policy.h.
void read_policy(Section section, core::Policy& p) {
  using namespace std::chrono_literals;
  constexpr core::Duration kDay = 24h;
  section.number("origin_requests_max", p.origin_requests_max, 1, 64);
  section.size("range_bytes_max", p.range_bytes_max, core::ByteCount{core::kPieceBytesMin},
               core::ByteCount{64 * core::kMiB});
  section.duration("range_duration_max", p.range_duration_max, 100ms, 60s);
  section.number("range_guide", p.range_guide, 1, 16);
  section.number("pullers", p.pullers, 1, 16);
  section.duration("pullers_in_flight", p.pullers_in_flight, 100ms, 60s);
  section.duration("lease_settle", p.lease_settle, 1ms, 1s);
  section.duration("lease_settle_max", p.lease_settle_max, 1ms, 1s);
  section.duration("lease_prefetch", p.lease_prefetch, kZero, 10s);
  section.duration("lease_promise", p.lease_promise, 500ms, 600s);
  section.number("lease_slips_max", p.lease_slips_max, 0, 100);
  section.number("lease_strikes_max", p.lease_strikes_max, 1, 100);
  section.duration("lease_mute", p.lease_mute, 1s, kDay);
  section.number("hedge_permille", p.hedge_permille, 0, 1000);
  section.number("hedge_pieces_min", p.hedge_pieces_min, 0, 100);
  section.duration("lease_patience", p.lease_patience, 200ms, 600s);
  section.duration("lease_patience_active", p.lease_patience_active, 200ms, 600s);
  section.duration("peer_credit", p.peer_credit, kZero, 10s);
  section.duration("http_delay", p.http_delay, kZero, kDay);
  section.rate("min_rate", p.min_rate, core::ByteRate{0}, kLinkRateMax);
  section.number("peer_rate_percent_min", p.peer_rate_percent_min, 1, 100);
  section.rate("peer_rate_probe", p.peer_rate_probe, core::ByteRate{0},
               core::ByteRate{100'000'000});
  section.duration("peer_hold", p.peer_hold, kZero, 10s);
  section.duration("peer_grace", p.peer_grace, kZero, 1h);
  section.duration("retry_delay_min", p.retry_delay_min, 10ms, 1h);
  section.duration("retry_delay_max", p.retry_delay_max, 10ms, 1h);
  section.number("origin_failures_max", p.origin_failures_max, 1, 1000);
  section.number("bad_pieces_max", p.bad_pieces_max, 1, 10);
  section.number("bad_shares_max", p.bad_shares_max, 1, 10);
  section.duration("no_progress_timeout", p.no_progress_timeout, 1s, 14 * kDay);
  section.refuse_unknown();
}

constexpr std::array<std::pair<std::string_view, FaultKind>, 7> kFaultKinds{
    {{"kill", FaultKind::kill},
     {"leave", FaultKind::leave},
     {"wan_down", FaultKind::wan_down},
     {"wan_up", FaultKind::wan_up},
     {"partition", FaultKind::partition},
     {"heal", FaultKind::heal},
     {"origin_429", FaultKind::origin_429}}};

void read_who(Section& section, Fault& fault, const Scenario& s) {
  const Value* who = section.find("who");
  if (who == nullptr) return;
  if (who->kind == Kind::text && who->text == "any") return;
  if (who->kind == Kind::text && who->text == "pullers") {
    fault.who = FaultWho::pullers;
    return;
  }
  if (who->kind != Kind::list || who->list.empty()) {
    return section.complain(*who, "who", R"(this must be "any", "pullers" or a list as in [0, 3])");
  }
  fault.who = FaultWho::listed;
  for (const Value& item : who->list) {
    std::uint32_t host = 0;
    section.integer(item, "who", host, 0, s.peers - 1);
    fault.listed.push_back(host);
  }
}

void read_fault(Section section, Scenario& s) {
  Fault fault;
  for (const char* key : {"at", "kind"}) {
    if (!section.has(key)) section.complain(key, "this is missing");
  }
  section.duration("at", fault.at, kZero, 24 * kDelayMax);
  section.choice("kind", fault.kind, kFaultKinds);
  section.number("peers", fault.peers, 1, s.peers);
  read_who(section, fault, s);
  section.duration("for", fault.lasts, core::Duration{1}, 24 * kDelayMax);
  section.duration("retry_after", fault.retry_after, kZero, 24 * kDelayMax);
  section.refuse_unknown();

  const bool machines = fault.kind == FaultKind::kill || fault.kind == FaultKind::leave;
  const bool some = machines || fault.kind == FaultKind::partition;
  const bool lasting = fault.kind == FaultKind::wan_down || fault.kind == FaultKind::partition ||
                       fault.kind == FaultKind::origin_429;
  if (machines && !section.has("peers") && fault.who != FaultWho::listed) {
    section.complain("kind", "how many? peers = NUMBER or who = [LIST] is missing");
  }
  if (!some) {
    for (const char* key : {"peers", "who"}) {
      if (section.has(key)) section.complain(key, "a fault of this kind hits no single machine");
    }
  }
  if (section.has("peers") && fault.who == FaultWho::listed) {
    section.complain("peers", "the list in `who` says how many there are");
  }
  if (!lasting && section.has("for")) section.complain("for", "this kind of fault does not last");
  if (fault.kind != FaultKind::origin_429 && section.has("retry_after")) {
    section.complain("retry_after", "only origin_429 says when to come again");
  }
  if (fault.kind == FaultKind::origin_429 && !section.has("for")) {
    section.complain("kind", "origin_429 needs `for`: no other fault ends it");
  }
  s.faults.push_back(std::move(fault));
}

constexpr std::array<std::pair<std::string_view, AdversaryKind>, 4> kAdversaryKinds{
    {{"have_liar", AdversaryKind::have_liar},
     {"hog", AdversaryKind::hog},
     {"fake_progress", AdversaryKind::fake_progress},
     {"slow", AdversaryKind::slow}}};

void read_adversary(Section section, Scenario& s) {
  Adversary adversary;
  if (!section.has("kind")) section.complain("kind", "this is missing");
  section.choice("kind", adversary.kind, kAdversaryKinds);
  section.number("count", adversary.count, 1, kPeersMax);
  section.flag("lowest_rank", adversary.lowest_rank);
  if (section.has("lowest_rank") && adversary.kind == AdversaryKind::slow) {
    section.complain("lowest_rank", "slow machines are honest: they do not choose their key");
  }
  section.refuse_unknown();
  s.adversaries.push_back(adversary);
}

// [[name]] tables.
template <class Read>
void read_each(Section& root, const std::string& name, std::size_t most, Errors& errors,
               Read read) {
  const Value* list = root.find(name);
  if (list == nullptr) return;
  if (list->kind != Kind::list) {
    return root.complain(*list, name, fmt::format("write it as [[{}]]", name));
  }
  if (list->list.size() > most) {
    return root.complain(*list, name, fmt::format("there are more than {}", most));
  }
  for (const Value& item : list->list) read(Section(errors, item, name));
}

Scenario read_scenario(const Value& document, Errors& errors) {
  Scenario s;
  Section root(errors, document, "");
  root.text("title", s.title);
  root.number("seed", s.seed, 0, std::numeric_limits<std::int64_t>::max());
  const auto table = [&](const std::string& name, auto read) {
    if (const Value* value = root.find(name)) read(Section(errors, *value, name));
  };
  if (const Value* file = root.find("file")) {
    read_file(Section(errors, *file, "file"), s, errors);
  } else {
    errors.add("file.size is missing: how large is the file?");
  }
  table("site", [&](Section section) { read_site(std::move(section), s); });
  table("origin", [&](Section section) { read_origin(std::move(section), s); });
  table("join", [&](Section section) { read_join(std::move(section), s); });
  table("policy", [&](Section section) { read_policy(std::move(section), s.policy); });
  read_each(root, "fault", kFaultsMax, errors,
            [&](Section section) { read_fault(std::move(section), s); });
  table("churn", [&](Section section) {
    section.share("rate", s.churn_ppm, 10 * kWhole);
    section.refuse_unknown();
  });
  read_each(root, "adversary", kAdversariesMax, errors,
            [&](Section section) { read_adversary(std::move(section), s); });
  root.refuse_unknown();
  return s;
}

Result<Value> parse_override(const std::string& text) {
  const std::string name = fmt::format("--set {}", printable(text));
  const std::size_t equals = text.find('=');
  if (equals == text.npos || text.find('\n') != text.npos) {
    return fail(ErrorCode::invalid_argument, name + ": write table.key=VALUE");
  }
  if (auto value = parse_toml(name, text)) return value;
  return parse_toml(name,
                    fmt::format("{} = '{}'", text.substr(0, equals), text.substr(equals + 1)));
}

}  // namespace

Result<Scenario> parse_scenario(std::string_view name, std::string_view text,
                                std::span<const std::string> overrides) {
  const std::string shown = printable(name);
  auto document = parse_toml(shown, text);
  if (!document) return tl::unexpected(document.error());
  for (const std::string& each : overrides) {
    const auto value = parse_override(each);
    if (!value) return tl::unexpected(value.error());
    merge(*document, *value);
  }
  Errors errors(shown);
  Scenario scenario = read_scenario(*document, errors);
  if (!errors.text().empty()) return fail(ErrorCode::invalid_argument, errors.text());
  if (const auto valid = validate(scenario); !valid) {
    return fail(ErrorCode::invalid_argument, fmt::format("{}: {}", shown, valid.error().message));
  }
  return scenario;
}

Result<Scenario> load_scenario(const std::string& path, std::span<const std::string> overrides) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorCode::not_found, path + ": this file cannot be read");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (file.bad()) return fail(ErrorCode::not_found, path + ": this file cannot be read");
  return parse_scenario(path, text, overrides);
}

}  // namespace lanward::simulator
