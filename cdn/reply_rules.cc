#include "cdn/reply_rules.h"

#include <algorithm>

namespace lanward::cdn {
namespace {

using core::Failure;
using core::FailureClass;

[[nodiscard]] tl::unexpected<Failure> refuse(FailureClass kind, std::string message) {
  return tl::unexpected(Failure{kind, core::Duration{0}, std::move(message)});
}

[[nodiscard]] std::string str(std::uint64_t n) { return std::to_string(n); }

[[nodiscard]] bool is_success(int status) { return status >= 200 && status < 300; }

// What a 401 asks for, so that a person knows what is missing.
[[nodiscard]] std::string wanted_credentials(const ReplyHeaders& reply) {
  if (reply.status != 401 || reply.challenges.empty()) return {};
  std::string text;
  for (const std::string& scheme : reply.challenges) {
    text += (text.empty() ? ", it asks for credentials (" : ", ") + printable(scheme);
  }
  return text + ")";
}

// Replies that are no success. 416 needs more than its status and is judged before.
[[nodiscard]] tl::unexpected<Failure> refuse_status(const ReplyHeaders& reply) {
  const int status = reply.status;
  if (status == 0) return refuse(FailureClass::protocol, "the reply has no status line");
  const std::string text = "the server answered " + std::to_string(status);
  if (status == 429 || (status == 503 && reply.retry_after)) {
    const core::Duration wait =
        std::max<core::Duration>(reply.retry_after.value_or(core::Duration{0}), kRateLimitMin);
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(wait).count();
    return tl::unexpected(Failure{FailureClass::rate_limited, wait,
                                  text + ", try again in " + std::to_string(seconds) + " s"});
  }
  if (status == 408 || status == 425 || status >= 500) {
    return refuse(FailureClass::transient, text);
  }
  if (status >= 300 && status < 400) {
    return refuse(FailureClass::permanent, text + ", a redirect that leads nowhere");
  }
  if (status < 300) return refuse(FailureClass::protocol, text + ", which this request cannot use");
  if (status == 407) {
    return refuse(FailureClass::permanent, "the proxy answered 407, it wants other credentials");
  }
  return refuse(FailureClass::permanent, text + wanted_credentials(reply));
}

// Defects that spoil any successful reply.
[[nodiscard]] std::optional<Failure> find_defect(const ReplyHeaders& reply) {
  std::string text;
  if (!reply.content_encoding.empty()) {
    text = "the body is coded (" + printable(reply.content_encoding) +
           ") although identity was asked for";
  } else if (reply.lengths_contradict) {
    text = "the reply has several Content-Length that differ";
  } else {
    return std::nullopt;
  }
  return Failure{FailureClass::protocol, core::Duration{0}, std::move(text)};
}

[[nodiscard]] std::string_view opaque_tag(std::string_view tag) {
  if (tag.starts_with("W/")) tag.remove_prefix(2);
  return tag;
}

// Only a validator of the same kind in the reply can contradict ours.
[[nodiscard]] bool validator_differs(const std::string& validator, const ReplyHeaders& reply) {
  if (validator.empty()) return false;
  if (validator.front() == '"' || validator.starts_with("W/")) {
    return !reply.etag.empty() && opaque_tag(reply.etag) != opaque_tag(validator);
  }
  if (reply.last_modified.empty() || reply.last_modified == validator) return false;
  const auto theirs = parse_http_date(reply.last_modified);
  return !theirs || theirs != parse_http_date(validator);
}

[[nodiscard]] tl::unexpected<Failure> refuse_changed_size(std::uint64_t theirs,
                                                          core::ByteCount ours) {
  return refuse(FailureClass::changed, "the file has " + str(theirs) + " bytes now, " +
                                           str(ours.value) + " were expected");
}

[[nodiscard]] tl::unexpected<Failure> refuse_changed_validator(const std::string& validator,
                                                               const ReplyHeaders& reply) {
  const bool tag = !reply.etag.empty() && validator.find('"') != std::string::npos;
  return refuse(FailureClass::changed, "the file is another version: " +
                                           printable(tag ? reply.etag : reply.last_modified) +
                                           " instead of " + printable(validator));
}

// A 200: the whole file. For a whole-file request it is what was asked for.
[[nodiscard]] Judged<core::ByteSpan> judge_whole_reply(const ports::RangeRequest& request,
                                                       const ReplyHeaders& reply) {
  if (request.length_unknown) {
    return core::ByteSpan{0, reply.content_length.value_or(~std::uint64_t{0})};
  }
  if (reply.content_length && *reply.content_length != request.total.value) {
    return refuse_changed_size(*reply.content_length, request.total);
  }
  if (validator_differs(request.validator, reply)) {
    return refuse_changed_validator(request.validator, reply);
  }
  if (request.whole_file) return request.span;
  return refuse(FailureClass::no_ranges, "the server answered a range request with the whole file");
}

[[nodiscard]] Judged<core::ByteSpan> judge_partial_reply(const ports::RangeRequest& request,
                                                         const ReplyHeaders& reply) {
  const std::string got = "Content-Range '" + printable(reply.content_range_text) + "'";
  if (request.whole_file) {
    return refuse(FailureClass::protocol, "the server sent a part, " + got + ", of a whole file");
  }
  if (reply.content_type == "multipart/byteranges") {
    return refuse(FailureClass::protocol, "the server sent several parts for one range");
  }
  const auto& range = reply.content_range;
  if (!range || !range->satisfied) {
    return refuse(FailureClass::protocol, "a part without a readable Content-Range; got " + got);
  }
  if (range->total && *range->total != request.total.value) {
    return refuse_changed_size(*range->total, request.total);
  }
  if (validator_differs(request.validator, reply)) {
    return refuse_changed_validator(request.validator, reply);
  }
  const core::ByteSpan& span = request.span;
  if (range->first != span.begin || range->last >= span.end) {
    return refuse(FailureClass::protocol,
                  "asked for bytes " + str(span.begin) + "-" + str(span.end - 1) + ", got " + got);
  }
  const core::ByteSpan sent{range->first, range->last + 1};
  if (reply.content_length && *reply.content_length != sent.size().value) {
    return refuse(FailureClass::protocol,
                  got + " contradicts the Content-Length " + str(*reply.content_length));
  }
  return sent;
}

}  // namespace

Judged<core::ByteSpan> judge_range_reply(const ports::RangeRequest& request,
                                         const ReplyHeaders& reply) {
  if (reply.status == 416) {
    const auto& range = reply.content_range;
    if (range && !range->satisfied && *range->total != request.total.value) {
      return refuse_changed_size(*range->total, request.total);
    }
  }
  if (!is_success(reply.status)) return refuse_status(reply);
  if (auto defect = find_defect(reply)) return tl::unexpected(std::move(*defect));
  if (reply.status == 200) return judge_whole_reply(request, reply);
  if (reply.status == 206) return judge_partial_reply(request, reply);
  return refuse_status(reply);
}

Judged<core::OriginFacts> judge_probe_reply(const ReplyHeaders& reply) {
  core::OriginFacts facts;
  if (reply.etag_is_strong()) facts.strong_etag = reply.etag;
  facts.last_modified = reply.last_modified;
  facts.content_type = reply.content_type;
  const auto& range = reply.content_range;
  if (reply.status == 416 && range && !range->satisfied && range->total == 0U) {
    facts.size_known = true;  // an empty file has no first byte to send
    return facts;
  }
  if (!is_success(reply.status)) return refuse_status(reply);
  if (auto defect = find_defect(reply)) return tl::unexpected(std::move(*defect));
  facts.digests = reply.file_digests;
  if (reply.status == 200) {
    // The body is the whole file, and so are the digests of the body.
    facts.digests.insert(facts.digests.end(), reply.body_digests.begin(), reply.body_digests.end());
    facts.size_known = reply.content_length.has_value();
    facts.size = core::ByteCount{reply.content_length.value_or(0)};
    return facts;
  }
  if (reply.status != 206) return refuse_status(reply);
  if (!range || !range->satisfied || range->first != 0 || range->last != 0) {
    return refuse(FailureClass::protocol, "asked for bytes 0-0, got Content-Range '" +
                                              printable(reply.content_range_text) + "'");
  }
  facts.ranges = true;
  facts.size_known = range->total.has_value();
  facts.size = core::ByteCount{range->total.value_or(0)};
  return facts;
}

Judged<std::optional<std::uint64_t>> judge_document_reply(const ReplyHeaders& reply,
                                                          core::ByteCount limit) {
  if (!is_success(reply.status) || reply.status == 206) return refuse_status(reply);
  if (auto defect = find_defect(reply)) return tl::unexpected(std::move(*defect));
  if (reply.content_length && *reply.content_length > limit.value) {
    return refuse(FailureClass::permanent, "the document has " + str(*reply.content_length) +
                                               " bytes, at most " + str(limit.value) +
                                               " are accepted");
  }
  return reply.content_length;
}

bool usable_in_if_range(std::string_view validator) { return validator.starts_with('"'); }

std::string printable(std::string_view text) {
  static constexpr std::size_t kLengthMax = 120;  // fits a line of a log
  std::string out(text.substr(0, kLengthMax));
  for (char& c : out) {
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x20 || u > 0x7e) c = '?';
  }
  if (text.size() > kLengthMax) out += "...";
  return out;
}

}  // namespace lanward::cdn
