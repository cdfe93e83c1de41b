// Downloads through the real engine from servers that misbehave in every way we know.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <ostream>
#include <string>
#include <vector>

#include "tests/cdn/fault_table.h"

namespace lanward::test {
namespace {

struct Case {
  const FaultRow* row;
  bool with_manifest;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.row->name; }

[[nodiscard]] std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const FaultRow& row : fault_rows()) {
    if (row.with.kind != FaultEnd::Kind::not_applicable) cases.push_back({&row, true});
    if (row.without.kind != FaultEnd::Kind::not_applicable) cases.push_back({&row, false});
  }
  return cases;
}

class HttpFault : public testing::TestWithParam<Case> {};

TEST_P(HttpFault, EndsInTheRightFileOrAClearErrorAfterBoundedRequests) {
  const FaultRow& row = *GetParam().row;
  const FaultEnd& expected = GetParam().with_manifest ? row.with : row.without;
  FaultWorld world(GetParam().with_manifest);
  row.arrange(world);
  const FaultOutcome outcome = world.run();
  RecordProperty("requests", static_cast<int>(world.requests()));
  RecordProperty("error", outcome.error);
  switch (expected.kind) {
    case FaultEnd::Kind::file:
      EXPECT_TRUE(outcome.delivered) << outcome.error;
      EXPECT_TRUE(outcome.bytes == *world.content()) << outcome.bytes.size() << " bytes";
      break;
    case FaultEnd::Kind::error:
      EXPECT_FALSE(outcome.delivered);
      EXPECT_NE(outcome.error.find(expected.error), std::string::npos) << outcome.error;
      break;
    case FaultEnd::Kind::wrong_bytes:
      EXPECT_TRUE(outcome.delivered) << outcome.error;
      EXPECT_EQ(outcome.bytes.size(), world.content()->size());
      EXPECT_FALSE(outcome.bytes == *world.content());
      break;
    case FaultEnd::Kind::not_applicable:
      break;
  }
  EXPECT_LE(world.requests(), expected.requests_max);
  if (row.check) row.check(world, outcome);
}

INSTANTIATE_TEST_SUITE_P(Of, HttpFault, testing::ValuesIn(all_cases()), [](const auto& case_info) {
  return case_info.param.row->id +
         (case_info.param.with_manifest ? "WithManifest" : "WithoutManifest");
});

TEST(HttpFaultTable, IsTheOneOfTheDocument) {
  std::ifstream in(LANWARD_SOURCE_DIR "/docs/http.md");
  const std::string document{std::istreambuf_iterator<char>(in), {}};
  std::string whole;
  for (const FaultRow& row : fault_rows()) whole += table_line(row) + "\n";
  std::size_t lines = 0;
  for (std::size_t at = 0; (at = document.find("\n| ", at)) != std::string::npos; ++at) ++lines;
  EXPECT_NE(document.find(whole), std::string::npos)
      << "docs/http.md lacks these lines, or has them in another order:\n"
      << whole;
  EXPECT_GE(lines, fault_rows().size());
}

}  // namespace
}  // namespace lanward::test
