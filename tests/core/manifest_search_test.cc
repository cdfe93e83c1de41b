// How a URL becomes a content: what is asked, in which order, and what each answer leads to.
#include "engine/core/manifest_search.h"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/core/metainfo.h"
#include "engine/store/sha256.h"

namespace lanward::core {
namespace {

using namespace std::chrono_literals;

const std::string kUrl = "http://cdn.example/a/file.iso?sig=1";

std::vector<std::uint8_t> small_manifest() {
  Content content{.id = {}, .layout = PieceLayout(ByteCount{1000}, 256 * 1024), .piece_hashes = {}};
  content.id.fill(7);
  content.piece_hashes = {content.id};
  return write_metainfo({.content = content, .name = "file.iso", .web_seeds = {}, .trackers = {}});
}

class Search {
 public:
  explicit Search(std::vector<std::string> urls, std::string manifest_url = {})
      : search_({.urls = std::move(urls), .manifest_url = std::move(manifest_url), .policy = {}},
                &store::sha256, Seed{1}, now_) {
    drain();
  }
  void probed(OriginFacts facts) { fact(OriginProbed{id_, std::move(facts)}); }
  void document(std::vector<std::uint8_t> bytes) {
    fact(DocumentFetched{id_, std::move(bytes), asked_.substr(asked_.find(' ') + 1)});
  }
  void failed(FailureClass kind) { fact(RequestFailed{id_, {kind, 0s, "it failed"}}); }
  void wait(Duration d) {
    now_ += d;
    fact(Tick{});
  }
  [[nodiscard]] const std::optional<Result<SearchResult>>& outcome() const {
    return search_.outcome();
  }

  std::string asked_;  // the latest command, e.g. "probe URL"

 private:
  void fact(const Event& event) {
    asked_.clear();
    search_.handle(event, now_);
    drain();
  }
  void drain() {
    while (const auto command = search_.poll_command(now_)) {
      if (const auto* probe = std::get_if<ProbeUrl>(&*command)) {
        asked_ = "probe " + probe->url;
        id_ = probe->request;
      } else if (const auto* fetch = std::get_if<FetchDocument>(&*command)) {
        asked_ = "fetch " + fetch->url;
        id_ = fetch->request;
      }
    }
  }
  Instant now_{1s};
  RequestId id_;
  ManifestSearch search_;
};

OriginFacts plain_facts() {
  OriginFacts facts;
  facts.url = kUrl;
  facts.size_known = true;
  facts.size = ByteCount{1000};
  facts.ranges = true;
  facts.strong_etag = "\"v1\"";
  return facts;
}

OriginFacts linking_facts(const std::string& target) {
  OriginFacts facts = plain_facts();
  facts.links = {{"duplicate", "http://mirror/x", ""},
                 {"describedby", "http://cdn.example/page.html", "text/html"},
                 {"describedby", target, "application/x-bittorrent"}};
  return facts;
}

TEST(ManifestSearch, FollowsTheLinkThatTheOriginNames) {
  Search s({kUrl});
  EXPECT_EQ(s.asked_, "probe " + kUrl);
  s.probed(linking_facts("http://cdn.example/m.torrent"));
  EXPECT_EQ(s.asked_, "fetch http://cdn.example/m.torrent");
  s.document(small_manifest());
  ASSERT_TRUE(s.outcome() && *s.outcome());
  EXPECT_TRUE((*s.outcome())->manifest);
  EXPECT_EQ((*s.outcome())->content.layout.size(), ByteCount{1000});
  EXPECT_EQ((*s.outcome())->probed_url, kUrl);
  EXPECT_TRUE((*s.outcome())->note.empty());
}

TEST(ManifestSearch, LooksBesideTheFileNext) {
  Search s({kUrl});
  s.probed(plain_facts());
  EXPECT_EQ(s.asked_, "fetch http://cdn.example/a/file.iso.torrent?sig=1");
  s.document(small_manifest());
  EXPECT_TRUE((*s.outcome())->manifest);
}

TEST(ManifestSearch, ADeadLinkFallsBackToTheSidecar) {
  Search s({kUrl});
  s.probed(linking_facts("http://gone/m.torrent"));
  s.failed(FailureClass::permanent);
  EXPECT_EQ(s.asked_, "fetch http://cdn.example/a/file.iso.torrent?sig=1");
}

TEST(ManifestSearch, SaysSoWhenThereIsNone) {
  Search s({kUrl});
  s.probed(plain_facts());
  s.failed(FailureClass::permanent);
  ASSERT_TRUE(s.outcome() && *s.outcome());
  EXPECT_FALSE((*s.outcome())->manifest);
  EXPECT_NE((*s.outcome())->note.find("no manifest found"), std::string::npos);
  EXPECT_FALSE((*s.outcome())->content.verifiable());
}

TEST(ManifestSearch, WithoutAManifestAnotherVersionIsAnotherContent) {
  std::vector<Digest> ids;
  for (const char* etag : {"\"v1\"", "\"v2\""}) {
    Search s({kUrl});
    OriginFacts facts = plain_facts();
    facts.strong_etag = etag;
    s.probed(facts);
    s.failed(FailureClass::permanent);
    ids.push_back((*s.outcome())->content.id);
  }
  EXPECT_NE(ids[0], ids[1]);
}

TEST(ManifestSearch, MirrorsAreUsedOnlyWithAManifestThatVouchesForThem) {
  const std::vector<std::string> urls = {kUrl, "http://mirror/file.iso"};
  Search with(urls);
  with.probed(plain_facts());
  with.document(small_manifest());
  EXPECT_EQ((*with.outcome())->urls, urls);
  Search without(urls);
  without.probed(plain_facts());
  without.failed(FailureClass::permanent);
  EXPECT_EQ((*without.outcome())->urls, std::vector<std::string>{kUrl});
}

TEST(ManifestSearch, AWebPageInPlaceOfTheSidecarIsNoManifest) {
  Search s({kUrl});
  s.probed(plain_facts());
  s.document({'<', 'h', 't', 'm', 'l', '>'});
  ASSERT_TRUE(s.outcome() && *s.outcome());
  EXPECT_FALSE((*s.outcome())->manifest);
}

TEST(ManifestSearch, ADamagedManifestIsAnErrorNotADowngrade) {
  Search s({kUrl});
  s.probed(plain_facts());
  auto bytes = small_manifest();
  bytes.resize(bytes.size() / 2);
  s.document(bytes);
  ASSERT_TRUE(s.outcome());
  ASSERT_FALSE(*s.outcome());
  EXPECT_EQ(s.outcome()->error().code, ErrorCode::manifest_invalid);
  EXPECT_NE(s.outcome()->error().message.find("file.iso.torrent"), std::string::npos);
}

TEST(ManifestSearch, AnUnreachableSidecarIsRetriedThenAnErrorNotADowngrade) {
  Search s({kUrl});
  s.probed(plain_facts());
  int tries = 0;
  while (!s.outcome() && tries < 100) {
    ++tries;
    s.failed(FailureClass::transient);
    s.wait(1h);
  }
  EXPECT_EQ(tries, static_cast<int>(Policy{}.origin_failures_max));
  EXPECT_EQ(s.outcome()->error().code, ErrorCode::network);
}

TEST(ManifestSearch, ADemandedManifestIsTheOnlyOneTried) {
  Search s({kUrl}, "http://site/m.torrent");
  EXPECT_EQ(s.asked_, "fetch http://site/m.torrent");
  s.failed(FailureClass::permanent);
  ASSERT_TRUE(s.outcome());
  EXPECT_EQ(s.outcome()->error().code, ErrorCode::manifest_missing);
}

TEST(ManifestSearch, ARefusingOriginLeadsToTheNextMirror) {
  Search s({kUrl, "http://mirror/file.iso"});
  s.failed(FailureClass::permanent);
  EXPECT_EQ(s.asked_, "probe http://mirror/file.iso");
  s.failed(FailureClass::permanent);
  EXPECT_EQ(s.outcome()->error().code, ErrorCode::origin_rejected);
}

TEST(ManifestSearch, ALengthThatNobodyTellsIsSaidToBeUnknown) {
  for (const bool known : {true, false}) {
    Search s({kUrl});
    OriginFacts facts = plain_facts();
    facts.size_known = known;
    s.probed(facts);
    s.failed(FailureClass::permanent);
    ASSERT_TRUE(s.outcome() && *s.outcome());
    EXPECT_EQ((*s.outcome())->length_unknown, !known);
  }
}

TEST(SidecarUrl, GoesAfterThePath) {
  EXPECT_EQ(sidecar_url("http://h/f"), "http://h/f.torrent");
  EXPECT_EQ(sidecar_url("http://h/f?x=1#y"), "http://h/f.torrent?x=1#y");
  EXPECT_EQ(sidecar_url("http://h/f#y?z"), "http://h/f.torrent#y?z");
}

}  // namespace
}  // namespace lanward::core
