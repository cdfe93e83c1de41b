// What is known of an origin before it is asked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/core/units.h"

namespace lanward::core {

// What its bytes cost, cheapest first. A class is asked only while no cheaper one can serve.
enum class PriceClass : std::uint8_t {
  cache_host,  // a cache in the site: no byte crosses the WAN for nothing
  normal,
  costly,  // metered: a last resort
};

struct OriginSpec {
  std::string url;
  PriceClass price = PriceClass::normal;
  // Whom to ask first while rates are unknown, lowest first; ties in the order of the list. Origins
  // of one class are used side by side, by the rate that they turn out to have.
  std::uint32_t priority = 0;
  // Of a cache host only: its own name and that of the server whose file it passes on, as HostBans
  // knows them.
  std::string cache_host = {};
  std::string original_host = {};
  // Of a cache host that earlier transfers have banned: not asked before then.
  std::optional<Instant> banned_until = {};
  // It was found out that it serves no ranges.
  bool no_ranges = false;

  friend bool operator==(const OriginSpec&, const OriginSpec&) = default;
};

// "URL" or "URL;pri=N", N from 1 to 999999 as in RFC 6249: what else follows a URL is a part of it.
[[nodiscard]] OriginSpec parse_origin(std::string_view text);
// What parse_origin() reads as this URL and priority.
[[nodiscard]] std::string origin_text(const OriginSpec& origin);

}  // namespace lanward::core
