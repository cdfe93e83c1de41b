#include "api/cli/paths.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/cli/support.h"

namespace lanward::cli {
namespace {

namespace fs = std::filesystem;
using lanward::testing::ScratchDirectory;

TEST(NameFromUrl, IsTheDecodedLastSegment) {
  EXPECT_EQ(name_from_url("http://h/a/disk.iso"), "disk.iso");
  EXPECT_EQ(name_from_url("HTTPS://h/a/disk%20one.iso?x=/y#z/w"), "disk one.iso");
  EXPECT_EQ(name_from_url("http://h/100%"), "100%");
  EXPECT_EQ(name_from_url("http://h/%zz%4"), "%zz%4");
  EXPECT_EQ(name_from_url("http://h/..%2e"), "...");
}

TEST(NameFromUrl, AsksForAnOutputWhenTheUrlHasNoSafeName) {
  const std::string long_name(300, 'a');
  for (const std::string& url :
       {std::string("http://h"), std::string("http://h/"), std::string("http://h/a/"),
        std::string("http://h/.."), std::string("http://h/%2e%2e"), std::string("http://h/."),
        std::string("http://h/..%2fetc%2fpasswd"), std::string("http://h/a%00b"),
        std::string("http://h/a%0ab"), std::string("http://h?x=/name"), "http://h/" + long_name}) {
    const auto name = name_from_url(url);
    ASSERT_FALSE(name) << url << " gave " << *name;
    EXPECT_EQ(name.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(name.error().message.find("-o"), std::string::npos);
  }
}

TEST(PlanDelivery, AFileNameIsTakenAsGiven) {
  const ScratchDirectory scratch;
  const auto plan = plan_delivery("http://h/disk.iso", scratch / "mine.iso");
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->directory, scratch.path());
  EXPECT_EQ(plan->name, "mine.iso");
  EXPECT_EQ(plan->working_directory, scratch / ".mine.iso.lanward");
}

TEST(PlanDelivery, ADirectoryKeepsTheNameOfTheUrl) {
  const ScratchDirectory scratch;
  for (const std::string& output : {scratch.path(), scratch.path() + "/"}) {
    const auto plan = plan_delivery("http://h/disk.iso", output);
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_EQ(plan->name, "disk.iso");
    EXPECT_TRUE(fs::equivalent(plan->directory, scratch.path()));
  }
}

TEST(PlanDelivery, LeavesTheNameOpenForAManifest) {
  const ScratchDirectory scratch;
  for (const char* source : {"some/disk.iso.torrent", "http://h/disk.iso.torrent?v=1"}) {
    const auto plan = plan_delivery(source, scratch.path());
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_EQ(plan->name, "");
    EXPECT_EQ(plan->working_directory, scratch / ".disk.iso.torrent.lanward");
  }
}

TEST(PlanDelivery, RefusesADestinationThatCannotBe) {
  const ScratchDirectory scratch;
  fs::create_directory(scratch / "disk.iso");
  std::ofstream(scratch / "file").put('x');
  for (const std::string& output :
       {scratch / "missing/", scratch / "missing/name", scratch / "file/name", scratch.path()}) {
    const auto plan = plan_delivery("http://h/disk.iso", output);
    ASSERT_FALSE(plan) << output;
    EXPECT_EQ(plan.error().code, ErrorCode::destination);
    EXPECT_NE(plan.error().message.find("choose another -o"), std::string::npos);
  }
}

TEST(DefaultStateDirectory, FollowsTheUser) {
  EXPECT_EQ(default_state_directory({true, "/x", "/root"}).value(), "/var/lib/lanward");
  EXPECT_EQ(default_state_directory({false, "/x", "/home/u"}).value(), "/x/lanward");
  EXPECT_EQ(default_state_directory({false, "", "/home/u"}).value(),
            "/home/u/.local/state/lanward");
  EXPECT_EQ(default_state_directory({false, "relative", "/home/u"}).value(),
            "/home/u/.local/state/lanward");
  const auto nowhere = default_state_directory({false, "", ""});
  ASSERT_FALSE(nowhere);
  EXPECT_NE(nowhere.error().message.find("--state"), std::string::npos);
}

TEST(WorkingDirectoryTest, IsCreatedOnceAndRemovedWithItsContents) {
  const ScratchDirectory scratch;
  const auto first = WorkingDirectory::create(scratch / ".x.lanward");
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_TRUE(first->is_new());
  std::ofstream(scratch / ".x.lanward/data").put('x');
  const auto second = WorkingDirectory::create(scratch / ".x.lanward");
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_FALSE(second->is_new());
  EXPECT_TRUE(second->remove());
  EXPECT_FALSE(fs::exists(scratch / ".x.lanward"));
}

TEST(WorkingDirectoryTest, DoesNotFollowALinkSomebodyPlanted) {
  const ScratchDirectory scratch;
  fs::create_directory(scratch / "victim");
  fs::create_directory_symlink(scratch / "victim", scratch / ".x.lanward");
  const auto created = WorkingDirectory::create(scratch / ".x.lanward");
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code, ErrorCode::destination);
  EXPECT_TRUE(fs::exists(scratch / "victim"));
}

TEST(WorkingDirectoryTest, SaysWhereItCannotBeCreated) {
  const ScratchDirectory scratch;
  const auto created = WorkingDirectory::create(scratch / "missing/.x.lanward");
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code, ErrorCode::destination);
  EXPECT_NE(created.error().message.find("missing/.x.lanward"), std::string::npos);
}

}  // namespace
}  // namespace lanward::cli
