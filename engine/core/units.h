// Strong types of the core: an index is not a count, a byte offset is not a rate, and time is a
// value that comes in from outside.
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace lanward::core {

// The engine's time line: nanoseconds since an epoch that only the driver knows. It has no now():
// production counts a monotonic clock, the simulator a virtual one.
struct EngineClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<EngineClock>;
  static constexpr bool is_steady = true;
};
using Duration = EngineClock::duration;
using Instant = EngineClock::time_point;

// An identifier: comparable and hashable, without arithmetic.
template <class Tag, class Rep>
struct Id {
  Rep value = 0;

  constexpr Id() = default;
  constexpr explicit Id(Rep v) : value(v) {}
  friend constexpr auto operator<=>(const Id&, const Id&) = default;
};

// Scoped to one transfer; never reused within it.
using RequestId = Id<struct RequestTag, std::uint64_t>;

// A place bytes come from. Scoped to one transfer. Origins count from 0 (in order of preference),
// peers from kFirstPeerSource, so the kind can be read from the id.
using SourceId = Id<struct SourceTag, std::uint32_t>;
inline constexpr std::uint32_t kFirstPeerSource = 1U << 16;
[[nodiscard]] constexpr bool is_peer(SourceId s) { return s.value >= kFirstPeerSource; }

// Zero-based piece number. Index + count = index; index - index = count.
struct PieceIndex {
  std::uint32_t value = 0;

  constexpr PieceIndex() = default;
  constexpr explicit PieceIndex(std::uint32_t v) : value(v) {}
  friend constexpr auto operator<=>(const PieceIndex&, const PieceIndex&) = default;
  constexpr PieceIndex& operator++() { return ++value, *this; }
  friend constexpr PieceIndex operator+(PieceIndex p, std::uint32_t n) {
    return PieceIndex{p.value + n};
  }
  friend constexpr std::uint32_t operator-(PieceIndex a, PieceIndex b) { return a.value - b.value; }
};

// A number of bytes.
struct ByteCount {
  std::uint64_t value = 0;

  constexpr ByteCount() = default;
  constexpr explicit ByteCount(std::uint64_t v) : value(v) {}
  friend constexpr auto operator<=>(const ByteCount&, const ByteCount&) = default;
  constexpr ByteCount& operator+=(ByteCount o) { return value += o.value, *this; }
  constexpr ByteCount& operator-=(ByteCount o) { return value -= o.value, *this; }
  friend constexpr ByteCount operator+(ByteCount a, ByteCount b) { return a += b; }
  friend constexpr ByteCount operator-(ByteCount a, ByteCount b) { return a -= b; }
};

// Bytes per second.
struct ByteRate {
  std::uint64_t value = 0;

  constexpr ByteRate() = default;
  constexpr explicit ByteRate(std::uint64_t v) : value(v) {}
  friend constexpr auto operator<=>(const ByteRate&, const ByteRate&) = default;
};

// Half-open range of bytes of the file.
struct ByteSpan {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  [[nodiscard]] constexpr ByteCount size() const { return ByteCount{end - begin}; }
  [[nodiscard]] constexpr bool empty() const { return begin >= end; }
  friend constexpr bool operator==(const ByteSpan&, const ByteSpan&) = default;
};

// Half-open range of pieces.
struct PieceSpan {
  PieceIndex begin;
  PieceIndex end;

  [[nodiscard]] constexpr std::uint32_t size() const { return end - begin; }
  [[nodiscard]] constexpr bool empty() const { return begin >= end; }
  [[nodiscard]] constexpr bool contains(PieceIndex p) const { return begin <= p && p < end; }
  friend constexpr bool operator==(const PieceSpan&, const PieceSpan&) = default;
};

// Seed of every random choice of one transfer.
using Seed = Id<struct SeedTag, std::uint64_t>;

inline constexpr std::uint64_t kKiB = 1024;
inline constexpr std::uint64_t kMiB = 1024 * kKiB;

}  // namespace lanward::core

template <class Tag, class Rep>
struct std::hash<lanward::core::Id<Tag, Rep>> {
  std::size_t operator()(const lanward::core::Id<Tag, Rep>& id) const noexcept {
    return std::hash<Rep>{}(id.value);
  }
};
