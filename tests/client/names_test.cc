#include "client/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace uaqf::client {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kJobs = {"jobs/k7f2m9", "jobs/k7", "jobs/k8aa", "jobs/k8ab"};

absl::StatusOr<std::string> Job(const std::string& wanted) { return PickName(wanted, "jobs", kJobs, "uaqf jobs list"); }

TEST(PickName, TakesFullNamesIdsAndUniqueBeginnings) {
  EXPECT_EQ(*Job("jobs/k7f2m9"), "jobs/k7f2m9");
  EXPECT_EQ(*Job("k7f2m9"), "jobs/k7f2m9");
  EXPECT_EQ(*Job("k7f"), "jobs/k7f2m9");
  EXPECT_EQ(*Job("jobs/k8aa"), "jobs/k8aa");
}

TEST(PickName, PrefersAWholeIdToLongerOnes) { EXPECT_EQ(*Job("k7"), "jobs/k7"); }

TEST(PickName, NamesTheCandidatesOfAnAmbiguousBeginning) {
  const absl::Status status = Job("k8a").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("\"k8a\" is the beginning of 2 jobs"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("jobs/k8aa, jobs/k8ab"));
}

TEST(PickName, SaysWhereToLookWhenThereIsNone) {
  const absl::Status status = Job("zzz").status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("no jobs/zzz"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("uaqf jobs list"));
  EXPECT_TRUE(absl::IsInvalidArgument(Job("").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Job("jobs/").status()));
}

v1::PromptSet Set(const std::string& digest_begin, const std::string& label,
                  v1::PromptSetKind kind = v1::PROMPT_SET_KIND_PROMPTS) {
  v1::PromptSet set;
  set.set_name("promptSets/" + digest_begin + std::string(64 - digest_begin.size(), '0'));
  set.set_display_name(label);
  set.set_kind(kind);
  return set;
}

// Newest first, as the coordinator lists them.
const std::vector<v1::PromptSet> kSets = {Set("aaaa1", "demo"), Set("aaaa2", "demo"), Set("beef", "cafe"),
                                          Set("cafe", "other"), Set("dddd", "prose", v1::PROMPT_SET_KIND_TEXT)};

absl::StatusOr<v1::PromptSet> Prompts(const std::string& wanted) {
  return PickPromptSet(wanted, v1::PROMPT_SET_KIND_PROMPTS, kSets);
}

TEST(PickPromptSet, TakesTheNewestOfALabel) { EXPECT_EQ(Prompts("demo")->name(), kSets[0].name()); }

TEST(PickPromptSet, TakesDigestsAndTheirUniqueBeginnings) {
  EXPECT_EQ(Prompts(kSets[1].name())->name(), kSets[1].name());
  EXPECT_EQ(Prompts("aaaa2")->name(), kSets[1].name());
  EXPECT_EQ(Prompts("promptSets/aaaa2")->name(), kSets[1].name());
  EXPECT_EQ(Prompts("aaaa2…")->name(), kSets[1].name()) << "as it is shown, pasted back";
}

TEST(PickPromptSet, PrefersALabelToADigest) { EXPECT_EQ(Prompts("cafe")->name(), kSets[2].name()); }

TEST(PickPromptSet, RefusesWhatIsAmbiguousOrTooShort) {
  EXPECT_TRUE(absl::IsInvalidArgument(Prompts("aaaa").status()));
  EXPECT_THAT(std::string(Prompts("aaaa").status().message()), HasSubstr("beginning of 2 digests"));
  EXPECT_TRUE(absl::IsNotFound(Prompts("bee").status())) << "three digits may be a word";
}

TEST(PickPromptSet, SaysWhenTheSetIsOfTheOtherKind) {
  const absl::Status status = Prompts("prose").status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("is a set of kind text, expected one of kind prompts"));
  EXPECT_EQ(PickPromptSet("prose", v1::PROMPT_SET_KIND_TEXT, kSets)->name(), kSets[4].name());
}

}  // namespace
}  // namespace uaqf::client
