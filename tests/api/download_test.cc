// The download object as its users see it: a real engine and an origin that does as it is told.
#include <lanward/download.h>

#include <array>
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/core/job_rules.h"
#include "tests/api/download_fixture.h"

namespace lanward::test {
namespace {

TEST_F(DownloadTest, FetchesAndDeliversAFile) {
  Download download = watched();
  EXPECT_EQ(download.status()->state, DownloadState::created);
  EXPECT_TRUE(engine_->jobs().empty()) << "the engine hears of it with the first start";
  ASSERT_TRUE(download.start());
  ASSERT_TRUE(watch_.wait_for(DownloadState::transferred));
  EXPECT_FALSE(exists("out"));
  const auto status = download.status();
  EXPECT_EQ(status->bytes_total, kSize);
  EXPECT_EQ(status->bytes_transferred, kSize);
  EXPECT_EQ(std::get<std::uint64_t>(*download.get(P::TotalSizeBytes)), kSize);
  ASSERT_TRUE(download.finalize());
  EXPECT_EQ(read("out"), *content_);
  ASSERT_TRUE(watch_.wait_for(DownloadState::finalized));
}

// ---- states and calls --------------------------------------------------------------------------

struct StateCase {
  DownloadState state;
  core::DownloadCall call;
};

class DownloadStates : public DownloadTest, public ::testing::WithParamInterface<StateCase> {
 protected:
  // A download in the state of the case.
  Download make() {
    const DownloadState state = GetParam().state;
    Download download = watched();
    if (state == DownloadState::created) return download;
    if (state == DownloadState::transferring || state == DownloadState::paused) hold_ranges();
    EXPECT_TRUE(download.start());
    if (state == DownloadState::paused) {
      EXPECT_TRUE(download.pause());
    } else if (state == DownloadState::aborted) {
      EXPECT_TRUE(download.abort());
    } else if (state != DownloadState::transferring) {
      EXPECT_TRUE(watch_.wait_for(DownloadState::transferred));
      if (state == DownloadState::finalized) {
        EXPECT_TRUE(download.finalize());
      }
    }
    return download;
  }
  static Result<void> call(Download& download) {
    switch (GetParam().call) {
      case core::DownloadCall::start:
        return download.start();
      case core::DownloadCall::pause:
        return download.pause();
      case core::DownloadCall::finalize:
        return download.finalize();
      case core::DownloadCall::abort:
        return download.abort();
    }
    return {};
  }
};

TEST_P(DownloadStates, DoAsTheTableSays) {
  Download download = make();
  ASSERT_EQ(download.status()->state, GetParam().state);
  const auto ruling =
      core::judge(static_cast<core::DownloadState>(GetParam().state), GetParam().call);
  const auto result = call(download);
  if (ruling.refused) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, *ruling.refused);
  } else {
    ASSERT_TRUE(result) << result.error().message;
  }
  EXPECT_STREQ(to_string(download.status()->state), to_string(ruling.next));
  origin_.release();
}

std::vector<StateCase> every_case() {
  std::vector<StateCase> cases;
  for (int state = 0; state <= 5; ++state) {
    for (int call = 0; call <= 3; ++call) {
      cases.push_back({static_cast<DownloadState>(state), static_cast<core::DownloadCall>(call)});
    }
  }
  return cases;
}
std::string name_of(const ::testing::TestParamInfo<StateCase>& row) {
  constexpr std::array kCalls = {"Start", "Pause", "Finalize", "Abort"};
  return std::string(to_string(row.param.state)) + kCalls[static_cast<std::size_t>(row.param.call)];
}
INSTANTIATE_TEST_SUITE_P(Table, DownloadStates, ::testing::ValuesIn(every_case()), name_of);

// ---- properties --------------------------------------------------------------------------------

TEST_F(DownloadTest, StartsOnlyWithAPlaceToFetchFromAndOneToGoTo) {
  auto download = Download::create(*engine_);
  ASSERT_TRUE(download);
  EXPECT_EQ(download->start().error().code, ErrorCode::no_url);
  ASSERT_TRUE(download->set(P::ContentId, std::string("content")));
  EXPECT_EQ(download->start().error().code, ErrorCode::unsupported);
  ASSERT_TRUE(download->set(P::Uri, origin_.url("/file")));
  EXPECT_EQ(download->start().error().code, ErrorCode::no_sink);
  ASSERT_TRUE(download->set(P::LocalPath, directory_.path("nowhere") + "/out"));
  EXPECT_EQ(download->start().error().code, ErrorCode::destination);
  EXPECT_EQ(download->status()->state, DownloadState::created);
  EXPECT_TRUE(engine_->jobs().empty());
  EXPECT_EQ(download->set_sink(watch_.sink()).error().code, ErrorCode::sink_already_set);
}

struct PropertyCase {
  const char* name;
  P property;
  PropertyValue value;
  std::optional<ErrorCode> set = {};
  std::optional<ErrorCode> get_before = {};
  std::optional<ErrorCode> get_after = {};  // else what was set
};

class DownloadProperties : public DownloadTest,
                           public ::testing::WithParamInterface<PropertyCase> {};

TEST_P(DownloadProperties, AreSetAndToldAsDocumented) {
  auto download = Download::create(*engine_);
  ASSERT_TRUE(download);
  const PropertyCase& row = GetParam();
  const auto before = download->get(row.property);
  EXPECT_EQ(before ? std::nullopt : std::optional(before.error().code), row.get_before);
  const auto set = download->set(row.property, row.value);
  EXPECT_EQ(set ? std::nullopt : std::optional(set.error().code), row.set);
  const auto after = download->get(row.property);
  if (row.get_after) {
    EXPECT_EQ(after ? std::nullopt : std::optional(after.error().code), row.get_after);
  } else {
    ASSERT_TRUE(after);
    EXPECT_EQ(*after == row.value, !row.set);
  }
}

constexpr auto kNotSet = ErrorCode::property_not_set;
constexpr auto kBad = ErrorCode::invalid_argument;
INSTANTIATE_TEST_SUITE_P(
    Table, DownloadProperties,
    ::testing::Values(
        PropertyCase{"Id", P::Id, std::string("x"), ErrorCode::read_only_property},
        PropertyCase{"Uri", P::Uri, std::string("http://h/f"), {}, kNotSet},
        PropertyCase{"UriOfAnotherType", P::Uri, true, kBad, kNotSet, kNotSet},
        PropertyCase{"EmptyUri", P::Uri, std::string(), kBad, kNotSet, kNotSet},
        PropertyCase{"ContentId", P::ContentId, std::string("c"), {}, kNotSet},
        PropertyCase{"DisplayName", P::DisplayName, std::string("name"), {}, kNotSet},
        PropertyCase{"LongName", P::DisplayName, std::string(257, 'x'), kBad, kNotSet, kNotSet},
        PropertyCase{"LocalPath", P::LocalPath, std::string("/tmp/x"), {}, kNotSet},
        PropertyCase{"Headers", P::HttpCustomHeaders, std::string("A: b\r\nC: d"), {}, kNotSet},
        PropertyCase{"BadHeaders", P::HttpCustomHeaders, std::string("A"), kBad, kNotSet, kNotSet},
        PropertyCase{"Cost", P::CostPolicy, std::uint32_t{5}, {}, kNotSet},
        PropertyCase{"BadCost", P::CostPolicy, std::uint32_t{6}, kBad, kNotSet, kNotSet},
        PropertyCase{"Percent", P::CallbackFreqPercent, std::uint32_t{100}, {}, kNotSet},
        PropertyCase{"BadPercent", P::CallbackFreqPercent, std::uint32_t{101}, kBad, kNotSet,
                     kNotSet},
        PropertyCase{"Seconds", P::CallbackFreqSeconds, std::uint32_t{1}, {}, kNotSet},
        PropertyCase{"BadSeconds", P::CallbackFreqSeconds, std::uint32_t{0}, kBad, kNotSet,
                     kNotSet},
        PropertyCase{"Timeout", P::NoProgressTimeoutSeconds, std::uint32_t{60}, {}, kNotSet},
        PropertyCase{"Impatient", P::NoProgressTimeoutSeconds, std::uint32_t{59}, kBad, kNotSet,
                     kNotSet},
        PropertyCase{"Foreground", P::ForegroundPriority, true},
        PropertyCase{"Blocking", P::BlockingMode, true},
        PropertyCase{"Vector", P::CorrelationVector, std::string("v.1"), {}, kNotSet},
        PropertyCase{"Manifest",
                     P::IntegrityCheckInfo,
                     std::string("http://h/m"),
                     {},
                     ErrorCode::write_only_property,
                     ErrorCode::write_only_property},
        PropertyCase{"ManifestAsJson", P::IntegrityCheckInfo, std::string("{}"),
                     ErrorCode::unsupported, ErrorCode::write_only_property,
                     ErrorCode::write_only_property},
        PropertyCase{"Mandatory", P::IntegrityCheckMandatory, true},
        PropertyCase{"Size", P::TotalSizeBytes, std::uint64_t{7}, {}, kNotSet},
        PropertyCase{"Cellular", P::DisallowOnCellular, true},
        PropertyCase{"Redirect", P::HttpAllowSecureToNonSecureRedirect, true},
        PropertyCase{"NoRedirect", P::HttpAllowSecureToNonSecureRedirect, false},
        PropertyCase{"NonVolatile", P::NonVolatile, true},
        PropertyCase{"SecurityFlags", P{7}, std::uint32_t{1}, ErrorCode::unknown_property,
                     ErrorCode::unknown_property, ErrorCode::unknown_property},
        PropertyCase{"Beyond", P{26}, true, ErrorCode::unknown_property,
                     ErrorCode::unknown_property, ErrorCode::unknown_property}),
    [](const auto& row) { return std::string(row.param.name); });

TEST_F(DownloadTest, TheJobGetsTheProperties) {
  hold_ranges();
  Download download = to_file();
  ASSERT_TRUE(download.set(P::DisplayName, std::string("name")));
  ASSERT_TRUE(download.set(P::NoProgressTimeoutSeconds, std::uint32_t{77}));
  ASSERT_TRUE(download.set(P::HttpCustomHeaders, std::string("X-One: 1\r\nX-Two: 2")));
  ASSERT_TRUE(download.start());
  const auto job = engine_->get_job(engine_->jobs().front());
  EXPECT_EQ(job->status()->properties.display_name, "name");
  EXPECT_EQ(job->status()->properties.no_progress_timeout, 77s);
  EXPECT_EQ(job->status()->properties.custom_headers,
            (std::vector<std::string>{"X-One: 1", "X-Two: 2"}));
  EXPECT_EQ(job->status()->properties.priority, Priority::normal);
  ASSERT_TRUE(download.set(P::ForegroundPriority, true));
  EXPECT_EQ(job->status()->properties.priority, Priority::foreground);
  EXPECT_EQ(download.set(P::Uri, origin_.url("/x")).error().code, ErrorCode::invalid_state);
  EXPECT_EQ(download.set(P::LocalPath, std::string("x")).error().code, ErrorCode::invalid_state);
  origin_.release();
}

// ---- pause, ranges, abort ----------------------------------------------------------------------

TEST_F(DownloadTest, APausedDownloadGoesOnFromAnotherUrl) {
  hold_ranges();
  Download download = watched();
  ASSERT_TRUE(download.start());
  ASSERT_TRUE(origin_.wait_until([](const auto& counts) { return counts.requests > 2; }));
  ASSERT_TRUE(download.pause());
  EXPECT_EQ(download.status()->state, DownloadState::paused);
  EXPECT_FALSE(download.status()->extended_error);
  origin_.serve("/other", content_, "\"v1\"");
  ASSERT_TRUE(download.set(P::Uri, origin_.url("/other")));
  ASSERT_TRUE(download.start());
  ASSERT_TRUE(watch_.wait_for(DownloadState::transferred));
  ASSERT_TRUE(download.finalize());
  EXPECT_EQ(read("out"), *content_);
  EXPECT_EQ(text(download, P::Uri), origin_.url("/other"));
}

TEST_F(DownloadTest, BeginsAnewWithOtherRanges) {
  Download download = watched();
  ASSERT_TRUE(download.start({{.offset = 10, .length = 20}}));
  ASSERT_TRUE(watch_.wait_for(DownloadState::transferred));
  EXPECT_EQ(download.status()->bytes_total, 20U);
  const auto asked = origin_.counts().requests;
  ASSERT_TRUE(download.start({{.offset = 10, .length = 20}}));
  EXPECT_EQ(download.status()->state, DownloadState::transferred) << "the same ranges: nothing";
  EXPECT_EQ(origin_.counts().requests, asked);
  ASSERT_TRUE(download.set_callback({}));
  ASSERT_TRUE(download.set(P::BlockingMode, true));
  ASSERT_TRUE(download.start({{.offset = 5, .length = 7}, {.offset = 2'000'000}}));
  EXPECT_EQ(download.status()->bytes_total, 7U + kSize - 2'000'000U);
  ASSERT_TRUE(download.finalize());
  EXPECT_EQ(read("out"), content_->substr(5, 7) + content_->substr(2'000'000));
  EXPECT_TRUE(engine_->jobs().empty()) << "the job of the first ranges has ended too";
}

TEST_F(DownloadTest, AbortLeavesNothingAndAsksForNothingMore) {
  hold_ranges();
  Download download = watched();
  ASSERT_TRUE(download.start());
  ASSERT_TRUE(origin_.wait_until([](const auto& counts) { return counts.requests > 2; }));
  ASSERT_TRUE(download.abort());
  ASSERT_TRUE(watch_.wait_for(DownloadState::aborted));
  origin_.release();
  ASSERT_TRUE(origin_.wait_until([](const auto& counts) { return counts.open_connections == 0; }));
  EXPECT_TRUE(engine_->jobs().empty());
  engine_->close();
  EXPECT_EQ(cached_files(), 0U);
  EXPECT_FALSE(exists("out"));
  EXPECT_EQ(download.status()->state, DownloadState::aborted);
}

TEST_F(DownloadTest, AnErrorThatGoesByItselfIsToldAsExtendedErrorOnly) {
  std::atomic<bool> down = true;
  origin_.route("/file", [&](const FaultRequest& asked) {
    FaultReply reply = honest_reply(asked, content_, "\"v1\"");
    if (down) reply = FaultReply{.status = 503};
    return reply;
  });
  Download download = watched();
  ASSERT_TRUE(download.start());
  ASSERT_TRUE(watch_.wait_for(DownloadState::paused));
  const DownloadStatus waiting = watch_.told().back();
  EXPECT_FALSE(waiting.error);
  ASSERT_TRUE(waiting.extended_error);
  ASSERT_TRUE(download.pause());
  EXPECT_EQ(download.status()->state, DownloadState::paused);
  EXPECT_FALSE(download.status()->extended_error) << "it waits for start() now";
  down = false;
  ASSERT_TRUE(download.start());
  ASSERT_TRUE(watch_.wait_for(DownloadState::transferred));
}

TEST_F(DownloadTest, BlockingModeReturnsTheErrorThatStoppedIt) {
  Download download = to_file();
  ASSERT_TRUE(download.set(P::Uri, origin_.url("/missing")));
  ASSERT_TRUE(download.set(P::BlockingMode, true));
  const auto result = download.start();
  ASSERT_FALSE(result);
  const auto status = download.status();
  EXPECT_EQ(status->state, DownloadState::paused);
  ASSERT_TRUE(status->error);
  EXPECT_EQ(*status->error, result.error());
  EXPECT_EQ(status->extended_error, status->error);
}

TEST_F(DownloadTest, BlockingModeReturnsWhenAnotherThreadPauses) {
  hold_ranges();
  Download download = to_file();
  ASSERT_TRUE(download.set(P::BlockingMode, true));
  auto started = std::async(std::launch::async, [&] { return download.start(); });
  ASSERT_TRUE(origin_.wait_until([](const auto& counts) { return counts.requests > 2; }));
  ASSERT_TRUE(download.pause());
  ASSERT_EQ(started.wait_for(kDeadline), std::future_status::ready);
  EXPECT_EQ(started.get().error().code, ErrorCode::cancelled);
  origin_.release();
}

// ---- handles -----------------------------------------------------------------------------------

TEST_F(DownloadTest, OnlyANonVolatileDownloadOutlivesItsHandles) {
  hold_ranges();
  std::string id;
  {
    Download gone = to_file("gone");
    Download kept = to_file("kept");
    ASSERT_TRUE(kept.set(P::NonVolatile, true));
    ASSERT_TRUE(kept.set(P::DisplayName, std::string("kept")));
    ASSERT_TRUE(gone.start());
    ASSERT_TRUE(kept.start());
    id = text(kept, P::Id);
  }
  EXPECT_EQ(engine_->jobs().size(), 1U);
  origin_.release();
  engine_.reset();
  engine_.emplace(open());
  auto found = Download::find(*engine_, id);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(text(*found, P::DisplayName), "kept");
  EXPECT_EQ(text(*found, P::Uri), origin_.url("/file"));
  ASSERT_TRUE(found->set(P::BlockingMode, true));
  ASSERT_TRUE(found->start());
  ASSERT_TRUE(found->finalize());
  EXPECT_EQ(read("kept"), *content_);
}

TEST_F(DownloadTest, IsFoundByItsIdAndListedByItsProperties) {
  Download first = to_file("first");
  Download second = to_file("second");
  ASSERT_TRUE(engine_->create_job("a job that is no download"));
  EXPECT_EQ(Download::enumerate(*engine_)->size(), 2U);
  const auto listed =
      Download::enumerate(*engine_, Download::Category{P::LocalPath, directory_.path("second")});
  ASSERT_EQ(listed->size(), 1U);
  EXPECT_EQ(text(listed->front(), P::Id), text(second, P::Id));
  EXPECT_EQ(Download::enumerate(*engine_, Download::Category{P::NonVolatile, "1"}).error().code,
            ErrorCode::unknown_property);
  auto again = Download::find(*engine_, "{" + text(first, P::Id) + "}");
  ASSERT_TRUE(again);
  ASSERT_TRUE(again->abort());
  EXPECT_EQ(first.status()->state, DownloadState::aborted) << "the same download";
  EXPECT_EQ(Download::enumerate(*engine_)->size(), 1U);
  EXPECT_EQ(Download::find(*engine_, "nonsense").error().code, ErrorCode::job_not_found);
}

// ---- callbacks ---------------------------------------------------------------------------------

TEST_F(DownloadTest, CallsFromACallbackAreRefusedInsteadOfHanging) {
  Download download = to_file();
  std::promise<ErrorCode> seen;
  std::optional<DownloadState> state;
  ASSERT_TRUE(download.set_callback([&](const DownloadStatus& status) {
    if (status.state != DownloadState::transferred) return;
    if (const auto now = download.status()) state = now->state;
    const auto refused = download.finalize();
    seen.set_value(refused ? ErrorCode::internal : refused.error().code);
  }));
  ASSERT_TRUE(download.start());
  auto code = seen.get_future();
  ASSERT_EQ(code.wait_for(kDeadline), std::future_status::ready);
  EXPECT_EQ(code.get(), ErrorCode::invalid_state);
  EXPECT_EQ(state, DownloadState::transferred);
  EXPECT_TRUE(download.finalize());
}

TEST_F(DownloadTest, AfterTheEngineIsClosedCallsAreRefused) {
  hold_ranges();
  Download download = to_file();
  ASSERT_TRUE(download.start());
  engine_->close();
  EXPECT_EQ(download.status().error().code, ErrorCode::invalid_state);
  EXPECT_EQ(download.abort().error().code, ErrorCode::invalid_state);
  EXPECT_EQ(Download::create(*engine_).error().code, ErrorCode::invalid_state);
  origin_.release();
}

}  // namespace
}  // namespace lanward::test
