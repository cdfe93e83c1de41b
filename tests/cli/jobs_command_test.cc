#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

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
using nlohmann::json;

constexpr const char* kFirst = "1b4e28ba-2fa1-41d2-883f-b9a761bde3fb";
constexpr const char* kSecond = "a0b1c2d3-0000-4000-8000-000000000000";

JobError error_of(ErrorCode code, const std::string& message) {
  JobError error;
  error.code = code;
  error.message = message;
  error.context = ErrorContext::remote_file;
  error.file = FileId{2};
  return error;
}

class Jobs : public ::testing::Test {
 protected:
  void SetUp() override {
    fake_engine() = FakeEngine{};
    options_.state = "/state";
    options_.json = true;
  }

  static FakeJob& job(const char* id, JobState state) {
    return fake_engine().add_job(parse_job_id(id).value(), state, "a name");
  }

  ExitCode run(auto command) {
    options_.command = std::move(command);
    const auto reporter = make_jobs_reporter(options_.json, {out_.stream(), err_.stream()});
    const auto* running = std::get_if<JobsRun>(&options_.command);
    if (running == nullptr) return run_jobs(options_, *reporter);
    auto waiter = Waiter::create();
    return run_queue(options_, *running, *reporter, **waiter);
  }

  // "event" of each line, or the state of a "state" event.
  std::vector<std::string> events() {
    std::vector<std::string> names;
    for (const auto& line : out_.json_lines()) {
      const auto name = line.at("event").get<std::string>();
      if (name == "progress") continue;
      names.push_back(name == "state" ? line.at("state").get<std::string>() : name);
    }
    return names;
  }

  JobsOptions options_;
  Capture out_;
  Capture err_;
};

class JobsCommands : public Jobs {};

TEST_F(JobsCommands, NeverTransferAnything) {
  options_.cache = "/cache";
  EXPECT_EQ(run(JobsList{}), ExitCode::done);
  const EngineOptions& opened = *fake_engine().opened;
  EXPECT_EQ(opened.state_directory, "/state");
  EXPECT_EQ(opened.cache_directory, "/cache");
  EXPECT_FALSE(opened.run_jobs);
  EXPECT_FALSE(opened.peers_enabled);
  EXPECT_TRUE(fake_engine().closed);
}

TEST_F(JobsCommands, ASecondOwnerIsRefusedWithACodeOfItsOwn) {
  fake_engine().open_error = Error{ErrorCode::in_use, "'/state' is in use"};
  EXPECT_EQ(run(JobsList{}), ExitCode::in_use);
  EXPECT_EQ(out_.json_lines().back().at("event"), "error");
  EXPECT_EQ(out_.json_lines().back().at("code"), "in_use");
  EXPECT_EQ(out_.json_lines().back().at("exit_code"), 6);
  EXPECT_EQ(err_.text(), "lanward: '/state' is in use\n");
}

TEST_F(JobsCommands, CreatePrintsTheIdAlone) {
  fake_engine().jobs.resize(1);
  fake_engine().jobs[0].status.id = parse_job_id(kFirst).value();
  options_.json = false;
  EXPECT_EQ(run(JobsCreate{}), ExitCode::done);
  EXPECT_EQ(out_.text(), std::string(kFirst) + "\n");
  EXPECT_EQ(err_.text(), "");
}

TEST_F(JobsCommands, CreatePassesEverythingToTheEngine) {
  const ScratchDirectory scratch;
  JobsCreate create;
  create.name = "n";
  create.description = "d";
  create.priority = Priority::foreground;
  create.files = {{"http://h/a", scratch / "x"}, {"http://h/b", scratch.path()}};
  create.start = true;
  create.jobs_max = 7;
  EXPECT_EQ(run(create), ExitCode::done);
  EXPECT_EQ(fake_engine().opened->limits.jobs_max, 7u);
  const FakeJob& made = fake_engine().jobs.at(0);
  EXPECT_EQ(made.status.properties.display_name, "n");
  EXPECT_EQ(made.changes.at(0).description, "d");
  EXPECT_EQ(made.changes.at(0).priority, Priority::foreground);
  ASSERT_EQ(made.added.size(), 2u);
  EXPECT_EQ(made.added[0].destination, scratch / "x");
  EXPECT_EQ(made.added[1].destination, scratch / "b");
  EXPECT_TRUE(made.was("resume"));
  EXPECT_EQ(out_.json_lines().at(0).at("event"), "created");
  EXPECT_EQ(out_.json_lines().at(0).at("state"), "queued");
}

TEST_F(JobsCommands, WithoutStartTheJobStaysSuspended) {
  EXPECT_EQ(run(JobsCreate{}), ExitCode::done);
  EXPECT_TRUE(fake_engine().jobs.at(0).calls.empty());
  EXPECT_EQ(out_.json_lines().at(0).at("state"), "suspended");
  EXPECT_EQ(out_.json_lines().at(0).at("state_number"), 3);
}

TEST_F(JobsCommands, AFileThatIsRefusedLeavesNoJob) {
  fake_engine().jobs.resize(1);
  fake_engine().jobs[0].add_file_error = Error{ErrorCode::duplicate_file, "twice the same"};
  const ScratchDirectory scratch;
  JobsCreate create;
  create.files = {{"http://h/a", scratch / "x"}};
  EXPECT_NE(run(create), ExitCode::done);
  EXPECT_TRUE(fake_engine().jobs[0].was("cancel"));
  EXPECT_EQ(err_.text(), "lanward: twice the same\n");
}

TEST_F(JobsCommands, AddFileSaysWhichFileItIs) {
  const ScratchDirectory scratch;
  job(kFirst, JobState::suspended);
  FakeJob& second = job(kSecond, JobState::suspended);
  JobsAddFile add;
  add.id = "a0b1";
  add.source = "http://h/f";
  add.output = scratch / "f";
  add.file_id = "boot";
  add.ranges = {{10, 5}};
  add.integrity_mandatory = true;
  EXPECT_EQ(run(add), ExitCode::done);
  ASSERT_EQ(second.added.size(), 1u);
  EXPECT_EQ(second.added[0].id, "boot");
  EXPECT_EQ(second.added[0].ranges, add.ranges);
  EXPECT_TRUE(second.added[0].integrity_mandatory);
  EXPECT_EQ(out_.json_lines().at(0).at("id"), kSecond);
  EXPECT_EQ(out_.json_lines().at(0).at("file"), 0);
}

TEST_F(JobsCommands, PathsMeanTheSameInEveryWorkingDirectory) {
  FakeJob& only = job(kFirst, JobState::suspended);
  JobsAddFile add;
  add.id = kFirst;
  add.source = "some/disk.torrent";
  add.manifest = "m.torrent";
  EXPECT_EQ(run(add), ExitCode::done);
  const std::string here = fs::current_path().string() + "/";
  EXPECT_EQ(only.added.at(0).source, here + "some/disk.torrent");
  EXPECT_EQ(only.added.at(0).manifest, here + "m.torrent");
  EXPECT_EQ(only.added.at(0).destination, here);
}

TEST_F(JobsCommands, ActionsReachTheEngineAndTellTheNewState) {
  using Action = JobsAct::Action;
  for (const auto& [action, call, state] :
       {std::tuple{Action::suspend, "suspend", "suspended"},
        std::tuple{Action::resume, "resume", "queued"},
        std::tuple{Action::complete, "complete", "acknowledged"},
        std::tuple{Action::cancel, "cancel", "cancelled"}}) {
    fake_engine() = FakeEngine{};
    job(kFirst, JobState::transferred);
    EXPECT_EQ(run(JobsAct{action, {kFirst}}), ExitCode::done);
    EXPECT_TRUE(fake_engine().jobs[0].was(call));
    EXPECT_EQ(out_.json_lines().back().at("event"), "job");
    EXPECT_EQ(out_.json_lines().back().at("state"), state);
  }
}

TEST_F(JobsCommands, EveryJobIsTriedAndTheFirstFailureGivesTheExitCode) {
  job(kFirst, JobState::transferred).complete_error = Error{ErrorCode::disk_full, "no space"};
  FakeJob& second = job(kSecond, JobState::transferred);
  EXPECT_EQ(run(JobsAct{JobsAct::Action::complete, {"1b4e", "beef", "a0b1"}}), ExitCode::disk);
  EXPECT_TRUE(second.was("complete"));
  EXPECT_EQ(events(), (std::vector<std::string>{"job_failed", "job_failed", "job"}));
  const json failure = out_.json_lines().at(0);
  EXPECT_EQ(failure.at("id"), "1b4e");
  EXPECT_EQ(failure.at("error").at("code"), "disk_full");
  EXPECT_EQ(out_.json_lines().at(1).at("error").at("code"), "job_not_found");
  EXPECT_NE(err_.text().find("lanward: 1b4e: no space\n"), std::string::npos);
}

TEST_F(JobsCommands, ACallThatTheStateForbidsIsAUsageError) {
  job(kFirst, JobState::cancelled).call_error = Error{ErrorCode::invalid_state, "it is over"};
  EXPECT_EQ(run(JobsAct{JobsAct::Action::resume, {kFirst}}), ExitCode::usage);
}

TEST_F(JobsCommands, SetChangesTheJob) {
  FakeJob& only = job(kFirst, JobState::suspended);
  JobsSet set;
  set.id = "1b4e";
  set.change.priority = Priority::low;
  EXPECT_EQ(run(set), ExitCode::done);
  EXPECT_EQ(only.changes.at(0).priority, Priority::low);
  EXPECT_EQ(out_.json_lines().at(0).at("priority"), "low");
  EXPECT_EQ(out_.json_lines().at(0).at("priority_number"), 3);
}

TEST_F(JobsCommands, ListLeavesOutWhatIsOver) {
  job(kFirst, JobState::acknowledged);
  job(kSecond, JobState::transferring);
  EXPECT_EQ(run(JobsList{}), ExitCode::done);
  ASSERT_EQ(out_.json_lines().size(), 1u);
  EXPECT_EQ(out_.json_lines()[0].at("id"), kSecond);
  EXPECT_EQ(run(JobsList{true}), ExitCode::done);
  EXPECT_EQ(out_.json_lines().size(), 3u);
}

TEST_F(JobsCommands, ShowTellsTheErrorWithItsPublishedCodeAndKeepsSecrets) {
  FakeJob& only = job(kFirst, JobState::error);
  only.status.error = error_of(ErrorCode::job_not_found, "gone");
  only.status.properties.custom_headers = {"Authorization: Bearer secret"};
  only.status.properties.proxy = {ProxySettings::Usage::use, "http://me:secret@proxy:1/", ""};
  FileStatus& file = only.files.emplace_back();
  file.ranges = {{10, 5}, {20, ByteRange::kToEnd}};
  for (const bool as_json : {true, false}) {
    options_.json = as_json;
    EXPECT_EQ(run(JobsShow{"1b4e"}), ExitCode::done);
  }
  const std::string text = out_.text();
  EXPECT_EQ(text.find("secret"), std::string::npos) << text;
  EXPECT_NE(text.find(hresult_name(ErrorCode::job_not_found)), std::string::npos) << text;
  const json shown = json::parse(text.substr(0, text.find('\n')));
  EXPECT_EQ(shown.at("state"), "error");
  EXPECT_EQ(shown.at("state_number"), 4);
  EXPECT_EQ(shown.at("transferred"), nullptr);
  EXPECT_EQ(shown.at("header_names"), json({"Authorization"}));
  EXPECT_EQ(shown.at("proxy"), "http://proxy:1/");
  EXPECT_EQ(shown.at("error").at("hresult_name"), hresult_name(ErrorCode::job_not_found));
  EXPECT_EQ(shown.at("error").at("context"), 5);
  EXPECT_EQ(shown.at("error").at("file"), 2);
  EXPECT_EQ(shown.at("files").at(0).at("ranges"),
            json::parse(R"([{"offset":10,"length":5},{"offset":20,"length":null}])"));
}

TEST_F(JobsCommands, OutsideNamesCannotSteerTheTerminal) {
  options_.json = false;
  job(kFirst, JobState::suspended).status.properties.display_name = "evil\x1b[2J";
  EXPECT_EQ(run(JobsList{}), ExitCode::done);
  EXPECT_EQ(run(JobsShow{kFirst}), ExitCode::done);
  EXPECT_EQ(out_.text().find('\x1b'), std::string::npos);
}

class JobsRunning : public Jobs {
 protected:
  // What happens when the queue is looked at the next time.
  static void then(std::function<void()> scene) {
    fake_engine().scenes.push_back(std::move(scene));
  }
};

TEST_F(JobsRunning, AnEmptyQueueEndsAtOnce) {
  EXPECT_EQ(run(JobsRun{}), ExitCode::done);
  EXPECT_TRUE(fake_engine().opened->run_jobs);
  EXPECT_EQ(events(), (std::vector<std::string>{"listening", "run_ended"}));
}

TEST_F(JobsRunning, PassesItsOptionsToTheEngine) {
  JobsRun options;
  options.use_peers = false;
  options.use_discovery = false;
  EXPECT_EQ(run(options), ExitCode::done);
  EXPECT_FALSE(fake_engine().opened->peers_enabled);
  EXPECT_FALSE(fake_engine().opened->local_discovery);
}

TEST_F(JobsRunning, EndsWhenNothingIsLeftToDo) {
  FakeJob& only = job(kFirst, JobState::queued);
  job(kSecond, JobState::suspended);
  then([] {});
  then([&] { only.become(JobState::connecting); });
  then([&] {
    only.become(JobState::transient_error, error_of(ErrorCode::network, "down"));
    only.become(JobState::transferring);
  });
  then([&] { only.become(JobState::transferred); });
  EXPECT_EQ(run(JobsRun{}), ExitCode::done);
  EXPECT_EQ(events(), (std::vector<std::string>{"listening", "queued", "suspended", "connecting",
                                                "transient_error", "transferring", "transferred",
                                                "run_ended"}));
  EXPECT_FALSE(only.was("complete"));
  const json ended = out_.json_lines().back();
  EXPECT_EQ(ended.at("states"), json::parse(R"({"suspended":1,"transferred":1})"));
  EXPECT_EQ(ended.at("ended_by"), nullptr);
}

TEST_F(JobsRunning, SeesChangesThatNoCallbackTells) {
  FakeJob& only = job(kFirst, JobState::queued);
  then([] {});
  then([&] { only.status.state = JobState::transferred; });
  EXPECT_EQ(run(JobsRun{}), ExitCode::done);
  EXPECT_EQ(events(),
            (std::vector<std::string>{"listening", "queued", "transferred", "run_ended"}));
}

TEST_F(JobsRunning, DeliversWhatIsTransferred) {
  FakeJob& only = job(kFirst, JobState::queued);
  FakeJob& ready = job(kSecond, JobState::transferred);
  then([] {});
  then([&] { only.become(JobState::transferred); });
  JobsRun options;
  options.complete = true;
  EXPECT_EQ(run(options), ExitCode::done);
  EXPECT_TRUE(only.was("complete"));
  EXPECT_TRUE(ready.was("complete"));
  EXPECT_EQ(events(),
            (std::vector<std::string>{"listening", "queued", "transferred", "acknowledged",
                                      "transferred", "acknowledged", "run_ended"}));
  EXPECT_EQ(out_.json_lines().back().at("states"), json::parse(R"({"acknowledged":2})"));
}

TEST_F(JobsRunning, AFailedDeliveryIsTriedOnceAndGivesTheExitCode) {
  FakeJob& only = job(kFirst, JobState::transferred);
  only.complete_error = Error{ErrorCode::disk_full, "no space"};
  FakeJob& other = job(kSecond, JobState::queued);
  then([] {});
  then([] {});
  then([&] { other.become(JobState::transferred); });
  JobsRun options;
  options.complete = true;
  EXPECT_EQ(run(options), ExitCode::disk);
  EXPECT_EQ(only.calls, std::vector<std::string>{"complete"});
  EXPECT_TRUE(other.was("complete"));
}

TEST_F(JobsRunning, AJobInErrorGivesTheExitCodeOfItsCause) {
  FakeJob& only = job(kFirst, JobState::queued);
  job(kSecond, JobState::transferred);
  then([] {});
  then([&] { only.become(JobState::error, error_of(ErrorCode::integrity, "wrong bytes")); });
  EXPECT_EQ(run(JobsRun{}), ExitCode::integrity);
  EXPECT_EQ(out_.json_lines().back().at("exit_code"), 4);
}

TEST_F(JobsRunning, ASignalClosesTheEngineAndLeavesTheJobsAlone) {
  FakeJob& only = job(kFirst, JobState::transferring);
  then([] { pthread_kill(pthread_self(), SIGTERM); });
  EXPECT_EQ(run(JobsRun{}), ExitCode::cancelled);
  EXPECT_TRUE(only.calls.empty());
  EXPECT_TRUE(fake_engine().closed);
  EXPECT_EQ(out_.json_lines().back().at("ended_by"), "SIGTERM");
}

TEST_F(JobsRunning, TheTimeThatIsUpLeavesTheJobsAlone) {
  FakeJob& only = job(kFirst, JobState::transferring);
  JobsRun options;
  options.time_max = std::chrono::seconds{0};
  EXPECT_EQ(run(options), ExitCode::cancelled);
  EXPECT_TRUE(only.calls.empty());
  EXPECT_EQ(out_.json_lines().back().at("ended_by"), "--max-time");
}

TEST_F(JobsRunning, KeepsGoingUntilASignal) {
  JobsRun options;
  options.keep_going = true;
  job(kFirst, JobState::transferred);
  then([] {});
  then([] { pthread_kill(pthread_self(), SIGINT); });
  EXPECT_EQ(run(options), ExitCode::done);
  EXPECT_EQ(out_.json_lines().back().at("ended_by"), "SIGINT");
}

TEST_F(JobsRunning, APersonGetsALinePerChangeAndASummary) {
  options_.json = false;
  FakeJob& only = job(kFirst, JobState::queued);
  then([] {});
  then([&] { only.become(JobState::error, error_of(ErrorCode::network, "cdn is down")); });
  EXPECT_EQ(run(JobsRun{}), ExitCode::network);
  EXPECT_NE(err_.text().find(std::string(kFirst) + " queued\n"), std::string::npos);
  EXPECT_NE(err_.text().find("error: cdn is down (network "), std::string::npos) << err_.text();
  EXPECT_EQ(out_.text().find("1 error in "), 0u) << out_.text();
}

}  // namespace
}  // namespace lanward::cli
