// CSV as it comes from spreadsheets and hands.
#include "client/csv.h"

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "client/table.h"

namespace uaqf::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::vector<std::string>> Cells(absl::string_view bytes) {
  const auto rows = ParseCsv(bytes, "f.csv");
  EXPECT_TRUE(rows.ok()) << rows.status();
  std::vector<std::vector<std::string>> cells;
  if (!rows.ok()) return cells;
  for (const CsvRow& row : *rows) cells.push_back(row.cells);
  return cells;
}

std::string Problem(absl::string_view bytes, const CsvLimits& limits = {}) {
  return std::string(ParseCsv(bytes, "f.csv", limits).status().message());
}

TEST(ParseCsv, TakesLinesOfEitherEnd) {
  EXPECT_THAT(Cells("a,b\n1,2\n"), ElementsAre(ElementsAre("a", "b"), ElementsAre("1", "2")));
  EXPECT_THAT(Cells("a,b\r\n1,2\r\n"), ElementsAre(ElementsAre("a", "b"), ElementsAre("1", "2")));
  EXPECT_THAT(Cells("a,b\n1,"), ElementsAre(ElementsAre("a", "b"), ElementsAre("1", "")));
}

TEST(ParseCsv, TakesQuotedCells) {
  EXPECT_THAT(Cells("\"a,b\",\"c \"\"d\"\"\",\"e\nf\"\r\n"), ElementsAre(ElementsAre("a,b", "c \"d\"", "e\nf")));
  EXPECT_THAT(Cells("\"\",\" x \" ,y"), ElementsAre(ElementsAre("", " x ", "y")));
}

TEST(ParseCsv, ReadsOverByteOrderMarksBlanksAndBlankLines) {
  EXPECT_THAT(Cells("\xEF\xBB\xBF"
                    "a , b\n\n  \n 1,2 "),
              ElementsAre(ElementsAre("a", "b"), ElementsAre("1", "2")));
  EXPECT_THAT(Cells(""), ElementsAre());
}

TEST(ParseCsv, CountsLinesAcrossQuotedOnes) {
  const auto rows = ParseCsv("\"a\nb\"\n\nc", "f.csv");
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ((*rows)[0].line, 1);
  EXPECT_EQ((*rows)[1].line, 4);
}

TEST(ParseCsv, ReadsBackWhatCsvLineWrites) {
  const std::vector<std::string> cells = {"plain", "with, comma", "with \"quotes\"", "two\nlines", ""};
  EXPECT_THAT(Cells(CsvLine(cells)), ElementsAre(cells));
}

TEST(ParseCsv, NamesTheLineOfWhatIsNone) {
  EXPECT_EQ(Problem("a\nb\"c"),
            "f.csv:2: got a quote inside a cell, expected the whole cell in quotes, and \"\" for one inside");
  EXPECT_THAT(Problem("a\n\"b\nc"), HasSubstr("f.csv:2: got a cell whose quote is not closed"));
  EXPECT_THAT(Problem("\"a\"b"), HasSubstr("text behind the quotes"));
  EXPECT_THAT(Problem("a\rb\nc"), HasSubstr("carriage return"));
  EXPECT_THAT(Problem("a\n\xff\xfe"), HasSubstr("f.csv:2: got bytes that are not UTF-8"));
}

TEST(ParseCsv, HasLimits) {
  EXPECT_THAT(Problem(std::string((1 << 20) + 1, 'a')), HasSubstr("expected at most 1048576"));
  EXPECT_THAT(Problem("a\nb\nc\n", {.rows = 2}), HasSubstr("f.csv:3: expected at most 2 rows"));
  EXPECT_THAT(Problem(std::string(64, ',')), HasSubstr("expected at most 64 cells"));
}

// Whatever the bytes, it ends, with rows or with a message.
TEST(ParseCsv, EndsOnAnyBytes) {
  std::uint32_t state = 7;
  constexpr absl::string_view kBytes = "a,\"\r\n \t\xEF\xBB\xBF\xff";
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes;
    for (int i = 0; i < 24; ++i) {
      state = state * 1664525 + 1013904223;
      bytes.push_back(kBytes[(state >> 16) % kBytes.size()]);
    }
    const auto rows = ParseCsv(bytes, "f.csv");
    if (rows.ok()) continue;
    ASSERT_THAT(std::string(rows.status().message()), HasSubstr("f.csv"));
  }
}

}  // namespace
}  // namespace uaqf::client
