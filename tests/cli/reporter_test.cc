#include "api/cli/reporter.h"

#include <gtest/gtest.h>

#include <cctype>
#include <string>

#include "tests/cli/support.h"

namespace lanward::cli {
namespace {

using lanward::testing::Capture;
using nlohmann::json;

constexpr std::uint64_t kMiB = 1024 * 1024;

Summary summary() {
  Summary summary;
  summary.file.destination = "/d/disk.iso";
  summary.file.total_bytes = 100 * kMiB;
  summary.file.integrity = Integrity::manifest;
  summary.progress.origin_bytes = 30 * kMiB;
  summary.progress.peer_bytes = 62 * kMiB;
  summary.progress.cached_bytes = 10 * kMiB;
  summary.progress.wasted_bytes = 2 * kMiB;
  summary.sources = {{SourceKind::peer, "10.0.0.2:1", 20 * kMiB, 2 * kMiB, 5, true},
                     {SourceKind::peer, "10.0.0.3:1", 42 * kMiB, 0, 0, false},
                     {SourceKind::peer, "10.0.0.4:1", 0, 0, 7 * kMiB, false},
                     {SourceKind::origin, "http://cdn/disk.iso", 30 * kMiB, 0, 0, false}};
  summary.elapsed = std::chrono::milliseconds{2000};
  return summary;
}

bool is_rfc3339(std::string text) {
  for (char& c : text) {
    if (std::isdigit(static_cast<unsigned char>(c)) != 0) c = '0';
  }
  return text == "0000-00-00T00:00:00.000Z";
}

class ReporterTest : public ::testing::Test {
 protected:
  Streams streams() { return {out_.stream(), err_.stream()}; }
  Capture out_;
  Capture err_;
};

TEST_F(ReporterTest, HumanSummaryNamesEverySourceThatGaveBytes) {
  make_human_reporter(streams())->delivered(summary());
  EXPECT_EQ(out_.text(),
            "/d/disk.iso: 100.0 MiB in 2.0 s (45.0 MiB/s)\n"
            "  from CDN       30.0 MiB   30%  http://cdn/disk.iso\n"
            "  from peer      42.0 MiB   42%  10.0.0.3:1\n"
            "  from peer      20.0 MiB   20%  10.0.0.2:1 (banned: sent wrong bytes)\n"
            "  from cache     10.0 MiB   10%\n"
            "  duplicates      2.0 MiB    2%\n"
            "  integrity   verified against the SHA-256 hash tree of its manifest\n");
  EXPECT_EQ(err_.text(), "");
}

TEST_F(ReporterTest, HumanSummarySaysWhenNothingVouchesForTheBytes) {
  Summary unverified = summary();
  unverified.file.integrity = Integrity::transport;
  make_human_reporter(streams())->delivered(unverified);
  EXPECT_NE(out_.text().find("NOT verified"), std::string::npos);
}

TEST_F(ReporterTest, ADigestCountsAsVerifiedUnlessItCanBeForged) {
  for (const auto& [digest, verified] :
       {std::pair{"sha-256=00", true}, std::pair{"sha-512=00", true}, std::pair{"sha-1=00", false},
        std::pair{"md5=00", false}}) {
    Summary by_digest = summary();
    by_digest.file.integrity = Integrity::digest;
    by_digest.file.digest = digest;
    Capture human;
    make_human_reporter({human.stream(), err_.stream()})->delivered(by_digest);
    EXPECT_EQ(human.text().find("accidents only") == std::string::npos, verified) << digest;
    Capture program;
    make_json_reporter({program.stream(), err_.stream()})->delivered(by_digest);
    EXPECT_EQ(program.json_lines().at(0).at("verified"), verified) << digest;
    EXPECT_EQ(program.json_lines().at(0).at("digest"), digest);
  }
}

TEST_F(ReporterTest, TheFilesOfAMetalinkAreAllNamed) {
  Summary several = summary();
  several.others = {summary().file};
  several.others[0].destination = "/d/other.iso";
  make_human_reporter(streams())->delivered(several);
  EXPECT_NE(out_.text().find("2 files: 200.0 MiB"), std::string::npos) << out_.text();
  EXPECT_NE(out_.text().find("/d/disk.iso"), std::string::npos);
  EXPECT_NE(out_.text().find("/d/other.iso"), std::string::npos);
  Capture program;
  make_json_reporter({program.stream(), err_.stream()})->delivered(several);
  const json line = program.json_lines().at(0);
  ASSERT_EQ(line.at("files").size(), 2u);
  EXPECT_EQ(line.at("files")[1].at("file"), "/d/other.iso");
}

TEST_F(ReporterTest, WhyThereAreNoPeersIsToldOnceIfSomethingCanBeDoneAboutIt) {
  const auto reporter = make_human_reporter(streams());
  Progress progress;
  const auto tell = [&](PeersReason reason, const char* text) {
    progress.peers_answer = {.reason = reason, .text = text};
    reporter->progress(progress, JobState::transferring);
    reporter->progress(progress, JobState::transferring);
  };
  tell(PeersReason::connected, "2 peers");
  tell(PeersReason::not_asked, "--no-peers");
  tell(PeersReason::looking, "for 0 s");
  EXPECT_EQ(err_.text().find("no peers"), std::string::npos) << err_.text();
  tell(PeersReason::private_content, "private");
  tell(PeersReason::busy, "busy");
  const std::string text = err_.text();
  EXPECT_NE(text.find("no peers: private\n"), std::string::npos) << text;
  EXPECT_NE(text.find("no peers: busy\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("no peers: private", text.find("no peers: private") + 1), std::string::npos);
}

TEST_F(ReporterTest, HumanSummarySaysWhyNothingCameFromPeers) {
  Summary alone = summary();
  alone.progress.peers_answer = {.reason = PeersReason::private_content, .text = "it is private"};
  const auto shown = [&] {
    Capture human;
    make_human_reporter({human.stream(), err_.stream()})->delivered(alone);
    return human.text().find("it is private") != std::string::npos;
  };
  EXPECT_FALSE(shown()) << "there were peers";
  alone.progress.peer_bytes = 0;
  EXPECT_TRUE(shown());
  alone.progress.peers_answer.reason = PeersReason::mode;
  EXPECT_FALSE(shown()) << "whoever runs the command has said so";
}

TEST_F(ReporterTest, PlainOutputRepeatsNoState) {
  const auto reporter = make_human_reporter(streams());
  reporter->state(JobState::connecting, {});
  reporter->state(JobState::connecting, {});
  reporter->state(JobState::transient_error, Error{ErrorCode::network, "cdn is down"});
  EXPECT_EQ(err_.text(), "connecting\nwaiting to retry: cdn is down\n");
}

TEST_F(ReporterTest, OutsideNamesCannotSteerTheTerminal) {
  const auto reporter = make_human_reporter(streams());
  FileStatus file;
  file.note = "evil\x1b[2J\n";
  reporter->note(file);
  reporter->failed(Error{ErrorCode::network, "bad\rname"}, ExitCode::network, "");
  EXPECT_EQ(err_.text(), "note: evil?[2J?\nlanward: bad?name\n");
}

TEST_F(ReporterTest, AFailureTellsWhereThePiecesAre) {
  make_quiet_reporter(streams())->failed(Error{ErrorCode::network, "cdn is gone"},
                                         ExitCode::network, "/d/.x.lanward");
  EXPECT_EQ(err_.text(),
            "lanward: cdn is gone [verified pieces are kept in '/d/.x.lanward': the same command "
            "continues from there]\n");
}

TEST_F(ReporterTest, QuietPrintsNothingOfASuccess) {
  const auto reporter = make_quiet_reporter(streams());
  reporter->listening({"0.0.0.0", 1});
  reporter->state(JobState::connecting, {});
  reporter->progress({}, JobState::transferring);
  reporter->delivered(summary());
  EXPECT_EQ(out_.text() + err_.text(), "");
}

TEST_F(ReporterTest, JsonEventsHaveTheDocumentedFields) {
  const auto reporter = make_json_reporter(streams());
  reporter->listening({"127.0.0.1", 4711});
  reporter->state(JobState::transient_error, Error{ErrorCode::network, "down"});
  reporter->note(
      {.source = {}, .destination = {}, .integrity = Integrity::transport, .note = "no manifest"});
  Progress progress = summary().progress;
  reporter->progress(progress, JobState::transferring);
  progress.total_known = true;
  progress.total_bytes = 100 * kMiB;
  progress.verified_bytes = 50 * kMiB;
  progress.rate_bytes_per_s = 7;
  progress.peers_connected = 3;
  progress.peers_answer = {.reason = PeersReason::busy, .text = "all busy"};
  reporter->progress(progress, JobState::transferring);
  reporter->delivered(summary());
  reporter->sharing({"127.0.0.1", 4711}, Share{});
  reporter->sharing({"127.0.0.1", 4711}, Share{std::chrono::seconds{9}});
  reporter->share_ended(summary().sources);
  reporter->failed(Error{ErrorCode::integrity, "piece 7"}, ExitCode::integrity, "/k");
  auto lines = out_.json_lines();
  for (json& line : lines) {
    EXPECT_TRUE(is_rfc3339(line.at("time").get<std::string>())) << line;
    EXPECT_GE(line.at("elapsed").get<double>(), 0.0);
    line.erase("time");
    line.erase("elapsed");
  }
  ASSERT_EQ(lines.size(), 10u);
  EXPECT_EQ(lines[0],
            json::parse(R"({"event":"listening","address":"127.0.0.1","port":4711,"group":null})"));
  EXPECT_EQ(lines[1], json::parse(R"({"event":"state","state":"transient_error",
                                      "error":{"code":"network","message":"down"}})"));
  EXPECT_EQ(lines[2], json::parse(R"({"event":"note","message":"no manifest",
                                      "integrity":"transport","digest":null})"));
  EXPECT_EQ(lines[3].at("size"), nullptr);
  EXPECT_EQ(lines[4], json::parse(R"({"event":"progress","state":"transferring","size":104857600,
      "done":52428800,"cached":10485760,"bytes_from_origin":31457280,"bytes_from_peers":65011712,
      "wasted":2097152,"rate":7,"peers":3,"peers_answer":"busy","peers_text":"all busy"})"));
  json source = lines[5].at("sources").at(0);
  lines[5].erase("sources");
  EXPECT_EQ(lines[5], json::parse(R"({"event":"summary","file":"/d/disk.iso","size":104857600,
      "seconds":2.0,"bytes_from_origin":31457280,"bytes_from_peers":65011712,"wasted":2097152,
      "cached":10485760,"integrity":"manifest","verified":true,"digest":null,"peers_answer":"idle",
      "peers_text":"","files":[]})"));
  EXPECT_EQ(source, json::parse(R"({"kind":"peer","name":"10.0.0.2:1","received":20971520,
                                    "wasted":2097152,"served":5,"banned":true,"class":"lan"})"));
  EXPECT_EQ(lines[6].at("seconds"), nullptr);
  EXPECT_EQ(lines[7].at("seconds"), 9);
  EXPECT_EQ(lines[8].at("sources").size(), 4u);
  EXPECT_EQ(lines[9], json::parse(R"({"event":"error","code":"integrity","message":"piece 7",
                                      "exit_code":4,"kept":"/k"})"));
  EXPECT_NE(err_.text().find("lanward: piece 7"), std::string::npos);
}

TEST_F(ReporterTest, JsonSurvivesANameThatIsNoUtf8) {
  Summary odd = summary();
  odd.file.destination = "/d/\xff\xfe\n";
  make_json_reporter(streams())->delivered(odd);
  EXPECT_EQ(out_.json_lines().size(), 1u);
}

TEST_F(ReporterTest, JsonDescribesAPublishedFile) {
  make_json_reporter(streams())->published({"f.torrent", "ab12", 10, 262144});
  auto line = out_.json_lines().at(0);
  line.erase("time");
  line.erase("elapsed");
  EXPECT_EQ(line, json::parse(R"({"event":"published","manifest":"f.torrent","infohash":"ab12",
                                  "size":10,"piece_length":262144})"));
}

}  // namespace
}  // namespace lanward::cli
