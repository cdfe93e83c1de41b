#include "engine/core/lease_message.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>

#include "engine/core/overloaded.h"

namespace lanward::core {
namespace {

enum class Kind : std::uint8_t {
  hello = 1,
  claim = 2,
  unclaim = 3,
  progress = 4,
  split_request = 5,
  roster = 6,
};

class Writer {
 public:
  explicit Writer(Kind kind) : bytes_{kLeaseWireVersion, static_cast<std::uint8_t>(kind)} {}

  template <class Unsigned>
  Writer& put(Unsigned value) {
    for (std::size_t i = 0; i < sizeof(Unsigned); ++i) {
      bytes_.push_back(static_cast<std::uint8_t>(std::uint64_t{value} >> (8 * i)));
    }
    return *this;
  }
  Writer& put(PieceSpan pieces) { return put(pieces.begin.value).put(pieces.size()); }
  Writer& put(const Endpoint& endpoint) {
    bytes_.insert(bytes_.end(), endpoint.address.begin(), endpoint.address.end());
    return put(endpoint.port);
  }
  [[nodiscard]] std::vector<std::uint8_t> take() { return std::move(bytes_); }

 private:
  std::vector<std::uint8_t> bytes_;
};

// Reads fields in order; after the first one that is missing or wrong everything reads as zero.
class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  template <class Unsigned>
  Unsigned get(const char* field) {
    if (!need(sizeof(Unsigned), field)) return 0;
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(Unsigned); ++i) {
      value |= std::uint64_t{bytes_[at_ + i]} << (8 * i);
    }
    at_ += sizeof(Unsigned);
    return static_cast<Unsigned>(value);
  }
  PieceSpan get_pieces() {
    const auto begin = get<std::uint32_t>("first piece");
    const auto count = get<std::uint32_t>("number of pieces");
    if (!error_.empty()) return {};
    if (count == 0 || count > std::numeric_limits<std::uint32_t>::max() - begin) {
      at_ -= sizeof count;
      wrong("number of pieces");
      return {};
    }
    return {PieceIndex{begin}, PieceIndex{begin} + count};
  }
  bool get_flag(const char* field) { return get_below(2, field) == 1; }
  std::uint8_t get_below(std::uint8_t limit, const char* field) {
    const auto value = get<std::uint8_t>(field);
    if (value < limit) return value;
    --at_;
    wrong(field);
    return 0;
  }
  Endpoint get_endpoint() {
    Endpoint endpoint;
    for (std::uint8_t& byte : endpoint.address) byte = get<std::uint8_t>("address");
    endpoint.port = get<std::uint16_t>("port");
    return endpoint;
  }
  [[nodiscard]] Result<LeaseMessage> finish(LeaseMessage message) {
    if (error_.empty() && at_ != bytes_.size()) wrong("end of message");
    if (!error_.empty()) return fail(ErrorCode::invalid_argument, error_);
    return message;
  }
  [[nodiscard]] bool ok() const { return error_.empty(); }

 private:
  bool need(std::size_t count, const char* field) {
    if (!error_.empty()) return false;
    if (bytes_.size() - at_ >= count) return true;
    wrong(field);
    return false;
  }
  void wrong(const char* field) {
    if (!error_.empty()) return;
    error_ = "lease message of " + std::to_string(bytes_.size()) + " bytes: wrong " + field +
             " at byte " + std::to_string(at_);
  }

  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
  std::string error_;
};

constexpr std::uint8_t kClaimModes = 4;

LeaseMessage read_claim(Reader& in) {
  Claim claim;
  claim.run = in.get<std::uint32_t>("run");
  claim.pieces = in.get_pieces();
  claim.mode = static_cast<ClaimMode>(in.get_below(kClaimModes, "mode"));
  claim.eta_ms = in.get<std::uint32_t>("expected time");
  return claim;
}

LeaseMessage read_roster(Reader& in) {
  Roster roster;
  const auto count = in.get_below(kRosterEntriesMax + 1, "number of entries");
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    Roster::Entry entry;
    entry.key = PeerKey{in.get<std::uint64_t>("key")};
    entry.endpoint = in.get_endpoint();
    entry.beat = in.get<std::uint32_t>("beat");
    entry.rate_kib = in.get<std::uint32_t>("rate");
    entry.pullers = in.get<std::uint16_t>("number of pullers");
    roster.entries.push_back(entry);
  }
  return roster;
}

}  // namespace

std::vector<std::uint8_t> encode(const LeaseMessage& message) {
  return std::visit(
      Overloaded{
          [](const Hello& m) {
            return Writer(Kind::hello).put(m.key.value).put(std::uint8_t{m.willing}).take();
          },
          [](const Claim& m) {
            return Writer(Kind::claim)
                .put(m.run)
                .put(m.pieces)
                .put(static_cast<std::uint8_t>(m.mode))
                .put(m.eta_ms)
                .take();
          },
          [](const Unclaim& m) { return Writer(Kind::unclaim).put(m.run).put(m.pieces).take(); },
          [](const ClaimProgress& m) {
            return Writer(Kind::progress).put(m.run).put(m.bytes).put(m.eta_ms).take();
          },
          [](const SplitRequest& m) { return Writer(Kind::split_request).put(m.run).take(); },
          [](const Roster& m) {
            assert(m.entries.size() <= kRosterEntriesMax);
            Writer out(Kind::roster);
            out.put(static_cast<std::uint8_t>(m.entries.size()));
            for (const Roster::Entry& e : m.entries) {
              out.put(e.key.value).put(e.endpoint).put(e.beat).put(e.rate_kib).put(e.pullers);
            }
            return out.take();
          },
      },
      message);
}

Result<LeaseMessage> decode(std::span<const std::uint8_t> bytes) {
  Reader in(bytes);
  const auto version = in.get<std::uint8_t>("version");
  if (in.ok() && version != kLeaseWireVersion) {
    return fail(ErrorCode::unsupported, "lease message of version " + std::to_string(version) +
                                            ", not " + std::to_string(kLeaseWireVersion));
  }
  const auto kind = in.get<std::uint8_t>("kind");
  if (!in.ok()) return in.finish({});
  switch (Kind{kind}) {
    case Kind::hello: {
      const PeerKey key{in.get<std::uint64_t>("key")};
      return in.finish(Hello{key, in.get_flag("willing")});
    }
    case Kind::claim:
      return in.finish(read_claim(in));
    case Kind::unclaim: {
      const auto run = in.get<std::uint32_t>("run");
      return in.finish(Unclaim{run, in.get_pieces()});
    }
    case Kind::progress: {
      ClaimProgress progress;
      progress.run = in.get<std::uint32_t>("run");
      progress.bytes = in.get<std::uint64_t>("bytes");
      progress.eta_ms = in.get<std::uint32_t>("expected time");
      return in.finish(progress);
    }
    case Kind::split_request:
      return in.finish(SplitRequest{in.get<std::uint32_t>("run")});
    case Kind::roster:
      return in.finish(read_roster(in));
  }
  return fail(ErrorCode::unsupported, "lease message of unknown kind " + std::to_string(kind));
}

}  // namespace lanward::core
