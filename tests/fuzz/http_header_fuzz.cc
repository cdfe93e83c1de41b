// Any header block must be read without a fault, and judged without a contradiction.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "cdn/digest_fields.h"
#include "cdn/header_facts.h"
#include "cdn/reply_rules.h"
#include "cdn/url.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void judge(const lanward::cdn::ReplyHeaders& reply, bool whole_file) {
  const lanward::ports::RangeRequest request{"http://h/f",
                                             {whole_file ? 0U : 100U, whole_file ? 1000U : 200U},
                                             lanward::core::ByteCount{1000},
                                             "\"v1\"",
                                             whole_file};
  const auto verdict = lanward::cdn::judge_range_reply(request, reply);
  if (verdict) {
    require(verdict->begin == request.span.begin);
    require(!verdict->empty() && verdict->end <= request.span.end);
  } else {
    require(!verdict.error().message.empty());
    require(verdict.error().retry_after <= lanward::cdn::kRetryAfterMax);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view block{reinterpret_cast<const char*>(data), size};
  const auto reply = lanward::cdn::parse_reply_headers(block, {});
  require(reply.links.size() <= lanward::cdn::kLinksMax);
  require(reply.challenges.size() <= lanward::cdn::kChallengesMax);
  for (const auto* digests : {&reply.file_digests, &reply.body_digests}) {
    require(digests->size() <= lanward::cdn::kDigestsMax);
    for (const auto& digest : *digests) {
      require(digest.bytes.size() == lanward::core::size_of(digest.algorithm));
      const auto again =
          lanward::core::parse_digest(lanward::core::to_string(digest), digest.source);
      require(again && *again == digest);
    }
  }
  if (reply.retry_after) require(*reply.retry_after <= lanward::cdn::kRetryAfterMax);
  judge(reply, false);
  judge(reply, true);
  static_cast<void>(lanward::cdn::judge_probe_reply(reply));
  static_cast<void>(lanward::cdn::judge_document_reply(reply, lanward::core::ByteCount{1000}));
  for (const auto& link : reply.links) {
    static_cast<void>(lanward::cdn::resolve_url("http://h/dir/f", link.target));
  }
  return 0;
}
