#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

#include "api/cli/commands.h"
#include "tests/cli/fake_engine.h"
#include "tests/cli/support.h"

namespace lanward::cli {
namespace {

using lanward::testing::Capture;
using lanward::testing::fake_engine;
using lanward::testing::FakeEngine;

class PublishCommand : public ::testing::Test {
 protected:
  void SetUp() override { fake_engine() = FakeEngine{}; }

  ExitCode run() {
    auto waiter = Waiter::create();
    const auto reporter = make_reporter(options_.json, false, {out_.stream(), err_.stream()});
    return run_publish(options_, *reporter, **waiter);
  }

  PublishOptions options_;
  Capture out_;
  Capture err_;
};

TEST_F(PublishCommand, PrintsWhatWasPublished) {
  options_.file = "f";
  options_.urls = {"http://a/f"};
  options_.trackers = {"http://t"};
  options_.output = "o.torrent";
  fake_engine().published = Published{"o.torrent", "abcd", 1536, 262144};
  EXPECT_EQ(run(), ExitCode::done);
  EXPECT_EQ(out_.text(),
            "o.torrent\n"
            "  infohash     abcd\n"
            "  size         1.5 KiB (1536 bytes)\n"
            "  piece length 256.0 KiB\n");
  EXPECT_EQ(fake_engine().publish_request->file, "f");
  EXPECT_EQ(fake_engine().publish_request->urls, options_.urls);
  EXPECT_EQ(fake_engine().publish_request->trackers, options_.trackers);
  EXPECT_EQ(fake_engine().publish_request->output, "o.torrent");
}

TEST_F(PublishCommand, FailsWithTheCodeOfTheCause) {
  fake_engine().published = fail(ErrorCode::not_found, "there is no file 'f'");
  EXPECT_EQ(run(), ExitCode::usage);
  EXPECT_EQ(err_.text(), "lanward: there is no file 'f'\n");
}

TEST_F(PublishCommand, ASignalEndsTheProcessWithItsCode) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        fake_engine().while_publishing = [] { pthread_kill(pthread_self(), SIGINT); };
        PublishOptions options;
        auto waiter = Waiter::create();
        const auto reporter = make_reporter(false, false, {});
        std::exit(static_cast<int>(run_publish(options, *reporter, **waiter)));
      },
      ::testing::ExitedWithCode(7), "cancelled by SIGINT");
}

}  // namespace
}  // namespace lanward::cli
