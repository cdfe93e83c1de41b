// A record as bytes.
#include <functional>
#include <span>

#include "tests/store/journal_fixture.h"

namespace lanward::test {
namespace {

using ports::JobRecord;

Result<JobRecord> decode(const std::string& bytes) {
  return store::decode({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

void expect_same_file(const ports::FileRecord& a, const ports::FileRecord& b) {
  EXPECT_EQ(a.request.source, b.request.source);
  EXPECT_EQ(a.request.destination, b.request.destination);
  EXPECT_EQ(a.request.id, b.request.id);
  EXPECT_EQ(a.request.ranges, b.request.ranges);
  EXPECT_EQ(a.request.manifest, b.request.manifest);
  EXPECT_EQ(a.request.mirrors, b.request.mirrors);
  EXPECT_EQ(a.request.peers, b.request.peers);
  EXPECT_EQ(a.request.trackers, b.request.trackers);
  EXPECT_EQ(a.request.use_origin, b.request.use_origin);
  EXPECT_EQ(a.request.use_peers, b.request.use_peers);
  EXPECT_EQ(a.request.integrity_mandatory, b.request.integrity_mandatory);
  EXPECT_EQ(a.request.share_after_complete, b.request.share_after_complete);
  EXPECT_EQ(a.content, b.content);
  EXPECT_EQ(a.request.caches, b.request.caches);
  EXPECT_EQ(a.size_bytes, b.size_bytes);
  EXPECT_EQ(a.piece_bytes, b.piece_bytes);
  EXPECT_EQ(a.transferred, b.transferred);
  EXPECT_EQ(a.completed, b.completed);
  EXPECT_EQ(a.digests, b.digests);
  EXPECT_EQ(a.demanded_size, b.demanded_size);
  EXPECT_EQ(a.found_urls, b.found_urls);
  EXPECT_EQ(a.offered_manifests, b.offered_manifests);
  EXPECT_EQ(a.manifest_elsewhere, b.manifest_elsewhere);
  EXPECT_EQ(a.metalink_url, b.metalink_url);
  EXPECT_EQ(a.digest, b.digest);
}

TEST(JobRecord, ComesBackAsItWasWritten) {
  const JobRecord a = full_record(3);
  const auto decoded = decode(store::encode(a));
  ASSERT_TRUE(decoded) << decoded.error().message;
  const JobRecord& b = *decoded;
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.state, b.state);
  EXPECT_EQ(a.purged, b.purged);
  EXPECT_EQ(a.owner, b.owner);
  EXPECT_EQ(a.owner_uid, b.owner_uid);
  EXPECT_EQ(a.properties.display_name, b.properties.display_name);
  EXPECT_EQ(a.properties.description, b.properties.description);
  EXPECT_EQ(a.properties.priority, b.properties.priority);
  EXPECT_EQ(a.properties.notify_flags, b.properties.notify_flags);
  EXPECT_EQ(a.properties.minimum_retry_delay, b.properties.minimum_retry_delay);
  EXPECT_EQ(a.properties.no_progress_timeout, b.properties.no_progress_timeout);
  EXPECT_EQ(a.properties.maximum_download_time, b.properties.maximum_download_time);
  EXPECT_EQ(a.properties.proxy, b.properties.proxy);
  EXPECT_EQ(a.properties.custom_headers, b.properties.custom_headers);
  EXPECT_EQ(a.properties.cost, b.properties.cost);
  EXPECT_EQ(a.properties.client_certificate, b.properties.client_certificate);
  EXPECT_EQ(a.properties.client_key, b.properties.client_key);
  EXPECT_EQ(a.properties.allow_https_to_http_redirects, b.properties.allow_https_to_http_redirects);
  EXPECT_EQ(a.times.created, b.times.created);
  EXPECT_EQ(a.times.modified, b.times.modified);
  EXPECT_EQ(a.times.transferred, b.times.transferred);
  EXPECT_EQ(a.order, b.order);
  EXPECT_EQ(a.first_resumed, b.first_resumed);
  EXPECT_EQ(a.error_count, b.error_count);
  ASSERT_TRUE(b.error);
  EXPECT_EQ(static_cast<const Error&>(*a.error), static_cast<const Error&>(*b.error));
  EXPECT_EQ(a.error->context, b.error->context);
  EXPECT_EQ(a.error->file, b.error->file);
  ASSERT_EQ(a.files.size(), b.files.size());
  for (std::size_t i = 0; i < a.files.size(); ++i) expect_same_file(a.files[i], b.files[i]);
}

TEST(JobRecord, KeepsWhatIsNotSetUnset) {
  JobRecord record;
  record.files.emplace_back();
  const auto decoded = decode(store::encode(record));
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_FALSE(decoded->error);
  EXPECT_FALSE(decoded->times.transferred);
  EXPECT_EQ(decoded->files[0].content, core::Digest{});
  EXPECT_TRUE(decoded->files[0].request.use_peers);
}

TEST(JobRecord, ADigestThatIsNoneIsRefused) {
  const std::vector<core::ExpectedDigest> bad = {
      {core::DigestAlgorithm::sha256, std::vector<std::uint8_t>(31, 1), "s"},
      {static_cast<core::DigestAlgorithm>(4), std::vector<std::uint8_t>(32, 1), "s"},
      {core::DigestAlgorithm::md5, std::vector<std::uint8_t>(16, 1), std::string(100'000, 's')}};
  for (const core::ExpectedDigest& digest : bad) {
    JobRecord record = full_record(1);
    record.files[1].digests = {digest};
    EXPECT_FALSE(store::check(record));
    EXPECT_FALSE(decode(store::encode(record)));
    record = full_record(1);
    record.files[1].digest = digest;
    EXPECT_FALSE(decode(store::encode(record)));
  }
}

TEST(JobRecord, EveryErrorCodeSurvives) {
  for (int i = 0; i <= static_cast<int>(kLastErrorCode); ++i) {
    JobRecord record = full_record(1);
    record.error->code = static_cast<ErrorCode>(i);
    const auto decoded = decode(store::encode(record));
    ASSERT_TRUE(decoded) << i << ": " << decoded.error().message;
    EXPECT_EQ(decoded->error->code, record.error->code);
  }
}

struct Wrong {
  const char* fault;  // a part of the message
  std::function<void(JobRecord&)> make;
};

const Wrong kWrong[] = {
    {"the state is 1", [](JobRecord& r) { r.state = JobState::connecting; }},
    {"the state is 77", [](JobRecord& r) { r.state = static_cast<JobState>(77); }},
    {"there is an error and", [](JobRecord& r) { r.state = JobState::queued; }},
    {"there is none", [](JobRecord& r) { r.error.reset(); }},
    {"it is purged", [](JobRecord& r) { r.purged = true; }},
    {"error context", [](JobRecord& r) { r.error->context = static_cast<ErrorContext>(8); }},
    {"one of a file that there is not", [](JobRecord& r) { r.error->file = FileId{2}; }},
    {"the error message is longer", [](JobRecord& r) { r.error->message.resize(100'000); }},
    {"priority", [](JobRecord& r) { r.properties.priority = static_cast<Priority>(4); }},
    {"cost policy", [](JobRecord& r) { r.properties.cost = static_cast<CostPolicy>(1); }},
    {"proxy use",
     [](JobRecord& r) { r.properties.proxy.usage = static_cast<ProxySettings::Usage>(4); }},
    {"the display name is longer", [](JobRecord& r) { r.properties.display_name.resize(257); }},
    {"a header is more than one line",
     [](JobRecord& r) { r.properties.custom_headers = {"A: 1\r\nB: 2"}; }},
    {"the client key is longer", [](JobRecord& r) { r.properties.client_key.resize(5000, 'k'); }},
    {"cache maps",
     [](JobRecord& r) {
       r.files[1].request.caches.maps = {{std::string("a\0", 2), "b"}};
     }},
    {"the headers are longer",
     [](JobRecord& r) { r.properties.custom_headers = {std::string(17'000, 'x')}; }},
    {"the minimum retry delay is -1 s",
     [](JobRecord& r) { r.properties.minimum_retry_delay = std::chrono::seconds(-1); }},
    {"the no-progress timeout is",
     [](JobRecord& r) { r.properties.no_progress_timeout = std::chrono::seconds::max(); }},
    {"the creation", [](JobRecord& r) { r.times.created = at_microseconds(-1); }},
    {"the end of the transfer",
     [](JobRecord& r) { r.times.transferred = at_microseconds(4'000'000'000'000'000); }},
    {"the order is", [](JobRecord& r) { r.order = ~std::uint64_t{0}; }},
    {"the first resume", [](JobRecord& r) { r.first_resumed = -5; }},
    {"file 1: the destination", [](JobRecord& r) { r.files[1].request.destination = "here"; }},
    {"file 0: the destination contains a zero",
     [](JobRecord& r) { r.files[0].request.destination = std::string("/a\0b", 4); }},
    {"file 0: the source is longer",
     [](JobRecord& r) { r.files[0].request.source.resize(5000, 'x'); }},
    {"a range is empty",
     [](JobRecord& r) {
       r.files[0].request.ranges = {{5, 0}};
     }},
    {"the ranges overlap",
     [](JobRecord& r) {
       r.files[0].request.ranges = {{0, 5}, {4, 1}};
     }},
    {"out of order",
     [](JobRecord& r) {
       r.files[0].request.ranges = {{9, 1}, {4, 1}};
     }},
    {"the ranges overlap",
     [](JobRecord& r) {
       r.files[0].request.ranges = {{0, ByteRange::kToEnd}, {4, 1}};
     }},
    {"a range ends nowhere",
     [](JobRecord& r) {
       r.files[0].request.ranges = {{16, ByteRange::kToEnd - 1}};
     }},
    {"more than 65536 ranges", [](JobRecord& r) { r.files[0].request.ranges.resize(65537); }},
    {"more than 4096 mirrors", [](JobRecord& r) { r.files[0].request.mirrors.resize(4097); }},
    {"more than 65536 files", [](JobRecord& r) { r.files.resize(65537); }},
    {"the piece length is 20000", [](JobRecord& r) { r.files[1].piece_bytes = 20000; }},
    {"too many pieces", [](JobRecord& r) { r.files[1].size_bytes = ~std::uint64_t{0}; }},
    {"without being transferred", [](JobRecord& r) { r.files[1].transferred = false; }},
    {"content is not known", [](JobRecord& r) { r.files[1].content = {}; }},
};

TEST(JobRecord, RefusesWhatContradictsItselfOnBothWays) {
  for (const Wrong& wrong : kWrong) {
    JobRecord record = full_record(1);
    wrong.make(record);
    const auto checked = store::check(record);
    ASSERT_FALSE(checked) << wrong.fault;
    EXPECT_EQ(checked.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(checked.error().message.find(wrong.fault), std::string::npos)
        << checked.error().message;
    const auto decoded = decode(store::encode(record));
    ASSERT_FALSE(decoded) << wrong.fault;
    EXPECT_EQ(decoded.error().code, ErrorCode::state_damaged);
    EXPECT_NE(decoded.error().message.find(wrong.fault), std::string::npos)
        << decoded.error().message;
  }
  EXPECT_TRUE(store::check(full_record(1)));
}

TEST(JobRecord, RefusesBytesThatAreNoRecord) {
  const std::string bytes = store::encode(full_record(1));
  for (const std::string& wrong :
       {std::string(), std::string("garbage"), bytes.substr(1), bytes.substr(0, bytes.size() - 1),
        std::string(store::kRecordBytesMax + 1, '\0')}) {
    const auto decoded = decode(wrong);
    ASSERT_FALSE(decoded) << wrong.size();
    EXPECT_EQ(decoded.error().code, ErrorCode::state_damaged);
    EXPECT_FALSE(decoded.error().message.empty());
  }
}

// full_record(3) as the first version wrote it: such bytes are on disks and must stay readable.
const std::string kFirstForm =
    "0a100303030303030303030303030303030310042208736f6d65626f64792880d0acf30e325f0a046e616d65"
    "120861626f757420697418032012280530063807422908021216687474703a2f2f70726f78792e746573743a"
    "383038301a0d612e746573742c622e746573744a08582d4f6e653a20314a08582d54776f3a203250e7808080"
    "083a1b088180f9c0c1c48203108280f9c0c1c48203188380f9c0c1c4820340674880e2cfaa0650095a2e0a12"
    "72616e6765735f756e737570706f727465641214746865206f726967696e20ff2073616964206e6f18052001"
    "62250a1568747470733a2f2f6f726967696e2e746573742f3012082f7372762f66ff304801500162ee010a15"
    "68747470733a2f2f6f726967696e2e746573742f3112082f7372762f66ff311a067365636f6e642202100522"
    "040805100a220d086410ffffffffffffffffff012a1d68747470733a2f2f6f726967696e2e746573742f312e"
    "746f7272656e74321568747470733a2f2f6d6972726f722e746573742f31321768747470733a2f2f6d697272"
    "6f722e746573742f6f6e653a0d31302e302e302e313a3638383142147564703a2f2f747261636b65722e7465"
    "73743a31580160016a2007070707070707070707070707070707070707070707070707070707070707077080"
    "a0e5b9c2910178808040800101880101";

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

TEST(JobRecord, ReadsWhatTheFirstVersionWrote) {
  const auto decoded = decode(from_hex(kFirstForm));
  ASSERT_TRUE(decoded) << decoded.error().message;
  JobRecord known = full_record(3);
  // What that version did not know.
  known.properties.client_certificate = {};
  known.properties.client_key = {};
  known.properties.allow_https_to_http_redirects = {};
  ports::FileRecord& file = known.files[1];
  file.request.caches = {};
  file.digests = {};
  file.demanded_size = {};
  file.found_urls = {};
  file.offered_manifests = {};
  file.manifest_elsewhere = false;
  file.metalink_url = {};
  file.digest = {};
  EXPECT_EQ(store::encode(*decoded), store::encode(known));
}

}  // namespace
}  // namespace lanward::test
