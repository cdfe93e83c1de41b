#include "engine/core/dns_sd.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/core/beacon.h"
#include "engine/core/prng.h"

namespace lanward::core {
namespace {

std::vector<std::uint8_t> some_bytes(std::size_t count) {
  Prng random(Seed{count});
  std::vector<std::uint8_t> bytes(count);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.next());
  return bytes;
}

TEST(DnsSd, ADatagramOfAnyLengthComesBack) {
  for (std::size_t count = 1; count <= kBeaconBytesMax; ++count) {
    const auto datagram = some_bytes(count);
    const auto strings = to_dns_sd(datagram);
    ASSERT_TRUE(std::ranges::all_of(strings, [](const auto& text) { return text.size() <= 255; }));
    ASSERT_EQ(from_dns_sd(strings), datagram) << count;
  }
}

TEST(DnsSd, TheOrderAndWhatOthersSayDoNotMatter) {
  const auto datagram = some_bytes(kBeaconBytesMax);
  auto strings = to_dns_sd(datagram);
  std::ranges::reverse(strings);
  strings.insert(strings.begin() + 1, {"", "b", "b0", "version=1", "bx=1", "a0=x"});
  EXPECT_EQ(from_dns_sd(strings), datagram);
}

TEST(DnsSd, APartThatIsMissingOrThereTwiceSpoilsAll) {
  const auto strings = to_dns_sd(some_bytes(3 * kDnsSdPart));
  for (std::size_t i = 0; i + 1 < strings.size(); ++i) {
    auto fewer = strings, more = strings;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    more.push_back(strings[i]);
    EXPECT_EQ(from_dns_sd(fewer), std::nullopt);
    EXPECT_EQ(from_dns_sd(more), std::nullopt);
  }
  EXPECT_EQ(from_dns_sd({}), std::nullopt);
  EXPECT_EQ(from_dns_sd(std::vector<std::string>{"b0="}), std::nullopt);
  EXPECT_EQ(from_dns_sd(std::vector<std::string>{"b9=x"}), std::nullopt);
  std::vector<std::string> long_ones;
  for (char digit = '0'; digit < '5'; ++digit) {
    long_ones.push_back(std::string{'b', digit, '='} + std::string(250, 'x'));
  }
  EXPECT_EQ(from_dns_sd(long_ones), std::nullopt);
}

}  // namespace
}  // namespace lanward::core
