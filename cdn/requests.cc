#include "cdn/requests.h"

#include <algorithm>
#include <utility>

#include "cdn/url.h"

namespace lanward::cdn {

using core::Failure;
using core::FailureClass;

// libcurl never hands more than this to a write callback, so one call is one accept().
static_assert(CURL_MAX_WRITE_SIZE <= ports::kRangeAcceptBytesMax);

void ProbeTransfer::set_options(CURL* easy) { curl_easy_setopt(easy, CURLOPT_RANGE, "0-0"); }

Transfer::Verdict ProbeTransfer::judge(ReplyHeaders&& reply) {
  auto judged = judge_probe_reply(reply);
  if (!judged) {
    refuse(std::move(judged.error()));
    return Verdict::refused;
  }
  result_ = std::move(*judged);
  result_.url = effective_url();
  for (LinkValue& link : reply.links) {
    std::string target = resolve_url(result_.url, link.target);
    if (target.empty()) continue;
    result_.links.push_back({std::move(link.rel), std::move(target), std::move(link.type),
                             link.priority, std::move(link.location)});
  }
  for (core::ExpectedDigest& digest : result_.digests) {
    digest.source += " of " + printable_url(result_.url);
  }
  return Verdict::satisfied;
}

Judged<core::Event> ProbeTransfer::complete() {
  return core::OriginProbed{id(), std::move(result_)};
}

Transfer::Verdict DocumentTransfer::judge(ReplyHeaders&& reply) {
  auto length = judge_document_reply(reply, limit_);
  if (!length) {
    refuse(std::move(length.error()));
    return Verdict::refused;
  }
  // Announced is not sent: memory is taken as bytes arrive, but for a first step.
  static constexpr std::uint64_t kReserveBytesMax = core::kMiB;
  bytes_.reserve(std::min(length->value_or(0), kReserveBytesMax));
  return Verdict::wanted;
}

Transfer::Taken DocumentTransfer::take(Bytes bytes) {
  if (bytes.size() > limit_.value - bytes_.size()) {
    refuse(FailureClass::permanent, "the document is longer than the " +
                                        std::to_string(limit_.value) + " bytes that are accepted");
    return Taken::refused;
  }
  const auto* const first = reinterpret_cast<const std::uint8_t*>(bytes.data());
  bytes_.insert(bytes_.end(), first, first + bytes.size());
  return Taken::all;
}

Judged<core::Event> DocumentTransfer::complete() {
  return core::DocumentFetched{id(), std::move(bytes_), effective_url()};
}

void RangeTransfer::set_options(CURL* easy) {
  if (request_.length_unknown) return;
  const core::ByteSpan& span = request_.span;
  if (span.empty() || span.end > request_.total.value || !sink_ ||
      (request_.whole_file && (span.begin != 0 || span.end != request_.total.value))) {
    return refuse(FailureClass::permanent, "the range to fetch is not a part of the file");
  }
  if (request_.whole_file) return;
  const std::string range = std::to_string(span.begin) + "-" + std::to_string(span.end - 1);
  curl_easy_setopt(easy, CURLOPT_RANGE, range.c_str());
  if (usable_in_if_range(request_.validator)) set_header("If-Range: " + request_.validator);
}

Transfer::Verdict RangeTransfer::judge(ReplyHeaders&& reply) {
  auto judged = judge_range_reply(request_, reply);
  if (!judged) {
    refuse(std::move(judged.error()));
    return Verdict::refused;
  }
  end_ = judged->end;
  return Verdict::wanted;
}

Transfer::Taken RangeTransfer::take(Bytes bytes) {
  const Bytes promised = bytes.first(std::min<std::uint64_t>(bytes.size(), end_ - position_));
  const auto answer = promised.empty() ? ports::RangeSink::Accept::taken : sink_->accept(promised);
  if (answer == ports::RangeSink::Accept::full) return Taken::none_now;
  if (answer == ports::RangeSink::Accept::closed) {
    refuse(FailureClass::local, "the piece cache takes no more bytes of this file");
    return Taken::refused;
  }
  position_ += promised.size();
  if (promised.size() == bytes.size()) return Taken::all;
  refuse(FailureClass::protocol, "the body is longer than the " +
                                     std::to_string(end_ - request_.span.begin) +
                                     " bytes that its headers promised");
  return Taken::refused;
}

Judged<core::Event> RangeTransfer::complete() {
  // Without a length the end of the connection, or of the last chunk, is the end of the file.
  const std::uint64_t expected = request_.length_unknown ? end_ : request_.span.end;
  if (position_ == expected || expected == ~std::uint64_t{0}) return core::RangeFinished{id()};
  return tl::unexpected(Failure{FailureClass::transient, core::Duration{0},
                                "the reply was short: it ended at byte " +
                                    std::to_string(position_) + " of " + std::to_string(expected)});
}

void RangeTransfer::progress() {
  if (position_ == reported_) return;
  reported_ = position_;
  give(core::RangeProgressed{id(), position_});
}

void RangeTransfer::drop_sink(bool flush) {
  if (flush && sink_) sink_->finish();
  sink_.reset();
}

}  // namespace lanward::cdn
