#include "tests/cdn/fault_table.h"

#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <utility>
#include <vector>

namespace lanward::test {
namespace {

using Then = FaultReply::Then;
using Framing = FaultReply::Framing;
using Kind = FaultEnd::Kind;
using namespace std::chrono_literals;

// Spoils the ranges of one honest server.
template <class Spoil>
std::function<void(FaultWorld&)> ranges(Spoil spoil) {
  return [spoil](FaultWorld& w) {
    w.spoil(w.plain(), [spoil](FaultReply& r, int nth, const FaultRequest&) { spoil(r, nth); });
  };
}
// Every reply about the file, the first one included.
template <class Spoil>
std::function<void(FaultWorld&)> everything(Spoil spoil) {
  return [spoil](FaultWorld& w) {
    w.spoil_all(w.plain(), [spoil](FaultReply& r, int nth, const FaultRequest&) { spoil(r, nth); });
  };
}
template <class Spoil>
std::function<void(FaultWorld&)> http2_ranges(Spoil spoil) {
  return [spoil](FaultWorld& w) {
    w.spoil(w.http2(), [spoil](FaultReply& r, int nth, const FaultRequest&) { spoil(r, nth); });
  };
}

FaultEnd file(std::uint64_t requests) { return {Kind::file, {}, requests}; }
FaultEnd wrong(std::uint64_t requests) { return {Kind::wrong_bytes, {}, requests}; }
FaultEnd error(std::string text, std::uint64_t requests) {
  return {Kind::error, std::move(text), requests};
}

std::string content_range(std::size_t first, std::size_t size, std::size_t total) {
  return "bytes " + std::to_string(first) + "-" + std::to_string(first + size - 1) + "/" +
         std::to_string(total);
}
void set_range(FaultReply& r, std::size_t first, std::size_t size) {
  r.set_header("Content-Range", content_range(first, size, r.body->size()));
}
void refuse(FaultReply& r, int status) {
  r = FaultReply{};
  r.status = status;
  r.set_body(std::string("no"));
}
void make_whole(FaultReply& r) {
  r.status = 200;
  r.drop_header("Content-Range");
  r.body_begin = 0;
  r.body_size = r.body->size();
}
void redirect(FaultReply& r, const std::string& target) {
  refuse(r, 302);
  r.set_header("Location", target);
}
void cut_after(FaultReply& r, std::size_t bytes, Then then) {
  r.stop_after = bytes;
  r.then = then;
}
void flip_a_bit(FaultReply& r) {
  std::string bytes = *r.body;
  const std::size_t at = r.body_begin + r.body_size / 2;
  bytes[at] = static_cast<char>(bytes[at] ^ 4);
  r.body = std::make_shared<const std::string>(std::move(bytes));
}
std::string http_date(std::chrono::seconds ahead) {
  const std::time_t at = std::time(nullptr) + ahead.count();
  std::tm parts{};
  ::gmtime_r(&at, &parts);
  char text[64];
  std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return text;
}

// ---- what a reply may be -----------------------------------------------------------------------

const std::vector<FaultRow>& reply_rows() {
  static const std::vector<FaultRow> rows{
      {"AnHonestServer", "none", file(10), file(10), ranges([](FaultReply&, int) {})},
      {"TheWholeFileToARange", "200 and the whole file to every range", file(8), file(8),
       everything([](FaultReply& r, int) { make_whole(r); })},
      {"RangesThatStop", "ranges at first, then 200 and the whole file", file(12), file(12),
       ranges([](FaultReply& r, int nth) {
         if (nth > 0) make_whole(r);
       })},
      {"AnotherRange", "206 of another range, and says so", error("asked for bytes", 8),
       error("asked for bytes", 8), ranges([](FaultReply& r, int) {
         r.body_begin += r.body_begin > 0 ? -1 : 1;
         set_range(r, r.body_begin, r.body_size);
       })},
      {"AShiftedBody", "206 with the bytes of another range", error("does not match", 12),
       wrong(12), ranges([](FaultReply& r, int) { r.body_begin += r.body_begin > 0 ? -1 : 1; })},
      {"AShortRange", "206 of less than was asked for", file(24), file(24),
       ranges([](FaultReply& r, int) {
         r.body_size = std::min<std::size_t>(r.body_size, 200'000);
         set_range(r, r.body_begin, r.body_size);
       })},
      {"ALongRange", "206 of more than was asked for", error("asked for bytes", 8),
       error("asked for bytes", 8), ranges([](FaultReply& r, int) {
         if (r.body_begin + r.body_size == r.body->size()) r.body_begin -= 10;
         r.body_size += 10;
         set_range(r, r.body_begin, r.body_size);
       })},
      {"ALongBody", "a body longer than its Content-Range", error("longer than", 8),
       error("longer than", 8), ranges([](FaultReply& r, int) {
         r.framing = Framing::chunked;
         r.set_body(r.body->substr(r.body_begin, r.body_size) + "and more..");
       })},
      {"SeveralParts", "multipart/byteranges to one range", error("several parts", 8),
       error("several parts", 8), ranges([](FaultReply& r, int) {
         r.set_header("Content-Type", "multipart/byteranges; boundary=x");
         r.drop_header("Content-Range");
       })},
      {"AContentCoding", "gzip although identity was asked for", error("coded (gzip)", 8),
       error("coded (gzip)", 8),
       ranges([](FaultReply& r, int) { r.set_header("Content-Encoding", "gzip"); })},
      {"AnotherTag", "the ETag changes in the middle of the file", file(10),
       error("another version", 10), ranges([](FaultReply& r, int nth) {
         if (nth > 0) r.set_header("ETag", "\"v2\"");
       })},
  };
  return rows;
}

// ---- what its body may be ----------------------------------------------------------------------

const std::vector<FaultRow>& body_rows() {
  static const std::vector<FaultRow> rows{
      {"AWeakTag", "weak ETag, and nothing else to tell versions by", file(10), file(10),
       everything([](FaultReply& r, int) { r.set_header("ETag", "W/\"v1\""); })},
      {"AnotherTotal", "another total in Content-Range", error("bytes now", 8),
       error("bytes now", 8), ranges([](FaultReply& r, int) {
         r.set_header("Content-Range",
                      content_range(r.body_begin, r.body_size, r.body->size() + 1));
       })},
      {"NoLengthAndChunks", "no length: chunks", file(10), file(10),
       everything([](FaultReply& r, int) { r.framing = Framing::chunked; })},
      {"NoLengthUntilClose", "no length: until the connection closes", file(10), file(10),
       everything([](FaultReply& r, int) { r.framing = Framing::until_close; })},
      {"NoLengthAndNoRanges", "neither length nor ranges", file(8), file(8),
       everything([](FaultReply& r, int) {
         make_whole(r);
         r.framing = Framing::chunked;
       })},
      {"NoLengthAndCut", "neither length nor ranges, and the chunks break off every time",
       error("begins anew each time", 12), error("transfer closed", 12),
       everything([](FaultReply& r, int) {
         make_whole(r);
         r.framing = Framing::chunked;
         cut_after(r, 700'000, Then::close);
       })},
      {"OneFlippedBit", "one flipped bit, once", file(14), wrong(14),
       ranges([](FaultReply& r, int nth) {
         if (nth == 0) flip_a_bit(r);
       })},
      {"FlippedBits", "a flipped bit in every reply", error("does not match", 14), wrong(14),
       ranges([](FaultReply& r, int) { flip_a_bit(r); })},
      {"InterimReplies", "100 and 103 before every reply", file(10), file(10),
       everything([](FaultReply& r, int) {
         r.interim =
             "HTTP/1.1 100 Continue\r\n\r\n"
             "HTTP/1.1 103 Early Hints\r\nContent-Range: bytes 0-0/1\r\n\r\n";
       })},
  };
  return rows;
}

// ---- connections that break, and servers that are busy -----------------------------------------

const std::vector<FaultRow>& trouble_rows() {
  static const std::vector<FaultRow> rows{
      {"AReset", "reset after 100,000 bytes, three times", file(20), file(20),
       ranges([](FaultReply& r, int nth) {
         if (nth < 3) cut_after(r, 100'000, Then::reset);
       })},
      {"ResetsForGood", "reset before the first byte, for good", error("reset", 24),
       error("reset", 24), ranges([](FaultReply& r, int) {
         r.raw = "HTTP/1.1 ";
         r.then = Then::reset;
       })},
      {"AStall", "a reply that stalls after its headers, once", file(14), file(14),
       ranges([](FaultReply& r, int nth) {
         if (nth == 0) cut_after(r, 0, Then::hold);
       })},
      {"StallsForGood", "nothing but stalls", error("too slow", 24), error("too slow", 24),
       ranges([](FaultReply& r, int) { cut_after(r, 0, Then::hold); })},
      {"SlowLoris", "headers byte by byte", error("too slow", 4), error("too slow", 4),
       everything([](FaultReply& r, int) { r.drip = 20ms; })},
      {"TooManyRequests", "429, Retry-After in seconds, twice", file(14), file(14),
       ranges([](FaultReply& r, int nth) {
         if (nth >= 2) return;
         refuse(r, 429);
         r.set_header("Retry-After", "1");
       })},
      {"TooManyRequestsUntil", "429, Retry-After as a date, once", file(14), file(14),
       ranges([](FaultReply& r, int nth) {
         if (nth >= 1) return;
         refuse(r, 429);
         r.set_header("Retry-After", http_date(2s));
       })},
      {"ABurstOf503", "503, three times", file(16), file(16),
       everything([](FaultReply& r, int nth) {
         if (nth > 0 && nth < 4) refuse(r, 503);
       })},
      {"Always503", "503 for good", error("503", 4), error("503", 4),
       everything([](FaultReply& r, int) { refuse(r, 503); })},
      {"A403InTheMiddle", "403 from the second range on", error("403", 10), error("403", 10),
       ranges([](FaultReply& r, int nth) {
         if (nth > 0) refuse(r, 403);
       })},
      {"ABrokenWholeFile", "no ranges, and the file breaks off in the middle, once", file(8),
       file(8), everything([](FaultReply& r, int nth) {
         make_whole(r);
         if (nth == 2) cut_after(r, 700'000, Then::close);
       })},
      {"WholeFilesThatBreak", "no ranges, and the file breaks off in the middle every time",
       error("begins anew each time", 12), error("begins anew each time", 12),
       everything([](FaultReply& r, int) {
         make_whole(r);
         cut_after(r, 700'000, Then::close);
       })},
      {"NoSuchHost", "a name that nobody knows", error("the name was not resolved", 0),
       error("the name was not resolved", 0),
       [](FaultWorld& w) { w.source = "http://nobody.invalid/file"; }},
      {"NobodyListens", "a port that nobody listens on", error("no connection", 0),
       error("no connection", 0),
       [](FaultWorld& w) {
         const std::string url = w.plain().url("/file");
         w.servers().clear();
         w.source = url;
       }},
  };
  return rows;
}

// ---- redirects and credentials -----------------------------------------------------------------

void expect_no_secrets(const FaultOrigin& origin) {
  for (const FaultRequest& request : origin.requests()) {
    EXPECT_EQ(request.header("authorization"), "") << request.target;
    EXPECT_EQ(request.header("x-token"), "") << request.target;
  }
}

const std::vector<FaultRow>& redirect_rows() {
  static const std::vector<FaultRow> rows{
      {"ARedirectLoop", "a redirect loop", error("more than 10 redirects", 12),
       error("more than 10 redirects", 12),
       everything([](FaultReply& r, int) { redirect(r, "/file"); })},
      {"AnotherOrigin", "a redirect to another server: it is sent neither credentials nor headers",
       file(24), file(24),
       [](FaultWorld& w) {
         FaultOrigin& first = w.plain();
         const std::string target = w.plain().url("/file");
         w.spoil_all(first,
                     [target](FaultReply& r, int, const FaultRequest&) { redirect(r, target); });
         w.source = "http://user:secret@" + first.url("/file").substr(7);
         w.headers = {"X-Token: t"};
       },
       [](FaultWorld& w, const FaultOutcome&) {
         EXPECT_EQ(w.servers()[0]->requests().at(0).header("x-token"), "t");
         EXPECT_NE(w.servers()[0]->requests().at(0).header("authorization"), "");
         expect_no_secrets(*w.servers()[1]);
       }},
      {"HttpsToHttp", "a redirect from https to http", error("https to http", 2),
       error("https to http", 2),
       [](FaultWorld& w) {
         FaultOrigin& first = w.tls();
         const std::string target = w.plain().url("/file");
         w.spoil_all(first,
                     [target](FaultReply& r, int, const FaultRequest&) { redirect(r, target); });
       },
       [](FaultWorld& w, const FaultOutcome&) {
         EXPECT_EQ(w.servers()[1]->counts().requests, 0U);
       }},
      {"HttpsToHttpAllowed", "the same where the caller allows it", file(24), file(24),
       [](FaultWorld& w) {
         FaultOrigin& first = w.tls();
         const std::string target = w.plain().url("/file");
         w.spoil_all(first,
                     [target](FaultReply& r, int, const FaultRequest&) { redirect(r, target); });
         w.headers = {"X-Token: t"};
         w.allow_https_to_http = true;
       },
       [](FaultWorld& w, const FaultOutcome&) { expect_no_secrets(*w.servers()[1]); }},
      {"WrongCredentials", "401: the credentials of the URL are wrong", error("401", 2),
       error("401", 2),
       [](FaultWorld& w) {
         FaultOrigin& origin = w.plain();
         w.spoil_all(origin, [](FaultReply& r, int, const FaultRequest&) {
           refuse(r, 401);
           r.set_header("WWW-Authenticate", "Basic realm=\"x\"");
         });
         w.source = "http://user:wrong@" + origin.url("/file").substr(7);
       }},
  };
  return rows;
}

// ---- TLS and HTTP/2 ----------------------------------------------------------------------------

const std::vector<FaultRow>& tls_rows() {
  static const std::vector<FaultRow> rows{
      {"AnHonestHttpsServer", "none, over https", file(10), file(10),
       [](FaultWorld& w) { w.tls(); }},
      {"SelfSigned", "a certificate that nobody has signed", error("certificate", 0),
       error("certificate", 0), [](FaultWorld& w) { w.tls({.self_signed = true}); }},
      {"Expired", "a certificate that has expired", error("expired", 0), error("expired", 0),
       [](FaultWorld& w) { w.tls({.expired = true}); }},
      {"AnotherHost", "the certificate of another host", error("certificate subject name", 0),
       error("certificate subject name", 0),
       [](FaultWorld& w) { w.tls({.names = {"DNS:other.invalid"}}); }},
      {"ACutTlsStream", "TLS that ends without close_notify in the middle, twice", file(16),
       file(16),
       [](FaultWorld& w) {
         FaultOrigin& origin =
             w.add({.tls = FaultTls{.identity = w.issue(), .close_notify = false}});
         w.spoil(origin, [](FaultReply& r, int nth, const FaultRequest&) {
           if (nth >= 2) return;
           r.framing = Framing::until_close;
           cut_after(r, r.body_size / 2, Then::close);
         });
       }},
      {"NoClientCertificate", "the server asks for a certificate and we have none",
       error("certificate required", 0), error("certificate required", 0),
       [](FaultWorld& w) {
         w.add({.tls = FaultTls{.identity = w.issue(), .client_authority = w.authority()}});
       }},
      {"AClientCertificate", "the same with one", file(10), file(10),
       [](FaultWorld& w) {
         w.add({.tls = FaultTls{.identity = w.issue(), .client_authority = w.authority()}});
         w.client_identity = w.issue({.names = {"DNS:client"}});
       }},
      {"AnHonestHttp2Server", "none, over HTTP/2", file(10), file(10),
       http2_ranges([](FaultReply&, int) {}),
       [](FaultWorld& w, const FaultOutcome&) {
         EXPECT_EQ(w.servers()[0]->counts().http2_connections,
                   w.servers()[0]->counts().connections);
       }},
      {"AGoaway", "HTTP/2: GOAWAY in the middle of a reply, twice", file(24), file(24),
       http2_ranges([](FaultReply& r, int nth) {
         if (nth < 2) cut_after(r, r.body_size / 2, Then::refuse);
       })},
      {"GoawaysAfterReplies", "HTTP/2: GOAWAY after a reply, three times", file(24), file(24),
       http2_ranges([](FaultReply& r, int nth) {
         if (nth < 3) r.then = Then::goaway;
       })},
      {"AStreamReset", "HTTP/2: the stream is reset after 100,000 bytes, three times", file(20),
       file(20), http2_ranges([](FaultReply& r, int nth) {
         if (nth < 3) cut_after(r, 100'000, Then::reset_stream);
       })},
      {"StreamResetsForGood", "HTTP/2: every stream is reset", error("HTTP/2", 24),
       error("HTTP/2", 24),
       http2_ranges([](FaultReply& r, int) { cut_after(r, 0, Then::reset_stream); })},
      {"AStalledStream", "HTTP/2: a stream that stalls after its headers, once", file(14), file(14),
       http2_ranges([](FaultReply& r, int nth) {
         if (nth == 0) cut_after(r, 0, Then::hold);
       })},
  };
  return rows;
}

[[nodiscard]] std::string cell(const FaultEnd& end) {
  switch (end.kind) {
    case Kind::file:
      return "file";
    case Kind::error:
      return "error: " + end.error;
    case Kind::wrong_bytes:
      return "wrong bytes";
    case Kind::not_applicable:
      break;
  }
  return "-";
}

}  // namespace

std::span<const FaultRow> fault_rows() {
  static const std::vector<FaultRow> all = [] {
    std::vector<FaultRow> rows;
    for (const auto* part :
         {&reply_rows(), &body_rows(), &trouble_rows(), &redirect_rows(), &tls_rows()}) {
      rows.insert(rows.end(), part->begin(), part->end());
    }
    return rows;
  }();
  return all;
}

std::string table_line(const FaultRow& row) {
  return "| " + row.name + " | " + cell(row.with) + " | " + cell(row.without) + " | " +
         std::to_string(std::max(row.with.requests_max, row.without.requests_max)) + " |";
}

}  // namespace lanward::test
