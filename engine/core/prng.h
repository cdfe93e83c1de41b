// The only source of chance: a small generator with the same sequence on every platform.
#pragma once

#include <cassert>
#include <cstdint>

#include "engine/core/units.h"

namespace lanward::core {

// SplitMix64's finaliser: spreads every input bit over the result. Also the hash for orderings that
// must look random and be the same everywhere.
[[nodiscard]] constexpr std::uint64_t mix64(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31U);
}

class Prng {
 public:
  constexpr explicit Prng(Seed seed) : state_(mix64(seed.value)) {}

  constexpr std::uint64_t next() { return mix64(state_++); }
  // Uniform enough in [0, n): the bias is below n / 2^64. REQUIRES: n > 0.
  constexpr std::uint64_t below(std::uint64_t n) {
    assert(n > 0);
    return next() % n;
  }

 private:
  std::uint64_t state_;
};

}  // namespace lanward::core
