#include "api/cli/job_lookup.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lanward::cli {
namespace {

JobId id_of(const char* text) { return parse_job_id(text).value(); }

const std::vector<JobId>& jobs() {
  static const std::vector<JobId> all{
      id_of("1b4e28ba-2fa1-41d2-883f-b9a761bde3fb"), id_of("1b4e28ba-2fa1-41d2-883f-b9a761bde3fc"),
      id_of("1b4effff-0000-4000-8000-000000000000"), id_of("1b4eeeee-0000-4000-8000-000000000000"),
      id_of("a0b1c2d3-0000-4000-8000-000000000000")};
  return all;
}

TEST(FindJob, UnderstandsAnIdInEverySpelling) {
  for (const char* text :
       {"a0b1c2d3-0000-4000-8000-000000000000", "{A0B1C2D3-0000-4000-8000-000000000000}",
        "a0b1c2d3000040008000000000000000", "a0b1", "A0B1C2", "a0b1c2d3-00"}) {
    const auto found = find_job(jobs(), text);
    ASSERT_TRUE(found) << text << ": " << found.error().message;
    EXPECT_EQ(*found, jobs()[4]);
  }
}

TEST(FindJob, TellsJobsApartByTheirLastDigit) {
  EXPECT_EQ(find_job(jobs(), "1b4e28ba-2fa1-41d2-883f-b9a761bde3fc").value(), jobs()[1]);
  EXPECT_EQ(find_job(jobs(), "1b4ef").value(), jobs()[2]);
}

TEST(FindJob, SaysWhatIsWrong) {
  struct Case {
    const char* text;
    ErrorCode code;
    const char* message;
  };
  for (const Case& wrong : {
           Case{"", ErrorCode::invalid_argument, "not the id of a job"},
           Case{"fedora", ErrorCode::invalid_argument, "'fedora' is not the id"},
           Case{"a0b1c2d3-0000-4000-8000-0000000000000", ErrorCode::invalid_argument, "not the id"},
           Case{"a0b", ErrorCode::invalid_argument, "at least 4 digits"},
           Case{"a-0-b", ErrorCode::invalid_argument, "at least 4 digits"},
           Case{"beef", ErrorCode::job_not_found, "there is no job 'beef'"},
           Case{"1b4e28", ErrorCode::invalid_argument, "2 jobs begin with '1b4e28'"},
           Case{"1b4e", ErrorCode::invalid_argument, ", ...; give more digits"},
       }) {
    const auto found = find_job(jobs(), wrong.text);
    ASSERT_FALSE(found) << wrong.text;
    EXPECT_EQ(found.error().code, wrong.code) << wrong.text;
    EXPECT_NE(found.error().message.find(wrong.message), std::string::npos)
        << found.error().message;
  }
}

TEST(FindJob, AnAmbiguousOneListsWhatItMayMean) {
  const std::string message = find_job(jobs(), "1b4e28").error().message;
  EXPECT_NE(message.find("1b4e28ba-2fa1-41d2-883f-b9a761bde3fb"), std::string::npos);
  EXPECT_NE(message.find("1b4e28ba-2fa1-41d2-883f-b9a761bde3fc"), std::string::npos);
}

}  // namespace
}  // namespace lanward::cli
