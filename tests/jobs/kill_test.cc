// The process is killed at every step that cancel() and complete() take on the disk, one after the
// other, and a new engine on what it left has to make up for it. Real cache, real journal.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/core/merkle.h"
#include "engine/core/metainfo.h"
#include "engine/jobs/engine.h"
#include "engine/store/digest.h"
#include "engine/store/disk_store.h"
#include "engine/store/journal.h"
#include "engine/store/sha256.h"
#include "tests/jobs/kill_points.h"
#include "tests/support/fake_origins.h"
#include "tests/support/temporary_directory.h"

namespace lanward::jobs {
namespace {

namespace fs = std::filesystem;

// A file of four is longer than what one request asks for at once.
constexpr std::uint32_t kPieceBytes = 512 * 1024;
// More steps than any call takes: one that takes more never ends.
constexpr int kStepsMax = 500;
constexpr std::chrono::seconds kPatience{30};

// A loop that the test's thread runs. No timer ever fires: nothing here waits for one.
class HandLoop final : public ports::Loop {
 public:
  [[nodiscard]] core::Instant now() const override {
    return core::Instant(std::chrono::duration_cast<core::Duration>(
        std::chrono::steady_clock::now().time_since_epoch()));
  }
  void post(ports::Task task) override {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    posted_.notify_one();
  }
  [[nodiscard]] std::unique_ptr<ports::Timer> make_timer(ports::Task) override {
    return std::make_unique<Silent>();
  }
  // False: the condition did not come true in time.
  [[nodiscard]] bool run_until(const std::function<bool()>& condition) {
    while (!condition()) {
      std::unique_lock lock(mutex_);
      if (!posted_.wait_for(lock, kPatience, [this] { return !tasks_.empty(); })) return false;
      ports::Task task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
    }
    return true;
  }

 private:
  struct Silent final : ports::Timer {
    void arm(core::Instant) override {}
    void disarm() override {}
  };
  std::mutex mutex_;
  std::condition_variable posted_;
  std::deque<ports::Task> tasks_;
};

constexpr std::byte kByte{'x'};  // no zero: a hole would do for it

// The file number `n`, each of a length of its own.
core::Manifest manifest_of(std::uint32_t n) {
  const std::vector<std::byte> block(core::kBlockBytes, kByte);
  const std::vector<core::Digest> leaves(kPieceBytes / core::kBlockBytes, store::sha256(block));
  const std::uint32_t pieces = 4 + n;
  core::Content content;
  content.layout =
      core::PieceLayout(core::ByteCount{std::uint64_t{pieces} * kPieceBytes}, kPieceBytes);
  content.piece_hashes.assign(
      pieces, core::merkle_root(leaves, static_cast<std::uint32_t>(leaves.size()), core::Digest{},
                                &store::sha256));
  content.id = core::pieces_root(content.piece_hashes, content.layout, &store::sha256);
  return core::parse_metainfo(
             core::write_metainfo(
                 {.content = content, .name = "f", .web_seeds = {}, .trackers = {}}),
             &store::sha256)
      .value();
}

struct Way {
  bool keep_delivered = true;
  bool named_temporaries = false;
  bool share = false;
};

// One engine on a state directory, as a process has it.
struct Process {
  Process(const std::string& directory, const Way& way)
      : journal(store::SqliteJournal::open(directory + "/state").value()),
        store(store::DiskStore::open({.directory = directory + "/state/cache",
                                      .named_temporaries = way.named_temporaries})
                  .value()),
        engine(Ports{.loop = loop,
                     .origins = origins,
                     .store = *store,
                     .sha256 = &store::sha256,
                     .journal = journal.get(),
                     .hasher = &store::make_hasher},
               EngineSettings{.keep_delivered = way.keep_delivered}, core::Seed{1}) {
    engine.restore(journal->load().value());
  }
  ~Process() {
    bool closed = false;
    engine.close([&] { closed = true; });
    EXPECT_TRUE(loop.run_until([&] { return closed; })) << "the engine does not close";
  }

  Job& job() { return *engine.find(engine.ids(true).at(0)).value(); }
  // What became of the call.
  std::optional<ErrorCode> run(void (Job::*method)(Job::Done)) {
    std::optional<Result<void>> result;
    (job().*method)([&](Result<void> r) { result = std::move(r); });
    EXPECT_TRUE(loop.run_until([&] { return result.has_value(); })) << "the call hangs";
    if (!result || *result) return std::nullopt;
    return result->error().code;
  }
  bool wait(JobState state) {
    return loop.run_until([&] { return job().state() == state; });
  }
  bool wait_swept() {
    return loop.run_until([&] { return job().is_swept(); });
  }

  HandLoop loop;
  testing::FakeOrigins origins;
  std::unique_ptr<store::SqliteJournal> journal;
  std::unique_ptr<store::DiskStore> store;
  Engine engine;
};

bool is_running(JobState state) {
  return state == JobState::queued || state == JobState::connecting ||
         state == JobState::transferring;
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(directory, missing)) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

int index_rows(const std::string& directory) {
  sqlite3* db = nullptr;
  int rows = -1;
  EXPECT_EQ(sqlite3_open((directory + "/state/cache/index.sqlite").c_str(), &db), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(
                db, "SELECT count(*) FROM contents",
                [](void* out, int, char** values, char**) {
                  *static_cast<int*>(out) = std::atoi(values[0]);
                  return 0;
                },
                &rows, nullptr),
            SQLITE_OK);
  sqlite3_close(db);
  return rows;
}

class KillTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::string out() const { return work_ + "/out"; }
  [[nodiscard]] std::string destination(std::uint32_t n) const {
    return out() + "/" + std::to_string(n);
  }
  [[nodiscard]] static std::string whole(std::uint32_t n) {
    return std::string(manifest_of(n).content.layout.size().value, static_cast<char>(kByte));
  }

  // A queued job with one file per number, of which so many pieces are there.
  void prepare(const std::vector<std::uint32_t>& served, const Way& way) {
    way_ = way;
    fs::create_directories(out());
    Process process(work_, way_);
    JobId id;
    process.engine.create_job("job", {}, [&](Result<Job*> job) { id = job.value()->id(); });
    ASSERT_TRUE(process.loop.run_until([&] { return id != JobId{}; }));
    std::vector<FileSpec> files;
    for (std::uint32_t n = 0; n < served.size(); ++n) {
      files.push_back({.source = "http://cdn/f",
                       .urls = {{.url = "http://cdn/f"}},
                       .destination = destination(n),
                       .manifest = manifest_of(n),
                       .share_after_complete = way_.share});
    }
    bool added = false;
    process.job().add_files(std::move(files),
                            [&](const Result<void>& r) { added = r.has_value(); });
    ASSERT_TRUE(process.loop.run_until([&] { return added; }));
    ASSERT_FALSE(process.run(&Job::resume));
    std::uint64_t due = 0;
    for (std::uint32_t n = 0; n < served.size(); ++n) {
      due += served[n] * std::uint64_t{kPieceBytes};
      serve_until(process, [&] {
        return process.job().progress().verified_bytes >= due &&
               (served[n] < manifest_of(n).content.layout.piece_count() ||
                process.job().files()[n].transferred);
      });
    }
  }
  static void serve_one(Process& process) {
    auto node = process.origins.open.extract(process.origins.open.begin());
    testing::FakeOrigins::Request& request = node.mapped();
    const std::vector<std::byte> bytes(core::kBlockBytes, kByte);
    for (std::uint64_t at = request.span.begin; at < request.span.end; at += bytes.size()) {
      ASSERT_EQ(request.sink->accept(bytes), ports::RangeSink::Accept::taken);
    }
    request.sink->finish();
    request.facts(core::RangeFinished{node.key().second});
  }
  static void serve_until(Process& process, const std::function<bool()>& condition) {
    while (!condition()) {
      ASSERT_TRUE(
          process.loop.run_until([&] { return condition() || !process.origins.open.empty(); }));
      if (condition()) return;
      // A request is of whole pieces.
      const std::uint64_t before = process.job().progress().verified_bytes;
      serve_one(process);
      ASSERT_TRUE(
          process.loop.run_until([&] { return process.job().progress().verified_bytes > before; }));
    }
  }

  struct End {
    bool killed = false;
    bool returned = false;  // the call had said that it is done
  };
  // A process of its own on a copy of what was prepared, killed at this step of `method`.
  End kill_during(void (Job::*method)(Job::Done), JobState from, int step) {
    fs::remove_all(work_);
    fs::copy(kept_, work_, fs::copy_options::recursive);
    int pipe[2];
    EXPECT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      Process process(work_, way_);
      if (!process.wait(from)) ::_exit(2);
      testing::kill_at_step(step);
      if (process.run(method)) ::_exit(3);
      if (::write(pipe[1], "r", 1) != 1 || !process.wait_swept()) ::_exit(4);
      testing::kill_at_step(0);
      ::_exit(0);
    }
    ::close(pipe[1]);
    char said = 0;
    End end{.returned = ::read(pipe[0], &said, 1) == 1};
    ::close(pipe[0]);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    end.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    EXPECT_TRUE(end.killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
        << "step " << step << ": status " << status;
    return end;
  }
  // Until the call is through before its turn comes to be killed.
  void at_every_step(void (Job::*method)(Job::Done), JobState from,
                     const std::function<void(const End&, int)>& check) {
    fs::rename(work_, kept_);
    int step = 1;
    for (; step < kStepsMax; ++step) {
      SCOPED_TRACE("killed at step " + std::to_string(step));
      const End end = kill_during(method, from, step);
      check(end, step);
      if (!end.killed || HasFailure()) break;
    }
    EXPECT_LT(step, kStepsMax);
    // A change of the journal and one of the cache or of the destination at the least.
    EXPECT_GT(step, 5) << "nothing was killed";
    RecordProperty("steps", step);
    std::printf("%d steps\n", step - 1);
  }

  void check_cancelled(const End& end) {
    {
      Process next(work_, way_);
      if (end.returned) {
        EXPECT_EQ(next.job().state(), JobState::cancelled);
      }
      if (!next.job().is_final()) {
        EXPECT_FALSE(next.run(&Job::cancel));
      }
      EXPECT_EQ(next.job().state(), JobState::cancelled);
      EXPECT_TRUE(next.wait_swept());
    }
    EXPECT_EQ(names_in(work_ + "/state/cache/data"), std::vector<std::string>{});
    EXPECT_EQ(names_in(out()), std::vector<std::string>{});
    EXPECT_EQ(index_rows(work_), 0);
  }

  // Nobody served a byte meanwhile, so what is delivered now was there.
  void check_completed(const End& end, const std::vector<std::uint32_t>& delivered,
                       bool cancel_instead) {
    const auto whole_or_none = [&] {
      for (const std::uint32_t n : delivered) {
        EXPECT_TRUE(!fs::exists(destination(n)) || read_file(destination(n)) == whole(n));
      }
    };
    {
      Process next(work_, way_);
      whole_or_none();
      if (end.returned) {
        EXPECT_EQ(next.job().state(), JobState::acknowledged);
      }
      if (!next.job().is_final() && cancel_instead) {
        EXPECT_FALSE(next.run(&Job::cancel));
        EXPECT_TRUE(next.wait_swept());
        whole_or_none();
      } else if (!next.job().is_final()) {
        EXPECT_FALSE(next.run(&Job::complete));
        EXPECT_TRUE(next.wait_swept());
      }
      cancel_instead = next.job().state() == JobState::cancelled;
    }
    std::vector<std::string> expected;
    for (const std::uint32_t n : delivered) {
      if (cancel_instead && !fs::exists(destination(n))) continue;
      expected.push_back(std::to_string(n));
      EXPECT_TRUE(read_file(destination(n)) == whole(n));
    }
    EXPECT_EQ(names_in(out()), expected) << "a temporary file is left";
    // What was delivered is the cache's, like any other content.
    if (cancel_instead) {
      EXPECT_LE(index_rows(work_), static_cast<int>(expected.size()));
    }
  }

  support::TemporaryDirectory directory_;
  std::string work_ = directory_.path("work");
  std::string kept_ = directory_.path("kept");
  Way way_;
};

TEST_F(KillTest, CancelOfARunningJobIsFinishedByTheNextEngine) {
  ASSERT_NO_FATAL_FAILURE(prepare({2}, {}));
  at_every_step(&Job::cancel, JobState::transferring,
                [&](const End& end, int) { check_cancelled(end); });
}

TEST_F(KillTest, CancelOfATransferredJobIsFinishedByTheNextEngine) {
  ASSERT_NO_FATAL_FAILURE(prepare({4, 5}, {}));
  at_every_step(&Job::cancel, JobState::transferred,
                [&](const End& end, int) { check_cancelled(end); });
}

// Every other time the next engine cancels what the last one was completing.
TEST_F(KillTest, CompleteThatKeepsItsPiecesIsDoneWhollyOrCanBeRepeated) {
  ASSERT_NO_FATAL_FAILURE(prepare({4, 5}, {}));
  at_every_step(&Job::complete, JobState::transferred, [&](const End& end, int step) {
    check_completed(end, {0, 1}, step % 2 == 0);
  });
}

TEST_F(KillTest, CompleteByANamedTemporaryFileLeavesNone) {
  ASSERT_NO_FATAL_FAILURE(prepare({4}, {.named_temporaries = true}));
  at_every_step(&Job::complete, JobState::transferred,
                [&](const End& end, int step) { check_completed(end, {0}, step % 2 == 0); });
}

TEST_F(KillTest, CompleteThatGivesItsPiecesAwayIsDoneWhollyOrCanBeRepeated) {
  ASSERT_NO_FATAL_FAILURE(prepare({4, 5}, {.keep_delivered = false}));
  at_every_step(&Job::complete, JobState::transferred, [&](const End& end, int step) {
    check_completed(end, {0, 1}, step % 2 == 0);
  });
}

TEST_F(KillTest, CompleteThatSharesTheDeliveredFileIsDoneWhollyOrCanBeRepeated) {
  ASSERT_NO_FATAL_FAILURE(prepare({4}, {.keep_delivered = false, .share = true}));
  at_every_step(&Job::complete, JobState::transferred,
                [&](const End& end, int step) { check_completed(end, {0}, step % 2 == 0); });
}

TEST_F(KillTest, WhatCompleteDroppedStaysDropped) {
  ASSERT_NO_FATAL_FAILURE(prepare({4, 2}, {}));
  at_every_step(&Job::complete, JobState::transferring, [&](const End& end, int) {
    {
      Process next(work_, way_);
      // Either the call did not happen, or the second file is not fetched any more.
      const JobState state = next.job().state();
      EXPECT_TRUE(state == JobState::transferred || state == JobState::acknowledged ||
                  (!end.returned && is_running(state)))
          << to_string(state);
    }
    check_completed(end, {0}, false);
  });
}

}  // namespace
}  // namespace lanward::jobs
