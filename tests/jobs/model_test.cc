// Random calls, bytes and crashes, compared step by step with a small model of the job queue.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "engine/core/prng.h"
#include "tests/jobs/job_world.h"

namespace lanward::jobs {
namespace {

using namespace std::chrono_literals;

constexpr int kSequences = 300;
constexpr int kSteps = 40;
constexpr std::size_t kJobsMax = 3;  // at a time that are not final
constexpr std::uint8_t kContents = 3;

// What callers can tell apart, whatever the engine is just doing.
enum class Is : std::uint8_t { suspended, running, error, transferred, acknowledged, cancelled };

Is seen(JobState state) {
  switch (state) {
    case JobState::suspended:
      return Is::suspended;
    case JobState::queued:
    case JobState::connecting:
    case JobState::transferring:
    case JobState::transient_error:
      return Is::running;
    case JobState::error:
      return Is::error;
    case JobState::transferred:
      return Is::transferred;
    case JobState::acknowledged:
      return Is::acknowledged;
    case JobState::cancelled:
      return Is::cancelled;
  }
  return Is::error;
}

bool is_final(Is is) { return is == Is::acknowledged || is == Is::cancelled; }

// ---- the model ---------------------------------------------------------------------------------

struct ModelFile {
  std::uint8_t content = 0;
  std::string destination;
  bool transferred = false;
  bool delivered = false;
  bool dropped = false;
};

struct ModelJob {
  JobId id;
  Is is = Is::suspended;
  std::vector<ModelFile> files;
};

class Model {
 public:
  // The answers that are expected: nothing for success.
  using Expected = std::optional<ErrorCode>;

  Expected add(ModelJob& job, std::uint8_t content, const std::string& destination) {
    if (is_final(job.is)) return ErrorCode::invalid_state;
    job.files.push_back({.content = content, .destination = destination});
    if (job.is == Is::transferred) job.is = Is::suspended;
    return {};
  }
  Expected resume(ModelJob& job) {
    if (is_final(job.is)) return ErrorCode::invalid_state;
    if (job.files.empty()) return ErrorCode::job_empty;
    if (job.is != Is::transferred) job.is = Is::running;
    return {};
  }
  Expected suspend(ModelJob& job) {
    if (is_final(job.is)) return ErrorCode::invalid_state;
    if (job.is == Is::running) job.is = Is::suspended;
    return {};
  }
  Expected cancel(ModelJob& job) {
    if (is_final(job.is)) return ErrorCode::invalid_state;
    job.is = Is::cancelled;
    for (const ModelFile& file : job.files) {
      if (!file.delivered) purge(file.content);
    }
    return {};
  }
  // `disk_full`: the store can deliver nothing.
  Expected complete(ModelJob& job, bool disk_full) {
    if (is_final(job.is)) return ErrorCode::invalid_state;
    for (ModelFile& file : job.files) file.dropped = !file.transferred;
    for (const ModelFile& file : job.files) {
      if (file.dropped) purge(file.content);
    }
    bool failed = false;
    for (ModelFile& file : job.files) {
      if (file.dropped || file.delivered) continue;
      failed = failed || disk_full;
      file.delivered = !disk_full;
    }
    job.is = failed ? Is::transferred : Is::acknowledged;
    return failed ? Expected{ErrorCode::disk_full} : std::nullopt;
  }
  // Files are fetched in their order; what is all there need not be.
  void settle(const std::set<std::uint8_t>& open, bool open_fails) {
    for (ModelJob& job : jobs) {
      if (job.is != Is::running) continue;
      bool all = true;
      for (ModelFile& file : job.files) {
        if (file.transferred || file.dropped) continue;
        if (open_fails && !open.contains(file.content)) job.is = Is::error;
        all = job.is == Is::running && have[file.content].size() == kPieces;
        if (!all) break;
        file.transferred = true;
      }
      if (all) job.is = Is::transferred;
    }
  }
  // Nothing tells a restart that a file of a job that is not transferred was dropped.
  void restart() {
    for (ModelJob& job : jobs) {
      if (is_final(job.is) || job.is == Is::transferred) continue;
      for (ModelFile& file : job.files) file.dropped = false;
    }
  }
  [[nodiscard]] bool referred(std::uint8_t content) const {
    return std::any_of(jobs.begin(), jobs.end(), [&](const ModelJob& job) {
      return !is_final(job.is) &&
             std::any_of(job.files.begin(), job.files.end(), [&](const ModelFile& f) {
               return f.content == content && !f.dropped && !f.delivered;
             });
    });
  }
  [[nodiscard]] std::set<std::string> delivered() const {
    std::set<std::string> set;
    for (const ModelJob& job : jobs) {
      for (const ModelFile& file : job.files) {
        if (file.delivered) set.insert(file.destination);
      }
    }
    return set;
  }

  std::vector<ModelJob> jobs;
  std::map<std::uint8_t, std::set<std::uint32_t>> have;  // pieces in the cache, by content

 private:
  void purge(std::uint8_t content) {
    if (!referred(content)) have[content].clear();
  }
};

// ---- the walk ----------------------------------------------------------------------------------

class Walk {
 public:
  explicit Walk(std::uint64_t seed) : prng_(core::Seed{seed}) {}

  void go() {
    make_job();
    for (int n = 0; n < kSteps && !::testing::Test::HasFailure(); ++n) {
      step();
      check();
    }
    // Nobody wants anything any more.
    for (ModelJob& job : model_.jobs) {
      if (is_final(job.is)) continue;
      std::ignore = model_.cancel(job);
      world_.run(job.id, &Job::cancel);
      story_ << "cancel at the end\n";
      check();
    }
  }
  [[nodiscard]] std::string story() const { return story_.str(); }

 private:
  [[nodiscard]] std::uint64_t below(std::uint64_t n) { return prng_.next() % n; }

  void make_job() {
    model_.jobs.push_back({.id = world_.create()});
    if (below(3) == 0) {
      world_.run_change(model_.jobs.back().id, {.priority = Priority::foreground});
    }
    story_ << "create job " << model_.jobs.size() - 1 << "\n";
  }

  void step() {
    const auto open_jobs = std::count_if(model_.jobs.begin(), model_.jobs.end(),
                                         [](const ModelJob& j) { return !is_final(j.is); });
    const std::uint64_t what = below(20);
    if (open_jobs == 0 || (what == 0 && open_jobs < static_cast<long>(kJobsMax))) return make_job();
    if (what <= 8) return serve();
    if (what == 9) return fail_request();
    if (what == 10) return restart("restart");
    // Mostly one that is not final.
    std::size_t at = below(model_.jobs.size());
    if (is_final(model_.jobs[at].is)) at = below(model_.jobs.size());
    if (what == 11) return killed_call(at);
    call(at);
  }

  // One request is answered; without any, time passes.
  void serve() {
    if (world_.origins.open.empty()) return world_.loop.advance(30s);
    const auto& request = world_.origins.oldest();
    const auto content = static_cast<std::uint8_t>(request.url.back() - '0');
    story_ << "serve " << request.url << " " << request.span.begin << "-" << request.span.end
           << "\n";
    for (std::uint64_t at = request.span.begin; at < request.span.end; at += kPiece) {
      EXPECT_TRUE(model_.have[content].insert(static_cast<std::uint32_t>(at / kPiece)).second)
          << "a piece was fetched that is there";
    }
    world_.serve_one();
    model_.settle(opened(), false);
  }
  void fail_request() {
    if (world_.origins.open.empty()) return;
    story_ << "transient failure\n";
    world_.origins.fail(core::FailureClass::transient);
    world_.loop.run();
  }
  void restart(const char* why) {
    story_ << why << "\n";
    world_.kill();
    world_.journal.hold = false;
    model_.restart();
    world_.start();
    model_.settle({}, false);
  }

  [[nodiscard]] std::set<std::uint8_t> opened() const {
    std::set<std::uint8_t> set;
    for (std::uint8_t n = 1; n <= kContents; ++n) {
      if (world_.store.open_contents.contains(content_id(n))) set.insert(n);
    }
    return set;
  }

  struct Made {
    Answer answer;
    Model::Expected expected;
  };
  static constexpr std::array kMethods{&Job::resume, &Job::suspend, &Job::cancel, &Job::complete};
  static constexpr std::array kNames{"resume", "suspend", "cancel", "complete"};

  Made make_call(std::size_t at, std::uint64_t which, bool fails) {
    ModelJob& job = model_.jobs[at];
    story_ << kNames.at(which) << " job " << at << (fails ? " with a full disk" : "") << "\n";
    Made made{.answer = world_.call(job.id, kMethods.at(which)), .expected = {}};
    made.expected = which == 0   ? model_.resume(job)
                    : which == 1 ? model_.suspend(job)
                    : which == 2 ? model_.cancel(job)
                                 : model_.complete(job, fails);
    return made;
  }

  void call(std::size_t at) {
    const std::uint64_t which = below(10);
    if (which >= 7) return change(at);
    if (which >= 4) return add(at);
    // Cancel and complete end a job: not every second time.
    if (which >= 2 && below(2) == 0) return;
    const bool fails = below(5) == 0;
    const std::set<std::uint8_t> open = opened();
    const Error full{ErrorCode::disk_full, "no space"};
    if (fails) world_.store.open_error = world_.store.deliver_error = full;
    const bool was_running = model_.jobs[at].is == Is::running;
    // complete() of a job that a restart found transferred opens its contents first.
    const Made made = make_call(at, which, fails);
    world_.loop.run();
    world_.store.open_error.reset();
    world_.store.deliver_error.reset();
    EXPECT_EQ(made.answer.error(), made.expected);
    EXPECT_TRUE(made.answer.is_there());
    model_.settle(open, fails && !was_running);
  }
  void add(std::size_t at) {
    ModelJob& job = model_.jobs[at];
    const auto content = static_cast<std::uint8_t>(1 + below(kContents));
    const std::string destination = "/out/" + std::to_string(destinations_++);
    story_ << "add content " << int{content} << " to job " << at << "\n";
    const Answer answer = world_.add(job.id, file_of(content, destination));
    world_.loop.run();
    EXPECT_EQ(answer.error(), model_.add(job, content, destination));
    model_.settle(opened(), false);
  }
  void change(std::size_t at) {
    const ModelJob& job = model_.jobs[at];
    const auto priority = below(2) == 0 ? Priority::foreground : Priority::low;
    story_ << "change job " << at << "\n";
    const Answer answer = world_.change(job.id, {.priority = priority});
    world_.loop.run();
    EXPECT_EQ(answer.error(),
              is_final(job.is) ? Model::Expected{ErrorCode::invalid_state} : std::nullopt);
  }
  // The engine dies in the middle of a call: before it is durable, or right after.
  void killed_call(std::size_t at) {
    const bool durable = below(2) == 0;
    world_.journal.hold = true;
    const Model before = model_;
    const std::uint64_t which = below(3);  // of complete() nothing is durable at once
    const Made made = make_call(at, which, false);
    if (durable) {
      world_.journal.release_one();
    } else {
      model_ = before;
    }
    restart(durable ? "killed after the save" : "killed before the save");
  }

  void check() {
    world_.loop.run();
    bool anybody_runs = false;
    for (std::size_t n = 0; n < model_.jobs.size(); ++n) {
      const ModelJob& job = model_.jobs[n];
      anybody_runs = anybody_runs || job.is == Is::running;
      EXPECT_EQ(seen(world_.state(job.id)), job.is)
          << "job " << n << " is " << to_string(world_.state(job.id));
      EXPECT_EQ(seen(world_.durable(job.id)), job.is) << "job " << n << " in the journal";
      EXPECT_EQ(world_.job(job.id).is_swept(), is_final(job.is));
      check_files(n);
    }
    EXPECT_TRUE(anybody_runs || world_.origins.open.empty()) << "a request for nobody";
    EXPECT_EQ(world_.store.misuses, 0);
    std::set<std::string> delivered;
    for (const auto& [destination, how] : world_.store.delivered) delivered.insert(destination);
    EXPECT_EQ(delivered, model_.delivered());
    for (std::uint8_t n = 1; n <= kContents; ++n) {
      if (!opened().contains(n)) {
        EXPECT_EQ(world_.cached(n), model_.have[n].size()) << "content " << int{n};
      }
    }
  }
  void check_files(std::size_t n) {
    const ModelJob& job = model_.jobs[n];
    const std::vector<FileStatus> files = world_.job(job.id).files();
    ASSERT_EQ(files.size(), job.files.size()) << "job " << n;
    for (std::size_t i = 0; i < files.size(); ++i) {
      EXPECT_EQ(files[i].completed, job.files[i].delivered) << "job " << n << " file " << i;
      if (is_final(job.is)) continue;
      EXPECT_EQ(files[i].transferred, job.files[i].transferred) << "job " << n << " file " << i;
    }
  }

  core::Prng prng_;
  JobWorld world_;
  Model model_;
  std::uint64_t destinations_ = 0;
  std::ostringstream story_;
};

void replay(std::uint64_t seed) {
  Walk walk(seed);
  walk.go();
  if (::testing::Test::HasFailure()) {
    std::cout << "JOB_SEED=" << seed << " replays this:\n" << walk.story();
  }
}

TEST(JobModelTest, RandomCallsBytesAndCrashesDoWhatTheModelSays) {
  if (const char* one = std::getenv("JOB_SEED"); one != nullptr) {
    return replay(std::strtoull(one, nullptr, 10));
  }
  const auto first =
      static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  std::cout << "JOB_SEED from " << first << " on\n";
  for (std::uint64_t n = 0; n < kSequences && !HasFailure(); ++n) replay(first + n);
}

}  // namespace
}  // namespace lanward::jobs
