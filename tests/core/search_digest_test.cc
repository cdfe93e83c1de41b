// What a file rests on when there is no manifest: digests, mirrors and Metalinks found by the
// search.
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "engine/core/manifest_search.h"
#include "engine/core/metainfo.h"
#include "engine/store/sha256.h"

namespace lanward::core {
namespace {

using namespace std::chrono_literals;

const std::string kUrl = "https://cdn.example/file.iso";

ExpectedDigest digest_of(DigestAlgorithm algorithm, std::uint8_t fill, std::string source) {
  return {algorithm, std::vector<std::uint8_t>(size_of(algorithm), fill), std::move(source)};
}
const ExpectedDigest kCallers = digest_of(DigestAlgorithm::sha256, 1, "the caller");
const ExpectedDigest kOrigins = digest_of(DigestAlgorithm::sha512, 2, "Repr-Digest");

Metalink::File described_file() {
  return {.name = "file.iso",
          .size = ByteCount{1000},
          .digests = {digest_of(DigestAlgorithm::sha256, 3, "Metalink")},
          .urls = {{"http://one.example/file.iso", 1, ""}, {"http://two.example/file.iso", 2, ""}},
          .manifests = {}};
}

// "meta" is a Metalink of one file, "torrent" one that offers a manifest, "two" has two files.
Result<Metalink> fake_metalink(std::span<const std::uint8_t> bytes, const std::string& source) {
  const std::string text(bytes.begin(), bytes.end());
  if (text == "damaged") return fail(ErrorCode::manifest_invalid, source + ": damaged");
  Metalink metalink{{described_file()}};
  if (text == "torrent") metalink.files[0].manifests = {"https://cdn.example/m.torrent"};
  if (text == "larger") metalink.files[0].size = ByteCount{1001};
  if (text == "two") {
    metalink.files[0].name = "other.iso";
    metalink.files.push_back(metalink.files[0]);
    metalink.files[1].name = "another.iso";
  }
  return metalink;
}

OriginFacts facts_of(const std::string& url) {
  OriginFacts facts;
  facts.url = url;
  facts.size_known = true;
  facts.size = ByteCount{1000};
  facts.ranges = true;
  facts.strong_etag = "\"v1\"";
  return facts;
}

class Search {
 public:
  explicit Search(ManifestSearchOptions options)
      : search_(
            [&] {
              options.metalink = &fake_metalink;
              return std::move(options);
            }(),
            &store::sha256, Seed{1}, now_) {
    drain();
  }
  void probed(OriginFacts facts) { tell(OriginProbed{id_, std::move(facts)}); }
  void document(const std::string& text) {
    tell(DocumentFetched{id_, {text.begin(), text.end()}, asked.substr(asked.find(' ') + 1)});
  }
  void refused() { tell(RequestFailed{id_, {FailureClass::permanent, 0s, "it was refused"}}); }
  // No manifest beside the file.
  const SearchResult& without_manifest(OriginFacts facts) {
    probed(std::move(facts));
    while (!search_.outcome()) refused();
    return search_.outcome()->value();
  }
  [[nodiscard]] const SearchResult& result() const { return search_.outcome()->value(); }
  [[nodiscard]] const std::optional<Result<SearchResult>>& outcome() const {
    return search_.outcome();
  }

  std::string asked;

 private:
  void tell(const Event& event) {
    asked.clear();
    search_.handle(event, now_);
    drain();
  }
  void drain() {
    while (const auto command = search_.poll_command(now_)) {
      if (const auto* probe = std::get_if<ProbeUrl>(&*command)) {
        asked = "probe " + probe->url;
        id_ = probe->request;
      } else if (const auto* fetch = std::get_if<FetchDocument>(&*command)) {
        asked = "fetch " + fetch->url;
        id_ = fetch->request;
      }
    }
  }
  Instant now_{1s};
  RequestId id_;
  ManifestSearch search_;
};

TEST(SearchDigest, TheOriginsDigestCountsAndTheNoteSaysSo) {
  Search s({.urls = {kUrl}});
  OriginFacts facts = facts_of(kUrl);
  facts.digests = {kOrigins};
  const SearchResult& result = s.without_manifest(facts);
  EXPECT_EQ(result.digest, kOrigins);
  EXPECT_NE(result.note.find("sha-512"), std::string::npos) << result.note;
  EXPECT_EQ(result.note.find("nothing but the transport"), std::string::npos) << result.note;
}

TEST(SearchDigest, TheCallersGoesBeforeAStrongerOneOfTheOrigin) {
  Search s({.urls = {kUrl}, .digests = {kCallers}});
  OriginFacts facts = facts_of(kUrl);
  facts.digests = {kOrigins};
  EXPECT_EQ(s.without_manifest(facts).digest, kCallers);
}

TEST(SearchDigest, AWeakOneIsNamedAsSuch) {
  Search s({.urls = {kUrl}});
  OriginFacts facts = facts_of(kUrl);
  facts.digests = {digest_of(DigestAlgorithm::md5, 1, "Content-MD5")};
  const SearchResult& result = s.without_manifest(facts);
  EXPECT_TRUE(result.digest);
  EXPECT_NE(result.note.find("accidents only"), std::string::npos) << result.note;
}

TEST(SearchDigest, AnOriginThatContradictsItselfIsNotBelieved) {
  Search s({.urls = {kUrl}});
  OriginFacts facts = facts_of(kUrl);
  facts.digests = {digest_of(DigestAlgorithm::sha256, 1, "Repr-Digest"),
                   digest_of(DigestAlgorithm::sha256, 2, "Digest")};
  const SearchResult& result = s.without_manifest(facts);
  EXPECT_FALSE(result.digest);
  EXPECT_NE(result.note.find("Repr-Digest and Digest"), std::string::npos) << result.note;
}

TEST(SearchDigest, WithRangesItCannotBeCheckedAndTheNoteSaysSo) {
  Search s({.urls = {kUrl, "https://mirror/f"}, .digests = {kCallers}, .whole_file = false});
  const SearchResult& result = s.without_manifest(facts_of(kUrl));
  EXPECT_FALSE(result.digest);
  EXPECT_NE(result.note.find("ranges"), std::string::npos) << result.note;
  EXPECT_EQ(result.urls, std::vector<std::string>{kUrl}) << "nothing vouches for a mirror";
}

TEST(SearchDigest, BesidesAManifestOnlyTheCallersIsChecked) {
  Content content{.id = {}, .layout = PieceLayout(ByteCount{1000}, 256 * 1024), .piece_hashes = {}};
  content.id.fill(7);
  content.piece_hashes = {content.id};
  const auto bytes =
      write_metainfo({.content = content, .name = "f", .web_seeds = {}, .trackers = {}});
  for (const bool demanded : {true, false}) {
    Search s({.urls = {kUrl},
              .digests = demanded ? std::vector{kCallers} : std::vector<ExpectedDigest>{}});
    OriginFacts facts = facts_of(kUrl);
    facts.digests = {kOrigins};
    s.probed(facts);
    s.document(std::string(bytes.begin(), bytes.end()));
    ASSERT_TRUE(s.result().manifest);
    EXPECT_EQ(s.result().digest.has_value(), demanded);
  }
}

TEST(SearchDigest, WhatIsDemandedStronglyIsTheSameContentWhereverItComesFrom) {
  Search one({.urls = {kUrl}, .digests = {kCallers}});
  Search other({.urls = {"http://mirror/f"}, .digests = {kCallers}});
  OriginFacts facts = facts_of("http://mirror/f");
  facts.strong_etag = "\"other\"";
  EXPECT_EQ(one.without_manifest(facts_of(kUrl)).content.id,
            other.without_manifest(facts).content.id);
}

TEST(SearchDigest, OtherwiseContentsOfDifferentDigestsAreKeptApart) {
  std::vector<Digest> ids;
  for (const std::uint8_t fill : {1, 2}) {
    Search s({.urls = {kUrl}});
    OriginFacts facts = facts_of(kUrl);
    facts.digests = {digest_of(DigestAlgorithm::sha256, fill, "Repr-Digest")};
    ids.push_back(s.without_manifest(facts).content.id);
  }
  Search without({.urls = {kUrl}});
  ids.push_back(without.without_manifest(facts_of(kUrl)).content.id);
  EXPECT_NE(ids[0], ids[1]);
  EXPECT_NE(ids[0], ids[2]);
}

// ---- mirrors -----------------------------------------------------------------------------------

OriginFacts facts_with_mirrors() {
  OriginFacts facts = facts_of(kUrl);
  facts.links = {{"duplicate", "http://late.example/f", ""},
                 {"duplicate", "http://first.example/f", "", 1, "gb"},
                 {"duplicate", "ftp://no.example/f", ""},
                 {"duplicate", kUrl, "", 2}};
  return facts;
}

TEST(SearchMirrors, AreUsedWhenAStrongDigestVouchesForThem) {
  Search s({.urls = {kUrl}});
  OriginFacts facts = facts_with_mirrors();
  facts.digests = {kOrigins};
  const SearchResult& result = s.without_manifest(facts);
  ASSERT_EQ(result.found.size(), 2U) << "not the ftp one, and not the file's own URL";
  EXPECT_EQ(result.found[1].url, "http://first.example/f");
  EXPECT_LT(result.found[1].priority, result.found[0].priority);
}

TEST(SearchMirrors, AreNotUsedWithoutOneOrWithAWeakOne) {
  Search without({.urls = {kUrl}});
  EXPECT_TRUE(without.without_manifest(facts_with_mirrors()).found.empty());
  Search weak({.urls = {kUrl, "https://mirror/f"}});
  OriginFacts facts = facts_with_mirrors();
  facts.digests = {digest_of(DigestAlgorithm::sha1, 1, "Digest")};
  const SearchResult& result = weak.without_manifest(facts);
  EXPECT_TRUE(result.found.empty());
  EXPECT_EQ(result.urls, std::vector<std::string>{kUrl});
}

TEST(SearchMirrors, ThoseOfTheCallerAreUsedWithAStrongDigest) {
  const std::vector<std::string> urls = {kUrl, "http://mirror/f"};
  Search s({.urls = urls, .digests = {kCallers}});
  EXPECT_EQ(s.without_manifest(facts_of(kUrl)).urls, urls);
}

// ---- Metalink ----------------------------------------------------------------------------------

OriginFacts facts_with_metalink(const std::string& target = "https://cdn.example/f.meta4") {
  OriginFacts facts = facts_of(kUrl);
  facts.links = {{"describedby", target, "application/metalink4+xml"}};
  return facts;
}

TEST(SearchMetalink, IsLookedAtAfterTheSidecar) {
  Search s({.urls = {kUrl}});
  s.probed(facts_with_metalink());
  EXPECT_EQ(s.asked, "fetch " + kUrl + ".torrent");
  s.refused();
  EXPECT_EQ(s.asked, "fetch https://cdn.example/f.meta4");
  s.document("meta");
  ASSERT_TRUE(s.outcome() && *s.outcome());
  EXPECT_EQ(s.result().digest, described_file().digests[0]);
  ASSERT_EQ(s.result().found.size(), 2U);
  EXPECT_EQ(s.result().found[0].priority, 1U);
}

TEST(SearchMetalink, TheManifestThatItOffersIsTaken) {
  Search s({.urls = {kUrl}});
  s.probed(facts_with_metalink());
  s.refused();
  s.document("torrent");
  EXPECT_EQ(s.asked, "fetch https://cdn.example/m.torrent");
  s.refused();
  ASSERT_TRUE(s.outcome() && *s.outcome());
  EXPECT_TRUE(s.result().digest) << "without it there is still the digest";
}

TEST(SearchMetalink, OneOverHttpDoesNotDescribeAFileOverHttps) {
  Search s({.urls = {kUrl}});
  s.probed(facts_with_metalink("http://cdn.example/f.meta4"));
  s.refused();
  ASSERT_TRUE(s.outcome() && *s.outcome());
  EXPECT_FALSE(s.result().digest);
}

TEST(SearchMetalink, OneThatIsDamagedOrOfAnotherSizeIsAnError) {
  for (const char* text : {"damaged", "larger"}) {
    Search s({.urls = {kUrl}});
    s.probed(facts_with_metalink());
    s.refused();
    s.document(text);
    ASSERT_TRUE(s.outcome() && !*s.outcome()) << text;
    EXPECT_EQ(s.outcome()->error().code, ErrorCode::manifest_invalid);
  }
}

TEST(SearchMetalink, OneOfOtherFilesIsNone) {
  Search s({.urls = {kUrl}});
  s.probed(facts_with_metalink());
  s.refused();
  s.document("two");
  ASSERT_TRUE(s.outcome() && *s.outcome());
  EXPECT_FALSE(s.result().digest);
  EXPECT_NE(s.result().note.find("does not describe"), std::string::npos) << s.result().note;
}

TEST(SearchMetalink, AsTheSourceItIsTheOutcome) {
  Search s({.urls = {}, .metalink_url = "http://cdn.example/f.meta4"});
  EXPECT_EQ(s.asked, "fetch http://cdn.example/f.meta4");
  s.document("two");
  ASSERT_TRUE(s.outcome() && *s.outcome());
  ASSERT_TRUE(s.result().metalink);
  EXPECT_EQ(s.result().metalink->files.size(), 2U);
}

TEST(SearchMetalink, ASourceOfItsTypeIsOneWhateverItsName) {
  Search s({.urls = {"http://cdn.example/get?id=1"}});
  OriginFacts facts = facts_of("http://cdn.example/get?id=1");
  facts.content_type = "application/metalink4+xml";
  s.probed(facts);
  EXPECT_EQ(s.asked, "fetch http://cdn.example/get?id=1");
  s.document("meta");
  EXPECT_TRUE(s.result().metalink);
}

TEST(SearchMetalink, ASourceThatIsMissingIsAnError) {
  Search s({.urls = {}, .metalink_url = "http://cdn.example/f.meta4"});
  s.refused();
  ASSERT_TRUE(s.outcome() && !*s.outcome());
  EXPECT_EQ(s.outcome()->error().code, ErrorCode::manifest_missing);
}

TEST(SearchMetalink, AFileThatItDescribesIsProbedAtEachOfItsUrls) {
  Search s({.urls = {"http://one/f", "http://two/f"},
            .offered_manifests = {"http://one/f.torrent"},
            .digests = {kCallers},
            .size = ByteCount{1000}});
  s.refused();
  EXPECT_EQ(s.asked, "probe http://two/f");
  s.probed(facts_of("http://two/f"));
  EXPECT_EQ(s.asked, "fetch http://one/f.torrent");
  while (!s.outcome()) s.refused();
  EXPECT_EQ(s.result().urls, std::vector<std::string>{"http://two/f"});
}

TEST(SearchMetalink, AnOriginWithAnotherSizeIsAnError) {
  Search s({.urls = {kUrl}, .digests = {kCallers}, .size = ByteCount{999}});
  s.probed(facts_of(kUrl));
  while (!s.outcome()) s.refused();
  ASSERT_FALSE(*s.outcome());
  EXPECT_EQ(s.outcome()->error().code, ErrorCode::content_changed);
}

}  // namespace
}  // namespace lanward::core
