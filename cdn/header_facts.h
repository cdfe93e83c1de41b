// What the header block of an HTTP reply says, read strictly and within bounds. Pure: no curl, no
// clock, no failure class; what follows from the facts is decided in reply_rules.h.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/digest.h"
#include "engine/core/units.h"

namespace lanward::cdn {

// Real replies have 1-2 KiB of headers; servers themselves stop at 8-64 KiB.
inline constexpr std::size_t kHeaderBlockBytesMax = 64 * core::kKiB;
// Links of one reply. A mirror list has tens; more is a reply that wants to keep us busy.
inline constexpr std::size_t kLinksMax = 64;
// Ways of authentication that one reply offers: there are a dozen in all.
inline constexpr std::size_t kChallengesMax = 16;
// Of a mirror, as RFC 6249 bounds it.
inline constexpr std::uint32_t kLinkPriorityMax = 999'999;
// A server that asks for more than a day of silence is asked again after a day.
inline constexpr std::chrono::hours kRetryAfterMax{24};

struct ContentRange {
  bool satisfied = false;  // false: the form "bytes */total" of a 416
  std::uint64_t first = 0;
  std::uint64_t last = 0;  // inclusive, as on the wire
  std::optional<std::uint64_t> total;

  friend bool operator==(const ContentRange&, const ContentRange&) = default;
};

struct LinkValue {
  std::string rel;     // one relation, lower case
  std::string target;  // as sent: may be relative
  std::string type;    // lower case
  // Of a mirror (RFC 6249): "pri", lowest first; 0 when it is absent or not within 1-999999.
  std::uint32_t priority = 0;
  std::string location = {};  // "geo": two letters, lower case; empty when absent or anything else

  friend bool operator==(const LinkValue&, const LinkValue&) = default;
};

struct ReplyHeaders {
  int status = 0;  // 0: no readable status line
  // Length of the body; absent also when a Transfer-Encoding overrules it.
  std::optional<std::uint64_t> content_length;
  bool lengths_contradict = false;            // several Content-Length that differ
  std::optional<ContentRange> content_range;  // absent when missing, malformed or repeated
  std::string content_range_text;             // as sent, for messages
  std::string etag;                           // as sent; empty when absent or not an entity tag
  std::string last_modified;                  // as sent
  std::string location;                       // as sent: may be relative; the first of several
  std::string content_type;                   // lower case, without parameters
  std::string content_encoding;               // lower case; empty stands for identity
  std::optional<core::Duration> retry_after;
  std::vector<LinkValue> links;
  // Of the whole file, whatever part of it the reply carries: Repr-Digest, Digest.
  std::vector<core::ExpectedDigest> file_digests;
  // Of the body of this reply: Content-Digest, Content-MD5.
  std::vector<core::ExpectedDigest> body_digests;
  std::vector<std::string> challenges;  // schemes of WWW-Authenticate, lower case

  [[nodiscard]] bool etag_is_strong() const { return !etag.empty() && etag.front() == '"'; }
};

// `block` is a status line and the fields that follow it. `now` is the wall clock, for a
// Retry-After that names a date. Lines beyond kHeaderBlockBytesMax are not read.
[[nodiscard]] ReplyHeaders parse_reply_headers(std::string_view block,
                                               std::chrono::system_clock::time_point now);

// The parts, for tests and for comparing validators.
[[nodiscard]] std::optional<ContentRange> parse_content_range(std::string_view value);
[[nodiscard]] std::optional<std::chrono::sys_seconds> parse_http_date(std::string_view value);
// Appends the schemes of one WWW-Authenticate field, in lower case and without their parameters.
void parse_challenges(std::string_view value, std::vector<std::string>& out);
// Appends the links of one Link field. Links with another context ("anchor") are skipped.
void parse_links(std::string_view value, std::vector<LinkValue>& out);

}  // namespace lanward::cdn
