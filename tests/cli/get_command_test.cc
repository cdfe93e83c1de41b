#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

#include <filesystem>

#include "api/cli/commands.h"
#include "tests/cli/fake_engine.h"
#include "tests/cli/support.h"

namespace lanward::cli {
namespace {

namespace fs = std::filesystem;
using lanward::testing::Capture;
using lanward::testing::fake_engine;
using lanward::testing::FakeEngine;
using lanward::testing::FakeJob;
using lanward::testing::ScratchDirectory;

JobEvent event_of(JobState state) {
  JobEvent event;
  event.state = state;
  event.state_changed = true;
  return event;
}

JobEvent error_event(ErrorCode code, const std::string& message) {
  JobEvent event = event_of(JobState::error);
  event.error.emplace();
  event.error->code = code;
  event.error->message = message;
  return event;
}

// The job that `get` creates.
FakeJob& fake_job() { return fake_engine().jobs.front(); }

void raise_sigterm() { pthread_kill(pthread_self(), SIGTERM); }

class GetCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    fake_engine() = FakeEngine{};
    fake_engine().jobs.resize(1);
    fake_job().events_on_resume = {event_of(JobState::connecting), event_of(JobState::transferring),
                                   event_of(JobState::transferred)};
    options_.source = "http://cdn/disk.iso";
    options_.output = scratch_ / "out.iso";
    options_.json = true;
  }
  ExitCode run() {
    auto waiter = Waiter::create();
    const auto reporter =
        make_reporter(options_.json, options_.quiet, {out_.stream(), err_.stream()});
    return run_get(options_, *reporter, **waiter);
  }

  std::vector<std::string> events() {
    std::vector<std::string> names;
    for (const auto& line : out_.json_lines()) {
      const auto name = line.at("event").get<std::string>();
      if (name != "progress")
        names.push_back(name == "state" ? line.at("state").get<std::string>() : name);
    }
    return names;
  }

  [[nodiscard]] std::string working() const { return scratch_ / ".out.iso.lanward"; }

  ScratchDirectory scratch_;
  GetOptions options_;
  Capture out_;
  Capture err_;
};

TEST_F(GetCommand, DeliversAndLeavesNoWorkingDirectory) {
  EXPECT_EQ(run(), ExitCode::done);
  EXPECT_TRUE(fake_job().was("complete"));
  EXPECT_TRUE(fake_engine().closed);
  EXPECT_EQ(fake_engine().opened->cache_directory, working());
  EXPECT_FALSE(fake_engine().opened->keep_delivered);
  EXPECT_FALSE(fs::exists(working()));
  EXPECT_EQ(events(), (std::vector<std::string>{"listening", "connecting", "transferring",
                                                "transferred", "acknowledged", "summary"}));
}

TEST_F(GetCommand, PassesEveryOptionToTheEngine) {
  options_.manifest = "m.torrent";
  options_.mirrors = {"http://mirror/f"};
  options_.cache = scratch_ / "cache";
  options_.listen = "127.0.0.1:0";
  options_.peers = {"10.0.0.1:1"};
  options_.trackers = {"http://t"};
  options_.use_origin = false;
  EXPECT_EQ(run(), ExitCode::done);
  const auto& engine = *fake_engine().opened;
  EXPECT_EQ(engine.cache_directory, scratch_ / "cache");
  EXPECT_TRUE(engine.keep_delivered);
  EXPECT_EQ(engine.listen, "127.0.0.1:0");
  EXPECT_TRUE(engine.peers_enabled);
  const auto& file = fake_job().added.at(0);
  EXPECT_EQ(file.source, "http://cdn/disk.iso");
  EXPECT_EQ(file.destination, scratch_ / "out.iso");
  EXPECT_EQ(file.manifest, "m.torrent");
  EXPECT_EQ(file.mirrors, options_.mirrors);
  EXPECT_EQ(file.peers, options_.peers);
  EXPECT_EQ(file.trackers, options_.trackers);
  EXPECT_FALSE(file.use_origin);
  EXPECT_TRUE(file.use_peers);
  EXPECT_FALSE(file.share_after_complete);
  EXPECT_FALSE(fs::exists(working()));
}

TEST_F(GetCommand, PassesLimitsCachesAndCertificatesToTheEngine) {
  options_.origin.bandwidth.always.total_bytes_per_s = 7;
  options_.origin.cache_fallback_background = std::chrono::seconds{-1};
  options_.origin.peer_delay = std::chrono::seconds{2};
  options_.origin.min_rate_bytes_per_s = 9;
  options_.origin.ca_file = "ca.pem";
  options_.caches.hosts = {"cache"};
  options_.change.client_certificate = "c.pem";
  EXPECT_EQ(run(), ExitCode::done);
  const auto& engine = *fake_engine().opened;
  EXPECT_EQ(engine.bandwidth, options_.origin.bandwidth);
  EXPECT_EQ(engine.cache_fallback_background, std::chrono::seconds{-1});
  EXPECT_FALSE(engine.cache_fallback_foreground);
  EXPECT_EQ(engine.peer_delay, std::chrono::seconds{2});
  EXPECT_EQ(engine.min_rate_bytes_per_s, 9U);
  EXPECT_EQ(engine.ca_file, "ca.pem");
  EXPECT_EQ(fake_job().added.at(0).caches, options_.caches);
  ASSERT_EQ(fake_job().changes.size(), 1U);
  EXPECT_EQ(fake_job().changes[0].client_certificate, (fs::current_path() / "c.pem").string());
}

TEST_F(GetCommand, ChangesNothingOfTheJobThatNobodyAskedFor) {
  EXPECT_EQ(run(), ExitCode::done);
  EXPECT_TRUE(fake_job().changes.empty());
}

TEST_F(GetCommand, WithoutPeersListensNowhere) {
  options_.use_peers = false;
  EXPECT_EQ(run(), ExitCode::done);
  EXPECT_FALSE(fake_engine().opened->peers_enabled);
  EXPECT_EQ(events().front(), "connecting");
}

TEST_F(GetCommand, LetsTheManifestNameTheFileInTheChosenDirectory) {
  options_.source = "disk.iso.torrent";
  options_.output = scratch_.path();
  EXPECT_EQ(run(), ExitCode::done);
  EXPECT_EQ(fake_job().added.at(0).destination, scratch_.path() + "/");
  EXPECT_EQ(fake_engine().opened->cache_directory, scratch_ / ".disk.iso.torrent.lanward");
  EXPECT_TRUE(fs::is_empty(scratch_.path()));
}

TEST_F(GetCommand, AFailureKeepsVerifiedPiecesAndSaysWhere) {
  fake_job().events_on_resume = {
      error_event(ErrorCode::integrity, "piece 3 of http://cdn is wrong")};
  fake_job().status.progress.verified_bytes = 1;
  EXPECT_EQ(run(), ExitCode::integrity);
  EXPECT_TRUE(fs::exists(working()));
  EXPECT_NE(err_.text().find("piece 3"), std::string::npos);
  EXPECT_EQ(out_.json_lines().back().at("kept"), working());
  EXPECT_EQ(out_.json_lines().back().at("exit_code"), 4);
}

TEST_F(GetCommand, AFailureWithoutPiecesLeavesNothing) {
  fake_job().events_on_resume = {error_event(ErrorCode::origin_rejected, "404")};
  EXPECT_EQ(run(), ExitCode::network);
  EXPECT_FALSE(fs::exists(working()));
}

TEST_F(GetCommand, NeverRemovesWhatAnEarlierTryLeft) {
  fs::create_directory(working());
  fake_job().events_on_resume = {error_event(ErrorCode::network, "down")};
  EXPECT_EQ(run(), ExitCode::network);
  EXPECT_TRUE(fs::exists(working()));
}

TEST_F(GetCommand, NeverRemovesADirectoryAnotherRunHolds) {
  fake_engine().open_error = Error{ErrorCode::in_use, "locked"};
  EXPECT_EQ(run(), ExitCode::in_use);
  EXPECT_TRUE(fs::exists(working()));
  EXPECT_TRUE(fake_job().added.empty());
}

TEST_F(GetCommand, AFailedDeliveryKeepsThePieces) {
  fake_job().complete_error = Error{ErrorCode::disk_full, "no space"};
  fake_job().status.progress.verified_bytes = 1;
  EXPECT_EQ(run(), ExitCode::disk);
  EXPECT_TRUE(fs::exists(working()));
}

TEST_F(GetCommand, AnUnwritableDestinationIsFoundBeforeAnythingStarts) {
  options_.output = scratch_ / "missing/out.iso";
  EXPECT_EQ(run(), ExitCode::disk);
  EXPECT_FALSE(fake_engine().opened);
}

TEST_F(GetCommand, ARefusedFileIsAUsageError) {
  fake_job().add_file_error = Error{ErrorCode::invalid_argument, "mirror is no URL"};
  EXPECT_EQ(run(), ExitCode::usage);
  EXPECT_FALSE(fs::exists(working()));
}

TEST_F(GetCommand, ASignalCancelsTheJobAndCleansUp) {
  fake_job().events_on_resume = {event_of(JobState::transferring)};
  fake_job().on_resume = raise_sigterm;
  fake_job().status.progress.verified_bytes = 1;
  EXPECT_EQ(run(), ExitCode::cancelled);
  EXPECT_TRUE(fake_job().was("cancel"));
  EXPECT_TRUE(fake_engine().closed);
  EXPECT_FALSE(fs::exists(working()));
  EXPECT_NE(err_.text().find("cancelled by SIGTERM"), std::string::npos);
}

TEST_F(GetCommand, SharesForTheGivenTime) {
  options_.share = Share{std::chrono::seconds{0}};
  options_.listen = "127.0.0.1:0";
  fake_job().sources = {{SourceKind::peer, "10.0.0.1:1", 0, 0, 5, false}};
  EXPECT_EQ(run(), ExitCode::done);
  EXPECT_TRUE(fake_job().added.at(0).share_after_complete);
  const auto lines = out_.json_lines();
  const auto& sharing = lines.at(lines.size() - 2);
  EXPECT_EQ(sharing.at("event"), "sharing");
  EXPECT_EQ(sharing.at("address"), "127.0.0.1");
  EXPECT_EQ(sharing.at("port"), 4711);
  EXPECT_EQ(lines.back().at("event"), "share_ended");
  EXPECT_EQ(lines.back().at("sources").at(0).at("served"), 5);
}

TEST_F(GetCommand, ASignalEndsSharingWithSuccess) {
  options_.share = Share{};  // would last until the test's own time limit
  fake_job().on_complete = raise_sigterm;
  EXPECT_EQ(run(), ExitCode::done);
  EXPECT_FALSE(fake_job().was("cancel"));
  EXPECT_EQ(events().back(), "share_ended");
}

TEST_F(GetCommand, TellsWhenNoManifestVouchesForTheBytes) {
  fake_job().files.emplace_back().note = "no manifest found: HTTP only";
  EXPECT_EQ(run(), ExitCode::done);
  const auto names = events();
  EXPECT_EQ(std::count(names.begin(), names.end(), "note"), 1);
}

}  // namespace
}  // namespace lanward::cli
