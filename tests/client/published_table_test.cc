// Tables that somebody published, good and bad.
#include "client/published_table.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"

namespace uaqf::client {
namespace {

using testing::HasSubstr;

constexpr char kHeader[] = "variant,latency_ms,throughput_tokens_per_s,perplexity_change,memory_gb\n";

v1::ImportedTable Parsed(const std::string& rows, const std::string& baseline = "") {
  const auto table = ParsePublishedTable(absl::StrCat(kHeader, rows), "t.csv", baseline);
  EXPECT_TRUE(table.ok()) << table.status();
  return table.ok() ? *table : v1::ImportedTable();
}

std::string Problem(const std::string& bytes, const std::string& baseline = "") {
  const auto table = ParsePublishedTable(bytes, "t.csv", baseline);
  EXPECT_EQ(table.status().code(), absl::StatusCode::kInvalidArgument) << bytes;
  return std::string(table.status().message());
}

std::string RowProblem(const std::string& row) { return Problem(absl::StrCat(kHeader, "FP16,1,1,0,1\n", row)); }

TEST(PublishedTable, IsReadInItsUnits) {
  const v1::ImportedTable table = Parsed("FP16,1280,38.2,0.00,13.5\r\n\"RTN, 8-bit\",1015,46.7,+0.42,8.2\r\n");
  ASSERT_EQ(table.variants_size(), 2);
  EXPECT_EQ(table.baseline_label(), "FP16");
  EXPECT_EQ(table.variants(0).variant(), "fp16");
  EXPECT_DOUBLE_EQ(table.variants(0).latency_s(), 1.28);
  EXPECT_DOUBLE_EQ(table.variants(0).tokens_per_s(), 38.2);
  EXPECT_EQ(table.variants(0).memory_bytes(), 13'500'000'000);
  EXPECT_EQ(table.variants(1).variant(), "RTN, 8-bit");
  EXPECT_DOUBLE_EQ(table.variants(1).delta_perplexity(), 0.42);
}

TEST(PublishedTable, HasItsColumnsInAnyOrder) {
  const auto table = ParsePublishedTable(
      "\xEF\xBB\xBFmemory_gb,variant,perplexity_change,latency_ms,throughput_tokens_per_s\n1,fp16,0,2,3\n4,a,5,6,7\n",
      "t.csv");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->variants(1).memory_bytes(), 4'000'000'000);
  EXPECT_EQ(table->variants(1).delta_perplexity(), 5);
  EXPECT_EQ(table->variants(1).tokens_per_s(), 7);
}

TEST(PublishedTable, LeavesOutWhatWasNotPublished) {
  const v1::ImportedTable table = Parsed("fp16,,38.2,,\na,,46.7,,8\n");
  EXPECT_FALSE(table.variants(0).has_latency_s());
  EXPECT_FALSE(table.variants(0).has_delta_perplexity());
  EXPECT_FALSE(table.variants(0).has_memory_bytes());
  EXPECT_TRUE(table.variants(1).has_memory_bytes());
}

TEST(PublishedTable, TakesTheBaselineThatIsNamed) {
  const v1::ImportedTable table = Parsed("FP16 (Baseline),1,1,0,1\na,1,2,0.1,1\n", "FP16 (Baseline)");
  EXPECT_EQ(table.baseline_label(), "FP16 (Baseline)");
  EXPECT_EQ(table.variants(0).variant(), "fp16");
}

TEST(PublishedTable, WithoutABaselineIsRefused) {
  const std::string rows = absl::StrCat(kHeader, "FP16 (Baseline),1,1,0,1\na,1,2,0.1,1\n");
  EXPECT_THAT(Problem(rows), HasSubstr("got no row fp16"));
  EXPECT_THAT(Problem(rows), HasSubstr("\"FP16 (Baseline)\", \"a\"\nname the baseline's row with --baseline LABEL"));
  EXPECT_THAT(Problem(rows, "b"), HasSubstr("got no row \"b\""));
  EXPECT_THAT(Problem(absl::StrCat(kHeader, "fp16,1,1,0,1\nFP16,1,2,0.1,1\n")), HasSubstr("expected one fp16"));
  EXPECT_THAT(Problem(absl::StrCat(kHeader, "FP16,1,1,0,1\na,1,2,0,1\n"), "a"), HasSubstr("rename that row"));
  EXPECT_THAT(Problem(absl::StrCat(kHeader, "FP16,1,1,0.5,1\na,1,2,0,1\n")), HasSubstr("expected 0"));
}

TEST(PublishedTable, NamesAColumnThatIsMissingUnknownOrThereTwice) {
  EXPECT_EQ(Problem("variant,latency_ms,throughput_tokens_per_s,perplexity_change\nfp16,1,1,0\n"),
            "t.csv:1: no column memory_gb, expected the header "
            "variant,latency_ms,throughput_tokens_per_s,perplexity_change,memory_gb");
  EXPECT_THAT(Problem("variant,latency_s\nfp16,1\n"), HasSubstr("got the column \"latency_s\", expected the header"));
  EXPECT_THAT(Problem("variant,variant\nfp16,1\n"), HasSubstr("got the column \"variant\" twice"));
}

TEST(PublishedTable, NamesLineAndColumnOfAFigureThatIsNone) {
  EXPECT_EQ(RowProblem("a,fast,1,0,1"),
            "t.csv:3: got latency_ms = \"fast\", expected a number above 0, or nothing where none was published");
  for (const char* row :
       {"a,-1,1,0,1", "a,0,1,0,1", "a,nan,1,0,1", "a,inf,1,0,1", "a,1e300,1,0,1", "a,\"1,5\",1,0,1"}) {
    EXPECT_THAT(RowProblem(row), HasSubstr("t.csv:3: got latency_ms = ")) << row;
  }
  EXPECT_THAT(RowProblem("a,1,-2,0,1"), HasSubstr("got throughput_tokens_per_s = \"-2\""));
  EXPECT_THAT(RowProblem("a,1,1,NaN,1"), HasSubstr("got perplexity_change = \"NaN\", expected a number, or"));
  EXPECT_THAT(RowProblem("a,1,1,0,8GB"), HasSubstr("got memory_gb = \"8GB\""));
}

TEST(PublishedTable, TakesAPerplexityThatFell) {
  EXPECT_DOUBLE_EQ(Parsed("fp16,1,1,0,1\na,1,1,-0.05,1\n").variants(1).delta_perplexity(), -0.05);
}

TEST(PublishedTable, NamesALabelThatIsThereTwiceOrNone) {
  EXPECT_THAT(RowProblem("a,1,1,0,1\na,1,1,0,1"), HasSubstr("t.csv:4: got the variant \"a\" as in line 3"));
  EXPECT_THAT(RowProblem(",1,1,0,1"), HasSubstr("t.csv:3: got the variant \"\""));
  EXPECT_THAT(RowProblem("\"a\nb\",1,1,0,1"), HasSubstr("on one line"));
  EXPECT_THAT(RowProblem(absl::StrCat(std::string(129, 'a'), ",1,1,0,1")), HasSubstr("1 to 128 bytes"));
}

TEST(PublishedTable, ThatIsEmptyShortOrHugeIsRefused) {
  EXPECT_THAT(Problem(""), HasSubstr("t.csv has nothing in it"));
  EXPECT_THAT(Problem(kHeader), HasSubstr("a header and no rows"));
  EXPECT_THAT(RowProblem("a,1,1,0"), HasSubstr("t.csv:3: got 4 cells, expected 5"));
  EXPECT_THAT(RowProblem("a,1,1,0,1,2"), HasSubstr("got 6 cells, expected 5"));
  std::string rows = absl::StrCat(kHeader, "fp16,1,1,0,1\n");
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&rows, "v", i, ",1,1,0,1\n");
  EXPECT_THAT(Problem(rows), HasSubstr("expected at most 1001 rows"));
  EXPECT_THAT(Problem(std::string(2 << 20, 'a')), HasSubstr("expected at most 1048576 of CSV"));
}

TEST(PublishedTable, TellsEveryBadRow) {
  const std::string problem = RowProblem("a,x,1,0,1\nb,1,y,0,1\n");
  EXPECT_THAT(problem, HasSubstr("t.csv:3: "));
  EXPECT_THAT(problem, HasSubstr("t.csv:4: "));
}

TEST(PublishedTable, OfThePaperIsAmongTheExamples) {
  for (const char* name : {"paper_table7_llama2_7b.csv", "paper_table7_llama2_13b.csv"}) {
    std::ifstream in(absl::StrCat(std::getenv("UAQF_SOURCE_DIR"), "/tests/data/", name));
    std::stringstream bytes;
    bytes << in.rdbuf();
    const auto table = ParsePublishedTable(bytes.str(), name);
    ASSERT_TRUE(table.ok()) << table.status();
    EXPECT_EQ(table->variants_size(), 8);
    EXPECT_EQ(table->baseline_label(), "FP16");
  }
}

}  // namespace
}  // namespace uaqf::client
