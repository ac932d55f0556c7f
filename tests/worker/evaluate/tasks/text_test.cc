// The expressions and string operations under the scorers.
#include "worker/evaluate/tasks/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/evaluate/tasks/regex.h"

namespace uaqf::evaluate {
namespace {

using testing::ElementsAre;

TEST(Text, StripsUnicodeSpaces) {
  EXPECT_EQ(Strip("\u00a0 a b\t\n"), "a b");
  EXPECT_EQ(Strip(" \n "), "");
}

TEST(Text, LowersLettersOfEveryScriptAndKeepsBrokenBytes) {
  EXPECT_EQ(Lower("ÀÉ ЖЯ ΑΩ X"), "àé жя αω x");
  EXPECT_EQ(Lower("A\xff"
                  "B"),
            "a\xff"
            "b");
}

TEST(Text, CaseNeedsALetter) {
  EXPECT_TRUE(IsUpper("HELLO 2!"));
  EXPECT_FALSE(IsUpper("HELLo"));
  EXPECT_FALSE(IsUpper("12"));
  EXPECT_TRUE(IsLower("élan 2"));
  EXPECT_FALSE(IsLower(""));
}

TEST(Text, CutsAtTheFirstStop) {
  EXPECT_EQ(CutAtStop("ab. cd, ef", {",", "."}), "ab");
  EXPECT_EQ(CutAtStop("ab", {"\n"}), "ab");
}

TEST(Regex, FindsEmptyMatchesAndGoesOn) {
  const auto matches = Regex::Known("b*").FindAll("abé");
  ASSERT_EQ(matches.size(), 4U);
  EXPECT_EQ(matches[1].whole, "b");
}

TEST(Regex, SplitsLikePython) { EXPECT_THAT(Regex::Known(",").Split(",a,,b"), ElementsAre("", "a", "", "b")); }

TEST(Regex, TreatsLettersOfOtherScriptsAsWordCharacters) {
  EXPECT_EQ(Regex::Known(R"(\w+)").FindAll("naïve слово").size(), 2U);
}

TEST(Regex, SaysWhereAnExpressionIsWrong) {
  const auto broken = Regex::Create("a(b");
  EXPECT_EQ(broken.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(broken.status().message()), testing::HasSubstr("at byte 3"));
}

TEST(Regex, GivesUpOnATextThatNeedsTooManySteps) {
  EXPECT_FALSE(Regex::Known("(a+)+$").Search(std::string(64, 'a') + "b"));
}

TEST(Regex, EscapesWhatHasAMeaning) {
  EXPECT_TRUE(Regex::Known(EscapeRegex("(a.b)*[c]")).Search("x(a.b)*[c]"));
  EXPECT_FALSE(Regex::Known(EscapeRegex("a.b")).Search("axb"));
}

}  // namespace
}  // namespace uaqf::evaluate
