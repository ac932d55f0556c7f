#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "client/figures.h"
#include "client/table.h"
#include "client/utf8.h"

namespace uaqf::client {
namespace {

TEST(Utf8, TellsWhereValidTextEnds) {
  EXPECT_EQ(ValidUtf8Prefix(""), 0u);
  EXPECT_EQ(ValidUtf8Prefix("plain é € 😀"), std::string("plain é € 😀").size());
  EXPECT_EQ(ValidUtf8Prefix("ab\xff"), 2u);
  EXPECT_EQ(ValidUtf8Prefix("a\xc3"), 1u) << "cut in the middle of a character";
  EXPECT_EQ(ValidUtf8Prefix("\xc0\xaf"), 0u) << "overlong";
  EXPECT_EQ(ValidUtf8Prefix("\xe0\x80\xaf"), 0u) << "overlong";
  EXPECT_EQ(ValidUtf8Prefix("\xed\xa0\x80"), 0u) << "surrogate";
  EXPECT_EQ(ValidUtf8Prefix("\xf4\x90\x80\x80"), 0u) << "above U+10FFFF";
  EXPECT_EQ(ValidUtf8Prefix("\x80"), 0u) << "continuation alone";
}

TEST(Utf8, CutsBetweenCharactersOnly) {
  const std::string text = "a€€";  // 1 + 3 + 3 bytes
  EXPECT_EQ(CutAtCharacter(text, 4), 4u);
  EXPECT_EQ(CutAtCharacter(text, 5), 4u);
  EXPECT_EQ(CutAtCharacter(text, 6), 4u);
  EXPECT_EQ(CutAtCharacter(text, 7), 7u);
}

TEST(Utf8, CountsColumnsNotBytes) {
  EXPECT_EQ(DisplayWidth("ΔNLL ±"), 6);
  EXPECT_EQ(DisplayWidth("漢字"), 4);
  EXPECT_EQ(DisplayWidth("e\xcc\x81"), 1) << "a combining accent takes no room";
}

TEST(Utf8, FitsTextIntoColumns) {
  EXPECT_EQ(FitToWidth("rtn-w4", 6), "rtn-w4");
  EXPECT_EQ(FitToWidth("rtn-w4-g64", 6), "rtn-w…");
  EXPECT_EQ(DisplayWidth(FitToWidth("漢字漢字", 4)), 3) << "a wide character is not halved";
  EXPECT_EQ(FitToWidth("x", 0), "");
}

// A label is whatever its author wrote; shown raw it could steer the terminal.
TEST(Utf8, ShowsNoControlCharacters) {
  EXPECT_EQ(Printable("a\x1b[2Jb\nc\xff"), "a?[2Jb?c?");
  EXPECT_EQ(Printable("a\nb", /*keep_newlines=*/true), "a\nb");
  EXPECT_EQ(Printable("é"), "é");
}

TEST(Figures, HaveTheDigitsTheyAreWorth) {
  EXPECT_EQ(Fixed(1.9124, 3), "1.912");
  EXPECT_EQ(Fixed(12345678, 1), "1.23e+07");
  EXPECT_EQ(Signed(0.361, 3), "+0.361");
  EXPECT_EQ(Signed(-0.02, 2), "-0.02");
  EXPECT_EQ(Signed(0.0001, 2), "0");
  EXPECT_EQ(Signed(-0.0001, 2), "0");
  EXPECT_EQ(Exact(0.1), "0.1");
}

TEST(Figures, NameTheirUnits) {
  EXPECT_EQ(Bytes(0), "0 B");
  EXPECT_EQ(Bytes(269'300'000), "269 MB");
  EXPECT_EQ(Bytes(1'214'000'000), "1.21 GB");
  EXPECT_EQ(Bytes(999'999), "1.00 MB");
  EXPECT_EQ(Quantity(7), "7");
  EXPECT_EQ(Quantity(656'000), "656 K");
  EXPECT_EQ(Quantity(6'738'415'616), "6.74 B");
  EXPECT_EQ(Clock(absl::Seconds(33)), "0:33");
  EXPECT_EQ(Clock(absl::Seconds(3723)), "1:02:03");
  EXPECT_EQ(Age(absl::Seconds(-5)), "0 s") << "clocks of two machines differ";
  EXPECT_EQ(Age(absl::Hours(3)), "3 h");
  EXPECT_EQ(Count(1, "category"), "1 category");
  EXPECT_EQ(Count(2, "category"), "2 categories");
}

TEST(Table, AlignsByDisplayWidth) {
  Table table({{"name"}, {"n", Align::kRight}, {"note"}});
  table.AddRow({"漢字", "7", "x"});
  table.AddRow({"abc", "12", ""});
  EXPECT_EQ(table.Text(Terminal()),
            "name   n  note\n"
            "漢字   7  x\n"
            "abc   12  -\n");
}

TEST(Table, DropsColumnsThatNobodyMeasured) {
  Table table({{"a"}, {"b"}, {"c"}});
  table.AddRow({"1", "", "3"});
  table.AddRow({"2", "", ""});
  table.DropEmptyColumns();
  EXPECT_EQ(table.Text(Terminal()), "a  c\n1  3\n2  -\n");
}

TEST(Table, QuotesCsvOnlyWhereNeeded) {
  Table table({{"a"}, {"b"}});
  table.AddRow({"plain", "has \"quotes\", commas\nand lines"});
  table.AddRow({"", "x"});
  EXPECT_EQ(table.Csv(), "a,b\nplain,\"has \"\"quotes\"\", commas\nand lines\"\n,x\n");
}

TEST(Table, ColoursOnlyWhereColourIsWelcome) {
  Terminal colour;
  colour.colour = true;
  Table table({{"a"}});
  table.AddRow({"1"});
  EXPECT_EQ(table.Text(colour), "\033[1ma\033[0m\n1\n");
  EXPECT_EQ(table.Text(Terminal()), "a\n1\n");
}

}  // namespace
}  // namespace uaqf::client
