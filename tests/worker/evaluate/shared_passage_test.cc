#include "worker/evaluate/shared_passage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/support/test_data.h"
#include "worker/quantize/prose.h"

namespace uaqf::evaluate {
namespace {

using testing::HasSubstr;

// "w1 w2 ..." of the numbers [first, last).
std::string Words(int first, int last) {
  std::string text;
  for (int i = first; i < last; ++i) absl::StrAppend(&text, text.empty() ? "" : " ", "w", i);
  return text;
}

TEST(SharedPassage, IsFoundWhereverItStands) {
  const std::string passage = Words(100, 150);
  EXPECT_EQ(SharedPassage(passage, passage), passage);
  EXPECT_EQ(SharedPassage(absl::StrCat(Words(0, 77), " ", passage, " ", Words(900, 930)),
                          absl::StrCat(Words(500, 533), " ", passage, " ", Words(700, 800))),
            passage);
}

TEST(SharedPassage, IsNoneOneWordShorter) {
  EXPECT_EQ(SharedPassage(Words(0, 49), Words(0, 49)), "");
  EXPECT_EQ(SharedPassage(absl::StrCat(Words(0, 49), " x"), absl::StrCat(Words(0, 49), " y")), "");
  EXPECT_EQ(SharedPassage("", Words(0, 100)), "");
  EXPECT_EQ(SharedPassage(Words(0, 100), ""), "");
}

TEST(SharedPassage, IsTheSameInAnotherOrderOfNothingElse) {
  // The same words, none of them beside its old neighbour.
  std::string shuffled;
  for (int i = 0; i < 100; ++i) absl::StrAppend(&shuffled, " w", i * 37 % 100);
  EXPECT_EQ(SharedPassage(Words(0, 100), shuffled), "");
}

TEST(SharedPassage, SeesThroughCaseAndPunctuation) {
  const std::string scored = absl::StrReplaceAll(Words(0, 60), {{" ", " , "}});
  EXPECT_NE(SharedPassage(absl::AsciiStrToUpper(Words(0, 60)), scored), "");
}

TEST(SharedPassage, IsToldWithWhatToDo) {
  const absl::Status status = CheckNotScored("the file a.txt", Words(0, 60), "b.txt", Words(5, 100));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(status.message()),
            "the file a.txt shares a passage of 50 words with b.txt, which is scored (it begins \"w5 w6 w7 w8 w9 w10 "
            "w11 w12 w13 w14 w15 w16 w17 w18 w19 w20 w...\"): expected another text, or the loss is made to look "
            "small; calibrate on one that is not scored");
  EXPECT_TRUE(CheckNotScored("a", Words(0, 60), "b", Words(60, 120)).ok());
}

// Situation: the texts that people have at hand for calibration and for scoring.
TEST(SharedPassage, TellsWikiTextsSplitsApartAndItsFormsTogether) {
  UAQF_NEED_DATA("wikitext2/wiki.test.raw");
  const std::string test = test::ReadFile(test::SharedData("wikitext2/wiki.test.raw"));
  const std::string test_tokens = test::ReadFile(test::SharedData("wikitext2/wiki.test.tokens"));
  const std::string validation = test::ReadFile(test::SharedData("wikitext2/wiki.valid.tokens"));
  EXPECT_EQ(SharedPassage(validation, test), "");
  EXPECT_NE(SharedPassage(test_tokens, test), "");
  EXPECT_EQ(SharedPassage(quantize::CalibrationProse(), test), "");
  EXPECT_EQ(SharedPassage(quantize::CalibrationProse(), validation), "");
}

}  // namespace
}  // namespace uaqf::evaluate
